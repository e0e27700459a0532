"""How an inquiry becomes pages: by a PUT of the contract-based endpoint, or by the pages of an OData feed.

What cannot be asked raises JobRefused before anything but a description is read from the ERP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from worker.erp import answers, odata, odata_text, urls, wrapping
from worker.erp import query as filters
from worker.erp.client import Erp
from worker.erp.feeds import Feeds
from worker.erp.odata import Feed
from worker.erp.schema import SCALARS, Schema, is_detail, is_named_inquiry, like, nested_in
from worker.erp.schemas import Known, Schemas
from worker.errors import AnswerMalformed, FieldUnknown, JobInvalid, NotInEndpoint
from worker.job import MAX_PAGE_SIZE, Consistency, Values
from worker.kinds import Inquiry, Interface
from worker.page import Cursor, Page, Query, Record
from worker.strategies import BATCH

USUAL_DETAIL = "Results"
"""What the rows are called in most of the vendor's inquiries."""

ORDERED = (
    "the rows were read by their place in the order of their keys: where rows came or went meanwhile, others may be "
    "missing or double"
)
UNORDERED = (
    "OData tells no keys of these rows, so they were read by their place in an order that the ERP does not promise: "
    "rows may be missing or double"
)


def pages(erp: Erp, schemas: Schemas, feeds: Feeds, job: Inquiry, after: Cursor | None) -> Iterator[Page]:
    """The pages of an inquiry that come after a cursor."""
    if job.interface is Interface.CONTRACT:
        if after is None:
            known = schemas.of(erp)
            yield _answered(erp, known.schema if isinstance(known, Known) else None, job)
        return
    feed = feeds.of(erp.exchanges, job.interface, job.entity)
    try:
        yield from _fed(erp, question_of(job, feed), job, after)
    except (FieldUnknown, NotInEndpoint):
        feeds.forget(erp.connection, job.interface, job.entity)
        raise


def _answered(erp: Erp, schema: Schema | None, job: Inquiry) -> Page:
    """The one page of an inquiry that is a PUT of its parameters (vendor's guide, Retrieve Data of an Inquiry Form)."""
    require_inquiry(schema, job.entity)
    detail = detail_of(schema, job)
    body = wrapping.values(plain_values(job.parameters), _parameters(schema, job.entity), "parameters")
    select = _selected(schema, job, detail)
    told = erp.exchanges.read(
        job.entity,
        urls.entity_path(erp.connection, job.entity),
        urls.options(Query(entity=job.entity, select=select, expand=(detail,))),
        answers.record,
        method="PUT",
        json=body,
    )
    rows = _rows(told, detail)
    return Page(
        records=rows[: job.limit],
        cursor=Cursor(strategy="inquiry", passed=len(rows), over=True),
        notes=tuple(_echo(told, job.parameters)),
        promised=Consistency.STABLE,
    )


def require_inquiry(schema: Schema | None, entity: str) -> None:
    """Raise JobInvalid for what may keep records: a PUT of parameters would write one."""
    known = schema is not None and schema.is_inquiry(entity)
    if known or is_named_inquiry(entity):
        return
    raise JobInvalid(
        f"{entity} is not known as an inquiry, and if it keeps records, to ask it as one would write a record: read it "
        "with kind retrieve, or call it …Inquiry in an endpoint of your own",
        "entity",
    )


def detail_of(schema: Schema | None, job: Inquiry) -> str:
    """The detail with the inquiry's rows. Raises JobInvalid where it must be named."""
    if schema is None or not schema.fields(job.entity):
        return job.results or USUAL_DETAIL
    details = [name for name, type_ in schema.fields(job.entity).items() if is_detail(type_)]
    found = [job.results] if job.results else details
    if len(found) == 1 and found[0] in details:
        return found[0]
    raise JobInvalid(f"say which detail has the rows: {', '.join(details) or 'it has none'}", "results")


