"""What an operator may set: the environment (``ACUWORKER_…``) over ``connections.toml``.

Secrets are held as ``SecretStr``, given in a file, in the environment or in ``connections.toml`` of mode 600;
they are in no message, log line or repr. What is missing or wrong raises Misconfigured, naming the setting.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.fernet import Fernet, MultiFernet
from pydantic import (
    BaseModel,
    ConfigDict,
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

from worker.errors import ConnectionUnknown, Misconfigured

CONNECTIONS_FILE = "ACUWORKER_CONNECTIONS_FILE"
PARENT_FD = "ACUWORKER_PARENT_FD"
"""The number of a pipe's end that reaches its end of file when the program that started this worker has died."""

SCHEMES = {
    "store_url": ("redis", "rediss", "unix"),
    "broker_url": ("redis", "rediss", "redis+socket", "amqp", "amqps"),
}
"""What a store and a broker may be. Celery's brokers in a directory or in SQL lose jobs when a worker is killed."""

SOCKET_PATH_LIMIT = 100
"""Bytes that a unix socket's path may have; the kernel takes 108, macOS 104."""


class Connection(BaseModel):
    """A named ERP endpoint and the credentials to it; a job names it and sees nothing else of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = "default"
    url: str = Field(description="The instance, as in https://erp.example.com/MyStoreInstance")
    endpoint: str = Field("Default", pattern=r"^[A-Za-z0-9_.-]+$")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$", description="Of the endpoint, as in 20.200.001")
    tenant: str
    username: str
    password: SecretStr
    client_id: str = Field(pattern=r"^[^@]+@.+$", description="As the form shows it: GUID@tenant")
    client_secret: SecretStr
    ca_file: Path | None = Field(None, description="Certificates to trust, where the system's are not enough")
    max_sessions: int = Field(1, ge=1, le=100, description="API sessions that the license allows us")
    max_per_minute: int = Field(50, ge=0, description="Requests a minute that it allows us; 0: no limit")
    session_seconds: float = Field(
        3600, gt=0, description="How long the ERP keeps a session that nobody closes"
    )
    idle_seconds: float = Field(60, ge=0, description="Sign out a session that nobody has used for so long")
    exchange_seconds: float = Field(120, gt=0, description="Longest exchange for records, body included")
    file_seconds: float = Field(1800, gt=0, description="Longest exchange for a file, body included")
    max_answer_mib: int = Field(64, ge=1, description="Largest body that is read into memory")

    @field_validator("url")
    @classmethod
    def _https_origin_and_site(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or parts.port == 0:
            raise ValueError("must begin with https:// and a host; OAuth needs TLS")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be the instance's address alone: https://host/site")
        return value.rstrip("/")

    @field_validator("max_per_minute")
    @classmethod
    def _enough_to_sign_in(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0 (no limit) or at least 2: signing in is a request too")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        values = dict(given)
        for name in ("password", "client_secret"):
            path = values.pop(f"{name}_file", None)
            if path is not None and name not in values:
                values[name] = _secret_in(Path(path), name)
        return values

    def fingerprint(self, key: bytes) -> str:
        """A mark that changes with the credentials and, without the key, tells nothing of them."""
        told = (self.url, self.tenant, self.username, self.client_id)
        secret = (self.password.get_secret_value(), self.client_secret.get_secret_value())
        return hmac.new(key, "\0".join(told + secret).encode(), hashlib.sha256).hexdigest()[:32]


def _secret_in(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"{name}_file {path} cannot be read: {reason}") from None


class Settings(BaseSettings):
    """Everything that a process of ours reads from outside."""

    model_config = SettingsConfigDict(
        env_prefix="ACUWORKER_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    connections: dict[str, Connection] = Field(default_factory=dict)
    var: Path = Field(Path("var"), description="Where the private store, its key, blobs and locks are kept")
    store_url: SecretStr | None = Field(None, description="redis:// or rediss:// of a store; absent: our own")
    broker_url: SecretStr | None = Field(None, description="Celery's broker; absent: the store")
    store_keys: SecretStr | None = Field(None, description="Fernet keys for tokens, newest first, by comma")
    blobs: Path | None = Field(None, description="The blob directory; absent: blobs under var")
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

    @field_validator("connections", mode="before")
    @classmethod
    def _name_each_connection(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: {**body, "name": name} if isinstance(body, dict) else body for name, body in given.items()
        }

    @field_validator("store_url", "broker_url")
    @classmethod
    def _of_a_known_kind(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = SCHEMES[str(info.field_name)]
        if value and urlsplit(value.get_secret_value()).scheme not in schemes:
            raise ValueError(f"must begin with {', '.join(f'{scheme}://' for scheme in schemes)}")
        return value

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

    @property
    def blob_directory(self) -> Path:
        """Where blobs are kept, as an absolute path."""
        return (self.blobs or self.var / "blobs").absolute()

    @property
    def store(self) -> str:
        """The URL of the store, for redis-py."""
        return self.store_url.get_secret_value() if self.store_url else f"unix://{quote(str(self.socket))}"

    @property
    def broker(self) -> str:
        """The URL of the broker, for Celery."""
        return self.broker_url.get_secret_value() if self.broker_url else self.store_for_celery

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
    return {"connections": connections} if connections is not None else {}
