"""What tokens stand for: a grant, its chain of refreshed tokens, and the sessions that were opened with it.

Under the scope `api` a grant has one session. Under `api:concurrent_access` it has as many as its calls open, told
apart by the cookie ASP.NET_SessionId (vendor's guide). Nothing here fails.
"""

from weakref import WeakValueDictionary

from deploy.sandbox.replies import new_session_id
from deploy.sandbox.sessions import SignIn
from deploy.sandbox.tenants import Who

API = "api"
OFFLINE = "offline_access"
CONCURRENT = "api:concurrent_access"


class Grant:
    """One chain of tokens. It can be refreshed until `ends`, in seconds of the identity server's clock."""

    def __init__(self, client_id: str, who: Who, scopes: tuple[str, ...], ends: float) -> None:
        self.client_id = client_id
        self.who = who
        self.scopes = scopes
        self.ends = ends
        self._expires = 0.0
        self._sign_in = SignIn("bearer", who, 0.0)
        self._by_cookie: WeakValueDictionary[str, SignIn] = (
            WeakValueDictionary()
        )  # alive while open or calling

    @property
    def concurrent(self) -> bool:
        """Whether its calls may open several sessions."""
        return CONCURRENT in self.scopes

    @property
    def sign_ins(self) -> list[SignIn]:
        """All that may hold a session of this grant."""
        return [self._sign_in, *self._by_cookie.values()]

    def successor(self) -> "Grant":
        """The same grant with sessions of its own."""
        return Grant(self.client_id, self.who, self.scopes, self.ends)

    def extend(self, expires: float) -> None:
        """Let its sessions live until `expires`."""
        self._expires = expires
        for sign_in in self.sign_ins:
            sign_in.expires = expires

    def caller(self, cookie: str) -> SignIn:
        """Whose session a call with this cookie runs in: a new one's, where an open one is not known by it."""
        if not self.concurrent:
            return self._sign_in
        known = self._by_cookie.get(cookie)
        if known is not None and known.session is not None:
            return known
        sign_in = SignIn("bearer", self.who, self._expires, new_session_id())
        self._by_cookie[sign_in.cookie] = sign_in
        return sign_in
