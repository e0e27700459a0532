"""Settings: the environment over the file, secrets kept secret, and errors that name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConnectionUnknown, Misconfigured
from worker.settings import SOCKET_PATH_LIMIT, License, Settings

CONNECTION = """
[connections.default]
url = "https://erp.example.com/Site/"
version = "20.200.001"
tenant = "MyStore"
username = "admin"
client_id = "A@MyStore"
"""
SECRETS = 'password = "canary-password"\nclient_secret = "canary-secret"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A connections.toml that is complete and readable by its owner alone."""
    path = tmp_path / "connections.toml"
    path.touch(mode=0o600)
    path.write_text(CONNECTION + SECRETS)
    monkeypatch.setenv("ACUWORKER_CONNECTIONS_FILE", str(path))
    monkeypatch.setenv("ACUWORKER_VAR", str(tmp_path))
    return path


def test_a_connection_of_the_file(file: Path) -> None:
    """A connection has what the file says, its own name, and the defaults."""
    connection = Settings.load().connection("default")
    assert (connection.name, connection.url) == ("default", "https://erp.example.com/Site")
    assert connection.password.get_secret_value() == "canary-password"
    assert (connection.max_sessions, connection.max_per_minute) == (1, 50)


def test_the_environment_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting in the environment overrides the file's, and leaves the others."""
    monkeypatch.setenv("ACUWORKER_CONNECTIONS__DEFAULT__MAX_SESSIONS", "3")
    connection = Settings.load().connection("default")
    assert (connection.max_sessions, connection.tenant) == (3, "MyStore")


LICENSED = CONNECTION + SECRETS + 'license = "erp"\n[licenses.erp]\nmax_sessions = 4\n'


