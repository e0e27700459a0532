"""connect's decisions: what a pasted URL tells, which version fits, whose tenant a client id is of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.connect import (
    Given,
    Place,
    again,
    checked,
    fitting,
    in_tenant,
    require_license,
    require_listed,
    split,
)
from worker.erp.endpoints import EndpointVersion
from worker.errors import Misconfigured

SITE = "https://erp.example.com/MyStore"
ORDERS = Place(url=SITE, endpoint="Default", version="20.200.001")


@pytest.mark.parametrize(
    ("pasted", "place"),
    [
        (SITE, Place(url=SITE)),
        (f"  {SITE}/ ", Place(url=SITE)),
        ("erp.example.com/MyStore", Place(url=SITE)),
        ("https://erp.example.com", Place(url="https://erp.example.com")),
        ("https://erp.example.com:8443/", Place(url="https://erp.example.com:8443")),
        (f"{SITE}/entity", Place(url=SITE)),
        (f"{SITE}/entity/Default", Place(url=SITE)),
        (f"{SITE}/entity/Default/20.200.001", ORDERS),
        (f"{SITE}/entity/Default/20.200.001/", ORDERS),
        (f"{SITE}/entity/Default/20.200.001/SalesOrder?$top=1#x", ORDERS),
        (
            "https://erp.example.com/entity/Custom/1/Thing",
            Place(url="https://erp.example.com", endpoint="Custom", version="1"),
        ),
        (f"{SITE}/identity/connect/token", Place(url=SITE)),
        (f"{SITE}/entity/auth/login", Place(url=SITE)),
        (f"{SITE}/Main?ScreenId=SO301000", Place(url=SITE)),
        (f"{SITE}/(W(2))/Main", Place(url=SITE)),
        (f"{SITE}/Frames/Login.aspx", Place(url=SITE)),
        (f"{SITE}/odata/MyStore/Orders", Place(url=SITE)),
        ("http://erp.example.com/MyStore", Place(url="http://erp.example.com/MyStore")),
    ],
)
def test_a_pasted_url_is_split(pasted: str, place: Place) -> None:
    """Any URL of an instance gives its address; one of an endpoint gives the endpoint and its version too."""
    assert split(pasted) == place


@given(st.text())
def test_whatever_is_pasted_is_split_or_refused(pasted: str) -> None:
    """Any text is either an address, or refused as none; never anything else."""
    said = {"version": "1", "tenant": "t", "username": "u", "password": "p"}
    try:
        checked({"url": split(pasted).url, **said, "client_id": "a@t", "client_secret": "s"})
    except Misconfigured as error:
        assert error.field == "url"


@pytest.mark.parametrize(
    ("listed", "name", "version"),
    [
        (
            [("Default", "17.200.001"), ("Default", "20.200.001"), ("Default", "22.200.001")],
            "Default",
            "22.200.001",
        ),
        ([("Default", "24.200.001"), ("Default", "26.200.001")], "Default", "24.200.001"),
        ([("Default", "18.200.001")], "Default", None),
        ([], "Default", None),
        ([("Mine", "1"), ("Default", "20.200.001")], "Mine", "1"),
        ([("Mine", "1"), ("Mine", "2")], "Mine", None),
        ([("Default", "20.200.001")], "Mine", None),
    ],
)
def test_a_missing_version_is_taken_where_it_is_sure(
    listed: list[tuple[str, str]], name: str, version: str | None
) -> None:
    """The newest Default of contract 4, or another endpoint's only version; where there is doubt, none."""
    offered = [EndpointVersion(name=endpoint, version=number) for endpoint, number in listed]
    assert fitting(offered, name) == version


def test_a_version_that_is_not_there_is_refused() -> None:
    """An endpoint that is listed in other versions is refused, naming them; an unlisted one may be a user's own."""
    offered = [EndpointVersion(name="Default", version="20.200.001")]
    require_listed(offered, "Default", "20.200.001")
    require_listed(offered, "Mine", "1")
    with pytest.raises(Misconfigured, match=r"no Default/99; it has 20\.200\.001"):
        require_listed(offered, "Default", "99")


@pytest.mark.parametrize("client_id", ["ABC@MyStore", "ABC@mystore", " ABC ", "ABC@"])
def test_a_client_id_carries_its_tenant(client_id: str) -> None:
    """A client id that was copied without its tenant is given it."""
    assert in_tenant(client_id, "MyStore").casefold() == "abc@mystore"


def test_a_client_id_of_another_tenant_is_refused() -> None:
    """The client id chooses the tenant, so one that contradicts the answer is refused before it is tried."""
    with pytest.raises(Misconfigured, match="registered in tenant 'Other', not in 'MyStore'"):
        in_tenant("ABC@Other", "MyStore")


def test_the_command_to_try_again_holds_no_secret() -> None:
    """What a user may run again names every answer but the password and the client secret."""
    said: dict[str, str | int | bool] = {
        "url": SITE,
        "username": "an admin",
        "password": "canary-1",
        "client_secret": "canary-2",
    }
    assert again("erp", said) == f"acuworker connect erp --url {SITE} --username 'an admin'"


def test_the_command_to_try_again_names_what_is_switched_on() -> None:
    """A setting that is on or off is an option without a value."""
    said: dict[str, str | int | bool] = {"sign_in": "cookie", "plaintext": True, "max_sessions": 2}
    assert again("erp", said) == "acuworker connect erp --sign-in cookie --plaintext --max-sessions 2"


def test_a_license_that_is_not_there_is_refused() -> None:
    """A license that the file does not have is refused, with what to write."""
    require_license("erp", ["erp"], Path("c.toml"))
    with pytest.raises(Misconfigured, match=r"write \[licenses\.erp\], with max_sessions and max_per_minute"):
        require_license("erp", [], Path("c.toml"))


def test_what_is_given_shows_no_secret() -> None:
    """The repr of what was given holds neither password nor client secret."""
    fields = dict.fromkeys(Given.__dataclass_fields__)
    given_ = Given(**(fields | {"password": "canary-1", "client_secret": "canary-2"}))  # type: ignore[arg-type]
    assert "canary" not in repr(given_)
