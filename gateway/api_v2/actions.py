"""The seven actions at the customer's edge: read the fields, call one function, write the answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
from starlette.types import Scope

from gateway.api_v2 import answers
from gateway.api_v2.asgi import JSON, Answer, header
from gateway.api_v2.deadline import Deadline
from gateway.api_v2.fields import order_fields, request_id, whole
from gateway.api_v2.form import Form, wrong
from gateway.api_v2.ids import MAX_READ, MAX_WRITE, Ids, ids
from gateway.api_v2.listing import Listing, Manner
from gateway.api_v2.needs import Catalog, Orders
from gateway.api_v2.remembered import MOST, Remembered
from gateway.catalog.services import Service
from gateway.errors import Busy, GatewayError
from gateway.ledger.records import Account, Key
from providers.service_types import OrderFields

V = TypeVar("V")

READ_S: Final = 2.0
"""How long the ledger is waited for before `status` is answered as it was last known."""


class Call(msgspec.Struct, frozen=True):
    """A call of one account, its key found to be right."""

    key: Key
    account: Account
    form: Form
    scope: Scope


Action = Callable[[Call], Awaitable[Answer]]


class Actions:
    """`table` has a function for each action; `tell` is called with those that were answered from memory."""

    def __init__(
        self,
        catalog: Catalog,
        orders: Orders,
        *,
        currency: str,
        remembered: int = MOST,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._catalog = catalog
        self._tell = tell
        self._listing = Listing(catalog, tell=tell)
        self._orders = orders
        self._currency = currency
        self._remembered: Remembered[answers.Stand] = Remembered(remembered)
        self._patience = Deadline(READ_S)
        self.table: Final[Mapping[str, Action]] = {
            "services": self._services,
            "add": self._add,
            "status": self._status,
            "refill": self._refill,
            "refill_status": self._refill_status,
            "cancel": self._cancel,
            "balance": self._balance,
        }

    def recalled(self, action: str, call: Call) -> Answer | None:
        """What is answered without asking the ledger or anybody, where it is known: `status`, `services`.

        Raises:
            BadForm: what is asked for cannot be.
        """
        if action == "status":
            return self._as_remembered(call.account, ids(call.form, "order", at_most=MAX_READ))
        if action == "services":
            return self._listing.last(call.account.name, **_manner(call))
        return None

    def is_repeat(self, call: Call) -> bool:
        """Whether an `add` repeats one whose answer was not heard, and is answered without buying anything."""
        try:
            service, fields, name = self._asked(call)
        except GatewayError:
            return False
        return self._orders.is_known(call.account, service, fields, request_id=name, repeats=call.key.repeats)

    async def _services(self, call: Call) -> Answer:
        return await self._listing.answer(call.account.name, **_manner(call))

    async def _add(self, call: Call) -> Answer:
        service, fields, name = self._asked(call)
        order = await self._orders.add(call.account, service, fields, request_id=name, repeats=call.key.repeats)
        heard = partial(self._orders.heard, order)
        if not call.key.shows_route:
            return Answer(answers.added(order), heard=heard)
        try:
            route = await self._orders.route(order)
        except Exception:  # noqa: BLE001 - the order is placed: its id is answered whatever else fails
            route = ""
        return Answer(answers.added(order), headers=(*JSON, (b"x-panelmux-route", route.encode())), heard=heard)

    def _asked(self, call: Call) -> tuple[Service, OrderFields, str | None]:
        """What an `add` asks for, and its own name for it."""
        service = self._service(call.account.name, whole(call.form.one("service")))
        name = request_id(call.form, header(call.scope, b"idempotency-key"))
        return service, order_fields(call.form, service), name

    def _service(self, account: str, id: int | None) -> Service:
        service = self._catalog.sold_to(account, id) if id else None
        if service is not None:
            return service
        if id and self._catalog.undecided(id):
            raise Busy
        raise wrong("service")

    async def _status(self, call: Call) -> Answer:
        asked = ids(call.form, "order", at_most=MAX_READ)
        try:
            orders = await self._patience.of(_ask(self._orders.status, call.account, asked))
        except Exception:  # whatever it is, an order that was shown stands as it was shown
            answer = self._as_remembered(call.account, asked)
            if answer is None:
                raise
            return answer
        stand = {id: answers.stand(order, self._currency) for id, order in orders.items()}
        self._remembered.keep(call.account.id, stand)
        return Answer(answers.status(asked, stand))

    def _as_remembered(self, account: Account, asked: Ids) -> Answer | None:
        stand = self._remembered.all(account.id, asked.numbers())
        if stand is None:
            return None
        self._tell("status")
        return Answer(answers.status(asked, stand))

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


def _manner(call: Call) -> Manner:
    """How a list is to be answered."""
    return {
        "if_none_match": header(call.scope, b"if-none-match"),
        "accept_encoding": header(call.scope, b"accept-encoding"),
    }


async def _ask(
    ask: Callable[[Account, Sequence[int]], Awaitable[Mapping[int, V]]], account: Account, asked: Ids
) -> Mapping[int, V]:
    numbers = asked.numbers()
    return await ask(account, numbers) if numbers else {}
