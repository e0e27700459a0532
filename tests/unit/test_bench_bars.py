"""The bars of ``make bench``: what each figure is computed from, and when a bar is reached."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.bench import bars
from tests.benchmarks.bench.bars import Bar, Latency
from tests.benchmarks.bench.measure import Run, Spread
from tests.benchmarks.bench.plot import svg
from tests.benchmarks.bench.report import Report, table

LATENCY = Latency(80, 0.2, 0.01)
IDS = st.lists(st.sampled_from("abcdefgh"))


def runs(*seconds: float, rows: int = 1000, requests: int = 10, lost: int = 0, doubled: int = 0) -> list[Run]:
    """Runs that took so long each."""
    return [Run(rows=rows, seconds=each, requests=requests, lost=lost, doubled=doubled) for each in seconds]


def test_the_limit_of_a_list_is_its_full_pages_on_all_sessions() -> None:
    """20,010 rows in pages of 100 are 201 pages of 100 ms, so 4.02 s on five sessions."""
    assert bars.limit_of_batches(20_010, 100, 5, LATENCY) == pytest.approx(4.02)


def test_the_limit_by_key_is_a_row_a_request() -> None:
    """1,500 records of 80.2 ms each take 24.06 s on five sessions."""
    assert bars.limit_of_by_key(1500, 5, LATENCY) == pytest.approx(24.06)


def test_efficiency_goes_by_the_median_of_the_runs() -> None:
    """One slow run of three does not miss a bar, two do."""
    assert bars.efficiency("e", 4.0, runs(4.5, 9.0, 4.5), 0.88) == Bar("e", "0.8889 (at least 0.88)", True)
    assert not bars.efficiency("e", 4.0, runs(4.5, 9.0, 9.0), 0.88).is_met


def test_a_bar_prints_its_name_figure_and_verdict() -> None:
    """The line is ``bench NAME: figure ok`` or ``bench NAME: figure missed``."""
    assert bars.at_most("depth-rss", 151, 150, " MB").line() == (
        "bench depth-rss: 151 MB (at most 150 MB) missed"
    )
    assert bars.at_most("depth-rss", 150, 150, " MB").line().endswith(" ok")


def test_requests_are_judged_at_their_most() -> None:
    """One run that takes a request too many for its ten pages misses the bar."""
    assert bars.requests_a_page("r", runs(1, requests=11), 100).is_met
    assert not bars.requests_a_page("r", runs(1, requests=11) + runs(1, requests=12), 100).is_met


def test_requests_beside_the_loop_are_two_in_a_hundred_more() -> None:
    """102 requests where the loop makes 100 are well, 103 are not."""
    loop = runs(1, requests=100)
    assert bars.requests_beside("r", runs(1, requests=102), loop).is_met
    assert not bars.requests_beside("r", runs(1, requests=103), loop).is_met


def test_a_contender_is_compared_by_records_a_second() -> None:
    """Four times as fast is a quarter of the time; five in a hundred slower is 1.05 times the time a record."""
    assert bars.faster("f", runs(5.0), runs(20.0), 4.0).is_met
    assert not bars.faster("f", runs(5.1), runs(20.0), 4.0).is_met
    assert bars.slower("s", runs(10.4, rows=1000), runs(20.0, rows=2000), 0.05).is_met
    assert not bars.slower("s", runs(10.6, rows=1000), runs(20.0, rows=2000), 0.05).is_met


@given(IDS, IDS, IDS)
def test_only_rows_that_stayed_can_be_lost(before: list[str], after: list[str], got: list[str]) -> None:
    """Lost is what was there at both ends and did not come; doubled is each coming after the first, of any row."""
    lost, doubled = bars.lost_and_doubled(before, after, got)
    assert lost == len({row for row in before if row in after and row not in got})
    assert doubled == sum(count - 1 for count in Counter(got).values())


@pytest.mark.parametrize(("lost", "doubled"), [(1, 0), (0, 1)])
def test_a_row_that_is_lost_or_doubled_in_one_run_is_seen(lost: int, doubled: int) -> None:
    """One such row in one of three runs misses the bar."""
    assert bars.whole("w", runs(1, 1, 1)).is_met
    assert not bars.whole("w", [*runs(1, 1), *runs(1, lost=lost, doubled=doubled)]).is_met


def test_the_control_must_lose_every_time() -> None:
    """Where the plain loop has lost nothing, the data did not move, and nothing is proven."""
    assert bars.torn("c", runs(1, lost=1) + runs(1, doubled=1)).is_met
    assert not bars.torn("c", runs(1, lost=1) + runs(1)).is_met
    assert not bars.torn("c", []).is_met


def test_a_busy_sandbox_spoils_the_bench() -> None:
    """More than half a core in any run, and the sandbox is what was measured."""
    idle = Run(rows=1, seconds=1, sandbox_cores=0.5)
    busy = Run(rows=1, seconds=1, sandbox_cores=0.51)
    assert bars.sandbox_idle("s", [idle]).is_met
    assert not bars.sandbox_idle("s", [idle, busy]).is_met


def test_a_table_has_median_least_and_greatest() -> None:
    """Of three runs each figure is shown as median (least–greatest), and alone where all are alike."""
    report = Report("lists", {"acuworker": runs(1, 2, 4)}, {"the limit": 2000.0}, [], ("a note",))
    head, ours, limit, note = table(report)
    assert head.split()[:2] == ["lists", "records/s"]
    assert ours.split()[:4] == ["acuworker", "500", "(250–1000)", "10"]
    assert (limit, note) == ("the limit  2000", "a note")


def test_a_picture_has_each_contender_and_the_limit() -> None:
    """The plot names all that the table does, with names made safe for XML."""
    picture = svg(Report("lists", {"a < b": runs(1, 2)}, {"the limit": 2000.0}, []))
    assert "a &lt; b" in picture
    assert "the limit" in picture


def test_a_spread_is_of_the_figures_alone() -> None:
    """The median of three is the middle one, in whatever order they came."""
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
