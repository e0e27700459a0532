"""Rows with their fields by name, as inquiries and OData read the tenant's records. Nothing here fails."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from deploy.sandbox.instance import Instance
from deploy.sandbox.rows import Row, Scalar
from deploy.sandbox.schema import Entity


class Record(NamedTuple):
    """A row of an entity, and the record that it is a detail of, if it is one."""

    entity: Entity
    row: Row
    parent: "Record | None" = None

    def read(self, source: str) -> Scalar | None:
        """The value that a column shows."""
        if "*" in source:
            left, _, right = source.partition("*")
            return _product(self.read(left), self.read(right))
        if source.startswith("../"):
            return None if self.parent is None else self.parent.read(source[3:])
        if source == "NoteID":
            return self.row.id
        found = self.entity.fields.get(source)
        value = None if found is None else self.row.values[found.index]
        return None if isinstance(value, tuple) else value

    def details(self, name: str) -> Iterator["Record"]:
        """The detail rows of this name."""
        found = self.entity.fields[name]
        rows = self.row.values[found.index]
        if found.nested is None or not isinstance(rows, tuple):
            return iter(())
        return (Record(found.nested, row, self) for row in rows if isinstance(row, Row))


def records_of(instance: Instance, entity: str) -> Iterator[Record]:
    """The records of an entity in the order of its keys; none of one that the tenant has not."""
    definition = instance.definition(entity)
    if definition is None:
        return iter(())
    return (Record(definition, row) for row in instance.rows(entity))


def _product(left: Scalar | None, right: Scalar | None) -> Decimal:
    factors = [value for value in (left, right) if isinstance(value, Decimal | int)]
    return Decimal(factors[0]) * factors[1] if len(factors) == 2 else Decimal(0)
