"""The verdict on ``seats``: never a session too many, each seat soon used again, and none left behind.

The record is a directory of scenes. After a kill all seats are in use again when as many sessions are open as there are
seats, and each was asked something since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.judge import log
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import SECOND, Line, Record

LEASE_SECONDS = 15.0
BACK_SECONDS = 5.0
"""From there until it is used: who waits looks once a second; a request that was sent on a token that has died since
may be at work for 1.5 s; and a worker may have held several seats, which are signed in to one after the other."""

UNDER_WAY = SECOND // 4
"""How long after a kill a request may arrive that was sent before it."""

STOP_SECONDS = 10.0
NEAR = SECOND
"""How long before a kill a session may have been opened, or renewed, by the sign-in that the kill cut off."""

FEWEST_KILLS = 150
REQUEST = ("request before", "request sent", "request mid", "request after")
OPENING = ("intent after", "send before", "send after", *REQUEST)
STEPS: Mapping[str, tuple[str, ...]] = {
    "lease": ("lease before", "lease after", "release before", "release after"),
    "exchange": REQUEST,
    "sign-in": (*OPENING, "opened before", "opened after"),
    "refresh": (*OPENING, "refreshed before", "refreshed after"),
    "sign-out": ("close after", *REQUEST, "closed before", "closed after"),
    "revocation": REQUEST,
}
POINTS = tuple(f"{activity}: {moment}" for activity, moments in STEPS.items() for moment in moments)


@dataclass(frozen=True)
class Recovery:
    """How many seconds a kill took a seat out of use, without end if for good; and whether it cut a sign-in off, or a
    renewal, that may have been sent."""

    seconds: float
    cut_off: bool


def judge(scenes: Sequence[Record]) -> list[Figure]:
    """Every figure of the check."""
    kills = [kill for scene in scenes for kill in kills_of(scene)]
    recoveries = [recovery for scene in scenes for recovery in recoveries_of(scene)]
    is_small = any(scene.is_small for scene in scenes)
    jobs = [line for scene in scenes for line in scene.results if line["kind"] == "job"]
    return [
        *_hits(kills, [str(point) for point in scenes[0].facts["planned"]] if is_small else POINTS),
        at_least("kills", len(kills), len(scenes) if is_small else FEWEST_KILLS),
        *_peaks(scenes),
        *_used_again(recoveries, float(scenes[0].facts["token_seconds"])),
        *_left_open(scenes),
        at_least("jobs done", sum(job["state"] == "SUCCESS" for job in jobs), 0 if is_small else len(scenes)),
        at_most("jobs failed", sum(job["state"] == "FAILURE" for job in jobs), 0),
    ]


def kills_of(scene: Record) -> list[Line]:
    """The workers that were killed, as each wrote down in its last moment."""
    return sorted(
        (line for line in scene.results if line["kind"] == "kill"), key=lambda line: int(line["at"])
    )


def recoveries_of(scene: Record) -> list[Recovery]:
    """What became of the seats after each kill, but for those after which the workers were soon asked to end."""
    seats = int(scene.limits["sessions"])
    ended = scene.mark("terminated")
    found = []
    for kill in kills_of(scene):
        at, cut_off = int(kill["at"]), bool(kill["cut_off"])
        seconds = seconds_until_in_use(scene.events, seats, at, ended)
        bar = LEASE_SECONDS + BACK_SECONDS + (float(scene.facts["token_seconds"]) if cut_off else 0.0)
        if seconds < float("inf") or ended - at > bar * SECOND:
            found.append(Recovery(seconds, cut_off))
    return found


def seconds_until_in_use(events: Sequence[Line], seats: int, since: int, until: int) -> float:
    """Seconds until so many sessions are open that were all asked something since."""
    asking: set[int] = set()
    used: set[int] = set()
    for event in log.between(events, since + UNDER_WAY, until):
        request, session = event.get("request"), event.get("session")
        if event["kind"] == "arrival" and "/entity/Default/" in event["path"]:
            asking.add(event["request"])
        if event["kind"] == "session_close":
            used.discard(event["session"])
        elif request in asking and session is not None:
            used.add(event["session"])
        if len(used) >= seats:
            return float(event["at"] - since) / SECOND
    return float("inf")


def _hits(kills: Sequence[Line], points: Sequence[str]) -> list[Figure]:
    """How many kills there were at each point."""
    hit = [str(kill["point"]) for kill in kills]
    return [at_least(f"kills at {point}", hit.count(point), 1) for point in points]


def _peaks(scenes: Sequence[Record]) -> list[Figure]:
    """The most sessions that were open at once, for each number of seats."""
    peaks: dict[int, int] = {}
    for scene in scenes:
        seats = int(scene.limits["sessions"])
        peaks[seats] = max(peaks.get(seats, 0), log.peak_sessions(scene.events))
    return [at_most(f"most sessions of {seats}", peak, seats) for seats, peak in sorted(peaks.items())]


def _used_again(recoveries: Sequence[Recovery], token_seconds: float) -> list[Figure]:
    """How long the seats of those who were killed were out of use."""
    plain = [recovery.seconds for recovery in recoveries if not recovery.cut_off]
    cut_off = [recovery.seconds for recovery in recoveries if recovery.cut_off]
    bar = LEASE_SECONDS + BACK_SECONDS
    return [
        told("seat in use again, p50 s", log.percentile(plain, 0.5)),
        at_most("seat in use again, most s", max(plain, default=0.0), bar),
        told("the same, sign-in cut off, p50 s", log.percentile(cut_off, 0.5)),
        at_most("the same, sign-in cut off, most s", max(cut_off, default=0.0), bar + token_seconds),
    ]


def _left_open(scenes: Sequence[Record]) -> list[Figure]:
    """What was open when all workers had been asked to end; a cut-off sign-in's for as long as its token lasts."""
    soon, later = 0, 0
    for scene in scenes:
        at = scene.mark("terminated") + int(STOP_SECONDS * SECOND)
        orphans = orphans_of(scene)
        soon += len(log.open_at(scene.events, at) - orphans)
        later += len(log.open_at(scene.events, at + int(scene.facts["token_seconds"]) * SECOND))
    return [
        at_most("open 10 s after SIGTERM", soon, 0),
        at_most("open when all tokens are dead", later, 0),
        told("sign-ins cut off by a kill", sum(len(orphans_of(scene)) for scene in scenes)),
    ]


def orphans_of(scene: Record) -> frozenset[int]:
    """The sessions that a sign-in or a renewal opened or kept which a kill cut off."""
    cuts = [int(kill["at"]) for kill in kills_of(scene) if kill["cut_off"]]
    return frozenset(
        event["session"]
        for event in scene.events
        if event["kind"] in ("session_open", "sign_in")
        and event.get("session") is not None
        and any(abs(event["at"] - cut) <= NEAR for cut in cuts)
    )
