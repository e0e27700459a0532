"""Logs: one JSON object a line, or coloured text on a terminal, from our own code and from Celery alike.

Every line of a job carries its id. No secret is ever given to a logger; should one be, under a name that tells
it, it is taken out here.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.errors import Misconfigured
from worker.settings import Settings

LONGEST_VALUE = 4096
"""Characters of one value that a line may hold."""

MOST_DEPTH = 20
"""How many values inside each other a line may hold."""

LONGEST_SHOWN = 1000
"""Characters of what a task was given, for those who watch tasks."""

SECRET_NAME = re.compile(
    r"token|password|passwd|secret|authorization|cookie|credential|api_?key", re.IGNORECASE
)
BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)

QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "amqp": logging.WARNING,
    "kombu": logging.WARNING,
    "redis": logging.WARNING,
    "celery": logging.INFO,
    "celery.app.trace": logging.ERROR,
}
"""The least level of libraries whose finer lines show headers or messages whole, or say what ours say shorter."""


def on_worker_init(**_: object) -> None:
    """Celery's signal before its checks: what they warn of becomes log lines like all others."""
    logging.captureWarnings(True)
    configure(Settings.load().log_level, sys.stderr)


def on_setup_logging(**_: object) -> None:
    """Celery's signal: connected, it leaves logging to us. Raises Misconfigured."""
    configure(Settings.load().log_level, sys.stderr)


def configure(level: str, stream: TextIO) -> None:
    """Send every log line of this process to a stream, from ``level`` up. Raises Misconfigured."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise Misconfigured(f"{level!r} is no level; take DEBUG, INFO, WARNING or ERROR", "log_level")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(stream)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(number, least))
    structlog.configure(
        processors=[*_common(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendering(stream: TextIO) -> list[Processor]:
    if stream.isatty():
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return [redact, plain]
    return [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out what has a secret's name or form, at any depth, and cut what is too long."""
    return {name: _safe(name, value) for name, value in event.items()}


def safe(value: Any) -> Any:
    """A value for people: nothing in it that has a secret's name or form, or is too long."""
    return _safe("", value)


def shown(value: Any) -> str:
    """The same as JSON in one short line."""
    text = json.dumps(safe(value), ensure_ascii=False, default=str).encode(errors="replace").decode()
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _safe(name: str, value: Any, depth: int = 0) -> Any:
    match value:
        case _ if depth > MOST_DEPTH:
            return "[too deep]"
        case _ if SECRET_NAME.search(name):
            return "[redacted]"
        case str():
            return BEARER.sub(r"\1 [redacted]", value[:LONGEST_VALUE])
        case Mapping():
            return {str(key): _safe(str(key), inner, depth + 1) for key, inner in value.items()}
        case list() | tuple():
            return [_safe(name, inner, depth + 1) for inner in value]
    return value
