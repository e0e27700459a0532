"""The checks of ``make chaos``: how each is played, its control with a guard taken out, and its small version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from tests.chaos import (
    blobs,
    broker,
    kills,
    lanes,
    lease,
    limits,
    modelled,
    once,
    paging,
    poison,
    resume,
    rolls,
    seats,
    slices,
    thrift,
    zombie,
)

Play = Callable[[Path], None]


class Company(StrEnum):
    """Which others a check may be played beside; in the order in which they are played."""

    LIGHT = "light"
    """Others that hardly keep the cores busy: it waits most of the time, and is asked how promptly it went on."""
    PATIENT = "patient"
    """Others that may keep a core busy: nothing in it is asked how fast it was, to some seconds."""
    NOBODY = "nobody"
    """None: it measures milliseconds, or many processes of its own keep the cores busy."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """A check with a guard taken out (sabotage.py); ``reason`` is the figure that must fail then."""

    guard: str
    reason: str
    play: Play


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check, and what it may be played beside."""

    play: Play
    small: Play
    controls: tuple[Control, ...]
    company: Company


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
        company=Company.LIGHT,
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
        company=Company.LIGHT,
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
        company=Company.NOBODY,
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
        company=Company.NOBODY,
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
        company=Company.PATIENT,
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
        company=Company.NOBODY,
    ),
    "kills": Check(
        play=kills.run,
        small=partial(kills.run, plan=kills.SMALL),
        controls=(
            Control(
                guard="sweeper",
                reason="jobs not done",
                play=partial(kills.run, plan=kills.CONTROL, guard="sweeper"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "once": Check(
        play=once.run,
        small=partial(once.run, plan=once.SMALL),
        controls=(
            Control(
                guard="once",
                reason="jobs sent twice",
                play=partial(once.run, plan=once.CONTROL, guard="once"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "zombie": Check(
        play=zombie.run,
        small=partial(zombie.run, plan=zombie.SMALL),
        controls=(
            Control(
                guard="attempts",
                reason="late writes accepted",
                play=partial(zombie.run, plan=zombie.CONTROL, guard="attempts"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "rolls": Check(
        play=rolls.run,
        small=partial(rolls.run, plan=rolls.SMALL),
        controls=(
            Control(
                guard="stopping",
                reason="the slowest exit, s",
                play=partial(rolls.run, plan=rolls.CONTROL, guard="stopping"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "broker": Check(
        play=broker.run,
        small=partial(broker.run, plan=broker.SMALL),
        controls=(
            Control(
                guard="sweeper",
                reason="jobs not done",
                play=partial(broker.run, plan=broker.CONTROL, guard="sweeper"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "poison": Check(
        play=poison.run,
        small=partial(poison.run, plan=poison.SMALL),
        controls=(
            Control(
                guard="crashes",
                reason="poison jobs that are dead",
                play=partial(poison.run, plan=poison.CONTROL, guard="crashes"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "blobs": Check(
        play=blobs.run,
        small=partial(blobs.run, plan=blobs.SMALL),
        controls=(
            Control(
                guard="whole",
                reason="directory: blobs that a reader found wrong",
                play=partial(blobs.run, plan=blobs.CONTROL, guard="whole"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "slices": Check(
        play=slices.run,
        small=partial(slices.run, plan=slices.SMALL),
        controls=(
            Control(
                guard="one task",
                reason="times it ended, by events",
                play=partial(slices.run, plan=slices.CONTROL, guard="one task"),
            ),
        ),
        company=Company.PATIENT,
    ),
    "paging": Check(
        play=paging.run,
        small=partial(paging.run, plan=paging.SMALL),
        controls=(
            Control(
                guard="joining",
                reason="rows lost",
                play=partial(paging.run, plan=paging.CONTROL, guard="joining"),
            ),
            Control(guard="a plain loop", reason="rows lost", play=partial(paging.run, plan=paging.PLAIN)),
        ),
        company=Company.PATIENT,
    ),
    "resume": Check(
        play=resume.run,
        small=partial(resume.run, plan=resume.SMALL),
        controls=(
            Control(
                guard="cursors",
                reason="rows read again, batches, after it was kept",
                play=partial(resume.run, plan=resume.CONTROL, guard="cursors"),
            ),
        ),
        company=Company.PATIENT,
    ),
}
