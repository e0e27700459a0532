"""The rows of OData: generic inquiries and data access classes, in the same sessions and minute as all else.

An instance serves each under a path that depends on its build; what it serves there is read from its ``$metadata``.
Raises what an exchange raises; NotInEndpoint for a feed that is not served, FilterRefused for a filter that the ERP
answers with nothing at all.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from worker.erp import answers, urls
from worker.erp.caller import Use
from worker.erp.client import clock_of
from worker.erp.csdl import Service
from worker.erp.deadline import Deadline
from worker.erp.exchanges import Exchanges
from worker.erp.odata_text import Dialect
from worker.erp.schema import like
from worker.erp.sessions import Lease
from worker.erp.wire import MIB, Answer, Wire
from worker.errors import (
    AnswerMalformed,
    AnswerTooLarge,
    ErpRestarting,
    FilterRefused,
    JobInvalid,
    NotInEndpoint,
    RightsMissing,
    WorkerError,
)
from worker.page import Record
from worker.settings import Connection

WITH_PARAMETERS = "_WithParameters"
"""What the function of a generic inquiry with parameters is called, behind the inquiry's name."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Root:
    """Where feeds are served: the segments of the path, and the dialect that is spoken there."""

    segments: tuple[str, ...]
    dialect: Dialect


_NEWER = {"gi": (24, 200), "dac": (25,)}
"""The builds from which on feeds are served below /t: 2024 R2 and 2025 R1 (reported by live instances)."""

_MEND = {
    "gi": "tick Expose via OData in Generic Inquiry (SM208000), and give a role of the API user rights to it",
    "dac": "give a role of the API user rights to the data access class",
}


class Feed(msgspec.Struct, frozen=True):
    """A feed of a ``kind``, by its own name, below the ``root`` of its service; its columns with their types.

    ``parameters`` are None where the service does not tell them; of one too large to be described there are no columns.
    """

    kind: str
    root: tuple[str, ...]
    name: str
    dialect: Dialect
    keys: tuple[str, ...] = ()
    columns: dict[str, str] = {}
    parameters: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a feed: ``segment`` is its name, with parameters if it has any; ``filter`` is in its dialect."""

    feed: Feed
    segment: str
    filter: str = ""
    select: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the feed."""
        return urls.path(*self.feed.root, self.segment)

    def options(self, *, top: int, skip: int) -> str:
        """The query string for so many rows behind others, in the order of the keys where they are known."""
        values = {
            "$filter": self.filter,
            "$select": ",".join(self.select),
            "$orderby": ",".join(self.feed.keys),
            "$top": str(top),
            "$skip": str(skip) if skip else "",
            "$format": "json" if self.feed.dialect is Dialect.V3 else "",
        }
        return urls.query_string(values)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One answer: its rows, the query of the next one if the ERP names it, and the ERP's clock."""

    records: Sequence[Record]
    next: str | None
    clock: datetime | None


def find(exchanges: Exchanges, kind: str, name: str) -> Feed:
    """The feed of a generic inquiry (``gi``) or a data access class (``dac``). Raises NotInEndpoint, JobInvalid.

    A class is found by its long name or its short one: PX_Objects_SO_SOOrder, SOOrder.
    """
    if not urls.fits_a_segment(name) or set(name) & set("()"):
        raise JobInvalid("no URL of OData can carry this name", "entity")
    for root in _roots(exchanges, kind):
        try:
            service = _described(exchanges, root)
        except NotInEndpoint:
            continue
        except AnswerTooLarge:
            # Of every data access class, it may be; then the feed goes without what it would tell.
            return Feed(kind, root.segments, name, root.dialect)
        return _feed(root, service, kind, name)
    whose = f"for the tenant {exchanges.connection.tenant}"
    raise NotInEndpoint(
        f"the instance serves no OData {whose} at any path that is known: is it switched on?", "interface"
    )


def rows(exchanges: Exchanges, asked: Asked, options: str) -> Rows:
    """The rows that these options ask for."""

    def parse(answer: Answer) -> Rows:
        _require_words(answer, asked)
        found = answers.decode(answer.body)
        records = found.get("value") if isinstance(found, dict) else None
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            raise AnswerMalformed("the ERP answered with something else where rows of OData were asked for")
        link = found.get("@odata.nextLink") or found.get("odata.nextLink")
        query = urls.next_query(exchanges.connection, asked.path, str(link)) if link else None
        return Rows(records=records, next=query, clock=clock_of(answer.date))

    path = (*asked.feed.root, asked.segment)
    try:
        return _read(exchanges, asked.feed.name, path, options, parse)
    except NotInEndpoint as error:
        mend = _MEND[asked.feed.kind]
        raise NotInEndpoint(f"{asked.feed.name} is not served: {mend} ({error.message})", "entity") from None
    except RightsMissing as error:
        raise RightsMissing(f"{asked.feed.name}: {error.message}") from None


