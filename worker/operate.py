"""What an operator does to a running fleet: change limits, halt a connection, close a session or give it up.

Each ends by saying what is so now. Raises the WorkerError that says what is wrong and the way out; a request that
makes no sense is click's UsageError.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import click
import redis
from pydantic import SecretStr
from rich.console import Console

from worker.erp.control import Control
from worker.erp.license import LimitsInForce
from worker.erp.overview import LicenseView, Overview, SlotView
from worker.erp.slots import State
from worker.errors import ErpFault, Misconfigured, SessionsBusy, StoreUnavailable, WorkerError
from worker.settings import Connection, License, Settings
from worker.status import slot_table, span
from worker.storage import COMMAND_SECONDS, open_store, saying_the_way_out

REASON_LENGTH = 200

TOKEN_FILE_LENGTH = 16_384
TOKEN = rb"[A-Za-z0-9._~+/-]+=*"
"""What a bearer token is made of (RFC 6750)."""


def show_licenses(name: str | None) -> None:
    """Each license: what the file says, what is in force, and where they differ."""
    settings = Settings.load()
    with _store(settings) as store:
        for filed in [_license(settings, name)] if name else settings.spent_licenses():
            view = Overview(store, settings, filed).look()
            in_force = _limits(view.in_force) if view.in_force else "none yet, as no worker has used it"
            click.echo(f"license {filed.name!r}\n  file:     {_limits(filed)}\n  in force: {in_force}")
            for difference in view.differences:
                click.echo(f"  {difference}")


def set_limits(name: str, changes: Mapping[str, int]) -> None:
    """Change limits of the running fleet; every worker holds to them from its next request on."""
    settings = Settings.load()
    filed = _license(settings, name)
    with _store(settings) as store:
        in_force = LimitsInForce(store, filed, 0.0).set(**changes)
        click.echo(f"license {name!r} in force: {_limits(in_force)}")
        for difference in Overview(store, settings, filed).look().differences:
            click.echo(str(difference))


def _limits(license_: License) -> str:
    return f"max_sessions={license_.max_sessions} max_per_minute={license_.max_per_minute}"


def _license(settings: Settings, name: str) -> License:
    """A license that a connection spends. Raises Misconfigured."""
    found = {license_.name: license_ for license_ in settings.spent_licenses()}
    if name not in found:
        known = ", ".join(sorted(found)) or "none: run acuworker connect"
        raise Misconfigured(f"no connection spends a license {name!r}; there is {known}", "license")
    return found[name]


def pause(name: str, reason: str | None) -> None:
    """Let a connection's jobs wait until it is resumed."""
    settings = Settings.load()
    connection = settings.connection(name)
    since = f"since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    text = "".join(char for char in f"{since}: {reason}" if char.isprintable()) if reason else since
    text = text[:REASON_LENGTH]
    with _store(settings) as store, _control(store, settings, connection) as control:
        told = control.pause(text, reasoned=bool(reason))
    if told == text:
        click.echo(
            f"connection {name!r} is paused: what is in flight ends, and then its sessions are signed out"
        )
    else:
        click.echo(f"connection {name!r} was paused before, and stays so ({told})")
    click.echo(f"its jobs wait: acuworker resume {name}")


def resume(name: str) -> None:
    """Let a connection's jobs go on."""
    settings = Settings.load()
    connection = settings.connection(name)
    with _store(settings) as store, _control(store, settings, connection) as control:
        was_paused = control.resume()
    if was_paused:
        click.echo(f"connection {name!r} goes on: its jobs are looked at again within seconds")
    else:
        click.echo(f"connection {name!r} was not paused")


def list_sessions() -> None:
    """Every slot of every license."""
    settings = Settings.load()
    with _store(settings) as store:
        views = [Overview(store, settings, filed).look() for filed in settings.spent_licenses()]
    Console().print(slot_table([slot for view in views for slot in view.slots]))


def sign_out(name: str, wanted: int | None) -> None:
    """Close a connection's session in one slot, or in all, that are lent to nobody.

    Raises SessionsBusy of one that is lent, ErpFault of one that the ERP did not close, when the others are closed.
    """
    settings = Settings.load()
    connection = settings.connection(name)
    errors: list[WorkerError] = []
    with _store(settings) as store, _control(store, settings, connection) as control:
        overview = Overview(store, settings, settings.license_of(connection))
        for slot in _own(overview.look(), name, wanted):
            try:
                require_closable(slot, control.mark)
                control.sign_out(slot.slot, slot.generation)
                _tell_closed(slot, overview.look())
            except (SessionsBusy, ErpFault) as error:
                errors.append(error)
    for other in errors[1:]:
        click.echo(f"error: {other.line}", err=True)
    if errors:
        raise errors[0]


def _own(view: LicenseView, name: str, wanted: int | None) -> Sequence[SlotView]:
    """A connection's slots that are not free, or the one of them that is wanted."""
    asked = view.slots if wanted is None else [_slot(view, wanted)]
    own = [slot for slot in asked if slot.connection == name and slot.state is not State.FREE]
    if not own:
        click.echo(f"connection {name!r} has no session{'' if wanted is None else f' in slot {wanted}'}")
    return own


