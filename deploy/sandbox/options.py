"""The command line: how the sandbox is set up. Fails as argparse does, with a usage message and status 2."""

import argparse
import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.collation import COLLATIONS
from deploy.sandbox.contracts import entity_names
from deploy.sandbox.odata_feeds import CLASSES
from deploy.sandbox.ordering import Combo
from deploy.sandbox.rows import SERVER_ZONE

Add = Callable[..., argparse.Action]

_LAST_PORT = 65_535
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")
_AGAIN: Final[Mapping[str, Any]] = {"action": "append", "default": []}  # argparse appends to a copy


@dataclass(frozen=True)
class Latency:
    """The time of the ERP's own work, in seconds."""

    base: float
    per_row: float
    per_skipped: float

    @staticmethod
    def parse(text: str) -> "Latency":
        """Read `BASE,PER_ROW,PER_SKIPPED`, in milliseconds: `80,0.2,0.01` or `80ms,0.2ms,0.01ms`."""
        figures = [float(figure.removesuffix("ms")) / 1000 for figure in text.split(",")]
        if len(figures) != 3 or not all(0 <= figure < inf for figure in figures):
            raise ValueError(text)
        return Latency(*figures)

    def of(self, rows: int, skipped: int) -> float:
        """The seconds that an answer with these rows takes."""
        return self.base + self.per_row * rows + self.per_skipped * skipped


@dataclass(frozen=True)
class Options:
    """What the command line says; `url` is where the site will be once its port is known."""

    build: str
    site: str
    tenant: str
    more_tenants: tuple[str, ...]
    unknown_tenant: Literal["refuse", "any", "default"]
    branches: tuple[str, ...]
    forbid: list[str]
    rows_each: int
    orders: int
    customers: int
    items: int
    awkward_keys: int
    files_each: int
    big_file: int
    seed: int
    missing_status: int
    collation: str
    combo_order: Combo
    combo_compare: Combo | None
    server_offset: timezone
    user_offset: timezone | None
    detail_edits: Literal["stamp", "silent"]
    non_key_filters: Literal["refuse", "empty"]
    across_views: Literal["match", "empty"]
    host: str
    hostname: str
    port: int
    certificates: Path | None
    plain_http: bool
    username: str
    password: str
    more_users: list[tuple[str, str]]
    client_guid: str
    client_secret: str
    redirect_uris: list[str]
    max_sessions: int
    max_logins_per_user: int
    max_concurrent: int
    max_per_minute: int
    window: Literal["sliding", "calendar"]
    decline_body: Literal["iis", "empty"]
    seat_at: Literal["first-call", "token"]
    login_limit: Literal["html500", "429", "302"]
    token_seconds: int
    refresh_days: float
    refresh_seat: Literal["same", "new"]
    forbid_password_grant: bool
    idle_seconds: float
    lock_after: int
    bad_login: int
    dead_token_logout: int
    latency: Latency
    write_latency: float
    bad_save: int
    view_only: list[str]
    operation_seconds: float
    long_actions: list[str]
    action_location: Literal["record", "none"]
    odata_page: int
    forbid_classes: list[str]
    unexposed: Literal[404, 403]
    control: bool
    events: Path | None

    @property
    def tenants(self) -> tuple[str, ...]:
        """All tenants, the default first."""
        return (self.tenant, *self.more_tenants)

    @property
    def passwords(self) -> dict[str, str]:
        """All users, the first first."""
        return {self.username: self.password, **dict(self.more_users)}

    @property
    def client_id(self) -> str:
        """The OAuth client of the default tenant."""
        return self.client_id_of(self.tenant)

    def client_id_of(self, tenant: str) -> str:
        """The OAuth client as its users write it: the suffix selects the tenant."""
        return f"{self.client_guid.upper()}@{tenant}"

    def url(self, port: int) -> str:
        """The address of the site, without a slash at its end."""
        scheme = "http" if self.plain_http else "https"
        return f"{scheme}://{self.hostname}:{port}" + (f"/{self.site}" if self.site else "")


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line."""
    parser = _parser()
    options = Options(**vars(parser.parse_args(arguments)))
    users = [options.username, *(name for name, _ in options.more_users)]
    for option, names in (("--tenants", options.tenants), ("--user", users)):
        if len({name.casefold() for name in names}) < len(names):
            parser.error(f"argument {option}: a name is given twice: {', '.join(names)}")
    unknown = {name.casefold() for name in options.view_only} - {name.casefold() for name in users}
    if unknown:
        parser.error(f"argument --view-only: there is no user {', '.join(sorted(unknown))}")
    if options.more_tenants and options.unknown_tenant == "any":
        parser.error("argument --unknown-tenant: only a site with one tenant takes any; leave --tenants out")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandbox",
        usage="%(prog)s [options]",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=40, width=120),
        description="A stand-in for an Acumatica ERP instance. Its first line of output is a JSON object with the"
        " url, the file of its certificate authority, and the credentials; then it serves until stopped."
        " Defaults are in brackets.",
        epilog="What it imitates and what not: deploy/sandbox/README.md.",
        allow_abbrev=False,
    )
    _add_data(parser.add_argument_group("data").add_argument)
    _add_address(parser.add_argument_group("address").add_argument)
    _add_tenants(parser.add_argument_group("tenants and users").add_argument)
    _add_client(parser.add_argument_group("OAuth client").add_argument)
    _add_license(parser.add_argument_group("license (by default a trial's)").add_argument)
    _add_sign_in(parser.add_argument_group("signing in").add_argument)
    _add_work(parser.add_argument_group("work and control").add_argument)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _port(text: str) -> int:
    number = _count(text)
    if number > _LAST_PORT:
        raise ValueError(text)
    return number


def _site(text: str) -> str:
    """A virtual directory, with or without the slashes around it; one within another is not served."""
    name = text.strip("/")
    if "/" in name:
        raise ValueError(text)
    return name


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < inf:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < inf:
        raise ValueError(text)
    return number


def _offset(text: str) -> timezone:
    """`+HH:MM` or `-HH:MM`."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(text)
    minutes = int(match[2]) * 60 + int(match[3])
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))


