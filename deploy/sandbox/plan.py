"""Changes to the data that are made between two requests, as the control API has planned them.

Requests of an entity's data are counted from the time at which the plan was made. A change that cannot be made when it
is due is written down with its error, and the request goes on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, get_args

from deploy.sandbox.changes import Change, Op, checked
from deploy.sandbox.events import EventLog
from deploy.sandbox.instance import Instance

Pick = Literal["first", "middle", "last", "random"]


@dataclass(frozen=True)
class Before:
    """A change before the entity's data is asked for the n-th time."""

    request: int
    change: Change


@dataclass
class EachPage:
    """A change after every page with rows of an entity's list, to one of them, or beside it: `left` times.

    An insert takes the keys of that row with a number behind the last of them, and so comes soon after it.
    """

    op: Op
    entity: str
    row: Pick = "first"
    values: dict[str, object] = field(default_factory=dict)
    left: int = 1_000_000_000
    random: Random = field(default_factory=Random)

    def change(self, instance: Instance, ids: Sequence[str]) -> Change:
        """What it makes of a page with these rows."""
        place = {"first": 0, "middle": len(ids) // 2, "last": -1}.get(self.row)
        record_id = ids[self.random.randrange(len(ids)) if place is None else place]
        if self.op != "insert":
            return Change(self.op, self.entity, id=record_id, values=self.values)
        keys = instance.keys_of(self.entity, record_id)
        last = list(keys)[-1]
        numbered = {**keys, last: f"{keys[last]}.{self.left % 1000:03}"}
        return Change("insert", self.entity, values={**self.values, **numbered})


Step = Before | EachPage


def step_of(document: object) -> Step:
    """Read a step, `{"before_request": n, …a change}` or `{"each_page": op, "entity": …}`; raises ValueError."""
    if isinstance(document, dict) and "before_request" in document:
        given = dict(document)
        request = given.pop("before_request")
        if isinstance(request, bool) or not isinstance(request, int) or request < 1:
            raise ValueError(f"before_request is a number from 1, not {request!r}")
        return Before(request, Change.from_json(given))
    fields = {"each_page": str, "entity": str, "row": str, "values": dict, "times": int, "seed": int}
    return _each_page(checked(document, fields))


def _each_page(given: dict[str, Any]) -> EachPage:
    for name, choices, default in (("each_page", get_args(Op), None), ("row", get_args(Pick), "first")):
        if given.get(name, default) not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {given.get(name)!r}")
    found: dict[str, Any] = {name: given[name] for name in ("row", "values") if name in given}
    if "times" in given:
        found["left"] = given["times"]
    random = Random(f"page {given.get('seed', 0)}")
    return EachPage(given["each_page"], str(given.get("entity", "")), **found, random=random)


class Plan:
    """The steps that are still to come, and what was done."""

    def __init__(self, instance: Instance, log: EventLog) -> None:
        """Every change that is made goes into the log too."""
        self._instance = instance
        self._log = log
        self._steps: list[Step] = []
        self._requests: Counter[str] = Counter()
        self._done: list[dict[str, object]] = []

    def make(self, steps: Sequence[Step]) -> None:
        """Begin anew with these steps; requests count from now on."""
        self._steps = list(steps)
        self._requests.clear()
        self._done = []

    def as_json(self) -> dict[str, object]:
        """How many requests there were of each entity, how many steps are left, and what was done."""
        return {"requests": dict(self._requests), "left": len(self._steps), "done": self._done}

    def before(self, entity: str) -> None:
        """The entity's data is about to be read."""
        self._requests[entity] += 1
        number = self._requests[entity]
        due = [
            step
            for step in self._steps
            if isinstance(step, Before) and step.change.entity == entity and step.request <= number
        ]
        for step in due:
            self._steps.remove(step)
            self._apply(step.change, number)

    def after(self, entity: str, ids: Sequence[str]) -> None:
        """A page of the entity's list was read, with these rows."""
        for step in list(self._steps):
            if not isinstance(step, EachPage) or step.entity != entity or not ids:
                continue
            self._apply(step.change(self._instance, ids), self._requests[entity])
            step.left -= 1
            if step.left <= 0:
                self._steps.remove(step)

    def _apply(self, change: Change, request: int) -> None:
        try:
            done = change.apply(self._instance)
        except (ValueError, LookupError) as why:
            done = {"op": change.op, "entity": change.entity, "error": str(why)}
        self._done.append({"request": request, **done})
        if "error" not in done:
            log_change(self._log, done)


def log_change(log: EventLog, done: dict[str, object]) -> None:
    """Write down what a change did."""
    keys = ", ".join(str(key) for key in done["keys"])  # type: ignore[attr-defined]
    log.add("change", op=str(done["op"]), entity=str(done["entity"]), id=str(done["id"]), keys=keys)
