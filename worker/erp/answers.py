"""What an answer of the ERP means: its records, or the one error of the tree that says what to do.

The only place that turns a status into an error. The ERP's own message is passed on, its stack trace never.
Shapes and texts are those recorded from 2022 R1 and 2024 R1 and reported by people who run live instances; where
they contradict each other (a missing record is 500 or 404, the login limit 500, 429 or 302) all are understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import jiter

from worker.erp.wire import Answer
from worker.errors import (
    AnswerMalformed,
    DataRefused,
    ErpBusy,
    ErpFault,
    ErpRestarting,
    ExchangeTimeout,
    FieldUnknown,
    FilterRefused,
    LoginLimit,
    NotInEndpoint,
    NotOptimizable,
    PreconditionFailed,
    RecordNotFound,
    RequestRefused,
    RightsMissing,
    SessionLost,
    UserLoginLimit,
    WorkerError,
)
from worker.page import Record

LOGIN_LIMIT = re.compile(r"API Login Limit|concurrent API logins", re.IGNORECASE)
"""What the ERP says when no session is left: the license's words, and those of a user's own limit."""

JSON = frozenset({"application/json", "text/json"})
XML = frozenset({"application/xml", "text/xml"})

MESSAGE_LENGTH = 600
MOST_FIELD_ERRORS = 100
SHOWN_FIELDS = 3
"""Fields that an optimization error is told with; it lists every one that was asked for."""


def decode(body: bytes) -> Any:
    """JSON with its numbers as they stand: whole ones as int, others as Decimal.

    Raises AnswerMalformed; also where an object has two members of one name, for NaN, and for 200 levels or more.
    """
    try:
        return jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal")
    except (ValueError, ArithmeticError) as error:
        raise AnswerMalformed(f"the ERP's answer is not JSON: {clean(str(error))}") from None


def records(answer: Answer) -> list[Record]:
    """The records of a list's answer. Raises what ``error`` returns, or AnswerMalformed."""
    rows = _content(answer)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AnswerMalformed(f"the ERP answered with {_kind(rows)} where a list of records was asked for")
    return rows


def record(answer: Answer) -> Record:
    """The record of an answer to a GET by key or id. Raises as ``records``."""
    row = _content(answer)
    if not isinstance(row, dict):
        raise AnswerMalformed(f"the ERP answered with {_kind(row)} where one record was asked for")
    return row


def _content(answer: Answer) -> Any:
    return decode(data(answer).body)


def data(
    answer: Answer, kinds: frozenset[str] = JSON, otherwise: type[WorkerError] = ErpRestarting
) -> Answer:
    """The answer, of one of these kinds and no error, though nobody has read it yet.

    Raises what ``error`` returns, and ``otherwise`` where it is of another kind.
    """
    wrong = error(answer)
    if wrong is not None:
        raise wrong
    if _media_type(answer) not in kinds:
        # A page where data should be: a sign-in form, or something in front of the ERP. Never an empty list.
        wanted = "JSON" if kinds is JSON else "XML"
        raise otherwise(
            f"the ERP answered with {answer.content_type[:60] or 'no content type'} in place of {wanted}"
        )
    return answer


def error(answer: Answer) -> WorkerError | None:
    """The error that an answer stands for, or None for a success."""
    if 200 <= answer.status < 300:
        return None
    text = words(answer)
    if limit := LOGIN_LIMIT.search(text) or LOGIN_LIMIT.search(_page(answer)):
        return login_limit(limit[0])
    if 400 <= answer.status <= 500 and is_json(answer) and _NO_BRANCH.search(text):
        return RequestRefused(f"the ERP has no such branch ({text}): {MEND_BRANCH}", "branch")
    make = _BY_STATUS.get(answer.status)
    if make is not None:
        return make(answer, text)
    if 400 <= answer.status < 500:
        return RequestRefused(f"the ERP refused the request with {answer.status}: {text}")
    return ErpFault(f"the ERP failed with {answer.status}: {text}")


def login_limit(text: str, user: str | None = None) -> LoginLimit:
    """The login limit, in words that say whose it is (vendor's guide, Limitation of API Connections).

    The license's may free at any moment, when other software signs out; a user's own is a setting of the ERP.
    ``user`` is the name of that user, where it is known.
    """
    if "concurrent api logins" in text.lower():
        whose = f"the own limit of the ERP user {user!r}" if user else "the ERP user's own limit"
        return UserLoginLimit(
            f"{whose} is reached (concurrent API logins): raise Max. Number of Concurrent API Logins in Users "
            "(SM201010), or sign out what else is signed in as that user"
        )
    return LoginLimit(
        "every API session of the ERP's license is taken (API Login Limit); "
        "one frees when other software signs out, or an hour after it stopped without"
    )


