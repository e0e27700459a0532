"""What changes something in the ERP: each is sent once, unless it is sure that the ERP has not done it.

Where nobody can know, the failure becomes OutcomeUnknown, with what to look at; an ``idempotent`` request is sent again
instead, as any that reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from worker.erp import answers, urls
from worker.erp.caller import Use
from worker.erp.deadline import Deadline
from worker.erp.exchanges import Exchanges
from worker.erp.sessions import Lease
from worker.erp.wire import MIB, Answer, Body, Wire
from worker.errors import (
    ActionUnknown,
    AnswerCut,
    AnswerMalformed,
    AnswerTooLarge,
    DataRefused,
    ErpBusy,
    ErpFault,
    ErpRefused,
    ErpUnreachable,
    ExchangeTimeout,
    FieldUnknown,
    FilterRefused,
    NotInEndpoint,
    OperationFailed,
    OperationLost,
    OutcomeUnknown,
    RecordNotFound,
    RequestRefused,
    SessionLost,
    SessionsBusy,
    SessionUnsure,
    WorkerError,
)
from worker.page import Record

T = TypeVar("T")

POLL_SECONDS = 30.0
"""How long a look at a long operation may take; it waits for what else the session does."""

_NOT_DONE = (ErpUnreachable, SessionsBusy, SessionLost, ErpBusy)
"""Failures that come before the ERP does anything: no connection, no session, or a request that it declined."""

_UNSEEN = (AnswerCut, AnswerMalformed, ErpFault, ExchangeTimeout)
"""Failures of a look at a long operation that tell nothing of it."""


class Claims(Protocol):
    """Who keeps sessions for long operations."""

    def claim(self, lease: Lease, form: str, job_id: str, seconds: float) -> None: ...
    def disclaim(self, job_id: str, lease: Lease | None = None) -> None: ...


class Once(Protocol):
    """What keeps a job from being sent twice; ``look`` says where people see whether it was done."""

    @property
    def look(self) -> str: ...
    @property
    def idempotent(self) -> bool: ...
    def about_to_send(self) -> None: ...
    def not_done(self) -> None: ...


@dataclass
class _SoFar:
    """How far a request has come: the word of it is kept, a session is claimed for what it begins, it goes out."""

    kept: bool = False
    claimed: Lease | None = None
    begun: bool = False


@dataclass(frozen=True, kw_only=True)
class Writer:
    """One job's way to change records of an entity."""

    exchanges: Exchanges
    claims: Claims
    entity: str
    once: Once

    def put(self, record: Record, options: str, precondition: Mapping[str, str]) -> Record:
        """Insert or update a record, in the form of the wire; what the ERP answers of it.

        Raises DataRefused, PreconditionFailed and what else the ERP says; OutcomeUnknown.
        """
        path = urls.entity_path(self.exchanges.connection, self.entity)
        return self._sent("PUT", path, _saved, options=options, json=record, headers=precondition)

    def delete(self, *segments: str) -> None:
        """Delete the record with these key values, or this id. Raises RecordNotFound; OutcomeUnknown."""
        path = urls.entity_path(self.exchanges.connection, self.entity, *segments)
        try:
            self._sent("DELETE", path, _whole)
        except NotInEndpoint as error:
            # Some builds say 404 where others say 500 of a record that does not exist.
            raise RecordNotFound(error.message, "keys") from None

    def upload(self, path: str, body: Body, comment: str | None) -> str:
        """Put a file's bytes at the path that a record names for its files; the file's own path, where it is told."""
        headers = {} if comment is None else {"PX-CbFileComment": comment}
        seconds = self.exchanges.connection.file_seconds
        return self._sent("PUT", path, _whole, seconds, content=body, headers=headers).location

    def act(self, action: str, body: Mapping[str, Any]) -> str | None:
        """Begin an action: where its long operation can be asked after; None where it is done already.

        From before it is sent on the session is kept for it. Raises ActionUnknown, DataRefused, OperationFailed,
        RightsMissing and what else the ERP says; OutcomeUnknown.
        """
        job_id = self.exchanges.caller.job_id
        path = urls.entity_path(self.exchanges.connection, self.entity, action)
        try:
            answer = self._sent("POST", path, _whole, begins=job_id, json=body)
        except NotInEndpoint:
            unknown = f"{self.entity} has no action {action!r}, or no such record"
            raise ActionUnknown(unknown, "action") from None
        if answer.status != 202:
            return None
        try:
            urls.operation_path(self.exchanges.connection, answer.location)
        except AnswerMalformed as error:
            raise self._unknown(error) from None
        return answer.location

    def is_over(self, location: str) -> bool:
        """Whether the long operation at that place is over, and well; asked in its own session, uncounted.

        The session stays kept, so that it can be asked again by who does not hear of this answer. A look that nobody
        answers tells nothing, so there will be another.
        Raises OperationFailed or DataRefused where it has failed, OperationLost where nobody can tell any more.
        """
        caller = self.exchanges.caller
        path = urls.operation_path(self.exchanges.connection, location)
        use = Use(what=self.entity, longest=POLL_SECONDS, polls=caller.job_id)

        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> Answer:
            answer = wire.send(self.exchanges.request(lease, path), deadline)
            if wrong := answers.error(answer):
                raise _of_operation(_of_write(wrong, answer), self.once.look)
            return _whole(answer)

        try:
            answer = self.exchanges.tried(lambda: self.exchanges.uncounted(exchange, use))
        except _UNSEEN:
            return False
        return answer.status != 202

    def give_up_session(self) -> None:
        """Keep the session no more that was kept for a long operation: it is over, and it is known that it is."""
        self.claims.disclaim(self.exchanges.caller.job_id)

    def _sent(
        self,
        method: str,
        path: str,
        parse: Callable[[Answer], T],
        seconds: float | None = None,
        begins: str | None = None,
        **more: Any,
    ) -> T:
        """What the ERP's answer to one request holds, which is a success. Sent again only where nothing was done."""
        use = Use(
            what=self.entity,
            longest=seconds or self.exchanges.connection.exchange_seconds,
            writes=True,
            alone=not self.once.idempotent,
            begins=begins,
        )
        return self.exchanges.tried(lambda: self._once(method, path, parse, use, **more))

    def _once(
        self, method: str, path: str, parse: Callable[[Answer], T], use: Use, options: str = "", **more: Any
    ) -> T:
        so_far = _SoFar()

        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> Answer:
            request = self.exchanges.request(lease, path, options, method=method, **more)
            self._begin(lease, use, so_far)
            answer = wire.send(request, deadline, self.exchanges.connection.max_answer_mib * MIB)
            if wrong := answers.error(answer):
                raise _of_write(wrong, answer)
            return _whole(answer)

        try:
            answer = self.exchanges.once(exchange, use)
            if answer.status != 202:
                self._disclaim(so_far)
            return parse(answer)
        except SessionUnsure:
            self._settle()
            raise
        except WorkerError as error:
            if so_far.begun and _is_unclear(error) and not self.once.idempotent:
                raise self._unknown(error) from None
            self._disclaim(so_far)
            if so_far.kept and (not so_far.begun or isinstance(error, _NOT_DONE)):
                self.once.not_done()
            raise

    def _begin(self, lease: Lease, use: Use, so_far: _SoFar) -> None:
        """All that comes before the request goes out. Raises SessionsBusy where it may not go out any more."""
        # First, as it is refused to one whose job has gone to another, who may have claimed a session since.
        self.once.about_to_send()
        so_far.kept = True
        if use.begins:
            so_far.claimed = lease
            self.claims.claim(lease, use.what, use.begins, self.exchanges.caller.deadline.remaining())
        if lease.send_by.remaining() <= 0:
            raise SessionsBusy("the store took so long that the session may be another's")
        so_far.begun = True

    def _disclaim(self, so_far: _SoFar) -> None:
        if so_far.claimed:
            self.claims.disclaim(self.exchanges.caller.job_id, so_far.claimed)

    def _settle(self) -> None:
        """Have a read answered in a session of which nobody knows what is at work in it: then nothing is any more.

        A session does one request after the other (reported by live instances), so whatever was before it has ended.
        """
        path = urls.entity_path(self.exchanges.connection, self.entity)
        use = Use(what=self.entity, longest=self.exchanges.connection.exchange_seconds)

        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> Answer:
            longest = self.exchanges.connection.max_answer_mib * MIB
            return answers.data(wire.send(self.exchanges.request(lease, path, "$top=1"), deadline, longest))

        with suppress(ErpRefused, ErpFault):
            self.exchanges.once(exchange, use)

    def _unknown(self, error: WorkerError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"it was sent, and whether the ERP did it is not known ({error.message}): look at {self.once.look}"
        )


