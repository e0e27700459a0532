"""The judges of the checks on jobs: what they read off records that are made by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import jobpoints, killpoints, kills
from tests.chaos.handmade import Log, failed
from tests.chaos.judge import broker, jobs, poison, rolls, slices, zombie
from tests.chaos.judge import kills as kills_judge
from tests.chaos.judge.record import SECOND, Record

ORDER = {"id": "id-1", "OrderNbr": {"value": "000001"}}
TEXT = json.dumps(ORDER) + "\n"
BODY = {"entity": "SalesOrder", "select": ["OrderNbr"], "params": {"low": "000001", "high": "000001"}}
RESULT: Mapping[str, Any] = {"records": TEXT, "count": 1}


def line(id_: str = "1", **changes: Any) -> dict[str, Any]:
    """The line of a job that took two seconds and is done."""
    told = {"kind": "job", "id": id_, "job": BODY, "sent": 0, "ended": 2 * SECOND, "state": "SUCCESS"}
    return {**told, "result": RESULT, **changes}


def kept(id_: str = "1", status: str = "SUCCESS", result: Any = RESULT, **row: Any) -> dict[str, Any]:
    """What the store has of a job at the end."""
    meta = json.dumps({"status": status, "result": result})
    told = {"state": "done", "attempt": "1", "slices": "2", **row}
    return {f"celery-task-meta-{id_}": meta, f"acuworker:job:{id_}": told}


def write(operation: str = "finish", at: float = 1.0, **facts: Any) -> dict[str, Any]:
    """What an attempt wrote into the job store."""
    told = {"kind": "write", "operation": operation, "sent": int(at * SECOND), "at": int(at * SECOND)}
    return {**told, "accepted": True, "id": "1", "attempt": 1, "pid": 7, **facts}


def record(
    results: Sequence[Mapping[str, Any]] = (),
    store: Mapping[str, Any] | None = None,
    marks: Sequence[Mapping[str, Any]] = (),
    events: Sequence[Mapping[str, Any]] = (),
    **facts: Any,
) -> Record:
    """A small record of one job that is done, or of these."""
    told = {"size": "small", "marks": list(marks), **facts}
    return Record(
        events=events,
        facts=told,
        results=[*results] or [line(), write()],
        oracle={"SalesOrder": [ORDER]},
        store=kept() if store is None else store,
    )


def judged(found: Record) -> set[str]:
    """The figures of its jobs that failed, but for that of blobs, of which most records here have none."""
    return failed(jobs.figures(jobs.fates(found), 1, 10.0)) - {"of these in blobs"}


@pytest.mark.parametrize(
    ("found", "figures"),
    [
        (record(), set()),
        (record(store=kept(state="running")), {"jobs not done"}),
        (record(store=kept(state="dead")), {"jobs not done"}),
        (record([line(ended=11 * SECOND), write()]), {"seconds a job took, most"}),
        (record([line(), write(), write(at=2.0)]), {"jobs ended twice"}),
        (record([line(), write(), write(at=2.0, accepted=False)]), set()),
        (record([line(), *[{"kind": "manifest", "id": "1", "put": True}] * 2]), {"results published twice"}),
        (record([line(result={**RESULT, "count": 2})]), {"jobs told of twice, and otherwise"}),
        (
            record([line(state="UNDER_WAY", result=None)], {}),
            {
                "jobs not done",
                "jobs whose sender was not told",
                "jobs with wrong records",
                "seconds a job took, most",
            },
        ),
    ],
)
def test_a_job_is_done_once_and_its_sender_told(found: Record, figures: set[str]) -> None:
    """Lost, late, ended or published twice, told of otherwise the second time: each has a figure that fails."""
    assert judged(found) == figures


def test_every_record_comes_once() -> None:
    """A record too many, or none, is wrong."""
    for text in (TEXT * 2, ""):
        result = {"records": text}
        assert judged(record([line(result=result)], kept(result=result))) == {"jobs with wrong records"}


def test_blobs_are_read_and_their_sums_checked(tmp_path: Path) -> None:
    """The records of a large result are those of its parts; a part that is not what its manifest says is none."""
    part = {**blob(tmp_path / "part", TEXT), "records": 1}
    manifest = blob(tmp_path / "manifest.json", json.dumps({"records": [part]}))
    assert jobs.text_of({"manifest": manifest}) == TEXT
    (tmp_path / "part").write_text(TEXT.replace("1", "2"))
    assert jobs.text_of({"manifest": manifest}) is None
    (tmp_path / "part").unlink()
    assert jobs.text_of({"manifest": manifest}) is None


def blob(path: Path, text: str) -> dict[str, Any]:
    """What a manifest tells of a file with this text."""
    path.write_text(text)
    return {
        "url": path.as_uri(),
        "size": len(text.encode()),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def test_kills_asks_for_every_point_that_there_is() -> None:
    """The judge has a list of its own of where a job's worker can be killed; each point is one that exists."""
    assert set(kills_judge.POINTS) == set(kills.POINTS)
    assert set(jobpoints.OF_A_LEASE + jobpoints.OF_AN_EXCHANGE) <= set(killpoints.POINTS)
    full = kills.FULL
    assert len(full.brokers) * full.rounds * len(full.points) >= kills_judge.FEWEST_KILLS


