"""The verdict on ``resume``: whoever goes on with a job whose worker died repeats at most the page that was not kept.

Each job lost its worker once, at some page. What was asked for it afterwards is in the sandbox's log: by so many rows
more than were left after that page, some were read again. A row that overlaps, one to a list's page, is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.chaos.judge import jobs
from tests.chaos.judge.figures import Figure, at_least, at_most
from tests.chaos.judge.log import arrivals, asked_by, by_request
from tests.chaos.judge.record import SECOND, Line, Record

WAYS, MOMENTS = ("batches", "by_key"), ("before", "after")
PAGES, SIZE = 12, 5
BOUND_SECONDS = 90.0
ENTITIES = frozenset({"SalesOrder", "Payment"})
"""The last segment of a list's path is one of these."""

SETTLED = 5 * SECOND
"""What a worker has sent arrives within that time of its death; the next one waits for its lease, 15 s."""


def judge(record: Record) -> Sequence[Figure]:
    """Every figure of the check."""
    pages = record.facts["plan"]["pages"] if record.is_small else range(1, PAGES + 1)
    points = {(way, int(page), moment) for way in WAYS for page in pages for moment in MOMENTS}
    killed = {str(line["point"]): int(line["at"]) for line in record.results if line["kind"] == "kill"}
    dead = [line for line in record.results if line["kind"] == "job" and _point(line) in killed]
    met = {(str(line["way"]), int(line["page"]), str(line["moment"])) for line in dead}
    again = [(line, _rows_again(record, line, killed[_point(line)])) for line in dead]
    return [
        at_least("points at which a worker died", len(met & points), len(points)),
        *(
            at_most(f"rows read again, {way}, {moment} it was kept", _most(again, way, moment), most)
            for way in WAYS
            for moment, most in (("before", SIZE), ("after", 0))
        ),
        *(
            figure
            for figure in jobs.figures(jobs.fates(record), len(points), BOUND_SECONDS)
            if figure.name != "of these in blobs"
        ),
    ]


def _point(line: Line) -> str:
    return f"{line['id']}: page {line['page']} {line['moment']}"


def _most(again: Sequence[tuple[Line, int]], way: str, moment: str) -> int:
    return max((rows for line, rows in again if (line["way"], line["moment"]) == (way, moment)), default=0)


def _rows_again(record: Record, line: Line, died: int) -> int:
    """How many rows were read for a job afterwards, beyond those that lay behind the page that it died at."""
    ends = by_request(record.events, "end")
    afterwards = [
        arrival
        for arrival in arrivals(record.events, asked_by(str(line["id"])))
        if arrival["at"] > died + SETTLED and arrival["method"] == "GET"
    ]
    rows = sum(_new_rows(arrival, ends, str(line["way"])) for arrival in afterwards)
    return rows - SIZE * (PAGES - int(line["page"]))


def _new_rows(arrival: Line, ends: Mapping[int, Line], way: str) -> int:
    """The rows of an answer, but for the one that overlaps; of a job by key, only its records count."""
    is_list = str(arrival["path"]).rpartition("/")[2] in ENTITIES
    rows = int(ends[arrival["request"]].get("rows", 0)) if arrival["request"] in ends else 0
    if way == "by_key":
        return 0 if is_list else rows
    return max(0, rows - 1)
