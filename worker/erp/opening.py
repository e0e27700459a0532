"""Opening a session, or renewing its token: what the ERP is asked, and what the store learns of the answer.

The store knows of a sign-in before it is sent. One whose answer is lost may have opened a session that nobody can
close, so its slot is left alone until the ERP surely has. A token that comes too late is signed out again.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog
from pydantic import SecretStr

from worker.erp import signin
from worker.erp.budget import Budget
from worker.erp.caller import Caller
from worker.erp.closing import Closer
from worker.erp.deadline import Deadline
from worker.erp.membership import (
    CLOSE_SECONDS,
    LEASE_SECONDS,
    RENEWAL_SHARE,
    SEND_SECONDS,
    SIGN_IN_SECONDS,
    USE_SECONDS,
    Member,
)
from worker.erp.signin import Endpoints, Grant
from worker.erp.store import ms
from worker.erp.wire import Wire
from worker.errors import (
    AnswerCut,
    AnswerMalformed,
    DeadlineExceeded,
    ErpRestarting,
    ExchangeTimeout,
    LoginEnded,
    LoginLimit,
    SessionsBusy,
    SignInRefused,
    StoreUnavailable,
    TenantMismatch,
    UserLoginLimit,
    WorkerError,
)

PERMIT_SECONDS = 20.0
LOGIN_LIMIT_SECONDS = 30.0
USER_LIMIT_SECONDS = 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A slot whose session is to be opened, or whose token is to be renewed (``old``), for a lease.

    ``login`` names the login that it lives on, whose refresh token is ``refresh``, ``kept`` so in the store.
    """

    slot: int
    generation: int
    lease: str
    busy_ms: int
    login: str | None = None
    kept: str | None = None
    refresh: SecretStr | None = None
    old: Grant | None = None


def full(member: Member, error: LoginLimit) -> dict[str, Any]:
    """What the store is told of a login limit that was met: whose it is, and for how long nobody tries again."""
    by_user = isinstance(error, UserLoginLimit)
    pause = USER_LIMIT_SECONDS if by_user else LOGIN_LIMIT_SECONDS
    whose = {"of": "user" if by_user else "license", "connection": member.mark}
    return whose | {"message": error.message, "pause_ms": ms(pause)}


def away(member: Member, error: ErpRestarting) -> dict[str, Any]:
    """What the store is told of an ERP in whose place something else answers."""
    connection = member.connection
    pause = ms(connection.restart_seconds)
    return {
        "connection": member.mark,
        "name": connection.name,
        "message": error.message,
        "pause_ms": pause,
    }


