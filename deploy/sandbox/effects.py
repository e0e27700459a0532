"""What the actions do to a record: a table of those of the demo's forms, and a rule for all others.

The statuses in which a button is enabled, and those that it leads to, are the usual ones of the ERP's workflows; which
of them run as a long operation is recorded for the releases and shipments, and a choice for the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Parameter:
    """A value that an action asks for. Its name is `View.Field` in a dialog box, a bare name when it is typed."""

    kind: str = "String"
    choices: tuple[str, ...] = ()
    """The labels of a combo box; empty for any value."""
    into: str = ""
    """The field of the record that takes the value; empty for none."""
    required: bool = False
    refers_to: str = ""
    """What it names, where its choices are records and not labels."""


@dataclass(frozen=True)
class Effect:
    """What an action does. `title` is on its button."""

    title: str
    sets: Mapping[str, object] = field(default_factory=dict)
    only_in: tuple[str, ...] = ()
    """The statuses in which the button is enabled; empty for all but those of `not_in`."""
    not_in: tuple[str, ...] = ()
    long: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    stamps: str = ""
    """A field that is set to the time of the action."""
    nameless: bool = False
    """Whether its end names no record: a Location with an id of zeros (recorded for the release of payments)."""
    more: str = ""
    """What else is done: `shipment` creates one, `rename` changes the key."""

    def enabled(self, status: object) -> bool:
        """Whether the button can be pressed on a record of this status."""
        return status in self.only_in if self.only_in else status not in self.not_in


_REASONS = ("Abandoned", "Duplicate", "Rejected", "Resolved")
_HOLD: Final = ("On Hold",)
_TO_HOLD = Effect("Hold", {"Status": "On Hold", "Hold": True}, not_in=("On Hold", "Completed", "Closed"))
_SHIPMENT = MappingProxyType(
    {
        "ShipmentDate": Parameter("DateTime"),
        "WarehouseID": Parameter(choices=("MAIN", "YOGI"), refers_to="Warehouse"),
    }
)
_CLOSE = MappingProxyType({"FilterPreview.Reason": Parameter(choices=_REASONS, into="Reason")})
_CHANGE_ID = MappingProxyType({"ChangeIDDialog.CD": Parameter(required=True)})

_CUSTOM: Mapping[tuple[str, str], Effect] = MappingProxyType(
    {
        ("Case", "Close"): Effect(
            "Close",
            {"Status": "Closed"},
            not_in=("Closed", "Released"),
            parameters=_CLOSE,
            stamps="ClosingDate",
        ),
        ("Case", "Open"): Effect("Open", {"Status": "Open"}, only_in=("Closed", "Pending Customer")),
        ("SalesOrder", "ReleaseFromHold"): Effect("Remove Hold", {"Status": "Open", "Hold": False}, _HOLD),
        ("SalesOrder", "PutOnHold"): _TO_HOLD,
        ("SalesInvoice", "ReleaseFromHold"): Effect(
            "Remove Hold", {"Status": "Balanced", "Hold": False}, _HOLD
        ),
        ("SalesInvoice", "PutOnHold"): _TO_HOLD,
        ("Payment", "ReleaseFromHold"): Effect("Remove Hold", {"Status": "Balanced", "Hold": False}, _HOLD),
        ("Payment", "PutOnHold"): _TO_HOLD,
        ("Payment", "Release"): Effect(
            "Release", {"Status": "Open"}, ("Balanced",), long=True, nameless=True
        ),
        ("Shipment", "ReleaseFromHold"): Effect("Remove Hold", {"Status": "Open", "Hold": False}, _HOLD),
        ("Shipment", "PutOnHold"): _TO_HOLD,
        ("StockItem", "ChangeID"): Effect("Change ID", parameters=_CHANGE_ID, more="rename"),
    }
)
"""Actions that are in no endpoint: any endpoint with the entity has them, by the route `{Entity}/{actionName}`."""

_TYPED: Mapping[tuple[str, str], Effect] = MappingProxyType(
    {
        ("Case", "ReleaseCase"): Effect("Release", {"Status": "Released"}, ("Closed",), long=True),
        ("SalesOrder", "CancelSalesOrder"): Effect(
            "Cancel Order",
            {"Status": "Canceled", "Hold": False},
            not_in=("Canceled", "Completed", "Shipping"),
        ),
        ("SalesOrder", "ReopenSalesOrder"): Effect(
            "Reopen Order", {"Status": "Open"}, ("Canceled", "Completed")
        ),
        ("SalesOrder", "SalesOrderCreateShipment"): Effect(
            "Create Shipment",
            {"Status": "Shipping"},
            ("Open",),
            long=True,
            parameters=_SHIPMENT,
            more="shipment",
        ),
        ("SalesInvoice", "ReleaseSalesInvoice"): Effect(
            "Release", {"Status": "Open"}, ("Balanced",), long=True
        ),
        ("Payment", "ReleasePayment"): Effect(
            "Release", {"Status": "Open"}, ("Balanced",), long=True, nameless=True
        ),
        ("Payment", "VoidPayment"): Effect("Void", {"Status": "Voided"}, ("Open", "Closed"), long=True),
        ("MyStoreWidget", "PaintWidget"): Effect(
            "Paint", parameters=MappingProxyType({"Colour": Parameter(into="Colour", required=True)})
        ),
        ("MyStoreWidget", "RetireWidget"): Effect("Retire", {"Active": False}),
        ("Shipment", "ConfirmShipment"): Effect(
            "Confirm Shipment", {"Status": "Confirmed"}, ("Open",), long=True
        ),
        ("Shipment", "CorrectShipment"): Effect(
            "Correct Shipment", {"Status": "Open"}, ("Confirmed",), long=True
        ),
    }
)

_LONG_BY_NAME = ("Release", "Process", "Prepare", "Create", "Run", "Update", "Void", "Invoice")
"""How the names of the other typed actions begin that run as a long operation (a choice)."""


def effect_of(entity: str, action: str, typed: Mapping[str, str] | None) -> Effect | None:
    """What an action does; None when there is none of this name.

    `typed` are the parameters of an action that the endpoint defines, with their types; None for any other. A typed
    action that the table does not know changes nothing but the record's stamp, or its key if its name says so.
    """
    custom = _CUSTOM.get((entity, action))
    if custom is not None or typed is None:
        return custom
    known = _TYPED.get((entity, action)) or _by_name(action, typed)
    declared = {name: Parameter(kind) for name, kind in typed.items()}
    return replace(known, parameters={**declared, **known.parameters})


def _by_name(action: str, typed: Mapping[str, str]) -> Effect:
    """What an action does that only its name tells of."""
    if action.startswith("Change") and action.endswith("ID") and len(typed) == 1:
        return Effect(
            "Change ID", parameters={name: Parameter(required=True) for name in typed}, more="rename"
        )
    return Effect(action, long=action.startswith(_LONG_BY_NAME))
