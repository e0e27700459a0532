"""The check of paging and that of resuming: what their judges read off lines made by hand, and a game or two."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from tests.chaos import paging as paging_play
from tests.chaos import resume as resume_play
from tests.chaos.handmade import Log, failed, record_of
from tests.chaos.judge import paging, resume
from tests.chaos.judge.record import SECOND, Line
from tests.chaos.moving import WAYS, Game


def game(**changes: Any) -> dict[str, Any]:
    """A game of three rows that all came, in which one was inserted."""
    line: dict[str, Any] = {
        "kind": "game",
        "throughout": [1, 2, 3],
        "got": [1, 2, 4, 3],
        "versions": {"1": 1, "2": 5, "3": 3, "4": 4},
        "due": {"1": 1, "2": 5, "3": 3, "9": 9},
        "promised": "fresh",
        "requests": 4,
        "changes": 1,
        "resumed": 1,
        "broke": "",
    }
    return line | changes


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({}, set()),
        ({"got": [1, 2]}, {"rows lost"}),
        ({"got": [1, 2, 3, 4, 4]}, {"rows doubled"}),
        ({"versions": {"1": 1, "2": 4, "3": 3}}, {"rows not fresh"}),
        ({"versions": {"1": 1, "2": 4, "3": 3}, "promised": "stable"}, set()),
        ({"broke": "AssertionError: it does not end"}, {"games broken off"}),
        ({"broke": "moved", "got": []}, {"games given up"}),
        ({"changes": 0}, {"games whose rows moved"}),
        ({"resumed": 0}, {"games that were resumed"}),
        ({"due": {}}, {"fresh games that had to repair"}),
    ],
)
def test_what_the_judge_of_paging_counts(changes: Mapping[str, Any], figures: set[str]) -> None:
    """Rows that were there throughout come once; others may come or not, and never twice."""
    games = [game(**changes) for _ in range(20)]
    assert failed(paging.judge(record_of([], games, size="small", games=20))) == figures


def test_a_full_check_of_paging_has_seen_everything() -> None:
    """Ten thousand games that are all of one kind do not do."""
    kinds = {kind: next(iter(seen)) for kind, seen in paging.KINDS.items()}
    wanting = failed(paging.judge(record_of([], [game(**kinds)] * paging.GAMES)))
    assert wanting == {f"kinds of {kind}" for kind in paging.KINDS}
    assert "games" in failed(paging.judge(record_of([], [game(**kinds)] * (paging.GAMES - 1))))


def test_games_are_played_as_they_are_asked_for() -> None:
    """What is asked for is what the judge asks for; the line of a game has all that it reads."""
    assert (paging_play.FULL.games, paging_play.FULL.size) == (paging.GAMES, "full")
    assert set(WAYS) - {"plain"} == paging.KINDS["way"]
    line = Game(3).play()
    assert line.keys() >= game().keys() | paging.KINDS.keys()
    assert (line["broke"], set(line["throughout"]) <= set(line["got"])) == ("", True)


POINTS = tuple(product(resume.WAYS, range(1, resume.PAGES + 1), resume.MOMENTS))


def resumed(log: Log, way: str, page: int, moment: str, again: int = 0) -> list[Line]:
    """A job whose worker died at a page, and what was asked for it: then, and much later, with some rows once more."""
    id_ = f"{way}-{page}-{moment}"
    log.request(1.0, 0.1, id_, method="GET", path="/x/SalesOrder")
    left = resume.SIZE * (resume.PAGES - page + (moment == "before")) + again
    path = "/x/SalesOrder" if way == "batches" else "/x/Payment/Payment/000101"
    for rows in (left + 1, 1) if way == "batches" else (1,) * left:
        number = log.request(20.0, 0.1, id_, method="GET", path=path)
        next(event for event in log.events if (event["kind"], event["request"]) == ("end", number))[
            "rows"
        ] = rows
    kill = {"kind": "kill", "point": f"{id_}: page {page} {moment}", "at": 2 * SECOND}
    told = {"way": way, "page": page, "moment": moment}
    return [{"kind": "job", "id": id_, "job": {}, "state": "UNDER_WAY", "sent": 0, **told}, kill]


OF_JOBS = {
    "jobs not done",
    "jobs whose sender was not told",
    "jobs with wrong records",
    "seconds a job took, most",
}


def figures_of(log: Log, results: list[Line]) -> set[str]:
    """The figures that fail, but for those on what became of jobs, which other tests are about."""
    return failed(resume.judge(record_of(log.in_order(), results))) - OF_JOBS


def test_a_page_may_be_read_again_that_was_not_kept() -> None:
    """Before it is kept a page is read once more; after it none of its rows are."""
    log = Log()
    results = [line for point in POINTS for line in resumed(log, *point)]
    assert figures_of(log, results) == set()


@pytest.mark.parametrize(("way", "moment"), list(product(resume.WAYS, resume.MOMENTS)))
def test_a_row_more_is_one_too_many(way: str, moment: str) -> None:
    """One row of another page that is read again is seen."""
    log = Log()
    results = [
        line for point in POINTS for line in resumed(log, *point, again=int(point == (way, 7, moment)))
    ]
    assert figures_of(log, results) == {f"rows read again, {way}, {moment} it was kept"}


def test_a_point_that_nobody_died_at_is_missed() -> None:
    """The check is about every page."""
    log = Log()
    results = [line for point in POINTS[1:] for line in resumed(log, *point)]
    assert "points at which a worker died" in figures_of(log, results)


def test_jobs_are_killed_as_the_judge_asks_for() -> None:
    """The player and the judge mean the same pages and the same moments."""
    assert resume_play.FULL.pages == tuple(range(1, resume.PAGES + 1))
    assert (resume_play.PAGES, resume_play.SIZE, resume_play.MOMENTS) == (
        resume.PAGES,
        resume.SIZE,
        resume.MOMENTS,
    )