def _whole(answer: Answer) -> Answer:
    """The answer, which may have nothing to say. Raises ErpRestarting for a page: something in front of the ERP."""
    return answers.data(answer) if answer.body else answer


def _saved(answer: Answer) -> Record:
    """The record that was written. Raises AnswerMalformed for what is none."""
    record = answers.record(answer) if answer.body else {}
    if not urls.is_id(str(record.get("id"))):
        raise AnswerMalformed("the ERP answered without the record")
    return record


def _is_unclear(error: WorkerError) -> bool:
    """Whether a request that has failed so may have been done all the same."""
    return isinstance(error, AnswerTooLarge) or not isinstance(error, (ErpRefused, *_NOT_DONE))


def _of_write(error: WorkerError, answer: Answer) -> WorkerError:
    """What an answer to a write means, where that is something else than to a question.

    An ErpFault that is left is not in the ERP's words: something in front of it has failed, and it may be at work.
    """
    match error:
        case RequestRefused() if answer.status == 400:
            return DataRefused(error.message, error.field)
        case FilterRefused() | FieldUnknown() if answer.status == 400:
            return DataRefused(f"the ERP does not take the data: {answers.words(answer)}")
        case FilterRefused():
            return OperationFailed(f"the ERP failed: {answers.words(answer)}")
        case ErpFault() if answers.is_json(answer):
            return OperationFailed(error.message)
    return error


def _of_operation(error: WorkerError, look: str) -> WorkerError:
    """What an answer to a question after a long operation means: most of them that it has failed."""
    match error:
        case NotInEndpoint() | RecordNotFound():
            return OperationLost(f"the ERP does not know the operation any more: look at {look}")
        case RequestRefused():
            return OperationFailed(error.message)
    return error
