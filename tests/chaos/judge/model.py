"""The verdict on ``model``: what the searches came to, whether the Lua went with them, what the sandbox saw at play.

A way that ends where a slot is free or too many sessions are open is looked at for just that; rows of the model and of
the store are compared here, and sessions and exchanges read off the sandbox's log.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.log import by_request, others_than, peak_sessions
from tests.chaos.judge.record import Line, Record

RUNS, STEPS = 500, 30
FOREIGN = "foreign"
SEEN_BY_COUNTING = {
    "more sessions are open than there are slots": lambda end: end["open"] > 1,
    "a slot is free while its session is open": lambda end: end["open"] > 0 and end["state"] == "free",
}
"""The promises whose breaking shows in the last world of a way."""


def judge(record: Record) -> Sequence[Figure]:
    """The figures of the search, of the Lua, and of the play."""
    return [*_of_the_search(record), *_of_the_lua(record), *_of_the_play(record)]


def of(record: Record, what: str) -> list[Line]:
    """The results of one kind."""
    return [line for line in record.results if line["what"] == what]


def _of_the_search(record: Record) -> Iterator[Figure]:
    searches, missing = of(record, "search"), of(record, "deletion")
    yield told("worlds searched", sum(line["worlds"] for line in searches))
    yield at_least("kinds of worlds", len(searches), len(record.facts["plan"]["variants"]))
    yield at_most("promises broken", sum(line["promise"] is not None for line in searches), 0)
    steps = {step["name"] for step in record.facts["table"]}
    if len(searches) > 1:
        yield at_least("steps of the table taken", len(steps & _taken(record)), len(steps))
    if record.facts["plan"]["deletes"]:
        for kind, wanted in (
            ("guard", _guards(record)),
            ("habit", _habits(record)),
            ("step", _times(record)),
        ):
            found = {
                (line["step"], line["name"]) for line in missing if line["kind"] == kind and is_missed(line)
            }
            yield at_least(f"{kind}s missed when deleted", len(wanted & found), len(wanted))


def _taken(record: Record) -> set[str]:
    return {line["step"] for line in of(record, "step")}


def _guards(record: Record) -> set[tuple[str, str]]:
    every = {(step["name"], guard) for step in record.facts["table"] for guard in step["guards"]}
    return every if record.facts["plan"]["slow"] else {each for each in every if each[0] not in SLOW}


SLOW = ("refreshed", "not_renewable")
"""Steps whose guards the small version leaves alone."""


def _habits(record: Record) -> set[tuple[str, str]]:
    return {("", habit) for habit in record.facts["habits"]}


def _times(record: Record) -> set[tuple[str, str]]:
    return {(step, "") for step in record.facts["time"]}


def is_missed(deletion: Line) -> bool:
    """Whether a promise breaks without it: by a way that shows it, where counting does."""
    shows = SEEN_BY_COUNTING.get(deletion["promise"])
    return deletion["promise"] is not None and (shows is None or bool(shows(deletion["way"][-1])))


def _of_the_lua(record: Record) -> Iterator[Figure]:
    whole, without = of(record, "step"), of(record, "deletion")
    replayed = [step for line in [*whole, *without] for step in line.get("replayed", ())]
    settled = [row for line in of(record, "settled") for row in line["rows"]]
    yield told("steps taken again on the Lua", len(replayed))
    differing = sum(each["model"] != each["store"] for each in [*replayed, *settled])
    yield at_most("rows that differ in the Lua", differing, 0)
    yield at_least("rows that time has settled", len(settled), 1)
    refused = sum(not step["allowed"] for line in whole for step in line["replayed"])
    if not record.facts["guard"]:
        yield at_most("steps that the Lua refuses", refused, 0)
    forbidden = [line for line in without if line["kind"] == "guard"]
    if forbidden:
        held = sum(is_forbidden(line) for line in forbidden)
        yield at_least("violating steps that it refuses", held, len(forbidden))


def is_forbidden(deletion: Line) -> bool:
    """Whether the whole table refuses the step whose guard is gone, which the other has taken."""
    tried = [step for step in deletion["replayed"] if step["step"] == deletion["step"]]
    return any(not step["allowed"] for step in tried)


def _of_the_play(record: Record) -> Iterator[Figure]:
    plan, runs = record.facts["plan"], of(record, "run")
    if not plan["runs"]:
        return
    whole = sum(run["steps"] >= STEPS for run in runs)
    yield at_least(f"runs of {STEPS} steps", whole, RUNS if record.facts["size"] == "full" else 1)
    yield told("runs", len(runs))
    yield told("steps", sum(run["steps"] for run in runs))
    yield told(
        "kills", sum(number for run in runs for act, number in run["acts"].items() if act.endswith("killed"))
    )
    yield at_most("promises broken at play", len(of(record, "broken")), 0)
    times = [int(event["at"]) for event in record.events]
    yield at_most(
        "sessions beyond the limit", max((beyond(record, times, run) for run in runs), default=0), 0
    )
    yield at_most(
        "sessions left that none hides", sum(max(0, run["open"] - run["hidden"]) for run in runs), 0
    )
    yield at_most("runs that end without a session", sum(not run["served"] for run in runs), 0)
    yield at_most("sessions used by two at once", len(overlaps(record.events, of(record, "lease"))), 0)


def beyond(record: Record, times: Sequence[int], run: Mapping[str, Any]) -> int:
    """How many sessions of ours were open in a run at most, beyond what its license allowed."""
    events = record.events[bisect_left(times, run["began"]) : bisect_left(times, run["ended"])]
    return max(0, peak_sessions(events, others_than(FOREIGN)) - int(run["limit"]))


def overlaps(events: Sequence[Line], leases: Iterable[Line]) -> list[tuple[str, str]]:
    """Pairs of leases that had requests in one session at once, while both were alive."""
    alive = {lease["name"]: lease for lease in leases}
    ended = by_request(events, "end")
    asked: dict[int, list[Line]] = defaultdict(list)
    for event in events:
        known = event["kind"] == "arrival" and event.get("request_id") in alive
        if known and event["session"] is not None and event["request"] in ended:
            asked[event["session"]].append(event)
    return [
        (one["request_id"], other["request_id"])
        for requests in asked.values()
        for one, other in combinations(requests, 2)
        if one["request_id"] != other["request_id"] and _meet(one, other, ended, alive)
    ]


def _meet(one: Line, other: Line, ended: Mapping[int, Line], alive: Mapping[str, Line]) -> bool:
    began = max(one["at"], other["at"])
    over = min(ended[each["request"]]["at"] for each in (one, other))
    lapsed = min(alive[each["request_id"]]["ended"] for each in (one, other))
    return bool(began < min(over, lapsed))
