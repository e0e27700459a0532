"""The sandbox's front door: tenants, users, branches and rights; and a site that is served without TLS."""

from collections.abc import Iterator

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

ENTITIES = "/entity/Default/20.200.001"
ORDERS = f"{ENTITIES}/SalesOrder?$top=1&$select=OrderNbr"
OPTIONS = ("--tenants", "Second,Third", "--user", "clerk:other:word", "--branches", "MYSTORE,NORTH")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site with three tenants, two users and two branches."""
    with start_sandbox("--control", "--max-sessions", "0", *OPTIONS) as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(sandbox: Sandbox) -> None:
    """Every test begins with no open session, an empty log, and a site that knows its tenants."""
    sandbox.control("tenants", {"stale": False}, method="PATCH")
    sandbox.control("close-sessions")
    sandbox.control("events", method="DELETE")
    sandbox.http.cookies.clear()


def login(sandbox: Sandbox, **changes: str) -> httpx.Response:
    """Sign in with cookies, which the client does not keep."""
    given = {"name": sandbox.username, "password": sandbox.password, **changes}
    response = sandbox.http.post(f"{sandbox.url}/entity/auth/login", json=given)
    sandbox.http.cookies.clear()
    return response


def get(sandbox: Sandbox, path: str = ORDERS, **headers: str) -> httpx.Response:
    """A request with these headers and no cookies but theirs."""
    response = sandbox.http.get(sandbox.url + path, headers=headers)
    sandbox.http.cookies.clear()
    return response


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def jar(response: httpx.Response) -> dict[str, str]:
    """The header that sends the cookies of a response back."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in response.cookies.items())}


def branch_of(response: httpx.Response) -> str | None:
    """The tenant's mark that an answer leaves."""
    return response.cookies.get("UserBranch")


def test_the_client_id_selects_the_tenant(sandbox: Sandbox) -> None:
    """Each tenant has a client id, and its mark is on the token and on every answer."""
    assert [tenant["name"] for tenant in sandbox.tenants] == ["MyStore", "Second", "Third"]
    for tenant in sandbox.tenants:
        form = {"client_id": tenant["client_id"], "client_secret": sandbox.client_secret}
        user = {"username": sandbox.username, "password": sandbox.password}
        asked = {**form, **user, "grant_type": "password", "scope": "api"}
        granted = sandbox.http.post(f"{sandbox.url}/identity/connect/token", data=asked)
        answered = get(sandbox, **bearer(granted.json()["access_token"]))
        assert (branch_of(granted), branch_of(answered)) == (str(tenant["user_branch"]),) * 2
    opened = [event for event in sandbox.events() if event["kind"] == "session_open"]
    assert [(event["user"], event["tenant"]) for event in opened] == [
        ("admin", "MyStore"),
        ("admin", "Second"),
        ("admin", "Third"),
    ]


@pytest.mark.parametrize(
    ("given", "mark"),
    [({"tenant": "Second"}, "83"), ({"company": "third"}, "84"), ({}, "82"), ({"tenant": ""}, "82")],
)
def test_a_cookie_sign_in_names_its_tenant(sandbox: Sandbox, given: dict[str, str], mark: str) -> None:
    """Under either name of the parameter it lands there; without one, in the default tenant."""
    response = login(sandbox, **given)
    assert (response.status_code, branch_of(response)) == (204, mark)
    assert branch_of(get(sandbox, **jar(response))) == mark


def test_a_stale_site_says_nothing(sandbox: Sandbox) -> None:
    """While the tenants are forgotten, everybody lands in the default; who was signed in stays where he is."""
    token = sandbox.token(client_id=sandbox.tenants[1]["client_id"])
    assert sandbox.control("tenants", {"stale": True}, method="PATCH") == {"stale": True}
    lost = sandbox.token(client_id=sandbox.tenants[1]["client_id"])
    assert branch_of(login(sandbox, tenant="Second")) == "82"
    assert branch_of(get(sandbox, **bearer(lost))) == "82"
    assert branch_of(get(sandbox, **bearer(token))) == "83"


def test_unknown_tenants_are_refused(sandbox: Sandbox) -> None:
    """A site with several tenants does not guess."""
    response = login(sandbox, tenant="Fourth")
    assert response.json()["exceptionType"] == "PX.Data.PXUndefinedCompanyException"
    events = [event for event in sandbox.events() if event["kind"] == "sign_in"]
    assert [(e["grant"], e["accepted"], e["user"], e["error"]) for e in events] == [
        ("cookie", False, "admin", "tenant")
    ]


@pytest.mark.parametrize(
    ("options", "tenant"),
    [(["--unknown-tenant", "any"], "Fourth"), (["--tenants", "B", "--unknown-tenant", "default"], "Fourth")],
)
def test_unknown_tenants_where_they_are_taken(options: list[str], tenant: str) -> None:
    """A site with one tenant takes any name, and one with several may land the unknown in its default."""
    with start_sandbox(*options) as sandbox:
        assert branch_of(login(sandbox, tenant=tenant)) == "82"


