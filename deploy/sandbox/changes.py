"""One change to the data, as the control API is given it: insert, update or delete a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from deploy.sandbox.instance import Instance

Op = Literal["insert", "update", "delete"]


@dataclass(frozen=True)
class Change:
    """What is to be done to which record: the one with `keys`, or with `id`; an insert has neither."""

    op: Op
    entity: str
    keys: tuple[str, ...] = ()
    id: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    @staticmethod
    def from_json(document: object) -> "Change":
        """Read a change; raises ValueError that names what is wrong."""
        given = checked(document, {"op": str, "entity": str, "keys": list, "id": str, "values": dict})
        if given.get("op") not in get_args(Op):
            raise ValueError(f"op is one of {', '.join(get_args(Op))}, not {given.get('op')!r}")
        if (given["op"] == "insert") is ("keys" in given or "id" in given):
            raise ValueError(
                "an update or delete has the record's keys or its id; an insert has values alone"
            )
        given["keys"] = tuple(str(key) for key in given.get("keys", ()))
        return Change(**{"entity": "", **given})

    def apply(self, instance: Instance) -> dict[str, object]:
        """Do it, and say what was done to which record; raises ValueError or LookupError as Instance does."""
        record_id = self._do(instance)
        return {"op": self.op, "entity": self.entity, **record_id}

    def _do(self, instance: Instance) -> dict[str, object]:
        if self.op == "insert":
            record_id = instance.insert(self.entity, self.values)
            return {"id": record_id, "keys": list(instance.keys_of(self.entity, record_id).values())}
        record_id = self.id or instance.id_of(self.entity, self.keys)
        keys = list(instance.keys_of(self.entity, record_id).values())
        if self.op == "update":
            instance.change(self.entity, record_id, self.values)
        else:
            instance.delete(self.entity, record_id)
        return {"id": record_id, "keys": keys}


def checked(document: object, fields: Mapping[str, type]) -> dict[str, Any]:
    """The members of a JSON object; raises ValueError for an unknown one or one of another type."""
    if not isinstance(document, Mapping):
        raise ValueError(f"a JSON object was expected, not {type(document).__name__}")
    for name, value in document.items():
        if name not in fields:
            raise ValueError(f"there is no field {name!r}; there are {', '.join(fields)}")
        if not isinstance(value, fields[name]) or (isinstance(value, bool) and fields[name] is not bool):
            raise ValueError(f"{name} should be of type {fields[name].__name__}, not {value!r}")
    return dict(document)
