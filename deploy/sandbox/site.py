"""The ERP site as one value: its settings and all that its front door consults. Making it generates the data."""

import time
from dataclasses import dataclass

from deploy.sandbox.builds import BUILDS, Build
from deploy.sandbox.cookies import Cookies
from deploy.sandbox.events import EventLog
from deploy.sandbox.faults import Faults
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.license import License, calendar_entry, sliding_entry
from deploy.sandbox.oauth import Account, Client, Identity
from deploy.sandbox.options import Options
from deploy.sandbox.sessions import Seats


@dataclass(frozen=True)
class Site:
    """One instance of the ERP, at `url`."""

    options: Options
    url: str
    build: Build
    instance: Instance
    log: EventLog
    license: License
    seats: Seats
    identity: Identity
    cookies: Cookies
    faults: Faults


def make_site(options: Options, port: int) -> Site:
    """The site that the options describe, listening on `port`."""
    build = BUILDS[options.build]
    log = EventLog()
    return Site(
        options=options,
        url=options.url(port),
        build=build,
        instance=_instance(options, build),
        log=log,
        license=_license(options),
        seats=Seats(log, options.max_sessions, options.max_logins_per_user, options.idle_seconds),
        identity=Identity(
            Client(options.client_id, options.client_secret),
            Account(options.username, options.password, options.lock_after),
            options.token_seconds,
            time.monotonic,
        ),
        cookies=Cookies(),
        faults=Faults(),
    )


def _instance(options: Options, build: Build) -> Instance:
    """The data, with the chosen variant of what is uncertain."""
    variants = Variants(
        missing_status=options.missing_status,
        refuse_non_key_filters=options.non_key_filters == "refuse",
        match_across_views=options.across_views == "match",
        collation=options.collation,
    )
    volume = {"orders": options.orders, "customers": options.customers, "seed": options.seed}
    return Instance(build, options.site, **volume, variants=variants)


def _license(options: Options) -> License:
    """The throttle, by a sliding minute or by the clock's."""
    if options.window == "calendar":
        return License(options.max_concurrent, options.max_per_minute, calendar_entry, time.time)
    return License(options.max_concurrent, options.max_per_minute, sliding_entry, time.monotonic)
