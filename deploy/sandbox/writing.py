"""Requests that write under /entity: PUT, PATCH and DELETE of records, PUT of files, and PUT to an inquiry.

A save takes its time while core and session are held, and is made at the end of it, whether the client still waits or
not.
"""

import asyncio
from urllib.parse import parse_qsl

from deploy.sandbox import inquiries, replies
from deploy.sandbox.answer import Answer
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.plan import log_change
from deploy.sandbox.reading import no_access, no_resource, refused
from deploy.sandbox.replies import Reply
from deploy.sandbox.saves import Write, Written, delete, put
from deploy.sandbox.schema import Contract
from deploy.sandbox.sessions import SignIn
from deploy.sandbox.site import Site
from deploy.sandbox.uploads import attach

METHODS = frozenset({"PUT", "PATCH", "DELETE"})


async def write(exchange: Exchange, caller: SignIn) -> Reply:
    """A write, answered when it is made."""
    barred = await exchange.admit(caller) or no_access(exchange, caller)
    if barred is not None:
        return barred
    site = exchange.site
    body = await exchange.request.body()
    await asyncio.sleep(site.options.latency.base + site.options.write_latency)
    path = exchange.path[1:]
    contract = site.instance.contract(path[0], path[1]) if len(path) > 2 else None
    if contract is None:
        answer = no_resource(path)
    elif "files" in (path[2], *path[-2:-1]):
        return _file(exchange, caller, contract, body)
    else:
        answer = _record(exchange, caller, contract, body)
    reply = replies.data(site.build.name, answer, caller.who.tenant.user_branch, site.user_zone)
    return replies.with_request(reply, "/".join(exchange.path))


def _file(exchange: Exchange, caller: SignIn, contract: Contract, body: bytes) -> Reply:
    """A file's bytes: 204 with the file's place."""
    site, comment = exchange.site, exchange.request.headers.get("px-cbfilecomment", "")
    answer, location = attach(site.instance, contract, exchange.path[3:], body, comment)
    if exchange.request.method != "PUT":
        answer, location = _wrong_method(exchange), ""
    reply = replies.data(site.build.name, answer, caller.who.tenant.user_branch, site.user_zone)
    return replies.with_request(reply, "/".join(exchange.path), location)


def _record(exchange: Exchange, caller: SignIn, contract: Contract, body: bytes) -> Answer:
    site, method, keys = exchange.site, exchange.request.method, exchange.path[4:]
    order = _order(exchange, caller, contract)
    definition = contract.entities.get(order.entity)
    if method == "DELETE" and keys:
        return _noted(exchange, site, delete(site.instance, order, keys))
    if method == "DELETE" or keys or (method == "PATCH" and not site.build.newer):
        return _wrong_method(exchange)
    if definition is not None and definition.form.inquiry and method == "PUT":
        return inquiries.run(site.instance, contract, definition, body, order.query)
    return _noted(exchange, site, put(site.instance, order, body))


def _order(exchange: Exchange, caller: SignIn, contract: Contract) -> Write:
    """What the request asks for, in its headers and its query."""
    headers = exchange.request.headers
    account = exchange.site.identity.accounts.find(caller.who.user)
    return Write(
        contract,
        exchange.path[3],
        dict(parse_qsl(exchange.request.url.query, keep_blank_values=True)),
        only_new=headers.get("if-none-match", "").strip() == "*",
        only_known=headers.get("if-match", "").strip() == "*",
        patch=exchange.request.method == "PATCH",
        keeps=account is None or not account.view_only,
    )


def _noted(exchange: Exchange, site: Site, written: Written) -> Answer:
    """The answer to a write, which is in the event log if it changed anything."""
    if written.op:
        done: dict[str, object] = {
            "op": written.op,
            "entity": exchange.path[3],
            "id": written.record,
            "keys": list(written.keys),
        }
        log_change(site.log, done)
    return written.answer


def _wrong_method(exchange: Exchange) -> Answer:
    method = exchange.request.method
    return refused(405, f"The requested resource does not support http method '{method}'.")
