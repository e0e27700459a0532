"""What is refused before a request is spent: by the schema of an endpoint that is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.describing import ad_hoc_schema, swagger
from deploy.sandbox.instance import Instance
from plugins.entity import Entity
from worker.custom import told_of_missing
from worker.erp import query as filters
from worker.erp.client import Erp
from worker.erp.schema import read, read_custom
from worker.errors import EntityUnknown, FilterInvalid, JobInvalid, JobRefused, KeysInvalid
from worker.handler import Endpoint, Handler
from worker.job import Job
from worker.page import Cursor, Page, Query

INSTANCE = Instance(BUILDS["2025R1"], "Site")
SCHEMAS = {
    contract.name: read(swagger(INSTANCE, contract, "https://erp.example").body)
    for contract in reversed(INSTANCE.contracts)
}
NOTE = "6b29fc40-ca47-1067-b31d-00dd010662da"


def endpoint_of(name: str, entity: str) -> Endpoint:
    """An endpoint of the sandbox as it is known once it was read, with the custom fields of an entity."""
    contract = next(each for each in INSTANCE.contracts if each.name == name)
    answer = ad_hoc_schema(INSTANCE, contract, entity)
    custom = read_custom(answer.body) if answer.status == 200 else None
    return Endpoint(name, contract.version, SCHEMAS[name], custom)


def query_of(entity: str, handler: Handler | None = None, endpoint: str = "Default", **body: Any) -> Query:
    """What a job asks of an endpoint that is known."""
    job = Job.parse({"entity": entity, **body})
    bound = filters.bind(job.filter, job.params) if job.filter else None
    return (handler or Entity()).query(job, bound, endpoint_of(endpoint, entity))


@pytest.mark.parametrize(
    ("body", "kind", "advice"),
    [
        ({"entity": "Customr"}, EntityUnknown, "did you mean Customer"),
        ({"entity": "SalesOrderDetail"}, EntityUnknown, "only within others: ask for SalesOrder"),
        ({"entity": "AllocationRule"}, EntityUnknown, "has no entity 'AllocationRule'"),
        ({"entity": "SalesPricesInquiry"}, JobInvalid, '"kind": "inquiry"'),
        ({"entity": "Bill", "select": ["Amuont"]}, JobInvalid, "select: Bill has no field Amuont; did you mean Amount"),
        ({"entity": "Bill", "select": ["Details/Ammount"]}, JobInvalid, "BillDetail of Bill has no field Ammount"),
        ({"entity": "Bill", "select": ["Details/Amount/X"]}, JobInvalid, "has no field X"),
        ({"entity": "Bill", "expand": ["Detail"]}, JobInvalid, "expand: Bill has no field Detail; did you mean Det"),
        ({"entity": "Bill", "expand": ["Amount"]}, JobInvalid, "is a field, which is there without it: select it"),
        ({"entity": "Bill", "attachments": {"details": ["Lines"]}}, JobInvalid, "Bill has no field Lines"),
        ({"entity": "Bill", "custom": ["Document.UsrScor"]}, JobInvalid, "did you mean Document.UsrScore"),
        ({"entity": "Bill", "custom": ["Q.Zzz"]}, JobInvalid, "Bill has no custom field Q.Zzz; it has Document."),
        ({"entity": "Bill", "select": ["Document.UsrScor"]}, JobInvalid, "did you mean Document.UsrScore"),
        ({"entity": "Bill", "filter": "Amuont gt 5"}, FilterInvalid, "filter: Bill has no field Amuont; did you mean"),
        ({"entity": "Bill", "filter": "Amount eq '5'"}, FilterInvalid, "Amount is a Decimal: compare it with a number"),
        ({"entity": "Bill", "filter": "Hold eq 'false'"}, FilterInvalid, "Hold is a Boolean: compare it with true"),
        ({"entity": "Bill", "filter": "Vendor eq 5"}, FilterInvalid, "Vendor is a String: compare it with a text"),
        ({"entity": "Bill", "filter": "Date eq '2024-01-01'"}, FilterInvalid, "Date is a DateTime: compare it with"),
        ({"entity": "Task", "filter": f"NoteID eq '{NOTE}'"}, FilterInvalid, "NoteID is a Guid: compare it with a"),
        ({"entity": "Bill", "filter": "startswith(Amount,'5')"}, FilterInvalid, "startswith looks into texts"),
        ({"entity": "Bill", "filter": "Details/Amount gt 5"}, FilterInvalid, "the rows of a detail"),
        ({"entity": "Customer", "filter": "MainContact eq 'x'"}, FilterInvalid, "name one of its fields"),
        ({"entity": "Customer", "filter": "MainContact/Emial eq 'x'"}, FilterInvalid, "did you mean Email"),
        ({"entity": "Bill", "filter": "cf.Int(f='Document.UsrScore') eq 5"}, FilterInvalid, "is written cf.Decimal("),
        ({"entity": "Bill", "filter": "cf.Int(f='Document.Zzz') eq 5"}, FilterInvalid, "no custom field Document.Zzz"),
        ({"entity": "Bill", "filter": "cf.Decimal(f='Document.UsrScore') eq 'x'"}, FilterInvalid, "is a Decimal"),
        ({"entity": "Bill", "keys": ["Bill"]}, KeysInvalid, "named by Type, ReferenceNbr in this order; 1 given"),
    ],
)  # fmt: skip
def test_what_the_endpoint_lacks_is_refused(
    body: dict[str, Any], kind: type[JobRefused], advice: str
) -> None:
    """An entity, field, custom field, filter or number of keys that the ERP would refuse, is refused with a way out."""
    with pytest.raises(kind, match=re.escape(advice)):
        query_of(**body)


@pytest.mark.parametrize(
    "body",
    [
        {"entity": "Bill", "select": ["Amount", "Details/Amount", "Details", "files", "custom.Document", "note"]},
        {"entity": "Bill", "expand": ["Details", "Details/files", "Translations"]},
        {"entity": "Bill", "custom": ["Document.UsrScore", "Details/Details.UsrShare"]},
        {"entity": "Bill", "filter": "Amount gt 5 and (Hold eq true or Vendor ne null) and Date ge date'2024-01-01'"},
        {"entity": "Task", "filter": f"NoteID eq guid'{NOTE}' or substringof('a',Summary)"},
        {"entity": "Customer", "filter": "MainContact/Address/City eq 'Paris'"},
        {"entity": "Bill", "filter": "cf.Decimal(f='Document.UsrScore') gt 5.5"},
        {"entity": "Bill", "keys": ["Bill", "000001"]},
        {"entity": "Bill", "keys": [NOTE]},
        {"entity": "Task", "keys": [NOTE]},
    ],
)  # fmt: skip
def test_what_the_endpoint_has_may_be_asked_for(body: dict[str, Any]) -> None:
    """Nothing that the ERP takes is refused: fields at any depth, files, custom fields, keys, an id in their place."""
    assert query_of(**body).entity == body["entity"]


def test_a_custom_field_may_be_selected() -> None:
    """A custom field among the selected ones is asked for as the ERP wants it; its detail is expanded."""
    query = query_of("Bill", select=["Amount", "Document.UsrScore", "Details/Details.UsrShare"])
    assert query.custom == ("Document.UsrScore", "Details/Details.UsrShare")
    assert query.select == ("Type", "ReferenceNbr", "Amount", "Details")
    assert query.expand == ("Details",)


@pytest.mark.parametrize(
    ("endpoint", "entity", "keys", "stamp"),
    [
        ("MANUFACTURING", "BillOfMaterial", ("BOMID", "Revision"), "LastModifiedDateTime"),
        ("eCommerce", "StockItem", ("InventoryID",), "LastModified"),
        ("MyStoreExt", "MyStoreWidget", (), "LastModifiedDateTime"),
        ("MyStoreExt", "User", (), "LastModifiedDateTime"),
    ],
)
def test_any_endpoint_is_served(endpoint: str, entity: str, keys: tuple[str, ...], stamp: str) -> None:
    """Keys are those of the catalogue where the endpoint has such fields, the stamp is what its schema has."""
    query = query_of(entity, endpoint=endpoint)
    assert (query.key_fields, query.stamp) == (keys, stamp)


class Orders(Handler):
    """A plugin that was written for an endpoint with other fields."""

    entity = "StockItem"
    keys: ClassVar[tuple[str, ...]] = ("InventoryID",)
    combos = ("InventoryID",)
    stamp = "ChangedAt"
    select: ClassVar[tuple[str, ...]] = ("Description", "Colour", "Item.UsrNote")
    expand: ClassVar[tuple[str, ...]] = ("WarehouseDetails", "Crates")

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """Two pages."""
        for number in (1, 2):
            yield Page(records=[{"id": str(number)}], cursor=Cursor(strategy="batches", passed=number))


def test_a_default_that_vanished_is_left_out_with_a_note() -> None:
    """What a handler asks for by itself, and is not there any more, costs a note and not the job; once."""
    handler = Orders()
    query = query_of("StockItem", handler)
    assert query.select == ("InventoryID", "Description", "WarehouseDetails")
    assert (query.expand, query.stamp) == (("WarehouseDetails",), None)
    first, second = handler.retrieve(None, query)  # type: ignore[arg-type]
    assert [note.split(",")[0] for note in first.notes if "Vanished" in note] == [
        "FieldVanished: StockItem has no Colour any more",
        "FieldVanished: StockItem has no Crates any more",
    ]
    assert not any("Vanished" in note for note in second.notes)


@pytest.mark.parametrize(
    ("body", "vanished"),
    [
        ({"select": ["Description"]}, []),
        ({"expand": []}, ["Colour"]),
        ({"select": []}, ["Crates"]),
        ({"expand": [], "select": []}, []),
    ],
)
def test_a_default_that_no_job_asked_for_is_not_missed(body: dict[str, Any], vanished: list[str]) -> None:
    """A note tells only of what the job would have got."""
    notes = query_of("StockItem", Orders(), **body).notes
    assert [note.split(" no ")[1].split()[0] for note in notes] == vanished


def test_where_every_default_vanished_the_keys_are_left() -> None:
    """A handler that wants few fields is not given all of them."""

    class Gone(Orders):
        select = ("Colour",)
        expand = ()

    assert query_of("StockItem", Gone()).select == ("InventoryID",)


def test_what_a_job_itself_names_is_never_left_out() -> None:
    """A job that names a field which is not there is refused, whatever its handler's defaults are."""
    with pytest.raises(JobInvalid, match="no field Colour"):
        query_of("StockItem", Orders(), select=["Colour"])


