"""connections.toml as connect writes it: others kept, secrets private, whole or not at all."""

from __future__ import annotations

import stat
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import connections
from worker.errors import Misconfigured

OTHERS = """\
# ours
[connections.other]
url = "https://other.example.com"  # do not touch
password = "kept"

[connections.default]
url = "https://old.example.com"
idle_seconds = 5
password_file = "/old"
client_secret = "old"
"""

TEXT = st.text(st.characters(codec="utf-8"))


def test_a_connection_is_saved_beside_the_others(tmp_path: Path) -> None:
    """The others, their comments, and what else the connection says stay; a secret takes its file's place."""
    path = tmp_path / "connections.toml"
    path.write_text(OTHERS)
    connections.save(
        path, "default", {"url": "https://new.example.com", "password": "p", "client_secret_file": "/s"}
    )
    assert path.read_text().startswith(OTHERS[: OTHERS.index("[connections.default]")])
    assert connections.load(path)["default"] == {
        "url": "https://new.example.com",
        "idle_seconds": 5,
        "password": "p",
        "client_secret_file": "/s",
    }


@settings(deadline=None)  # each example waits for the disk
@given(
    name=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), password=TEXT, number=st.integers(0, 2**31)
)
def test_any_value_is_read_back_as_it_was(name: str, password: str, number: int) -> None:
    """Whatever is in a value, an independent reader finds the same in the file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "connections.toml"
        for saved in ("first", name):
            connections.save(path, saved, {"password": password, "max_sessions": number})
        read = tomllib.loads(path.read_text(encoding="utf-8"))["connections"]
        assert read[name] == read["first"] == {"password": password, "max_sessions": number}
        assert connections.load(path) == read


def test_the_file_is_private(tmp_path: Path) -> None:
    """The file has mode 600, whatever it had before."""
    path = tmp_path / "connections.toml"
    path.touch(0o644)
    connections.save(path, "default", {"password": "p"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Where connections.toml is a link, the file that it names is replaced."""
    (tmp_path / "real").mkdir()
    path, real = tmp_path / "connections.toml", tmp_path / "real" / "file.toml"
    path.symlink_to(real)
    connections.save(path, "default", {"url": "u"})
    assert path.is_symlink()
    assert "default" in connections.load(real)


@pytest.mark.parametrize("text", ["[connections", "connections = 5", "[[connections]]\nurl = 'u'"])
def test_a_file_that_makes_no_sense_is_left_alone(tmp_path: Path, text: str) -> None:
    """A file that cannot be understood is named, and neither read from nor replaced."""
    path = tmp_path / "connections.toml"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=r"connections\.toml"):
        connections.load(path)
    with pytest.raises(Misconfigured, match=r"connections\.toml"):
        connections.save(path, "default", {})
    assert path.read_text() == text


def test_what_a_connection_is_to_be_without_goes(tmp_path: Path) -> None:
    """A setting that is not said any more goes; one that is said again keeps its place and its comment."""
    path = tmp_path / "connections.toml"
    path.write_text('[connections.a]\nbranch = "B"  # ours\nscope = "api"\npassword = "p"\n')
    connections.save(path, "a", {"branch": "C"}, without={"branch", "scope"})
    assert path.read_text() == '[connections.a]\nbranch = "C"  # ours\npassword = "p"\n'


def test_licenses_are_read_and_left_alone(tmp_path: Path) -> None:
    """The licenses' names are known, and their tables stay as they were."""
    path = tmp_path / "connections.toml"
    table = "# sold to us in May\n[licenses.erp]\nmax_sessions = 3  # of 4\n"
    path.write_text(table)
    assert connections.licenses(path) == {"erp"}
    assert connections.licenses(tmp_path / "none.toml") == frozenset()
    connections.save(path, "default", {"license": "erp"})
    assert path.read_text().startswith(table)
    assert connections.load(path) == {"default": {"license": "erp"}}


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """Where the file cannot be written, the old one stands and nothing is left beside it."""
    path = tmp_path / "connections.toml"
    path.mkdir()
    with pytest.raises(Misconfigured, match="cannot be written"):
        connections.replace(path, "text")
    assert list(tmp_path.iterdir()) == [path]


def test_no_file_means_no_connections(tmp_path: Path) -> None:
    """Before the first connection there is no file, and that is no error."""
    assert connections.load(tmp_path / "connections.toml") == {}
