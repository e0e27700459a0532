"""The sandbox's faults: which requests they meet and what they make of a reply."""

import gzip
import json
import zlib

import pytest

from deploy.sandbox.content import Drawn, whole
from deploy.sandbox.faults import ALL, MEBIBYTE, WHOLE, Fault, Faults, Manner, bomb, manner, spoil
from deploy.sandbox.replies import Reply

GOOD = Reply(200, (("Content-Type", "application/json; charset=utf-8"),), b'[{"a":1}]')


def test_a_fault_meets_as_many_as_it_says_after_those_it_lets_through() -> None:
    """`after` requests that match pass, `times` are met, then it is spent; others never count."""
    faults = Faults()
    fault = Fault("status", method="GET", path="/a", after=1, times=2)
    faults.arm(fault)
    requests = ["GET /a", "POST /a", "GET /b", "GET /a/1", "GET /a/2", "GET /a/3"]
    met = [faults.take(*request.split(" ")) is not None for request in requests]
    assert met == [False, False, False, True, True, False]
    assert faults.armed() == []


def test_a_share_of_the_requests_is_met() -> None:
    """One fault takes each third, another each third after one: no request is met by both, and the rest go free."""
    faults = Faults()
    faults.arm(Fault("cut", path="/files", every=3, times=3))
    faults.arm(Fault("reset", path="/files", every=2, phase=1, times=100))
    met = [faults.take("GET", "/files/1") for _ in range(9)]
    kinds = [fault.kind if fault else "" for fault in met]
    assert kinds == ["cut", "", "reset", "cut", "", "reset", "cut", "", "reset"]
    assert [fault.kind for fault in faults.armed()] == ["reset"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "JSON object"),
        ({"kind": "explode"}, "kind is one of"),
        ({"kind": ["cut"]}, "kind is one of"),
        ({"kind": "cut", "size": 3}, "no field 'size'"),
        ({"kind": "cut", "bytes": "3"}, "bytes is '3'"),
        ({"kind": "status", "status": 503.5}, "status is 503.5"),
        ({"kind": "status", "body": 1}, "body is 1"),
        ({"kind": "delay", "when": "soon"}, "when is before or after"),
        ({"kind": "cut", "every": 0}, "every is a number from 1"),
        ({"kind": "cut", "every": 3, "phase": 3}, "phase less than that"),
    ],
)
def test_what_cannot_be_armed(document: object, words: str) -> None:
    """A fault that is wrong is refused with a message that names what is."""
    with pytest.raises(ValueError, match=words):
        Fault.from_json(document)


def test_a_fault_from_json() -> None:
    """All that is given is taken, whole seconds too."""
    assert Fault.from_json({"kind": "delay", "seconds": 2, "when": "after", "method": "GET"}) == Fault(
        "delay", seconds=2, when="after", method="GET"
    )


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("cut", bytes=3), Manner(cut=3)),
        (Fault("reset", bytes=3), Manner(cut=3, reset=True)),
        (Fault("drip", bytes=1, seconds=0.1), Manner(piece=1, seconds=0.1)),
        (Fault("length", bytes=3), Manner(cut=ALL)),
        (Fault("length", bytes=-3), WHOLE),
        (Fault("status"), WHOLE),
        (Fault("delay", seconds=1), WHOLE),
    ],
)
def test_manner(fault: Fault, expected: Manner) -> None:
    """Faults of the connection decide how the reply is sent."""
    assert manner(fault) == expected
    assert spoil(fault, GOOD) == GOOD or fault.kind in ("status", "length")


def content_type(reply: Reply) -> str:
    """The one content type of a reply."""
    [value] = [value for name, value in reply.headers if name == "Content-Type"]
    return value


@pytest.mark.parametrize(
    ("status", "kind", "within"),
    [
        (401, "application/json", b"not logged in"),
        (429, "text/plain", b"custom error module"),
        (500, "application/json", b"exceptionMessage"),
        (502, "text/html", b"502"),
        (503, "text/html", b"unavailable"),
    ],
)
def test_a_status_comes_with_the_body_of_whoever_sends_it(status: int, kind: str, within: bytes) -> None:
    """Each status has the body that the ERP or its front end would send."""
    reply = spoil(Fault("status", status=status), GOOD)
    assert reply.status == status
    assert kind in content_type(reply)
    assert within in reply.body


def test_a_status_with_a_body_of_its_own() -> None:
    """A fault may say body and content type."""
    reply = spoil(Fault("status", status=500, body="<b>", content_type="text/html"), GOOD)
    assert (reply.status, content_type(reply), reply.body) == (500, "text/html", b"<b>")


def test_spoilt_bodies() -> None:
    """The kinds that change the body change nothing else."""
    assert spoil(Fault("malformed"), GOOD).body == b'[{"a'
    assert json.loads(spoil(Fault("object"), GOOD).body) == {"value": [{"a": 1}]}
    assert spoil(Fault("html"), GOOD).body.startswith(b"<!DOCTYPE html>")
    assert content_type(spoil(Fault("content_type", content_type="text/plain"), GOOD)) == "text/plain"
    assert ("Location", "https://elsewhere.invalid/") in spoil(Fault("redirect"), GOOD).headers


def test_lengths_that_are_wrong() -> None:
    """More is promised than sent, less is sent than there is, or more than there should be."""
    longer, shorter = spoil(Fault("length", bytes=4), GOOD), spoil(Fault("length", bytes=-4), GOOD)
    assert (longer.body, longer.excess, longer.sized) == (GOOD.body, 4, True)
    assert (shorter.body, shorter.excess) == (GOOD.body[:-4], 0)
    assert spoil(Fault("padded", bytes=2), GOOD).body == GOOD.body + b"\0\0"


def test_a_generated_body_is_spoilt_like_any_other() -> None:
    """Its bytes are drawn first, where the fault changes them."""
    drawn = Reply(200, sized=False, drawn=Drawn("x", 10))
    for kind in ("malformed", "padded"):
        spoilt = spoil(Fault(kind, bytes=5), drawn)
        assert len(spoilt.content) == {"malformed": 5, "padded": 15}[kind]
        assert spoilt.body[:5] == whole(Drawn("x", 10))[:5]


def test_big_bodies_are_valid_json() -> None:
    """What is huge is so by size alone: a client that reads it all finds an empty list."""
    huge = spoil(Fault("huge", mebibytes=1), GOOD)
    assert (json.loads(huge.body), len(huge.body), huge.sized) == ([], MEBIBYTE + 2, False)
    once = gzip.decompress(bomb(3))
    assert len(bomb(3)) < len(once) < 3 * MEBIBYTE / 300
    assert json.loads(zlib.decompress(once, zlib.MAX_WBITS | 16)) == []
