"""What is read of a swagger.json: the sandbox's, which is independent, and documents that are none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.describing import ad_hoc_schema, swagger
from deploy.sandbox.instance import Instance
from deploy.sandbox.schema import DETAIL, LINKED, Contract, Field
from worker.erp.schema import Schema, changes, like, read, read_custom
from worker.errors import AnswerMalformed

NEW = Instance(BUILDS["2025R1"], "Site")
OLD = Instance(BUILDS["2022R1"], "Site")
PLACES = [pytest.param(instance, contract) for instance in (NEW, OLD) for contract in instance.contracts]

WORDS = [
    *("paths", "/A", "/A/B", "get", "put", "post", "parameters", "requestBody", "content", "schema"),
    *("components", "schemas", "definitions", "A", "$ref", "allOf", "properties", "items"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


def schema_of(instance: Instance, contract: Contract) -> Schema:
    """What is read of an endpoint's document."""
    return read(swagger(instance, contract, "https://erp.example").body)


def contract_of(name: str) -> Contract:
    """An endpoint of the newest build, by ``name/version``."""
    return next(each for each in NEW.contracts if f"{each.name}/{each.version}" == name)


def type_of(field: Field) -> str:
    """How a field's type is called here."""
    if field.nested is None:
        return field.kind
    return {LINKED: field.nested.name, DETAIL: f"{field.nested.name}[]"}[field.kind]


def document(schemas: dict[str, Any], **paths: Any) -> bytes:
    """A document of OpenAPI 3 with these schemas, and entities of these paths beside ``A``."""
    routes = {"/A": {"get": {}, "put": {}}} | {f"/{name}": item for name, item in paths.items()}
    return json.dumps({"paths": routes, "components": {"schemas": schemas}}).encode()


