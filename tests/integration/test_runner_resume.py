"""A job in slices, by workers that are killed at every step: every record once, and the same bytes as without."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runner_bench import Numbered, RunnerBench, killing
from tests.store_process import start_store
from worker.jobstore import GRACE_SECONDS, LEASE_SECONDS, JobStore
from worker.publisher import INLINE_BYTES, Draft
from worker.runner import Continued, Done

PAGES = 4
LARGE = "x" * (INLINE_BYTES // 2)
STEPS: list[tuple[type, str]] = [
    (JobStore, "begin"),
    (Draft, "checkpoint"),
    (JobStore, "checkpoint"),
    (Draft, "publish"),
    (JobStore, "finish"),
    (JobStore, "continue_"),
    (RunnerBench, "_ring"),
]
"""What changes something that others see, or comes just before or after it."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store for all runs."""
    with start_store() as url:
        yield url


@contextmanager
def bench_at(url: str, blobs: Path) -> Iterator[RunnerBench]:
    """A runner on an emptied store."""
    with closing(RunnerBench(url, blobs)) as bench:
        bench.store.flushall()
        yield bench


def uninterrupted(url: str, directory: Path, text: str) -> list[Any]:
    """What comes of the job when nothing happens to it."""
    with bench_at(url, directory / "whole") as bench:
        assert [type(outcome) for outcome in bench.until_ended(Numbered(PAGES, text))] == [Done]
        return bench.ended()


def test_a_job_of_forty_slices_ends_once(url: str, tmp_path: Path) -> None:
    """Each slice goes on where the one before ended, by a message of its own; the last one ends the job."""
    with bench_at(url, tmp_path) as bench:
        handler = Numbered(40)
        outcomes = bench.until_ended(handler, slice_seconds=1e-6)
        assert [type(outcome) for outcome in outcomes] == [Continued] * 39 + [Done]
        assert handler.yielded == list(range(40))
        state = bench.state()
        assert (state.slices, state.attempts, state.records, state.crashes) == (39, 40, 40, 0)


def test_messages_that_come_twice_do_nothing_twice(url: str, tmp_path: Path) -> None:
    """Of a sliced job each message may come again, before and after the next: no page is asked for twice."""
    with bench_at(url, tmp_path) as bench:
        handler = Numbered(10)
        turn = 0
        while not (known := bench.jobs.get("j")) or not known.ended:
            bench.use(handler, 1e-6)
            for again in (turn, turn, max(0, turn - 1)):
                bench.take(turn=again)
            turn = bench.rung[-1].turn if bench.rung else turn
        assert handler.yielded == list(range(10))
        assert bench.state().slices == 9


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=lambda step: getattr(step, "__name__", step))
@pytest.mark.parametrize("text", ["", LARGE], ids=["inline", "parts"])
def test_a_worker_killed_at_any_step(
    url: str, tmp_path: Path, owner: type, name: str, after: bool, text: str
) -> None:
    """Killed at each occurrence of the step, once or twice in a row, the job is done with every record once."""
    expected = uninterrupted(url, tmp_path, text)
    slice_seconds = 1e-6 if name in ("continue_", "_ring") else 30.0
    run = 0
    while True:
        run += 1
        with pytest.MonkeyPatch.context() as patched, bench_at(url, tmp_path / str(run)) as bench:
            calls = killing(patched, owner, name, {run - 1, run}, after=after)
            bench.until_ended(Numbered(PAGES, text), slice_seconds)
            assert bench.ended() == expected, run
            assert bench.staged() == [] or name == "finish"
            if len(calls) < run:
                break
    assert run > 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kills=st.lists(
        st.tuples(st.sampled_from(STEPS), st.booleans(), st.sets(st.integers(0, 12), max_size=3)),
        max_size=4,
        unique_by=lambda kill: kill[0],
    ),
    sliced=st.booleans(),
    large=st.booleans(),
)
def test_workers_killed_at_many_steps(
    url: str,
    tmp_path_factory: pytest.TempPathFactory,
    kills: list[tuple[tuple[type, str], bool, set[int]]],
    sliced: bool,
    large: bool,
) -> None:
    """However the kills fall, the job ends once: done with the same bytes, or dead after three without a page."""
    directory = tmp_path_factory.mktemp("kills")
    expected = uninterrupted(url, directory, LARGE if large else "")
    with pytest.MonkeyPatch.context() as patched, bench_at(url, directory / "cut") as bench:
        for (owner, name), after, times in kills:
            killing(patched, owner, name, times, after=after)
        bench.until_ended(Numbered(PAGES, LARGE if large else ""), 1e-6 if sliced else 30.0)
        if bench.state().crashes < 3:
            assert bench.ended() == expected
    shutil.rmtree(directory)


@pytest.mark.parametrize("text", ["", LARGE], ids=["inline", "parts"])
def test_a_stage_that_is_lost_costs_only_time(url: str, tmp_path: Path, text: str) -> None:
    """Where what was staged is gone, the job begins anew if it needs it, and no record is there twice."""
    expected = uninterrupted(url, tmp_path, text)
    with bench_at(url, tmp_path / "cut") as bench:
        handler = Numbered(PAGES, text)

        def lose(number: int) -> None:
            if number == 3 and 3 not in handler.yielded:
                shutil.rmtree(bench.blobs / "jobs" / "j", ignore_errors=True)

        handler.before = lose
        bench.until_ended(handler, slice_seconds=1e-6)
        assert bench.ended() == expected


def test_a_zombie_goes_on_beside_its_successor(url: str, tmp_path: Path) -> None:
    """A worker that stood still for longer than its lease, and then goes on, changes nothing of what comes out."""
    expected = uninterrupted(url, tmp_path, LARGE)
    for at in range(PAGES):
        with bench_at(url, tmp_path / str(at)) as bench:
            successor, zombie = Numbered(PAGES, LARGE), Numbered(PAGES, LARGE)

            def stand_still(
                number: int, bench: RunnerBench = bench, successor: Any = successor, at: int = at
            ) -> None:
                if number == at:
                    bench.later(LEASE_SECONDS + 1)
                    (bell,) = bench.swept()
                    mine = bench.runner
                    bench.use(successor)
                    assert isinstance(bench.take(turn=bell.turn), Done)
                    bench.runner = mine

            zombie.before = stand_still
            bench.use(zombie)
            bench.take()
            assert bench.ended() == expected
            assert successor.yielded == list(range(at, PAGES))
            bench.later(GRACE_SECONDS)
            assert bench.swept() == []
