"""Calls that are made ahead of time, on threads of their own, while what came before is worked on.

A thread waits for a session of the ERP as any other caller does, and holds none while it waits. What a call raises is
raised where its result is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

READY = 2
"""Items on their way or ready for each thread, so that a slow one keeps the others busy."""


class Ahead:
    """At most ``width`` calls at once, for as long as the context lasts; none outlives it."""

    def __init__(self, width: int) -> None:
        self.width = max(1, width)
        self._threads = ThreadPoolExecutor(self.width, "ahead")

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Make a call as soon as a thread is free, in the context that it is asked for in."""
        return self._threads.submit(copy_context().run, partial(work, *args, **kwargs))

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Each item with what ``work`` makes of it, in their order; a few may be ready before their turn."""
        waiting: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            waiting.append((item, self.call(work, item)))
            if len(waiting) >= READY * self.width:
                first, result = waiting.popleft()
                yield first, result.result()
        for first, result in waiting:
            yield first, result.result()
