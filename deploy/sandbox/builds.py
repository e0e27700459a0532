"""The two builds of the ERP that the course's recorded exchanges come from, and all that they differ in.

They are named for the edition of the course. The recorded instances were older than the names: the exchanges
of edition 2022R1 are from 2021, those of 2024R1 from September 2022 (its instance said 22.200.0040; the build
number of the older one was not recorded and is a guess).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType


@dataclass(frozen=True)
class Build:
    """One build: its endpoint, and the places where its answers differ from the other's."""

    name: str
    endpoint: str
    version: str
    acumatica_build: str
    links: bool
    """Whether records carry `_links` (recorded: absent from 20.200.001 in 2021, present in 22.200.001)."""
    history_view: str
    """The data view behind Payment's ApplicationHistory, which the optimizer names when it fails."""
    history_has_notes: bool
    """Whether rows of ApplicationHistory have a note, and with it an id that stays the same."""
    order_year: int
    """The year of the demo sales orders: the demo data was moved on by seven years."""
    payment_date: date
    """The application date of the demo payment."""


_BUILDS = (
    Build(
        name="2022R1",
        endpoint="Default",
        version="20.200.001",
        acumatica_build="21.100.0050",
        links=False,
        history_view="Adjustments_History",
        history_has_notes=True,
        order_year=2015,
        payment_date=date(2018, 12, 10),
    ),
    Build(
        name="2024R1",
        endpoint="Default",
        version="22.200.001",
        acumatica_build="22.200.0040",
        links=True,
        history_view="ARPost",
        history_has_notes=False,
        order_year=2022,
        payment_date=date(2023, 12, 10),
    ),
)

BUILDS: Mapping[str, Build] = MappingProxyType({build.name: build for build in _BUILDS})
