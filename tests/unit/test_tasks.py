"""From a stranger's message to a job, and from an error to what becomes of the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import (
    BlobsUnavailable,
    DeadlineExceeded,
    EntityUnknown,
    ErpBusy,
    FilterRefused,
    JobInvalid,
    JobRefused,
    LoginLimit,
    Misconfigured,
    SignInRefused,
    StageLost,
    StoreUnavailable,
    WorkerError,
    WorkerTooOld,
)
from worker.job import FORM, Lane, NewerJob
from worker.runner import RETRY_PAUSE, Progress, pause_after
from worker.tasks import checked_id, job_in, lane_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("routing_key", "lane"),
    [
        ("acumatica.bulk", Lane.BULK),
        ("acumatica.interactive", Lane.INTERACTIVE),
        ("somebody.elses", Lane.INTERACTIVE),
        (None, Lane.INTERACTIVE),
    ],
)
def test_a_queue_is_a_lane(routing_key: str | None, lane: Lane) -> None:
    """A job takes the lane of the queue that it came by."""
    assert lane_of(routing_key) is lane


@pytest.mark.parametrize(
    ("args", "kwargs"), [([{"entity": "Payment"}], {}), ([], {"job": {"entity": "Payment"}})]
)
def test_a_job_is_the_one_argument(args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """A job may be given by position or by name."""
    job = job_in(args, kwargs, Lane.BULK)
    assert (job.entity, job.lane) == ("Payment", Lane.BULK)


def test_a_job_may_name_its_lane() -> None:
    """A job's own lane wins over the queue's."""
    assert job_in([{"entity": "Payment", "lane": "bulk"}], {}, Lane.INTERACTIVE).lane is Lane.BULK


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([], {}),
        ([{"entity": "Payment"}, {}], {}),
        ([{"entity": "Payment"}], {"job": {"entity": "Payment"}}),
        ([{"entity": "Payment"}], {"lane": "bulk"}),
        ([], {"job": {"entity": "Payment"}, "lane": "bulk"}),
        (["Payment"], {}),
        ([None], {}),
    ],
)
def test_other_arguments_are_refused(args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """A message with anything but one job is refused, saying what it should have held."""
    with pytest.raises(JobInvalid, match="entity"):
        job_in(args, kwargs, Lane.BULK)


def test_a_job_of_a_newer_form_is_kept_for_a_newer_worker() -> None:
    """A job that only newer workers can read is not refused: its body is kept as it came, in its lane."""
    body = {"entity": "Payment", "form": FORM + 1, "region": "EU", "deadline_seconds": 90}
    job = job_in([body], {}, Lane.BULK)
    assert isinstance(job, NewerJob)
    assert (job.entity, job.connection, job.lane) == ("Payment", "default", Lane.BULK)
    assert (job.allowed_seconds, job.wire()) == (90, body)


@given(st.lists(JSON, max_size=2), st.dictionaries(st.text(), JSON, max_size=2))
def test_no_message_is_a_surprise(args: list[object], kwargs: dict[str, object]) -> None:
    """Whatever JSON a message holds, it is a job or a JobRefused."""
    try:
        assert job_in(args, kwargs, Lane.BULK).entity
    except JobRefused as error:
        assert error.field


@pytest.mark.parametrize("task_id", ["a", "9f1c", "2b6e-4", "order.17_x", "x" * 128])
def test_a_plain_task_id_is_a_job_id(task_id: str) -> None:
    """An id that every file system takes is taken."""
    assert checked_id(task_id) == task_id


@pytest.mark.parametrize("task_id", [None, "", "..", "../../x", "a/b", "a b", "a\n", "-a", "é", "x" * 129])
def test_a_task_id_cannot_be_a_path(task_id: str | None) -> None:
    """An id that could lead somewhere else is refused."""
    with pytest.raises(JobInvalid, match="task_id"):
        checked_id(task_id)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (SignInRefused("no", seconds=120), 120),
        (LoginLimit("full", seconds=30), 30),
        (StoreUnavailable("gone"), RETRY_PAUSE),
        (BlobsUnavailable("disk full"), RETRY_PAUSE),
        (StageLost("gone"), RETRY_PAUSE),
        (EntityUnknown("no handler"), WorkerTooOld.usual_seconds),
        (WorkerTooOld("a newer form"), WorkerTooOld.usual_seconds),
        (ErpBusy("429"), None),
        (FilterRefused("no"), None),
        (DeadlineExceeded("late"), None),
        (Misconfigured("no"), None),
    ],
)
def test_only_what_may_pass_is_waited_for(error: WorkerError, seconds: float | None) -> None:
    """A job waits for what others must mend, not all jobs for equally long, and ends with any other error."""
    pause = pause_after(error)
    if seconds is None:
        assert pause is None
    else:
        assert pause is not None
        assert seconds <= pause <= seconds * 1.2


def test_progress_is_told_of_the_first_page_and_then_seldom() -> None:
    """A thousand pages in no time are told of once."""
    told: list[tuple[int, int]] = []
    progress = Progress(lambda pages, records: told.append((pages, records)))
    for page in range(1, 1001):
        progress(page, page * 10)
    assert told[0] == (1, 10)
    assert len(told) <= 3
