"""What every blob store promises, by a directory and by an S3: whole or absent, once, and on any machine."""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.s3_process import BUCKET, S3, SECRET, Fault, start_s3
from worker.blobs import objects, sweep
from worker.blobs.directory import Directory
from worker.blobs.objects import Objects
from worker.blobs.opened import open_blobs
from worker.blobs.stage import Stage, Staged, discard, staging
from worker.blobs.store import BlobStore, Spool
from worker.errors import BlobsUnavailable, Misconfigured, StageLost
from worker.job import Compression, Job
from worker.page import Attachment, Cursor, Page, Sink
from worker.publisher import Publisher
from worker.reader import Reader
from worker.result import Cost, Manifest, Observed, Part
from worker.settings import Settings

MIB = 1024 * 1024

Machine = Callable[[], BlobStore]
"""Opens the one store as another machine does, with a disk of its own."""

numbers = count(1)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3]:
    """An S3 for all tests of this module."""
    with start_s3() as running:
        yield running


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """That S3 without faults, and its credentials in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects, "RETRIES", 1)
    s3_server.seen.clear()
    yield s3_server
    s3_server.fault = lambda method, target: None


@pytest.fixture(params=["directory", "s3"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """An empty store of each kind."""
    if request.param == "directory":
        return lambda: Directory(tmp_path / "blobs")
    request.getfixturevalue("s3")
    url = f"s3://{BUCKET}/{next(numbers)}"
    return lambda: Objects(url, tmp_path / f"disk-{next(numbers)}")


@pytest.fixture
def blobs(machine: Machine) -> BlobStore:
    """The store, as one machine has it."""
    return machine()


def spooled(blobs: BlobStore | Stage, content: bytes) -> Spool:
    """A spool with this content."""
    spool = blobs.spool()
    spool.write(content)
    return spool


def put(blobs: BlobStore, key: str, content: bytes) -> None:
    """Put a blob there."""
    with closing(spooled(blobs, content)) as spool:
        blobs.put(key, spool)


def read(blobs: BlobStore, key: str) -> bytes:
    """What is there."""
    return b"".join(blobs.chunks(blobs.url(key)))


def keys(blobs: BlobStore, prefix: str) -> list[str]:
    """The keys of what is there."""
    return [entry.key for entry in blobs.entries(prefix)]


def manifest(blobs: BlobStore, *parts: Staged, job_id: str = "j") -> Manifest:
    """A manifest that names these parts."""
    told = tuple(
        Part(
            url=blobs.url(part.key),
            size=part.size,
            sha256=part.sha256,
            records=1,
            text_size=part.size,
            encoding="none",
        )
        for part in parts
    )
    return Manifest(
        job_id=job_id,
        connection="default",
        entity="A",
        count=1,
        size=1,
        sha256="0",
        strategy="one",
        consistency=Observed(),
        records=told,
        files=(),
    )


def test_a_blob_is_what_was_put(machine: Machine) -> None:
    """Any machine reads the bytes that one has put, and is told their size; nothing is left beside them."""
    put(machine(), "jobs/j/a/part", b"content")
    other = machine()
    assert read(other, "jobs/j/a/part") == b"content"
    (entry,) = other.entries("jobs/j/")
    assert (entry.key, entry.size, entry.age < 60) == ("jobs/j/a/part", 7, True)
    assert keys(other, "staging/") == keys(other, "jobs/i/") == []


def test_a_large_blob_is_whole(blobs: BlobStore) -> None:
    """What goes up in several pieces is one blob; what was written before a restart is not in it."""
    with closing(spooled(blobs, b"cut off" * MIB)) as spool:
        spool.restart()
        for number in range(20):
            spool.write(b"%c" % number * MIB)
        blobs.put("files/aa/large", spool)
    digest = hashlib.sha256(read(blobs, "files/aa/large")).hexdigest()
    assert (spool.size, spool.sha256) == (20 * MIB, digest)


def test_of_many_that_put_if_absent_one_does(machine: Machine) -> None:
    """However many machines put at once, one is told that it did, and its bytes stay."""

    def race(number: int) -> tuple[bool, bytes]:
        content = b"%d" % number
        return machine().put_if_absent("jobs/j/manifest.json", content), content

    with ThreadPoolExecutor(8) as pool:
        won = [content for did, content in pool.map(race, range(16)) if did]
    assert won == [read(machine(), "jobs/j/manifest.json")]


def test_what_is_removed_is_gone(blobs: BlobStore) -> None:
    """Blobs go, and what is not there is no fault; others stay."""
    for name in ("a", "b", "c"):
        put(blobs, f"jobs/j/{name}", b"x")
    blobs.remove(["jobs/j/a", "jobs/j/c", "jobs/j/none"])
    assert keys(blobs, "jobs/j/") == ["jobs/j/b"]
    blobs.remove([])


@pytest.mark.parametrize("url", ["https://example.com/x", "file://elsewhere/x", "s3://other/x"])
def test_what_is_elsewhere_is_not_read(blobs: BlobStore, url: str) -> None:
    """An address of another store is refused, and the setting named."""
    with pytest.raises(BlobsUnavailable, match="is ACUWORKER_BLOBS the workers' own"):
        list(blobs.chunks(url))


def test_what_is_not_there_is_named(blobs: BlobStore) -> None:
    """A blob that is gone is named by its address, with the reason."""
    with pytest.raises(BlobsUnavailable, match=r"jobs/j/gone cannot be read"):
        read(blobs, "jobs/j/gone")


def test_a_file_is_kept_once(blobs: BlobStore) -> None:
    """Two files of one content are one blob, under its hash."""
    with staging(blobs, "j") as stage:
        first, second = (stage.keep(spooled(stage, b"picture")) for _ in range(2))
    digest = hashlib.sha256(b"picture").hexdigest()
    assert first == second
    assert (first.size, first.sha256) == (7, digest)
    assert keys(blobs, "files/") == [f"files/{digest[:2]}/{digest}"]


def test_an_object_that_is_used_again_is_young(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another job has put lately is not sent again; one that has aged is, so that its age counts anew."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    for fresh, sent in ((60, 1), (60, 0), (-60, 1)):
        monkeypatch.setattr(objects, "FRESH_SECONDS", fresh)
        s3.seen.clear()
        with closing(spooled(blobs, b"picture")) as spool:
            blobs.share("files/aa/file", spool)
        assert sum(each.startswith("PUT ") for each in s3.seen) == sent


def test_another_machine_goes_on_with_what_was_staged(machine: Machine) -> None:
    """A stage needs nothing of the machine that wrote it."""
    with staging(machine(), "j") as stage:
        tails = [stage.put(f"t{n}", spooled(stage, b"%d\n" % n)) for n in range(3)]
        spooled(stage, b"on this machine alone\n")
    with staging(machine(), "j") as stage:
        stage.require(*tails)
        assert b"".join(stage.resumed(*tails).chunks()) == b"0\n1\n2\n"


@pytest.mark.parametrize("what", ["gone", "shorter", "another"])
def test_what_is_gone_from_the_stage_is_named(machine: Machine, what: str) -> None:
    """Where what was staged is not there, or is not what it was, the next attempt is told so."""
    blobs = machine()
    with staging(blobs, "j") as stage:
        tail = stage.put("tail", spooled(stage, b"kept\n"))
        blobs.remove([tail.key])
        if what != "gone":
            put(blobs, tail.key, b"kep\n" if what == "shorter" else b"tepk\n")
        with pytest.raises(StageLost):
            stage.require(tail)
            stage.resumed(tail)


def test_of_two_that_publish_the_first_stands(machine: Machine) -> None:
    """A second attempt is given the manifest that stands; with the job's end goes all that it does not name."""
    blobs = machine()
    with staging(blobs, "j") as first, staging(machine(), "j") as second:
        mine = first.put("part", spooled(first, b"first\n"))
        theirs = second.put("part", spooled(second, b"second\n"))
        standing = first.publish(manifest(blobs, mine))
        assert second.publish(manifest(blobs, theirs)) == standing
    assert standing[1].sha256 == hashlib.sha256(read(blobs, "jobs/j/manifest.json")).hexdigest()
    discard(blobs, "j")
    assert sorted(keys(blobs, "jobs/j/")) == sorted([mine.key, "jobs/j/manifest.json"])


