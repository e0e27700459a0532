"""acuworker new-handler: a package with a handler for one entity, its entry point, and a test that passes.

Nothing that is there is written over: Misconfigured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from worker.errors import JobInvalid, Misconfigured
from worker.explore import Description

_HANDLER = '''"""{entity} of the endpoint {endpoint}."""

from __future__ import annotations

from collections.abc import Iterator

from worker.erp.client import Erp
from worker.handler import Handler
from worker.page import Page, Query
from worker.strategies import batches


class {entity}(Handler):
    """What a job gets that names no fields: all of the record itself, and what is expanded."""

    entity = "{entity}"
    keys = {keys}
    combos = {combos}
    stamp = {stamp}
    expand = ()  # {expandable}

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """The list in batches."""
        return batches(erp, query)
'''

_TEST = '''"""The handler of {entity}: what it asks of the ERP."""

from __future__ import annotations

import tomllib
from pathlib import Path

from {package} import {entity}
from worker.handler import Endpoint
from worker.job import Job
from worker.registry import GROUP

ENDPOINT = Endpoint("{name}", "{version}")


def test_a_worker_will_find_it() -> None:
    """Its entry point bears the name of its entity."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"][GROUP] == {{"{entity}": "{package}:{entity}"}}


def test_a_record_is_named_by_its_keys() -> None:
    """A job with keys asks for that one record."""
    keys = {sample}
    query = {entity}().query(Job.parse({{"entity": "{entity}", "keys": keys}}), None, ENDPOINT)
    assert query.keys == tuple(keys)
    assert query.key_fields == {entity}.keys


def test_a_list_has_the_fields_of_its_own_choice() -> None:
    """A job that names no fields gets the handler's."""
    query = {entity}().query(Job.parse({{"entity": "{entity}"}}), None, ENDPOINT)
    assert (query.select, query.expand) == ({entity}.select, {entity}.expand)
'''

_PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{project}"
version = "0.1.0"
description = "A handler of acumatica-worker for {entity}."
requires-python = ">=3.11"

[project.entry-points."acumatica_worker.handlers"]
{entity} = "{package}:{entity}"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""


def files(about: Description) -> Mapping[str, str]:
    """The package's files by their paths in it. Raises JobInvalid for an inquiry, Misconfigured where the entity has
    a handler of its own."""
    if about.inquiry:
        raise JobInvalid(f"{about.entity} is an inquiry, which needs no handler", "entity")
    if about.handler != "fallback":
        raise Misconfigured(
            f"{about.entity} has a handler, {about.handler}, and a worker takes no second one: change that",
            "entity",
        )
    package = package_of(about.entity)
    name, _, version = about.endpoint.partition("/")
    told = {
        "entity": about.entity,
        "endpoint": about.endpoint,
        "name": name,
        "version": version,
        "package": package,
        "project": package.replace("_", "-"),
        "keys": _names(about.keys),
        "combos": _names(about.combos),
        "stamp": f'"{about.stamp}"' if about.stamp else "None",
        "expandable": f"any of {', '.join(about.details)}" if about.details else "it has no details",
        "sample": _sample(about),
    }
    return {
        "pyproject.toml": _PROJECT.format(**told),
        f"{package}/__init__.py": _HANDLER.format(**told),
        f"tests/test_{package}.py": _TEST.format(**told),
    }


def package_of(entity: str) -> str:
    """The package's name: ``sales_price_worksheet_handler``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", entity)
    return f"{words.lower()}_handler"


def write(texts: Mapping[str, str], folder: Path) -> None:
    """Write the files into a new folder. Raises Misconfigured where it is there, or cannot be made."""
    try:
        folder.mkdir(parents=True)
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except FileExistsError:
        raise Misconfigured(f"{folder} is there already: name another with --to", "--to") from None
    except OSError as error:
        raise Misconfigured(f"{folder} cannot be written: {error.strerror}", "--to") from None


def _names(names: tuple[str, ...]) -> str:
    if not names:
        return "()"
    listed = ", ".join(f'"{name}"' for name in names)
    return f"({listed},)" if len(names) == 1 else f"({listed})"


def _sample(about: Description) -> str:
    """Values that could be the keys of a record."""
    count = len(about.keys)
    return "[" + ", ".join(f'"{number}"' for number in range(1, max(1, count) + 1)) + "]"
