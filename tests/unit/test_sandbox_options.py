"""The sandbox's command line: what it takes, and what it refuses before anything is made or listened to."""

import pytest

from deploy.sandbox.options import read_options


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ([], "https://127.0.0.1:4000/MyStoreInstance"),
        (["--site", "Shop"], "https://127.0.0.1:4000/Shop"),
        (["--site", "/Shop/"], "https://127.0.0.1:4000/Shop"),
        (["--site", ""], "https://127.0.0.1:4000"),
        (["--site", "/"], "https://127.0.0.1:4000"),
        (["--site", "", "--hostname", "erp.test"], "https://erp.test:4000"),
        (["--plain-http"], "http://127.0.0.1:4000/MyStoreInstance"),
    ],
)
def test_the_url_ends_with_the_site(given: list[str], url: str) -> None:
    """The address has the virtual directory once, without a slash after it, and none for the root."""
    assert read_options(given).url(4000) == url


@pytest.mark.parametrize("text", ["80,0.2,0.01", "80ms,0.2ms,0.01ms"])
def test_latency_is_in_milliseconds(text: str) -> None:
    """The unit may be written or not."""
    latency = read_options(["--latency", text]).latency
    assert latency.of(rows=100, skipped=1000) == pytest.approx(0.11)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--site", "one/two"),
        ("--port", "65536"),
        ("--port", "-1"),
        ("--build", "2023R1"),
        ("--latency", "1,2"),
        ("--latency", "1,2,-3"),
        ("--latency", "nan,0,0"),
        ("--latency", "0,inf,0"),
        ("--idle-seconds", "0"),
        ("--idle-seconds", "nan"),
        ("--max-sessions", "-1"),
        ("--refresh-days", "0"),
        ("--user", "clerk"),
        ("--user", ":word"),
        ("--user", "ADMIN:word"),
        ("--tenants", "Second,"),
        ("--tenants", "Second,mystore"),
        ("--branches", ""),
        ("--forbid", "Nothing"),
        ("--combo-order", "name"),
        ("--collation", "none"),
        ("--server-offset", "3"),
        ("--user-offset", "+15:00"),
        ("--big-file", "-1"),
        ("--rows-each", "-1"),
        ("--write-latency", "-1"),
        ("--write-latency", "inf"),
        ("--bad-save", "400"),
        ("--view-only", "nobody"),
    ],
)
def test_a_value_that_cannot_be_served_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad value ends the command with status 2 and a line that names its option."""
    with pytest.raises(SystemExit) as ended:
        read_options([f"{option}={value}"])
    assert ended.value.code == 2
    assert f"argument {option}:" in capsys.readouterr().err


def test_what_may_be_given_again() -> None:
    """Users, tenants and addresses add up, the first before the others; two readings share nothing."""
    again = [
        "--user",
        "a:1",
        "--user",
        "b:2:3",
        "--tenants",
        "B,C",
        "--redirect-uri",
        "x",
        "--redirect-uri",
        "y",
    ]
    options = read_options(["--username", "first", "--password", "0", *again])
    assert options.passwords == {"first": "0", "a": "1", "b": "2:3"}
    assert options.tenants == ("MyStore", "B", "C")
    assert options.client_id_of("C").endswith("@C")
    assert options.redirect_uris == ["x", "y"]
    assert (read_options([]).redirect_uris, len(read_options([]).passwords)) == ([], 1)


def test_any_tenant_is_for_a_site_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A site that looks at no tenant's name cannot have several."""
    with pytest.raises(SystemExit):
        read_options(["--tenants", "B", "--unknown-tenant", "any"])
    assert "--unknown-tenant" in capsys.readouterr().err
