"""Requests that come twice, over a real wire: joined, collapsed, refused or bought, as their key says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from gateway.errors import BadForm, RequestIdTaken
from gateway.ledger.protocol import Ledger
from gateway.ledger.repeated import Recent
from gateway.ledger.sql.ledger import SQLLedger
from gateway.orders.repeats import Repeats, request
from providers.base import OrderStatus
from providers.service_types import Default
from tests import wares
from tests.market import Market, Open
from tests.running import until

pytestmark = pytest.mark.anyio

ACTIVE = {"error": "You have active order with this link. Please wait until order being completed."}
TAKEN = {"error": "This request id was used for another order"}


@contextlib.asynccontextmanager
async def holding(here: Market, panel: str = "a") -> AsyncIterator[asyncio.Event]:
    """Every add to the panel waits, before it is sent, for the event that is given."""
    found = here.shop.gateway.catalog.panel(panel)
    assert found is not None
    go, add = asyncio.Event(), found.provider.add

    async def held(*args: Any, **kwargs: Any) -> Any:
        await go.wait()
        return await add(*args, **kwargs)

    found.provider.add = held  # type: ignore[method-assign]
    try:
        yield go
    finally:
        go.set()
        found.provider.add = add  # type: ignore[method-assign]


async def asks(here: Market) -> asyncio.StreamWriter:
    """A customer who asks for the usual order, on a connection of its own."""
    port = int(here.shop.url.split(":")[2].split("/")[0])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    form = {"key": here.shop.key, "action": "add", "service": 1, "link": wares.LINK, "quantity": 20}
    body = urlencode(form).encode()
    head = b"POST /api/v2 HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
    return writer


async def leaves(here: Market) -> None:
    """A customer who asks for the usual order, and is gone while it is being placed."""
    async with holding(here) as go:
        writer = await asks(here)

        async def being_placed() -> bool:
            return here.shop.gateway.placing.open == 1

        await until(being_placed)
        writer.transport.abort()
        await here.balance()  # whatever the server has been sent before this, it has read
        go.set()

        async def placed() -> bool:
            return here.shop.gateway.placing.open == 0

        await until(placed)
        await here.balance()


async def keyed(here: Market, policy: str) -> None:
    """From here on the shop uses a key of this policy."""
    account = await here.shop.gateway.ledger.account("shop")
    assert account is not None
    here.shop.key, _ = await here.shop.gateway.accounts.create_key(account.id, repeats=policy)


async def test_an_answer_that_was_heard_is_not_given_again(market: Open) -> None:
    async with market() as here:
        first, second = await here.add(), await here.add()
        assert first != second
        assert len(here.bought()) == 2


async def test_who_left_before_the_answer_and_asks_again_gets_the_same_order(market: Open) -> None:
    async with market() as here:
        await leaves(here)
        order = (await here.order()).id
        assert await here.add() == {"order": order}
        assert len(here.bought()) == 1
        assert (await here.add())["order"] != order, "the answer was heard by then"
        assert len(here.bought()) == 2


async def test_who_left_before_anything_was_written_bought_nothing(market: Open) -> None:
    """As where a process was paused: whoever asked it may have asked another since, and been answered."""
    async with market() as here:
        accounts = here.shop.gateway.accounts
        known, reached, go = accounts.by_key, asyncio.Event(), asyncio.Event()

        async def held(key: str) -> Any:
            reached.set()
            await go.wait()
            return await known(key)

        accounts.by_key = held  # type: ignore[method-assign]
        writer = await asks(here)
        await reached.wait()
        writer.transport.abort()
        async with here.shop.session.get(here.shop.url.replace("/api/v2", "/healthz")) as answer:
            assert answer.status == 200  # whatever the server has been sent before this, it has read
        accounts.by_key = known  # type: ignore[method-assign]
        go.set()
        await here.add(quantity=21)
        [order] = await here.shop.gateway.ledger.list_orders()
        assert order.quantity == 21


async def test_a_process_that_may_not_send_takes_no_order(market: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with market() as here:
        monkeypatch.setattr(here.shop.gateway.placing, "_may_send", lambda: "it was paused")
        assert await here.add() == {"error": "Service is under maintenance, please try again later"}
        assert await here.shop.gateway.ledger.list_orders() == ()


async def test_another_order_is_never_taken_for_the_lost_one(market: Open) -> None:
    async with market() as here:
        await leaves(here)
        order = (await here.order()).id
        assert (await here.add(quantity=21))["order"] != order
        assert (await here.add(link=wares.LINK + "x"))["order"] != order
        assert (await here.add()) == {"order": order}


async def test_concurrent_twins_are_one_order(market: Open) -> None:
    async with market() as here, holding(here) as go:
        twins = [asyncio.create_task(here.add()) for _ in range(5)]

        async def all_wait() -> bool:
            flights = here.shop.gateway.orders._repeats._flights.values()
            return [flight.waiting for flight in flights] == [5]

        await until(all_wait)
        go.set()
        answers = await asyncio.gather(*twins)
        assert answers == answers[:1] * 5
        assert len(here.bought()) == 1
        assert (await here.add())["order"] != answers[0]["order"], "all five were heard"


async def test_concurrent_twins_share_a_refusal(market: Open) -> None:
    async with market("add:bad_link") as here, holding(here) as go:
        twins = [asyncio.create_task(here.add()) for _ in range(2)]

        async def both_wait() -> bool:
            flights = here.shop.gateway.orders._repeats._flights.values()
            return [flight.waiting for flight in flights] == [2]

        await until(both_wait)
        go.set()
        assert await asyncio.gather(*twins) == [{"error": "Incorrect link"}] * 2
        assert here.first.sends["add"] == 1
        assert await here.add() == {"error": "Incorrect link"}
        assert here.first.sends["add"] == 2, "a refusal is not kept"


async def test_a_request_of_a_name_is_one_order_for_a_day(market: Open) -> None:
    async with market() as here:
        first = await here.add(request_id="cart-7")
        assert await here.add(request_id="cart-7") == first
        assert await here.add(request_id="cart-7", quantity=21) == TAKEN
        assert await here.add(request_id="cart-8") != first
        assert len(here.bought()) == 2


async def test_a_name_is_an_accounts_own(market: Open) -> None:
    async with market() as here:
        first = await here.add(request_id="cart-7")
        other = await here.shop.gateway.ledger.create_account("other", unlimited=True)
        here.shop.key, _ = await here.shop.gateway.accounts.create_key(other.id)
        assert await here.add(request_id="cart-7") != first


async def test_a_name_is_known_after_a_restart_and_when_nothing_is_sold_any_more(market: Open) -> None:
    async with market() as here:
        first = await here.add(request_id="cart-7")
    async with market() as here:
        panels = here.shop.gateway.catalog.panels
        for panel in panels.values():
            panel.stop_for = "a test"
        assert await here.add(request_id="cart-7") == first
        assert await here.add(request_id="cart-8") == {"error": "This service is not available right now"}


async def test_a_name_is_free_again_after_a_refusal(market: Open) -> None:
    async with market("add:1:bad_link") as here:
        assert await here.add(request_id="cart-7") == {"error": "Incorrect link"}
        assert "order" in await here.add(request_id="cart-7")


async def test_the_header_names_a_request_too(market: Open) -> None:
    async with market() as here:
        form = {"key": here.shop.key, "action": "add", "service": "1", "link": wares.LINK, "quantity": "20"}
        answers = []
        for name in ("cart-7", '"cart-7"'):
            async with here.shop.session.post(here.shop.url, data=form, headers={"Idempotency-Key": name}) as answer:
                answers.append(await answer.json())
        answers.append(await here.add(request_id="cart-7"))
        assert answers == answers[:1] * 3
        async with here.shop.session.post(
            here.shop.url, data={**form, "request_id": "cart-8"}, headers={"Idempotency-Key": "cart-7"}
        ) as answer:
            assert await answer.json() == {"error": "Incorrect request_id"}


@pytest.mark.parametrize("name", ["x" * 256, "ü", "a\tb"])
async def test_a_name_that_cannot_be_one_places_nothing(market: Open, name: str) -> None:
    async with market() as here:
        assert await here.add(request_id=name) == {"error": "Incorrect request_id"}
        form = {"key": here.shop.key, "action": "add", "service": "1", "link": wares.LINK, "quantity": "20"}
        async with here.shop.session.post(here.shop.url, data=form, headers={"Idempotency-Key": name}) as answer:
            assert await answer.json() == {"error": "Incorrect Idempotency-Key"}
        assert here.bought() == []


async def test_a_key_may_allow_what_looks_the_same(market: Open) -> None:
    async with market() as here:
        await keyed(here, "allow")
        await leaves(here)
        assert (await here.add())["order"] != (await here.shop.gateway.ledger.list_orders())[-1].id
        assert len(here.bought()) == 2


async def test_a_key_may_refuse_a_second_order_until_the_first_has_ended(market: Open) -> None:
    async with market() as here:
        await keyed(here, "refuse")
        order = (await here.add())["order"]
        assert await here.add() == ACTIVE
        assert "order" in await here.add(quantity=21)
        here.first.set_status(here.first.journal[0].remote_id, "Completed", remains=0)
        await here.becomes(order, OrderStatus.COMPLETED)
        assert (await here.add())["order"] != order


async def test_a_key_may_take_the_same_for_one_for_a_while(market: Open) -> None:
    async with market() as here:
        await keyed(here, "3600")
        order = await here.add()
        assert await here.add() == order
        assert len(here.bought()) == 1


@pytest.mark.parametrize("clean", [True, False])
async def test_after_a_crash_nobody_knows_who_heard_what(
    market: Open, monkeypatch: pytest.MonkeyPatch, *, clean: bool
) -> None:
    async with market() as here:
        order = await here.add()
        if not clean:

            async def nothing(_: SQLLedger) -> None:
                """The process died before it could say that all is well."""

            monkeypatch.setattr(SQLLedger, "stopped", nothing)
    async with market() as here:
        again = await here.add()
        assert (again == order) is not clean
        assert len(here.bought()) == int(clean)


# The memory itself, by a clock of its own.


class Memory:
    """Repeats with a clock that stands still, and a shop that buys from it."""

    def __init__(self, most: int = 100) -> None:
        self.now = 1000.0
        self.bought = 0
        self.repeats = Repeats(cast("Ledger", None), most=most, clock=lambda: self.now)  # asked by "refuse" alone

    async def add(self, link: str = "l", *, name: str | None = None, policy: str = "join") -> int:
        return await self.repeats.once(
            request(1, 1, Default(link=link, quantity=1), name=name, repeats=policy), self._buy
        )

    async def _buy(self) -> int:
        await asyncio.sleep(0)
        self.bought += 1
        return self.bought


async def test_an_answer_not_heard_is_kept_for_two_minutes() -> None:
    memory = Memory()
    assert await memory.add() == 1
    for _ in range(3):  # from the last one, which may not have been heard either
        memory.now += 119
        assert await memory.add() == 1
    memory.now += 121
    assert await memory.add() == 2


async def test_as_many_must_hear_as_waited() -> None:
    memory = Memory()
    assert list(await asyncio.gather(memory.add(), memory.add())) == [1, 1]
    memory.repeats.heard(1)
    assert await memory.add() == 1, "one of the two heard nothing"
    memory.repeats.heard(1)
    assert await memory.add() == 2


async def test_what_would_be_answered_without_buying_is_known_before_and_nothing_else_is() -> None:
    memory = Memory()

    def known(link: str = "l", *, name: str | None = None, policy: str = "join") -> bool:
        asked = request(1, 1, Default(link=link, quantity=1), name=name, repeats=policy)
        before = dict(memory.repeats._answered)
        answer = memory.repeats.knows(asked)
        assert memory.repeats._answered == before
        return answer

    assert not known()
    first = asyncio.create_task(memory.add())
    named = asyncio.create_task(memory.add("m", name="n"))
    await asyncio.sleep(0)
    assert known()
    assert not known(policy="allow")
    assert not known("other")
    assert known("m", name="n")
    assert not known("other", name="n")
    await asyncio.gather(first, named)
    assert known(), "nobody has heard the answer"
    memory.repeats.heard(1)
    assert not known()
    assert known(policy="30")
    assert not known("m", name="n"), "the ledger knows, and is not asked"
    memory.now += 31
    assert not known(policy="30")


async def test_seconds_count_from_the_first() -> None:
    memory = Memory()
    assert await memory.add(policy="30") == 1
    memory.repeats.heard(1)
    memory.now += 29
    assert await memory.add(policy="30") == 1
    memory.repeats.heard(1)
    memory.now += 2
    assert await memory.add(policy="30") == 2


async def test_twins_of_one_name_that_ask_for_different_things() -> None:
    memory = Memory()
    first = asyncio.create_task(memory.add(name="n"))
    await asyncio.sleep(0)
    with pytest.raises(RequestIdTaken):
        await memory.add("other", name="n")
    assert await first == 1


async def test_the_memory_is_bounded() -> None:
    memory = Memory(3)
    for number in range(5):
        await memory.add(f"l{number}")
    assert await memory.add("l4") == 5
    assert await memory.add("l0") == 6
    assert len(memory.repeats._answered) == len(memory.repeats._fingerprints) == 3


async def test_a_failed_buy_is_forgotten() -> None:
    memory = Memory()

    async def refused() -> int:
        raise BadForm("no")

    asked = request(1, 1, Default(link="l", quantity=1), name=None, repeats="join")
    with pytest.raises(BadForm):
        await memory.repeats.once(asked, refused)
    assert await memory.add() == 1


async def test_what_was_recalled_is_as_old_as_it_is() -> None:
    memory = Memory()
    prints = [request(1, 1, Default(link=link, quantity=1), name=None, repeats="join") for link in ("l", "m")]
    recent = [
        Recent(order=90 + index, account=1, fingerprint=asked.fingerprint, created_ms=1_000_000 + index * 100_000)
        for index, asked in enumerate(prints)
    ]
    memory.repeats.recall(recent, now_ms=1_200_000, unheard_since_ms=1_050_000)
    assert await memory.add("m") == 91, "it may be that nobody heard"
    assert await memory.add("l", policy="201") == 90, "it is 200 s old"
    assert await memory.add("l", policy="199") == 1
