"""What the ERP's dates and times mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.values import business_date, instant, wall_clock

OFFSETS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def test_a_stamp_has_the_users_clock_and_the_servers_offset() -> None:
    """The recorded pair: the server said 11:05:29 GMT and printed 07:05:29+03:00 for a user five hours behind."""
    stamp = "2019-08-15T07:05:29.017+03:00"
    moment = instant(stamp, ZoneInfo("America/New_York"))
    assert moment.astimezone(UTC) == datetime(2019, 8, 15, 11, 5, 29, 17000, UTC)
    assert wall_clock(stamp).isoformat() == "2019-08-15T07:05:29.017000"


@given(day=st.dates(date(1900, 1, 2), date(2200, 1, 1)), server=OFFSETS)
def test_a_business_date_is_the_day_that_is_printed(day: date, server: timezone) -> None:
    """Whatever the server's offset, an order of a day is of that day."""
    printed = datetime(day.year, day.month, day.day, tzinfo=server).isoformat()
    assert business_date(printed) == day


@given(moment=st.integers(0, 4 * 10**9), server=OFFSETS, user=OFFSETS)
def test_the_moment_of_a_stamp_is_known_by_the_users_zone(
    moment: int, server: timezone, user: timezone
) -> None:
    """Printed by the user's clock with the server's offset, a stamp means the same moment again."""
    happened = datetime.fromtimestamp(moment, UTC)
    printed = happened.astimezone(user).replace(tzinfo=server).isoformat()
    assert instant(printed, user) == happened


@pytest.mark.parametrize("text", ["", "01/01/1900 03:00:00", "yesterday"])
def test_another_form_is_refused(text: str) -> None:
    """A date of the ERP's that is typed as a text is not taken for a stamp."""
    with pytest.raises(ValueError, match="Invalid isoformat"):
        wall_clock(text)
