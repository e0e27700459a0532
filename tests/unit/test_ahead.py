"""Calls ahead of time: in order, so many at once, and none that outlives its context."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from contextvars import ContextVar

import pytest

from worker.ahead import READY, Ahead

PATIENCE = 10.0
"""Seconds until a test gives up; none waits so long."""


def threads() -> list[threading.Thread]:
    """The threads of any ``Ahead`` that live."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_results_come_in_the_order_of_their_items() -> None:
    """The second may be ready before the first, and waits for it."""
    second_is_done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_is_done.wait(PATIENCE)
        else:
            second_is_done.set()
        return -number

    with Ahead(2) as ahead:
        assert list(ahead.each(work, range(5))) == [(number, -number) for number in range(5)]


@pytest.mark.parametrize("width", [1, 3])
def test_so_many_work_at_once_and_no_more(width: int) -> None:
    """All threads are needed to go on, and there is none besides."""
    meeting = threading.Barrier(width)
    at_once, most = 0, 0
    counting = threading.Lock()

    def work(_: int) -> None:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        meeting.wait(PATIENCE)
        with counting:
            at_once -= 1

    with Ahead(width) as ahead:
        list(ahead.each(work, range(4 * width)))
    assert most == width


def test_items_are_taken_only_as_far_as_they_are_made_ready() -> None:
    """Of a list without end a few items are taken beyond the one that is waited for."""
    taken: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    with Ahead(3) as ahead:
        assert next(ahead.each(abs, endless())) == (0, 0)
    assert len(taken) == 3 * READY


def test_what_a_call_raises_is_raised_in_its_turn() -> None:
    """Those before a failure come first, though the failure was there before them."""
    has_failed = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            has_failed.set()
            raise ValueError("the second")
        assert has_failed.wait(PATIENCE)
        return number

    with Ahead(2) as ahead:
        results = ahead.each(work, range(3))
        assert next(results) == (0, 0)
        with pytest.raises(ValueError, match="the second"):
            next(results)


def test_no_thread_outlives_its_context() -> None:
    """At the end what is at work is waited for, and what was not begun never is."""
    begun, let_go = threading.Event(), threading.Event()
    worked: list[int] = []

    def work(number: int) -> None:
        begun.set()
        assert let_go.wait(PATIENCE)
        worked.append(number)

    with Ahead(1) as ahead:
        first, *others = [ahead.call(work, number) for number in range(3)]
        assert begun.wait(PATIENCE)
        # When the last one is cancelled, so are all that were not begun.
        others[-1].add_done_callback(lambda _: let_go.set())
    assert (threads(), first.done(), worked) == ([], True, [0])


def test_a_failure_leaves_no_thread() -> None:
    """An exception in whoever uses it ends it too."""
    with pytest.raises(KeyError), Ahead(2) as ahead:
        ahead.call(abs, 1)
        raise KeyError
    assert threads() == []


def test_a_generator_that_is_closed_ends_its_threads() -> None:
    """Who stops in the middle leaves nothing running."""

    def pages() -> Generator[int]:
        with Ahead(2) as ahead:
            for _, result in ahead.each(abs, range(100)):
                yield result

    with closing(pages()) as some:
        assert next(some) == 0
        assert threads()
    assert threads() == []


def test_a_call_keeps_the_context_that_it_was_made_in() -> None:
    """What is bound for logs and the like is bound there too."""
    name: ContextVar[str] = ContextVar("name", default="nobody")
    with Ahead(1) as ahead:
        name.set("job-1")
        assert ahead.call(name.get).result() == "job-1"


def test_there_is_always_a_thread() -> None:
    """A license that tells no number of seats is one of one."""
    with Ahead(0) as ahead:
        assert (ahead.width, ahead.call(abs, -1).result()) == (1, 1)
