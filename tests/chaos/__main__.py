"""``python -m tests.chaos [NAME…]``: the checks of ``make chaos``, each judged, and its control which must fail.

Each check is played, with what it leaves under ``var/chaos/NAME/``; then a process of its own judges it from these
files alone. Its control is the same with a guard taken out, under ``var/chaos/NAME-control/``, and must fail for the
reason that the guard is there for. Status 0 when all checks passed and all controls failed; 1 otherwise.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.checks import CHECKS, Check, Company, Play

VAR = Path("var/chaos")
SAY_SECONDS = 15.0


def main(names: Sequence[str]) -> int:
    """Play and judge these checks, or all; the exit status."""
    unknown = set(names) - CHECKS.keys()
    if unknown:
        print(f"no check {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    wanted = [(name, check) for name, check in CHECKS.items() if not names or name in names]
    runs = [run for name, check in wanted for run in _runs(name, check)]
    passed: list[bool] = []
    for company in Company:
        together = [run for run in runs if run.company is company]
        with ThreadPoolExecutor(1 if company is Company.NOBODY else 2) as side_by_side:
            passed += side_by_side.map(_Run.__call__, together)
    return int(not all(passed))


class _Run:
    """One playing of a check or of a control, with its verdict."""

    def __init__(self, name: str, directory: Path, play: Play, reason: str | None, company: Company) -> None:
        self._name = name
        self._directory = directory
        self._play = play
        self._reason = reason
        self._title = f"{name} control" if reason else name
        self.company = company

    def __call__(self) -> bool:
        """Whether it came out as it must."""
        done = threading.Event()
        saying = threading.Thread(target=self._say_on, args=(done,), daemon=True)
        saying.start()
        try:
            self._play(self._directory)
        except Exception as error:
            _say(f"chaos {self._title}: broke off: {type(error).__name__}: {error}")
            return False
        finally:
            done.set()
        return self._judged()

    def _judged(self) -> bool:
        command = [sys.executable, "-m", "tests.chaos.judge", self._name, str(self._directory)]
        judged = subprocess.run(command, capture_output=True, check=False, text=True)
        (self._directory / "figures.txt").write_text(judged.stdout + judged.stderr)
        if self._reason is None:
            _say(judged.stdout + judged.stderr)
            return judged.returncode == 0
        lines = judged.stdout.splitlines()
        if judged.returncode == 1 and f"  failed: {self._reason}" in lines:
            (figure,) = (line for line in lines if line.startswith(f"  {self._reason}  "))
            _say(f"{figure}\nchaos {self._title}: FAILED as it must\n")
            return True
        _say(
            f"{judged.stdout}{judged.stderr}chaos {self._title}: did NOT fail in {self._reason!r}, as it must\n"
        )
        return False

    def _say_on(self, done: threading.Event) -> None:
        began = time.monotonic()
        _say(f"chaos {self._title}: begins")
        while not done.wait(SAY_SECONDS):
            _say(f"chaos {self._title}: {time.monotonic() - began:.0f} s")


def _runs(name: str, check: Check) -> list[_Run]:
    """A check and its controls, which may be played beside any other: nobody asks how well they do."""
    runs = [_Run(name, VAR / name, check.play, None, check.company)]
    for number, control in enumerate(check.controls):
        directory = VAR / (f"{name}-control-{control.guard}" if number else f"{name}-control")
        runs.append(_Run(name, directory, control.play, control.reason, Company.LIGHT))
    return runs


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
