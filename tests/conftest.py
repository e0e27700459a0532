"""Fixtures that many tests share: a sandbox with its control API, and a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.erp_floor import Floors
from tests.sandbox_process import Sandbox, start_sandbox
from tests.store_process import start_store


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A stand-in ERP with a trial's license of two sessions."""
    with start_sandbox("--control") as running:
        yield running


@pytest.fixture
def store_url() -> Iterator[str]:
    """The URL of an empty store."""
    with start_store() as url:
        yield url


@pytest.fixture
def floors() -> Iterator[Floors]:
    """Starts the ERP floors of as many processes as a test wants; their sockets are closed at its end."""
    made = Floors()
    yield made
    made.kill()
