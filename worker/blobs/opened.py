"""The blob store that an operator has set, opened. Raises Misconfigured where it cannot be."""

from __future__ import annotations

from worker.blobs.directory import Directory
from worker.blobs.store import BlobStore
from worker.errors import Misconfigured
from worker.settings import Settings


def open_blobs(settings: Settings) -> BlobStore:
    """The directory, or the object store, of these settings."""
    place = settings.blob_place
    if "://" not in place:
        return Directory(settings.blob_directory)
    try:
        # An extra, and half a second that nobody else should wait for.
        from worker.blobs.objects import Objects
    except ImportError:
        raise Misconfigured(
            "an object store needs obstore: pip install 'acumatica-worker[objects]'", "blobs"
        ) from None
    return Objects(place, settings.var.absolute() / "staging")
