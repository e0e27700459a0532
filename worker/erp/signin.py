"""Signing in to the ERP and out of it: OAuth's password grant with discovery, sign-out, revocation.

Under the scope ``api`` the session lives inside the token (vendor's guide, Session Management in the OAuth 2.0
Applications): signing out frees the seat but leaves the token valid, and a token that is used again opens a
session again; revoking kills the token but frees no seat. So a session is closed by the two, in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from worker.erp import answers
from worker.erp.deadline import Deadline
from worker.erp.wire import Answer, Request, Wire
from worker.errors import AnswerMalformed, ErpBusy, ExchangeTimeout, NotInEndpoint, SignInRefused, WorkerError
from worker.settings import Connection

TOKEN_PATH = "/identity/connect/token"  # noqa: S105 a path, not a password
REVOCATION_PATH = "/identity/connect/revocation"
SCOPE = "api"

_ADVICE = {
    "invalid_client": "the ERP does not know the client id or its secret (Connected Applications, SM303010)",
    "invalid_grant": "the user name or password is wrong, the account is locked or must change its password, "
    "or it lacks API rights in that tenant",
    "unauthorized_client": "the connected application's flow must be Resource Owner Password Credentials (SM303010)",
    "unsupported_grant_type": "the ERP does not offer the password grant",
    "invalid_scope": "the connected application may not ask for the scope api",
}


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A token, and for how many seconds the ERP honours it."""

    token: SecretStr
    expires_in: float


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where tokens are had and revoked, as paths below the site."""

    token: str
    revocation: str


@dataclass(frozen=True, kw_only=True)
class EndpointVersion:
    """An endpoint that the instance offers."""

    name: str
    version: str


def versions(wire: Wire, deadline: Deadline) -> tuple[EndpointVersion, ...]:
    """What ``GET /entity`` lists without signing in; very old builds answer with a bare array."""
    answer = wire.send(Request(method="GET", path="/entity"), deadline)
    wrong = answers.error(answer)
    if wrong is not None:
        raise wrong
    body = answers.decode(answer.body)
    listed = body.get("endpoints") if isinstance(body, dict) else body
    if not isinstance(listed, list):
        raise AnswerMalformed(
            "GET /entity did not list endpoints: is this the address of an Acumatica instance?"
        )
    return tuple(
        EndpointVersion(name=str(entry["name"]), version=str(entry["version"]))
        for entry in listed
        if isinstance(entry, dict) and {"name", "version"} <= entry.keys()
    )


def discover(wire: Wire, deadline: Deadline) -> Endpoints:
    """Where the discovery document says that tokens are had; the well-known paths where there is none.

    An address outside this instance is refused: secrets go nowhere else.
    """
    answer = wire.send(Request(method="GET", path="/identity/.well-known/openid-configuration"), deadline)
    wrong = answers.error(answer)
    if isinstance(wrong, NotInEndpoint):
        return Endpoints(token=TOKEN_PATH, revocation=REVOCATION_PATH)
    if wrong is not None:
        raise wrong
    body = answers.decode(answer.body)
    if not isinstance(body, dict):
        raise AnswerMalformed("the discovery document is not an object")
    return Endpoints(
        token=_own_path(wire, body.get("token_endpoint"), TOKEN_PATH),
        revocation=_own_path(wire, body.get("revocation_endpoint"), REVOCATION_PATH),
    )


def _own_path(wire: Wire, address: Any, usual: str) -> str:
    if not isinstance(address, str):
        return usual
    parts = urlsplit(address)
    path = parts.path.removeprefix(wire.site)
    plain = path.isascii() and path.isprintable()
    own_host = (parts.hostname, parts.port or 443) == wire.host
    if (
        parts.scheme != "https"
        or not own_host
        or not path.startswith("/identity/")
        or not plain
        or "%" in path
        or ".." in path
    ):
        raise AnswerMalformed(
            "the discovery document names an address outside the instance; it is not followed"
        )
    return path


def sign_in(wire: Wire, connection: Connection, endpoints: Endpoints, deadline: Deadline) -> Grant:
    """A new token. Raises SignInRefused, LoginLimit, or what the wire raises."""
    form = {
        "grant_type": "password",
        "username": connection.username,
        "password": connection.password.get_secret_value(),
        "scope": SCOPE,
        "client_id": connection.client_id,
        "client_secret": connection.client_secret.get_secret_value(),
    }
    answer = wire.send(Request(method="POST", path=endpoints.token, form=form), deadline)
    if answer.status == 504:
        raise ExchangeTimeout("the ERP's front end gave up on the sign-in (504), which may yet be answered")
    refusal = _refusal(connection, answer)
    if refusal is not None:
        raise refusal
    return _grant(answers.record(answer))


def _refusal(connection: Connection, answer: Answer) -> WorkerError | None:
    wrong = answers.error(answer)
    if isinstance(wrong, ErpBusy):
        # On some builds a full license says 429 here; a license whose minute is full passes as soon.
        return answers.login_limit(wrong.message)
    if wrong is None or answer.status not in (400, 401):
        return wrong
    try:
        body = answers.decode(answer.body)
    except AnswerMalformed:
        return wrong
    code = body.get("error") if isinstance(body, dict) else None
    if not isinstance(code, str):
        return wrong
    said = answers.clean(f"{code} {body.get('error_description') or ''}")
    advice = _ADVICE.get(code, "see Connected Applications (SM303010)")
    return SignInRefused(
        f"the ERP refused to sign in connection {connection.name!r} ({said}): {advice}",
        "connection",
    )


def _grant(body: object) -> Grant:
    match body:
        case {"access_token": str(token), "expires_in": int() | float() as seconds} if token and seconds > 0:
            return Grant(token=SecretStr(token), expires_in=float(seconds))
    raise AnswerMalformed("the ERP's answer to the sign-in holds no token")


def sign_out(wire: Wire, token: SecretStr, deadline: Deadline) -> None:
    """Free the seat of the token's session. The token stays valid: revoke it next.

    The body is empty and its length is said, without which IIS answers 411 and the session stays.
    """
    _must_succeed(wire.send(Request(method="POST", path="/entity/auth/logout", token=token), deadline))


def revoke(
    wire: Wire, connection: Connection, endpoints: Endpoints, token: SecretStr, deadline: Deadline
) -> None:
    """Kill the token, so that nobody can open a session with it again."""
    form = {
        "token": token.get_secret_value(),
        "token_type_hint": "access_token",
        "client_id": connection.client_id,
        "client_secret": connection.client_secret.get_secret_value(),
    }
    _must_succeed(wire.send(Request(method="POST", path=endpoints.revocation, form=form), deadline))


def _must_succeed(answer: Answer) -> None:
    wrong = answers.error(answer)
    if wrong is not None:
        raise wrong


def newest(listed: Sequence[EndpointVersion], name: str) -> EndpointVersion | None:
    """The newest version of an endpoint whose contract we speak.

    Contract 4 begins with 20.200 (17.200 and 18.200 speak contract 3); contract 5 with 26.200 (GET /entity).
    """
    fitting = [
        entry for entry in listed if entry.name == name and (20,) <= _number(entry.version) < (26, 200)
    ]
    return max(fitting, key=lambda entry: _number(entry.version), default=None)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
