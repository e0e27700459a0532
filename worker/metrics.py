"""The fleet's figures for Prometheus, on loopback: what an operator alarms on.

They are read from the store when they are asked for, so one process tells them for the whole fleet. Where the store
or the broker does not answer, only ``acuworker_seen 0`` is told. Raises Misconfigured where prometheus-client is
missing or the port is taken.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from worker.bootsteps import watch_parent
from worker.erp.budget import BudgetView
from worker.erp.overview import LicenseView
from worker.erp.slots import State as SlotState
from worker.errors import Misconfigured, WorkerError
from worker.fleet import Fleet, look
from worker.jobstate import State
from worker.settings import Settings
from worker.supervisor import Beside

if TYPE_CHECKING:
    from prometheus_client.core import Metric

ADDRESS = "127.0.0.1"

OF_A_LICENSE = {
    "seats_used": "Sessions of the ERP that are open, or may be.",
    "seats_limit": "Sessions that the license allows.",
    "arrivals": "Requests of the last 60 s that count against the license.",
    "arrivals_limit": "Requests in 60 s that are allowed now; 0: no limit.",
}


def beside(port: int) -> Beside:
    """The command for the supervisor."""
    _require()
    return Beside(("metrics", "--port", str(port)))


def _require() -> None:
    if find_spec("prometheus_client") is None:
        raise Misconfigured("needs prometheus-client: pip install 'acumatica-worker[metrics]'", "metrics")


def serve(port: int) -> None:
    """Tell the figures at ``/metrics`` until SIGTERM or SIGINT."""
    _require()
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        start_http_server(port, ADDRESS, registry)
    except OSError as error:
        raise Misconfigured(f"port {port} cannot be had ({error.strerror}): take another", "--port") from None
    watch_parent(os.environ)
    signal.sigwait(stops)


class Figures:
    """What Prometheus's library asks when somebody looks."""

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        try:
            fleet = look(Settings.load())
        except WorkerError:
            fleet = None
        return figures(fleet)


def figures(fleet: Fleet | None) -> Iterator[Metric]:
    """The figures of a fleet; of one that cannot be seen, only that."""
    from prometheus_client.core import GaugeMetricFamily as Gauge

    yield Gauge("acuworker_seen", "1 where the store and the broker answer.", int(fleet is not None))
    if fleet is None:
        return
    yield from _of_licenses(fleet)
    dead = fleet.jobs.get(State.DEAD, 0)
    yield Gauge("acuworker_jobs_dead", "Jobs that workers ended at again and again.", dead)
    told = "For how long the job has not got on that has waited longest."
    yield Gauge("acuworker_oldest_waiting_seconds", told, fleet.oldest or 0.0)


def _of_licenses(fleet: Fleet) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    gauges = {
        name: GaugeMetricFamily(f"acuworker_{name}", told, labels=["license"])
        for name, told in OF_A_LICENSE.items()
    }
    told = "What 95 of 100 requests waited at most for their turn, in the last five minutes."
    waits = GaugeMetricFamily("acuworker_wait_p95_seconds", told, labels=["license", "lane"])
    told = "Requests that the ERP declined."
    declined = CounterMetricFamily("acuworker_declined", told, labels=["license"])
    for license_ in fleet.licenses:
        minute = fleet.minutes[license_.name]
        for name, value in _gauged(license_, minute).items():
            gauges[name].add_metric([license_.name], value)
        for lane, seconds in minute.wait_p95.items():
            waits.add_metric([license_.name, str(lane)], seconds)
        declined.add_metric([license_.name], minute.declined)
    yield from (*gauges.values(), waits, declined)


def _gauged(license_: LicenseView, minute: BudgetView) -> dict[str, int]:
    limits = license_.in_force or license_.filed
    return {
        "seats_used": sum(slot.state is not SlotState.FREE for slot in license_.slots),
        "seats_limit": limits.max_sessions,
        "arrivals": minute.arrivals,
        "arrivals_limit": minute.limit if license_.in_force else limits.max_per_minute,
    }