def clean(text: str) -> str:
    """A message in one line of bounded length, without control characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


def is_json(answer: Answer) -> bool:
    """Whether it is the ERP that speaks, and not a page in front of it."""
    return _media_type(answer) in JSON


def _media_type(answer: Answer) -> str:
    return answer.content_type.split(";")[0].strip().lower()


def _kind(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list that holds more than records"
    return "a bare value"


def words(answer: Answer) -> str:
    """The ERP's own words: of its JSON, of its page's title, of the address that it sends to, or plain."""
    if 300 <= answer.status < 400:
        return clean(unquote_plus(answer.location))
    if is_json(answer):
        return clean(exception(answer)[1])
    page = _page(answer)
    title = re.search(r"<title>([^<]{1,600})</title>", page, re.IGNORECASE)
    if title:
        return clean(title[1])
    return clean(re.sub(r"<[^<>]{0,2000}>", " ", page)) or "no message"


def _page(answer: Answer) -> str:
    return answer.body[:65_536].decode("utf-8", "replace")


def exception(answer: Answer) -> tuple[str, str]:
    """The type and the message of an error in the ERP's JSON: ASP.NET's HttpError, in camel case, or OData's."""
    try:
        body = decode(answer.body)
    except AnswerMalformed:
        return "", "an error that is not JSON"
    if not isinstance(body, dict):
        return "", "an error without a message"
    told = body.get("error") or body.get("odata.error")
    if isinstance(told, dict) and "message" in told:
        message = told["message"]
        return "", str(message.get("value") if isinstance(message, dict) else message)
    kind, message = body.get("exceptionType"), body.get("exceptionMessage") or body.get("message")
    return str(kind or ""), str(message or "an error without a message")


def _internal_error(answer: Answer, text: str) -> WorkerError:
    """A 500: the ERP's name for the exception decides; an unknown one may pass."""
    if not is_json(answer):
        return ErpFault(f"the ERP failed with 500: {text}")
    kind, message = exception(answer)
    if "CannotOptimizeException" in kind:
        return NotOptimizable(_unoptimized(message), fields=_unoptimized_fields(message))
    if "OutcomeEntityHasErrorsException" in kind:
        return refused_data(answer, text)
    for mark, make in _BY_EXCEPTION.items():
        if mark in kind:
            return make(text)
    if _FILTER_WORDS.search(message):
        return FilterRefused(f"the ERP cannot evaluate the filter: {text}", "filter")
    return ErpFault(f"the ERP failed: {text}")


def _unoptimized(message: str) -> str:
    """The ERP's words, with the first few of the fields that it lists, one a line."""
    head, *fields = message.splitlines()
    more = f"; and {len(fields) - SHOWN_FIELDS} fields more" if len(fields) > SHOWN_FIELDS else ""
    return clean(f"{head} {'; '.join(fields[:SHOWN_FIELDS])}{more}")


def _unoptimized_fields(message: str) -> tuple[str, ...]:
    """The fields that it lists before their reasons, one a line."""
    lines = (line.partition(":")[0].strip() for line in message.splitlines()[1:] if ":" in line)
    return tuple(dict.fromkeys(name for name in lines if _FIELD.fullmatch(name)))


def _without_rights(text: str) -> str:
    """The ERP's words, which name the form as a rule, and what mends it."""
    if "rights" not in text:
        return f"the API user may not do this: {text}"
    # Rights are those of the moment when a session was opened (cookie sign-in).
    return (
        f"{text.rstrip('.')}: give a role of the API user access rights to that form in the ERP; "
        "a session that is open may have to be signed out first (acuworker sessions sign-out --all)"
    )


def _redirect(answer: Answer, text: str) -> WorkerError:
    try:
        path = urlsplit(answer.location).path
    except ValueError:
        path = ""
    if "error" in path.lower():
        # Its own page for errors: about this request (a broken endpoint, say), and not about the site.
        return ErpFault(f"the ERP sent us to its error page: {text}")
    return ErpRestarting(f"the ERP sent us elsewhere, which is not followed: {text}")


def _bad_request(answer: Answer, text: str) -> WorkerError:
    """A 400: OData says so what the contract-based API answers with a 500."""
    if "Could not find a property" in text:
        return FieldUnknown(f"there is no such column: {text}", "select")
    if _FILTER_WORDS.search(text):
        return FilterRefused(f"the ERP cannot evaluate the filter: {text}", "filter")
    return RequestRefused(f"the ERP refused the request with 400: {text}")


