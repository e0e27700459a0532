"""Names of attached files, as people see them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.blobs.names import display_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Stock Items (AAMACHINE1)\\T2MCRO.jpg", "T2MCRO.jpg"),
        ("Stock Items (1/2-ELBOW)\\elbow.jpg", "elbow.jpg"),
        ("T2MCRO.jpg", "T2MCRO.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("a\x00b\nc\x7f.txt", "abc.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("half\ud800.txt", "half.txt"),
        ("schön – 写真.png", "schön – 写真.png"),
        ("x" * 300, "x" * 255),
        ("Stock Items (X)\\", ""),
    ],
)
def test_a_files_name_as_people_see_it(name: str, shown: str) -> None:
    """A name loses its folders and whatever hides what it is, and nothing else."""
    assert display_name(name) == shown


@given(st.text(st.characters(codec=None), max_size=400))
def test_no_name_can_deceive(name: str) -> None:
    """Whatever the ERP calls a file, its name has no folder, no control character, and is not too long."""
    shown = display_name(name)
    assert len(shown) <= 255
    assert not set("/\\\u202e\u2066") & set(shown)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs"}