def ref(name: str) -> dict[str, str]:
    """A reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(("instance", "contract"), PLACES)
def test_every_entity_field_and_action_is_read(instance: Instance, contract: Contract) -> None:
    """Of each endpoint, in OpenAPI 3 and 2, there is every entity with every field, its type, and every action."""
    schema = schema_of(instance, contract)
    assert schema.top.keys() == contract.entities.keys()
    for name, entity in contract.entities.items():
        assert schema.fields(name) == {each.name: type_of(each) for each in entity.fields.values()}
        for each in entity.fields.values():
            if each.nested is not None:
                inner = {one.name: type_of(one) for one in each.nested.fields.values()}
                assert schema.fields(each.nested.name) == inner
        assert schema.top[name] == {action: dict(types) for action, types in entity.actions.items()}


def test_both_forms_of_openapi_say_the_same() -> None:
    """Default/20.200.001 is the same endpoint, whichever build describes it."""
    (old,) = OLD.contracts
    assert schema_of(OLD, old) == schema_of(NEW, contract_of("Default/20.200.001"))


def test_what_is_kept_is_small_and_whole() -> None:
    """A document of over a megabyte is kept in a tenth, and comes back as it was."""
    body = swagger(NEW, NEW.contracts[0], "https://erp.example").body
    schema = read(body)
    kept = msgspec.msgpack.encode(schema)
    assert len(kept) < len(body) / 10
    assert msgspec.msgpack.decode(kept, type=Schema) == schema


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"[]",
        b"{}",
        b'{"paths": {}}',
        b'{"paths": []}',
        b'{"paths": {"/A": {"get": 7}}}',
        b'{"paths": {"/A": {"get": {}}}}',
        b'{"paths": {"/A": {"get": {}}}, "components": {"schemas": 1}}',
        b'{"paths": {"/A": {"get": {}}}, "components": {"schemas": {"A": {"properties": []}}}}',
        b'{"paths": {"/A": {"get": {}}}, "components": {"schemas": {"A": ' + b'{"items": ' * 5000,
        b"\xff\xfe",
        document({"A": {"allOf": [ref("B"), ref("B")]}, "B": {"allOf": [ref("A"), ref("A")]}}),
        document({"A": {"allOf": [ref("A")] * 50}}),
        document(
            {"A": {"allOf": [ref("A1")] * 50}}
            | {f"A{n}": {"allOf": [ref(f"A{n + 1}")] * 50} for n in range(1, 7)}
        ),
    ],
)
def test_what_is_no_such_document_is_malformed(body: bytes) -> None:
    """Nonsense, a page, a loop of types or one without end is refused by name, in no time."""
    with pytest.raises(AnswerMalformed, match=r"swagger\.json"):
        read(body)


@given(JSON)
def test_whatever_comes_is_read_or_refused(value: Any) -> None:
    """No document makes the reader fail in another way."""
    try:
        schema = read(json.dumps(value).encode())
    except AnswerMalformed:
        return
    assert schema.top.keys() <= schema.types.keys()


def test_what_is_no_field_is_left_out() -> None:
    """Neither the base of every entity, nor values that are not wrapped, nor names that no job could write."""
    body = document(
        {
            "Entity": {"properties": {"note": ref("StringValue")}},
            "More": {"properties": {"C": ref("IntValue")}},
            "A": {
                "allOf": [
                    ref("Entity"),
                    ref("More"),
                    {
                        "properties": {
                            "B": ref("StringValue"),
                            "plain": {"type": "string"},
                            "1 odd": ref("StringValue"),
                            "Gone": ref("Nowhere"),
                            "Rows": {"items": ref("A")},
                            "Words": {"items": {"type": "string"}},
                        }
                    },
                ]
            },
        }
    )
    schema = read(body)
    assert schema.fields("A") == {"C": "Int", "B": "String", "Rows": "A[]"}
    assert schema.paths("A") == {"C": "Int", "B": "String", "Rows": "A[]"}


@pytest.mark.parametrize("name", ["B[]", "\x1b[2J", "B C", ""])
def test_a_type_that_no_job_could_name_is_no_fields(name: str) -> None:
    """A stranger's text is neither looked up as another type nor shown on a terminal."""
    odd = {"properties": {"X": ref("StringValue")}}
    rows = {"properties": {"B": ref(name), "C": {"items": ref(name)}, "D": ref("StringValue")}}
    assert read(document({"A": rows, name: odd}, A={"get": {}})).types == {"A": {"D": "String"}}


def nested(width: int, depth: int) -> bytes:
    """A document of types that lie within each other, each so many times."""
    types = {
        f"T{level}": {"properties": {f"F{number}": ref(f"T{level + 1}") for number in range(width)}}
        for level in range(depth)
    }
    return document({"A": {"properties": {"B": ref("T0")}}, **types, f"T{depth}": {}})


@pytest.mark.parametrize(("width", "depth"), [(1, 20), (1, 3000), (2, 17), (100, 3), (2000, 2)])
def test_types_that_nest_without_end_are_malformed(width: int, depth: int) -> None:
    """Neither a long chain of types nor one that grows at each level is followed to its end."""
    with pytest.raises(AnswerMalformed, match=r"without end|more than"):
        read(nested(width, depth))


def test_types_that_nest_deeply_are_read() -> None:
    """What is deeper and wider than any entity of the vendor's has all its paths."""
    assert len(read(nested(40, 3)).paths("A")) == 1 + 40 + 40**2 + 40**3


def test_an_inquiry_is_known_by_its_name_or_by_taking_no_get() -> None:
    """Where a document gives every entity a GET, the vendor's naming tells; where it does not, that does."""
    rows = {"properties": {"Results": {"items": ref("B")}}}
    body = document(
        {"A": rows, "B": {}, "C": rows, "StockInquiry": rows, "NoInquiry": {}},
        C={"put": {}},
        StockInquiry={"get": {}, "put": {}},
        NoInquiry={"get": {}},
    )
    schema = read(body)
    assert {name for name in schema.top if schema.is_inquiry(name)} == {"C", "StockInquiry"}


