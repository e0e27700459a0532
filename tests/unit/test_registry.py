"""Handlers are found by their entry points, and a broken one is named before a worker starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import HandlerBroken
from worker.registry import GROUP, Registry

MODULE = '''
from worker.handler import Handler
from worker.strategies import batches

class Ledger(Handler):
    """A third party's."""
    entity = "Ledger"
    keys = ("LedgerID",)

    def pages(self, erp, query):
        return batches(erp, query)

class Misnamed(Ledger):
    entity = "Other"

class KeysInOneString(Ledger):
    keys = "LedgerID"

class WithoutPages(Handler):
    entity = "Ledger"

class WithoutEntity(Handler):
    def pages(self, erp, query):
        return batches(erp, query)

class NoHandler:
    entity = "Ledger"

class SalesOrder(Ledger):
    entity = "SalesOrder"
'''


def install(folder: Path, name: str, module: str, *points: str) -> None:
    """What an installer leaves of a distribution with these entry points."""
    (folder / f"{name}.py").write_text(module)
    told = folder / f"{name}-1.2.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (told / "entry_points.txt").write_text(f"[{GROUP}]\n" + "\n".join(points) + "\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_built_in_handlers_are_found() -> None:
    """The three handlers of the course are there, and everything else falls to Entity."""
    registry = Registry.load()
    own = ("Payment", "SalesOrder", "StockItem")
    assert tuple(registry.handler_for(entity).entity for entity in own) == own
    assert registry.handler_for("SalesOrder").keys == ("OrderType", "OrderNbr")
    assert registry.handler_for("Customer").entity == "Entity"


def test_a_third_partys_handler_is_found_beside_them(folder: Path) -> None:
    """Installing a distribution with an entry point is all that it takes."""
    install(folder, "acme_found", MODULE, "Ledger = acme_found:Ledger")
    registry = Registry.load()
    assert type(registry.handler_for("Ledger")).__module__ == "acme_found"
    assert registry.handler_for("Payment").entity == "Payment"


@pytest.mark.parametrize(
    ("module", "point", "reason"),
    [
        ("import no_such_module", "Ledger = {}:Ledger", "cannot be loaded: ModuleNotFoundError"),
        ("raise OSError('no disk')", "Ledger = {}:Ledger", "cannot be loaded: OSError: no disk"),
        (MODULE, "Ledger = {}:Absent", "cannot be loaded: AttributeError"),
        (MODULE, "Ledger = {}:NoHandler", "is not a subclass of worker.handler.Handler"),
        (MODULE, "Ledger = {}:MODULE", "cannot be loaded"),
        (MODULE, "Ledger = {}", "is not a subclass of worker.handler.Handler"),
        (MODULE, "Ledger = {}:WithoutPages", "does not define pages"),
        (MODULE, "Ledger = {}:WithoutEntity", "serves the entity None"),
        (MODULE, "Ledger = {}:Misnamed", "serves the entity 'Other'; its entry point must bear that name"),
        (MODULE, "Ledger = {}:KeysInOneString", "needs a tuple of names as its keys"),
    ],
)
def test_a_broken_handler_is_named(
    folder: Path, request: pytest.FixtureRequest, module: str, point: str, reason: str
) -> None:
    """What cannot be loaded, or is no handler, is refused with its name, its distribution and the reason."""
    name = f"acme_broken_{request.node.callspec.indices['module']}"
    install(folder, name, module, point.format(name))
    with pytest.raises(HandlerBroken) as caught:
        Registry.load()
    assert f"the handler Ledger ({point.partition(' = ')[2].format(name)}) of {name} 1.2" in str(caught.value)
    assert reason in str(caught.value)


def test_two_handlers_of_one_name_are_refused(folder: Path) -> None:
    """Of two that claim an entity neither wins: the worker names both and does not start."""
    install(folder, "acme_rival", MODULE, "SalesOrder = acme_rival:SalesOrder")
    with pytest.raises(HandlerBroken, match="two handlers claim SalesOrder") as caught:
        Registry.load()
    assert "acme_rival:SalesOrder of acme_rival 1.2" in str(caught.value)
    assert "plugins.sales_order:SalesOrder of acumatica-worker" in str(caught.value)


def test_a_registry_without_a_fallback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the handler for any entity, as after a broken installation, a worker does not start."""
    monkeypatch.setattr("worker.registry.GROUP", "acumatica_worker.no_such_group")
    with pytest.raises(HandlerBroken, match="no handler is named 'Entity'"):
        Registry.load()
