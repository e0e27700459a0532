"""acuworker connect: from a pasted URL to a connection that has read a record.

What is not given as an option is asked, secrets unseen. The connection is not saved before the ERP has taken the
credentials, and the session is signed out at the end; one that a person signs in is saved, and then signed in.
Raises the WorkerError that says what is wrong and what would mend it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from pydantic import ValidationError

from worker import connections
from worker.erp import certificate, endpoints
from worker.erp.certificate import Certificate
from worker.erp.deadline import Deadline
from worker.erp.direct import direct
from worker.erp.endpoints import EndpointVersion
from worker.erp.signin import Grant
from worker.erp.wire import Wire
from worker.errors import (
    CertificateUntrusted,
    ErpUnreachable,
    Misconfigured,
    NotInEndpoint,
    SessionLost,
    SignInRefused,
)
from worker.login import login
from worker.page import Query
from worker.prompt import agreed, ask
from worker.settings import Connection, connections_path, misconfigured

LIST_SECONDS = 30.0
"""How long the instance may take to list its endpoints."""

TRY_SECONDS = 120.0
"""How long it may take to sign in and to read a record."""

INNER = frozenset(("entity", "identity", "odata", "odatav4", "frames", "pages", "main", "main.aspx", "ui"))
"""What follows the site in the addresses that people copy: of the API, of sign-in, of the browser."""

Said = dict[str, str | int | bool]
"""Settings of a connection, as ``connections.toml`` holds them."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a job may call a connection."""

UNSAID: Said = {
    "version": "0",
    "tenant": "0",
    "username": "0",
    "password": "0",
    "client_id": "0@0",
    "client_secret": "0",
}
"""What a connection must say, and what asking it for its endpoints does not need."""


ASKED = frozenset(
    (
        *("ca_file", "sign_in", "plaintext", "scope", "branch", "locale", "user_branch"),
        *("username", "password", "password_file", "client_id", "client_secret", "client_secret_file"),
        *("license", "max_sessions", "max_per_minute"),
    )
)
"""What is forgotten of a connection when it is set up again and does not say it any more."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the command line and the environment say; None is asked for, where it is needed."""

    name: str
    entity: str
    url: str | None
    endpoint: str | None
    version: str | None
    tenant: str | None
    username: str | None
    password: str | None = field(repr=False)
    password_file: Path | None
    client_id: str | None
    client_secret: str | None = field(repr=False)
    client_secret_file: Path | None
    ca_file: Path | None
    trust: str | None
    sign_in: str | None
    scope: str | None
    branch: str | None
    locale: str | None
    plaintext: bool
    license: str | None
    max_sessions: int | None
    max_per_minute: int | None
    paste: bool
    port: int | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a pasted URL tells: the instance, and the endpoint and its version where they are in it."""

    url: str
    endpoint: str | None = None
    version: str | None = None


def connect(given: Given) -> None:
    """Ask, look, sign in, save, read, sign out."""
    if not NAME.fullmatch(given.name):
        raise Misconfigured("a connection's name is of letters, digits, _ and -, at most 64", "name")
    path = connections_path().absolute()
    kept = connections.load(path).get(given.name, {})
    place = split(given.url or ask("--url", "Address of the instance (any URL of it)", kept.get("url")))
    manner = _manner(given, kept)
    at = _trusted(place, given, kept, path, manner)
    endpoint = _endpoint(place, given, _offered(at))
    said = at | endpoint | _credentials(given, kept) | _limits(given, kept, path)
    connection = checked(said, given.name)
    if connection.sign_in == "login":
        _save(path, connection, said)
        grant = login(connection.name, paste=given.paste, port=given.port)
        connections.save(path, connection.name, _landed(grant))
    else:
        _try(connection, said, path, given.entity)


def split(pasted: str) -> Place:
    """The instance in a URL of it: its own, or one of an endpoint, an entity, a form. Raises Misconfigured."""
    text = pasted.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError as error:
        raise Misconfigured(
            f"it is not an address such as https://erp.example.com/site: {error}", "url"
        ) from None
    segments = [segment for segment in parts.path.split("/") if segment]
    inner = next((at for at, segment in enumerate(segments) if _is_inner(segment)), len(segments))
    url = "/".join([f"{parts.scheme}://{parts.netloc}", *segments[:inner]])
    match segments[inner:]:
        case ["entity", endpoint, version, *_] if endpoint != "auth":
            return Place(url=url, endpoint=endpoint, version=version)
    return Place(url=url)


def _is_inner(segment: str) -> bool:
    # (W(1)) is in the browser's address when it has several windows.
    return segment.lower() in INNER or segment.startswith("(W(")


def checked(said: Mapping[str, str | int | bool], name: str = "default") -> Connection:
    """The connection that these settings make. Raises Misconfigured, naming the one at fault."""
    try:
        return Connection.model_validate({**said, "name": name})
    except ValidationError as error:
        raise misconfigured(error) from None


def _manner(given: Given, kept: Mapping[str, Any]) -> Said:
    """How to sign in, where it is not by a password and OAuth's scope ``api``; and in which branch."""
    names = ("sign_in", "plaintext", "scope", "branch", "locale")
    same = given.sign_in in (None, kept.get("sign_in", "password"))
    before = kept if same else {}
    return {name: value for name in names if (value := getattr(given, name) or before.get(name))}


