"""The Celery app that ``celery -A worker`` finds.

What a worker needs beyond Celery is named, not imported, so that a producer loads neither the task nor the ERP
floor.
"""

from __future__ import annotations

from celery import Celery
from celery.signals import celeryd_init, setup_logging

from worker import telemetry, transport

transport.install()
app = Celery("acumatica-worker")
app.config_from_object("celeryconfig")
app.steps["worker"].update(("worker.bootsteps:ErpStep", "worker.watchdog:Watchdog"))
app.steps["consumer"].add("worker.consumer:Lasting")
celeryd_init.connect(telemetry.on_worker_init)
setup_logging.connect(telemetry.on_setup_logging)
