"""What is decided when answers come late: the functions of congestion.lua as tables, run by a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.store_process import start_store
from worker.erp.store import source

LIMIT = 300


@pytest.fixture(scope="module")
def store() -> Iterator[redis.Redis]:
    """A store that runs the functions; it keeps nothing."""
    with start_store() as url, redis.Redis.from_url(url) as connected:
        yield connected


def decide(store: redis.Redis, function: str, *arguments: Any) -> Any:
    """What a function returns, and its first argument as it left it."""
    call = f"local given = cjson.decode(ARGV[1])\nlocal result = {function}(unpack(given))\n"
    text = source("congestion.lua") + call + "return cjson.encode({result, given[1]})"
    return json.loads(str(store.eval(text, 0, json.dumps(arguments)), "utf-8"))


CUT = {"cut_at": 1000, "from": 1000, "wall": 150, "depth": 6, "counted": 160, "round": 1, "began": 1000}


@pytest.mark.parametrize(
    ("heard", "seconds", "share"),
    [
        pytest.param({}, 0, 300, id="nothing heard: all is ours"),
        pytest.param(CUT, 0, 144, id="just cut: below the wall"),
        pytest.param(CUT, 26, 150, id="then at the wall"),
        pytest.param(CUT, 46, 152.5, id="and for some time not far from it"),
        pytest.param(CUT, 86, 300, id="then all again"),
        pytest.param(CUT | {"from": 9000}, 8, 144, id="held, as others still grow"),
        pytest.param(CUT | {"wall": 5, "depth": 1}, 0, 30, id="never below a tenth"),
    ],
)
def test_share(store: redis.Redis, heard: dict[str, Any], seconds: float, share: float) -> None:
    """After a cut the share comes back slowly to where it was, and then ever faster."""
    told, _ = decide(store, "share", heard, 1000 + seconds * 1000, LIMIT)
    assert told == pytest.approx(share, abs=1)


@pytest.mark.parametrize(
    ("counted", "allowed", "leaving", "speed"),
    [
        pytest.param(0, 300, 0, 300, id="from nothing: evenly"),
        pytest.param(299, 300, 300, 307.5, id="full and at the limit: as fast as the limit, at most"),
        pytest.param(150, 150, 150, 150, id="at the share: as many as leave"),
        pytest.param(140, 150, 150, 225, id="below it: a little faster"),
        pytest.param(300, 290, 300, 140, id="above it: slower than they leave"),
        pytest.param(300, 150, 300, 15, id="far above it: almost nothing"),
    ],
)
def test_speed(store: redis.Redis, counted: int, allowed: int, leaving: int, speed: float) -> None:
    """Those that are spread bring the minute to the share within seconds, and never exceed the limit's pace."""
    told, _ = decide(store, "speed", counted, allowed, leaving, LIMIT)
    assert told == pytest.approx(min(speed, LIMIT))


@pytest.mark.parametrize(
    ("counted", "age", "delay"),
    [
        pytest.param(149, 40, 0.0, id="below half"),
        pytest.param(150, 30, 0.2, id="half: the rest of the window over the rest of the limit"),
        pytest.param(290, 60, 0.0, id="an even minute"),
        pytest.param(299, 59.8, 0.4, id="hardly any left: one more may wait"),
        pytest.param(310, 59.8, 0.4, id="over the limit that is in force by now"),
    ],
)
def test_own_delay(store: redis.Redis, counted: int, age: float, delay: float) -> None:
    """What our own requests cost is told as the ERP reckons it, and is not put down to others."""
    told, _ = decide(store, "own_delay", counted, 100_000 - age * 1000, 100_000, LIMIT)
    assert told / 1000 == pytest.approx(delay)


def hear(store: redis.Redis, late: list[float], counted: int = 300) -> dict[str, Any]:
    """What is remembered after answers that were so many ms late, five of them a second."""
    heard: dict[str, Any] = {}
    for number, each in enumerate(late):
        _, heard = decide(store, "hear", heard, each, 50, 10_000 + number * 200, LIMIT, counted)
    return heard


@pytest.mark.parametrize(
    ("late", "rounds"),
    [
        pytest.param([0] * 50, 0, id="on time"),
        pytest.param([90] * 50, 0, id="a little late tells nothing"),
        pytest.param(
            [5000, 0, 0, 5000, 0, 0] * 10, 0, id="one late answer tells nothing, be it ever so late"
        ),
        pytest.param([-40, 200, 120, -60, 250, 30] * 10, 0, id="answers differ"),
        pytest.param([800] * 2, 0, id="two are not enough"),
        pytest.param([800] * 3, 1, id="three that are very late are"),
        pytest.param([200] * 6, 1, id="so are six that are somewhat late"),
    ],
)
def test_evidence(store: redis.Redis, late: list[float], rounds: int) -> None:
    """The share is cut when answers are late one after another, and not otherwise."""
    heard = hear(store, late)
    assert heard.get("round", 0) == rounds


def test_cut(store: redis.Redis) -> None:
    """A cut goes to what the minute held, less those that wait, less a margin, and says why."""
    heard = hear(store, [600] * 3, counted=200)
    assert heard["wall"] == pytest.approx(200 - 600 / 200 - 7.4)
    assert (heard["late"], heard["began"]) == (600, 10_400)


def test_a_growing_part(store: redis.Redis) -> None:
    """A second cut soon after the first gives up beforehand what others will add, and holds it for a while."""
    first = hear(store, [600] * 3)
    _, second = decide(store, "cut", first | {"latest": [200, 200, 200]}, 14_600, LIMIT, 280)
    assert second["depth"] > 20
    assert second["from"] == 14_600 + 8000
    assert second["began"] == first["began"]


def test_in_vain(store: redis.Redis) -> None:
    """When cut after cut changes nothing it is the ERP that is slow: all is taken back, and usual learned anew."""
    heard: dict[str, Any] = {}
    now, counted, anew = 10_000, 300, False
    while not anew:
        anew, heard = decide(store, "hear", heard, 400, 50, now, LIMIT, counted)
        now += 200
        if counted > decide(store, "share", heard, now, LIMIT)[0]:
            counted -= 1
        assert counted > 180
    assert now < 60_000
    assert decide(store, "share", heard, now + 5000, LIMIT)[0] > 290
