"""acuworker jobs and gc, on a real store and without a worker: what is shown, begun anew, ended and removed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from tests.command_line import CommandLine
from worker.blobs.directory import Directory
from worker.blobs.sweep import STALE_SECONDS
from worker.erp.budget import STEP, Budget
from worker.erp.caller import Caller
from worker.erp.deadline import Deadline
from worker.erp.license import LimitsInForce
from worker.errors import ErpBusy, FilterRefused, SignInRefused
from worker.job import Compression, Job, Lane
from worker.jobstate import Attempt, State
from worker.jobstore import JobStore
from worker.page import Cursor, Page, Spent
from worker.publisher import Publisher
from worker.result import Cost, Result
from worker.settings import License

JOB = Job(entity="SalesOrder", lane=Lane.BULK)
CUSTOMER = Job(entity="Customer", connection="crm", lane=Lane.INTERACTIVE)


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of the store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def jobs(store: redis.Redis) -> JobStore:
    """A job store with a job in most states: done, failed, waiting, running, accepted."""
    jobs = JobStore(store)
    attempts: dict[str, Attempt] = {}
    for job_id in ("done", "failed", "waiting", "running"):
        attempt = jobs.begin(job_id, JOB, "bulk-1@host/7", 0)
        assert isinstance(attempt, Attempt)
        attempts[job_id] = attempt
    result = Result(
        job_id="done",
        connection="default",
        entity="SalesOrder",
        count=9,
        pages=1,
        strategy="one",
        cost=Cost(requests=3),
        size=0,
        sha256=hashlib.sha256(b"").hexdigest(),
        records="",
    )
    jobs.finish(attempts["done"], result)
    jobs.finish(attempts["failed"], FilterRefused("cannot be evaluated", "filter"))
    jobs.put_off(attempts["waiting"], SignInRefused("wrong password"), 60, Spent())
    jobs.checkpoint(attempts["running"], "{}", 3, 1500)
    jobs.accept("accepted", CUSTOMER)
    return jobs


@pytest.fixture
def shell(tmp_path: Path, store_url: str, jobs: JobStore) -> CommandLine:
    """A command line beside that store."""
    (tmp_path / "home").mkdir()
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_VAR": str(tmp_path / "var"), "COLUMNS": "80"}
    return CommandLine(tmp_path / "home", told)


def test_jobs_are_listed_whatever_their_state(shell: CommandLine) -> None:
    """Each job has its line: who is at it, how far it is, what it waits for, what it failed with."""
    listed = shell.run("jobs", "list")
    assert (listed.status, listed.err) == (0, "")
    first = [line.split() for line in listed.out.splitlines() if not line.startswith(" ")]
    assert {words[0]: words[1] for words in first} == {
        name: name for name in ("accepted", "running", "waiting", "failed", "done")
    }
    assert "    waiting_for_credentials: wrong password" in listed.out.splitlines()
    assert "    FilterRefused: filter: cannot be evaluated" in listed.out.splitlines()
    assert re.search(r"3 pages, 1,500 records, accepted \d+ s ago, at bulk-1@host/7\n", listed.out)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state", "waiting", "--state", "done"], {"waiting", "done"}),
        (["--lane", "interactive"], {"accepted"}),
        (["--connection", "crm"], {"accepted"}),
        (["--connection", "nowhere"], set()),
        (["--state", "dead"], set()),
        (["--limit", "1"], {"accepted"}),
    ],
)
def test_a_list_can_be_narrowed(shell: CommandLine, options: list[str], found: set[str]) -> None:
    """By state, connection and lane; of what is left, so many as the limit says, the latest first."""
    told = json.loads(shell.run("jobs", "list", "--json", *options).out)
    assert {job["job_id"] for job in told} == found


def test_a_job_is_shown_with_what_it_asks(shell: CommandLine) -> None:
    """All facts, the way out of its error, what it asks; of one that is done what it came to."""
    failed = shell.run("jobs", "show", "failed")
    assert failed.status == 0
    assert "error     FilterRefused: filter: cannot be evaluated" in failed.out
    assert "way out   mend the job or the ERP, then: acuworker jobs retry failed" in failed.out
    assert 'asked     {"entity": "SalesOrder", "lane": "bulk"}' in failed.out
    assert "records   9 SalesOrder in 1 page" in shell.run("jobs", "show", "done").out
    told = json.loads(shell.run("jobs", "show", "running", "--json").out)
    assert (told["state"], told["owner"], told["asked"]["entity"]) == (
        "running",
        "bulk-1@host/7",
        "SalesOrder",
    )
    unknown = shell.run("jobs", "show", "nobody")
    assert (unknown.status, unknown.out) == (1, "")
    assert unknown.err == "error: job_id: there is no job nobody, or it ended over a week ago\n"


def test_what_has_a_secrets_name_is_not_shown(shell: CommandLine, jobs: JobStore, store: redis.Redis) -> None:
    """A body with a field that should not be there shows the field, and not what it holds."""
    store.hset("acuworker:job:waiting", "job", json.dumps({"entity": "A", "api_key": "canary-8"}))
    for arguments in (["show", "waiting"], ["show", "waiting", "--json"], ["list", "--json"]):
        assert "canary-8" not in shell.run("jobs", *arguments).out
    assert "[redacted]" in shell.run("jobs", "show", "waiting").out


def test_jobs_are_begun_anew(shell: CommandLine, jobs: JobStore, store: redis.Redis) -> None:
    """One that failed is accepted again and has a message; others are refused, a line each, and the status says so."""
    done = shell.run("jobs", "retry", "failed", "done", "running", "nobody")
    assert (done.status, done.out) == (1, "failed  accepted, was failed\n")
    assert done.err.splitlines() == [
        "error: the job done is done: acuworker result done, or submit it again",
        "error: the job running has not ended: it is running",
        "error: job_id: there is no job nobody, or it ended over a week ago",
    ]
    state = jobs.get("failed")
    assert state and (state.state, state.error) == (State.ACCEPTED, None)
    assert store.llen("acumatica.bulk") == 1


def test_jobs_are_ended(shell: CommandLine, jobs: JobStore) -> None:
    """One that waits ends at once; one that runs is told; one that has ended stays as it is, with status 1."""
    done = shell.run("jobs", "cancel", "waiting", "accepted", "running")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "waiting  cancelled",
        "accepted  cancelled",
        "running  running, ends after the page that is under way",
    ]
    states = [jobs.get(job_id) for job_id in ("waiting", "accepted", "running")]
    assert [state and state.state for state in states] == [State.CANCELLED, State.CANCELLED, State.RUNNING]
    again = shell.run("jobs", "cancel", "done")
    assert (again.status, again.err) == (1, "error: the job done has ended before: it is done\n")


def blobs_of(home: Path, *job_ids: str) -> Path:
    """A blob directory with a blob of 1,000 bytes of each job, old enough to go."""
    blobs = home.parent / "var" / "blobs"
    for job_id in job_ids:
        directory = blobs / "jobs" / job_id
        directory.mkdir(parents=True)
        part = directory / "part"
        part.write_bytes(b"x" * 1000)
        os.utime(part, (0, part.stat().st_mtime - STALE_SECONDS - 10))
    return blobs / "jobs"


def test_blobs_of_jobs_that_are_forgotten_go(shell: CommandLine) -> None:
    """gc says what would go, then removes it, and leaves what a known job may still be asked for."""
    kept = blobs_of(shell.directory, "done", "forgotten")
    would = shell.run("gc", "--dry-run")
    assert would.out.splitlines() == [f"{(kept / 'forgotten').as_uri()}  1.0 kB", "1 would go, 1.0 kB"]
    assert (kept / "forgotten").exists()
    assert shell.run("gc").out.splitlines()[-1] == "1 went, 1.0 kB"
    assert [path.name for path in kept.iterdir()] == ["done"]
    assert shell.run("gc").out == "0 went, 0 bytes\n"


def test_blobs_are_safe_from_a_store_that_knows_no_job(shell: CommandLine, store: redis.Redis) -> None:
    """Beside an empty store, which may be the wrong one, nothing goes unless it is said again."""
    kept = blobs_of(shell.directory, "done")
    store.flushall()
    refused = shell.run("gc")
    assert refused.status == 1
    assert refused.err.startswith("error: the store knows no job at all, so every blob would go")
    assert (kept / "done").exists()
    assert shell.run("gc", "--yes").status == 0
    assert not (kept / "done").exists()


def test_waits_and_what_was_declined_are_kept(store: redis.Redis) -> None:
    """How long requests waited is told by lane, and how many were declined; one that was not made counts nowhere."""
    limits = LimitsInForce(store, License(name="default", max_per_minute=0), 0.0)
    budget = Budget(store, limits, threading.Event())
    for lane, seconds in ((Lane.BULK, 4.0), (Lane.BULK, 0.5), (Lane.INTERACTIVE, 0.0)):
        caller = Caller(lane=lane, deadline=Deadline(10), job_id="j")
        with budget.permit(caller, 1.0) as permit:
            permit.use(lane, seconds)
        with budget.permit(caller, 1.0):
            pass
        with pytest.raises(ErpBusy), budget.permit(caller, 1.0) as permit:
            permit.use(lane, seconds)
            raise ErpBusy("429")
    seen = budget.view()
    assert seen.declined == 3
    assert 4.0 <= seen.wait_p95[Lane.BULK] <= 4.0 * STEP
    assert seen.wait_p95[Lane.INTERACTIVE] == 0.01


@pytest.fixture
def large(shell: CommandLine, jobs: JobStore) -> bytes:
    """The records of a job that is done, and whose result is in parts."""
    attempt = jobs.begin("large", JOB, "bulk-1@host/7", 0)
    assert isinstance(attempt, Attempt)
    records = [{"id": str(number), "text": "x" * 1000} for number in range(100)]
    blobs = Directory(shell.directory.parent / "var" / "blobs")
    with Publisher(blobs).draft("large", Job(entity="A", compression=Compression.ZSTD), None) as draft:
        draft.add(Page(records=records, cursor=Cursor(strategy="one", passed=100)))
        jobs.finish(attempt, draft.publish().result(Cost()))
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def test_a_result_goes_where_it_is_wanted(shell: CommandLine, large: bytes) -> None:
    """The records go to standard output or to a file, uncompressed and byte for byte."""
    for options in ((), ("--to", "-")):
        assert shell.run("result", "large", *options).out.encode() == large
    told = shell.run("result", "large", "--to", "all.ndjson")
    assert (told.status, told.out) == (0, "")
    assert "100 A in 1 page" in told.err
    assert (shell.directory / "all.ndjson").read_bytes() == large


def test_a_result_that_is_not_what_was_written_is_no_file(shell: CommandLine, large: bytes) -> None:
    """Where a part is not what the worker wrote the command says which, ends with status 1, and leaves no file."""
    (part,) = (shell.directory.parent / "var" / "blobs" / "jobs").rglob("records-00001.ndjson.zst")
    part.write_bytes(part.read_bytes()[:-1])
    told = shell.run("result", "large", "--to", "all.ndjson")
    assert told.status == 1
    assert told.err.startswith("error: file://")
    assert "records-00001.ndjson.zst" in told.err
    assert "Traceback" not in told.err
    assert sorted(path.name for path in shell.directory.iterdir()) == []
    assert shell.run("result", "large").status == 1
