"""The kinds of jobs beside the retrieval of records: inquiries, and what changes something in the ERP.

What changes something is sent once. Where nobody can know whether the ERP did it, the job ends with OutcomeUnknown,
unless it says that it is ``idempotent``: doing it twice is as good as once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from worker.errors import JobInvalid
from worker.job import MAX_PAGE_SIZE, Asked, FieldPath, Job, Key, Lane, Name, Question
from worker.params import Params

Values = dict[str, Any]
"""Plain JSON values by the names of fields: ``{"Status": "Open", "Details": [{"InventoryID": "A"}]}``."""

RecordId = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
Title = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f/\\\\]+$")]
FileName = Annotated[
    str,
    Field(
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f/\\\\:*?\"<>|%&#+]*[^\x00-\x1f\x7f/\\\\:*?\"<>|%&#+. ]$",
    ),
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CustomPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$", max_length=256)]


class Interface(StrEnum):
    """Through what an inquiry is asked: the ``contract``-based endpoint, a generic inquiry's OData feed (``gi``), or
    that of a data access class (``dac``)."""

    CONTRACT = "contract"
    GI = "gi"
    DAC = "dac"


class Inquiry(Question):
    """An inquiry: its rows, for these parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve inquiry")

    least_form: ClassVar[int] = 2
    allowed: ClassVar[Mapping[str, str]] = {
        **Question.allowed,
        "entity": "must be the name of an inquiry, as in InventorySummaryInquiry, or BI-Customers for OData",
        "interface": f"must be {', '.join(Interface)}",
        "parameters": 'must be an object with plain values, as in {"InventoryID": "AALEGO500"}',
        "results": "must be the name of a detail, as in Results",
        **{name: Job.allowed[name] for name in ("filter", "params", "select", "page_size", "limit")},
    }

    kind: Literal["inquiry"] = "inquiry"
    entity: Title = Field(description="The inquiry: an entity of the endpoint, or a feed of OData.")
    interface: Interface = Field(
        Interface.CONTRACT,
        description="contract: PUT of the endpoint; gi, dac: OData of a generic inquiry or a DAC.",
    )
    parameters: Values = Field(default_factory=dict, description="The inquiry's parameters, by their names.")
    filter: str | None = Field(None, min_length=1, max_length=16_384, description="Which rows (OData only).")
    params: Params = Field(default_factory=dict, description="A value for each parameter of the filter.")
    select: tuple[FieldPath, ...] | None = Field(
        None, max_length=500, description="Fields to return; absent: all."
    )
    results: Name | None = Field(
        None,
        description="The detail with the rows (contract only), as in Results; absent: as the endpoint tells.",
    )
    page_size: int | None = Field(None, ge=1, le=MAX_PAGE_SIZE, description="Rows to a page (OData only).")
    limit: int | None = Field(None, ge=1, description="At most so many rows; absent: all.")

    @model_validator(mode="after")
    def _as_the_interface_has_it(self) -> Self:
        is_contract = self.interface is Interface.CONTRACT
        if is_contract and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.entity):
            raise ValueError("entity: an inquiry of the endpoint is named as an entity is")
        for name in ("filter", "page_size") if is_contract else ("results",):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: the interface {self.interface} has no such thing")
        if self.params and self.filter is None:
            raise ValueError("params: parameters belong to a filter, and there is none")
        return self


class Change(Asked):
    """What changes a record: the record by its keys or its id, and whether doing it twice is as good as once."""

    least_form: ClassVar[int] = 2
    usual_seconds: ClassVar[Mapping[Lane, int]] = {Lane.INTERACTIVE: 900, Lane.BULK: 86_400}
    allowed: ClassVar[Mapping[str, str]] = {
        **Asked.allowed,
        **{name: Job.allowed[name] for name in ("entity", "keys")},
        "id": "must be a record's id, as in c01087ca-7281-e511-80c0-00155d012302",
        "idempotent": "must be true or false",
    }

    entity: Name = Field(description="The entity of the ERP's endpoint, as in SalesOrder.")
    keys: tuple[Key, ...] | None = Field(
        None, min_length=1, max_length=8, description="The record's key values, in the order of its form."
    )
    id: RecordId | None = Field(None, description="The record's id, in place of keys.")
    idempotent: bool = Field(
        False, description="Whether it may be sent again when nobody knows what became of it the first time."
    )

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.keys is not None and self.id is not None:
            raise ValueError("keys: give keys or an id, not both")
        return self

    @property
    def record_name(self) -> str:
        """The record, as people look for it."""
        return f"{self.entity} {self.id or '/'.join(self.keys or ())}".strip()


