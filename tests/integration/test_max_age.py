"""A result that is young enough answers a job that asks the same, without a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.job_desk import JOB, RESULT, JobDesk
from worker.errors import FilterRefused
from worker.job import Job, Lane
from worker.jobstate import Attempt

SAME: dict[str, Any] = {"entity": "SalesOrder"}


@pytest.fixture
def desk(store_url: str) -> Iterator[JobDesk]:
    """A store in which the job ``j`` was begun ten seconds before now, and is done."""
    with redis.Redis.from_url(store_url) as client:
        desk = JobDesk(client)
        attempt = desk.begun()
        desk.later(10)
        desk.jobs.finish(attempt, RESULT)
        yield desk


@pytest.mark.parametrize(
    ("asked", "is_answered"),
    [
        ({}, False),
        ({"max_age": 9}, False),
        ({"max_age": 10}, True),
        ({"max_age": 60, "lane": "interactive", "page_size": 7, "deadline_seconds": 5}, True),
        ({"max_age": 60, "idempotency_key": "k", "consistency": "stable"}, True),
        ({"max_age": 60, "select": ["OrderNbr"]}, False),
        ({"max_age": 60, "connection": "other"}, False),
        ({"max_age": 60, "branch": "MAIN"}, False),
        ({"max_age": 60, "values": "wire"}, False),
        ({"max_age": 60, "limit": 3}, False),
        ({"max_age": 60, "consistency": "fresh"}, False),
    ],
)
def test_the_same_question_is_answered_by_a_result_that_is_young_enough(
    desk: JobDesk, asked: dict[str, Any], is_answered: bool
) -> None:
    """What is asked must be the same, on the same connection and branch; how soon and in what pages is no matter."""
    assert desk.jobs.answer(Job.parse(SAME | asked)) == (RESULT if is_answered else None)


def test_an_answer_of_another_job_makes_nothing_younger(desk: JobDesk) -> None:
    """A job that was answered so does not answer the next one: the age is that of what was retrieved."""
    later = JOB.model_copy(update={"max_age": 60})
    found = desk.deliver("later", later)
    assert isinstance(found, Attempt)
    desk.jobs.finish(found, RESULT)
    desk.later(51)
    assert desk.jobs.answer(later) is None


def test_a_job_without_a_result_answers_nothing(desk: JobDesk) -> None:
    """A job that failed, or whose result is kept no more, is no answer; the last one that was done still is."""
    failed = desk.begun("failed")
    desk.jobs.finish(failed, FilterRefused("no", "filter"))
    asks = Job.parse(SAME | {"max_age": 60, "lane": Lane.BULK})
    assert desk.jobs.answer(asks) == RESULT
    desk.store.delete("acuworker:result:j")
    assert desk.jobs.answer(asks) is None
