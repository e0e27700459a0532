"""What becomes of an action on a record: whether it may be done, and doing it. Fails with Refused, the ERP's answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.sandbox import replies
from deploy.sandbox.asked import Asked, echo
from deploy.sandbox.effects import Effect, Parameter
from deploy.sandbox.instance import Instance
from deploy.sandbox.replies import Reply
from deploy.sandbox.rows import SERVER_ZONE, Row
from deploy.sandbox.schema import Contract, TopLevel
from deploy.sandbox.values import scalar_of

_DISABLED = "PX.Data.PXActionDisabledException"
_ERRORS = "PX.Api.ContractBased.OutcomeEntityHasErrorsException"


class Refused(Exception):
    """The ERP does not do it: `reply` is its answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True)
class Execution:
    """An action that may be done: to which record, on which form, and what it sets."""

    entity: str
    record: str
    screen: str
    effect: Effect
    fields: Mapping[str, object]
    parameters: Mapping[str, object]


def check(instance: Instance, contract: Contract, entity: str, effect: Effect, asked: Asked) -> Execution:
    """What the action would do; raises Refused.

    In this order: the record is there (or it is as with a GET of it); its values and parameters are good (422); the
    button is enabled (500, in the words of the ERP's own exception; that it meets the API so is a choice).
    """
    definition = contract.entities[entity]
    record = _record(instance, contract, definition, asked)
    fields, errors = _fields(definition, asked)
    taken, wrong = _parameters(effect, asked)
    errors.update(wrong)
    if effect.more == "rename" and not errors:
        errors = _taken(instance, entity, taken)
    if errors:
        raise Refused(_invalid(asked, errors))
    whole = instance.definition(entity) or definition
    status = whole.fields.get("Status")
    if not effect.enabled(record.values[status.index] if status else None):
        raise Refused(_disabled(effect))
    sets = {name: value for name, value in _sets(effect, definition, taken).items() if name in whole.fields}
    return Execution(
        entity, record.id, definition.form.screen_id, effect, {**fields, **sets}, asked.parameters
    )


def perform(instance: Instance, execution: Execution) -> None:
    """Do it. Raises Refused when the record has gone or its new key was taken since it was checked."""
    try:
        if execution.effect.more == "shipment":
            instance.change(execution.entity, execution.record, {"Shipments": _ship(instance, execution)})
        instance.change(execution.entity, execution.record, execution.fields)
    except (LookupError, ValueError) as why:
        frame = "PX.Data.PXGraph.Persist()"
        raise Refused(replies.exception(500, str(why), "PX.Data.PXException", frame)) from why


def _record(instance: Instance, contract: Contract, definition: TopLevel, asked: Asked) -> Row:
    """The record that is meant; without one, the refusal that a GET of it gets. A processing form keeps none: whatever
    id a PUT of its filter was answered with, it is meant."""
    if definition.form.inquiry:
        return next(instance.rows(definition.name))
    keys = [asked.id] if asked.id else [str(asked.fields.get(name, "")) for name in definition.form.keys]
    found = instance.row(definition.name, keys) if all(keys) else None
    if found is None:
        answer = instance.get(definition.name, keys or [""], {}, contract)
        raise Refused(Reply(answer.status, (("Content-Type", answer.content_type),), answer.body))
    return found


def _sets(effect: Effect, definition: TopLevel, taken: Mapping[str, object]) -> dict[str, object]:
    """What the action itself sets: by its nature, from its parameters, and the time."""
    sets = dict(effect.sets)
    sets.update({effect.parameters[name].into: value for name, value in taken.items()})
    if effect.stamps:
        sets[effect.stamps] = datetime.now(SERVER_ZONE).replace(microsecond=0)
    if effect.more == "rename":
        sets[definition.form.keys[-1]] = next(iter(taken.values()))
    return sets


def _value(record: Mapping[str, Any], name: str) -> object:
    return record.get(name, {}).get("value")


def _fields(definition: TopLevel, asked: Asked) -> tuple[dict[str, object], dict[str, str]]:
    """The fields that the action's record sets besides its keys, and the errors of those that cannot be."""
    good: dict[str, object] = {}
    errors: dict[str, str] = {}
    for name, value in asked.fields.items():
        field = definition.fields.get(name)
        if field is None or field.nested is not None or name in definition.form.keys:
            continue  # the ERP leaves out what it does not know
        try:
            good[name] = None if value is None else scalar_of(name, field.kind, value)
        except ValueError:
            errors[name] = f"The value '{value}' is not valid for '{name}'."
    return good, errors


