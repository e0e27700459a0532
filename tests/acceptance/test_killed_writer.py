"""A process that is killed while it writes leaves nothing that a reader could take for a blob."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from worker.blobs import BlobStore
from worker.job import Attachment, Manifest, Page, Sink, Values
from worker.publisher import Publisher

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES_BEFORE_THE_KILL = 60


def endless_page(number: int) -> Page:
    """A page of about 400 KB with one file of about 1 MB."""

    def save(sink: Sink) -> None:
        for _ in range(16):
            sink.write(b"%d" % number + b"x" * 65_536)

    picture = Attachment(record_id=str(number), file_id=str(number), name="a.jpg", save=save)
    records = [{"n": number, "text": "y" * 4000} for _ in range(100)]
    return Page(records=records, cursor=number, strategy="batches", attachments=(picture,))


def write_without_end(root: Path) -> None:
    """Publish a result that never ends, a page for each line of standard input, until the process is killed."""
    pages = (endless_page(number) for number, _ in enumerate(sys.stdin))
    Publisher(BlobStore(root)).publish("job-1", Values.WIRE, pages, lambda *_: print("page", flush=True))


def visible(root: Path) -> list[Path]:
    """The files that a reader may find: all but what is being written."""
    return [path for path in root.rglob("*") if path.is_file() and "staging" not in path.parts]


def test_a_killed_writer_leaves_nothing_partial(tmp_path: Path) -> None:
    """While it writes and after SIGKILL, all that can be seen is whole files; the next try publishes the job."""
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
            assert writer.stdout.readline() == "page\n"
        writer.stdin.write("next\n")
        writer.kill()
    assert any((tmp_path / "staging").rglob("records-00003.ndjson"))
    _check(tmp_path)
    page = endless_page(0)
    result = Publisher(BlobStore(tmp_path)).publish("job-1", Values.WIRE, [page], lambda *_: None)
    assert result.manifest is not None
    manifest = Manifest.model_validate_json((tmp_path / "jobs" / "job-1" / "manifest.json").read_bytes())
    assert sum(part.records or 0 for part in manifest.records) == len(page.records)


def _check(root: Path) -> None:
    """Every file in sight has the content that its name says, and no result is there."""
    for path in visible(root):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
