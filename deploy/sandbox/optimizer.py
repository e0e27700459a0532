"""What keeps the ERP from turning a list request into one query; such a request fails as a whole.

The causes are in the entity's definition: a nested entity whose view has a BQL delegate (recorded for Payment's
ApplicationHistory), and an entity that lists only by its keys (reported for Shipment). A request for one record
does not pass through the optimizer.
"""

from collections.abc import Iterable, Iterator

from deploy.sandbox.projection import Projection
from deploy.sandbox.refusal import cannot_optimize
from deploy.sandbox.schema import TopLevel


def check_list(projection: Projection) -> None:
    """Raises Refusal when the list asks for fields that cannot be optimized."""
    causes = list(_delegates(projection))
    if causes:
        raise cannot_optimize(causes)


def check_filter(entity: TopLevel, paths: Iterable[tuple[str, ...]]) -> None:
    """Raises Refusal when the filter names other fields than the keys of an entity that lists only by keys."""
    others = non_key_fields(entity, paths)
    if others:
        raise cannot_optimize([f"{name}: Field {name} is marked as non-optimizable" for name in others])


def non_key_fields(entity: TopLevel, paths: Iterable[tuple[str, ...]]) -> list[str]:
    """The fields, in order, by which this entity cannot be listed; empty for most entities."""
    if not entity.form.only_key_filters:
        return []
    return list(dict.fromkeys(path[-1] for path in paths if path[0] not in entity.form.keys))


def _delegates(projection: Projection) -> Iterator[str]:
    for member in projection.members:
        if member.inner is None:
            continue
        if member.field.delegate:
            for inner in member.inner.members:
                yield f"{member.field.name}.{inner.field.name}: View {member.field.view} has BQL delegate"
        else:
            yield from _delegates(member.inner)
