"""What each refused sign-in means, and that none of them is taken for something that passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from worker.connection import Connection
from worker.erp import refusals
from worker.erp.wire import Answer
from worker.errors import (
    ErpFault,
    ErpRestarting,
    ExchangeTimeout,
    LoginEnded,
    LoginLimit,
    NotInEndpoint,
    SignInRefused,
    UserLoginLimit,
    WorkerError,
)

JSON = "application/json; charset=utf-8"
CONNECTION = Connection(
    name="erp",
    url="https://erp.example.com/Site",
    version="20.200.001",
    tenant="MyStore",
    username="u",
    password=SecretStr("canary"),
    client_id="A@MyStore",
    client_secret=SecretStr("canary"),
)


def _answer(status: int, body: object, content_type: str = JSON, location: str = "") -> Answer:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status=status, content_type=content_type, location=location, body=content)


def _error(code: str, **more: str) -> dict[str, str]:
    return {"error": code, **more}


def _exception(message: str, kind: str = "PX.Data.PXException") -> dict[str, Any]:
    return {"message": "An error has occurred.", "exceptionMessage": message, "exceptionType": kind}


CAP = "/Site/Frames/Error.aspx?message=The+number+of+concurrent+API+logins+(1)+has+been+reached."
LIMIT = "<html><head><title>API Login Limit</title></head></html>"


@pytest.mark.parametrize(
    ("grant_type", "answer", "kind", "words"),
    [
        ("password", _answer(400, _error("invalid_client")), SignInRefused, "client id or its secret"),
        (
            "password",
            _answer(400, _error("invalid_grant", error_description="invalid_username_or_password")),
            SignInRefused,
            "(invalid_grant invalid_username_or_password): the user name or password is wrong",
        ),
        ("password", _answer(401, _error("invalid_client")), SignInRefused, "client id or its secret"),
        ("password", _answer(400, _error("unauthorized_client")), SignInRefused, 'sign_in = "login"'),
        ("password", _answer(400, _error("unsupported_grant_type")), SignInRefused, 'sign_in = "login"'),
        ("password", _answer(400, _error("invalid_scope")), SignInRefused, "may not ask for the scope api"),
        ("password", _answer(400, _error("new_code")), SignInRefused, "Connected Applications (SM303010)"),
        ("authorization_code", _answer(400, _error("invalid_grant")), SignInRefused, "acuworker login erp"),
        (
            "authorization_code",
            _answer(400, _error("unauthorized_client")),
            SignInRefused,
            "Authorization Code",
        ),
        ("refresh_token", _answer(400, _error("invalid_grant")), LoginEnded, "is dead (invalid_grant)"),
        ("refresh_token", _answer(400, _error("invalid_client")), SignInRefused, "client id or its secret"),
        ("password", _answer(500, LIMIT, "text/html"), LoginLimit, "API Login Limit"),
        ("password", _answer(429, "", "text/html"), LoginLimit, "API Login Limit"),
        ("refresh_token", _answer(302, "", "text/html", CAP), UserLoginLimit, "SM201010"),
        ("password", _answer(504, "", "text/html"), ExchangeTimeout, "may yet be answered"),
        ("password", _answer(503, "", "text/html"), ErpRestarting, "503"),
        ("password", _answer(404, "", "text/html"), NotInEndpoint, "404"),
    ],
)
def test_at_the_token_endpoint(grant_type: str, answer: Answer, kind: type[WorkerError], words: str) -> None:
    """Each refusal of OAuth is one error that says what mends it; a dead refresh token ends its login alone."""
    error = refusals.token_refusal(CONNECTION, grant_type, answer)
    assert type(error) is kind
    assert words in error.message
    assert "canary" not in error.message


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        *(
            (
                _answer(status, _exception("Error: Invalid credentials. Please try again.")),
                SignInRefused,
                "password is wrong",
            )
            for status in (400, 401, 500)
        ),
        (_answer(401, {"message": "Invalid credentials"}), SignInRefused, "not in tenant 'MyStore'"),
        (
            _answer(500, "<html><title>Invalid credentials</title></html>", "text/html"),
            SignInRefused,
            "password is",
        ),
        (
            _answer(
                500,
                _exception(
                    "A proper company ID cannot be determined for the request.",
                    "X.PXUndefinedCompanyException",
                ),
            ),
            SignInRefused,
            "the site has no tenant 'MyStore': mend tenant in the connection",
        ),
        (
            _answer(500, _exception("Error: Your account has been locked out.")),
            SignInRefused,
            "unlock the account",
        ),
        (
            _answer(500, _exception("Sign in with a browser to set a new password.")),
            SignInRefused,
            "once with a browser to set a new password",
        ),
        (_answer(500, _exception("Your password has expired.")), SignInRefused, "once with a browser"),
        (_answer(500, _exception("Ungültige Anmeldedaten")), SignInRefused, "to see why"),
        (_answer(403, {"message": "No."}), SignInRefused, "(No.)"),
        (_answer(400, {"message": "Bad"}), SignInRefused, "(Bad)"),
        (_answer(500, LIMIT, "text/html"), LoginLimit, "API Login Limit"),
        (
            _answer(429, "The custom error module does not recognize this error.", "text/plain"),
            LoginLimit,
            "Login",
        ),
        (_answer(302, "", "text/html", CAP), UserLoginLimit, "SM201010"),
        (
            _answer(500, _exception("The number of concurrent API logins is reached.")),
            UserLoginLimit,
            "SM201010",
        ),
        (
            _answer(500, _exception("Timeout expired.", "System.Data.SqlClient.SqlException")),
            ErpFault,
            "Timeout",
        ),
        (_answer(500, "", "text/html"), ErpFault, "500"),
        (_answer(503, "", "text/html"), ErpRestarting, "503"),
        (_answer(504, "", "text/html"), ExchangeTimeout, "may yet be answered"),
        (_answer(404, "", "text/html"), NotInEndpoint, "404"),
    ],
)
def test_at_the_cookie_sign_in(answer: Answer, kind: type[WorkerError], words: str) -> None:
    """A refusal is known by its text, whatever its status; what the ERP refuses in unknown words is not tried again."""
    error = refusals.cookie_refusal(CONNECTION, answer)
    assert type(error) is kind
    assert words in error.message
    assert "canary" not in error.message


@pytest.mark.parametrize(
    "answer",
    [
        _answer(302, "", "text/html", CAP),
        _answer(500, _exception("The number of concurrent API logins is reached.")),
    ],
)
def test_a_users_own_limit_names_the_user(answer: Answer) -> None:
    """Whose limit of API logins is reached is said by name, at either sign-in; never a secret."""
    for error in (
        refusals.token_refusal(CONNECTION, "password", answer),
        refusals.cookie_refusal(CONNECTION, answer),
    ):
        assert type(error) is UserLoginLimit
        assert "the own limit of the ERP user 'u' is reached" in error.message
        assert "canary" not in error.message


def test_a_branch_that_is_not_there_is_named() -> None:
    """A cookie sign-in to a branch that the tenant lacks says what was given, and what to mend."""
    connection = CONNECTION.model_copy(update={"branch": "NOWHERE"})
    error = refusals.cookie_refusal(
        connection, _answer(500, _exception("Branch 'NOWHERE' cannot be found in the system."))
    )
    assert type(error) is SignInRefused
    assert "tenant 'MyStore' has no branch 'NOWHERE': mend branch in the connection" in error.message


def test_a_success_refuses_nothing() -> None:
    """Neither a token nor an empty 204 is a refusal."""
    assert refusals.token_refusal(CONNECTION, "password", _answer(200, {"access_token": "t"})) is None
    assert refusals.cookie_refusal(CONNECTION, _answer(204, "")) is None