def _unknown_path(answer: Answer, text: str) -> WorkerError:
    return NotInEndpoint(f"the endpoint has no such entity, record or path (404: {text})", "entity")


_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

MEND_BRANCH = (
    "name one that the API user may work in, in the job or in the connection, or none for the user's own"
)
"""What to do where a job or a connection names a branch that is not there."""

_NO_BRANCH = re.compile(
    r"\bbranch\b.{0,80}\b(cannot be|could not be|was not|not) found|\bbranch\b.{0,80}\bdoes not exist"
    r"|\b(unknown|invalid) branch\b",
    re.IGNORECASE,
)
"""An unknown PX-CbApiBranch. How builds answer it is not recorded, so the words decide; a read names no other branch
by itself."""

_FILTER_WORDS = re.compile(
    r"binary operator|unknown function|\$filter|filter expression|syntax error", re.IGNORECASE
)

_BY_EXCEPTION: Mapping[str, Callable[[str], WorkerError]] = {
    "NoEntitySatisfiesTheConditionException": lambda text: RecordNotFound("no record has these keys", "keys"),
    "KeyNotFoundException": lambda text: FieldUnknown(
        f"the entity lacks a field that was asked for: {text}", "select"
    ),
    "ODataException": lambda text: FilterRefused(f"the ERP cannot evaluate the filter: {text}", "filter"),
    "PXSetupNotEnteredException": lambda text: RequestRefused(f"the ERP is not set up for this: {text}"),
}


def refused_data(answer: Answer, text: str) -> DataRefused:
    """What the ERP does not take: each field that its echo of the record has an ``error`` at.

    Source: the vendor's guide, Execute a Custom Action (the ``error`` fields of a 422); the text that older builds
    list fields in, a line each, after a first line about the record (recorded 2021 R2, status 500).
    """
    try:
        echo = decode(answer.body)
    except AnswerMalformed:
        echo = None
    rows = _most(_field_errors(echo, "")) or _most(_field_lines(exception(answer)[1]))
    told = "; ".join(
        f"{row['field'] or 'record'} {row['value']!r}: {row['error']}" for row in rows[:SHOWN_FIELDS]
    )
    more = f"; and {len(rows) - SHOWN_FIELDS} more" if len(rows) > SHOWN_FIELDS else ""
    first = next((row["field"] for row in rows if row["field"]), None)
    return DataRefused(f"the ERP does not take the data: {told or text}{more}", first, rows)


def _most(rows: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    return list(islice(rows, MOST_FIELD_ERRORS))


def _field_errors(value: object, path: str) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        error = value.get("error")
        if isinstance(error, str) and error:
            yield {"field": path, "value": clean(str(value.get("value", ""))), "error": clean(error)}
        for name, member in value.items():
            inner = path if name in ("entity", "parameters") and not path else f"{path}.{name}".lstrip(".")
            yield from _field_errors(member, clean(inner))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _field_errors(member, f"{path}[{number}]")


def _field_lines(message: str) -> Iterator[dict[str, str]]:
    for line in message.splitlines()[1:]:
        name, _, error = line.partition(": ")
        if error and _FIELD.fullmatch(name.strip()):
            yield {"field": name.strip(), "value": "", "error": clean(error)}


_BY_STATUS: Mapping[int, Callable[[Answer, str], WorkerError]] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _redirect),
    400: _bad_request,
    401: lambda answer, text: SessionLost(f"the ERP no longer knows the session: {text}"),
    403: lambda answer, text: RightsMissing(_without_rights(text)),
    404: _unknown_path,
    429: lambda answer, text: ErpBusy(
        f"the ERP declined the request, as its license is used up (429): {text}"
    ),
    500: _internal_error,
    502: lambda answer, text: ErpRestarting(f"the ERP's site is down (502): {text}"),
    503: lambda answer, text: ErpRestarting(f"the ERP's site is down or starting (503): {text}"),
    408: lambda answer, text: ExchangeTimeout(f"the ERP gave up on the request (408): {text}"),
    412: lambda answer, text: PreconditionFailed(f"the record is not as the write wants it (412): {text}"),
    422: refused_data,
    # One request that took too long for what is in front of the ERP, as a rule; it may be at work yet.
    **dict.fromkeys(
        (504, 524),
        lambda answer, text: ExchangeTimeout(
            f"the ERP did not answer its front end in time ({answer.status}): {text}"
        ),
    ),
}
