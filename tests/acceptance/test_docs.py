"""The examples in the documents, run as they stand against a real worker and the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.erp_floor import connection_to
from tests.installation import Installation, install
from tests.sandbox_process import Sandbox, start_sandbox
from worker import errors

ROOT = Path(__file__).resolve().parents[2]


def _blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _service(installation: Installation, code: str) -> str:
    """Run another service's code, which may import nothing of this checkout."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=installation.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ten_lines_of_the_readme(sandbox: Sandbox) -> None:
    """The README's ten lines enqueue a job from a process that has Celery, and get its records."""
    (code,) = _blocks("README.md", "python")
    assert len(code.splitlines()) <= 12
    with install(default=connection_to(sandbox)) as installation:
        installation.start_worker()
        own = re.sub(r"redis\+socket://[^\"]*", f"redis+socket://{installation.settings.socket}", code)
        said = _service(installation, own + "print(len(orders), orders[0]['Details'][0]['InventoryID'])")
    assert said == "9 AAMACHINE1\n"


def test_the_handler_of_the_guide(sandbox: Sandbox, tmp_path: Path) -> None:
    """The handler of docs/handlers.md, installed as it says, serves its entity."""
    (code,) = _blocks("docs/handlers.md", "python")
    (project,) = _blocks("docs/handlers.md", "toml")
    module = tmp_path / "project" / "my_shipments"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text(code)
    (module.parent / "pyproject.toml").write_text(project)
    target = tmp_path / "beside"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", target, module.parent], check=True)
    with install(default=connection_to(sandbox)) as installation, installation.service() as service:
        installation.start_worker(PYTHONPATH=str(target))
        result = service.send({"entity": "Shipment"}).get(timeout=30)
    assert result["count"] > 0
    assert '"Orders":[' in result["records"]


def test_the_guide_to_changes() -> None:
    """Every job of docs/changes.md, sent as it stands, is done."""
    with (
        start_sandbox("--control", "--build", "2025R1") as sandbox,
        install(default=connection_to(sandbox, version="24.200.001")) as installation,
        installation.service() as service,
    ):
        installation.start_worker()
        made = {"kind": "upsert", "entity": "Case", "record": {"Subject": "A leak"}, "form": 2}
        case = json.loads(service.send(made).get(timeout=30)["records"])["id"]
        jobs = [json.loads(text.replace("{case}", case)) for text in _blocks("docs/changes.md", "json")]
        ended = [service.send(job).get(timeout=30) for job in jobs]
    assert [result["strategy"] for result in ended] == ["action", "action", "upsert", "upsert", "delete"]


def test_the_guide_for_python(sandbox: Sandbox) -> None:
    """The programs of docs/python.md, run in this checkout, get records, and write a filter in either form."""
    fetching, writing = _blocks("docs/python.md", "python")
    with install(default=connection_to(sandbox)) as installation:
        installation.start_worker()
        environment = installation.environment | {"ACUWORKER_LOG_LEVEL": "WARNING"}
        said = [
            subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
                check=True,
            ).stdout
            for code in (fetching, writing)
        ]
    assert re.search(r"^0000\d\d \d+\.\d{4}$", said[0], re.MULTILINE)
    named, whole = said[1].splitlines()
    assert named.endswith("OrderTotal gt :v2")
    assert whole.endswith("OrderTotal gt 1000")


DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link of a document names a file that is there, and a heading that it has."""
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }


def test_every_error_is_in_the_operators_table() -> None:
    """docs/operations.md says of each code that a job can end with what to do about it."""
    told = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operations.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    leaves = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.WorkerError) and not kind.__subclasses__()
    }
    assert leaves <= told
