"""Actions: `POST /{Entity}/{Action}`, done at once or by a long operation, and the polls of the latter.

Every execution is an event `action`, and no request executes more than one. Refusals are replies; nothing is raised but
what the front door declines.
"""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from typing import Literal

from deploy.sandbox import replies
from deploy.sandbox.asked import BadBody, read_body
from deploy.sandbox.effects import effect_of
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.operations import Task, still_busy
from deploy.sandbox.outcomes import Execution, Refused, check, perform
from deploy.sandbox.reading import no_access
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SignIn

_NO_RECORD = "00000000-0000-0000-0000-000000000000"


def is_action(method: str, path: list[str]) -> bool:
    """Whether a request, by its path below the site, asks for an action."""
    return method == "POST" and len(path) == 5


def is_poll(method: str, path: list[str]) -> bool:
    """Whether a request asks how a long operation is doing. The license does not count it (vendor's guide)."""
    return method == "GET" and len(path) == 7 and path[5] == "status"


@dataclass(frozen=True)
class Call:
    """A request about an action, and who makes it."""

    exchange: Exchange
    caller: SignIn

    @property
    def base(self) -> str:
        """`/{site}/entity/{endpoint}/{version}`."""
        site = self.exchange.site.options.site
        return "/".join(["", *([site] if site else []), *self.exchange.path[:3]])

    @property
    def here(self) -> str:
        """The whole path."""
        return "/".join([self.base, *self.exchange.path[3:]])

    def acted(self, status: Literal[202, 204], location: str) -> Reply:
        """A success, with where to look next."""
        cookies = replies.user_cookies(self.caller.who.tenant.user_branch, self.exchange.site.user_zone)
        return replies.acted(status, location, "/".join(self.exchange.path), cookies)

    def no_resource(self) -> Reply:
        """No such action, or no such operation in this session: 404 (documented; the body was never captured)."""
        words = f"No HTTP resource was found that matches the request URI '{self.here}'."
        return replies.message(404, words)


async def act(exchange: Exchange, caller: SignIn) -> Reply:
    """Execute an action on a record: 204 when it is done, 202 when a long operation has begun."""
    refused = await exchange.admit(caller) or no_access(exchange, caller)
    if refused is not None:
        return refused
    body = await exchange.request.body()
    options = exchange.site.options
    await asyncio.sleep(options.latency.base + options.write_latency)
    call = Call(exchange, caller)
    try:
        return _execute(call, _checked(call, body))
    except BadBody as why:
        return replies.bad_request(str(why))
    except Refused as refusal:
        return refusal.reply


async def poll(exchange: Exchange, caller: SignIn) -> Reply:
    """How a long operation is doing: 202 while it runs, then how it ended, as often as it is asked.

    The license neither counts nor queues it; a session that is not open any more is opened again, and is another.
    """
    await exchange.take_turn(caller)
    refused = exchange.take_place(caller)
    if refused is not None:
        return refused
    site, operation_id = exchange.site, exchange.path[6]
    await asyncio.sleep(site.options.latency.base)
    operation = site.operations.find(operation_id, exchange.session)
    exchange.log("poll", operation=operation_id, state=operation.state if operation else "unknown")
    call = Call(exchange, caller)
    if operation is None or [operation.task.entity, operation.task.action] != exchange.path[3:5]:
        return call.no_resource()
    return call.acted(202, call.here) if operation.state == "running" else operation.answer


def _checked(call: Call, body: bytes) -> Execution:
    """What is to be done; raises BadBody or Refused."""
    instance, path = call.exchange.site.instance, call.exchange.path
    contract = instance.contract(path[1], path[2])
    definition = contract.entities.get(path[3]) if contract else None
    effect = effect_of(path[3], path[4], definition.actions.get(path[4])) if definition else None
    if contract is None or effect is None:
        raise Refused(call.no_resource())
    return check(instance, contract, path[3], effect, read_body(body))


def _execute(call: Call, execution: Execution) -> Reply:
    """Do it, or begin to; raises Refused when it cannot be done."""
    exchange, site, action = call.exchange, call.exchange.site, call.exchange.path[4]
    record = f"{call.base}/{execution.entity}/{execution.record}"
    if not (execution.effect.long or f"{execution.entity}/{action}" in site.operations.long):
        _log(exchange, execution)
        perform(site.instance, execution)
        return call.acted(204, record if site.options.action_location == "record" else "")
    if exchange.session is None or site.operations.running(exchange.session) is not None:
        return still_busy()
    _log(exchange, execution)
    if execution.effect.nameless:
        record = f"{call.base}/{execution.entity}/{_NO_RECORD}"
    task = Task(execution.entity, action, execution.record, execution.screen, exchange.session)
    operation = site.operations.start(task, partial(_finish, call, execution, record), exchange.number)
    return call.acted(202, f"{call.here}/status/{operation.id}")


def _finish(call: Call, execution: Execution, record: str) -> Reply:
    """The work of a long operation, and what its polls are answered from then on."""
    try:
        perform(call.exchange.site.instance, execution)
    except Refused as refusal:
        return refusal.reply
    return call.acted(204, record)


def _log(exchange: Exchange, execution: Execution) -> None:
    exchange.log(
        "action",
        entity=execution.entity,
        action=exchange.path[4],
        record=execution.record,
        parameters=json.dumps(execution.parameters, ensure_ascii=False),
    )
