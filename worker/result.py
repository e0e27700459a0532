"""What travels back: the result of a job, and the manifest and blobs of a large one. All of it is frozen."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class Blob(BaseModel):
    """Bytes in the blob store, and how to be sure of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="Where they are: file:///…")
    size: int = Field(description="In bytes.")
    sha256: str = Field(description="Of all the bytes, in lower-case hexadecimal.")
    records: int | None = Field(None, description="Lines of NDJSON in it; absent for a file.")


class File(Blob):
    """An attached file; its name is only a name, never part of the path."""

    name: str = Field(description="As the ERP has it, without the record's name before it.")
    record_id: str = Field(description="The id of the record that it is attached to.")
    file_id: str = Field(description="Its id in the ERP.")


class Manifest(BaseModel):
    """What a large result consists of; it is written last, and what it names is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve manifest")

    job_id: str
    records: tuple[Blob, ...] = Field(description="NDJSON parts, in order.")
    files: tuple[Blob, ...] = Field(
        description="NDJSON parts, in order; each line describes one attached file."
    )


class Cost(BaseModel):
    """What a job cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(0, description="Requests made to the ERP for it, sign-ins among them.")
    seconds: float = Field(0.0, description="From its first delivery to a worker to its end.")
    waits: Mapping[str, float] = Field(
        default_factory=dict,
        description="Seconds waited: for a session, for the license's minute, to try again.",
    )


class Result(BaseModel):
    """What a job comes to: its counts and cost, and the records inline or a manifest of blobs."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acumatica.retrieve result")

    job_id: str
    connection: str
    entity: str
    count: int = Field(description="Records.")
    file_count: int = Field(0, description="Attached files.")
    pages: int = 0
    strategy: str = Field(description="The way they were retrieved: one, batches, by_key.")
    notes: tuple[str, ...] = Field(
        (), description="What the caller should know, such as a list that had to go by key."
    )
    cost: Cost
    records: str | None = Field(
        None, description="The records as NDJSON, one JSON object a line; absent with a manifest."
    )
    files: tuple[File, ...] | None = Field(None, description="The attached files; absent with a manifest.")
    manifest: Blob | None = Field(
        None, description="The manifest of a result over 64 KiB: JSON that names its parts."
    )
