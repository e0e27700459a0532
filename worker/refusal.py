"""A stranger's JSON that is no job: what is wrong with it, in our words, and what would be right."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from pydantic import ValidationError

from worker.errors import JobInvalid, JobRefused, KeysInvalid, ParameterInvalid

MAX_JOB_BYTES = 1024 * 1024
"""Of a job's JSON; a document with more rows than go into it is written in several jobs."""

_NOT_JSON = "cannot be written as JSON text, which has no NaN, no Infinity and no half of a surrogate pair"


def text_of(body: Mapping[str, object]) -> bytes:
    """A job's JSON. Raises JobInvalid, naming the field, where there is none, or more of it than a job may have."""
    for name, value in body.items():
        if not _is_json(value):
            raise JobInvalid(_NOT_JSON, str(name)[:64])
    text = msgspec.json.encode(body)
    if len(text) > MAX_JOB_BYTES:
        largest = max(body, key=lambda name: len(msgspec.json.encode(body[name])))
        raise JobInvalid(
            f"the job is {len(text):,} bytes of JSON, most of them here; at most {MAX_JOB_BYTES:,} are taken: "
            "send it in several jobs",
            str(largest)[:64],
        )
    return text


def refused(error: ValidationError, allowed: Mapping[str, str]) -> JobRefused:
    """The first thing wrong with a job, in our words: pydantic's own would repeat the value, or name its types."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if where.startswith("attachments"):
        # Each of the forms that it may have was tried.
        return JobInvalid(allowed["attachments"], "attachments")
    match first["type"]:
        case "json_invalid":
            # It is JSON, so nothing else can be wrong with it.
            return JobInvalid("has more levels within each other than are read", "job")
        case "extra_forbidden":
            message = "no such field; such a job has " + ", ".join(allowed)
        case "value_error":
            message = first["msg"].removeprefix("Value error, ")
        case "missing":
            whole = where.split(".")[0]
            message = f"is missing: {'it' if where == whole else whole} {allowed[whole]}"
        case _:
            message = allowed[where.split(".")[0]]
    if not where:
        where, message = message.split(": ", 1)
    kind: type[JobRefused] = {"keys": KeysInvalid, "params": ParameterInvalid}.get(
        where.split(".")[0], JobInvalid
    )
    return kind(message, where or "job")


def _is_json(value: object) -> bool:
    try:
        # msgspec would write NaN and Infinity as null, which is another value.
        return _is_finite(value) and bool(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError):
        return False


def _is_finite(value: object) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list() | tuple():
            return all(map(_is_finite, value))
    return True
