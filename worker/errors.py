"""Everything that can go wrong, as one tree sorted by what the caller should do about it.

    WorkerError
    ├── JobRefused               change the job: it never reached the ERP
    │   ├── JobInvalid           a field is unknown, missing or out of range
    │   ├── ConnectionUnknown    no connection has that name
    │   ├── EntityUnknown        no entity has that name
    │   ├── KeysInvalid          the keys cannot name a record
    │   ├── FilterInvalid        the filter does not parse
    │   └── ParameterInvalid     a parameter is missing, unused or of the wrong type
    ├── ErpRefused               change the job or the ERP: the ERP understood, and said no
    │   ├── RecordNotFound       no record has these keys
    │   ├── NotInEndpoint        the endpoint has no such entity or path
    │   ├── FieldUnknown         a selected field does not exist
    │   ├── FilterRefused        the ERP cannot evaluate the filter
    │   ├── NotOptimizable       the list cannot be optimized; the records can be had by key
    │   ├── RightsMissing        the API user may not open the form
    │   ├── ActionUnknown        the entity has no such action
    │   ├── DataRefused          the ERP does not take the data of a write or an action; its fields say why
    │   ├── PreconditionFailed   the record exists and was to be new, or the other way round
    │   ├── OperationFailed      the ERP began what was asked, and failed at it
    │   ├── RequestRefused       the ERP refuses the request for a reason of its own
    │   ├── FileTooLarge         a file is larger than the job wants; it is left out, and the others come
    │   ├── CertificateUntrusted the ERP's certificate cannot be verified
    │   └── AnswerTooLarge       the answer is larger than a worker may hold
    ├── Waiting                  wait: somebody or something else must act first; the job goes on by itself
    │   ├── SignInRefused        the ERP refused the credentials: an operator must mend them
    │   │   └── TenantMismatch   the session landed in another tenant: an operator must mend the connection
    │   ├── LoginNeeded          nobody has signed this connection in yet, or its refresh chain has ended
    │   ├── ConnectionPaused     an operator has paused the connection
    │   ├── ErpAway              the ERP restarts: its connection pauses by itself
    │   ├── WorkerTooOld         the job needs a plugin, or a version, that this worker does not have
    │   ├── FormBusy             a long operation on the same form is at work in every session
    │   ├── OperationRunning     the job's own long operation is at work in the ERP
    │   └── LoginLimit           every API session of the license is taken
    │       └── UserLoginLimit   the ERP user's own limit of API sessions is reached
    ├── TryAgain                 try again: it may well work the next time
    │   ├── ErpUnreachable       no connection to the ERP
    │   ├── ExchangeTimeout      the ERP did not answer in time
    │   ├── AnswerCut            the body ended early
    │   ├── AnswerMalformed      the body is not what was asked for
    │   ├── ErpBusy              the ERP declined the request, as the license is used up
    │   ├── ErpFault             the ERP failed, and why is not known to pass
    │   ├── ErpRestarting        the site is down or starting: something in front of it answers
    │   ├── SessionLost          the ERP no longer knows the session
    │   ├── SessionUnsure        a request may be at work in every session, and a write wants none there
    │   ├── SessionsBusy         no session could be had just now
    │   ├── ListMoved            none of the rows that were read last is in the list any more
    │   ├── StoreUnavailable     the store or the broker does not answer
    │   └── BlobsUnavailable     the blob directory cannot be written
    │       └── StageLost        what another attempt had staged is gone; the job begins anew
    ├── OutcomeUnknown           look into the ERP: whether it did what was asked is not known, and it is not sent again
    │   └── OperationLost        the session is gone in which an operation was at work
    ├── JobCancelled             nothing: somebody has cancelled the job
    ├── JobDead                  look at the workers: one after the other ended at this job without a word
    ├── HandlerFailed            mend the handler: it raised something that is not in this tree
    ├── LoginEnded               the refresh token is dead: only another login begins a new chain
    ├── Stopping                 the worker is shutting down: the job goes back to the queue
    ├── DeadlineExceeded         the job's own deadline passed; the message says what was waited for
    ├── JobUnknown               no such job
    ├── JobUnfinished            the job has no result yet: ask again later
    └── Misconfigured            change the settings: the worker does not start
        └── HandlerBroken        a handler cannot be loaded, or two claim one entity

The class is the code that a caller sees (``exc_type`` in Celery's result); ``field`` names the part of the job that is
at fault, where one is; ``message`` says what is wrong and what would be right, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class WorkerError(Exception):
    """Something went wrong."""

    def __init__(self, message: str, field: str | None = None) -> None:
        # Celery's JSON result keeps an exception's args, and nothing else of it.
        super().__init__(*((message,) if field is None else (message, field)))
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    def __repr__(self) -> str:
        return f"{self.code}: {self.line}"

    @property
    def line(self) -> str:
        """All of it in one line, without what could steer a terminal: parts of it may be a stranger's words."""
        return " ".join("".join(char if char.isprintable() else " " for char in str(self)).split())

    @property
    def code(self) -> str:
        """The name that callers may act on."""
        return type(self).__name__