def _names(text: str) -> tuple[str, ...]:
    """`NAME[,NAME...]`."""
    names = tuple(text.split(","))
    if not all(name.strip() for name in names):
        raise ValueError(text)
    return names


def _user(text: str) -> tuple[str, str]:
    """`NAME:PASSWORD`; a password may have colons."""
    name, _, password = text.partition(":")
    if not (name and password):
        raise ValueError(text)
    return name, password


def _add_data(add: Add) -> None:
    add("--build", choices=sorted(BUILDS), default="2025R1", help="edition to imitate [%(default)s]")
    add(
        "--site",
        type=_site,
        default="MyStoreInstance",
        help="virtual directory; empty for the root [%(default)s]",
    )
    rows = "records of each entity that the demo has none of [%(default)s]"
    add("--rows-each", type=_count, default=7, metavar="N", help=rows)
    add("--orders", type=_count, default=0, metavar="N", help="sales orders to generate [%(default)s]")
    add("--customers", type=_count, default=0, metavar="N", help="customers to generate [%(default)s]")
    add("--items", type=_count, default=0, metavar="N", help="stock items to generate [%(default)s]")
    awkward = "of each of four entities, records with keys that are hard to handle [%(default)s]"
    add("--awkward-keys", type=_count, default=0, metavar="N", help=awkward)
    each = "files of each generated stock item and line of an order [%(default)s]"
    add("--files-each", type=_count, default=0, metavar="N", help=each)
    big = "size of a file at the stock item AACOMPUT01 [none]"
    add("--big-file", type=_count, default=0, metavar="BYTES", help=big)
    add("--seed", type=int, default=0, metavar="N", help="seed of what is generated [%(default)s]")
    add(
        "--missing-status",
        type=int,
        choices=(500, 404),
        default=500,
        help="for a missing record [%(default)s]",
    )
    _add_database(add)
    shipments = "Shipment filtered by no key: a 500 or [] [%(default)s]"
    add("--non-key-filters", choices=("refuse", "empty"), default="refuse", help=shipments)
    views = "'and' over two data views may match or gives [] [%(default)s]"
    add("--across-views", choices=("match", "empty"), default="match", help=views)