def test_a_license_that_connections_share(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection spends the license that it names; the environment wins over the file there too."""
    file.write_text(LICENSED)
    monkeypatch.setenv("ACUWORKER_LICENSES__ERP__MAX_PER_MINUTE", "300")
    settings = Settings.load()
    connection = settings.connection("default")
    assert connection.license_name == "erp"
    assert settings.license_of(connection) == License(name="erp", max_sessions=4, max_per_minute=300)


def test_a_license_of_its_own(file: Path) -> None:
    """A connection that names no license has one of its own, by its own name and limits."""
    file.write_text(CONNECTION + SECRETS + "max_sessions = 3\n")
    settings = Settings.load()
    connection = settings.connection("default")
    assert connection.license_name == "default"
    assert settings.license_of(connection) == License(name="default", max_sessions=3, max_per_minute=50)


def test_secrets_in_files(file: Path, tmp_path: Path) -> None:
    """A secret may be in a file of its own, whose last line end does not count."""
    (tmp_path / "password").write_text("from-file\n")
    file.write_text(CONNECTION + f'password_file = "{tmp_path}/password"\nclient_secret = "x"\n')
    assert Settings.load().connection("default").password.get_secret_value() == "from-file"


def test_secrets_that_others_may_read(file: Path) -> None:
    """A file that holds secrets is refused when others may read it, with the command that mends it."""
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match=f"chmod 600 {file}"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[connections", "cannot be read"),
        (CONNECTION, "password"),
        (CONNECTION.replace("https:", "http:") + SECRETS, "https://"),
        (
            CONNECTION.replace("A@MyStore", "A@Other") + SECRETS,
            "connections.default.client_id: is registered in",
        ),
        (
            CONNECTION + SECRETS + 'license = "erp"',
            "connections.default.license: there is no table [licenses.erp]",
        ),
        (
            CONNECTION + SECRETS + 'license = "erp"\nmax_per_minute = 5\n[licenses.erp]',
            "connections.default.max_per_minute: the limits of a shared license belong to its table",
        ),
        (CONNECTION + SECRETS + "[licenses.default]", "licenses.default: a connection of that name"),
        (CONNECTION + SECRETS + "[licenses.erp]\nmax_session = 1", "licenses.erp.max_session"),
        ("licenses = 5\n" + CONNECTION + SECRETS, "licenses"),
        (CONNECTION.replace("erp.example.com", "user:pw@erp.example.com") + SECRETS, "address alone"),
        (CONNECTION + SECRETS + "max_sessions = 0", "max_sessions"),
        (CONNECTION + SECRETS + "max_per_minute = 1", "signing in is a request too"),
        (CONNECTION + SECRETS + "max_session = 1", "max_session"),
        (CONNECTION + 'password_file = "/nowhere"\nclient_secret = "canary-secret"', "/nowhere"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, words: str) -> None:
    """A setting that is missing or wrong is named in one line, which holds no secret."""
    file.write_text(text)
    with pytest.raises(Misconfigured) as raised:
        Settings.load()
    assert words in str(raised.value)
    assert "canary" not in str(raised.value)


def test_no_secret_shows(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a repr nor a dump of the settings shows a secret."""
    monkeypatch.setenv("ACUWORKER_STORE_KEYS", "canary-key")
    monkeypatch.setenv("ACUWORKER_BROKER_URL", "redis://:canary-broker@127.0.0.1")
    settings = Settings.load()
    assert "canary" not in f"{settings!r}{settings.model_dump()}{settings.connection('default')}"


def test_unknown_connection(file: Path) -> None:
    """A connection that is not there is refused with the names of those that are."""
    with pytest.raises(ConnectionUnknown, match="there is default"):
        Settings.load().connection("other")


def test_addresses_of_the_private_store(file: Path, tmp_path: Path) -> None:
    """Store, broker and results are on the same socket, each in the words of its library."""
    settings = Settings.load()
    assert settings.store == f"unix://{tmp_path}/valkey.sock"
    assert settings.broker == settings.store_for_celery == f"redis+socket://{tmp_path}/valkey.sock"


def test_a_long_path_gets_a_short_socket(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the path of ``var`` is too long for a socket, the socket is in a private directory elsewhere."""
    monkeypatch.setenv("ACUWORKER_VAR", str(tmp_path / ("v" * 120)))
    assert len(str(Settings.load().socket)) <= SOCKET_PATH_LIMIT


@pytest.mark.parametrize("keys", ["short", ""])
def test_keys_of_the_store(file: Path, monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    """Keys that are none are refused with what would be right."""
    monkeypatch.setenv("ACUWORKER_STORE_KEYS", keys)
    with pytest.raises(Misconfigured, match=r"Fernet keys|acuworker up makes it"):
        Settings.load().cipher()


def test_fingerprints_tell_credentials_apart_and_nothing_else(file: Path) -> None:
    """Other credentials, or another key, have another mark; the mark holds none of them."""
    first = Settings.load().connection("default")
    other = first.model_copy(update={"username": "other"})
    marks = {first.fingerprint(b"k"), other.fingerprint(b"k"), first.fingerprint(b"l")}
    assert len(marks) == 3
    assert first.fingerprint(b"k") == Settings.load().connection("default").fingerprint(b"k")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("STORE_URL", "localhost:6379"),
        ("STORE_URL", "amqp://h"),
        ("BROKER_URL", "filesystem://"),
        ("BROKER_URL", "x"),
    ],
)
def test_an_address_of_no_known_kind(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    """A store or a broker that cannot be one is refused with the setting's name and what would be right."""
    monkeypatch.setenv(f"ACUWORKER_{name}", url)
    with pytest.raises(Misconfigured, match=r"must begin with redis://, rediss://") as raised:
        Settings.load()
    assert raised.value.field == name.lower()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("filesystem://", "a killed worker loses it"),
        ("sqla+sqlite:///jobs.db", "never gives out again"),
        ("memory://", "within one process"),
    ],
)
def test_a_broker_that_loses_jobs(file: Path, monkeypatch: pytest.MonkeyPatch, url: str, why: str) -> None:
    """Celery's brokers without a server are refused with the reason."""
    monkeypatch.setenv("ACUWORKER_BROKER_URL", url)
    with pytest.raises(Misconfigured, match=f"amqps://: .*{why}"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "url"), [("STORE_URL", "rediss://h/0"), ("BROKER_URL", "amqps://h"), ("BROKER_URL", "redis://h")]
)
def test_an_address_of_a_known_kind(file: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    """The addresses that the documents name are taken."""
    monkeypatch.setenv(f"ACUWORKER_{name}", url)
    assert url in (Settings.load().store, Settings.load().broker)


def test_a_store_on_a_socket_is_also_celerys(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery has another word than redis-py for a unix socket; one setting serves both."""
    monkeypatch.setenv("ACUWORKER_STORE_URL", "unix:///run/valkey.sock")
    settings = Settings.load()
    assert (settings.store, settings.broker) == ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock")


@pytest.mark.parametrize(
    "value", ["s3://bucket", "s3://bucket/a/prefix", "az://container/prefix", "gs://bucket"]
)
def test_blobs_may_go_to_an_object_store(file: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """ACUWORKER_BLOBS may be an object store's address."""
    monkeypatch.setenv("ACUWORKER_BLOBS", value)
    assert Settings.load().blob_place == value


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("ftp://host/x", "must be a directory, or one of s3://"),
        ("s3://", "must be a directory, or one of s3://"),
        ("s3://key:canary-secret@bucket/x", "must not hold credentials"),
        ("az://container/x?sig=canary-secret", "must not hold credentials"),
    ],
)
def test_an_address_for_blobs_holds_no_secret(
    file: Path, monkeypatch: pytest.MonkeyPatch, value: str, wrong: str
) -> None:
    """Another kind of address is refused, and so is one with credentials, which results would carry about."""
    monkeypatch.setenv("ACUWORKER_BLOBS", value)
    with pytest.raises(Misconfigured, match=wrong) as caught:
        Settings.load()
    assert "canary-secret" not in str(caught.value)


def test_blobs_are_under_var_where_nothing_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory is taken as it is; without one, blobs go under the other things that are kept."""
    assert Settings.load().blob_place == str(file.parent / "blobs")
    monkeypatch.setenv("ACUWORKER_BLOBS", "/srv/blobs")
    assert Settings.load().blob_place == "/srv/blobs"
