"""What an operator may set: the environment (``ACUWORKER_…``) over ``connections.toml``.

Secrets are held as ``SecretStr``, given in a file, in the environment or in ``connections.toml`` of mode 600;
they are in no message, log line or repr. What is missing or wrong raises Misconfigured, naming the setting.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.fernet import Fernet, MultiFernet
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from worker.connection import Connection, License
from worker.errors import ConnectionUnknown, Misconfigured

__all__ = ["Connection", "License", "Settings"]

CONNECTIONS_FILE = "ACUWORKER_CONNECTIONS_FILE"
PARENT_FD = "ACUWORKER_PARENT_FD"
"""The number of a pipe's end that reaches its end of file when the program that started this worker has died."""

SCHEMES = {
    "store_url": ("redis", "rediss", "unix"),
    "broker_url": ("redis", "rediss", "redis+socket", "amqp", "amqps"),
}
"""What a store and a broker may be."""

BLOB_SCHEMES = ("s3", "az", "gs")
"""What an object store for blobs may be."""

UNSAFE = {
    "filesystem": "a broker in a directory takes a message out before its job is done, so a killed worker loses it",
    "sqla": "a broker in SQL never gives out again what a killed worker had taken",
    "memory": "a broker in memory is within one process, and ends with it",
}
"""Celery's brokers that lose jobs, and how."""

AMQP = frozenset({"amqp", "amqps"})

SOCKET_PATH_LIMIT = 100
"""Bytes that a unix socket's path may have; the kernel takes 108, macOS 104."""


