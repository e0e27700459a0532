"""Why the ERP refused a sign-in, and what mends it: the answers of the token endpoint and of the cookie sign-in.

Pure decisions, each an error of the tree. A refusal is never taken for a failure that passes: tried again and again,
a wrong password locks the account.
"""

from __future__ import annotations

import re

from worker.erp import answers
from worker.erp.wire import Answer
from worker.errors import (
    AnswerMalformed,
    ErpBusy,
    ExchangeTimeout,
    LoginEnded,
    LoginLimit,
    SignInRefused,
    UserLoginLimit,
    WorkerError,
)
from worker.settings import Connection

_ADVICE = {
    "invalid_client": "the ERP does not know the client id or its secret (Connected Applications, SM303010)",
    "invalid_grant": "the user name or password is wrong, the account is locked or must change its password, "
    "or it lacks API rights in that tenant",
    "unauthorized_client": "the connected application's flow must be Resource Owner Password Credentials "
    '(SM303010), or the connection must say sign_in = "login"',
    "unsupported_grant_type": 'the ERP does not offer the password grant: sign_in = "login" needs none',
    "invalid_scope": "the connected application may not ask for the scope {scope}",
}
"""What to do about a refusal, by its code."""

_ADVICE_AT_LOGIN = {
    "invalid_grant": "the code was used before or is too old: acuworker login {name}",
    "unauthorized_client": "the connected application's flow must be Authorization Code (SM303010)",
    "unsupported_grant_type": "the ERP does not offer the authorization code flow",
}
"""The same where no password was sent, but a code or a refresh token."""

_LOGIN_ADVICE = [
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (
            r"PXUndefinedCompany|proper company ID",
            "the site has no tenant {tenant!r}: mend tenant in the connection",
        ),
        (
            r"\bbranch\b",
            "tenant {tenant!r} has no branch {branch!r}: mend branch in the connection, or leave it out",
        ),
        (
            r"locked",
            "unlock the account in Users (SM201010), and mend the password before workers try it again",
        ),
        (
            r"invalid credentials",
            "the user name or password is wrong, or the user is not in tenant {tenant!r}",
        ),
        (
            r"(new|change|expired|set|reset)\b.*\bpassword|password\b.*\b(expired|change|browser)",
            "sign in once with a browser to set a new password, and write it into the connection",
        ),
    )
]
"""What to do about a refused cookie sign-in, by the ERP's words."""


def token_refusal(connection: Connection, grant_type: str, answer: Answer) -> WorkerError | None:
    """What an answer of the token endpoint refuses, if it does."""
    wrong = failed(answer, connection.username)
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
    if code == "invalid_grant" and grant_type == "refresh_token":
        return LoginEnded(
            f"the refresh token of connection {connection.name!r} is dead ({said})", "connection"
        )
    told = _ADVICE if grant_type == "password" else _ADVICE | _ADVICE_AT_LOGIN
    advice = told.get(code, "see Connected Applications (SM303010)")
    return refused(connection, said, advice.format(scope=connection.scope, name=connection.name))


def refused(connection: Connection, said: str, advice: str) -> SignInRefused:
    """A refusal, in the ERP's words and with what mends it."""
    return SignInRefused(
        f"the ERP refused to sign in connection {connection.name!r} ({said}): {advice}", "connection"
    )


def failed(answer: Answer, user: str | None = None) -> WorkerError | None:
    """The error that an answer to a sign-in stands for, before its refusals are told apart.

    ``user`` is who signs in.
    """
    if answer.status == 504:
        return ExchangeTimeout("the ERP's front end gave up on the sign-in (504), which may yet be answered")
    wrong = answers.error(answer)
    # On some builds a full license says 429 here; a license whose minute is full passes as soon.
    return answers.login_limit(wrong.message, user) if isinstance(wrong, ErpBusy | UserLoginLimit) else wrong


def cookie_refusal(connection: Connection, answer: Answer) -> WorkerError | None:
    """What an answer of the cookie sign-in refuses, if it does.

    Builds disagree on the status of a refusal (500, 401, 400), so its text decides. An exception of the ERP's own
    that is none of those known is a refusal too: tried again, it might lock the account.
    """
    wrong = failed(answer, connection.username)
    if wrong is None or isinstance(wrong, LoginLimit):
        return wrong
    kind, said = answers.exception(answer)[0], answers.words(answer)
    for pattern, advice in _LOGIN_ADVICE:
        if pattern.search(f"{kind} {said}"):
            return refused(
                connection, said, advice.format(tenant=connection.tenant, branch=connection.branch)
            )
    if answer.status in (400, 401, 403) or (answer.status == 500 and kind.startswith("PX.")):
        return refused(connection, said, "sign in as that user with a browser to see why")
    return wrong
