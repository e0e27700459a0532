"""Writing ``connections.toml``: one connection at a time, the others and their comments left as they are.

The file holds secrets, so it is replaced whole, by one of mode 600. Raises Misconfigured.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable

from worker.errors import Misconfigured

ONE_OF = (("password", "password_file"), ("client_secret", "client_secret_file"))
"""Settings of which a connection has either; a new one takes the place of the other."""


def load(path: Path) -> dict[str, dict[str, Any]]:
    """The connections in the file, as they are written there; none where there is no file."""
    tables = _connections(_document(path), path)
    return {name: dict(table.unwrap()) for name, table in tables.items() if isinstance(table, AbstractTable)}


def save(path: Path, name: str, values: Mapping[str, str | int]) -> None:
    """Set these values of the connection of that name, and leave its others."""
    document = _document(path)
    tables = _connections(document, path)
    table = tables.setdefault(name, tomlkit.table())
    for pair in ONE_OF:
        for key in set(pair) & table.keys():
            del table[key]
    table.update(values)
    replace(path, tomlkit.dumps(document))


def replace(path: Path, text: str) -> None:
    """Put a file of mode 600 in the place of another, whole or not at all."""
    target = path.resolve()
    try:
        number, staged = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(number)
            Path(staged).replace(target)
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}") from None


def _document(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, ValueError, TOMLKitError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from None


def _connections(document: tomlkit.TOMLDocument, path: Path) -> AbstractTable:
    found = document.setdefault("connections", tomlkit.table(is_super_table=True))
    if not isinstance(found, AbstractTable):
        raise Misconfigured(f"{path}: connections must be tables, as in [connections.default]")
    return found
