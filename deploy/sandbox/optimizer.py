"""What keeps the ERP from turning a list request into one query; such a request fails as a whole.

The causes are in the entity's definition: a nested entity whose view has a BQL delegate (recorded for Payment's
ApplicationHistory), an entity that lists only by its keys (reported for Shipment) or not at all (reported for physical
counts). A request for one record does not pass through the optimizer, but some inquiries fail in the same way (reported
for those of prices).
"""

from collections.abc import Iterable, Iterator

from deploy.sandbox.projection import Projection
from deploy.sandbox.refusal import cannot_optimize
from deploy.sandbox.schema import TopLevel


def check_list(entity: TopLevel, projection: Projection) -> None:
    """Raises Refusal when the list asks for fields that cannot be optimized."""
    causes = [*_whole_view(entity, projection), *_delegates(projection)]
    if causes:
        raise cannot_optimize(causes)


def check_one(entity: TopLevel, projection: Projection) -> None:
    """Raises Refusal when not even a single record can be asked for."""
    if entity.form.lists == "nothing":
        check_list(entity, projection)


def check_filter(entity: TopLevel, paths: Iterable[tuple[str, ...]]) -> None:
    """Raises Refusal when the filter names other fields than the keys of an entity that lists only by keys."""
    others = non_key_fields(entity, paths)
    if others:
        raise cannot_optimize([f"{name}: Field {name} is marked as non-optimizable" for name in others])


def non_key_fields(entity: TopLevel, paths: Iterable[tuple[str, ...]]) -> list[str]:
    """The fields, in order, by which this entity cannot be listed; empty for most entities."""
    if entity.form.lists != "by keys":
        return []
    return list(dict.fromkeys(path[-1] for path in paths if path[0] not in entity.form.keys))


def _whole_view(entity: TopLevel, projection: Projection) -> Iterator[str]:
    """The causes in an entity whose own view has a BQL delegate, by field; without any, in another reported form."""
    if entity.form.lists in ("one by one", "nothing"):
        if not projection.members:
            yield f"{entity.name}: There is a BqlDelegate in view {entity.form.view}"
        for member in projection.members:
            yield f"{member.field.name}: View {entity.form.view} has BQL delegate"


def _delegates(projection: Projection) -> Iterator[str]:
    for member in projection.members:
        if member.inner is None:
            continue
        if member.field.delegate:
            for inner in member.inner.members:
                yield f"{member.field.name}.{inner.field.name}: View {member.field.view} has BQL delegate"
        else:
            yield from _delegates(member.inner)
