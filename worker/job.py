"""What is asked: the job, and its enumerations. All of it is frozen.

A job comes from a stranger, so ``Job.parse`` refuses whatever it does not know, with an error that names the field and
says what is allowed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from worker import refusal
from worker.errors import JobInvalid, WorkerTooOld
from worker.params import Params

TASK = "acumatica.retrieve"
"""The Celery task that takes a job."""

DEAD_LETTERS = "acumatica.dead"
"""The queue of messages that RabbitMQ has given out too often."""

FORM = 2
"""The version of a job's form that is known here; fields that are added make a new one."""

MAX_PAGE_SIZE = 5000
MAX_DEADLINE_SECONDS = 30 * 86_400
MAX_AGE_SECONDS = 86_400
"""No result is kept for longer."""
JOB_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""A job's id names its blobs, so it is kept to what every file system takes."""

BRANCH = r"^[!-~]([ -~]{0,28}[!-~])?$"
"""A branch travels in a header, which carries plain ASCII."""


class Lane(StrEnum):
    """How soon a job is wanted."""

    INTERACTIVE = "interactive"
    BULK = "bulk"

    @property
    def queue(self) -> str:
        """The Celery queue of this lane."""
        return f"acumatica.{self}"


class Values(StrEnum):
    """The form of the values in a result: ``plain`` (unwrapped) or as they were on the ``wire``."""

    PLAIN = "plain"
    WIRE = "wire"


class Compression(StrEnum):
    """How the parts of a large result are compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class Consistency(StrEnum):
    """What a list promises of rows that move while they are read.

    ``stable``: each row that exists throughout comes once, as it was at some moment of the job. ``fresh``: besides,
    none is older than the job's beginning, as what changed meanwhile is read again.
    """

    STABLE = "stable"
    FRESH = "fresh"


class OnOptimizationError(StrEnum):
    """What becomes of a list that the ERP cannot optimize: its records are read ``by_key``, the fields that fail are
    left out (``drop``), or the job fails."""

    BY_KEY = "by_key"
    DROP = "drop"
    FAIL = "fail"


def _key(value: str) -> str:
    if not value.strip():
        raise ValueError("a key must not be empty")
    if value in (".", ".."):
        raise ValueError("a key must not be '.' or '..'")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
        raise ValueError("a key must not hold control characters")
    return value


Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
FieldPath = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*([./][A-Za-z_][A-Za-z0-9_]*)*$", max_length=256)
]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]
"""A file's name in which * stands for any text and ? for one character, whatever the case."""
Key = Annotated[str, Field(max_length=256), AfterValidator(_key)]
Branch = Annotated[str, Field(pattern=BRANCH)]


