"""What the ERP's dates and times mean, for those who read records: the records themselves keep their text.

The ERP prints a stamp by the clock of the API user's time zone, and writes the server's offset behind it (recorded
2019 R2, 2020 R1): the offset tells nothing of the stamp. A business date is printed as a midnight with that offset.
What is not in that form raises ValueError.
"""

from __future__ import annotations

from datetime import date, datetime, tzinfo


def business_date(text: str) -> date:
    """The day of a field such as an order's Date: the day that is printed, in whatever zone one reads it."""
    return datetime.fromisoformat(text).date()


def wall_clock(text: str) -> datetime:
    """What a clock in the API user's time zone showed, without any zone."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


def instant(text: str, zone: tzinfo) -> datetime:
    """The moment of a stamp such as LastModifiedDateTime, ``zone`` being that of the API user's profile.

    Of the hour that a clock shows twice when summer time ends it is the first.
    """
    return wall_clock(text).replace(tzinfo=zone)
