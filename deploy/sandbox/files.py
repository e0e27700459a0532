"""Files attached to records and to their detail rows: how they are named, found and overwritten."""

from collections.abc import Iterator

from deploy.sandbox.collation import fold
from deploy.sandbox.rows import File, Row, Value
from deploy.sandbox.schema import DETAIL, Entity, TopLevel


def file_name(entity: TopLevel, row: Row, name: str) -> str:
    """`Stock Items (AAMACHINE1)\\T2MCRO.jpg`: the form, the keys as stored, the name (recorded for one key)."""
    stored = []
    for key in entity.form.keys:
        field = entity.fields[key]
        value = str(row.values[field.index])
        stored.append(field.codes.get(value, value))
    return f"{entity.form.screen} ({', '.join(stored)})\\{name}"


def files_of(row: Row) -> Iterator[File]:
    """All files of a record and of the rows within it."""
    yield from row.files
    for nested in _nested(row):
        yield from files_of(nested)


def attached(entity: Entity, row: Row, row_id: str, file: File) -> tuple[Row, File] | None:
    """The record with the file attached to it or to the detail row with this id, and the file as it is kept.

    None when the record has no such row. A file of the same name is overwritten and keeps its id (vendor's guide,
    attaching files).
    """
    if entity.has_note and row.id == row_id:
        kept = next((file._replace(id=old.id) for old in row.files if _same_name(old, file)), file)
        others = tuple(old for old in row.files if not _same_name(old, file))
        return row._replace(files=(*others, kept)), kept
    for field in entity.fields.values():
        rows = row.values[field.index]
        if field.kind != DETAIL or field.nested is None or not isinstance(rows, tuple):
            continue
        for at, nested in enumerate(rows):
            found = attached(field.nested, nested, row_id, file)
            if found is not None:
                return _with_value(row, field.index, (*rows[:at], found[0], *rows[at + 1 :])), found[1]
    return None


def _same_name(one: File, other: File) -> bool:
    return fold(one.filename) == fold(other.filename)


def _with_value(row: Row, index: int, value: Value) -> Row:
    return row._replace(values=(*row.values[:index], value, *row.values[index + 1 :]))


def _nested(row: Row) -> Iterator[Row]:
    for value in row.values:
        # A row is a tuple too.
        if isinstance(value, Row):
            yield value
        elif isinstance(value, tuple):
            yield from value