def test_kills_goes_by_the_keys_that_were_handed_in() -> None:
    """Who hands a job in and dies, does it again: a key without a job is lost, one with two was done twice."""
    handing = [{"kind": "handing", "key": key} for key in ("a", "b")]
    one = record([*handing, line(key="a")], {**kept("1", key="a"), **kept("2")})
    assert (kills_judge.lost(one), kills_judge.doubled(one)) == (1, 0)
    two = record([*handing, line(key="a"), line("2", key="b")], {**kept("1", key="a"), **kept("2", key="a")})
    assert (kills_judge.lost(two), kills_judge.doubled(two)) == (0, 1)


def test_kills_wants_every_point_hit() -> None:
    """A point at which nobody was killed fails the check."""
    facts: dict[str, Any] = {"planned": ["p", "q"], "plan": {"jobs": 1}, "broker": "valkey"}
    results = [line(), {"kind": "kill", "point": "p"}]
    assert failed(kills_judge.judge([record(results, **facts)])) == {
        "kills at q",
        "kills",
        "of these in blobs",
    }


def stopped(*lines: Mapping[str, Any]) -> set[str]:
    """The figures that fail where a worker was stopped from second 10 to 40, in the middle of an attempt."""
    mark = {"name": "continued", "at": 40 * SECOND, "pid": 7, "stopped": 10 * SECOND}
    begun = {"kind": "attempt", "id": "1", "attempt": 1, "pid": 7, "at": 9 * SECOND}
    facts: dict[str, Any] = {"plan": {"points": ["p"]}}
    return failed(zombie.judge(record([line(), begun, *lines], marks=[mark], **facts))) - {
        "of these in blobs"
    }


def test_zombie_wants_late_writes_refused() -> None:
    """What an attempt sends that had begun before its worker was stopped must be refused, manifests as well."""
    refused = write(at=40.1, accepted=False)
    assert stopped(refused) == set()
    assert stopped() == {"late writes"}
    assert stopped(refused, write(at=40.2)) == {"late writes accepted"}
    assert stopped(refused, write(at=40.2, attempt=2)) == set()
    put = {"kind": "manifest", "id": "1", "put": True, "pid": 7, "sent": 41 * SECOND, "at": 41 * SECOND}
    assert stopped(refused, put) == {"late manifests that stand"}
    assert stopped(refused, {**put, "sent": 9 * SECOND}) == set()


def rolled(seconds: float = 3.0, closed: float = 65.0, **row: Any) -> set[str]:
    """The figures that fail where a worker took so long to end, and a session closed then."""
    made = Log()
    made.session(1.0, closed, 1)
    marks = [
        {"name": "roll", "at": 0},
        {"name": "replaced", "at": 0, "pid": 7, "seconds": seconds, "gone": seconds < 40},
        {"name": "terminated", "at": 60 * SECOND},
    ]
    found = record(store=kept(**row), marks=marks, events=made.in_order(), plan={"workers": 1})
    return failed(rolls.judge(found)) - {"of these in blobs"}


