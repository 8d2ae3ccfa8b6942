"""The seven actions at the customer's edge: read the fields, call one function, write the answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
from starlette.types import Scope

from gateway.api_v2 import answers
from gateway.api_v2.asgi import JSON, Answer, header
from gateway.api_v2.fields import order_fields, request_id, whole
from gateway.api_v2.form import Form, wrong
from gateway.api_v2.ids import MAX_READ, MAX_WRITE, Ids, ids
from gateway.api_v2.listing import Listing
from gateway.api_v2.needs import Catalog, Orders
from gateway.catalog.services import Service
from gateway.errors import Busy
from gateway.ledger.records import Account, Key

V = TypeVar("V")


class Call(msgspec.Struct, frozen=True):
    """A call of one account, its key found to be right."""

    key: Key
    account: Account
    form: Form
    scope: Scope


Action = Callable[[Call], Awaitable[Answer]]


class Actions:
    """`table` has a function for each action."""

    def __init__(self, catalog: Catalog, orders: Orders, *, currency: str) -> None:
        self._catalog = catalog
        self._listing = Listing(catalog)
        self._orders = orders
        self._currency = currency
        self.table: Final[Mapping[str, Action]] = {
            "services": self._services,
            "add": self._add,
            "status": self._status,
            "refill": self._refill,
            "refill_status": self._refill_status,
            "cancel": self._cancel,
            "balance": self._balance,
        }

    async def _services(self, call: Call) -> Answer:
        return await self._listing.answer(
            call.account.name,
            if_none_match=header(call.scope, b"if-none-match"),
            accept_encoding=header(call.scope, b"accept-encoding"),
        )

    async def _add(self, call: Call) -> Answer:
        service = self._service(call.account.name, whole(call.form.one("service")))
        order = await self._orders.add(
            call.account,
            service,
            order_fields(call.form, service),
            request_id=request_id(call.form, header(call.scope, b"idempotency-key")),
            repeats=call.key.repeats,
        )
        heard = partial(self._orders.heard, order)
        if not call.key.shows_route:
            return Answer(answers.added(order), heard=heard)
        try:
            route = await self._orders.route(order)
        except Exception:  # noqa: BLE001 - the order is placed: its id is answered whatever else fails
            route = ""
        return Answer(answers.added(order), headers=(*JSON, (b"x-panelmux-route", route.encode())), heard=heard)

    def _service(self, account: str, id: int | None) -> Service:
        service = self._catalog.sold_to(account, id) if id else None
        if service is not None:
            return service
        if id and self._catalog.undecided(id):
            raise Busy
        raise wrong("service")

    async def _status(self, call: Call) -> Answer:
        asked = ids(call.form, "order", at_most=MAX_READ)
        orders = await _ask(self._orders.status, call.account, asked)
        return Answer(answers.status(asked, orders, self._currency))

    async def _refill(self, call: Call) -> Answer:
        asked = ids(call.form, "order", at_most=MAX_WRITE)
        return Answer(answers.refill(asked, await _ask(self._orders.refill, call.account, asked)))

    async def _refill_status(self, call: Call) -> Answer:
        asked = ids(call.form, "refill", at_most=MAX_READ)
        return Answer(answers.refill_status(asked, await _ask(self._orders.refill_status, call.account, asked)))

    async def _cancel(self, call: Call) -> Answer:
        asked = ids(call.form, "order", at_most=MAX_WRITE)
        return Answer(answers.cancel(asked, await _ask(self._orders.cancel, call.account, asked)))

    async def _balance(self, call: Call) -> Answer:
        return Answer(answers.balance(await self._orders.balance(call.account), self._currency))


async def _ask(
    ask: Callable[[Account, Sequence[int]], Awaitable[Mapping[int, V]]], account: Account, asked: Ids
) -> Mapping[int, V]:
    numbers = asked.numbers()
    return await ask(account, numbers) if numbers else {}
