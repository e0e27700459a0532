"""An onlooker: reads what can be seen of blobs all the while, and counts what is not what its name or manifest says.

Knows of the worker only the form of what it leaves. What cannot be read counts as wrong, never as an error.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from html import unescape
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

LOOK_SECONDS = 0.05
KEPT = 20


class Place(Protocol):
    """A place for blobs, as anybody may read it."""

    def listed(self) -> Iterable[str]: ...
    def read(self, key: str) -> bytes | None: ...


class Tree:
    """A directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listed(self) -> list[str]:
        """The key of every file but those that are being written."""
        places = (self._root / "files", self._root / "jobs")
        return [
            str(path.relative_to(self._root))
            for place in places
            for path in place.rglob("*")
            if path.is_file()
        ]

    def read(self, key: str) -> bytes | None:
        """The bytes of a file; None where it is not there."""
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            return None


class Bucket:
    """A bucket of an S3 that takes anybody."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._url = f"{endpoint}/{name}"
        self._prefix = "results/"

    def listed(self) -> list[str]:
        """The key of every object."""
        found: list[str] = []
        after = ""
        while True:
            page = self._get(f"?list-type=2&start-after={quote(after)}") or b""
            some = re.findall(r"<Key>(.*?)</Key>", page.decode())
            if not some:
                return found
            found += [unescape(key).removeprefix(self._prefix) for key in some]
            after = unescape(some[-1])

    def read(self, key: str) -> bytes | None:
        """The bytes of an object; None where it is not there."""
        return self._get(f"/{quote(self._prefix + key)}")

    def copy(self, root: Path) -> None:
        """Leave every object in a directory."""
        for key in self.listed():
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(key) or b"")

    def _get(self, target: str) -> bytes | None:
        try:
            # moto asks whether a request is signed, not by whom.
            signed = urllib.request.Request(self._url + target, headers={"Authorization": "AWS anybody:x"})  # noqa: S310
            with urllib.request.urlopen(signed, timeout=30) as answer:  # noqa: S310
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError:
            return None


class Onlooker:
    """Looks at a place by a thread of its own, until it is told to end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._right: set[str] = set()
        self._manifests: set[str] = set()
        self._wrong: list[str] = []
        self._looks = 0

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        # Once more, from the beginning: what was right must be right still.
        self._right.clear()
        self._look()

    def told(self) -> Mapping[str, Any]:
        """What was seen."""
        return {
            "looks": self._looks,
            "blobs": len(self._right),
            "manifests": len(self._manifests),
            "wrong": len(self._wrong),
            "examples": self._wrong[:KEPT],
        }

    def _work(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        self._looks += 1
        for key in self._place.listed():
            if key not in self._right:
                self._judge(key)

    def _judge(self, key: str) -> None:
        if key.startswith("files/"):
            # What was listed is there: nobody removes a file within a check.
            content = self._place.read(key)
            is_right = content is not None and _hash(content) == key.rpartition("/")[2]
        elif key.endswith("/manifest.json"):
            is_right = self._is_whole(key)
            self._manifests.add(key)
        else:
            # Parts are nobody's before a manifest names them.
            return
        (self._right.add if is_right else self._wrong.append)(key)

    def _is_whole(self, key: str) -> bool:
        try:
            manifest = json.loads(self._place.read(key) or b"")
        except ValueError:
            return False
        parts = [*manifest["records"], *manifest["files"], *manifest["tombstones"]]
        return all(self._is_there(part) for part in parts)

    def _is_there(self, part: Mapping[str, Any]) -> bool:
        key = "jobs/" + str(part["url"]).rpartition("/jobs/")[2]
        content = self._place.read(key) or b""
        return (len(content), _hash(content)) == (part["size"], part["sha256"])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
