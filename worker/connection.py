"""A connection and a license: what an operator says of one ERP, of the credentials to it, and of what it sells.

A value that is missing or wrong raises pydantic's ValidationError, which names the setting and never its value.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from worker.job import BRANCH

SCOPES = ("api", "offline_access", "api:concurrent_access")
"""What a connection may ask for; ``api`` always."""

COOKIE_SESSION_SECONDS = 600.0
"""How long the ERP keeps a cookie session that nobody uses (vendor's guide, Sign Out from the Service)."""


def _plain_name(value: str) -> str:
    # A license's name is part of its keys in the store, between braces.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise ValueError("must be letters, digits, dashes and underscores, at most 64 of them")
    return value


def _enough_to_sign_in(value: int) -> int:
    if value == 1:
        raise ValueError("must be 0 (no limit) or at least 2: signing in is a request too")
    return value


Name = Annotated[str, AfterValidator(_plain_name)]
Sessions = Annotated[int, Field(ge=1, le=100, description="API sessions that the license allows us")]
PerMinute = Annotated[
    int,
    Field(ge=0, description="Requests a minute that it allows us; 0: no limit"),
    AfterValidator(_enough_to_sign_in),
]


class License(BaseModel):
    """What a license allows us, shared by every connection that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    max_sessions: Sessions = 1
    max_per_minute: PerMinute = 50


class Connection(BaseModel):
    """A named ERP endpoint and the credentials to it; a job names it and sees nothing else of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    name: Name = "default"
    sign_in: Literal["password", "login", "cookie"] = Field(
        "password", description="OAuth's password grant, a login by acuworker login, or the ERP's cookies"
    )
    plaintext: bool = Field(False, description="http:// to a private address; for cookies alone")
    url: str = Field(description="The instance, as in https://erp.example.com/MyStoreInstance")
    endpoint: str = Field("Default", pattern=r"^[A-Za-z0-9_.-]+$")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$", description="Of the endpoint, as in 20.200.001")
    tenant: str
    branch: str | None = Field(None, pattern=BRANCH, description="Where a job names none; as in MYSTORE")
    user_branch: str | None = Field(None, description="The UserBranch cookie of a session in this tenant")
    locale: str | None = Field(None, description="Of a cookie sign-in, as in en-US")
    username: str = ""
    password: SecretStr = SecretStr("")
    client_id: str = Field("", description="As the form shows it: GUID@tenant")
    client_secret: SecretStr = SecretStr("")
    scope: str = Field("api", description="With offline_access or api:concurrent_access, by spaces")
    ca_file: Path | None = Field(None, description="Certificates to trust, where the system's are not enough")
    license: Name | None = Field(None, description="A table of [licenses]; absent: a license of its own")
    max_sessions: Sessions = 1
    max_per_minute: PerMinute = 50
    session_seconds: float = Field(
        3600, gt=0, description="How long the ERP keeps a session that nobody closes; 600 with cookies"
    )
    queue_seconds: float = Field(
        600, ge=0, description="How long it may hold a request before it works on it"
    )
    restart_seconds: float = Field(
        60, ge=1, description="First pause for a site that restarts; doubled up to ten"
    )
    login_days: int = Field(30, ge=1, description="How long the ERP lets a login be refreshed")
    idle_seconds: float = Field(60, ge=0, description="Sign out a session that nobody has used for so long")
    exchange_seconds: float = Field(120, gt=0, description="Longest exchange for records, body included")
    file_seconds: float = Field(1800, gt=0, description="Longest exchange for a file, body included")
    max_answer_mib: int = Field(64, ge=1, description="Largest body that is read into memory")

    @field_validator("plaintext")
    @classmethod
    def _with_cookies_alone(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("sign_in") != "cookie":
            raise ValueError('needs sign_in = "cookie": OAuth needs TLS')
        return value

    @field_validator("url")
    @classmethod
    def _origin_and_site(cls, value: str, info: ValidationInfo) -> str:
        parts = urlsplit(value)
        schemes = ("https", "http") if info.data.get("plaintext") else ("https",)
        if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
            raise ValueError(
                'must begin with https:// and a host; http:// is for sign_in = "cookie" with plaintext = true'
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be the instance's address alone: https://host/site")
        return value.rstrip("/")

    @field_validator("username", "password", "client_id", "client_secret")
    @classmethod
    def _given_where_it_is_sent(cls, value: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        kind = info.data.get("sign_in")
        senders = (
            ("password", "cookie") if info.field_name in ("username", "password") else ("password", "login")
        )
        if kind in senders and not (value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ValueError(f'is missing: sign_in = "{kind}" sends it')
        return value

    @field_validator("client_id")
    @classmethod
    def _of_the_tenant(cls, value: str, info: ValidationInfo) -> str:
        number, at, registered = value.partition("@")
        tenant = str(info.data.get("tenant", registered))
        if value and not (number and at and registered):
            raise ValueError(f"must be as Connected Applications (SM303010) shows it: GUID@{tenant}")
        if value and registered.casefold() != tenant.casefold():
            raise ValueError(
                f"is registered in tenant {registered!r}, but the connection's tenant is {tenant!r}: what follows "
                "the @ chooses the tenant, so register an application there (SM303010) or name the other tenant"
            )
        return value

    @field_validator("scope")
    @classmethod
    def _known_scopes(cls, value: str, info: ValidationInfo) -> str:
        asked = set(value.split())
        kind = info.data.get("sign_in")
        if "api" not in asked or asked - set(SCOPES):
            raise ValueError(f"must be api, alone or with any of {', '.join(SCOPES[1:])}, by spaces")
        if kind == "cookie" and asked != {"api"}:
            raise ValueError('is for OAuth: leave it out with sign_in = "cookie"')
        # A login lives on its refresh token, which the ERP gives for this scope only.
        wanted = asked | {"offline_access"} if kind == "login" else asked
        return " ".join(scope for scope in SCOPES if scope in wanted)

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
        if values.get("sign_in") == "cookie":
            values.setdefault("session_seconds", COOKIE_SESSION_SECONDS)
        return values

    @property
    def license_name(self) -> str:
        """The license that this connection spends: the one that it names, or its own."""
        return self.license or self.name

    @property
    def keeps_refresh(self) -> bool:
        """Whether its sign-ins yield a refresh token."""
        return "offline_access" in self.scope.split()

    @property
    def concurrent_access(self) -> bool:
        """Whether a token may open several sessions, each known by cookies of its own."""
        return self.sign_in != "cookie" and "api:concurrent_access" in self.scope.split()

    @property
    def identity(self) -> str:
        """A mark of who a session belongs to. No secret goes into it, nor the store's key, which may change."""
        return _mark(b"", *self._who)[:16]

    def fingerprint(self, key: bytes) -> str:
        """A mark that changes with whatever a sign-in sends and, without the key, tells nothing of it."""
        secrets = (self.password.get_secret_value(), self.client_secret.get_secret_value())
        return _mark(key, *self._who, self.branch or "", self.locale or "", *secrets)[:32]

    @property
    def _who(self) -> tuple[str, ...]:
        return (self.url, self.tenant, self.username, self.client_id, self.sign_in, self.scope)


def _mark(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def _secret_in(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"{name}_file {path} cannot be read: {reason}") from None