def _trusted(place: Place, given: Given, kept: Mapping[str, Any], path: Path, manner: Said) -> Said:
    """The address and the manner, with a certificate file where the system's certificates do not do."""
    ca_file = given.ca_file.absolute() if given.ca_file else kept.get("ca_file")
    at: Said = {"url": place.url, **manner}
    if ca_file:
        at["ca_file"] = str(ca_file)
    try:
        _offered(at)
    except CertificateUntrusted:
        if given.ca_file:
            raise
        pem = path.with_name(f"{path.stem}.{given.name}.pem")
        connections.replace(pem, _accepted(place, given).pem)
        return at | {"ca_file": str(pem)}
    return at


def _offered(at: Said) -> Sequence[EndpointVersion]:
    with closing(Wire(checked(UNSAID | at))) as wire:
        return listed(wire)


def listed(wire: Wire) -> Sequence[EndpointVersion]:
    """The endpoints that the instance tells a stranger of; none where it tells strangers nothing.

    Some hosted instances answer 401 to whoever is not signed in (reported by live instances).
    """
    try:
        return endpoints.versions(wire, Deadline(LIST_SECONDS))
    except SessionLost:
        return ()
    except NotInEndpoint:
        message = "there is no Acumatica instance at this address: check the site, which follows the host"
        raise Misconfigured(message, "url") from None
    except ErpUnreachable as error:
        message = f"{error.message}; check the address, and that this machine is let through to it"
        raise ErpUnreachable(message, "url") from None


def require_listed(offered: Sequence[EndpointVersion], name: str, version: str) -> None:
    """Raise Misconfigured where the instance lists other versions of an endpoint, but not this one.

    A stranger is told of the endpoints that came with the ERP, not of those made by its users.
    """
    own = [entry.version for entry in offered if entry.name == name]
    if own and version not in own:
        raise Misconfigured(f"the instance has no {name}/{version}; it has {', '.join(own)}", "version")


def _accepted(place: Place, given: Given) -> Certificate:
    """The instance's certificate, once somebody has looked at it and said yes."""
    parts = urlsplit(place.url)
    host, port = str(parts.hostname), parts.port or 443
    shown = certificate.shown_by(host, port)
    click.echo(described(shown))
    objection = certificate.objection(shown, host, port)
    if objection:
        raise CertificateUntrusted(f"trusting this certificate would not help: {objection}", "url")
    if given.trust:
        if not shown.is_called(given.trust):
            raise CertificateUntrusted("the certificate's SHA-256 is not the one given", "--trust")
        return shown
    click.echo("nobody whom this machine trusts vouches for it: compare the SHA-256 with the server's own")
    if not agreed("--trust", "Trust it for this connection?"):
        raise CertificateUntrusted(f"the certificate of {place.url} was not trusted; nothing was sent to it")
    return shown


def described(shown: Certificate) -> str:
    """A certificate, for somebody who is to say whether it is the right one; nobody has vouched for its text."""
    facts = {
        "certificate for": ", ".join(shown.names),
        "issued by": shown.issuer,
        "valid": f"{shown.not_before:%Y-%m-%d} to {shown.not_after:%Y-%m-%d}",
        "SHA-256": shown.sha256,
    }
    return "\n".join(f"{name:<17}{_printable(fact)}" for name, fact in facts.items())


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _endpoint(place: Place, given: Given, offered: Sequence[EndpointVersion]) -> Said:
    """The endpoint and its version: given, in the pasted URL, the newest that fits, or asked for."""
    name = given.endpoint or place.endpoint or "Default"
    version = given.version or (place.version if name == (place.endpoint or name) else None)
    if version is None:
        version = fitting(offered, name)
    if version is None:
        for entry in offered:
            click.echo(_printable(f"  {entry.name}/{entry.version}"))
        version = ask("--version", f"Version of the endpoint {name}")
    require_listed(offered, name, version)
    return {"endpoint": name, "version": version}


