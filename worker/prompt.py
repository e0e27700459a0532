"""Questions at the terminal. Where nobody can answer one, UsageError names the option that would."""

from __future__ import annotations

import warnings
from getpass import GetPassWarning
from typing import Any

import click


def ask(option: str, question: str, default: Any = None, **how: Any) -> Any:
    """The answer to a question. Raises UsageError, naming the option, where nobody can answer, or not unseen."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            return click.prompt(question, default=default, **how)
    except GetPassWarning:
        raise click.UsageError(f"there is no terminal to type it unseen; give {option}") from None
    except click.Abort as abort:
        raise _unanswered(abort, option) from None


def agreed(option: str, question: str) -> bool:
    """Whether somebody says yes. Raises as ``ask``."""
    try:
        return click.confirm(question)
    except click.Abort as abort:
        raise _unanswered(abort, option) from None


def _unanswered(abort: click.Abort, option: str) -> click.ClickException | click.Abort:
    ended = isinstance(abort.__context__, EOFError)
    return click.UsageError(f"nobody is there to answer; give {option}") if ended else abort
