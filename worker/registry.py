"""Which handler an entity takes: those that are installed, found by their entry points.

A handler that cannot be loaded, is none, or shares its name with another raises HandlerBroken, so that a worker
does not start with it. Built-in handlers are found in the same way as any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from worker.errors import HandlerBroken
from worker.handler import Handler

GROUP = "acumatica_worker.handlers"
FALLBACK = "Entity"
"""The name of the handler that takes every entity without one of its own."""


class Registry:
    """The handlers of a worker, by entity."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = MappingProxyType(dict(handlers))

    @classmethod
    def load(cls) -> Registry:
        """The handlers that are installed. Raises HandlerBroken, naming the handler and its distribution."""
        handlers = {point.name: _handler(point) for point in _unrivalled(entry_points(group=GROUP))}
        if FALLBACK not in handlers:
            raise HandlerBroken(f"no handler is named {FALLBACK!r}: install acumatica-worker again", GROUP)
        return cls(handlers)

    def handler_for(self, entity: str) -> Handler:
        """The handler of that entity, or else the one that takes any."""
        return self._handlers.get(entity) or self._handlers[FALLBACK]


def _unrivalled(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """These entry points, no two of which may bear one name."""
    first: dict[str, EntryPoint] = {}
    for point in points:
        rival = first.setdefault(point.name, point)
        if rival is not point:
            message = (
                f"two handlers claim {point.name}: {rival.value} of {_distribution(rival)} and {point.value} "
                f"of {_distribution(point)}; uninstall one of them, or give one another name"
            )
            raise HandlerBroken(message, GROUP)
    return list(first.values())


def _handler(point: EntryPoint) -> Handler:
    try:
        found = point.load()
    except Exception as error:
        raise _broken(point, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Handler)):
        raise _broken(point, "is not a subclass of worker.handler.Handler")
    if inspect.isabstract(found):
        raise _broken(point, f"does not define {', '.join(sorted(found.__abstractmethods__))}")
    if (entity := getattr(found, "entity", None)) != point.name:
        raise _broken(point, f"serves the entity {entity!r}; its entry point must bear that name")
    for name in ("keys", "select", "expand"):
        if not _is_names(getattr(found, name)):
            raise _broken(point, f"needs a tuple of names as its {name}")
    return found()


def _is_names(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) and name for name in value)


def _broken(point: EntryPoint, reason: str) -> HandlerBroken:
    return HandlerBroken(
        f"the handler {point.name} ({point.value}) of {_distribution(point)} {reason}", GROUP
    )


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "no known distribution"
