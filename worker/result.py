"""What travels back: the result of a job, and the manifest and blobs of a large one. All of it is frozen."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from worker.job import Compression


class Blob(BaseModel):
    """Bytes in the blob store, and how to be sure of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="Where they are: file:///…, s3://…, az://… or gs://….")
    size: int = Field(description="In bytes, as stored.")
    sha256: str = Field(description="Of all the bytes as stored, in lower-case hexadecimal.")


class Part(Blob):
    """NDJSON in a blob: whole lines, each a JSON value."""

    records: int = Field(description="Lines in it.")
    text_size: int = Field(description="Bytes of the lines, uncompressed.")
    encoding: Compression = Field(description="How it is compressed: as whole gzip members or zstd frames.")


class File(Blob):
    """An attached file; its name is only a name, never part of the path."""

    name: str = Field(description="As the ERP has it, without the record's name before it.")
    record_id: str = Field(description="The id of the record, or of the detail row, that it is attached to.")
    file_id: str = Field(description="Its id in the ERP.")
    keys: tuple[str, ...] = Field((), description="The key values of the top-level record.")
    detail: str | None = Field(
        None, description="The way from that record to the row, as in Details; absent for the record itself."
    )


class Observed(BaseModel):
    """What was promised of records that changed while the job read them, and what was seen of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promised: str | None = Field(
        None,
        description="stable: each record once, as of some moment during the job; fresh: and no older than t0.",
    )
    appeared: int = Field(0, description="Records that came during the job, and were read by its repair.")
    changed: int = Field(0, description="Records that the repair read again, and found otherwise.")
    vanished: int = Field(0, description="Records that were listed, and gone before they could be read.")


class Facts(BaseModel):
    """What is known of a result, large or small, wherever its records are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: str
    connection: str
    branch: str | None = Field(None, description="As the job named it; absent: the connection's.")
    entity: str
    count: int = Field(description="Records.")
    file_count: int = Field(0, description="Attached files.")
    size: int = Field(description="Bytes of the records as NDJSON, uncompressed.")
    sha256: str = Field(description="Of the records as NDJSON, uncompressed, from the first to the last.")
    pages: int = 0
    strategy: str = Field(description="The way they were retrieved: one, batches, by_key.")
    consistency: Observed = Observed()
    t0: str | None = Field(None, description="The ERP's clock at the first page, as ISO 8601.")
    t1: str | None = Field(None, description="The ERP's clock at the last page, as ISO 8601.")
    notes: tuple[str, ...] = Field(
        (), description="What the caller should know, such as a list that had to go by key."
    )


class Manifest(Facts):
    """What a large result consists of; it is written last, and what it names is complete."""

    model_config = ConfigDict(title="acumatica.retrieve manifest")

    records: tuple[Part, ...] = Field(description="The records, in order.")
    files: tuple[Part, ...] = Field(description="In order; each line describes one attached file.")
    tombstones: tuple[Part, ...] = Field(
        (), description="In order; each line has the keys of a record that was listed and gone."
    )


class Published(Facts):
    """What came of a job's pages: all of its result but the cost."""

    records: str | None = Field(
        None, description="The records as NDJSON, one JSON object a line; absent with a manifest."
    )
    files: tuple[File, ...] | None = Field(None, description="The attached files; absent with a manifest.")
    tombstones: tuple[tuple[str, ...], ...] | None = Field(
        None, description="The keys of records that were listed and gone; absent with a manifest."
    )
    manifest: Blob | None = Field(
        None, description="The manifest of a result over 64 KiB: JSON that names its parts."
    )

    def result(self, cost: Cost) -> Result:
        """The result, at this cost."""
        return Result(**dict(self), cost=cost)


class Cost(BaseModel):
    """What a job cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(0, description="Requests made to the ERP for it, sign-ins among them.")
    seconds: float = Field(0.0, description="From its first delivery to a worker to its end.")
    waits: Mapping[str, float] = Field(
        default_factory=dict,
        description="Seconds waited: for a session, for the license's minute, to try again.",
    )


class Result(Published):
    """What a job comes to: its counts and cost, and the records inline or a manifest of blobs."""

    model_config = ConfigDict(title="acumatica.retrieve result")

    cost: Cost
