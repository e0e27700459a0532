"""A value stays a value: whatever a parameter or a key holds, the sandbox sees the request that was meant, no other.

The judge is the sandbox's event log beside the rows that it has; what a request should look like is written out
here anew, without the code under test.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from tests.store_process import start_store
from worker.erp.gateway import Gateway
from worker.erp.query import bind
from worker.erp.urls import is_id
from worker.errors import JobRefused, RecordNotFound
from worker.job import Job
from worker.page import Query, Record

ENTITIES = {"StockItem": ("InventoryID",), "SalesOrder": ("OrderType", "OrderNbr")}
BASE = "/MyStoreInstance/entity/Default/20.200.001"

FILTERS = {
    "InventoryID eq :value": ("InventoryID eq {}", str.__eq__),
    "substringof(:value, Description)": ("substringof({},Description)", str.__contains__),
    "startswith(Description, :value)": ("startswith(Description,{})", str.startswith),
    "endswith(InventoryID, :value)": ("endswith(InventoryID,{})", str.endswith),
}
"""A job's filter; what the ERP should get, but for the value; and whether a field's text matches the value."""

NAMES = ["AAMACHINE1", "aamachine1", "1/2-ELBOW", "#10-SCREW", "50%-OFF", "SO", "000001"]
PIECES = [
    *["'", "''", '"', "' or 1 eq 1", "' or InventoryID ne '", " or ", ")", "(", ",", ":value", "null", "a"],
    *["/", "\\", "..", ".", "../", "/../Customer", "//example.com/", "%2e%2e%2f", "%27", "%00", "%", "%25"],
    *["?", "?$filter=", "&$filter=InventoryID ne '", "&$top=1", "&", "#"],
    *[";", "+", "=", "$", "|", "*", "<", ">"],
    *["\u2019", "\uff07", "\u2044", "\uff0f", "\uff0e", "\u202e", "\u00df", "\u0130", "\U0001f600"],
    *["2acd2eed-1614-e511-9b82-c86000dddf0b", "$adHocSchema", "entity", "machine", "a" * 300],
    *[" ", "\t", "\r\n", "\x00", "\x7f", "\u0085", "\u00a0", "\u2028", "\ud800"],
]
TEXTS = (
    st.text(st.characters())
    | st.lists(st.sampled_from(PIECES + NAMES), max_size=6).map("".join)
    | st.builds("{1}{0}{2}".format, st.sampled_from(NAMES), *[st.just("") | st.sampled_from(PIECES)] * 2)
    | st.text("'%/\\?&#.+|;$ AaSO01\r\n\x00", max_size=12)
)
"""Strings of any kind, with many that are nearly a record's name, or nearly syntax of a filter, path or query."""


@dataclass(repr=False)
class Bench:
    """An ERP floor, what the sandbox has, and how much of its event log has been read."""

    gateway: Gateway
    sandbox: Sandbox
    rows: dict[str, list[Record]]
    seen: int = 0

    def arrivals(self) -> list[tuple[str, str, str]]:
        """Method, path and query of every request since the last look, as the sandbox decoded them."""
        events = self.sandbox.events(self.seen)
        self.seen = max((event["n"] for event in events), default=self.seen)
        return [
            (event["method"], event["path"], event["query"]) for event in events if event["kind"] == "arrival"
        ]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """One sandbox, one store and one signed-in ERP floor for all the strings."""
    floors = Floors()
    with start_sandbox("--control") as sandbox, start_store() as store_url:
        gateway = floors.start(settings_for(connection_to(sandbox), store_url))
        rows = {entity: erp_of(gateway).list(Query(entity=entity)) for entity in ENTITIES}
        made = Bench(gateway, sandbox, rows)
        made.arrivals()
        yield made
        floors.kill()


