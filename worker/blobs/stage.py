"""A job's stage: where its attempts keep what they have, in the store itself, so that any machine can go on with it.

    files/ab/abcdef…                  an attached file, once per content, under its SHA-256
    jobs/<job>/<try>/…                parts, and the tails of a part that is not complete
    jobs/<job>/manifest.json          the manifest, which makes the parts it names a result

What no manifest names is nobody's to read. An attempt that was given up for dead may still write: each writes under a
mark of its own alone. What another attempt had staged and is not there any more raises StageLost.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from worker.blobs.names import file_key
from worker.blobs.store import BlobStore, Spool
from worker.errors import BlobsUnavailable, StageLost
from worker.result import Blob, Manifest

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A blob of the stage, as a checkpoint names it: a sealed part, or one tail after the other of an open one."""

    key: str
    size: int
    sha256: str
    records: int = 0
    text_size: int = 0


class Stage:
    """A job's place in the store, for one attempt to write in."""

    def __init__(self, blobs: BlobStore, job_id: str) -> None:
        self.blobs = blobs
        self._home = f"jobs/{job_id}"
        self._mark = secrets.token_hex(4)
        self._spools: list[Spool] = []

    def spool(self) -> Spool:
        """A local file to write in, which is given up with the stage at the latest."""
        spool = self.blobs.spool()
        self._spools.append(spool)
        return spool

    def put(self, name: str, spool: Spool, **about: Any) -> Staged:
        """Keep a spool under this name of this attempt's own, and give it up."""
        return self._put(self.blobs.put, name, spool, about)

    def put_tail(self, name: str, spool: Spool, **about: Any) -> Staged:
        """As ``put``, for what goes with the job."""
        return self._put(self.blobs.put_for_now, name, spool, about)

    def keep(self, spool: Spool) -> Blob:
        """The blob of this content, from now on; the same content takes its place only once."""
        key = file_key(spool.sha256)
        self.blobs.share(key, spool)
        self._give_up(spool)
        return Blob(url=self.blobs.url(key), size=spool.size, sha256=spool.sha256)

    def require(self, *staged: Staged) -> None:
        """Raise StageLost where not all of these are there, as long as they were."""
        there = {entry.key: entry.size for entry in self.blobs.entries(f"{self._home}/")} if staged else {}
        for each in staged:
            if there.get(each.key) != each.size:
                raise StageLost(
                    f"what another worker had staged at {self.blobs.url(each.key)} is not there: "
                    "do all workers share the blob store?"
                )

    def resumed(self, *tails: Staged) -> Spool:
        """A spool that begins with these tails. Raises StageLost where one is not what was put there."""
        spool = self.spool()
        for tail in tails:
            digest = hashlib.sha256()
            for chunk in self.blobs.chunks(self.blobs.url(tail.key)):
                digest.update(chunk)
                spool.write(chunk)
            if digest.hexdigest() != tail.sha256:
                raise StageLost(f"{self.blobs.url(tail.key)} is not what another worker had staged there")
        return spool

    def publish(self, drafted: Manifest) -> tuple[Manifest, Blob]:
        """Make a result of the parts that the manifest names, and give the manifest that stands.

        The first to publish for a job wins; another is given the winner's manifest.
        """
        key = f"{self._home}/manifest.json"
        text = drafted.model_dump_json(exclude_none=True).encode()
        if not self.blobs.put_if_absent(key, text):
            text = b"".join(self.blobs.chunks(self.blobs.url(key)))
        blob = Blob(url=self.blobs.url(key), size=len(text), sha256=hashlib.sha256(text).hexdigest())
        return read_manifest(blob, text), blob

    def close(self) -> None:
        """Give up the spools that are open; what was put stays for the next attempt."""
        while self._spools:
            self._give_up(self._spools[-1])

    def _put(
        self, put: Callable[[str, Spool], None], name: str, spool: Spool, about: dict[str, Any]
    ) -> Staged:
        key = f"{self._home}/{self._mark}/{name}"
        put(key, spool)
        self._give_up(spool)
        return Staged(key=key, size=spool.size, sha256=spool.sha256, **about)

    def _give_up(self, spool: Spool) -> None:
        self._spools.remove(spool)
        spool.close()


@contextmanager
def staging(blobs: BlobStore, job_id: str) -> Iterator[Stage]:
    """A job's stage, for one attempt to write in."""
    stage = Stage(blobs, job_id)
    try:
        yield stage
    finally:
        stage.close()


def discard(blobs: BlobStore, job_id: str) -> None:
    """Remove what a job that has ended had staged, but for what its manifest names; what cannot go now, gc removes."""
    home = f"jobs/{job_id}"
    try:
        there = [entry.key for entry in blobs.entries(f"{home}/")]
        kept = _named(blobs, f"{home}/manifest.json") if f"{home}/manifest.json" in there else frozenset()
        blobs.remove([key for key in there if blobs.url(key) not in kept])
    except BlobsUnavailable as error:
        log.warning("what a job had staged stays until acuworker gc", job_id=job_id, reason=error.message)


def _named(blobs: BlobStore, key: str) -> frozenset[str]:
    url = blobs.url(key)
    manifest = Manifest.model_validate_json(b"".join(blobs.chunks(url)))
    parts = (*manifest.records, *manifest.files, *manifest.tombstones)
    return frozenset((url, *(part.url for part in parts)))


def read_manifest(blob: Blob, text: bytes) -> Manifest:
    """The manifest in these bytes. Raises BlobsUnavailable."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        raise BlobsUnavailable(f"{blob.url} is not a manifest that this version can read") from None