def plain(record: Record, columns: Mapping[str, str]) -> Record:
    """A row with its values as the contract-based API has them: numbers as numbers, texts without blanks behind them.

    v3 writes decimals as texts and both dialects keep the database's padding (recorded). Raises AnswerMalformed.
    """
    return {
        name: _plain(value, columns.get(name, "")) for name, value in record.items() if "odata." not in name
    }


def _plain(value: Any, type_: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        match type_:
            case "Edm.Decimal":
                number = Decimal(value)
                return number if number.is_finite() else _nonsense(value)
            case "Edm.Int64":
                return int(value)
    except (InvalidOperation, ValueError):
        return _nonsense(value)
    return value.rstrip(" ")


def _nonsense(value: str) -> Any:
    raise AnswerMalformed(f"the ERP answered with {answers.clean(value)[:80]!r} in a column of numbers")


def _roots(exchanges: Exchanges, kind: str) -> list[_Root]:
    """Where such feeds may be served, by the instance's build: the likeliest first."""
    tenant = exchanges.connection.tenant
    old, dialect = ("odata", Dialect.V3) if kind == "gi" else ("odatav4", Dialect.V4)
    newer = _Root(("t", tenant, "api", "odata", kind), Dialect.V4)
    # The tenant is left out of the path where the site has one alone.
    older = [_Root((old, tenant), dialect), _Root((old,), dialect)]
    build = exchanges.read("GET /entity", "/entity", "", _build)
    return older if build and build < _NEWER[kind] else [newer, *older]


def _build(answer: Answer) -> tuple[int, ...]:
    """The number of the instance's build, such as 24.200.0040; nothing where it does not tell."""
    told = answers.decode(answer.body)
    version = told.get("version") if isinstance(told, dict) else None
    build = version.get("acumaticaBuildVersion") if isinstance(version, dict) else None
    return tuple(int(part) for part in str(build or "").split(".")[:4] if part.isdecimal() and len(part) < 9)


def _described(exchanges: Exchanges, root: _Root) -> Service:
    # The site was well a moment ago: a page in place of this is about OData alone.
    path = (*root.segments, "$metadata")
    return _read(exchanges, "$metadata", path, "", _service, answers.XML, AnswerMalformed)


def _feed(root: _Root, service: Service, kind: str, name: str) -> Feed:
    found = [each for each in service.sets if each == name] or [
        each
        for each in service.sets
        if kind == "dac" and (each.endswith(f"_{name}") or name.endswith(f"_{each}"))
    ]
    if len(found) != 1:
        which = f"; it may be {' or '.join(found[:3])}" if found else like(name, service.sets)
        raise NotInEndpoint(f"OData serves no {name!r}{which}; if it is there, {_MEND[kind]}", "entity")
    type_, parameters = service.type_of(found[0]), service.parameters(found[0] + WITH_PARAMETERS)
    return Feed(
        kind=kind,
        root=root.segments,
        name=found[0],
        dialect=root.dialect,
        keys=type_.keys,
        columns=dict(type_.columns),
        parameters=None if parameters is None else dict(parameters),
    )


def _service(answer: Answer) -> Service:
    return Service(answer.body)


def _require_words(answer: Answer, asked: Asked) -> None:
    """Raise FilterRefused for a success without a word: so a filter on a calculated column ends (reported, v4)."""
    if _is_silent(answer):
        if asked.filter:
            raise FilterRefused(
                "the ERP answered the filter with nothing at all, which is how it refuses one on a calculated column: "
                "filter by columns that are in the database",
                "filter",
            )
        raise AnswerMalformed("the ERP answered with nothing at all")


def _is_silent(answer: Answer) -> bool:
    return answer.status == 200 and not answer.body.strip()


def _read(
    exchanges: Exchanges,
    what: str,
    path: Sequence[str],
    options: str,
    parse: Callable[[Answer], T],
    kinds: frozenset[str] = answers.JSON,
    otherwise: type[WorkerError] = ErpRestarting,
) -> T:
    """What an answer of OData holds, of these media types, asked for as often as it takes. Raises ``otherwise`` for
    another type."""
    connection = exchanges.connection
    use = Use(what=what, longest=connection.exchange_seconds)
    sent = {"Accept": ", ".join(sorted(kinds)), **_basic(connection)}

    def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> Answer:
        request = exchanges.request(lease, urls.path(*path), options, headers=sent)
        answer = wire.send(request, deadline, connection.max_answer_mib * MIB)
        # What it says of the session is to be known while that is still ours.
        return answer if _is_silent(answer) else answers.data(answer, kinds, otherwise)

    return exchanges.tried(lambda: parse(exchanges.once(exchange, use)))


def _basic(connection: Connection) -> dict[str, str]:
    """OData takes a bearer token or HTTP Basic, which opens a session of its own unless a session's cookies are there.

    Source: vendor's guide, OData; reported by live instances.
    """
    if connection.sign_in != "cookie":
        return {}
    words = f"{connection.username}:{connection.password.get_secret_value()}"
    return {"Authorization": f"Basic {b64encode(words.encode()).decode()}"}