@settings(max_examples=2000, deadline=None)
@given(value=TEXTS, text=st.sampled_from(sorted(FILTERS)))
def test_a_parameter_stays_a_value(bench: Bench, value: str, text: str) -> None:
    """Any value makes one request, for this filter over this value, and gets the rows that match and no other."""
    written, matches = FILTERS[text]
    try:
        job = Job.parse({"entity": "StockItem", "filter": text, "params": {"value": value}})
    except JobRefused:
        assert _has(value, "Cs")
        assert bench.arrivals() == []
        return
    found = erp_of(bench.gateway).list(Query(entity="StockItem", filter=bind(job.filter or "", job.params)))
    meant = written.format(_quoted(value))
    assert bench.arrivals() == [("GET", f"{BASE}/StockItem", f"$filter={meant}")]
    field = "InventoryID" if "InventoryID" in text else "Description"
    wanted = [row for row in bench.rows["StockItem"] if matches(_folded(row, field), _fold(value))]
    assert [row["id"] for row in found] == [row["id"] for row in wanted]


@settings(max_examples=2000, deadline=None)
@given(
    named=st.tuples(st.just("StockItem"), st.tuples(TEXTS))
    | st.tuples(st.just("SalesOrder"), st.tuples(st.just("SO") | TEXTS, st.just("000001") | TEXTS))
)
def test_a_key_stays_a_value(bench: Bench, named: tuple[str, tuple[str, ...]]) -> None:
    """Any key finds the record that has it or none, by its own path, or by a filter over it and then by id.

    One that looks like an id is taken for that first.
    """
    entity, keys = named
    fields = ENTITIES[entity]
    try:
        job = Job.parse({"entity": entity, "keys": list(keys)})
    except JobRefused:
        assert any(_is_no_key(key) for key in keys)
        assert bench.arrivals() == []
        return
    found = _record(bench, Query(entity=entity, key_fields=fields), job.keys or ())
    wanted = [
        row["id"]
        for row in bench.rows[entity]
        if [_folded(row, field) for field in fields] == [_fold(key) for key in keys]
        or [row["id"]] == [key.lower() for key in keys]
    ]
    assert found == wanted
    _assert_meant(bench.arrivals(), entity, keys, wanted)


@pytest.mark.parametrize("key", ["AAMACHINE1", "aamachine1", "1/2-ELBOW", "#10-SCREW", "50%-OFF"])
def test_a_key_is_found_whatever_a_path_can_carry(bench: Bench, key: str) -> None:
    """A key with a character that IIS refuses in a path finds its record all the same."""
    record = erp_of(bench.gateway).get(Query(entity="StockItem", key_fields=ENTITIES["StockItem"]), [key])
    assert record["InventoryID"]["value"] == key.upper()
    _assert_meant(bench.arrivals(), "StockItem", [key], [record["id"]])


def _record(bench: Bench, query: Query, keys: Sequence[str]) -> list[Any]:
    """The id of the record that has these keys, or nothing."""
    try:
        return [erp_of(bench.gateway).get(query, keys)["id"]]
    except RecordNotFound:
        return []


def _assert_meant(
    arrivals: Sequence[tuple[str, str, str]], entity: str, keys: Sequence[str], ids: Sequence[str]
) -> None:
    """By key, with each key one segment of the path; or looked up by filter and, when found, read by id."""
    fields = ENTITIES[entity]
    base = f"{BASE}/{entity}".split("/")
    equal = " and ".join(f"{field} eq {_quoted(key)}" for field, key in zip(fields, keys, strict=True))
    by_key = [("GET", [*base, *keys], "")]
    looked_up = [("GET", base, f"$select={','.join(fields)}&$filter={equal}&$top=2")]
    by_id = [("GET", [*base, record_id], "") for record_id in ids]
    seen = [(method, path.split("/"), query) for method, path, query in arrivals]
    as_id = by_key if len(keys) == 1 and is_id(keys[0]) else []
    assert seen in (by_key, as_id + looked_up + by_id)


def _quoted(value: str) -> str:
    return "'" + "''".join(value.split("'")) + "'"


def _fold(text: str) -> str:
    """What is the same text to the database: it compares without case, and trailing blanks do not count."""
    return text.rstrip().casefold()


def _folded(row: Record, field: str) -> str:
    return _fold(row[field]["value"])


def _has(text: str, *categories: str) -> bool:
    return any(unicodedata.category(char) in categories for char in text)


def _is_no_key(key: str) -> bool:
    return not key.strip() or key in (".", "..") or len(key) > 256 or _has(key, "Cc", "Cs")
