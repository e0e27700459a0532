"""Signing in to the ERP and out of it: OAuth (a password, a person's login, a refresh), cookies, revocation.

Under the scope ``api`` the session lives inside the token (vendor's guide, Session Management in the OAuth 2.0
Applications): signing out frees the seat but leaves the token valid, and a token that is used again opens a
session again; revoking kills the token but frees no seat. So a session is closed by the two, in that order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr

from worker.erp import answers, refusals
from worker.erp.deadline import Deadline
from worker.erp.wire import Answer, Request, Wire
from worker.errors import (
    AnswerMalformed,
    LoginNeeded,
    NotInEndpoint,
    SignInRefused,
    WorkerError,
)
from worker.settings import Connection

TOKEN_PATH = "/identity/connect/token"  # noqa: S105 a path, not a password
REVOCATION_PATH = "/identity/connect/revocation"
AUTHORIZATION_PATH = "/identity/connect/authorize"

SESSION_COOKIE, TICKET_COOKIE, USER_BRANCH = "ASP.NET_SessionId", ".ASPXAUTH", "UserBranch"
JAR = frozenset((SESSION_COOKIE, TICKET_COOKIE, USER_BRANCH, "Locale"))
"""The cookies that a session is known by; the others that the ERP sets are about single requests."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a sign-in yields: a token, cookies or both, and for how many seconds the ERP honours them.

    ``user_branch`` is the number of the branch that the user landed in, which tells the tenant.
    """

    expires_in: float
    token: SecretStr | None = None
    cookies: SecretStr | None = None
    refresh: SecretStr | None = None
    user_branch: str | None = None

    def dumps(self) -> str:
        """All of it as JSON, secrets too: to be encrypted."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps({name: _open(value) for name, value in told.items() if value is not None})

    @classmethod
    def loads(cls, text: str) -> Grant:
        """The grant that was written so."""
        said = json.loads(text)
        secrets = {name: SecretStr(said[name]) for name in ("token", "cookies", "refresh") if name in said}
        return cls(**{**said, **secrets})


