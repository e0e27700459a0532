"""A process that is killed while it writes leaves nothing that a reader could take for a blob."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from worker.blobs.directory import Directory
from worker.job import Job, Values
from worker.page import Attachment, Cursor, Page, Sink
from worker.publisher import Publisher
from worker.result import Manifest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES_BEFORE_THE_KILL = 60
JOB = Job(entity="SalesOrder", values=Values.WIRE)


def endless_page(number: int) -> Page:
    """A page of about 400 KB with one file of about 1 MB."""

    def save(sink: Sink) -> None:
        for _ in range(16):
            sink.write(b"%d" % number + b"x" * 65_536)

    picture = Attachment(record_id=str(number), file_id=str(number), name="a.jpg", save=save)
    records = [{"n": number, "text": "y" * 4000} for _ in range(100)]
    cursor = Cursor(strategy="batches", passed=100 * (number + 1))
    return Page(records=records, cursor=cursor, attachments=(picture,))


def write_without_end(root: Path) -> None:
    """Draft a result that never ends, a page for each line of standard input, until the process is killed."""
    with Publisher(Directory(root)).draft("job-1", JOB, None) as draft:
        for number, _ in enumerate(sys.stdin):
            page = endless_page(number)
            draft.add(page)
            print(draft.checkpoint(page.cursor).text(), flush=True)


def visible(root: Path) -> list[Path]:
    """The attached files that a reader may find; parts are nobody's before a manifest names them."""
    return [path for path in (root / "files").rglob("*") if path.is_file()]


def test_a_killed_writer_leaves_nothing_partial(tmp_path: Path) -> None:
    """While it writes and after SIGKILL, all that can be seen is whole files; another goes on from its last page."""
    code = (
        f"from pathlib import Path; from {__name__} import write_without_end as w; w(Path({str(tmp_path)!r}))"
    )
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(PAGES_BEFORE_THE_KILL):
            writer.stdin.write("next\n")
            _check(tmp_path)
            kept = writer.stdout.readline()
        writer.stdin.write("next\n")
        writer.kill()
    assert any((tmp_path / "jobs").rglob("records-00003.ndjson.*"))
    assert not any((tmp_path / "jobs").rglob("manifest.json"))
    _check(tmp_path)
    with Publisher(Directory(tmp_path)).draft("job-1", JOB, kept) as draft:
        assert draft.pages == PAGES_BEFORE_THE_KILL
        draft.add(endless_page(PAGES_BEFORE_THE_KILL))
        draft.publish()
    manifest = Manifest.model_validate_json((tmp_path / "jobs" / "job-1" / "manifest.json").read_bytes())
    parts = [Path(part.url.removeprefix("file://")).read_bytes() for part in manifest.records]
    numbers = [json.loads(line)["n"] for part in parts for line in part.splitlines()]
    assert numbers == [page for page in range(PAGES_BEFORE_THE_KILL + 1) for _ in range(100)]
    assert [hashlib.sha256(part).hexdigest() for part in parts] == [part.sha256 for part in manifest.records]


def _check(root: Path) -> None:
    """Every file in sight has the content that its name says."""
    for path in visible(root):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