def test_key_fields_that_are_not_there_name_no_record() -> None:
    """A handler whose key fields the endpoint lacks goes by the record's id."""

    class Elsewhere(Orders):
        keys = ("InventoryID", "Batch")

    query = query_of("StockItem", Elsewhere())
    assert (query.key_fields, query.combos) == ((), ())


@pytest.mark.parametrize(
    ("record", "missing"),
    [
        ({"custom": {}}, ["Document.UsrX", "Lines/T.UsrY"]),
        ({"custom": {"Document": {"UsrX": {"type": "CustomStringField"}}}}, ["Lines/T.UsrY"]),
        ({"custom": {"Document": {"UsrX": {}}}, "Lines": []}, []),
        ({"custom": {"Document": {"UsrX": {}}}, "Lines": [{"custom": {"T": {"UsrY": {}}}}]}, []),
        ({"custom": None}, ["Document.UsrX", "Lines/T.UsrY"]),
        ({}, ["Document.UsrX", "Lines/T.UsrY"]),
    ],
)
def test_a_custom_field_that_does_not_come_is_named(record: dict[str, Any], missing: list[str]) -> None:
    """Of what was asked for each field is named that no record has; one in rows that there are none of is not."""
    record = {"Lines": [{"custom": {}}]} | record
    page = Page(records=[record], cursor=Cursor(strategy="one"), notes=("before",))
    (told,) = told_of_missing(("Document.UsrX", "Lines/T.UsrY"), iter([page]))
    assert told.records == page.records
    assert told.notes[0] == "before"
    assert [note.split()[1] for note in told.notes[1:]] == missing


def test_one_record_with_the_field_is_enough() -> None:
    """A field that some records have was not cut."""
    records: list[dict[str, Any]] = [{"custom": {}}, {"custom": {"A": {"X": {"value": None}}}}]
    page = Page(records=records, cursor=Cursor(strategy="one"))
    assert list(told_of_missing(("A.X",), iter([page]))) == [page]
    empty = Page(records=[], cursor=Cursor(strategy="one"))
    assert list(told_of_missing(("A.X",), iter([empty]))) == [empty]
