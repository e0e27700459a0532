"""One request on its way through the front door, and what it holds until its answer is sent."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.requests import Request

from deploy.sandbox import pages, replies
from deploy.sandbox.events import Kind
from deploy.sandbox.operations import still_busy
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SeatLimit, SignIn
from deploy.sandbox.site import Site


@dataclass
class Exchange:
    """A request with its number in the event log and its path below the site.

    `held` is closed once the answer is sent: with it go the core and the turn of the session. `new_cookie` is the
    session id that the answer hands out, where the request opened a session that is told apart by it.
    """

    site: Site
    number: int
    request: Request
    path: list[str]
    held: AsyncExitStack
    session: int | None = None
    new_cookie: str = ""

    def log(self, kind: Kind, **facts: str | int | float | bool | None) -> None:
        """Record what happened to this request."""
        self.site.log.add(kind, self.number, self.session, **facts)

    async def take_turn(self, caller: SignIn) -> None:
        """Wait until no other request of the caller runs, and keep the others waiting."""
        await self.held.enter_async_context(self.site.seats.turn(caller))

    async def take_core(self) -> None:
        """Go through the license's queue. Raises license.Declined."""
        await self.held.enter_async_context(self.site.license.core(lambda s: self.log("delay", seconds=s)))
        self.log("start")

    async def admit(self, caller: SignIn) -> Reply | None:
        """Wait for the session's turn, then in the license's queue; then take a seat. Or the refusal.

        A form is closed to the session while a long operation of its own runs on it.
        """
        await self.take_turn(caller)
        await self.take_core()
        return self.take_place(caller) or self._busy()

    def take_place(self, caller: SignIn) -> Reply | None:
        """A seat as `take_seat` gives it; a cookie whose session has closed meanwhile gets none."""
        if caller.kind == "cookie" and caller.session is None:
            return replies.not_signed_in()
        return self.take_seat(caller)

    def _busy(self) -> Reply | None:
        """The refusal of a form that a long operation of this session holds."""
        running = self.site.operations.running(self.session)
        if running is None or len(self.path) < 4:
            return None
        instance = self.site.instance
        screen = instance.screen_id(self.path[3], instance.contract(self.path[1], self.path[2]))
        return still_busy() if screen == running.task.screen else None

    def take_seat(self, caller: SignIn) -> Reply | None:
        """Give the caller a session unless it has one; or the answer that no seat is left."""
        if caller.session is not None:
            self.session = caller.session
            return None
        limit = self.site.seats.open(caller, self.number)
        self.session = caller.session
        if limit is not None:
            return no_seat(limit, caller.kind == "cookie", self.site)
        caller.forbidden = frozenset(self.site.forbidden)
        self.new_cookie = caller.cookie
        return None


def no_seat(limit: SeatLimit, by_cookie: bool, site: Site) -> Reply:
    """The answer to one sign-in too many, in the shapes that live instances report."""
    if limit == "user" and by_cookie:
        return replies.exception(
            500, pages.USER_LIMIT, "PX.Data.PXException", "PX.Data.Access.ActiveDirectory"
        )
    if limit == "user" or site.options.login_limit == "302":
        return replies.error_redirect(site.options.site, pages.USER_LIMIT)
    if site.options.login_limit == "429":
        return replies.text(429, pages.IIS_TEXT)
    return replies.html(500, pages.login_limit_page())