def test_a_path_has_the_type_of_what_lies_there() -> None:
    """Through linked entities and details, as deep as they go; nothing where a name on the way is wrong."""
    schema = schema_of(NEW, NEW.contracts[0])
    assert schema.type_at("Customer", "MainContact/Address/City") == "String"
    assert schema.type_at("SalesOrder", "Details") == "SalesOrderDetail[]"
    assert schema.type_at("SalesOrder", "Details/OrderQty") == "Decimal"
    assert schema.type_at("SalesOrder", "Details/OrderQty/Deeper") is None
    assert schema.type_at("SalesOrder", "Detail/OrderQty") is None
    assert schema.type_at("Nothing", "X") is None


@pytest.mark.parametrize(
    ("entity", "stamp"),
    [("SalesOrder", "LastModified"), ("Customer", "LastModifiedDateTime"), ("ShipVia", None), ("X", None)],
)
def test_the_stamp_of_an_entity(entity: str, stamp: str | None) -> None:
    """The field with the time of the last change is the one that is there."""
    assert schema_of(NEW, NEW.contracts[0]).stamp(entity) == stamp


def test_changes_are_told_in_words() -> None:
    """What came, what went and what has another type, at any depth; nothing of other entities."""
    before = Schema(types={"A": {"X": "String", "Y": "Int", "B": "B"}, "B": {"Z": "Int"}, "C": {}}, top={})
    after = Schema(types={"A": {"X": "Decimal", "B": "B", "N": "Guid"}, "B": {"W": "Int"}, "C": {}}, top={})
    told = changes(before, after, "A")
    assert told == "it has B/W, N now; it lost Y, B/Z; X is Decimal (was String)"
    assert changes(before, after, "C") == ""
    assert changes(before, before, "A") == ""


def test_a_note_of_changes_has_an_end() -> None:
    """Where nearly all has changed, some of it is named."""
    before = Schema(types={"A": {f"F{number}": "String" for number in range(200)}}, top={})
    told = changes(before, Schema(types={"A": {}}, top={}), "A")
    assert told.startswith("it lost F0, F1, ")
    assert told.endswith("F49, 150 more")


def test_custom_fields_are_read_with_their_types() -> None:
    """Those of the record, and those of the rows of its details, by the path that a job names them by."""
    found = read_custom(ad_hoc_schema(NEW, NEW.contracts[0], "SalesOrder").body)
    entity = NEW.contracts[0].entities["SalesOrder"]
    assert {path: type_ for path, type_ in found.items() if "/" not in path} == entity.custom
    assert found["Details/Transactions.UsrX"] == "String"


def test_a_custom_field_that_no_job_could_name_is_left_out() -> None:
    """A stranger's text never gets as far as a terminal."""
    field = {"type": "CustomStringField", "value": None}
    custom = {
        "Document": {"UsrX": field, "Usr\x1b[2J": field, "UsrY": {"type": "\x1b"}, "UsrZ": 7},
        "A b": {"C": field},
    }
    rows = {"\x1b[2J": [{"custom": {"Document": {"UsrR": field}}}]}
    assert read_custom(json.dumps({**rows, "custom": custom}).encode()) == {"Document.UsrX": "String"}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"custom": '])
def test_what_is_no_skeleton_is_malformed(body: bytes) -> None:
    """An answer that is no record is refused."""
    with pytest.raises(AnswerMalformed):
        read_custom(body)


@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_whatever_record_comes_its_custom_fields_are_texts(value: Any) -> None:
    """A record of any form has custom fields or none, and never makes the reader fail."""
    assert all(
        isinstance(type_, str) for type_ in read_custom(json.dumps({"custom": value}).encode()).values()
    )


@pytest.mark.parametrize(
    ("name", "advice"),
    [("OrderNumber", "did you mean"), ("ORDERNBR", "did you mean OrderNbr?"), ("Xyzzy", "case-sensitive")],
)
def test_names_that_are_like_it(name: str, advice: str) -> None:
    """Who misspells a name is told those that are like it."""
    assert advice in like(name, ["OrderNbr", "OrderType", "Status"])