class JobRefused(WorkerError):
    """The job cannot be done as it stands; it never reached the ERP."""


class JobInvalid(JobRefused):
    """A field of the job is unknown, missing or out of range."""


class ConnectionUnknown(JobRefused):
    """No connection has that name."""


class EntityUnknown(JobRefused):
    """No entity has that name; unless that is ``certain``, a worker with other handlers may know it."""

    certain = False


class KeysInvalid(JobRefused):
    """The keys cannot name a record."""


class FilterInvalid(JobRefused):
    """The filter does not parse."""


class ParameterInvalid(JobRefused):
    """A parameter is missing, unused or of the wrong type."""


class ErpRefused(WorkerError):
    """The ERP understood the request and said no; the same request gets the same answer."""


class RecordNotFound(ErpRefused):
    """No record has these keys."""


class NotInEndpoint(ErpRefused):
    """The endpoint has no such entity or path."""


class FieldUnknown(ErpRefused):
    """A selected field does not exist in the entity."""


class FilterRefused(ErpRefused):
    """The ERP cannot evaluate the filter."""


class NotOptimizable(ErpRefused):
    """The ERP cannot read these fields for a list; it can record by record."""

    def __init__(self, message: str, field: str | None = None, *, fields: tuple[str, ...] = ()) -> None:
        """``fields`` are those that the ERP names, as ``ApplicationHistory.DisplayDocType``."""
        super().__init__(message, field)
        self.fields = fields


class RightsMissing(ErpRefused):
    """The API user may not open the form behind the entity."""


class ActionUnknown(ErpRefused):
    """The entity has no such action."""


