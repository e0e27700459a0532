"""What IIS and ASP.NET make of a path before the sandbox routes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.paths import DangerousPath, segments, within_site


@pytest.mark.parametrize("character", "%:*&<>?#\\")
def test_dangerous_characters(character: str) -> None:
    """ASP.NET refuses a path that holds one of these, decoded, and names it."""
    with pytest.raises(DangerousPath) as refused:
        segments(f"/entity/x%{ord(character):02X}y".encode())
    assert str(refused.value) == character


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a/b", ["a", "b"]),
        (b"/a//b/", ["a", "b"]),
        (b"/Credit%20Memo/000068", ["Credit Memo", "000068"]),
        (b"/StockItem/1%2F2-ELBOW", ["StockItem", "1", "2-ELBOW"]),
        (b"/a/%2e%2e/b", ["b"]),
        (b"/a/./b/..", ["a"]),
        (b"/../../a", ["a"]),
        (b"/caf%C3%A9|x", ["café|x"]),
    ],
)
def test_segments(path: bytes, expected: list[str]) -> None:
    """Decoded slashes separate, empty and dot segments go."""
    assert segments(path) == expected


@given(st.binary(max_size=40))
def test_any_path_is_split_or_refused(path: bytes) -> None:
    """Whatever bytes come, there are clean segments or a refusal."""
    try:
        found = segments(path)
    except DangerousPath:
        return
    assert not {"", ".", ".."} & set(found)
    assert not any("/" in segment for segment in found)


@pytest.mark.parametrize(
    ("path", "site", "expected"),
    [
        (["MyStoreInstance", "entity"], "MyStoreInstance", ["entity"]),
        (["mystoreinstance", "entity"], "MyStoreInstance", ["entity"]),
        (["entity"], "MyStoreInstance", None),
        ([], "MyStoreInstance", None),
        (["entity"], "", ["entity"]),
    ],
)
def test_within_site(path: list[str], site: str, expected: list[str] | None) -> None:
    """A site is a virtual directory of IIS, or the root."""
    assert within_site(path, site) == expected
