"""A list that is read while its rows move: one game, all of it drawn from the number that it goes by.

The rows are those of a sandbox in this process. Before each of its requests some are inserted, deleted or changed, the
last that was read among them; and now and then whoever reads stops, and goes on from its cursor as another would. What
came and what was there throughout is written down for the judge.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property, partial
from typing import Any
from unittest.mock import patch

import msgspec

from deploy.sandbox.collation import COLLATIONS
from deploy.sandbox.instance import Variants
from deploy.sandbox.ordering import Ordering, Zones
from tests.erp_desk import KEYS, THEN, Desk, instance_of
from worker import listing, strategies
from worker.erp.client import Erp
from worker.errors import ListMoved
from worker.page import Cursor, Page, Query, Record
from worker.strategies import batches, by_key, repaired, unless_optimized

Way = Callable[[Erp, Query], Iterator[Page]]

COMBOS = (("code", "code"), ("code", "label"), ("label", "label"), ("label", "code"))
TYPES = {
    "SalesOrder": ("SO", "QT", "in"),
    "Payment": ("Payment", "Credit Memo", "Voided Payment", "Balance WO", "Refund"),
}
FILTERS = {
    "SalesOrder": ("CustomerID", "LocationID"),
    "Payment": ("CustomerID",),
    "StockItem": ("ItemClass",),
}
"""What the lists are filtered by; of two of these the ERP keeps the values in another view than the keys."""

STAMPS = {"SalesOrder": "LastModified", "Payment": "LastModifiedDateTime", "StockItem": "LastModified"}
LAST = "я"
"""It comes after all other keys in every collation."""

MOST_CHANGES = 300
"""Then only the end of the list is added to, where it is: a list whose rows all go by and by need not end."""

MOST_REQUESTS = 2000
STEPS = (timedelta(seconds=1), timedelta(minutes=10), timedelta(hours=9))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is drawn before a game begins."""

    entity: str
    variants: Variants
    way: str
    seats: int
    page_size: int
    count: int
    rate: float
    is_chased: bool
    knows_keys: bool
    fence_pages: int
    stops: float
    step: timedelta
    query: Query

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the judge, who looks whether there was every kind of it."""
        ordering = self.variants.ordering
        collation = next(name for name, each in COLLATIONS.items() if each is ordering.collation)
        return {
            "entity": self.entity,
            "way": self.way,
            "seats": self.seats,
            "collation": collation,
            "combos": f"{ordering.combo_order}/{ordering.combo_compare}",
            "across_views": self.variants.match_across_views,
            "filter": self.query.filter,
            "is_chased": self.is_chased,
            "knows_keys": self.knows_keys,
            "fresh": self.query.fresh,
        }


def drawn(dice: random.Random) -> Setting:
    """A setting."""
    entity = dice.choice(tuple(KEYS))
    is_chased = dice.random() < 0.05
    knows_keys = is_chased or dice.random() < 0.85
    named = dice.choice(FILTERS[entity]) if not is_chased and dice.random() < 0.5 else None
    return Setting(
        entity=entity,
        variants=_variants(dice),
        way=dice.choice(("batches", "by_key")),
        seats=dice.choice((1, 1, 2, 3, 5)),
        page_size=dice.randrange(1, 3 if is_chased else 10),
        count=dice.randrange(30),
        rate=0.3 if is_chased else dice.choice((0, 0.1, 0.3, 1, 3)),
        is_chased=is_chased,
        knows_keys=knows_keys,
        fence_pages=dice.choice((1, 2, 5)) if is_chased else dice.choice((1, 2, 5, 1000)),
        stops=0 if is_chased else dice.choice((0, 0, 0.3)),
        step=dice.choice(STEPS),
        query=_query(entity, named, knows_keys, fresh=not is_chased and dice.random() < 0.4),
    )


def _variants(dice: random.Random) -> Variants:
    collation = dice.choice(tuple(COLLATIONS.values()))
    order, compare = dice.choice(COMBOS)
    user = timezone(timedelta(hours=dice.randrange(-11, 13)))
    ordering = Ordering(collation, order, compare, Zones(user=user))  # type: ignore[arg-type]
    return Variants(match_across_views=dice.random() < 0.7, ordering=ordering)


def _query(entity: str, named: str | None, knows_keys: bool, *, fresh: bool) -> Query:
    keys = KEYS[entity]
    return Query(
        entity=entity,
        key_fields=keys if knows_keys else (),
        combos=("Type",) if knows_keys and entity == "Payment" else (),
        stamp=STAMPS[entity],
        filter=f"{named} eq 'C1'" if named else None,
        select=(*keys, "Description"),
        fresh=fresh,
    )


def plain(erp: Erp, query: Query) -> Iterator[Page]:
    """What anybody would write first: ``$top`` and ``$skip``, until a page is short."""
    passed, size = 0, query.page_size or 1
    while True:
        found = erp.list(query, top=size, skip=passed)
        passed += len(found)
        yield Page(records=found, cursor=Cursor(strategy="plain", passed=passed, over=len(found) < size))
        if len(found) < size:
            return


WAYS: Mapping[str, Way] = {"batches": batches, "by_key": by_key, "plain": plain}


@dataclass
class Seen:
    """What whoever reads has got: each record's id as often as it came, and its version, the last one of it."""

    got: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    promised: str | None = None
    cursor: Cursor | None = None
    resumed: int = 0
    by_place: bool = False
    fenced: bool = False

    def take(self, page: Page) -> None:
        """Take a page in."""
        for record in page.records:
            if not (page.is_repair and record["id"] in self.versions):
                self.got.append(record["id"])
            self.versions[record["id"]] = int(record["Description"]["value"])
        self.promised = page.promised
        # As a checkpoint keeps it.
        self.cursor = msgspec.json.decode(msgspec.json.encode(page.cursor), type=Cursor)
        self.by_place = self.by_place or page.cursor.at is not None
        self.fenced = self.fenced or bool(page.cursor.fence)