def plain_values(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values, each of which is a plain one. Raises JobInvalid."""
    for name, value in values.items():
        if isinstance(value, dict | list):
            raise JobInvalid(
                "must be a plain value: a text, a number, true, false or null", f"parameters.{name}"
            )
    return values


def _parameters(schema: Schema | None, entity: str) -> dict[str, str] | None:
    """The parameters of an inquiry with their types; None where the endpoint does not tell."""
    types = schema.fields(entity) if schema else {}
    return {name: type_ for name, type_ in types.items() if type_ in SCALARS} or None


def _selected(schema: Schema | None, job: Inquiry, detail: str) -> tuple[str, ...]:
    """What to return: the fields of the rows, by their paths, and the parameters, to see what became of them.

    Raises JobInvalid for a field that the rows do not have.
    """
    if not job.select:
        return ()
    types = schema.fields(nested_in(schema.fields(job.entity).get(detail, ""))) if schema else {}
    for name in job.select:
        if types and name not in types:
            raise JobInvalid(f"the rows have no field {name}{like(name, types)}", "select")
    return (*job.parameters, *(f"{detail}/{name}" for name in job.select))


def _rows(told: Record, detail: str) -> list[Record]:
    rows = told.get(detail)
    if rows is None:
        raise FieldUnknown(f"the inquiry answered without {detail}: name the detail with its rows", "results")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AnswerMalformed(f"the inquiry's {detail} are no rows")
    return rows


def _echo(told: Record, given: Mapping[str, Any]) -> Iterator[str]:
    """What the ERP took the parameters for, where it is not what was given: it may put in others, or leave some out."""
    for name, value in given.items():
        member = told.get(name)
        taken = member.get("value") if isinstance(member, dict) else None
        is_same = not isinstance(value, str) or str(taken).casefold().startswith(value.strip().casefold())
        if value is not None and (taken is None or not is_same):
            yield answers.clean(f"the parameter {name} was given as {value!r}, and came back as {taken!r}")


def question_of(job: Inquiry, feed: Feed) -> odata.Asked:
    """What is asked of a feed. Raises JobInvalid, FilterInvalid or ParameterInvalid."""
    for name in job.select or ():
        if feed.columns and name not in feed.columns:
            raise JobInvalid(f"there is no column {name}{like(name, feed.columns)}", "select")
    if job.parameters and feed.kind == Interface.DAC:
        raise JobInvalid("a data access class takes no parameters: give a filter", "parameters")
    bound = filters.bind(job.filter, job.params) if job.filter is not None else ""
    return odata.Asked(
        feed=feed,
        segment=_segment(feed, plain_values(job.parameters)),
        filter=odata_text.written(bound, feed.dialect, feed.columns) if bound else "",
        select=job.select or (),
    )


def _segment(feed: Feed, parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return feed.name
    return odata_text.call(feed.name + odata.WITH_PARAMETERS, parameters, feed.parameters, feed.dialect)


def _fed(erp: Erp, asked: odata.Asked, job: Inquiry, after: Cursor | None) -> Iterator[Page]:
    """The pages of a feed: by the ERP's own links where it gives any, by places where it does not."""
    cursor = after or Cursor(strategy="odata")
    while not cursor.over:
        is_first = cursor.pages == 0
        left = None if job.limit is None else job.limit - cursor.passed
        top = min(job.page_size or BATCH, left or MAX_PAGE_SIZE)
        options = cursor.link or asked.options(top=top, skip=cursor.at or 0)
        found = odata.rows(erp.exchanges, asked, options)
        if cursor.link is None:
            cursor = replace(cursor, until=(cursor.at or 0) + top)
        cursor = _next(cursor, found, asked.feed, left)
        is_whole = is_first and cursor.over
        yield Page(
            records=_formed(found.records[:left], job, asked.feed),
            cursor=cursor,
            notes=() if is_whole else (ORDERED if asked.feed.keys else UNORDERED,),
            promised=Consistency.STABLE if is_whole else None,
            at=found.clock.isoformat() if found.clock else None,
        )


def _next(cursor: Cursor, found: odata.Rows, feed: Feed, left: int | None) -> Cursor:
    """Where a list goes on after these rows. Raises AnswerMalformed where they are those of a page before."""
    count = len(found.records)
    at = (cursor.at or 0) + count
    marks = _marks(found, feed)
    if marks & {cursor.link, *cursor.recent}:
        raise AnswerMalformed("the ERP answered with the same page again")
    # The ERP's links lead to the end of what was asked for at once, or to the end of the list, if that is nearer.
    is_end = found.next is None and at < cursor.until
    return replace(
        cursor,
        passed=cursor.passed + (count if left is None else min(count, left)),
        pages=cursor.pages + 1,
        at=at,
        link=found.next,
        recent=_remembered(cursor, marks),
        over=is_end or (left is not None and count >= left),
    )


def _marks(found: odata.Rows, feed: Feed) -> set[str]:
    """What no other page has: the key of its first row, where that can be seen, and the link behind it, if any."""
    marks = {found.next} if found.next is not None else set()
    if found.records and feed.keys and found.records[0].keys() >= set(feed.keys):
        marks.add(repr([str(found.records[0][key]) for key in feed.keys]))
    return marks


def _remembered(cursor: Cursor, marks: set[str]) -> tuple[str, ...]:
    """The marks to know a page by that comes again.

    Those of the first, second, fourth, eighth … page are kept until the next of these, so that any round is noticed.
    """
    return tuple(sorted(marks)) if cursor.pages & (cursor.pages + 1) == 0 else cursor.recent


def _formed(rows: Sequence[Record], job: Inquiry, feed: Feed) -> Sequence[Record]:
    return [odata.plain(row, feed.columns) for row in rows] if job.values is Values.PLAIN else rows
