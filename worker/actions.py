"""How an action becomes pages: it is sent once, and a long operation is asked after again and again, until it is over.

Between two looks the job waits and holds no worker; its session stays kept for it. Raises OperationRunning to wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from worker.erp import wrapping
from worker.erp.schema import Schema, like
from worker.erp.writing import Writer
from worker.errors import ErpRefused, JobInvalid, OperationLost, OperationRunning
from worker.jobstate import error_in, error_text
from worker.kinds import Action
from worker.naming import Named
from worker.page import Cursor, Page, Sending, Stage
from worker.sending import Sender

FIRST_LOOK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0


def pages(
    writer: Writer,
    sender: Sender,
    named: Named,
    job: Action,
    schema: Schema | None,
    after: Cursor | None,
) -> Iterator[Page]:
    """The pages of an action, the last of which has one record: what it came to."""
    body = body_of(job, named, schema)
    sending = sender.begun(after)
    if sending.stage is Stage.READY:
        location = writer.act(job.action, body)
        if location is None:
            yield sender.last({"action": job.action, "outcome": "done", "looks": 0})
            return
        sender.is_at(Sending(stage=Stage.AT_WORK, location=location))
        raise _running(job, 0)
    if sending.stage is Stage.AT_WORK:
        sending = _looked_at(writer, sending)
        sender.is_at(sending)
        if sending.stage is Stage.AT_WORK:
            raise _running(job, sending.polls)
    writer.give_up_session()
    if failure := error_in(sending.answer):
        raise failure
    yield sender.last({"action": job.action, "outcome": "done", "looks": sending.polls})


def _looked_at(writer: Writer, sending: Sending) -> Sending:
    """How far a long operation is, of which the ERP was asked once more."""
    looked = replace(sending, polls=sending.polls + 1)
    try:
        is_over = writer.is_over(sending.location)
    except (ErpRefused, OperationLost) as error:
        return replace(looked, stage=Stage.FAILED, answer=error_text(error))
    return replace(looked, stage=Stage.DONE) if is_over else looked


def body_of(job: Action, named: Named, schema: Schema | None) -> dict[str, Any]:
    """The body of the request (vendor's guide, Execute a Custom Action). Raises JobInvalid."""
    known = schema.top.get(job.entity, {}).get(job.action) if schema else None
    if schema and known is None and job.parameters:
        others = like(job.action, schema.top.get(job.entity, {}))
        raise JobInvalid(
            f"the endpoint does not define the action {job.action!r} of {job.entity}{others}; a custom action's "
            "parameters are given as custom, by View.Field",
            "parameters",
        )
    parameters = wrapping.values(job.parameters, known, "parameters")
    if job.custom:
        parameters["custom"] = wrapping.custom(job.custom, "custom")
    return {"entity": named.wire, "parameters": parameters}


def pause_before(look: int) -> float:
    """Seconds until a long operation is looked at for the so-many-th time, counted from 0."""
    return min(FIRST_LOOK_SECONDS * float(2**look), LONGEST_PAUSE_SECONDS)


def _running(job: Action, looks: int) -> OperationRunning:
    return OperationRunning(
        f"{job.action} is at work in the ERP, and was looked at {looks} times", seconds=pause_before(looks)
    )
