"""Blobs in an object store: S3, Azure or Google Cloud Storage, by obstore (the extra ``objects``).

Credentials are what obstore finds in the environment. What the store still refuses after obstore's own retries raises
BlobsUnavailable; an upload that fails is aborted, and nothing of it can be seen.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from worker.blobs.store import Entry, Spool, named
from worker.errors import BlobsUnavailable, Misconfigured

if TYPE_CHECKING:
    from obstore.store import RetryConfig

UPLOADS = 3
"""Pieces of 5 MiB of one blob that are sent at once: they are what an upload holds in memory."""

FRESH_SECONDS = 10 * 86_400
"""A blob of this age is put again when it is used again, as its age cannot be changed otherwise."""

READ_BYTES = 4 * 1024 * 1024
"""How much of a blob is read by one request."""

RETRIES = 6
RETRY_SECONDS = 60


class Objects:
    """The blobs below a URL such as ``s3://bucket/prefix``."""

    def __init__(self, url: str, spools: Path) -> None:
        """``spools`` is a local directory for what is being written. Raises Misconfigured."""
        self._url = url.rstrip("/")
        self._spools = spools
        self._objects = _open(self._url)

    def __str__(self) -> str:
        return self._url

    def spool(self) -> Spool:
        """A local file without a name: it goes with its process."""
        with named(self._spools):
            self._spools.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Spool(str(self._spools), tempfile.TemporaryFile(dir=self._spools))

    def put(self, key: str, spool: Spool) -> None:
        """Upload the spool."""
        with self._named(key):
            spool.file.seek(0)
            obstore.put(self._objects, key, spool.file, max_concurrency=UPLOADS)

    put_for_now = put

    def share(self, key: str, spool: Spool) -> None:
        """Upload the spool, unless the blob is there and was lately put."""
        with self._named(key):
            is_fresh = self._is_fresh(key)
        if not is_fresh:
            self.put(key, spool)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Upload these bytes, on the condition that nothing is there."""
        try:
            with self._named(key):
                obstore.put(self._objects, key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def url(self, key: str) -> str:
        """Its address, without any credentials."""
        return f"{self._url}/{key}"

    def chunks(self, url: str) -> Iterator[bytes]:
        """The bytes of a blob of this store."""
        key = self._key(url)
        with self._named(key):
            whole = obstore.get(self._objects, key)
            size = whole.meta["size"]
            if size <= READ_BYTES:
                yield bytes(whole.bytes())
                return
            # Each range has a request's time to itself, and its own retries.
            for start in range(0, size, READ_BYTES):
                end = min(start + READ_BYTES, size)
                yield bytes(obstore.get_range(self._objects, key, start=start, end=end))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The blobs below a prefix."""
        with self._named(prefix):
            now = datetime.now(UTC)
            for some in obstore.list(self._objects, prefix=prefix.rstrip("/")):
                for each in some:
                    age = (now - each["last_modified"]).total_seconds()
                    yield Entry(key=each["path"], size=each["size"], age=age)

    def remove(self, keys: Sequence[str]) -> None:
        """Delete blobs."""
        if keys:
            with self._named(keys[0]):
                obstore.delete(self._objects, list(keys))

    def require_usable(self) -> None:
        """Raise BlobsUnavailable where the store does not let itself be listed."""
        next(self.entries("jobs/"), None)

    def _is_fresh(self, key: str) -> bool:
        try:
            modified: datetime = obstore.head(self._objects, key)["last_modified"]
        except FileNotFoundError:
            return False
        return (datetime.now(UTC) - modified).total_seconds() < FRESH_SECONDS

    def _key(self, url: str) -> str:
        if not url.startswith(f"{self._url}/"):
            raise BlobsUnavailable(f"{url} is not in {self._url}: is ACUWORKER_BLOBS the workers' own?")
        return url[len(self._url) + 1 :]

    @contextmanager
    def _named(self, key: str) -> Iterator[None]:
        """Turns what obstore says of a blob into a BlobsUnavailable that names it."""
        try:
            yield
        except AlreadyExistsError:
            raise
        except FileNotFoundError:
            raise BlobsUnavailable(f"{self._url}/{key} cannot be read: there is no such blob") from None
        except (BaseError, OSError) as error:
            raise BlobsUnavailable(f"{self._url}/{key} cannot be read or written: {_reason(error)}") from None


def _open(url: str) -> ObjectStore:
    retrying: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
    options: Any = {"retry_config": retrying}
    try:
        # Other options of its client would put aside those of the environment.
        return from_url(url, **options)
    except (BaseError, ValueError) as error:
        raise Misconfigured(f"{url} cannot be opened: {_reason(error)}", "blobs") from None


def _reason(error: Exception) -> str:
    """What an object store says, in a line, without what may be a secret in an address."""
    told = str(error).split("\n\nDebug source", 1)[0]
    return " ".join(re.sub(r"\?\S+", "", told).split())[:300]
