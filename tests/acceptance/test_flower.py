"""Flower and the figures beside the workers: what a browser sees, who may look, and that nobody can do anything."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import ACUWORKER
from tests.erp_floor import connection_to
from tests.installation import Installation, eventually, install
from tests.sandbox_process import start_sandbox
from tests.web_page import PASSWORD, Page, answers, free_port

SLICED = {"entity": "SalesOrder", "page_size": 10}
DONE = {"entity": "SalesOrder", "keys": ["SO", "000001"]}
FAILED = {"entity": "SalesOrder", "keys": ["SO", "999999"]}
PARKED = {"entity": "SalesOrder", "form": 99}
WRONG = {"entity": "SalesOrder", "password": "canary-in-a-job"}


@pytest.fixture
def installation() -> Iterator[Installation]:
    """An installation whose ERP has some hundred orders."""
    with (
        start_sandbox("--control", "--orders", "400") as sandbox,
        install(default=connection_to(sandbox)) as installed,
    ):
        yield installed


@pytest.fixture
def flower(installation: Installation) -> Page:
    """Flower, which has heard of a worker that has short slices."""
    installation.start_worker(ACUWORKER_SLICE_SECONDS="0.1")
    page = Page(free_port())
    installation.start("flower", "--port", str(page.port), ACUWORKER_FLOWER_PASSWORD=PASSWORD)
    eventually(lambda: answers(page, "/healthcheck"), OSError, AssertionError)

    def heard() -> None:
        assert json.loads(page.ask("/workers?json=1")[1])["data"]

    eventually(heard, AssertionError)
    return page


def rows(dom: str) -> dict[str, list[str]]:
    """The rows of the table of tasks, by their tasks' ids, each as the texts of its cells."""
    found = re.findall(r'<tr id="([^"]+)"[^>]*>(.*?)</tr>', dom, re.DOTALL)
    assert len(found) == len({task_id for task_id, _ in found})
    return {task_id: re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for task_id, row in found}


def test_a_browser_sees_each_job_once(installation: Installation, flower: Page, tmp_path: Path) -> None:
    """Done is green, failed is red with its error, parked says so, a sliced job is one row; all of it readable."""
    with installation.service() as service:
        sent = {name: service.send(job) for name, job in {"done": DONE, "failed": FAILED}.items()}
        sent["sliced"] = service.send(SLICED, lane="bulk")
        sent["parked"], sent["wrong"] = service.send(PARKED), service.send(WRONG)
        for name in ("done", "failed", "sliced", "wrong"):
            sent[name].get(timeout=60, propagate=False)
        assert sent["sliced"].result["count"] == 410

    def told() -> None:
        states = {name: flower.tasks()[result.id]["state"] for name, result in sent.items()}
        assert states == {
            **dict.fromkeys(("done", "sliced"), "SUCCESS"),
            **dict.fromkeys(("failed", "wrong"), "FAILURE"),
            "parked": "WAITING",
        }

    eventually(told, AssertionError, KeyError)
    assert flower.tasks()[sent["sliced"].id]["retries"] > 0
    seen = rows(flower.browsed("/tasks", tmp_path))
    assert seen.keys() == {result.id for result in sent.values()}
    badges = {name: "".join(seen[result.id]) for name, result in sent.items()}
    assert '<span class="badge text-bg-success">SUCCESS</span>' in badges["done"]
    assert '<span class="badge text-bg-success">SUCCESS</span>' in badges["sliced"]
    assert '<span class="badge text-bg-danger">FAILURE</span>' in badges["failed"]
    assert ">WAITING</span>" in badges["parked"]
    assert '{"entity": "SalesOrder", "keys": ["SO", "000001"]}' in badges["done"]
    assert '{"records": 410, "files": 0, "pages": 41' in badges["sliced"]
    assert (
        "RecordNotFound: keys: no SalesOrder in Default/20.200.001 is named SO / 999999" in badges["failed"]
    )
    assert '"password": "[redacted]"' in badges["wrong"]
    everything = f"{flower.ask('/api/tasks')} {flower.ask('/api/workers?refresh=1')}"
    assert "canary-in-a-job" not in everything


def test_nobody_looks_without_the_password(flower: Page, tmp_path: Path) -> None:
    """Pages, their data and the API are refused with 401, to a browser too; a wrong password is none."""
    for page in (Page(flower.port, None), Page(flower.port, "wrong")):
        for path in ("/", "/tasks", "/workers", "/broker", "/tasks/datatable", "/api/tasks", "/api/workers"):
            assert page.ask(path)[0] == 401, path
        assert page.ask("/api/task/send-task/acumatica.retrieve", "POST")[0] == 401
    assert rows(Page(flower.port, None).browsed("/tasks", tmp_path)) == {}


