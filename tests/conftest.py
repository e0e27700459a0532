"""Fixtures that many tests share: a sandbox with its control API, and a store."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.erp_floor import Floors
from tests.sandbox_process import Sandbox, issued_secrets, start_sandbox
from tests.store_process import start_store


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whatever a test was about, it fails when a secret shows in what was printed or logged while it ran."""
    report = yield
    if any(secret in text for _, text in report.sections for secret in issued_secrets):
        report.outcome, report.longrepr = "failed", "a secret of a sandbox is in the captured output"
    return report


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
