"""A job in a message is data from a stranger: what is taken, and what each refusal says."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.errors import JobInvalid, JobRefused, KeysInvalid, ParameterInvalid, WorkerTooOld
from worker.job import FORM, MAX_PAGE_SIZE, Job, Lane, NewerJob
from worker.result import Manifest, Result

ORDER: dict[str, Any] = {"entity": "SalesOrder"}
FILTERED: dict[str, Any] = {**ORDER, "filter": "A eq :a"}

REFUSED: list[tuple[object, type[JobRefused], str, str]] = [
    ([], JobInvalid, "job", "JSON object"),
    (None, JobInvalid, "job", "JSON object"),
    ({}, JobInvalid, "entity", "missing"),
    ({"entity": "Sales Order"}, JobInvalid, "entity", "letters, digits"),
    ({"entity": "SalesOrder\n"}, JobInvalid, "entity", "letters, digits"),
    ({"entity": 5}, JobInvalid, "entity", "as in SalesOrder"),
    (ORDER | {"filtr": "x"}, JobInvalid, "filtr", "such a job has kind, connection, branch, lane"),
    (ORDER | {"url": "https://evil.test"}, JobInvalid, "url", "no such field"),
    (ORDER | {"connection": "../x"}, JobInvalid, "connection", "letters, digits"),
    (ORDER | {"branch": ""}, JobInvalid, "branch", "as in MYSTORE"),
    (ORDER | {"branch": " MYSTORE"}, JobInvalid, "branch", "as in MYSTORE"),
    (ORDER | {"branch": "A\r\nX-Evil: 1"}, JobInvalid, "branch", "printable ASCII"),
    (ORDER | {"branch": "MYSTORE\n"}, JobInvalid, "branch", "printable ASCII"),
    (ORDER | {"branch": "Zürich"}, JobInvalid, "branch", "printable ASCII"),
    (ORDER | {"branch": "B" * 31}, JobInvalid, "branch", "1 to 30"),
    (ORDER | {"keys": []}, KeysInvalid, "keys", "1 to 8 texts"),
    (ORDER | {"keys": [""]}, KeysInvalid, "keys.0", "empty"),
    (ORDER | {"keys": ["SO", "  "]}, KeysInvalid, "keys.1", "empty"),
    (ORDER | {"keys": ["."]}, KeysInvalid, "keys.0", "'.' or '..'"),
    (ORDER | {"keys": ["SO", ".."]}, KeysInvalid, "keys.1", "'.' or '..'"),
    (ORDER | {"keys": ["a\x00b"]}, KeysInvalid, "keys.0", "control characters"),
    (ORDER | {"keys": ["a\nb"]}, KeysInvalid, "keys.0", "control characters"),
    (ORDER | {"keys": "SO"}, KeysInvalid, "keys", 'as in ["SO"'),
    (ORDER | {"keys": ["SO"], "filter": "A eq 1"}, KeysInvalid, "keys", "not both"),
    (ORDER | {"page_size": 0}, JobInvalid, "page_size", "from 1 to 5000"),
    (ORDER | {"page_size": MAX_PAGE_SIZE + 1}, JobInvalid, "page_size", "from 1 to 5000"),
    (ORDER | {"page_size": "5"}, JobInvalid, "page_size", "from 1 to 5000"),
    (ORDER | {"page_size": True}, JobInvalid, "page_size", "from 1 to 5000"),
    (ORDER | {"limit": 0}, JobInvalid, "limit", "1"),
    (ORDER | {"lane": "fast"}, JobInvalid, "lane", "interactive"),
    (ORDER | {"values": "raw"}, JobInvalid, "values", "plain"),
    (ORDER | {"deadline_seconds": 0}, JobInvalid, "deadline_seconds", "from 1 to 2592000"),
    (ORDER | {"select": ["$top=5"]}, JobInvalid, "select.0", "names of fields"),
    (ORDER | {"expand": ["Details,Shipments"]}, JobInvalid, "expand.0", "names of details"),
    (ORDER | {"filter": ""}, JobInvalid, "filter", "1 to 16384"),
    (ORDER | {"params": {"a": 1}}, ParameterInvalid, "params", "no"),
    (FILTERED | {"params": {"a": [1]}}, ParameterInvalid, "params.a", "a string, a number"),
    (FILTERED | {"params": {"a": {"when": "x"}}}, ParameterInvalid, "params.a", "datetimeoffset"),
    (FILTERED | {"params": {"a": {"guid": "x"}}}, ParameterInvalid, "params.a", "guid"),
    (
        FILTERED | {"params": {"a": {"datetimeoffset": "soon"}}},
        ParameterInvalid,
        "params.a",
        "datetimeoffset",
    ),
    (FILTERED | {"params": {"a": {"decimal": "NaN"}}}, ParameterInvalid, "params.a", "decimal"),
    (FILTERED | {"params": {"a": "\ud800"}}, JobInvalid, "params", "JSON text"),
    (FILTERED | {"params": {"a": math.inf}}, JobInvalid, "params", "Infinity"),
    (FILTERED | {"params": {"a": [math.nan]}}, JobInvalid, "params", "NaN"),
    (ORDER | {"page_size": math.nan}, JobInvalid, "page_size", "NaN"),
    (FILTERED | {"params": [1]}, ParameterInvalid, "params", "an object"),
    (ORDER | {"attachments": "yes"}, JobInvalid, "attachments", "true, false, or an object"),
    (ORDER | {"attachments": {"largest": 1}}, JobInvalid, "attachments", "include, exclude"),
    (
        ORDER | {"attachments": {"include": ["*"], "largest_mib": 0}},
        JobInvalid,
        "attachments",
        "largest_mib and details",
    ),
    (ORDER | {"idempotency_key": ""}, JobInvalid, "idempotency_key", "1 to 128 printable ASCII"),
    (ORDER | {"idempotency_key": "two words"}, JobInvalid, "idempotency_key", "without blanks"),
    (ORDER | {"idempotency_key": "x" * 129}, JobInvalid, "idempotency_key", "1 to 128"),
    (ORDER | {"idempotency_key": 17}, JobInvalid, "idempotency_key", "1 to 128"),
    (ORDER | {"form": 0}, JobInvalid, "form", "from 1 up"),
    (ORDER | {"form": "1"}, JobInvalid, "form", "from 1 up"),
    (ORDER | {"form": True}, JobInvalid, "form", "from 1 up"),
]


@pytest.mark.parametrize(("body", "kind", "field", "words"), REFUSED)
def test_refused(body: object, kind: type[JobRefused], field: str, words: str) -> None:
    """A refusal names the field, and says what is allowed there."""
    with pytest.raises(kind) as raised:
        Job.parse(body)
    assert raised.value.field == field
    assert words.lower() in raised.value.message.lower()


def test_a_refusal_does_not_repeat_the_value() -> None:
    """What a stranger put into a field is not echoed into logs and results."""
    with pytest.raises(JobInvalid) as raised:
        Job.parse(ORDER | {"page_size": "canary"})
    assert "canary" not in str(raised.value)


def test_what_a_job_says_is_what_travels() -> None:
    """A job is written as it was given: nothing is added to it, and it reads as the same job."""
    body = FILTERED | {"params": {"a": {"decimal": "10.50"}, "b": None, "c": True, "d": "x"}, "lane": "bulk"}
    job = Job.parse(body)
    assert job.wire() == body
    assert job.params["a"] == Decimal("10.50")


def test_a_job_is_frozen() -> None:
    """Neither a job nor its parameters can be changed on the way."""
    job = Job.parse(FILTERED | {"params": {"a": 1}})
    with pytest.raises(ValidationError):
        job.entity = "Payment"  # type: ignore[misc]
    with pytest.raises(TypeError):
        job.params["a"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "queue", "lane", "seconds"),
    [
        ({}, Lane.INTERACTIVE, Lane.INTERACTIVE, 60),
        ({}, Lane.BULK, Lane.BULK, 86_400),
        ({"lane": "bulk"}, Lane.INTERACTIVE, Lane.BULK, 86_400),
        ({"deadline_seconds": 5}, Lane.BULK, Lane.BULK, 5),
    ],
)
def test_lane_and_deadline(given: dict[str, Any], queue: Lane, lane: Lane, seconds: int) -> None:
    """A job that names no lane has that of its queue, and one that names no deadline that of its lane."""
    job = Job.parse(ORDER | given).in_lane(queue)
    assert (job.lane, job.allowed_seconds) == (lane, seconds)


@pytest.mark.parametrize("form", [FORM + 1, 10**30])
def test_a_newer_form_is_for_a_newer_worker(form: int) -> None:
    """A job of a form that is not known here is not refused: it waits, whatever else stands in it."""
    with pytest.raises(WorkerTooOld, match=f"form {form}.*start newer workers"):
        Job.parse(ORDER | {"form": form, "region": "EU", "keys": 7})


def test_every_form_that_is_known_is_read() -> None:
    """A job may say its form, and it travels on; one that says none is of the first."""
    assert Job.parse(ORDER | {"form": FORM}).wire() == ORDER | {"form": FORM}
    assert Job.parse(ORDER).form == 1


@pytest.mark.parametrize(
    ("body", "lane", "seconds"),
    [
        ({"deadline_seconds": 90}, Lane.BULK, 90),
        ({}, Lane.BULK, 86_400),
        ({}, None, 60),
        ({"deadline_seconds": "soon"}, Lane.INTERACTIVE, 60),
        ({"deadline_seconds": -1}, Lane.INTERACTIVE, 60),
        ({"deadline_seconds": 10**9}, Lane.BULK, 86_400),
    ],
)
def test_how_long_a_newer_job_may_take(body: dict[str, Any], lane: Lane | None, seconds: int) -> None:
    """Of a job that cannot be read its deadline is believed where it makes sense, and else is its lane's."""
    job = NewerJob(body, lane, WorkerTooOld("newer"))
    assert (job.allowed_seconds, job.connection) == (seconds, "default")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from([*Job.model_fields, "other"])


@given(st.dictionaries(FIELDS, JSON, max_size=5) | JSON)
def test_any_message_is_a_job_or_a_refusal(body: object) -> None:
    """Whatever JSON a message holds, it is a job or a JobRefused, and nothing else is raised."""
    try:
        assert Job.parse(body).entity
    except (JobRefused, WorkerTooOld) as error:
        assert error.field


@pytest.mark.parametrize("model", [Job, Result, Manifest])
def test_schemas_describe_every_field(model: type[Job] | type[Result] | type[Manifest]) -> None:
    """The published schemas forbid unknown fields."""
    schema = model.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(model.model_fields)