def _open(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where tokens are had and revoked, and where a person signs in, as paths below the site."""

    token: str = TOKEN_PATH
    revocation: str = REVOCATION_PATH
    authorization: str = AUTHORIZATION_PATH


def discover(wire: Wire, deadline: Deadline) -> Endpoints:
    """Where the discovery document says that tokens are had; the well-known paths where there is none.

    An address outside this instance is refused: secrets go nowhere else. With cookies there is nothing to find out.
    """
    if wire.connection.sign_in == "cookie":
        return Endpoints()
    answer = wire.send(Request(method="GET", path="/identity/.well-known/openid-configuration"), deadline)
    wrong = answers.error(answer)
    if isinstance(wrong, NotInEndpoint):
        return Endpoints()
    if wrong is not None:
        raise wrong
    body = answers.decode(answer.body)
    if not isinstance(body, dict):
        raise AnswerMalformed("the discovery document is not an object")
    return Endpoints(
        token=_own_path(wire, body.get("token_endpoint"), TOKEN_PATH),
        revocation=_own_path(wire, body.get("revocation_endpoint"), REVOCATION_PATH),
        authorization=_own_path(wire, body.get("authorization_endpoint"), AUTHORIZATION_PATH),
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


def sign_in(wire: Wire, endpoints: Endpoints, deadline: Deadline, send_by: Deadline) -> Grant:
    """A new session's grant, not asked for after ``send_by``; under concurrent access ``open_session`` opens it.

    Raises SignInRefused, LoginNeeded, LoginLimit, or what the wire raises.
    """
    connection = wire.connection
    if connection.sign_in == "cookie":
        return _by_cookie(wire, deadline, send_by)
    if connection.sign_in == "login":
        raise LoginNeeded(
            f"connection {connection.name!r} is signed in by a person: acuworker login {connection.name}",
            "connection",
        )
    asked = {
        "grant_type": "password",
        "username": connection.username,
        "password": connection.password.get_secret_value(),
        "scope": connection.scope,
    }
    return _granted(wire, endpoints, asked, deadline, send_by)


def refresh(
    wire: Wire,
    endpoints: Endpoints,
    refresh: SecretStr,
    deadline: Deadline,
    send_by: Deadline,
) -> Grant:
    """A new token for the same session; the refresh token dies, and its successor is in the grant.

    The grant has no cookies: those of the session stay what they were. Raises LoginEnded where the refresh token
    is dead, or what ``sign_in`` raises.
    """
    asked = {"grant_type": "refresh_token", "refresh_token": refresh.get_secret_value()}
    grant = _granted(wire, endpoints, asked, deadline, send_by)
    # An answer without a new one leaves the old one in force.
    return grant if grant.refresh else replace(grant, refresh=refresh)


def authorize_url(
    connection: Connection, endpoints: Endpoints, redirect_uri: str, state: str, challenge: str
) -> str:
    """The page where a person signs in; it sends the browser on to ``redirect_uri`` with a code."""
    asked = {
        "response_type": "code",
        "client_id": connection.client_id,
        "redirect_uri": redirect_uri,
        "scope": connection.scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{connection.url}{endpoints.authorization}?{urlencode(asked)}"


def exchange_code(
    wire: Wire,
    endpoints: Endpoints,
    code: SecretStr,
    verifier: SecretStr,
    redirect_uri: str,
    deadline: Deadline,
) -> Grant:
    """The grant of a person's sign-in, with the refresh token that the fleet lives on. Raises as ``sign_in``."""
    asked = {
        "grant_type": "authorization_code",
        "code": code.get_secret_value(),
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.get_secret_value(),
    }
    grant = _granted(wire, endpoints, asked, deadline, deadline)
    if grant.refresh is None:
        with suppress(WorkerError):  # the refusal below is what matters; the token dies of age
            revoke(wire, endpoints, grant, deadline)
        raise SignInRefused(
            "the ERP gave no refresh token, without which a login ends within the hour: let the connected "
            "application have offline_access (Connected Applications, SM303010)",
            "connection",
        )
    return grant


def _granted(
    wire: Wire,
    endpoints: Endpoints,
    asked: Mapping[str, str],
    deadline: Deadline,
    send_by: Deadline,
) -> Grant:
    connection = wire.connection
    form = {
        **asked,
        "client_id": connection.client_id,
        "client_secret": connection.client_secret.get_secret_value(),
    }
    answer = wire.send(Request(method="POST", path=endpoints.token, form=form, send_by=send_by), deadline)
    refusal = refusals.token_refusal(connection, asked["grant_type"], answer)
    if refusal is not None:
        raise refusal
    return _grant(answer)


def _grant(answer: Answer) -> Grant:
    match answers.record(answer):
        case {"access_token": str(token), "expires_in": int() | float() as seconds, **more} if (
            token and seconds > 0
        ):
            kept = more.get("refresh_token")
            return Grant(
                token=SecretStr(token),
                expires_in=float(seconds),
                refresh=SecretStr(kept) if isinstance(kept, str) and kept else None,
                user_branch=answer.set_cookies.get(USER_BRANCH),
            )
    raise AnswerMalformed("the ERP's answer to the sign-in holds no token")


def open_session(
    wire: Wire,
    endpoints: Endpoints,
    grant: Grant,
    deadline: Deadline,
    send_by: Deadline,
) -> Grant:
    """The grant with the cookies of a session that its token opens here (scope ``api:concurrent_access``).

    Under that scope a request without a session's cookie opens another session, so the first one is made now.
    """
    asked = Request(method="GET", path="/entity", token=grant.token, send_by=send_by)
    answer = wire.send(asked, deadline)
    wrong = refusals.failed(answer, wire.connection.username)
    if wrong is None and SESSION_COOKIE in answer.set_cookies:
        branch = grant.user_branch or answer.set_cookies.get(USER_BRANCH)
        return replace(grant, cookies=jar(answer), user_branch=branch)
    with suppress(WorkerError):  # what is raised below matters more; a token that nobody has dies of age
        if wrong is None:
            sign_out(wire, grant, deadline)
        revoke(wire, endpoints, grant, deadline)
    raise wrong or refusals.refused(
        wire.connection,
        f"no {SESSION_COOKIE} cookie came with the session",
        "leave api:concurrent_access out of its scope",
    )


def _by_cookie(wire: Wire, deadline: Deadline, send_by: Deadline) -> Grant:
    """The cookies of a new session. The ERP keeps it for ``session_seconds`` after its last request."""
    connection = wire.connection
    said = {
        "name": connection.username,
        "password": connection.password.get_secret_value(),
        "tenant": connection.tenant,
        "branch": connection.branch,
        "locale": connection.locale,
    }
    given = {name: value for name, value in said.items() if value}
    asked = Request(method="POST", path="/entity/auth/login", json=given, send_by=send_by)
    answer = wire.send(asked, deadline)
    refusal = refusals.cookie_refusal(connection, answer)
    if refusal is not None:
        raise refusal
    if not {SESSION_COOKIE, TICKET_COOKIE} & answer.set_cookies.keys():
        raise AnswerMalformed("the ERP's answer to the sign-in holds no session cookie")
    return Grant(
        cookies=jar(answer),
        expires_in=connection.session_seconds,
        user_branch=answer.set_cookies.get(USER_BRANCH),
    )


def jar(answer: Answer) -> SecretStr:
    """The value of the Cookie header that an answer's session is known by."""
    kept = {name: value for name, value in answer.set_cookies.items() if name in JAR}
    return SecretStr("; ".join(f"{name}={value}" for name, value in kept.items()))


def sign_out(wire: Wire, grant: Grant, deadline: Deadline) -> None:
    """Free the seat of the grant's session. Its token stays valid: revoke it next.

    The body is empty and its length is said, without which IIS answers 411 and the session stays.
    """
    request = Request(method="POST", path="/entity/auth/logout", token=grant.token, cookies=grant.cookies)
    _must_succeed(wire.send(request, deadline))


def revoke(
    wire: Wire,
    endpoints: Endpoints,
    grant: Grant,
    deadline: Deadline,
    *,
    keep: bool = False,
) -> None:
    """Kill the grant's tokens, so that nobody can open a session with them again.

    The refresh token lives on with ``keep``, and always where it is a login's, which outlives its sessions.
    """
    if grant.token:
        _kill(wire, endpoints, grant.token, "access_token", deadline)
    if grant.refresh and not keep and wire.connection.sign_in != "login":
        revoke_refresh(wire, endpoints, grant.refresh, deadline)


def revoke_refresh(wire: Wire, endpoints: Endpoints, token: SecretStr, deadline: Deadline) -> None:
    """End a refresh chain: of a login, only another login begins a new one."""
    _kill(wire, endpoints, token, "refresh_token", deadline)


def _kill(wire: Wire, endpoints: Endpoints, token: SecretStr, kind: str, deadline: Deadline) -> None:
    connection = wire.connection
    form = {
        "token": token.get_secret_value(),
        "token_type_hint": kind,
        "client_id": connection.client_id,
        "client_secret": connection.client_secret.get_secret_value(),
    }
    _must_succeed(wire.send(Request(method="POST", path=endpoints.revocation, form=form), deadline))


def _must_succeed(answer: Answer) -> None:
    wrong = answers.error(answer)
    if wrong is not None:
        raise wrong
