"""Records in one line: a job is submitted, waited for, and its result read back.

``fetch("SalesOrder", filter=F.Status == "Open")`` needs workers that share the settings here. Raises what ends the job.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from pydantic import TypeAdapter, ValidationError

from worker.client import Client
from worker.errors import ParameterInvalid
from worker.filters import Condition
from worker.job import Compression, Consistency, Job, Lane, OnOptimizationError, Values
from worker.page import Record
from worker.params import Param, Params
from worker.settings import Settings

SPARE_SECONDS = 5.0
"""How much longer than a job may take it is waited for: its own end says why, and an end of the wait says nothing."""

_PARAMS: TypeAdapter[Mapping[str, Param]] = TypeAdapter(Params)


class JobFields(TypedDict, total=False):
    """What else a job may say (``worker.job.Job``); of attachments there is nothing in records."""

    connection: str
    branch: str
    keys: Sequence[str]
    select: Sequence[str]
    expand: Sequence[str]
    custom: Sequence[str]
    page_size: int
    limit: int
    lane: Lane
    values: Values
    consistency: Consistency
    on_optimization_error: OnOptimizationError
    compression: Compression
    max_age: int
    deadline_seconds: int
    idempotency_key: str


def fetch(
    entity: str,
    *,
    filter: Condition | str | None = None,
    params: Mapping[str, Param] | None = None,
    timeout: float | None = None,
    client: Client | None = None,
    **fields: Unpack[JobFields],
) -> Iterator[Record]:
    """The records that a job comes to, once it has; they are read as they are taken, and checked.

    ``params`` go with a filter that is a text. The job is given up ``timeout`` seconds after it is submitted, unless
    ``deadline_seconds`` says otherwise; without either it may take what its lane allows. ``client`` is one that others
    use too.

    Raises JobRefused where it makes no sense, the WorkerError that it failed with, JobUnfinished where no worker ended
    it in time, StoreUnavailable; and BlobsUnavailable with the last record at the latest, where they are not what was
    written.
    """
    job = Job.parse(body(entity, filter, params, timeout, **fields))
    asking = client or Client(Settings.load())
    job_id = asking.submit(job)
    result = asking.result(job_id, timeout=SPARE_SECONDS + (timeout or job.allowed_seconds))
    return asking.reader.records(result)


def body(
    entity: str,
    filter: Condition | str | None,
    params: Mapping[str, Param] | None,
    timeout: float | None,
    **fields: Any,
) -> dict[str, Any]:
    """The job as JSON. Raises ParameterInvalid for a value that no filter can have."""
    said: dict[str, Any] = {"entity": entity}
    if isinstance(filter, Condition):
        said["filter"], params = filter.text, filter.params
    elif filter is not None:
        said["filter"] = filter
    if params:
        said["params"] = _on_the_wire(params)
    if timeout is not None:
        said["deadline_seconds"] = max(1, math.ceil(timeout))
    return said | fields


def _on_the_wire(params: Mapping[str, Param]) -> Any:
    try:
        return _PARAMS.dump_python(_PARAMS.validate_python(params), mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in ("params", *first["loc"]))
        raise ParameterInvalid(first["msg"].removeprefix("Value error, "), where) from None