def _add_database(add: Add) -> None:
    """How the database sorts, compares and stamps."""
    names = sorted(COLLATIONS)
    order = f"of strings: {', '.join(names)} [%(default)s]"
    add("--collation", choices=names, default="sql", metavar="NAME", help=order)
    combos = ("code", "label")
    order = "what a combo key's rows are sorted by [%(default)s]"
    add("--combo-order", choices=combos, default="code", help=order)
    compare = "what gt, ge, lt and le compare of a combo key [as --combo-order]"
    add("--combo-compare", choices=combos, help=compare)
    server = "the server's offset, printed on every date [+03:00]"
    add("--server-offset", type=_offset, default=SERVER_ZONE, metavar="+HH:MM", help=server)
    user = "of the API user's clock, by which stamps are printed [the server's]"
    add("--user-offset", type=_offset, metavar="+HH:MM", help=user)
    edits = "whether a change of detail rows alone moves the record's stamp [%(default)s]"
    add("--detail-edits", choices=("stamp", "silent"), default="stamp", help=edits)


def _add_address(add: Add) -> None:
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on [%(default)s]")
    add("--hostname", default="127.0.0.1", metavar="NAME", help="name in url and certificate [%(default)s]")
    add("--port", type=_port, default=0, metavar="P", help="port to listen on; 0: a free one [%(default)s]")
    add("--certificates", type=Path, metavar="DIR", help="where authority and certificate stay [temporary]")
    add("--plain-http", action="store_true", help="serve without TLS, and so without OAuth [off]")


def _add_tenants(add: Add) -> None:
    add("--tenant", default="MyStore", metavar="NAME", help="the default tenant [%(default)s]")
    more = {"dest": "more_tenants", "type": _names, "default": (), "metavar": "NAME,..."}
    add("--tenants", **more, help="tenants besides it, with the same data and users [none]")
    unknown = "unknown one: refuse; default: lands in it; any: no name is looked at [%(default)s]"
    ways = ("refuse", "default", "any")
    add("--unknown-tenant", choices=ways, default="refuse", metavar="HOW", help=unknown)
    branches = "names that PX-CbApiBranch may have [%(default)s]"
    add("--branches", type=_names, default="MYSTORE", metavar="NAME,...", help=branches)
    add("--username", default="admin", metavar="NAME", help="the first API user [%(default)s]")
    add("--password", default=secrets.token_urlsafe(12), metavar="TEXT", help="that user's password [random]")
    more = {"dest": "more_users", "type": _user, "metavar": "NAME:PASSWORD"}
    add("--user", **more, **_AGAIN, help="another API user; may be given again [none]")
    forbid = "entity that no user has a right to; may be given again [none]"
    add("--forbid", choices=entity_names(), metavar="ENTITY", **_AGAIN, help=forbid)


def _add_client(add: Add) -> None:
    guid, secret = str(uuid.uuid4()), secrets.token_urlsafe(16)
    add("--client-guid", default=guid, metavar="GUID", help="OAuth client before @TENANT [random]")
    add("--client-secret", default=secret, metavar="TEXT", help="of the client [random]")
    add("--forbid-password-grant", action="store_true", help="the client may not use it [off]")
    to = "where codes may be sent; may be given again [any port of this machine, by http]"
    add("--redirect-uri", dest="redirect_uris", metavar="URI", **_AGAIN, help=to)


