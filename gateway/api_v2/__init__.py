"""The customer's edge: API v2 as panels in the field speak it, and as sloppily as their customers do.

A request is read into a flat form, its key is found, one action is called, and the answer is written. Every refusal is
HTTP 200 with {"error": words}, the only form that every client reads, and changes nothing. Where *we* are at fault the
answer is a 5xx without a body instead: shops give an order up for good by an {"error"} on `status`, and ask again after
silence. On `add`, too, an error is answered only where nothing was bought; words after which a shop orders again must
not follow an order that may be on its way.
"""

from traceback import extract_tb
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api_v2.actions import Actions, Call
from gateway.api_v2.answers import error
from gateway.api_v2.asgi import Answer, Gone, Receipt, TooLarge, header, send_answer, silence
from gateway.api_v2.form import Form, read_form, wrong
from gateway.api_v2.needs import Accounts, Admission, Catalog, Orders
from gateway.api_v2.remembered import MOST
from gateway.door import HEAVY, SPARES, Caller, Door
from gateway.errors import BadForm, Busy, GatewayError, TooMany, WrongKey
from gateway.ledger.records import Account, Key
from providers.base import READS

__all__ = ["Front", "edge"]

PATHS: Final = ("/api/v2", "/api/v2/")
"""Both, without a redirect: cURL turns a redirected POST into a GET and drops its body."""

MAX_KEY: Final = 256
"""Characters; ours are shorter, keys taken over from other panels may not be."""

RECEIPT_S: Final = 10.0
"""Seconds in which a request must arrive whole."""

_NOT_ALLOWED: Final = Answer(
    error("Incorrect request"), 405, ((b"content-type", b"application/json"), (b"allow", b"GET, POST"))
)

_log = structlog.get_logger()


def edge(
    accounts: Accounts,
    admission: Admission,
    catalog: Catalog,
    orders: Orders,
    door: Door,
    *,
    currency: str,
    remembered: int = MOST,
    receipt_s: float = RECEIPT_S,
) -> "Edge":
    """The edge. `currency` is what amounts are in; `remembered`, of how many orders it knows how they stood.

    `receipt_s`: how long a request may take to arrive.
    """
    actions = Actions(catalog, orders, currency=currency, remembered=remembered, tell=door.remembers)
    return Edge(accounts, admission, door, actions, receipt_s)


class Front:
    """The edge at its paths, and `rest` at all others: a framework's routes cost more than the door."""

    def __init__(self, edge: "Edge", rest: ASGIApp) -> None:
        self._edge = edge
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._edge(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


class Edge:
    """An ASGI application rather than a Starlette endpoint: a form in, bytes out, and nothing between is paid for."""

    def __init__(
        self,
        accounts: Accounts,
        admission: Admission,
        door: Door,
        actions: Actions,
        receipt_s: float,
    ) -> None:
        self._accounts = accounts
        self._admission = admission
        self._door = door
        self._actions = actions
        self._receipt = Receipt(receipt_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._received(scope, receive)
        except Gone:
            return
        # The last moment before it is written: a client that left meanwhile reads nothing of it.
        gone = answer.heard is not None and await Request(scope, receive).is_disconnected()
        await send_answer(send, answer)
        if answer.heard is not None and not gone:
            answer.heard()

    async def _received(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] not in {"GET", "POST"}:
            return _NOT_ALLOWED
        try:
            body = await self._receipt.body(receive)
        except TooLarge as refusal:
            return Answer(error(refusal.words), close=True)
        except TimeoutError:
            return silence(408, close=True)
        action = ""
        try:
            form = read_form(scope["query_string"], body, header(scope, b"content-type"))
            action = form.one("action")
            return await self._called(action, form, scope, receive)
        except Gone:
            raise
        except TooMany as much:
            return silence(429) if action in READS else Answer(error(much.words))
        except Busy as busy:
            return silence(503) if action in READS else Answer(error(busy.words))
        except GatewayError as refusal:
            return Answer(error(refusal.words))
        except Exception as fault:  # noqa: BLE001 - whatever it is, the answer is silence
            # Where it happened and not what it says: an exception's text may quote the customer's key or link.
            _log.error("call", action=action, outcome="failed", error=type(fault).__name__, at=_place(fault))
            return silence(500)

    async def _called(self, action: str, form: Form, scope: Scope, receive: Receive) -> Answer:
        """What is asked first tells nothing of what comes after: an unknown action is the same without a key.

        Raises:
            Gone: whoever wanted to buy left before anything was written, and may have asked elsewhere since.
        """
        if action not in self._actions.table:
            raise wrong("action")
        text = form.one("key")
        if not 0 < len(text) <= MAX_KEY:
            raise WrongKey
        caller = self._door.callers.caller(scope)
        key, account, fault = await self._whose(caller, text)
        await self._admission.admit(key, account, action, caller.address)
        if action == "add" and scope["method"] == "GET" and not key.get_add:
            raise BadForm("Incorrect request: add is not accepted by GET")
        call = Call(key, account, form, scope)
        level = self._door.level()
        if level >= SPARES and (answer := self._actions.recalled(action, call)) is not None:
            return answer
        try:
            if fault is not None:
                raise fault
            if level and action in HEAVY:
                raise self._door.shed()
            turns = self._door.turns(action)
            waited = not turns.begin(account.id)
            if waited:
                await self._door.wait(turns, account.id)
        except (TooMany, Busy):
            if action == "add" and self._actions.is_repeat(call):  # what is bought already must not be refused
                return await self._actions.table[action](call)
            answer = self._actions.recalled(action, call)
            if answer is None:
                raise
            return answer
        try:
            if (waited or action == "add") and await Request(scope, receive).is_disconnected():
                raise Gone
            return await self._actions.table[action](call)
        finally:
            turns.end(account.id)

    async def _whose(self, caller: Caller, text: str) -> tuple[Key, Account, Busy | None]:
        """Whose key it is; with a fault where the ledger cannot say, and it is believed as it was last known."""
        good = self._door.knocks(caller, text)
        asks = not good and await self._door.looks_up(caller, text)
        try:
            key, account = await self._accounts.by_key(text)
            if asks:
                self._door.right(text)
        except WrongKey:
            self._door.wrong(caller, text)
            raise
        except Busy as fault:
            known = self._accounts.last_known(text)
            if known is None:
                raise
            return *known, fault
        finally:
            if asks:
                self._door.looked_up(caller, text)
        return key, account, None


def _place(fault: Exception) -> str:
    """Files and lines, the innermost first."""
    return " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(extract_tb(fault.__traceback__)))