class Opener:
    """Opens the sessions of one connection."""

    def __init__(self, member: Member, budget: Budget, closer: Closer) -> None:
        self._member = member
        self._budget = budget
        self._closer = closer

    def open(self, opening: Opening, caller: Caller) -> tuple[Grant, Deadline] | None:
        """The grant of a session that is open and lent, and until when a request may be sent on that lease.

        None where its slot is not waiting for it any more, or no session could be had just now. Raises what a
        sign-in raises.
        """
        try:
            grant = self._request(opening, caller)
        except (LoginLimit, LoginEnded, ErpRestarting):
            # What stands in the way is in the store: asking for a session again says it.
            return None
        self._require_tenant(opening, grant, self._member.connection.user_branch)
        send_by = Deadline(USE_SECONDS)
        try:
            answer = self._member.script("opened", **self._facts(opening, grant))
        except StoreUnavailable:
            self._give_back(opening, grant)
            raise
        if answer["answer"] == "elsewhere":
            self._require_tenant(opening, grant, answer["before"])
        if answer["answer"] != "use":
            self._give_back(opening, grant)
            return None
        what = "renewed" if opening.old else "signed in"
        log.info(
            what, connection=self._member.connection.name, slot=opening.slot, generation=opening.generation
        )
        return grant, send_by

    def _facts(self, opening: Opening, grant: Grant) -> dict[str, Any]:
        connection, life = self._member.connection, grant.expires_in
        by_cookie = connection.sign_in == "cookie"
        lasting = max(life, connection.session_seconds)
        return {
            "name": "refreshed" if opening.old else "opened",
            "slot": opening.slot,
            "generation": opening.generation,
            "lease": opening.lease,
            "lease_ms": ms(LEASE_SECONDS),
            "busy_ms": opening.busy_ms,
            "long": 0,
            "grant": self._member.lock(grant.dumps()),
            # Cookies have no end of their own: the ERP forgets a session that nobody uses.
            "expires_ms": ms(365 * 86400) if by_cookie else ms(life),
            "renew_ms": ms(365 * 86400) if by_cookie else ms(life - min(60.0, life * RENEWAL_SHARE)),
            "gone_ms": ms(lasting + 1.0),
            "stays_ms": ms(connection.session_seconds) if by_cookie else 0,
            "renewable": 1 if grant.refresh else 0,
            "connection": self._member.mark,
            "landed": grant.user_branch,
            "login": opening.login,
            "chain": self._member.lock(grant.refresh.get_secret_value()) if grant.refresh else None,
        }

    def _request(self, opening: Opening, caller: Caller) -> Grant:
        """The ERP's grant; when there is none, the slot is left in the state that this means."""
        sent = False
        hurried = replace(caller, deadline=caller.deadline.within(PERMIT_SECONDS))
        try:
            with (
                self._budget.sign_in_permit(hurried, SIGN_IN_SECONDS) as permit,
                # A connection that was kept alive may be closed under the sign-in, whose outcome nobody knew then.
                closing(Wire(self._member.connection)) as wire,
            ):
                endpoints = self._closer.discovered(wire, hurried.deadline)
                limit, send_by = Deadline(SIGN_IN_SECONDS), self._may_send(opening)
                permit.used = sent = True
                caller.spent.asked()
                return self._ask(wire, endpoints, opening, limit, send_by)
        except BaseException as error:
            self._tell_failure(opening, error, sent)
            if isinstance(error, DeadlineExceeded):
                raise SessionsBusy("the license's minute left no request to sign in with") from None
            raise

    def _may_send(self, opening: Opening) -> Deadline:
        """Until when a request that opens the slot's session may be sent. Raises SessionsBusy where it may not."""
        send_by = Deadline(SEND_SECONDS)
        times = {
            "lease_ms": ms(LEASE_SECONDS),
            "send_ms": ms(SEND_SECONDS),
            "unknown_ms": self._member.unknown_ms,
        }
        whose = {"by": self._member.connection.name}
        step = {"name": "send", "slot": opening.slot, "generation": opening.generation} | whose
        if not self._member.script("step", **step, **times):
            raise SessionsBusy("the time to sign in passed before it was sent")
        return send_by

    def _ask(
        self, wire: Wire, endpoints: Endpoints, opening: Opening, deadline: Deadline, send_by: Deadline
    ) -> Grant:
        connection = self._member.connection
        token = opening.refresh or (opening.old.refresh if opening.old else None)
        if token is None:
            grant = signin.sign_in(wire, endpoints, deadline, send_by)
        else:
            grant = signin.refresh(wire, endpoints, token, deadline, send_by)
        if opening.old:
            return replace(grant, cookies=opening.old.cookies)
        if not connection.concurrent_access:
            return grant
        try:
            again = self._may_send(opening)
        except WorkerError:
            with suppress(WorkerError):  # what is raised matters more; a token that nobody has dies of age
                signin.revoke(wire, endpoints, grant, deadline)
            raise
        return signin.open_session(wire, endpoints, grant, deadline, again)

    def _tell_failure(self, opening: Opening, error: BaseException, sent: bool) -> None:
        """Leave the slot in the state that the failure means, and the connection with what stands in its way."""
        self._tell_bar(opening, error)
        answered = isinstance(error, AnswerCut | AnswerMalformed)
        lost = answered or isinstance(error, ExchangeTimeout) or not isinstance(error, WorkerError)
        if sent and lost:
            # The ERP has opened a session whose token nobody has, or may yet do so.
            lasting = ms(self._member.connection.session_seconds) if answered else self._member.unknown_ms
            self._tell(opening, "unknown", unknown_ms=lasting)
            if opening.old:
                with suppress(WorkerError):
                    self._closer.goodbye(opening.old, Deadline(CLOSE_SECONDS))
        elif opening.old and isinstance(error, LoginEnded):
            self._tell(opening, "not_renewable", closing_ms=0)
        else:
            self._tell(opening, "not_refreshed" if opening.old else "not_opened")

    def _tell_bar(self, opening: Opening, error: BaseException) -> None:
        whose: dict[str, Any] = {"connection": self._member.mark}
        match error:
            case SignInRefused():
                refused = {
                    "fingerprint": self._member.fingerprint,
                    "message": error.message,
                    "code": error.code,
                }
                self._member.outbox.tell("refuse", **whose, **refused)
            case LoginLimit():
                self._member.outbox.tell("full", **full(self._member, error))
            case ErpRestarting():
                self._member.outbox.tell("away", **away(self._member, error))
            case LoginEnded() if opening.login:
                log.error("a login has ended", connection=self._member.connection.name, reason=error.message)
                self._member.outbox.tell("login_ended", **whose, login=opening.login, chain=opening.kept)

    def _tell(self, opening: Opening, step: str, **times: int) -> None:
        self._member.outbox.tell("step", name=step, slot=opening.slot, generation=opening.generation, **times)

    def _give_back(self, opening: Opening, grant: Grant) -> None:
        """Close a session that the store does not wait for, and say so to the store."""
        self._closer.goodbye(grant, Deadline(CLOSE_SECONDS))
        self._tell(opening, "not_opened")

    def _require_tenant(self, opening: Opening, grant: Grant, expected: str | None) -> None:
        """Give a session back that landed elsewhere than the connection's others. Raises TenantMismatch."""
        if expected is None or grant.user_branch is None or grant.user_branch == expected:
            return
        name = self._member.connection.name
        error = TenantMismatch(
            f"connection {name!r} was signed in to branch {grant.user_branch}, not {expected}: another tenant, or the "
            f'user\'s branch has changed; it was signed out. If it is right, set user_branch = "{grant.user_branch}"',
            "connection",
        )
        self._tell_bar(opening, error)
        self._give_back(opening, grant)
        raise error