def test_rolls_wants_workers_gone_and_nothing_open() -> None:
    """25 s for a worker, 10 s after the last SIGTERM for the sessions, and nobody taken for crashed."""
    assert rolled() == set()
    assert rolled(seconds=25.1) == {"the slowest exit, s"}
    assert rolled(closed=70.5) == {"open 10 s after the last SIGTERM"}
    assert rolled(crashes="1") == {"jobs taken for crashed"}


def test_broker_wants_every_job_of_the_emptied_queue() -> None:
    """It fails where too little befell the broker, and where a job of the emptied queue is not done."""
    marks = [
        {"name": "started", "at": 0},
        {"name": "stopped", "at": 0},
        {"name": "continued", "at": 2 * SECOND},
        {"name": "emptied", "at": 0, "messages": 3},
    ]
    facts: dict[str, Any] = {"broker": "valkey", "plan": {"restarts": 1, "stopped": 2.0, "crowd": 1}}
    lines = [line("crowd-1")]
    good = record(lines, kept("crowd-1"), marks, **facts)
    assert failed(broker.judge([good])) == {"of these in blobs"}
    lost = record(lines, kept("crowd-1", state="accepted"), marks[1:], **facts)
    assert failed(broker.judge([lost])) == {"of these in blobs", "valkey: restarts", "jobs not done"}


def poisoned(times: int, state: str = "dead") -> set[str]:
    """The figures that fail where a job killed so many workers and is in this state."""
    result = {"exc_type": "JobDead"}
    results = [
        line(),
        line("poison", state="FAILURE", result=result),
        *[{"kind": "poisoned", "pid": number} for number in range(times)],
    ]
    store = {**kept(), **kept("poison", "FAILURE", result, state=state)}
    found = record(results, store, plan={"others": 1}, poison="poison")
    return failed(poison.judge(found)) - {"of these in blobs"}


def test_poison_wants_three_deaths_and_no_more() -> None:
    """The job that kills its workers is dead after three."""
    assert poisoned(3) == set()
    assert poisoned(2) == {"workers that it killed"}
    assert poisoned(4) == {"at most"}
    assert poisoned(3, "running") == {"poison jobs that are dead"}


def sliced(events: Sequence[str], states: Sequence[str], flower: Sequence[str] = ("SUCCESS",)) -> set[str]:
    """The figures that fail where these events came and these states were shown, here and of Flower's tasks."""
    results = [
        line(),
        *({"kind": "event", "type": type_, "uuid": "1"} for type_ in events),
        *({"kind": "state", "state": state} for state in states),
        *({"kind": "flower", "uuid": "1", "state": state} for state in flower),
    ]
    return failed(slices.judge(record(results, plan={"pages": 4, "killed_after": []})))


def test_slices_wants_one_end() -> None:
    """A task begins as often as it has slices, and ends once, by its events as by its result."""
    assert sliced(["task-started", "task-started", "task-succeeded"], ["PROGRESS", "SUCCESS"]) == set()
    assert sliced(["task-succeeded"] * 2, ["SUCCESS"]) == {"times it ended, by events"}
    assert sliced(["task-succeeded"], ["SUCCESS", "PROGRESS"]) == {"states shown after its end"}
    assert sliced(["task-started"], ["PROGRESS"]) == {
        "times it succeeded, by events",
        "times it ended, by AsyncResult",
    }
    right = ["task-started", "task-succeeded"], ["PROGRESS", "SUCCESS"]
    assert sliced(*right, ["SUCCESS", "FAILURE"]) == {"other tasks that it tells of"}
    assert sliced(*right, ["FAILURE"]) == {"of these succeeded"}
    assert "tasks that Flower's API tells of" in sliced(*right, [])
