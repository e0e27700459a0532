"""The two builds that the course's exchanges were recorded from: how they signed in, and what differs between them."""

from dataclasses import dataclass

RANDOM_ID = "a row without a lasting id"
"""Stands for an id that is another one in every answer."""


@dataclass(frozen=True)
class Recording:
    """What differs between the two recorded builds."""

    build: str
    version: str
    client_guid: str
    client_secret: str
    links: bool
    order_year: int
    applied: str
    history_id: str
    history_view: str
    lengths: dict[str, int]


RECORDINGS = (
    Recording(
        "2022R1",
        "20.200.001",
        "2CC9CB98-1292-B2CE-2EEF-23844235E9B2",
        "8xZkcLA_X9wMBoXjvcrrtw",
        links=False,
        order_year=2015,
        applied="2018-12-10T00:00:00+03:00",
        history_id="51373419-68fc-e811-b817-00155d408001",
        history_view="Adjustments_History",
        lengths={"orders": 6950, "first": 1087, "next": 869, "keys": 190, "payment": 426, "item": 329},
    ),
    Recording(
        "2024R1",
        "22.200.001",
        "129C4B81-4F0E-9726-C506-4ABC02F20530",
        "29nhSTSNEPw0mkWmJk1n5g",
        links=True,
        order_year=2022,
        applied="2023-12-10T00:00:00+03:00",
        history_id=RANDOM_ID,
        history_view="ARPost",
        lengths={"orders": 11540, "first": 2377, "next": 1901, "keys": 447, "payment": 675, "item": 588},
    ),
)
