"""Writing ``connections.toml``: one connection at a time; the others, the licenses and their comments stay.

The file holds secrets, so it is replaced whole, by one of mode 600. Raises Misconfigured.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping
from itertools import chain
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
    tables = _tables(_document(path), "connections", path)
    return {name: dict(table.unwrap()) for name, table in tables.items() if isinstance(table, AbstractTable)}


def licenses(path: Path) -> frozenset[str]:
    """The names of the licenses in the file."""
    return frozenset(_tables(_document(path), "licenses", path))


def save(
    path: Path, name: str, values: Mapping[str, str | int | bool], without: Collection[str] = ()
) -> None:
    """Set these values of the connection of that name, and leave its others, but for those it is to be without."""
    document = _document(path)
    tables = _tables(document, "connections", path)
    table = tables.setdefault(name, tomlkit.table())
    replaced = chain(*(pair for pair in ONE_OF if set(pair) & values.keys()))
    for key in ({*without, *replaced} - values.keys()) & table.keys():
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


def _tables(document: tomlkit.TOMLDocument, kind: str, path: Path) -> AbstractTable:
    found = document.setdefault(kind, tomlkit.table(is_super_table=True))
    if not isinstance(found, AbstractTable):
        raise Misconfigured(f"{path}: {kind} must be tables, as in [{kind}.default]")
    return found
