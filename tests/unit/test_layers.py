"""The house stands: imports point down, in no circle, and each floor knows only what it may."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS = (
    {"worker.__main__"},
    {"worker.cli"},
    {"worker.change_commands", "worker.commands", "worker.explore_commands"},
    {"worker.flowerbed", "worker.metrics", "worker.plan_command"},
    {
        "worker.doctor",
        "worker.health",
        "worker.jobs",
        "worker.operate",
        "worker.planning",
        "worker.supervisor",
    },
    {"worker.scaffold"},
    {"worker.explore", "worker.fetch", "worker.status"},
    {"worker.fleet", "worker.visit", "worker.waiting"},
    {"worker.connect", "worker.embedded"},
    {"worker.login"},
    {"worker.connections", "worker.options", "worker.prompt", "worker.summary"},
    {"worker.watchdog"},
    {"worker.bootsteps", "worker.client"},
    {"worker.consumer", "worker.sweeper"},
    {"worker.doorbell"},
    {"worker.celery", "worker.tasks"},
    {"worker.telemetry", "worker.runner", "worker.transport"},
    {"worker.work"},
    {"worker.registry", "worker.publisher", "worker.reader", "worker.jobstore"},
    {"worker.repairs", "worker.sampling", "worker.series"},
    {"worker.parts"},
    {"plugins.entity", "plugins.payment", "plugins.sales_order", "plugins.stock_item"},
    {"plugins.catalogue"},
    {"worker.actions", "worker.inquiries", "worker.retrieval", "worker.writes"},
    {"worker.naming", "worker.sending"},
    {"worker.handler", "worker.blobs", "worker.compression"},
    {"worker.beats"},
    {"worker.attachments", "worker.custom", "worker.lockfile", "worker.strategies", "worker.storage"},
    {"worker.listing"},
    {"worker.ahead", "worker.filters", "worker.paging", "worker.unfinished", "worker.plan"},
    {"worker.erp"},
    {"worker.settings"},
    {"worker.jobstate"},
    {"worker.connection", "worker.page"},
    {"worker.result"},
    {"worker.kinds"},
    {"worker.job"},
    {"worker.refusal"},
    {"worker.errors", "worker.params"},
    {"worker", "plugins"},
)
"""From the roof down; a module may import from the floors below its own. A package is one floor."""

EMPTY = ("worker", "worker.erp", "worker.blobs", "plugins")
PACKAGES = ("worker.erp", "worker.blobs")


def module_of(path: Path) -> str:
    """The module's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules(package: str) -> Mapping[str, frozenset[str]]:
    """What each module of a top-level package imports, wherever in its text."""
    return {
        module_of(path): frozenset(imported(ast.parse(path.read_text(encoding="utf-8"))))
        for path in (ROOT / package).rglob("*.py")
    }


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported; for ``from package import module``, that module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            source = str(node.module)
            folders = ((ROOT / source.replace(".", "/") / alias.name, alias.name) for alias in node.names)
            named = [name for path, name in folders if path.is_dir() or path.with_suffix(".py").exists()]
            yield from (f"{source}.{name}" for name in named)
            if len(named) < len(node.names):
                yield source


def ours() -> dict[str, frozenset[str]]:
    """What each module of worker and plugins imports of worker and plugins."""
    every = {**modules("worker"), **modules("plugins")}
    return {name: found & every.keys() for name, found in every.items()}


def floor(module: str) -> int:
    """How far below the roof a module lives."""
    room = next((each for each in PACKAGES if module.startswith(f"{each}.")), module)
    found = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    assert found, f"{module} has no floor: give it one in {Path(__file__).name}"
    return found[0]


def test_imports_point_down() -> None:
    """No module imports one that lives above it or beside it."""
    wrong = [
        f"{module} imports {target}"
        for module, targets in ours().items()
        for target in targets
        if floor(target) <= floor(module) and not module.startswith(tuple(f"{each}." for each in PACKAGES))
    ]
    assert wrong == []


def test_the_ground_floor_knows_only_what_travels() -> None:
    """worker.erp imports, of ours, only itself, what travels, errors and settings."""
    below = {
        "worker.job",
        "worker.page",
        "worker.params",
        "worker.errors",
        "worker.connection",
        "worker.settings",
    }
    for module, targets in ours().items():
        if module.startswith("worker.erp"):
            assert {target for target in targets if not target.startswith("worker.erp")} <= below, module


def test_imports_run_in_no_circle() -> None:
    """There is an order in which the modules can be read."""
    assert list(TopologicalSorter(ours()).static_order())


def test_plugins_stand_on_what_any_plugin_may_use() -> None:
    """A plugin imports handler, strategies, the ERP's client and schema, what travels and what goes wrong; no more."""
    travels = {"worker.job", "worker.page", "worker.errors"}
    allowed = travels | {"worker.handler", "worker.strategies", "worker.erp.client", "worker.erp.schema"}
    for module, targets in modules("plugins").items():
        assert {target for target in targets if target.startswith("worker")} <= allowed, module


def test_worker_knows_no_plugin_and_no_deployment() -> None:
    """Plugins are found by their entry points, and the sandbox by its address."""
    for module, targets in modules("worker").items():
        assert not {target for target in targets if target.split(".")[0] in ("plugins", "deploy", "tests")}, (
            module
        )


def test_the_sandbox_is_an_independent_witness() -> None:
    """Nothing in deploy imports worker or plugins."""
    for module, targets in modules("deploy").items():
        if module.startswith("deploy.sandbox"):
            assert not {target for target in targets if target.split(".")[0] in ("worker", "plugins")}, module


def test_one_module_knows_http() -> None:
    """httpx is imported in worker/erp/wire.py and nowhere else."""
    every = {**modules("worker"), **modules("plugins")}
    assert {name for name, targets in every.items() if "httpx" in targets} == {"worker.erp.wire"}


def test_celery_stays_on_the_upper_floors() -> None:
    """Only what stands between Celery and a job imports Celery."""
    users = {
        name
        for name, targets in modules("worker").items()
        if any(target.split(".")[0] in ("celery", "kombu") for target in targets)
    }
    queue = {"worker.celery", "worker.client", "worker.doorbell", "worker.tasks", "worker.transport"}
    steps = {"worker.bootsteps", "worker.consumer", "worker.watchdog"}
    watchers = {"worker.fleet", "worker.doctor"}
    assert users <= queue | steps | watchers


@pytest.mark.parametrize("package", EMPTY)
def test_a_package_itself_imports_nothing(package: str) -> None:
    """An ``__init__`` costs nothing to import."""
    assert modules(package.split(".")[0])[package] == frozenset()


def test_every_module_can_be_imported() -> None:
    """Each module loads, in any environment and without a warning."""
    names = sorted(name for name in ours() if not name.endswith("__main__"))
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    subprocess.run([sys.executable, "-W", "error", "-c", code, *names], cwd=ROOT, check=True)