class FileChoice(BaseModel):
    """Which of the files that are attached to records are wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve attachments")

    include: tuple[Pattern, ...] = Field(
        (), max_length=50, description="Only files with such names: ['*.pdf', 'invoice-??.*']; absent: all."
    )
    exclude: tuple[Pattern, ...] = Field((), max_length=50, description="No files with such names.")
    largest_mib: int | None = Field(
        None, ge=1, description="Leave out files that are larger than so many MiB; a note names them."
    )
    details: tuple[FieldPath, ...] = Field(
        (), max_length=20, description="Files of these rows too, as in ['Details']; absent: the records' own."
    )


class Asked(BaseModel):
    """What a job of any kind says: of what, on which connection, how soon, and in which form it wants its result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_form: ClassVar[int] = 1
    """The first version of the form that knows jobs of this kind."""
    usual_seconds: ClassVar[Mapping[Lane, int]] = {Lane.INTERACTIVE: 60, Lane.BULK: 86_400}
    """How long a job of this kind may take that does not say, in seconds."""

    allowed: ClassVar[Mapping[str, str]] = {
        "kind": "must be retrieve, inquiry, action, upsert, delete or upload; absent: retrieve",
        "connection": "must be a connection's name: letters, digits, dashes and underscores, at most 64 of them",
        "branch": "must be a branch's name, as in MYSTORE: 1 to 30 printable ASCII characters",
        "lane": f"must be {' or '.join(Lane)}",
        "values": f"must be {' or '.join(Values)}",
        "compression": f"must be {', '.join(Compression)}",
        "idempotency_key": "must be 1 to 128 printable ASCII characters without blanks",
        "form": f"must be a whole number from 1 up; this worker knows {FORM}",
        "deadline_seconds": f"must be a whole number of seconds from 1 to {MAX_DEADLINE_SECONDS}",
    }
    """What each field may be, for whoever has sent something else."""

    kind: str
    entity: str = Field(description="The entity of the ERP's endpoint, as in SalesOrder.")
    connection: str = Field(
        "default", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The name of a connection of the worker."
    )
    branch: Branch | None = Field(
        None, description="The ERP's branch to work in, as in MYSTORE; absent: the connection's."
    )
    lane: Lane | None = Field(
        None, description="How soon; absent: the lane of the queue that the job came by."
    )
    values: Values = Field(Values.PLAIN, description="plain: unwrapped values; wire: as the ERP sent them.")
    compression: Compression = Field(
        Compression.NONE, description="How the parts of a result over 64 KiB are compressed."
    )
    deadline_seconds: int | None = Field(
        None,
        ge=1,
        le=MAX_DEADLINE_SECONDS,
        description="Give up after so long; absent: 86400 in bulk, else 60, of a change 900, of an action 3600.",
    )
    idempotency_key: str | None = Field(
        None,
        pattern=r"^[!-~]{1,128}$",
        description="A name for what is asked: a second job with it is the first one, or is refused if it asks else.",
    )
    form: int = Field(
        1, ge=1, description="The version of this form; a worker leaves a newer one to newer workers."
    )

    @classmethod
    def parse(cls, body: object) -> Self:
        """The job of this kind in a message's body (a JSON object).

        Raises JobInvalid, KeysInvalid or ParameterInvalid, naming the field and what is allowed; WorkerTooOld for
        a newer form than is known here.
        """
        if not isinstance(body, dict):
            raise JobInvalid('a job is a JSON object such as {"entity": "SalesOrder"}', "job")
        form = body.get("form", FORM)
        if isinstance(form, int) and form > FORM:
            raise WorkerTooOld(
                f"the job is of form {form}, and this worker knows {FORM}: start newer workers", "form"
            )
        try:
            return cls.model_validate_json(refusal.text_of(body), strict=True)
        except ValidationError as error:
            raise refusal.refused(error, cls.allowed) from None

    def wire(self) -> dict[str, Any]:
        """The job as a JSON object with only what it says."""
        said = self.model_dump(mode="json", exclude_unset=True)
        return said if self.least_form == 1 else {"kind": self.kind, "form": self.least_form, **said}

    def in_lane(self, lane: Lane) -> Self:
        """The job with its lane settled: its own, or else the one that it came by."""
        return self if self.lane else self.model_copy(update={"lane": lane})

    @property
    def allowed_seconds(self) -> int:
        """How long the job may take in all, in seconds."""
        return self.deadline_seconds or self.usual_seconds[self.lane or Lane.INTERACTIVE]


class Question(Asked):
    """A job that only asks: the answer to an equal one may do."""

    allowed: ClassVar[Mapping[str, str]] = {
        **Asked.allowed,
        "max_age": f"must be a whole number of seconds from 0 to {MAX_AGE_SECONDS}",
    }

    max_age: int | None = Field(
        None,
        ge=0,
        le=MAX_AGE_SECONDS,
        description="A result of the same question is good enough whose job began at most so many seconds ago.",
    )


