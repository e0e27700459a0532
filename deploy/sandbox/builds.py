"""The builds of the ERP, and all that they differ in: two of the course's recorded exchanges, and a newer one.

They are named for the edition of the course. The recorded instances were older than the names: the exchanges
of edition 2022R1 are from 2021, those of 2024R1 from September 2022 (its instance said 22.200.0040; the build
number of the older one was not recorded and is a guess). 2025R1 serves several endpoints over the same records; what
it answers is not recorded, and follows 2024R1.
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
    newer: bool
    """Whether it has what came after the recorded builds: PATCH, and workflow actions in `$adHocSchema`."""
    openapi: str
    """The form of `swagger.json`."""
    endpoints: tuple[tuple[str, str, str], ...]
    """Its endpoints, the main one first: name, version, and the version whose file stands in for it."""


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
        newer=False,
        openapi="2.0",
        endpoints=(("Default", "20.200.001", "20.200.001"),),
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
        newer=False,
        openapi="3.0.1",
        # No list of 22.200.001 is at hand. A field that 20.200.001 has and it lost is less likely than one that
        # 24.200.001 has and it had not yet, and a stand-in should rather refuse a doubtful field than grant it.
        endpoints=(("Default", "22.200.001", "20.200.001"),),
    ),
    Build(
        name="2025R1",
        endpoint="Default",
        version="24.200.001",
        acumatica_build="25.093.0036",
        links=True,
        history_view="ARPost",
        history_has_notes=False,
        order_year=2022,
        payment_date=date(2023, 12, 10),
        newer=True,
        openapi="3.0.1",
        endpoints=(
            ("Default", "24.200.001", "24.200.001"),
            ("Default", "20.200.001", "20.200.001"),
            ("MANUFACTURING", "24.200.001", "24.200.001"),
            ("eCommerce", "24.200.001", "24.200.001"),
            ("MyStoreExt", "1.0", "1.0"),
        ),
    ),
)

BUILDS: Mapping[str, Build] = MappingProxyType({build.name: build for build in _BUILDS})