def test_all_that_is_not_published_goes_with_its_job(blobs: BlobStore) -> None:
    """When a job ends without a result, what it had staged goes, and no other job's."""
    for job_id in ("j", "jj"):
        with staging(blobs, job_id) as stage:
            stage.put("part", spooled(stage, b"x"))
    discard(blobs, "j")
    assert [key.split("/")[1] for key in keys(blobs, "jobs/")] == ["jj"]


def test_only_what_is_old_and_unknown_is_swept(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What belongs to no known job goes once it is old enough, after it was told of; the rest stays."""
    for key in ("jobs/known/m/part", "jobs/gone/m/part", "jobs/gone/manifest.json", "files/aa/aaaa"):
        put(blobs, key, b"12345")

    def known(job_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(["known"]) & frozenset(job_ids)

    assert sweep.sweep(blobs, known) == 0
    monkeypatch.setattr(sweep, "STALE_SECONDS", -1)
    told: list[sweep.Leftover] = []
    assert sweep.sweep(blobs, known, told.append, dry_run=True) == 1
    assert [(each.place, each.size) for each in told] == [(blobs.url("jobs/gone"), 10)]
    assert sweep.sweep(blobs, known) == 1
    assert keys(blobs, "jobs/") == ["jobs/known/m/part"]
    monkeypatch.setattr(sweep, "FILE_SECONDS", -1)
    assert sweep.sweep(blobs, known) == 1
    assert keys(blobs, "files/") == []


def test_an_empty_store_is_clean(blobs: BlobStore) -> None:
    """Where nothing was written there is nothing to list, to sweep or to discard, and it can be used."""
    assert keys(blobs, "jobs/") == []
    assert sweep.sweep(blobs, frozenset) == 0
    discard(blobs, "j")
    blobs.require_usable()


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """A system that takes no file over this size, as a full disk takes none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_shows_nothing(blobs: BlobStore) -> None:
    """What does not fit on this machine's disk is refused with its place and the reason, and nothing is seen of it."""
    with closing(blobs.spool()) as spool, no_file_over(MIB):
        spool.write(b"x" * (MIB - 10))
        with pytest.raises(BlobsUnavailable, match="File too large"):
            spool.write(b"x" * 2 * MIB)
    assert keys(blobs, "jobs/") == keys(blobs, "files/") == keys(blobs, "staging/") == []


def test_a_page_costs_an_s3_one_request(s3: S3, tmp_path: Path) -> None:
    """What a page adds to a part is put by one request, and a job that stays small makes none."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    with Publisher(blobs).draft("j", Job(entity="A"), None) as draft:
        draft.checkpoint(Cursor(strategy="batches", passed=0))
        assert s3.seen == []
        for number in range(1, 4):
            draft.add(Page(records=page_of(number).records, cursor=Cursor(strategy="batches", passed=number)))
            draft.checkpoint(Cursor(strategy="batches", passed=number))
            assert len(s3.seen) == number


USES: dict[str, Callable[[BlobStore], object]] = {
    "put": lambda blobs: put(blobs, "jobs/j/new", b"x"),
    "put_if_absent": lambda blobs: blobs.put_if_absent("jobs/j/manifest.json", b"x"),
    "chunks": lambda blobs: read(blobs, "jobs/j/part"),
    "entries": lambda blobs: keys(blobs, "jobs/j/"),
    "remove": lambda blobs: blobs.remove(["jobs/j/part"]),
}


@pytest.mark.parametrize("fault", ["500", "reset"])
@pytest.mark.parametrize("use", USES)
def test_an_s3_that_fails_is_named(s3: S3, tmp_path: Path, use: str, fault: Fault) -> None:
    """Whatever is asked of an S3 that fails again and again, it is tried again, and then named; never a secret."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    put(blobs, "jobs/j/part", b"x" * 1000)
    s3.seen.clear()
    s3.fault = lambda method, target: fault
    with pytest.raises(BlobsUnavailable, match=f"s3://{BUCKET}/.*jobs/j") as caught:
        USES[use](blobs)
    assert len(s3.seen) >= 2
    assert SECRET not in str(caught.value)
    s3.fault = lambda method, target: None
    assert keys(blobs, "jobs/j/") == ["jobs/j/part"]


@pytest.mark.parametrize("use", USES)
def test_an_s3_that_fails_once_is_asked_again(s3: S3, tmp_path: Path, use: str) -> None:
    """One fault of an S3 is nobody's concern."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    put(blobs, "jobs/j/part", b"x" * 1000)
    left: list[Fault] = ["500"]
    s3.fault = lambda method, target: left.pop() if left else None
    USES[use](blobs)
    assert left == []


def test_a_body_that_is_cut_is_noticed(s3: S3, tmp_path: Path) -> None:
    """A blob whose bytes end early, each time, is not taken for a whole one."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    put(blobs, "jobs/j/part", b"x" * MIB)
    s3.fault = lambda method, target: "cut"
    with pytest.raises(BlobsUnavailable, match="jobs/j/part"):
        read(blobs, "jobs/j/part")


def test_an_upload_that_fails_is_aborted(s3: S3, tmp_path: Path) -> None:
    """When a piece of a large blob cannot be sent, nothing of it is seen, and nothing is left that costs money."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    s3.fault = lambda method, target: "500" if "partNumber=2" in target else None
    with pytest.raises(BlobsUnavailable, match="files/aa/large"):
        put(blobs, "files/aa/large", b"x" * 12 * MIB)
    assert keys(blobs, "files/") == []
    assert b"<Upload>" not in s3.uploads()


@pytest.mark.parametrize("compression", Compression)
def test_a_job_goes_on_on_any_machine(machine: Machine, compression: Compression) -> None:
    """A job of which each page is retrieved by another machine, each killed after its checkpoint, comes out whole."""
    job = Job(entity="A", compression=compression)
    kept = None
    for number in range(8):
        with Publisher(machine()).draft("j", job, kept) as draft:
            assert draft.pages == number
            page = page_of(number)
            draft.add(page)
            kept = draft.checkpoint(page.cursor).text()
            assert len(kept) < 100_000
    blobs = machine()
    with Publisher(blobs).draft("j", job, kept) as draft:
        result = draft.publish().result(Cost())
    Publisher(blobs).discard("j")
    reader = Reader(machine())
    assert [record["id"] for record in reader.records(result)] == [str(number) for number in range(800)]
    assert [b"".join(reader.content(file)) for file in reader.files(result)] == [b"picture"] * 8
    assert len(keys(blobs, "files/")) == 1
    assert not [key for key in keys(blobs, "jobs/") if key.endswith(".tail")]


def page_of(number: int) -> Page:
    """A page of 400 KB, whose records share a picture."""

    def save(sink: Sink) -> None:
        assert number == 0, "it is there already"
        sink.write(b"picture")

    picture = Attachment(record_id=str(number), file_id="shared", name="a.jpg", save=save)
    records = [{"id": str(each), "text": "y" * 4000} for each in range(number * 100, number * 100 + 100)]
    return Page(records=records, cursor=Cursor(strategy="batches", passed=number + 1), attachments=(picture,))


@pytest.mark.parametrize("when", ["page", "publish", "manifest"])
def test_a_job_whose_s3_fails_goes_on_later(s3: S3, tmp_path: Path, when: str) -> None:
    """Where the store fails under a job nothing can be read of it, and it goes on from its checkpoint when it can."""
    blobs = Objects(f"s3://{BUCKET}/{next(numbers)}", tmp_path)
    job = Job(entity="A")
    with Publisher(blobs).draft("j", job, None) as draft:
        draft.add(page_of(0))
        kept = draft.checkpoint(Cursor(strategy="batches", passed=1)).text()
    fails = "manifest.json" if when == "manifest" else "/jobs/j/"
    s3.fault = lambda method, target: "500" if method == "PUT" and fails in target else None
    with pytest.raises(BlobsUnavailable), Publisher(blobs).draft("j", job, kept) as draft:
        if when == "page":
            draft.add(page_of(1))
            draft.checkpoint(Cursor(strategy="batches", passed=2))
        draft.publish()
    assert "jobs/j/manifest.json" not in keys(blobs, "jobs/")
    s3.fault = lambda method, target: None
    with Publisher(blobs).draft("j", job, kept) as draft:
        assert draft.pages == 1
        result = draft.publish().result(Cost())
    assert len(list(Reader(blobs).records(result))) == 100


@pytest.mark.parametrize("scheme", ["az", "gs"])
def test_other_object_stores_are_named_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Azure and Google are opened by what is in the environment; where nothing answers, the blob is named."""
    monkeypatch.setattr(objects, "RETRIES", 0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        account = {"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": True}
        for name, value in {
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(SECRET.encode()).decode(),
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_ALLOW_HTTP": "true",
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, "gcs_base_url": endpoint}),
            "GOOGLE_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        blobs = Objects(f"{scheme}://container/prefix", tmp_path)
        assert blobs.url("jobs/j/part") == f"{scheme}://container/prefix/jobs/j/part"
        with pytest.raises(BlobsUnavailable, match=f"{scheme}://container/prefix/jobs/j/part") as caught:
            read(blobs, "jobs/j/part")
        assert SECRET not in str(caught.value)


def test_an_object_store_that_cannot_be_opened_is_misconfigured(tmp_path: Path) -> None:
    """What obstore lacks, such as the name of Azure's account, is said when the worker starts."""
    with pytest.raises(Misconfigured, match=r"az://container cannot be opened: .*Account must be specified"):
        Objects("az://container", tmp_path)


def test_an_object_store_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where obstore is not installed, what to install is said when the worker starts; a directory needs nothing."""
    monkeypatch.setitem(sys.modules, "worker.blobs.objects", None)
    with pytest.raises(Misconfigured, match=r"acumatica-worker\[objects\]"):
        open_blobs(Settings(blobs=f"s3://{BUCKET}"))
    assert isinstance(open_blobs(Settings(blobs="/srv/blobs")), Directory)
