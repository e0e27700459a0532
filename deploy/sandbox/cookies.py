"""Cookie sign-ins: which pair of ASP.NET cookies belongs to which sign-in. Nothing here fails."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.sandbox.replies import new_session_id
from deploy.sandbox.sessions import SignIn


@dataclass(frozen=True)
class Ticket:
    """The two cookies that a browser must send back: the session id and the forms ticket."""

    session_id: str
    ticket: str


class Cookies:
    """The cookie sign-ins with an open session."""

    def __init__(self) -> None:
        self._holders: dict[Ticket, SignIn] = {}

    def issue(self, sign_in: SignIn) -> Ticket:
        """New cookies for `sign_in`; those whose session has closed are forgotten."""
        self._holders = {t: holder for t, holder in self._holders.items() if holder.session is not None}
        ticket = Ticket(new_session_id(), secrets.token_hex(128).upper())
        self._holders[ticket] = sign_in
        return ticket

    def find(self, cookies: Mapping[str, str]) -> tuple[Ticket, SignIn] | None:
        """The sign-in that a request's cookies belong to, while its session is open."""
        ticket = Ticket(cookies.get("ASP.NET_SessionId", ""), cookies.get(".ASPXAUTH", ""))
        sign_in = self._holders.get(ticket)
        return (ticket, sign_in) if sign_in is not None and sign_in.session is not None else None