def fitting(offered: Sequence[EndpointVersion], name: str) -> str | None:
    """The version to take of an endpoint, where there is no doubt.

    The versions of Default tell their contract; another endpoint's are its owner's, so only a single one is sure.
    """
    if name == "Default":
        newest = endpoints.newest(offered, name)
        return newest.version if newest else None
    own = [entry.version for entry in offered if entry.name == name]
    return own[0] if len(own) == 1 else None


def _credentials(given: Given, kept: Mapping[str, Any]) -> Said:
    """What a sign-in of this kind sends: a user with a password, an application with its secret, or both."""
    kind = given.sign_in or kept.get("sign_in")
    tenant = given.tenant or ask("--tenant", "Tenant, as on the sign-in page", kept.get("tenant"))
    said: Said = {"tenant": tenant}
    if kind != "login":
        said["username"] = given.username or ask("--username", "User of the API", kept.get("username"))
        said |= _secret("password", "Password", given.password, given.password_file)
    if kind != "cookie":
        question = "Client ID (Connected Applications, SM303010)"
        client_id = given.client_id or ask("--client-id", question, kept.get("client_id"))
        said["client_id"] = in_tenant(client_id, tenant)
        said |= _secret("client_secret", "Client secret", given.client_secret, given.client_secret_file)
    return said


def in_tenant(client_id: str, tenant: str) -> str:
    """The client id with its tenant, which is what chooses the tenant to sign in to. Raises Misconfigured.

    The form shows GUID@tenant; the tenant is often left behind when it is copied.
    """
    number, _, registered = client_id.strip().partition("@")
    if registered and registered.casefold() != tenant.casefold():
        raise Misconfigured(
            f"the application is registered in tenant {registered!r}, not in {tenant!r}: register one there "
            "(Connected Applications, SM303010), or name the other tenant",
            "client_id",
        )
    return f"{number}@{registered or tenant}"


def _secret(name: str, question: str, value: str | None, file: Path | None) -> Said:
    if file:
        return {f"{name}_file": str(file.absolute())}
    option = f"--{name.replace('_', '-')}-file"
    return {name: value or ask(option, f"{question} (unseen)", hide_input=True)}


def _limits(given: Given, kept: Mapping[str, Any], path: Path) -> Said:
    """What the license allows, as the License Monitoring Console (SM604000) shows it; or which license it is."""
    named = given.license or kept.get("license")
    if named:
        require_license(named, connections.licenses(path), path)
        return {"license": named}
    sessions, minute = given.max_sessions, given.max_per_minute
    if sessions is None:
        question = "API sessions we may open (Web Services API Users, SM604000)"
        sessions = ask("--max-sessions", question, kept.get("max_sessions", 1), type=click.IntRange(1, 100))
    if minute is None:
        question = "API requests we may make a minute (SM604000; 0: no limit)"
        minute = ask("--max-per-minute", question, kept.get("max_per_minute", 50), type=click.IntRange(0))
    return {"max_sessions": sessions, "max_per_minute": minute}


def require_license(name: str, known: Iterable[str], path: Path) -> None:
    """Raise Misconfigured where the file has no such license."""
    if name not in known:
        message = (
            f"{path} has none of that name: write [licenses.{name}], with max_sessions and max_per_minute"
        )
        raise Misconfigured(message, "license")


def _try(connection: Connection, said: Said, path: Path, entity: str) -> None:
    """Sign in, save, read a record, sign out."""

    def save(grant: Grant) -> None:
        click.echo(f"signed in to {connection.url} as {connection.username}")
        _save(path, connection, said | _landed(grant))

    try:
        with direct(connection, Deadline(TRY_SECONDS), "connect", save) as erp:
            found = erp.list(Query(entity=entity), top=1)
            click.echo(f"read {len(found)} {entity} record{'' if len(found) == 1 else 's'}")
    except SignInRefused:
        click.echo(f"the connection was not saved; to try again: {again(connection.name, said)}")
        raise
    click.echo("signed out; workers take the connection up when acuworker up is started")


def _landed(grant: Grant) -> Said:
    """The branch that the sign-in landed in: a session that lands elsewhere is another tenant's."""
    return {"user_branch": grant.user_branch} if grant.user_branch else {}


def _save(path: Path, connection: Connection, said: Said) -> None:
    connections.save(path, connection.name, said, without=ASKED)
    click.echo(f"saved connection {connection.name!r} in {path}")


def again(name: str, said: Mapping[str, str | int | bool]) -> str:
    """The command that gives the same answers, all but the secrets."""
    told = {key: value for key, value in said.items() if key not in ("password", "client_secret")}
    options = (
        part
        for key, value in told.items()
        for part in (f"--{key.replace('_', '-')}", *(() if value is True else (str(value),)))
    )
    return shlex.join(["acuworker", "connect", name, *options])