class DataRefused(ErpRefused):
    """The ERP does not take the data of a write or an action; of each field it has a row (field, value, error)."""

    def __init__(
        self, message: str, field: str | None = None, rows: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(message, field)
        self.errors = tuple(rows)
        self.args = (message, field, list(rows)) if rows else self.args


class PreconditionFailed(ErpRefused):
    """The record exists and was to be inserted, or does not and was to be updated."""


class OperationFailed(ErpRefused):
    """The ERP began what was asked, and failed at it."""


class RequestRefused(ErpRefused):
    """The ERP refuses the request for a reason of its own."""


class FileTooLarge(ErpRefused):
    """A file is larger than the job wants; it is left out."""


class CertificateUntrusted(ErpRefused):
    """The ERP's certificate cannot be verified."""


class AnswerTooLarge(ErpRefused):
    """The answer is larger than a worker may hold."""


class Waiting(WorkerError):
    """The job cannot go on until somebody or something else has acted.

    ``seconds`` says how long to leave it before looking again; ``state`` is what a watcher is shown.
    """

    state = "waiting"
    usual_seconds = 10.0

    def __init__(self, message: str, field: str | None = None, seconds: float | None = None) -> None:
        super().__init__(message, field)
        self.seconds = self.usual_seconds if seconds is None else seconds


class SignInRefused(Waiting):
    """The ERP refused the credentials; no other sign-in is tried until they change or an operator asks."""

    state = "waiting_for_credentials"


class TenantMismatch(SignInRefused):
    """The session landed in another tenant than the connection's; it was signed out, and nothing was read."""


class LoginNeeded(Waiting):
    """Nobody has signed this connection in yet, or its refresh chain has ended; ``acuworker login`` begins one."""

    state = "waiting_for_login"


class ConnectionPaused(Waiting):
    """An operator has paused the connection; ``acuworker resume`` lets its jobs go on."""

    state = "waiting_for_resume"


class ErpAway(Waiting):
    """Something else answered in the ERP's place, so nothing is asked of it for a while; it restarts, as a rule."""

    state = "waiting_for_erp"


class WorkerTooOld(Waiting):
    """The job needs an entity's plugin, or a version of the job's form, that this worker does not have."""

    state = "waiting_for_worker"
    usual_seconds = 60.0


class FormBusy(Waiting):
    """In every session of the connection a long operation is at work on the form that is wanted."""

    state = "waiting_for_operation"
    usual_seconds = 2.0


class OperationRunning(Waiting):
    """The job's long operation is at work in the ERP; its session is kept for it, and no worker."""

    state = "operation_running"


class LoginLimit(Waiting):
    """Every API session that the license allows is taken."""

    state = "waiting_for_session"


class UserLoginLimit(LoginLimit):
    """The ERP user's own limit of concurrent API logins is reached; asking sooner than in an hour changes nothing."""

    usual_seconds = 3600.0


class TryAgain(WorkerError):
    """It may well work the next time; ``attempts`` bounds the requests in all, None leaves them to the deadline."""

    attempts: int | None = 5


class ErpUnreachable(TryAgain):
    """No connection to the ERP."""

    attempts = None


class ExchangeTimeout(TryAgain):
    """The ERP did not answer in time."""


class AnswerCut(TryAgain):
    """The body ended before it was complete."""


class AnswerMalformed(TryAgain):
    """The body is not what was asked for."""


class ErpBusy(TryAgain):
    """The ERP declined the request, as its license is used up."""

    attempts = None


class ErpFault(TryAgain):
    """The ERP failed, and nothing says that it would fail again."""


class ErpRestarting(TryAgain):
    """Something in front of the ERP answers in its place: its site is down or starting."""

    attempts = None


class SessionLost(TryAgain):
    """The ERP no longer knows the session."""


class SessionUnsure(TryAgain):
    """A request that nobody has heard of may yet be at work in each session, and a write wants one for itself."""

    attempts = None


class SessionsBusy(TryAgain):
    """No session could be had just now: none could be signed in, or the ERP did not open one."""

    attempts = None


class ListMoved(TryAgain):
    """None of the rows that a list was read up to is in it any more, so nobody knows where it goes on."""


class StoreUnavailable(TryAgain):
    """The store or the broker does not answer."""

    attempts = None


class BlobsUnavailable(TryAgain):
    """The blob directory cannot be written; asking the ERP again would not mend it."""

    attempts = 1


class StageLost(BlobsUnavailable):
    """What another attempt had staged is not there any more."""


class OutcomeUnknown(WorkerError):
    """Whether the ERP did what was asked is not known; the message says what to look at."""


class OperationLost(OutcomeUnknown):
    """The session is gone in which the operation was at work, and nobody else can ask after it."""


class JobCancelled(WorkerError):
    """Somebody has cancelled the job."""


class JobDead(WorkerError):
    """Workers ended at the job without a word, one after the other, with no page between."""


class HandlerFailed(WorkerError):
    """A handler raised something that is not in this tree: a fault of the handler's own."""


class LoginEnded(WorkerError):
    """The refresh token is dead: it was revoked, used by somebody else, or its chain has reached its age."""


class Stopping(WorkerError):
    """The worker is shutting down; the job goes back to the queue."""


class DeadlineExceeded(WorkerError):
    """The job's own deadline passed."""


class JobUnknown(WorkerError):
    """No such job."""


class JobUnfinished(WorkerError):
    """The job has not ended, so it has no result yet; the message says where it is, and what it waits for."""


class Misconfigured(WorkerError):
    """A setting is missing or wrong; nothing starts until it is mended."""


class HandlerBroken(Misconfigured):
    """A handler cannot be loaded, or two claim one entity."""