def test_another_user_in_the_same_jar(sandbox: Sandbox) -> None:
    """A sign-in as somebody else ends the session of the cookies it brings."""
    first = login(sandbox)
    given = {"name": "clerk", "password": "other:word"}
    second = sandbox.http.post(f"{sandbox.url}/entity/auth/login", json=given, headers=jar(first))
    assert second.status_code == 204
    assert get(sandbox, **jar(first)).status_code == 401
    assert get(sandbox, **jar(second)).status_code == 200
    assert sandbox.tally()["open_sessions"] == 1


def test_users_have_passwords_and_locks_of_their_own(sandbox: Sandbox) -> None:
    """One user's wrong passwords lock nobody else; the log names users, not what was typed for one."""
    for _ in range(5):
        login(sandbox, name="clerk", password="wrong")
    assert login(sandbox, name="clerk", password="other:word").status_code == 500
    assert login(sandbox).status_code == 204
    sandbox.control("account", {"user": "clerk", "locked": False}, method="PATCH")
    assert login(sandbox, name="Clerk", password="other:word").status_code == 204
    login(sandbox, name="my-password-by-mistake")
    users = [event["user"] for event in sandbox.events() if event["kind"] == "sign_in"]
    assert users == ["clerk"] * 6 + ["admin", "clerk", None]
    missing = sandbox.http.patch(httpx.URL(sandbox.url).join("/_sandbox/account"), json={"user": "nobody"})
    assert missing.status_code == 404


def test_the_users_own_limit_is_each_users() -> None:
    """One user's sessions do not fill another's, and the license is asked first."""
    options = ("--max-logins-per-user", "1", "--max-sessions", "2", "--user", "clerk:word")
    with start_sandbox("--control", *options) as sandbox:
        clerk = {"username": "clerk", "password": "word"}
        assert get(sandbox, **bearer(sandbox.token())).status_code == 200
        assert get(sandbox, **bearer(sandbox.token())).status_code == 302
        assert get(sandbox, **bearer(sandbox.token(**clerk))).status_code == 200
        assert "API Login Limit" in get(sandbox, **bearer(sandbox.token(**clerk))).text
        refused = [(e["why"], e["user"]) for e in sandbox.events() if e["kind"] == "seat_refused"]
        assert refused == [("user", "admin"), ("license", "clerk")]


def test_a_branch_is_named_by_a_header(sandbox: Sandbox) -> None:
    """The branch is in the log; one that is not there is a 500 that names it."""
    token = sandbox.token()
    for branch, status in (("north", 200), ("MYSTORE", 200), ("SOUTH", 500)):
        assert get(sandbox, **bearer(token), **{"PX-CbApiBranch": branch}).status_code == status
    refused = get(sandbox, **bearer(token), **{"PX-CbApiBranch": "SOUTH"})
    assert "'SOUTH'" in refused.json()["exceptionMessage"]
    get(sandbox, **bearer(token))
    arrivals = [e["branch"] for e in sandbox.events() if e["kind"] == "arrival"]
    assert arrivals == [None, "north", "MYSTORE", "SOUTH", "SOUTH", None]
    assert login(sandbox, branch="NORTH").status_code == 204
    assert "'SOUTH'" in login(sandbox, branch="SOUTH").json()["exceptionMessage"]


def test_rights_are_taken_and_given() -> None:
    """Without a right the answer is a 403 that names the form; a cookie session keeps the rights it began with."""
    with start_sandbox("--control", "--max-sessions", "0", "--forbid", "Payment") as sandbox:
        token, payments = sandbox.token(), f"{ENTITIES}/Payment"
        words = "You have insufficient rights to access the Payment (AR302000) form."
        for path in (payments, f"{payments}/Payment/000001"):
            refused = get(sandbox, path, **bearer(token))
            assert (refused.status_code, refused.json()) == (403, {"message": words})
        cookies = jar(login(sandbox))
        rights = sandbox.control("rights", {"Payment": True, "StockItem": False}, method="PATCH")
        assert (rights["Payment"], rights["StockItem"], rights["SalesOrder"]) == (True, False, True)
        assert get(sandbox, payments, **bearer(token)).status_code == 200
        assert get(sandbox, f"{ENTITIES}/StockItem", **bearer(token)).status_code == 403
        assert get(sandbox, payments, **cookies).status_code == 403
        assert get(sandbox, payments, **jar(login(sandbox))).status_code == 200
        assert get(sandbox, f"{ENTITIES}/Nothing", **bearer(token)).status_code == 404


def test_a_site_without_tls() -> None:
    """Plain HTTP serves cookie sign-ins; what belongs to OAuth is refused there."""
    with start_sandbox("--plain-http", "--control") as sandbox:
        assert (sandbox.url[:7], sandbox.ca_file) == ("http://", "")
        signed_in = login(sandbox)
        assert signed_in.status_code == 204
        assert get(sandbox, **jar(signed_in)).status_code == 200
        for path in ("connect/token", "connect/revocation"):
            refused = sandbox.http.post(f"{sandbox.url}/identity/{path}", data={"grant_type": "password"})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        for path in ("connect/authorize", ".well-known/openid-configuration"):
            assert sandbox.http.get(f"{sandbox.url}/identity/{path}").status_code == 400
        out = sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers=jar(signed_in))
        assert (out.status_code, sandbox.tally()["open_sessions"]) == (204, 0)
