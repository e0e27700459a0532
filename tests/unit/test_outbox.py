"""What the store must be told, by several threads at once: nothing stays behind that nobody is saying."""

from __future__ import annotations

from collections import deque
from threading import Thread
from typing import Any

import pytest

from worker.erp.outbox import Outbox


class Kept(deque[tuple[str, dict[str, Any]]]):
    """Words, of which another thread adds one when it has just been seen that there is none."""

    def __init__(self, box: Outbox) -> None:
        super().__init__()
        self._box: Outbox | None = box

    def __len__(self) -> int:
        found = super().__len__()
        if found == 0 and self._box:
            other = Thread(target=self._box.tell, args=("release",))
            self._box = None
            other.start()
            other.join()
        return found


@pytest.mark.parametrize("way", ["flush", "finish"])
def test_a_word_that_comes_as_others_end_is_said(way: str) -> None:
    """A word that is kept while a thread is about to stop saying the others is said by it all the same."""
    said: list[str] = []
    box = Outbox(lambda operation, **_: said.append(operation))  # type: ignore[arg-type]
    box._kept = Kept(box)
    box._kept.append(("step", {}))
    getattr(box, way)()
    assert said == ["step", "release"]
