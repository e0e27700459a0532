"""Records whose keys are hard: two cases, accents, dashes, apostrophes, blanks, and what a path cannot carry.

No two keys of an entity are equal to the database; which ones are left out for that depends on its collation.
"""

from collections.abc import Iterator
from random import Random

from deploy.sandbox.builds import Build
from deploy.sandbox.collation import Collation
from deploy.sandbox.generate import guid, stock_item
from deploy.sandbox.records import customer, payment

_PAYMENT_TYPES = (
    "Payment", "Credit Memo", "Prepayment", "Refund", "Voided Payment", "Credit WO", "Balance WO",
)  # fmt: skip
_ORDER_TYPES = ("CM", "in", "QT", "RM", "SO", "Tr")
_CUSTOMER = "C000000002"
_KEYS = (
    "co-op", "coop", "CO-OP 2", "co op", "resume", "Résumé", "RESUME-", "résumé 2", "O'Brien", "OBrien", "o''b",
    "1/2-inch", "50% off", "x%20y", "#1", "A&B", "a+b", "a:b", "a*b?", "<tag>", "back\\slash", "a;b", "a,b", "(a)",
    "Äpfel", "Apfel", "apfel z", "Zürich", "zurich", "Ångström", "ñandú", "nandu", "ümlaut", "two  blanks", "pad   ",
    "null", "true", "00", "0", "é", "E", "e-", "-e",
)  # fmt: skip
_LETTERS = "abyzABYZéÉèüÜñ-' %/&+.#_0129"
_LONGEST = 10


def awkward_keys(count: int, seed: int, collation: Collation) -> Iterator[str]:
    """`count` keys, all different to the database; trailing blanks are as they are typed in."""
    random, taken = Random(f"keys {seed}"), {""}
    while len(taken) <= count:
        at = len(taken) - 1
        drawn = "".join(random.choice(_LETTERS) for _ in range(random.randrange(1, _LONGEST + 1))).lstrip()
        for key in _KEYS if at == 0 else (drawn,):
            folded = collation.fold(key)
            if folded not in taken and len(taken) <= count:
                taken.add(folded)
                yield key


def awkward_records(
    count: int, seed: int, collation: Collation, build: Build
) -> Iterator[tuple[str, dict[str, object]]]:
    """The records as entity and values: of each entity `count`, and of the combo keys every label."""
    random = Random(f"awkward {seed}")
    for index, key in enumerate(awkward_keys(count, seed, collation)):
        yield "StockItem", stock_item(guid(random), key, f"Awkward {index}", build)
        yield "Customer", customer(guid(random), key, f"Awkward {index}", build)
        kind = {"Type": _PAYMENT_TYPES[index % len(_PAYMENT_TYPES)]}
        yield "Payment", payment(guid(random), key, _CUSTOMER, 100 + index, build) | kind
        yield (
            "SalesOrder",
            {
                "id": guid(random),
                "OrderType": _ORDER_TYPES[index % len(_ORDER_TYPES)],
                "OrderNbr": key,
                "CustomerID": _CUSTOMER,
                "OrderTotal": index,
                "Details": [{"id": guid(random), "InventoryID": "MOUSE", "LineNbr": 1, "OrderQty": 1}],
                "Shipments": [],
            },
        )
