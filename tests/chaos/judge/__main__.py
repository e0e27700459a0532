"""``python -m tests.chaos.judge NAME DIRECTORY``: the verdict on a check, from the files that it left and nothing else.

It shares no code with the worker, nor with the runner that made the files. It prints each figure beside its bar and
ends with ``chaos NAME: figures ok``, status 0, or ``chaos NAME: figures FAILED``, status 1; what cannot be read has
failed too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.chaos.judge import (
    blobs,
    broker,
    kills,
    lanes,
    lease,
    limits,
    model,
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
from tests.chaos.judge.figures import Figure, table
from tests.chaos.judge.record import Unreadable, read, read_scenes

JUDGES: Mapping[str, Callable[[Path], Sequence[Figure]]] = {
    "blobs": lambda left: blobs.judge(left, read_scenes(left)),
    "broker": lambda left: broker.judge(read_scenes(left)),
    "kills": lambda left: kills.judge(read_scenes(left)),
    "limits": lambda left: limits.judge(read(left)),
    "lanes": lambda left: lanes.judge(read(left)),
    "lease": lambda left: lease.judge(read(left)),
    "model": lambda left: model.judge(read(left)),
    "once": lambda left: once.judge(read(left)),
    "paging": lambda left: paging.judge(read(left)),
    "poison": lambda left: poison.judge(read(left)),
    "resume": lambda left: resume.judge(read(left)),
    "rolls": lambda left: rolls.judge(read(left)),
    "seats": lambda left: seats.judge(read_scenes(left)),
    "slices": lambda left: slices.judge(read(left)),
    "thrift": lambda left: thrift.judge(read(left)),
    "zombie": lambda left: zombie.judge(read(left)),
}


def main(arguments: Sequence[str]) -> int:
    """Judge one check; the exit status."""
    match arguments:
        case [name, directory] if name in JUDGES:
            return _judge(name, Path(directory))
    print(f"usage: python -m tests.chaos.judge {{{','.join(JUDGES)}}} DIRECTORY", file=sys.stderr)
    return 2


def _judge(name: str, directory: Path) -> int:
    try:
        figures = JUDGES[name](directory)
    except Unreadable as error:
        print(f"  failed: {error}\nchaos {name}: figures FAILED")
        return 1
    print(table(figures))
    failed = [figure.name for figure in figures if not figure.ok]
    for each in failed:
        print(f"  failed: {each}")
    print(f"chaos {name}: figures {'FAILED' if failed else 'ok'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
