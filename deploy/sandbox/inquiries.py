"""Inquiries of the contract-based API: a PUT of parameters, answered with one object whose rows are made then.

Rows are computed from the tenant's records where they can be; parameters of the name of a row's field choose among
them. Nothing is raised: what the ERP refuses is an answer too.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from deploy.sandbox.answer import Answer
from deploy.sandbox.asked import BadBody, read_record
from deploy.sandbox.inquiry_rows import ROWS
from deploy.sandbox.instance import Instance
from deploy.sandbox.projection import project
from deploy.sandbox.refusal import Refusal
from deploy.sandbox.rows import Row
from deploy.sandbox.schema import DETAIL, Contract, Field, TopLevel
from deploy.sandbox.values import row_of, scalar_of


def run(
    instance: Instance, contract: Contract, definition: TopLevel, body: bytes, query: Mapping[str, str]
) -> Answer:
    """Answer a PUT of an inquiry. Each answer has a new id; rows come only where they are expanded (recorded)."""
    select, expand, custom = (query.get(name, "") for name in ("$select", "$expand", "$custom"))
    try:
        projection = project(definition, select, expand, custom, ())
        given = _parameters(definition, read_record(body))
        return instance.written(_row(instance, definition, given), projection, definition, contract)
    except BadBody as why:
        return Refusal(
            400, {"message": "The request is invalid.", "modelState": {"entity": [str(why)]}}
        ).answer()
    except Refusal as refusal:
        return refusal.answer()


def _parameters(definition: TopLevel, given: Mapping[str, object]) -> dict[str, object]:
    """The parameters that the inquiry has; others are left out. Raises Refusal (422) for values that do not fit."""
    good: dict[str, object] = {}
    errors: dict[str, object] = {}
    for name, value in given.items():
        field = definition.fields.get(name)
        if field is None or field.nested is not None or value is None:
            continue
        try:
            good[name] = scalar_of(name, field.kind, value)
        except ValueError:
            errors[name] = {"value": value, "error": f"The value '{value}' is not valid for '{name}'."}
    if errors:
        raise Refusal(422, errors)
    return good


def _row(instance: Instance, definition: TopLevel, given: Mapping[str, object]) -> Row:
    """The inquiry as one record: its parameters, and the rows that they choose."""
    record: dict[str, object] = dict(given)
    for field in definition.fields.values():
        if field.kind == DETAIL:
            record[field.name] = list(_details(instance, definition, field, given))
    return row_of(definition, record)


def _details(
    instance: Instance, definition: TopLevel, field: Field, given: Mapping[str, object]
) -> Iterator[dict[str, object]]:
    """The rows of a detail that match the parameters, with the fields that the endpoint has."""
    if field.nested is None or definition.name not in ROWS:
        return
    for row in ROWS[definition.name](instance):
        if all(_matches(row[name], value) for name, value in given.items() if name in row):
            yield {name: value for name, value in row.items() if name in field.nested.fields}


def _matches(value: object, wanted: object) -> bool:
    if isinstance(value, datetime) and isinstance(wanted, datetime):
        return value <= wanted
    return str(value).casefold() == str(wanted).casefold()
