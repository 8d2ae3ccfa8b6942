"""After an order is placed: its status followed, refills and cancels passed on, whatever the panel answers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.records import Accepted, LedgerBusy
from gateway.reconcile import Reconcile
from gateway.rules.model import Publish, Rules
from providers.errors import Unanswered
from providers.sandbox import Sandbox, Tempo
from tests import wares
from tests.running import Selling, panel, selling, until

pytestmark = pytest.mark.anyio

LATER = {"error": "There was an error processing your request. Please try again later"}
STILL = Tempo(pending=(3600, 3600), cancel=(0.01, 0.02), refill=(0.01, 0.02))


class Shop:
    def __init__(self, selling: Selling, box: Sandbox) -> None:
        self.selling = selling
        self.box = box

    async def call(self, action: str, **fields: object) -> Any:
        return await self.selling.call(action, **fields)

    async def bought(self, service: int = 1, link: str = wares.LINK) -> int:
        told = await self.call("add", service=service, link=link, quantity=20)
        order: int = told["order"]
        return order

    async def completed(self, link: str = wares.LINK) -> int:
        order = await self.bought(link=link)
        self.box.set_status(self.box.journal[-1].remote_id, "Completed", remains=0)
        await self.becomes(order, "Completed")
        return order

    async def becomes(self, order: int, word: str) -> None:
        async def there() -> bool:
            return bool((await self.call("status", order=order))["status"] == word)

        await until(there)

    async def events(self, order: int) -> list[str]:
        return [event.what for event in await self.selling.gateway.ledger.events(order)]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    rows = wares.services()
    rows += [{**rows[0], "service": 101, "refill": False, "cancel": False}]
    box = Sandbox("p1", key="panel-key", catalogue=rows, tempo=STILL)
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(box.serve())
        rules = Rules(panels={"p1": panel(url)}, publish=(Publish(panel="p1"),))
        ours = await stack.enter_async_context(selling(rules, tmp_path))
        await ours.gateway.catalog.until_ready()
        yield Shop(ours, box)


# --- status


async def test_a_status_without_information_changes_nothing(shop: Shop) -> None:
    order = await shop.bought()
    shop.box.set_status(shop.box.journal[0].remote_id, "In progress", remains=12)
    await shop.becomes(order, "In progress")
    for fault in ("omit", "word=Fishy", "lost", "lost_text", "foreign", "html", "http=404", "blank", "truncate=5"):
        shop.box.faults = f"status:{fault}"
        asked = shop.box.sends["status"]

        async def asked_again(asked: int = asked) -> bool:
            return shop.box.sends["status"] > asked + 1

        await until(asked_again)
        told = await shop.call("status", order=order)
        assert (told["status"], told["remains"]) == ("In progress", "12"), fault
    shop.box.faults = ""
    shop.box.set_status(shop.box.journal[0].remote_id, "Completed", remains=0)
    await shop.becomes(order, "Completed")


async def test_a_panel_that_is_down_leaves_the_last_known_status(shop: Shop) -> None:
    order = await shop.bought()
    shop.box.stop_listening()
    told = await shop.call("status", order=order)
    assert told["status"] == "Pending"
    await shop.box.listen()
    shop.box.set_status(shop.box.journal[0].remote_id, "Completed", remains=0)
    await shop.becomes(order, "Completed")


async def test_the_following_survives_a_ledger_that_is_busy_and_a_fault_nobody_foresaw(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.bought()
    ledger = shop.selling.gateway.ledger
    due, faults = ledger.due, iter([LedgerBusy("locked"), RuntimeError("nobody foresaw this")])
    met: list[Exception] = []

    async def faulty(*arguments: Any, **named: Any) -> Any:
        fault = next(faults, None)
        if fault is not None:
            met.append(fault)
            raise fault
        return await due(*arguments, **named)

    monkeypatch.setattr(ledger, "due", faulty)
    shop.box.set_status(shop.box.journal[0].remote_id, "Completed", remains=0)
    await shop.becomes(order, "Completed")
    assert len(met) == 2


async def test_orders_are_asked_about_in_batches_of_at_most_a_hundred(shop: Shop) -> None:
    orders = await asyncio.gather(*(shop.bought(link=f"https://x.example/p/{number}") for number in range(130)))
    for entry in list(shop.box.journal):
        shop.box.set_status(entry.remote_id, "Completed", remains=0)
    for order in orders:
        await shop.becomes(order, "Completed")
    asked = [call.fields.get("orders", "").count(",") + 1 for call in shop.box.calls if call.action == "status"]
    assert max(asked) <= 100
    assert len(asked) < 130


async def test_one_order_that_cannot_be_taken_in_holds_up_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await shop.bought(), await shop.bought(link="https://x.example/p/2")
    ledger = shop.selling.gateway.ledger
    observe = ledger.observe

    [bad] = await ledger.attempts(first)

    async def poisoned(attempt: int, *arguments: Any, **named: Any) -> Any:
        if attempt == bad.id:
            raise ArithmeticError("a number nobody foresaw")
        return await observe(attempt, *arguments, **named)

    monkeypatch.setattr(ledger, "observe", poisoned)
    for entry in list(shop.box.journal):
        shop.box.set_status(entry.remote_id, "Completed", remains=0)
    await shop.becomes(second, "Completed")
    assert (await shop.call("status", order=first))["status"] == "Pending"


async def test_an_order_of_which_nothing_was_learned_is_not_asked_about_again_at_once(shop: Shop) -> None:
    gateway = shop.selling.gateway
    panel = gateway.panels["p1"]
    await gateway.reconcile.stop()
    slow = Reconcile(
        gateway.ledger, gateway.catalog, gateway.placing, gateway.metrics, status_s=3600.0, anchor_s=3600.0
    )
    await shop.bought()
    shop.box.faults = "status:omit"
    assert await slow.track(panel) == 0
    assert await slow.track(panel) == 0
    assert shop.box.sends["status"] == 1


async def test_a_panel_that_wants_to_be_left_alone_is_left_alone(shop: Shop) -> None:
    await shop.bought()
    shop.box.faults = "status:rate_limit=600"

    async def told_so() -> bool:
        return not shop.selling.gateway.panels["p1"].readable(time.monotonic())

    await until(told_so)
    assert await shop.selling.gateway.reconcile.track(shop.selling.gateway.panels["p1"]) == 0
    asked = shop.box.sends["status"]
    for _ in range(5):
        await shop.selling.gateway.reconcile.track(shop.selling.gateway.panels["p1"])
    assert shop.box.sends["status"] == asked


# --- refill


async def test_a_service_without_refill_refuses_without_asking_the_panel(shop: Shop) -> None:
    order = await shop.bought(service=101)
    assert await shop.call("refill", order=order) == {"error": "Refill is disabled for this service"}
    assert shop.box.sends["refill"] == 0


async def test_a_refill_whose_answer_is_lost_is_not_asked_for_twice(shop: Shop) -> None:
    order = await shop.completed()
    shop.box.faults = "refill:fin_after"
    first = await shop.call("refill", order=order)
    assert set(first) == {"refill"}
    shop.box.faults = ""
    assert await shop.call("refill", order=order) == first
    assert [entry.action for entry in shop.box.journal].count("refill") == 1
    assert await shop.call("refill_status", refill=first["refill"]) == {"status": "Pending"}


async def test_a_refill_that_could_not_be_sent_may_be_asked_for_again(shop: Shop) -> None:
    order = await shop.completed()
    shop.box.stop_listening()
    assert await shop.call("refill", order=order) == LATER
    await shop.box.listen()
    told = await shop.call("refill", order=order)
    assert set(told) == {"refill"}


async def test_a_ledger_that_is_busy_leaves_no_refill_behind_that_can_never_be_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [await shop.completed(link=f"https://x.example/p/{number}") for number in range(2)]
    ledger = shop.selling.gateway.ledger
    opened, settled = ledger.open_refill, ledger.settle_refill
    busy = {"open": 1, "settle": 2}

    async def open_refill(order: int, panel: str) -> Any:
        if order == orders[1] and busy["open"]:
            busy["open"] -= 1
            raise LedgerBusy("locked")
        return await opened(order, panel)

    async def settle_refill(*arguments: Any, **named: Any) -> Any:
        if busy["settle"]:
            busy["settle"] -= 1
            raise LedgerBusy("locked")
        return await settled(*arguments, **named)

    monkeypatch.setattr(ledger, "open_refill", open_refill)
    monkeypatch.setattr(ledger, "settle_refill", settle_refill)
    told = await shop.call("refill", orders=",".join(map(str, orders)))
    assert isinstance(told[0]["refill"], int)
    assert told[1]["refill"] == LATER
    account = await ledger.account("shop")
    assert account is not None
    kept = (await ledger.refills(account.id, [told[0]["refill"]]))[told[0]["refill"]]
    assert kept.remote_id is not None
    assert set(await shop.call("refill", order=orders[1])) == {"refill"}


async def test_a_refill_the_panel_refuses_is_refused(shop: Shop) -> None:
    order = await shop.completed()
    shop.box.set_status(shop.box.journal[0].remote_id, "In progress", remains=5)  # the panel has changed its mind
    assert await shop.call("refill", order=order) == {"error": "Refill is not available for this order"}


async def test_a_refill_is_followed_to_its_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.orders.requests._FRESH_S", 0.0)
    order = await shop.completed()
    refill = (await shop.call("refill", order=order))["refill"]

    async def ended() -> bool:
        return bool((await shop.call("refill_status", refill=refill))["status"] == "Completed")

    await until(ended)
    asked = shop.box.sends["refill_status"]
    assert (await shop.call("refill_status", refill=refill))["status"] == "Completed"
    assert shop.box.sends["refill_status"] == asked, "an ended refill is not asked about"


async def test_a_refill_status_is_the_last_known_while_the_panel_is_down(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.orders.requests._FRESH_S", 0.0)
    order = await shop.completed()
    refill = (await shop.call("refill", order=order))["refill"]
    shop.box.stop_listening()
    assert await shop.call("refill_status", refill=refill) == {"status": "Pending"}


# --- cancel


async def test_a_service_without_cancel_refuses_without_asking_the_panel(shop: Shop) -> None:
    order = await shop.bought(service=101)
    told = await shop.call("cancel", orders=order)
    assert told == [{"order": order, "cancel": {"error": "Order cannot be canceled"}}]
    assert shop.box.sends["cancel"] == 0


async def test_a_cancel_that_was_taken_note_of_is_an_event_and_no_refund(shop: Shop) -> None:
    order = await shop.bought()
    shop.box.faults = "status:silence"
    told = await shop.call("cancel", orders=order)
    assert told == [{"order": order, "cancel": 1}]
    assert "cancel_asked" in await shop.events(order)
    assert Decimal((await shop.call("status", order=order))["charge"]) > 0


async def test_a_cancel_is_kept_while_the_panel_is_down_and_told_to_it_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.bought()
    shop.box.faults = "status:silence, cancel:1:http_before=502"
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": 1}]
    assert "cancel_asked" not in await shop.events(order)
    monkeypatch.setattr("gateway.reconcile.wishing._FIRST_MS", 0)

    async def told() -> bool:
        return "cancel_asked" in await shop.events(order)

    await until(told)
    assert shop.box.sends["cancel"] == 2
    shop.box.faults = ""
    await shop.becomes(order, "Canceled")

    async def forgotten() -> bool:
        return not await shop.selling.gateway.ledger.wishes()

    await until(forgotten)


async def test_a_cancel_the_panel_tells_nothing_of_is_asked_for_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.bought()

    async def nothing(_orders: object) -> dict[str, object]:
        return {}

    monkeypatch.setattr(shop.selling.gateway.panels["p1"].provider, "cancel", nothing)
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": 1}]
    [wish] = await shop.selling.gateway.ledger.wishes()
    assert (wish.order, wish.what, wish.by, wish.told) == (order, "cancel", "account shop", 0)


async def test_a_cancel_that_cannot_be_kept_is_refused_for_now(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = await shop.bought()

    async def busy(*_: object, **__: object) -> None:
        raise LedgerBusy("disk full")

    monkeypatch.setattr(shop.selling.gateway.ledger, "wish", busy)
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": LATER}]
    assert shop.box.sends["cancel"] == 0


async def test_a_cancel_of_an_order_whose_outcome_is_unknown_waits_until_it_is_known(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.reconcile.wishing._FIRST_MS", 0)
    shop.box.faults = "add:http_after=502"
    order = await shop.bought()
    shop.box.faults = "status:silence"
    ledger = shop.selling.gateway.ledger
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": 1}]
    assert shop.box.sends["cancel"] == 0, "nobody knows its id there"
    [attempt] = await ledger.attempts(order)
    await ledger.settle(attempt.id, Accepted(remote_id=str(shop.box.journal[0].remote_id)))

    async def told() -> bool:
        return "cancel_asked" in await shop.events(order)

    await until(told)


async def test_a_refill_is_followed_though_nobody_asks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.reconcile.refilling._EVERY_MS", 0)
    order = await shop.completed()
    shop.box.faults = "refill_status:1:http_before=502, refill_status:2:error_before=no"
    refill = int((await shop.call("refill", order=order))["refill"])
    account = await shop.selling.gateway.ledger.account("shop")
    assert account is not None

    async def completed() -> bool:
        return (await shop.selling.gateway.ledger.refills(account.id, [refill]))[refill].status == "Completed"

    await until(completed)


async def test_a_cancel_the_panel_refuses_is_refused(shop: Shop) -> None:
    order = await shop.bought()
    shop.box.set_status(shop.box.journal[0].remote_id, "Completed", remains=0)
    shop.box.faults = "status:silence"
    told = await shop.call("cancel", orders=order)
    assert told == [{"order": order, "cancel": {"error": "Order cannot be canceled"}}]


async def test_a_cancel_asked_for_many_times_at_once_is_passed_on_once(shop: Shop) -> None:
    order = await shop.bought()
    shop.box.faults = "status:silence"
    told = await asyncio.gather(*(shop.call("cancel", orders=order) for _ in range(20)))
    assert told == [[{"order": order, "cancel": 1}]] * 20
    assert shop.box.sends["cancel"] == 1
    assert (await shop.events(order)).count("cancel_asked") == 1


async def test_a_cancel_that_was_not_passed_on_is_passed_on_the_next_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.bought()
    shop.box.faults = "status:silence"
    live, failures = shop.selling.gateway.ledger.live, iter([LedgerBusy("locked")])

    async def busy_at_first(orders: Any) -> Any:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return await live(orders)

    monkeypatch.setattr(shop.selling.gateway.ledger, "live", busy_at_first)
    with pytest.raises(AssertionError, match="500"):  # silence, and a shop asks again
        await shop.call("cancel", orders=order)
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": 1}]
    assert shop.box.sends["cancel"] == 1


async def test_a_cancel_that_was_refused_may_be_asked_for_again(shop: Shop) -> None:
    order = await shop.bought()
    shop.box.faults = "status:silence, cancel:1:error_before=Order cannot be canceled"
    refused = [{"order": order, "cancel": {"error": "Order cannot be canceled"}}]
    assert await shop.call("cancel", orders=order) == refused
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": 1}]


async def test_an_order_known_to_be_finished_is_not_canceled_and_its_panel_not_asked(shop: Shop) -> None:
    order = await shop.completed()
    refused = [{"order": order, "cancel": {"error": "Order cannot be canceled"}}]
    assert await shop.call("cancel", orders=order) == refused
    assert shop.box.sends["cancel"] == 0


async def test_many_cancels_go_to_the_panel_in_one_call(shop: Shop) -> None:
    orders = [await shop.bought(link=f"https://x.example/p/{number}") for number in range(3)]
    told = await shop.call("cancel", orders=",".join(map(str, orders)))
    assert told == [{"order": order, "cancel": 1} for order in orders]
    assert shop.box.sends["cancel"] == 1


async def test_nothing_can_be_asked_of_an_order_that_is_not_ones_own(shop: Shop) -> None:
    order = await shop.completed()
    gateway = shop.selling.gateway
    other = await gateway.ledger.create_account("other")
    key, _ = await gateway.accounts.create_key(other.id)
    shop.selling.key = key
    wrong = {"error": "Incorrect order ID"}
    assert await shop.call("status", order=order) == wrong
    assert await shop.call("refill", order=order) == wrong
    assert await shop.call("cancel", orders=order) == [{"order": order, "cancel": wrong}]
    assert shop.box.sends["refill"] + shop.box.sends["cancel"] == 0


# --- what is under way


async def test_customers_who_ask_about_refills_at_once_share_one_call(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.completed()
    refill = (await shop.call("refill", order=order))["refill"]
    monkeypatch.setattr("gateway.orders.requests._FRESH_S", 0.0)
    shop.box.faults = "refill_status:delay_before=0.3"
    told = await asyncio.gather(*(shop.call("refill_status", refill=refill) for _ in range(10)))
    assert {one["status"] for one in told} <= {"Pending", "In progress", "Completed"}
    assert shop.box.sends["refill_status"] == 1


async def test_a_panel_that_did_not_answer_about_refills_is_left_alone_for_a_while(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.completed()
    refill = (await shop.call("refill", order=order))["refill"]
    gateway = shop.selling.gateway
    asked = 0

    async def silent(_refills: object) -> None:
        nonlocal asked
        asked += 1
        raise Unanswered("silence", panel="p1", action="refill_status")

    monkeypatch.setattr(gateway.panels["p1"].provider, "refill_status", silent)
    monkeypatch.setattr(gateway.orders._requests, "_now_ms", lambda: 10**15)  # what is known is old
    for _ in range(3):
        assert await shop.call("refill_status", refill=refill) == {"status": "Pending"}
    assert asked == 1


async def test_a_stop_does_not_wait_for_a_panel_that_never_answers_a_cancel(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.orders.requests._ASK_S", 0.05)
    order = await shop.bought()
    shop.box.faults = "cancel:silence"
    asking = asyncio.create_task(shop.call("cancel", orders=order))

    async def passed_on() -> bool:
        return shop.box.sends["cancel"] == 1

    await until(passed_on)
    await shop.selling.gateway.orders.drain(0.05, asyncio.Event())
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert shop.selling.gateway.orders._requests._tasks == set()


async def test_a_ledger_that_is_busy_takes_no_answer_from_a_customer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.orders.requests._FRESH_S", 0.0)
    order = await shop.completed()
    refill = (await shop.call("refill", order=order))["refill"]
    open_order = await shop.bought(link="https://x.example/p/2")

    async def busy(*_: object, **__: object) -> None:
        raise LedgerBusy("locked")

    monkeypatch.setattr(shop.selling.gateway.ledger, "settle_refill", busy)
    monkeypatch.setattr(shop.selling.gateway.ledger, "cancel_asked", busy)
    assert set(await shop.call("refill_status", refill=refill)) == {"status"}
    assert await shop.call("cancel", orders=open_order) == [{"order": open_order, "cancel": 1}]