class Named(Change):
    """A change of a record that must be named."""

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.keys is None and self.id is None:
            raise ValueError("keys: say which record, by keys or id")
        return self


class Action(Named):
    """An action on a record, with its parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve action")

    usual_seconds: ClassVar[Mapping[Lane, int]] = {Lane.INTERACTIVE: 3600, Lane.BULK: 86_400}
    allowed: ClassVar[Mapping[str, str]] = {
        **Change.allowed,
        "action": "must be an action's name, as in ReleaseSalesInvoice",
        "parameters": 'must be an object with plain values, as in {"Reason": "Abandoned"}',
        "custom": 'must be an object with plain values by View.Field, as in {"FilterPreview.Reason": "Abandoned"}',
    }

    kind: Literal["action"] = "action"
    action: Name = Field(description="The action, as in ReleaseSalesInvoice, or a custom one as in Close.")
    parameters: Values = Field(default_factory=dict, description="Its parameters that the endpoint knows.")
    custom: dict[CustomPath, Any] = Field(
        default_factory=dict,
        max_length=100,
        description="Its other parameters, by View.Field of its dialog box.",
    )


class Mode(StrEnum):
    """Whether a record may be there before it is written."""

    UPSERT = "upsert"
    INSERT = "insert"
    UPDATE = "update"


class Upsert(Change):
    """A record to be written: inserted, or updated where it exists."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve upsert")

    allowed: ClassVar[Mapping[str, str]] = {
        **Change.allowed,
        "record": 'must be an object with plain values, as in {"CustomerID": "C000000003"}',
        "mode": f"must be {', '.join(Mode)}",
        "read_back": "must be true or false",
        **{name: Job.allowed[name] for name in ("select", "expand", "custom")},
    }

    kind: Literal["upsert"] = "upsert"
    record: Values = Field(
        min_length=1,
        description="Plain values by field; details as lists of rows: without id a new one, with id a change, with "
        '{"id": …, "delete": true} a removal; custom fields under custom, by View.Field.',
    )
    mode: Mode = Field(
        Mode.UPSERT, description="upsert; insert: only if it is new; update: only if it exists."
    )
    read_back: bool = Field(
        False,
        description="Read the record again and compare it, as the ERP may answer 200 and have kept nothing.",
    )
    select: tuple[FieldPath, ...] | None = Field(
        None, max_length=500, description="Fields to return; absent: all."
    )
    expand: tuple[FieldPath, ...] | None = Field(
        None,
        max_length=100,
        description="Details and linked entities to return; absent: those that were written.",
    )
    custom: tuple[FieldPath, ...] = Field((), max_length=100, description="Custom fields to return.")


class Delete(Named):
    """A record to be deleted."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve delete")

    kind: Literal["delete"] = "delete"


class Source(BaseModel):
    """The bytes of a file, which the workers' blob store has under their hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0, description="In bytes.")
    sha256: Digest = Field(description="In lower-case hexadecimal.")


class Upload(Named):
    """A file to be attached to a record; one of its name is replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve upload")

    allowed: ClassVar[Mapping[str, str]] = {
        **Change.allowed,
        "name": "must be a file's name of at most 200 characters, without any of / \\ : * ? < > | % & # + and "
        "quotes, and without a dot or a blank at its end",
        "source": "must be an object with the size and the sha256 of a file: acuworker upload puts it into the "
        "blob store",
        "comment": "must be at most 500 printable ASCII characters, without blanks around them",
    }

    kind: Literal["upload"] = "upload"
    name: FileName = Field(description="The file's name.")
    source: Source = Field(description="The file's bytes.")
    comment: str | None = Field(
        None, max_length=500, pattern=r"^([!-~]([ -~]*[!-~])?)?$", description="A comment to the file."
    )


KINDS: Mapping[str, type[Asked]] = {
    "retrieve": Job,
    "inquiry": Inquiry,
    "action": Action,
    "upsert": Upsert,
    "delete": Delete,
    "upload": Upload,
}


def parse(body: object) -> Asked:
    """The job in a message's body (a JSON object), by its ``kind``. Raises what ``Asked.parse`` raises."""
    kind = body.get("kind", "retrieve") if isinstance(body, dict) else "retrieve"
    form = KINDS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise JobInvalid(Asked.allowed["kind"], "kind")
    return form.parse(body)