def _add_license(add: Add) -> None:
    add("--max-sessions", type=_count, default=2, metavar="N", help="API users; 0: no limit [%(default)s]")
    add("--max-logins-per-user", type=_count, default=0, metavar="N", help="0: no limit [%(default)s]")
    add("--max-concurrent", type=_count, default=0, metavar="N", help="cores; 0: no limit [%(default)s]")
    add("--max-per-minute", type=_count, default=0, metavar="N", help="requests; 0: no limit [%(default)s]")
    add("--window", choices=("sliding", "calendar"), default="sliding", help="kind of minute [%(default)s]")
    add(
        "--decline-body",
        choices=("iis", "empty"),
        default="iis",
        help="body of a decline's 429 [%(default)s]",
    )
    add("--seat-at", choices=("first-call", "token"), default="first-call", help="seat taken [%(default)s]")
    limits = ("html500", "429", "302")
    add("--login-limit", choices=limits, default="html500", help="answer for no seat left [%(default)s]")


def _add_sign_in(add: Add) -> None:
    add("--token-seconds", type=_count, default=3600, metavar="S", help="life of a token, s [%(default)s]")
    days = "life of a chain of refresh tokens, days [%(default)g]"
    add("--refresh-days", type=_positive, default=30.0, metavar="D", help=days)
    seat = "session of a refreshed token [%(default)s]"
    add("--refresh-seat", choices=("same", "new"), default="same", help=seat)
    add("--idle-seconds", type=_positive, default=600.0, metavar="S", help="cookie session, s [%(default)s]")
    add("--lock-after", type=_count, default=5, metavar="N", help="bad passwords; 0: never [%(default)s]")
    add(
        "--bad-login", type=int, choices=(500, 401, 400), default=500, help="bad cookie sign-in [%(default)s]"
    )
    dead = "sign-out by dead token [%(default)s]"
    add("--dead-token-logout", type=int, choices=(204, 401), default=204, help=dead)


def _add_work(add: Add) -> None:
    latency = "the ERP's work, in ms: BASE, +PER_ROW, +PER_SKIPPED row [0,0,0]"
    add("--latency", type=Latency.parse, default=Latency(0, 0, 0), metavar="B,R,S", help=latency)
    slow = "how long a write takes besides, s [%(default)g]"
    add("--write-latency", type=_seconds, default=0.0, metavar="S", help=slow)
    bad = "for a record that cannot be saved [%(default)s]"
    add("--bad-save", type=int, choices=(422, 500), default=422, help=bad)
    only = "user whose saves are answered and not made; may be given again [none]"
    add("--view-only", metavar="USER", **_AGAIN, help=only)
    add(
        "--operation-seconds",
        type=_positive,
        default=1.0,
        metavar="S",
        help="of a long operation [%(default)g]",
    )
    long = "that runs as a long operation though it need not; may be given again [none]"
    add("--long-action", dest="long_actions", metavar="ENTITY/ACTION", **_AGAIN, help=long)
    where = "Location of an action that is done at once [%(default)s]"
    add("--action-location", choices=("record", "none"), default="record", help=where)
    page = "rows of a page of OData v4; 0: no limit [%(default)s]"
    add("--odata-page", type=_count, default=1000, metavar="N", help=page)
    hidden = "for an inquiry that is not exposed; with 403 the metadata lists it [%(default)s]"
    add("--unexposed", type=int, choices=(404, 403), default=404, help=hidden)
    denied = "data access class that no user has a right to; may be given again [none]"
    classes = sorted(feed.name for feed in CLASSES)
    add("--forbid-dac", dest="forbid_classes", choices=classes, metavar="NAME", **_AGAIN, help=denied)
    add("--control", action="store_true", help="serve the control API under /_sandbox/ [off]")
    add("--events", type=Path, metavar="FILE", help="append each event to it, as a line of JSON [none]")