class Job(Question):
    """A retrieval job: which records of which entity, which of their fields, and how soon."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve job")
    allowed: ClassVar[Mapping[str, str]] = {
        **Question.allowed,
        "entity": "must be an entity's name, as in SalesOrder: letters, digits and underscores",
        "keys": 'must be 1 to 8 texts of at most 256 characters, as in ["SO", "000001"]',
        "filter": "must be a text of 1 to 16384 characters, as in CustomerID eq :customer",
        "params": 'must be an object with a value for each parameter of the filter, as in {"customer": "C000000003"}',
        "select": 'must be at most 500 names of fields, as in ["OrderNbr", "Details/InventoryID"]',
        "expand": 'must be at most 100 names of details or linked entities, as in ["Details"]',
        "custom": 'must be at most 100 names of custom fields, as in ["Document.AttributeCOLOR"]',
        "page_size": f"must be a whole number from 1 to {MAX_PAGE_SIZE}",
        "limit": "must be a whole number from 1 up",
        "attachments": "must be true, false, or an object with any of include, exclude, largest_mib and details, as in "
        '{"include": ["*.pdf"], "largest_mib": 20}',
        "consistency": f"must be {' or '.join(Consistency)}",
        "on_optimization_error": f"must be {', '.join(OnOptimizationError)}",
    }

    kind: Literal["retrieve"] = "retrieve"
    entity: Name = Field(description="The entity of the ERP's endpoint, as in SalesOrder.")
    keys: tuple[Key, ...] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="One record's key values, in the order of its form: ['SO', '000001']. Not with a filter.",
    )
    filter: str | None = Field(
        None,
        min_length=1,
        max_length=16_384,
        description="Which records: OData v3 as Acumatica takes it, with named parameters: "
        "CustomerID eq :customer.",
    )
    params: Params = Field(
        default_factory=dict,
        description="A value for each parameter of the filter: a string, number, true, false or null, "
        'or {"datetimeoffset": …}, {"date": …}, {"guid": …}, {"decimal": …} for what JSON has no type.',
    )
    select: tuple[FieldPath, ...] | None = Field(
        None, max_length=500, description="Fields to return; absent: the handler's; empty: all."
    )
    expand: tuple[FieldPath, ...] | None = Field(
        None,
        max_length=100,
        description="Details and linked entities to return; absent: what select names, else the handler's.",
    )
    custom: tuple[FieldPath, ...] = Field(
        (), max_length=100, description="Custom fields to return, as View.Field or Details/View.Field."
    )
    page_size: int | None = Field(
        None,
        ge=1,
        le=MAX_PAGE_SIZE,
        description="Retrieve in batches of so many records; absent: the handler's choice.",
    )
    limit: int | None = Field(None, ge=1, description="At most so many records; absent: all.")
    attachments: bool | FileChoice = Field(
        False, description="Retrieve the files attached to the records too: true, or which of them."
    )
    consistency: Consistency = Field(
        Consistency.STABLE,
        description="stable: each row that exists throughout comes once; fresh: besides, none is older than the job.",
    )
    on_optimization_error: OnOptimizationError = Field(
        OnOptimizationError.BY_KEY,
        description="Where the ERP cannot optimize the list: by_key, drop (the fields that fail), or fail.",
    )

    @model_validator(mode="after")
    def _fresh_to_the_end(self) -> Job:
        if self.consistency is Consistency.FRESH and self.limit is not None:
            raise ValueError("consistency: fresh reads again what has changed, of all records: give no limit")
        return self

    @model_validator(mode="after")
    def _one_way_to_name_records(self) -> Job:
        if self.keys is not None and self.filter is not None:
            raise ValueError("keys: give keys or a filter, not both")
        if self.params and self.filter is None:
            raise ValueError("params: parameters belong to a filter, and there is none")
        return self


@dataclass(frozen=True)
class NewerJob:
    """A job of a newer form than is known here, for a newer worker: what every form says of it, and its body."""

    body: Mapping[str, Any]
    lane: Lane | None
    error: WorkerTooOld
    idempotency_key: str | None = None

    @property
    def entity(self) -> str:
        """The entity that it asks for."""
        return str(self.body.get("entity"))[:128]

    @property
    def connection(self) -> str:
        """The connection that it names."""
        return str(self.body.get("connection", "default"))[:64]

    @property
    def allowed_seconds(self) -> int:
        """How long the job may take in all, in seconds."""
        seconds = self.body.get("deadline_seconds")
        usual = Asked.usual_seconds[self.lane or Lane.INTERACTIVE]
        return seconds if isinstance(seconds, int) and 0 < seconds <= MAX_DEADLINE_SECONDS else usual

    def wire(self) -> dict[str, Any]:
        """The job as it came."""
        return dict(self.body)
