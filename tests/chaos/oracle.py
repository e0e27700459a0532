"""What jobs should come to: every record of a second sandbox with the same data, read as plainly as can be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.sandbox_process import Sandbox, start_sandbox

ENDPOINT = "entity/Default/20.200.001"

ORDER_FIELDS = ("OrderType", "OrderNbr", "CustomerID", "OrderTotal", "Date")
PAYMENT_FIELDS = ("Type", "ReferenceNbr", "CustomerID", "ApplicationHistory/DisplayRefNbr", "ApplicationDate")
"""The last two of these make a list that the ERP cannot optimize."""

DATA = ("--orders", "600", "--customers", "120", "--seed", "7")
"""The options of a sandbox's data, for the oracle and for the one that is judged."""

FIRST_NUMBER, LAST_ORDER, LAST_PAYMENT = 101, 700, 220
"""Of what these options generate."""


def write(path: Path) -> None:
    """Write every order and payment down as the ERP sends them, one by one where it cannot list them."""
    with start_sandbox(*DATA) as sandbox:
        read = partial(_read, sandbox, f"Bearer {sandbox.token()}")
        orders = read("SalesOrder", ORDER_FIELDS)
        named = json.loads(read("Payment", PAYMENT_FIELDS[:2]))
        keys = (f"Payment/{row['Type']['value']}/{row['ReferenceNbr']['value']}" for row in named)
        payments = ",\n".join(read(key, PAYMENT_FIELDS, "ApplicationHistory") for key in keys)
    # The texts, not what a parser makes of them: numbers keep their scale.
    path.write_text(f'{{"SalesOrder": {orders},\n"Payment": [{payments}]}}\n', encoding="utf-8")


def orders(low: int, high: int, **more: Any) -> Mapping[str, Any]:
    """A job for the orders of these numbers, in batches."""
    return {
        "entity": "SalesOrder",
        "filter": "OrderNbr ge :low and OrderNbr le :high",
        "params": {"low": f"{low:06}", "high": f"{high:06}"},
        "select": list(ORDER_FIELDS),
        "values": "wire",
        **more,
    }


def payments(low: int, high: int, **more: Any) -> Mapping[str, Any]:
    """A job for the payments of these numbers, which go by key."""
    return {
        "entity": "Payment",
        "filter": "ReferenceNbr ge :low and ReferenceNbr le :high",
        "params": {"low": f"{low:06}", "high": f"{high:06}"},
        "select": list(PAYMENT_FIELDS),
        "values": "wire",
        **more,
    }


def _read(sandbox: Sandbox, bearer: str, path: str, select: Sequence[str], expand: str = "") -> str:
    options = {"$select": ",".join(select)} | ({"$expand": expand} if expand else {})
    answer = sandbox.http.get(
        f"{sandbox.url}/{ENDPOINT}/{path}", params=options, headers={"Authorization": bearer}
    )
    answer.raise_for_status()
    return answer.text