class Game:
    """One game."""

    def __init__(self, number: int, way: str | None = None) -> None:
        self._number = number
        self._dice = random.Random(number)
        self._setting = drawn(self._dice) if way is None else replace(drawn(self._dice), way=way)
        self._entity = self._setting.entity
        self._desk = Desk(
            instance_of(self._entity, (), self._setting.variants),
            self._setting.seats,
            self._move,
            lambda: self._now.replace(microsecond=0),
        )
        self._now = THEN
        self._version = 0
        self._last = 0
        self._changes = 0
        self._due: dict[str, int] | None = None
        self._seen = Seen()

    @cached_property
    def _throughout(self) -> set[str]:
        """The rows that have been there, and been asked for, at each moment until now."""
        return self._matching()

    def play(self) -> Mapping[str, Any]:
        """The line for the judge."""
        for _ in range(self._setting.count):
            self._insert(THEN - timedelta(days=30))
        self._throughout  # noqa: B018 - from here on
        fence = patch.object(listing, "FENCE_PAGES", self._setting.fence_pages)
        # Keys come in pages as small as records do.
        with fence, patch.object(strategies, "BATCH", 1):
            return self._told(self._read())

    def _read(self) -> str:
        """Read to the end; what it broke off with, if it did."""
        try:
            while not (self._seen.cursor and self._seen.cursor.over):
                self._read_on()
        except ListMoved:
            return "moved"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def _read_on(self) -> None:
        """Read from the cursor on, until the end or a stop."""
        query = replace(self._setting.query, page_size=self._setting.page_size, after=self._seen.cursor)
        way = partial(WAYS[self._setting.way], self._desk.erp)
        if self._setting.way == "plain":
            pages = way(query)
        else:
            pages = repaired(query, lambda asked: unless_optimized(self._desk.erp, asked, way))
        for page in pages:
            self._seen.take(page)
            if self._setting.way != "plain" and self._dice.random() < self._setting.stops:
                self._seen.resumed += 1
                break
        else:
            # A list that ends with its generator has said so, or is at its end now.
            self._seen.cursor = replace(self._seen.cursor or Cursor(strategy=""), over=True)

    def _move(self) -> None:
        """What happens before a request."""
        assert len(self._desk.asked) <= MOST_REQUESTS, "it does not end"
        if self._due is None and "datetimeoffset" in self._desk.asked[-1].filter:
            self._due = self._versions()
        self._now += self._dice.random() * self._setting.step
        rate = self._setting.rate
        for _ in range(int(rate) + (self._dice.random() < rate % 1)):
            if self._changes < MOST_CHANGES:
                self._change()
        if self._setting.is_chased and not self._desk.asked[-1].keys:
            for _ in range(self._setting.page_size):
                self._insert(self._now, at_the_end=True)
        self._throughout &= self._matching()

    def _change(self) -> None:
        ids = [row.id for row in self._desk.instance._data.tables[self._entity]]
        last = self._seen.got[-1:] if self._dice.random() < 0.3 else []
        operation = self._dice.choice(("insert", "update") if self._setting.is_chased else _OPERATIONS)
        self._changes += 1
        if operation == "insert" or not ids:
            self._insert(self._now)
            return
        chosen = last[0] if last and last[0] in ids else self._dice.choice(ids)
        if operation == "delete":
            self._desk.instance.delete(self._entity, chosen)
        else:
            self._desk.instance.change(self._entity, chosen, self._fields(self._now))

    def _insert(self, at: datetime, *, at_the_end: bool = False) -> None:
        types = TYPES.get(self._entity)
        named = dict(zip(reversed(KEYS[self._entity]), (self._name(at_the_end),), strict=False))
        if types:
            of_last = at_the_end and self._entity == "SalesOrder"
            named[KEYS[self._entity][0]] = LAST if of_last else self._dice.choice(types)
        try:
            self._desk.instance.insert(self._entity, {**named, **self._fields(at)})
        except ValueError:
            return  # there is one of that key

    def _name(self, at_the_end: bool) -> str:
        if at_the_end:
            self._last += 1
            return f"{LAST}{self._last:06}"
        first, second = self._dice.choice("aAbBcCéE-z"), self._dice.choice(("", " ", "-", "'", "%"))
        return f"{first}{second}{self._dice.randrange(100):02}"

    def _fields(self, at: datetime) -> dict[str, object]:
        self._version += 1
        filtered = {name: self._dice.choice(("C1", "C1", "C2")) for name in FILTERS[self._entity]}
        return {**filtered, "Description": str(self._version), STAMPS[self._entity]: at}

    def _matching(self) -> set[str]:
        """The rows that the list has now."""
        instance = self._desk.instance
        definition = instance.definition(self._entity)
        assert definition
        return {row.id for row in instance.matching(definition, self._setting.query.filter or "")}

    def _versions(self) -> dict[str, int]:
        records: list[Record] = msgspec.json.decode(
            self._desk.instance.list(self._entity, {"$select": "Description"}).body
        )
        return {each["id"]: int(each["Description"]["value"]) for each in records}

    def _told(self, broke: str) -> Mapping[str, Any]:
        numbers: dict[str, int] = {}

        def short(row_id: str) -> int:
            return numbers.setdefault(row_id, len(numbers))

        throughout = sorted(map(short, self._throughout))
        return {
            "kind": "game",
            "number": self._number,
            **self._setting.facts,
            "throughout": throughout,
            "got": [short(each) for each in self._seen.got],
            "versions": {str(short(each)): version for each, version in self._seen.versions.items()},
            "due": {str(short(each)): version for each, version in (self._due or {}).items()},
            "promised": self._seen.promised,
            "requests": len(self._desk.asked),
            "changes": self._changes,
            "resumed": self._seen.resumed,
            "by_place": self._seen.by_place,
            "fenced": self._seen.fenced,
            "broke": broke,
        }


_OPERATIONS = ("insert", "delete", "update")
