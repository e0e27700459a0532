"""The checks of ``make chaos``: how each is played, its control with a guard taken out, and its small version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.chaos import lanes, lease, limits, modelled, seats, thrift

Play = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Control:
    """A check with a guard taken out (sabotage.py); ``reason`` is the figure that must fail then."""

    guard: str
    reason: str
    play: Play


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check; ``is_light`` says that it may be played beside another, as it neither measures milliseconds nor keeps
    the cores busy."""

    play: Play
    small: Play
    controls: tuple[Control, ...]
    is_light: bool = False


CHECKS: Mapping[str, Check] = {
    "limits": Check(
        play=limits.run,
        small=partial(limits.run, plan=limits.SMALL),
        controls=(
            Control(
                guard="pacing",
                reason="mean imposed delay, alone",
                play=partial(limits.run, plan=limits.CONTROL, guard="pacing"),
            ),
            Control(
                guard="hearing",
                reason="most of ours beside it",
                play=partial(limits.run, plan=limits.BESIDE, guard="hearing"),
            ),
        ),
        is_light=True,
    ),
    "thrift": Check(
        play=thrift.run,
        small=partial(thrift.run, plan=thrift.SMALL),
        controls=(
            Control(
                guard="affinity",
                reason="their share of the requests",
                play=partial(thrift.run, plan=thrift.CONTROL, guard="affinity"),
            ),
        ),
        is_light=True,
    ),
    "lanes": Check(
        play=lanes.run,
        small=partial(lanes.run, plan=lanes.SMALL),
        controls=(
            Control(
                guard="lanes",
                reason="loaded p95, s",
                play=partial(lanes.run, plan=lanes.CONTROL, guard="lanes"),
            ),
        ),
    ),
    "lease": Check(
        play=lease.run,
        small=partial(lease.run, plan=lease.SMALL),
        controls=(
            Control(
                guard="order",
                reason="waiters out of order",
                play=partial(lease.run, plan=lease.CONTROL, guard="order"),
            ),
        ),
    ),
    "model": Check(
        play=modelled.run,
        small=partial(modelled.run, plan=modelled.LESS),
        controls=(
            Control(
                guard="same generation",
                reason="promises broken",
                play=partial(modelled.run, plan=modelled.CONTROL, guard=("closed", "same generation")),
            ),
        ),
    ),
    "seats": Check(
        play=seats.run,
        small=partial(seats.run, plan=seats.SMALL),
        controls=(
            Control(
                guard="quarantine",
                reason="most sessions of 1",
                play=partial(seats.run, plan=seats.CONTROL, guard="quarantine"),
            ),
        ),
    ),
}
