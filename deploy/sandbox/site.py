"""The ERP site as one value: its settings and all that its front door consults. Making it generates the data."""

import time
from dataclasses import dataclass
from typing import TextIO

from deploy.sandbox import replies
from deploy.sandbox.accounts import Accounts
from deploy.sandbox.builds import BUILDS, Build
from deploy.sandbox.collation import COLLATIONS
from deploy.sandbox.cookies import Cookies
from deploy.sandbox.events import EventLog
from deploy.sandbox.faults import Faults
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.license import License, calendar_entry, sliding_entry
from deploy.sandbox.oauth import Client, Identity, Rules
from deploy.sandbox.operations import Operations
from deploy.sandbox.options import Options
from deploy.sandbox.ordering import Ordering, Zones
from deploy.sandbox.plan import Plan
from deploy.sandbox.sessions import SeatLimits, Seats
from deploy.sandbox.tenants import Tenants

_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class Site:
    """One instance of the ERP, at `url`. `forbidden` are the entities that nobody has a right to."""

    options: Options
    url: str
    build: Build
    instance: Instance
    log: EventLog
    license: License
    seats: Seats
    operations: Operations
    tenants: Tenants
    identity: Identity
    cookies: Cookies
    faults: Faults
    plan: Plan
    forbidden: set[str]

    @property
    def user_zone(self) -> str:
        """The API users' zone, as the cookie Locale names it."""
        return replies.zone_name(self.options.user_offset or self.options.server_offset)


def make_site(options: Options, port: int, events: TextIO | None = None) -> Site:
    """The site that the options describe, listening on `port`; its event log goes to the file `events` too."""
    build = BUILDS[options.build]
    log = EventLog(file=events)
    tenants = Tenants(options.tenants, options.unknown_tenant)
    instance = _instance(options, build)
    operations = Operations(log, options.operation_seconds, options.long_actions)
    limits = SeatLimits(options.max_sessions, options.max_logins_per_user)
    return Site(
        options=options,
        url=options.url(port),
        build=build,
        instance=instance,
        log=log,
        license=_license(options),
        seats=Seats(log, limits, options.idle_seconds, operations.abort),
        operations=operations,
        tenants=tenants,
        identity=_identity(options, tenants),
        cookies=Cookies(),
        faults=Faults(),
        plan=Plan(instance, log),
        forbidden={*options.forbid, *options.forbid_classes},
    )


def _identity(options: Options, tenants: Tenants) -> Identity:
    """The identity server, with one client in every tenant and every user in all of them."""
    rules = Rules(
        token_seconds=options.token_seconds,
        refresh_seconds=options.refresh_days * _DAY,
        refresh_seat=options.refresh_seat,
        password_grant=not options.forbid_password_grant,
    )
    client = Client(options.client_guid, options.client_secret, options.tenants)
    accounts = Accounts(options.passwords, options.lock_after, options.view_only)
    return Identity(client, accounts, tenants, rules, time.monotonic)


def _instance(options: Options, build: Build) -> Instance:
    """The data, with the chosen variant of what is uncertain."""
    ordering = Ordering(
        COLLATIONS[options.collation],
        options.combo_order,
        options.combo_compare or options.combo_order,
        Zones(options.server_offset, options.user_offset or options.server_offset),
    )
    variants = Variants(
        missing_status=options.missing_status,
        refuse_non_key_filters=options.non_key_filters == "refuse",
        match_across_views=options.across_views == "match",
        ordering=ordering,
        detail_edits=options.detail_edits,
        bad_save=options.bad_save,
    )
    volume = Volume(
        orders=options.orders,
        customers=options.customers,
        items=options.items,
        awkward_keys=options.awkward_keys,
        files_each=options.files_each,
        big_file=options.big_file,
        rows_each=options.rows_each,
        seed=options.seed,
    )
    return Instance(build, options.site, volume, variants)


def _license(options: Options) -> License:
    """The throttle, by a sliding minute or by the clock's."""
    if options.window == "calendar":
        return License(options.max_concurrent, options.max_per_minute, calendar_entry, time.time)
    return License(options.max_concurrent, options.max_per_minute, sliding_entry, time.monotonic)