def _parameters(effect: Effect, asked: Asked) -> tuple[dict[str, object], dict[str, str]]:
    """The parameters that the action takes, and the errors of those that it does not; others are left out."""
    good: dict[str, object] = {}
    errors: dict[str, str] = {}
    for name, parameter in effect.parameters.items():
        value = asked.parameters.get(name)
        error = _wrong(name.rpartition(".")[2], parameter, value)
        if error:
            errors[name] = error
        elif value is not None:
            good[name] = value
    return good, errors


def _wrong(name: str, parameter: Parameter, value: object) -> str:
    """What is wrong with a parameter's value; empty for nothing."""
    if value is None or value == "":
        return f"'{name}' cannot be empty." if parameter.required else ""
    try:
        scalar_of(name, parameter.kind, value)
    except ValueError:
        return f"The value '{value}' is not valid for '{name}'."
    if not parameter.choices or value in parameter.choices:
        return ""
    if parameter.refers_to:
        return f"'{parameter.refers_to}' cannot be found in the system."
    return f"The list value '{value}' is not allowed for field '{name}'."


def _taken(instance: Instance, entity: str, taken: Mapping[str, object]) -> dict[str, str]:
    """The error of a new key that another record has."""
    ((name, key),) = taken.items()
    if instance.row(entity, [str(key)]) is None:
        return {}
    return {name: f"The identifier '{key}' is already used for another record."}


def _invalid(asked: Asked, errors: Mapping[str, str]) -> Reply:
    """422 with the errors at their fields, under `entity` (documented)."""
    lines = "".join(f"\r\n{name}: {error}" for name, error in errors.items())
    words = f"Operation failed{lines}"
    document = {"entity": echo(asked, errors), "exceptionMessage": words, "exceptionType": _ERRORS}
    return replies.document(422, document)


def _disabled(effect: Effect) -> Reply:
    return replies.exception(
        500, f"The {effect.title} button is disabled.", _DISABLED, "PX.Data.PXAction.Press()"
    )


def _ship(instance: Instance, execution: Execution) -> list[dict[str, object]]:
    """Create the shipment of an order's lines; answers the order's rows of shipments."""
    query = {"$expand": "Details,Shipments"}
    order = json.loads(instance.get(execution.entity, [execution.record], query).body)
    listed = json.loads(instance.list("Shipment", {"$select": "ShipmentNbr"}).body)
    numbers = [str(_value(shipment, "ShipmentNbr")) for shipment in listed]
    last = max((int(number) for number in numbers if number.isdigit()), default=0)
    number = f"{last + 1:06}"
    shipped_on = execution.parameters.get("ShipmentDate") or datetime.now(SERVER_ZONE).date().isoformat()
    quantity = str(_value(order, "OrderedQty") or 0)
    instance.insert("Shipment", _shipment(order, number, shipped_on, execution.parameters.get("WarehouseID")))
    row = {
        "ShipmentNbr": number,
        "ShipmentType": "Shipment",
        "ShipmentDate": shipped_on,
        "ShippedQty": quantity,
    }
    return [*map(_plain, order["Shipments"]), {**row, "Status": "Open"}]


def _shipment(order: dict[str, Any], number: str, shipped_on: object, warehouse: object) -> dict[str, object]:
    """A shipment of all lines of an order, from the warehouse or from that of each line."""
    of_order = {"OrderType": _value(order, "OrderType"), "OrderNbr": _value(order, "OrderNbr")}
    lines = [
        {
            **of_order,
            "InventoryID": _value(line, "InventoryID"),
            "LineNbr": at,
            "ShippedQty": str(_value(line, "OrderQty") or 0),
            "UOM": _value(line, "UOM"),
            "WarehouseID": warehouse or _value(line, "WarehouseID"),
        }
        for at, line in enumerate(order["Details"], 1)
    ]
    return {
        "Type": "Shipment",
        "ShipmentNbr": number,
        "ShipmentDate": shipped_on,
        "CustomerID": _value(order, "CustomerID"),
        "Hold": False,
        "Operation": "Issue",
        "ShippedQty": str(_value(order, "OrderedQty") or 0),
        "Status": "Open",
        "WarehouseID": warehouse or "MAIN",
        "Details": lines,
        "Orders": [{**of_order, "ShipmentNbr": number}],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, object]:
    """The scalar values of a row, as the data takes them."""
    values = {
        name: member["value"]
        for name, member in row.items()
        if isinstance(member, dict) and "value" in member
    }
    return {name: value for name, value in values.items() if name != "note"}
