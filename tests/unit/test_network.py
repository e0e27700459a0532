"""Which addresses are near enough to be spoken to in the clear, and what a Set-Cookie header leaves."""

from __future__ import annotations

import pytest

from worker.erp.network import is_near
from worker.erp.wire import cookies_set


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.9", True),
        ("169.254.3.4", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("8.8.8.8", False),
        ("100.64.0.1", False),
        ("2606:4700::1111", False),
        ("224.0.0.1", False),
    ],
)
def test_what_is_near(address: str, near: bool) -> None:
    """Only this machine and private networks are, also where IPv4 is written as IPv6."""
    assert is_near(address) is near


@pytest.mark.parametrize(
    ("headers", "cookies"),
    [
        ([], {}),
        (["UserBranch=82; path=/"], {"UserBranch": "82"}),
        (
            ["Locale=Culture=en-US&TimeZone=GMTP0300M; expires=Wed, 01 Jan 2031 00:00:00 GMT; path=/"],
            {"Locale": "Culture=en-US&TimeZone=GMTP0300M"},
        ),
        (["a=1; path=/", "a=2; path=/"], {"a": "2"}),
        (["a=1", "a=; expires=Tue, 12-Oct-1999 04:00:00 GMT"], {}),
        (["", ";", "=x", "noise", "a=\xe4", " b = c "], {"b": "c"}),
    ],
)
def test_cookies_that_are_set(headers: list[str], cookies: dict[str, str]) -> None:
    """The last value of each name counts, an empty one takes it away, and what is none is left out."""
    assert cookies_set(headers) == cookies