def test_who_looks_can_do_nothing(installation: Installation, flower: Page) -> None:
    """With the password too, tasks cannot be sent or revoked, nor workers be ended or changed."""
    (name,) = [row["hostname"] for row in json.loads(flower.ask("/workers?json=1")[1])["data"]]
    for path in (
        f"worker/shutdown/{name}",
        f"worker/pool/restart/{name}",
        f"worker/pool/grow/{name}",
        f"worker/pool/shrink/{name}",
        f"worker/queue/cancel-consumer/{name}?queue=acumatica.bulk",
        "task/revoke/order-17",
        "task/abort/order-17",
        "task/apply/acumatica.retrieve",
        "task/async-apply/acumatica.retrieve",
        "task/send-task/acumatica.retrieve",
    ):
        assert flower.ask(f"/api/{path}", "POST")[0] == 403, path
    assert installation.queued() == 0


def test_up_keeps_flower_and_the_figures_running(tmp_path: Path) -> None:
    """The password is made, printed once, and in no command; what ends is started again; with up all of it ends."""
    installation = Installation(tmp_path, {})
    flower, figures, said = free_port(), free_port(), tmp_path / "said"
    words = ["up", "--flower", "--flower-port", str(flower), "--metrics", str(figures)]
    environment = installation.environment | {
        "FLOWER_UNAUTHENTICATED_API": "true",
        "FLOWER_ADDRESS": "0.0.0.0",  # noqa: S104
    }
    with said.open("wb") as output:
        up = subprocess.Popen(
            [ACUWORKER, *words], env=environment, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: answers(Page(flower), "/healthcheck"), OSError, AssertionError)
        (password,) = re.findall(r"user acuworker, password (\S+)$", said.read_text(), re.MULTILINE)
        assert [Page(flower, who).ask("/api/tasks")[0] for who in (password, None)] == [200, 401]
        commands = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
        assert f"flower --port {flower}" in commands
        assert password not in commands
        eventually(lambda: answers(Page(figures), "/metrics"), OSError, AssertionError)
        assert "acuworker_seen 1.0\n" in Page(figures).ask("/metrics")[1]
        (pid,) = re.findall(r"^flower: pid (\d+)$", said.read_text(), re.MULTILINE)
        subprocess.run(["kill", "-KILL", pid], check=True)

        def again() -> None:
            assert len(re.findall(r"^flower: pid ", said.read_text(), re.MULTILINE)) == 2
            answers(Page(flower, password), "/")

        eventually(again, OSError, AssertionError)
        assert said.read_text().count(password) == 1
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(40) == 0
    for port in (flower, figures):
        with pytest.raises(OSError, match="refused"):
            Page(port).ask("/healthcheck")


def test_the_figures_are_told_for_the_fleet(installation: Installation) -> None:
    """Beside a worker that has made requests the figures say what it spent; without the store they say only that."""
    installation.start_worker()
    page = Page(free_port(), None)
    installation.start("metrics", "--port", str(page.port))
    with installation.service() as service:
        service.send(DONE).get(timeout=60)
    eventually(lambda: answers(page, "/metrics"), OSError, AssertionError)
    told = page.ask("/metrics")[1]
    for line in (
        "acuworker_seen 1.0",
        'acuworker_seats_used{license="default"} 1.0',
        'acuworker_seats_limit{license="default"} 1.0',
        'acuworker_declined_total{license="default"} 0.0',
        "acuworker_jobs_dead 0.0",
        "acuworker_oldest_waiting_seconds 0.0",
    ):
        assert line in told.splitlines()
    assert re.search(r'^acuworker_arrivals\{license="default"\} [1-9]', told, re.MULTILINE)
    assert 'acuworker_wait_p95_seconds{lane="interactive",license="default"} ' in told
    with installation.without_store(signal.SIGKILL):
        blind = page.ask("/metrics")[1]
    assert "acuworker_seen 0.0\n" in blind
    assert "acuworker_seats_used" not in blind


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (["flower"], {}, "error: ACUWORKER_FLOWER_PASSWORD: must be set, and hold no comma"),
        (["flower"], {"ACUWORKER_FLOWER_PASSWORD": "a,b"}, "error: ACUWORKER_FLOWER_PASSWORD: must be set"),
        (["metrics", "--port"], {}, "error: --port: port {port} cannot be had (Address already in use)"),
    ],
)
def test_what_cannot_be_served_is_said(
    tmp_path: Path, words: list[str], environment: dict[str, str], told: str
) -> None:
    """Without a password there is no Flower, and a port that is taken is named: one line, status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [ACUWORKER, *words, *([port] if words[-1] == "--port" else [])],
            cwd=tmp_path,
            env=Installation(tmp_path, {}).environment | environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(told.format(port=port))