def require_closable(slot: SlotView, mark: str) -> None:
    """Raise SessionsBusy where a session cannot be signed out now, with the way out."""
    what = f"slot {slot.slot} of license {slot.license!r}"
    release = f"acuworker sessions release {slot.license} {slot.slot}"
    if slot.lent:
        way_out = f"acuworker pause {slot.connection} has it signed out once it is not"
        raise SessionsBusy(f"{what} is lent to {slot.holder}: {way_out}")
    if slot.state in (State.INTENT, State.REFRESHING):
        raise SessionsBusy(f"{what} is being signed in by {slot.holder}: try again in a few seconds")
    if slot.state is State.QUARANTINE:
        until = f"it is over in {span(slot.seconds)}"
        raise SessionsBusy(f"{what} is in quarantine, so nobody has its token: {until}; or {release}")
    if slot.mark != mark:
        raise SessionsBusy(
            f"{what} is another user's, as the connection has changed: it is over in {span(slot.seconds)}; or {release}"
        )


def _tell_closed(slot: SlotView, after: LicenseView) -> None:
    now = _slot(after, slot.slot)
    # Another try to close it has a generation of its own; another session is younger.
    same = now.open_seconds is not None and now.open_seconds >= (slot.open_seconds or 0.0)
    if same and now.state is not State.FREE:
        what = f"slot {slot.slot} of license {slot.license!r}"
        raise ErpFault(
            f"{what} is {now.state} now: nobody knows whether its session is closed; try again later"
        )
    click.echo(f"slot {slot.slot} of license {slot.license!r}: signed out, and its token revoked")


def token_in(content: bytes) -> SecretStr:
    """The access token that a file holds. Raises Misconfigured, which shows nothing of the file."""
    words = content[:TOKEN_FILE_LENGTH].split()
    what = ""
    if not words:
        what = "the file is empty"
    elif words[0].rstrip(b":").lower() in (b"bearer", b"authorization"):
        what = "the file holds more than the token, as a header does"
    elif len(words) > 1:
        what = "the file holds more than one word or line"
    elif len(content) > TOKEN_FILE_LENGTH or not re.fullmatch(TOKEN, words[0]):
        what = "the file holds no access token"
    if what:
        right = 'write the bare access_token of the ERP\'s answer into it, on one line, without "Bearer" or quotes'
        raise Misconfigured(f"{what}: {right}", "--token-file")
    return SecretStr(words[0].decode("ascii"))


def sign_out_token(name: str, token: SecretStr) -> None:
    """Close a session that other software left open, by its access token. The store need not run."""
    settings = Settings.load()
    connection = settings.connection(name)
    with (
        closing(open_store(settings, COMMAND_SECONDS)) as store,
        _control(store, settings, connection) as control,
    ):
        control.close_foreign(token)
        # Before the first up there is neither store nor key, and nobody who waits for room.
        with suppress(StoreUnavailable, Misconfigured):
            control.make_room()
    click.echo(f"signed out at {connection.url}, and its token revoked")


def release(license_name: str, wanted: int, *, agreed: bool) -> None:
    """Take the operator's word that the ERP has closed the session of a slot, once they have given it.

    Raises SessionsBusy where the slot is lent, or just being signed in.
    """
    settings = Settings.load()
    filed = _license(settings, license_name)
    connection = next(each for each in settings.connections.values() if each.license_name == license_name)
    with _store(settings) as store, _control(store, settings, connection) as control:
        slot = _slot(Overview(store, settings, filed).look(), wanted)
        what = f"slot {wanted} of license {license_name!r}"
        if slot.state is State.FREE:
            click.echo(f"{what} is free")
            return
        if slot.state is State.OPEN and not slot.lent:
            way = f"acuworker sessions sign-out --slot {wanted} {slot.connection}"
            raise SessionsBusy(f"{what} is open, and its session can be closed: {way}")
        if slot.lent or slot.state in (State.INTENT, State.REFRESHING):
            raise SessionsBusy(
                f"{what} is in use by {slot.holder}: only a session that nobody uses is released"
            )
        if slot.busy_seconds:
            until = f"release it in {span(slot.busy_seconds)}"
            raise SessionsBusy(f"{what}: a request in its session may still be at work: {until}")
        question = f"{what} is {slot.state}. Has the ERP closed its session (Users, SM201010; a restart)?"
        if not agreed and not click.confirm(question):
            raise click.Abort
        if not control.release(wanted, slot.generation):
            raise SessionsBusy(f"{what} has changed meanwhile: look again with acuworker sessions list")
        click.echo(f"{what} is free")


def _slot(view: LicenseView, number: int) -> SlotView:
    """A slot by its number. Raises UsageError where there is none."""
    for slot in view.slots:
        if slot.slot == number:
            return slot
    there_are = f"slots 1 to {len(view.slots)}" if view.slots else "no slots yet, as no worker has used it"
    raise click.UsageError(f"license {view.name!r} has {there_are}")


@contextmanager
def _store(settings: Settings) -> Iterator[redis.Redis]:
    """The store; one that does not answer is told with what to look at."""
    with saying_the_way_out(), closing(open_store(settings, COMMAND_SECONDS)) as store:
        yield store


@contextmanager
def _control(store: redis.Redis, settings: Settings, connection: Connection) -> Iterator[Control]:
    control = Control(store, settings, connection, f"{socket.gethostname()}/operator-{os.getpid()}")
    try:
        yield control
    finally:
        control.end()