class Settings(BaseSettings):
    """Everything that a process of ours reads from outside."""

    model_config = SettingsConfigDict(
        env_prefix="ACUWORKER_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    licenses: dict[str, License] = Field(default_factory=dict)
    connections: dict[str, Connection] = Field(default_factory=dict)
    var: Path = Field(Path("var"), description="Where the private store, its key, blobs and locks are kept")
    store_url: SecretStr | None = Field(None, description="redis:// or rediss:// of a store; absent: our own")
    broker_url: SecretStr | None = Field(None, description="Celery's broker; absent: the store")
    store_keys: SecretStr | None = Field(None, description="Fernet keys for tokens, newest first, by comma")
    blobs: str | None = Field(
        None, description="The blob directory, or s3://, az:// or gs://; absent: blobs under var"
    )
    slice_seconds: float = Field(
        30, gt=0, description="How long a job is worked on before others have their turn"
    )
    schema_hours: float = Field(
        24, ge=0, description="How long an endpoint's schema is taken for what the ERP has"
    )
    log_level: str = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _connections_file())

    @field_validator("licenses", "connections", mode="before")
    @classmethod
    def _name_each(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: {**body, "name": name} if isinstance(body, dict) else body for name, body in given.items()
        }

    @field_validator("store_url", "broker_url")
    @classmethod
    def _of_a_known_kind(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = SCHEMES[str(info.field_name)]
        scheme = value.get_secret_value().partition("://")[0] if value else schemes[0]
        if scheme not in schemes:
            allowed = f"must begin with {', '.join(f'{each}://' for each in schemes)}"
            why = UNSAFE.get(scheme.partition("+")[0])
            raise ValueError(f"{allowed}: {why}" if why else allowed)
        return value

    @field_validator("blobs")
    @classmethod
    def _a_place_for_blobs(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if "://" not in (value or ""):
            return value
        if parts.scheme not in BLOB_SCHEMES or not parts.netloc:
            allowed = ", ".join(f"{scheme}://bucket/prefix" for scheme in BLOB_SCHEMES)
            raise ValueError(f"must be a directory, or one of {allowed}")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must not hold credentials: they are read from the environment")
        return value

    @model_validator(mode="after")
    def _one_license_each(self) -> Settings:
        for connection in self.connections.values():
            require_one_license(connection, self.licenses)
        return self

    @classmethod
    def load(cls) -> Settings:
        """The settings as they stand now. Raises Misconfigured."""
        try:
            return cls()
        except ValidationError as error:
            raise misconfigured(error) from None

    def connection(self, name: str) -> Connection:
        """The connection of that name. Raises ConnectionUnknown."""
        try:
            return self.connections[name]
        except KeyError:
            known = ", ".join(sorted(self.connections)) or "none: run acuworker connect"
            raise ConnectionUnknown(
                f"there is no connection {name!r}; there is {known}", "connection"
            ) from None

    def license_of(self, connection: Connection) -> License:
        """The license that a connection spends, as the file has it."""
        if connection.license:
            return self.licenses[connection.license]
        return License(
            name=connection.name,
            max_sessions=connection.max_sessions,
            max_per_minute=connection.max_per_minute,
        )

    def spent_licenses(self) -> list[License]:
        """Each license that a connection spends, once."""
        found = {connection.license_name: connection for connection in self.connections.values()}
        return [self.license_of(connection) for connection in found.values()]

    @property
    def blob_place(self) -> str:
        """Where blobs are kept: an absolute path, or the URL of an object store."""
        return self.blobs if self.blobs and "://" in self.blobs else str(self.blob_directory)

    @property
    def blob_directory(self) -> Path:
        """Where blobs are kept that are in a directory, as an absolute path."""
        return (Path(self.blobs) if self.blobs else self.var / "blobs").absolute()

    @property
    def store(self) -> str:
        """The URL of the store, for redis-py."""
        return self.store_url.get_secret_value() if self.store_url else f"unix://{quote(str(self.socket))}"

    @property
    def broker(self) -> str:
        """The URL of the broker, for Celery."""
        return self.broker_url.get_secret_value() if self.broker_url else self.store_for_celery

    @property
    def by_amqp(self) -> bool:
        """Whether the broker is a RabbitMQ, beside the store."""
        return urlsplit(self.broker).scheme in AMQP

    @property
    def store_for_celery(self) -> str:
        """The URL of the store, for Celery, which has a scheme of its own for sockets."""
        return re.sub(r"^unix://", "redis+socket://", self.store)

    @property
    def socket(self) -> Path:
        """Where our own store listens: under ``var``, or in a private directory where that path is too long."""
        path = (self.var / "valkey.sock").absolute()
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        mark = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(f"/tmp/acuworker-{os.getuid()}-{mark}/valkey.sock")  # noqa: S108 its directory is private

    def cipher(self) -> MultiFernet:
        """What tokens are encrypted with in the store; newest key first. Raises Misconfigured."""
        try:
            return MultiFernet([Fernet(key) for key in self._keys()])
        except ValueError:
            raise Misconfigured(
                "must be Fernet keys: 32 bytes each in URL-safe base64", "store_keys"
            ) from None

    def fingerprint_key(self) -> bytes:
        """The key for marks of credentials."""
        return self._keys()[0]

    def _keys(self) -> list[bytes]:
        if self.store_keys:
            return [key.strip().encode() for key in self.store_keys.get_secret_value().split(",")]
        path = self.var / "store.key"
        try:
            return path.read_bytes().split()
        except OSError as error:
            message = f"{path} cannot be read ({error.strerror}): acuworker up makes it, or set ACUWORKER_STORE_KEYS"
            raise Misconfigured(message, "store_keys") from None


def require_one_license(connection: Connection, licenses: Mapping[str, License]) -> None:
    """Raise Misconfigured where a connection's license is not there, or is told in two places."""
    where, named = f"connections.{connection.name}", connection.license
    if named is None and connection.name in licenses:
        message = (
            f"a connection of that name has a license of its own: give the table another name, or write "
            f'license = "{connection.name}" into [{where}]'
        )
        raise Misconfigured(message, f"licenses.{connection.name}")
    if named is None:
        return
    if named not in licenses:
        known = ", ".join(sorted(licenses)) or "none"
        raise Misconfigured(f"there is no table [licenses.{named}]; there is {known}", f"{where}.license")
    for limit in ("max_sessions", "max_per_minute"):
        if limit in connection.model_fields_set:
            message = f"the limits of a shared license belong to its table: move it to [licenses.{named}]"
            raise Misconfigured(message, f"{where}.{limit}")


def misconfigured(error: ValidationError) -> Misconfigured:
    """The first thing wrong with settings, and which of them it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Misconfigured(first["msg"].removeprefix("Value error, "), where or None)


def connections_path() -> Path:
    """The file that connections are read from."""
    return Path(os.environ.get(CONNECTIONS_FILE, "connections.toml"))


def _connections_file() -> dict[str, Any]:
    path = connections_path()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}", CONNECTIONS_FILE) from None
    connections = content.get("connections")
    inline = isinstance(connections, dict) and any(
        isinstance(body, dict) and {"password", "client_secret"} & body.keys()
        for body in connections.values()
    )
    if inline and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"it holds secrets that others may read: chmod 600 {path}", str(path))
    return {name: content[name] for name in ("licenses", "connections") if name in content}
