"""One order from a customer's call to the panel and back, over real HTTP on both sides."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.app import Gateway
from gateway.errors import NotEnoughFunds
from gateway.ledger.records import (
    AttemptState,
    Fail,
    Fenced,
    LedgerBusy,
    NewPlacement,
    Next,
    Outcome,
    Placed,
    Wait,
)
from providers.base import OrderStatus
from providers.errors import Reason, Refused
from providers.service_types import Default
from tests import wares
from tests.market import Open
from tests.running import settings, until

pytestmark = pytest.mark.anyio

GONE = "This service is not available right now"


async def test_an_order_is_bought_at_the_cheapest_panel_and_charged_once(market: Open) -> None:
    async with market() as here:
        told = await here.add()
        assert list(told) == ["order"]
        assert here.bought() == [("a", wares.LINK)]
        assert await here.outcomes() == [("a", "accepted")]
        assert await here.balance() == Decimal(10) - Decimal("0.04")  # 20 of 1.60 EUR, the dearest route's rate
        order = await here.order(told["order"])
        decision = msgspec.json.decode(order.decision)
        assert [choice["panel"] for choice in decision["choices"]] == ["a", "b"]


async def test_a_refusal_for_our_funds_goes_to_the_next_panel(market: Open) -> None:
    async with market("add:no_funds") as here:
        told = await here.add()
        assert "order" in told
        assert await here.outcomes() == [("a", "refused"), ("b", "accepted")]
        assert here.bought() == [("b", wares.LINK)]


async def test_a_panel_that_is_down_is_passed_over(market: Open) -> None:
    async with market() as here:
        here.first.stop_listening()
        told = await here.add()
        assert "order" in told
        assert (await here.outcomes())[-1] == ("b", "accepted")
        assert (await here.attempts())[0].state is AttemptState.NOT_SENT


async def test_a_wrong_link_is_told_in_the_fields_words_and_goes_nowhere_else(market: Open) -> None:
    async with market("add:bad_link") as here:
        assert await here.add() == {"error": "Incorrect link"}
        assert await here.outcomes() == [("a", "refused")]
        assert here.second.sends["add"] == 0
        assert await here.balance() == 10
        order = await here.order()
        assert (order.status, order.charge) == (OrderStatus.CANCELED, Decimal(0))


async def test_where_every_panel_says_no_the_money_comes_back_and_the_words_are_definite(market: Open) -> None:
    async with market("add:maintenance", "add:maintenance") as here:
        assert await here.add() == {"error": GONE}
        assert await here.outcomes() == [("a", "refused"), ("b", "refused")]
        assert await here.balance() == 10
        assert here.bought() == []


@pytest.mark.parametrize(
    "fault",
    ["fin_after", "reset_after", "html_after", "http_after=500", "truncate=3", "wrong_id=0", "error_after", "no_id"],
)
async def test_an_answer_that_proves_nothing_is_unknown_and_never_sent_again(market: Open, fault: str) -> None:
    async with market(f"add:{fault}") as here:
        told = await here.add()
        assert await here.outcomes() == [("a", "unknown")]
        assert here.bought() == [("a", wares.LINK)]
        assert (await here.shop.call("status", order=told["order"]))["status"] == "Pending"
        assert await here.balance() == Decimal(10) - Decimal("0.04")  # the hold stays
        assert here.second.sends["add"] == 0


async def test_an_unknown_order_stays_as_it_is_over_a_restart(market: Open, tmp_path: Path) -> None:
    async with market("add:fin_after") as here:
        told = await here.add()
        rules = here.shop.gateway.rules
        sent = here.first.sends["add"]
    async with Gateway(settings(tmp_path), rules) as again:
        attempts = await again.ledger.attempts(told["order"])
        assert [attempt.state for attempt in attempts] == [AttemptState.UNKNOWN]
        assert here.first.sends["add"] == sent


async def test_the_customer_is_given_the_id_when_a_panel_takes_long_and_the_order_goes_on(market: Open) -> None:
    async with market("add:delay_after=0.5", sync_wait_s=0.05) as here:
        told = await here.add()
        assert await here.outcomes() == [("a", "sending")]
        assert (await here.shop.call("status", order=told["order"]))["status"] == "Pending"
        await here.outcome_is(AttemptState.ACCEPTED)


async def test_a_refusal_that_comes_after_the_id_was_given_cancels_the_order_and_gives_the_money_back(
    market: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = asyncio.Event()

    async def refused_late(_order: object, **_: object) -> None:
        await given.wait()
        raise Refused("Bad link", Reason.LINK, panel="a", action="add")

    async with market(sync_wait_s=0.01) as here:
        monkeypatch.setattr(here.shop.gateway.panels["a"].provider, "add", refused_late)
        told = await here.add()
        assert await here.outcomes() == [("a", "sending")]
        assert await here.balance() == Decimal("9.96")
        given.set()
        seen = await here.becomes(told["order"], OrderStatus.CANCELED)
        assert Decimal(seen["charge"]) == 0
        assert await here.balance() == 10


async def test_an_outcome_that_is_being_written_when_a_stop_cuts_is_written_all_the_same(
    market: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with market(sync_wait_s=0.01) as here:
        orders, settle = here.shop.gateway.orders, here.shop.gateway.ledger.settle
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def slow(*arguments: Any) -> int | None:
            entered.set()
            await go_on.wait()
            return await settle(*arguments)

        monkeypatch.setattr(here.shop.gateway.ledger, "settle", slow)
        await here.add()
        await entered.wait()
        stopping = asyncio.create_task(orders.drain(0.01, asyncio.Event()))

        async def cut() -> bool:
            return orders.open == 0

        await until(cut)
        go_on.set()
        await stopping
        assert await here.outcomes() == [("a", "accepted")]


async def test_no_panel_is_asked_after_the_deadline(market: Open) -> None:
    async with market("add:maintenance", placing_s=0.000001) as here:
        assert await here.add() == {"error": GONE}
        assert await here.outcomes() == [("a", "refused")]


async def test_a_customer_who_hangs_up_has_bought_all_the_same(market: Open) -> None:
    async with market("add:delay_before=0.3") as here:
        with pytest.raises((asyncio.TimeoutError, aiohttp.ClientError)):
            async with asyncio.timeout(0.1):
                await here.add()
        await here.outcome_is(AttemptState.ACCEPTED)
        assert here.bought() == [("a", wares.LINK)]


async def test_a_stop_ends_what_is_still_on_its_way_as_unknown(market: Open, tmp_path: Path) -> None:
    async with market("add:silence_after", sync_wait_s=0.05, drain_s=0.1) as here:
        told = await here.add()
        rules = here.shop.gateway.rules
    async with Gateway(settings(tmp_path), rules) as again:
        attempts = await again.ledger.attempts(told["order"])
        assert [attempt.state for attempt in attempts] == [AttemptState.UNKNOWN]
        assert "cut" in (await again.ledger.events(told["order"]))[-1].evidence, (
            "it was ended by the stop, not found open by the start"
        )
    assert here.bought() == [("a", wares.LINK)]


async def test_a_ledger_that_cannot_write_buys_nothing(market: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object) -> None:
        raise LedgerBusy("disk full")

    async with market() as here:
        monkeypatch.setattr(here.shop.gateway.ledger, "place", busy)
        assert await here.add() == {"error": "Service is under maintenance, please try again later"}
        assert here.first.sends["add"] + here.second.sends["add"] == 0


async def test_an_id_is_held_on_to_until_the_ledger_can_write_it(market: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with market() as here:
        settle, failures = here.shop.gateway.ledger.settle, iter([LedgerBusy("locked"), LedgerBusy("locked")])

        async def busy_at_first(*arguments: Any) -> int | None:
            failure = next(failures, None)
            if failure is not None:
                raise failure
            return await settle(*arguments)

        monkeypatch.setattr(here.shop.gateway.ledger, "settle", busy_at_first)
        await here.add()
        assert await here.outcomes() == [("a", "accepted")]
        assert here.first.sends["add"] == 1


async def test_an_id_is_held_on_to_whatever_the_ledger_breaks_by(market: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with market() as here:
        settle, failures = here.shop.gateway.ledger.settle, iter([RuntimeError("nobody foresaw this")])

        async def broken_at_first(*arguments: Any) -> int | None:
            failure = next(failures, None)
            if failure is not None:
                raise failure
            return await settle(*arguments)

        monkeypatch.setattr(here.shop.gateway.ledger, "settle", broken_at_first)
        await here.add()
        assert await here.outcomes() == [("a", "accepted")]


async def test_an_outcome_that_is_settled_already_is_left_as_it_is(
    market: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with market() as here:
        settle = here.shop.gateway.ledger.settle

        async def settled_twice(*arguments: Any) -> int | None:
            await settle(*arguments)
            return await settle(*arguments)

        monkeypatch.setattr(here.shop.gateway.ledger, "settle", settled_twice)
        assert "order" in await here.add()
        assert await here.outcomes() == [("a", "accepted")]


async def test_a_stop_ends_though_the_ledger_cannot_be_written(
    market: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.placing.placing._LAST_WORD_S", 0.2)
    async with market(sync_wait_s=0.05, drain_s=0.2) as here:

        async def busy(*_: object) -> None:
            raise LedgerBusy("disk full")

        monkeypatch.setattr(here.shop.gateway.ledger, "settle", busy)
        told = await here.add()
        rules = here.shop.gateway.rules
    async with Gateway(settings(tmp_path), rules) as again:  # the id was kept beside the ledger
        attempts = await again.ledger.attempts(told["order"])
        assert [attempt.state for attempt in attempts] == [AttemptState.ACCEPTED]
        assert attempts[0].remote_id == str(here.first.journal[0].remote_id)
    assert here.bought() == [("a", wares.LINK)]


async def test_who_is_in_a_hurry_need_not_wait_for_a_silent_panel(market: Open) -> None:
    async with market("add:silence_after", sync_wait_s=0.05, drain_s=600.0) as here:
        await here.add()
        here.shop.gateway.hurry.set()
    assert here.bought() == [("a", wares.LINK)]


async def test_a_provider_that_breaks_leaves_an_unknown_and_counts_against_its_panel(
    market: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_order: object, **_: object) -> None:
        raise RuntimeError("a secret may stand here")

    async with market() as here:
        monkeypatch.setattr(here.shop.gateway.panels["a"].provider, "add", broken)
        told = await here.add()
        attempt = (await here.attempts(told["order"]))[0]
        assert attempt.state is AttemptState.UNKNOWN
        seen = (await here.shop.gateway.ledger.events(told["order"]))[-1].evidence
        assert "RuntimeError" in seen
        assert "secret" not in seen
        assert here.shop.gateway.panels["a"].adds.streak == -1
        assert here.second.sends["add"] == 0


async def test_what_an_order_costs_is_missing_from_our_funds_at_once(market: Open) -> None:
    async with market() as here:
        first = here.shop.gateway.panels["a"]

        async def read() -> bool:
            return first.funds is not None

        await until(read)
        before = first.funds
        await here.add()
        assert before is not None
        assert first.funds == before - Decimal("0.03")


async def test_an_id_that_another_order_has_is_not_believed(market: Open) -> None:
    async with market("add:2:wrong_id=repeat") as here:
        await here.add(link="https://x.example/p/1")
        told = await here.add(link="https://x.example/p/2")
        attempt = (await here.attempts(told["order"]))[0]
        assert attempt.state is AttemptState.UNKNOWN
        assert "conflict" in (await here.shop.gateway.ledger.events(told["order"]))[-1].evidence
        assert len(here.bought()) == 2


async def test_a_panel_named_in_no_rules_any_more_is_not_sent_to(market: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with market("add:maintenance") as here:
        catalog = here.shop.gateway.catalog
        known = catalog.panel
        monkeypatch.setattr(catalog, "panel", lambda name: None if name == "b" else known(name))
        assert await here.add() == {"error": GONE}
        assert await here.outcomes() == [("a", "refused"), ("b", "not_sent")]


async def test_an_order_above_the_balance_changes_and_sends_nothing(market: Open) -> None:
    async with market(balance=Decimal("0.01")) as here:
        assert await here.add() == {"error": NotEnoughFunds().words}
        assert await here.balance() == Decimal("0.01")
        assert here.first.sends["add"] == 0
        assert await here.shop.gateway.ledger.list_orders() == ()


async def test_concurrent_orders_never_spend_more_than_there_is(market: Open) -> None:
    async with market(balance=Decimal("0.80")) as here:  # 20 orders of 0.04
        told = await asyncio.gather(*(here.add(link=f"https://x.example/p/{number}") for number in range(50)))
        assert sum("order" in answer for answer in told) == 20
        assert len(here.bought()) == 20
        assert await here.balance() == 0


async def test_an_account_without_limit_buys_on_our_money_and_sees_what_there_is_of_it(market: Open) -> None:
    async with market(balance=None) as here:

        async def read() -> bool:
            return all(one.funds is not None for one in here.shop.gateway.panels.values())

        await until(read)
        assert await here.shop.call("balance") == {"balance": "2250.00", "currency": "USD"}  # 1000 USD and 1000 EUR
        assert "order" in await here.add()


async def test_a_partial_order_is_refunded_for_what_remains_once(market: Open) -> None:
    async with market() as here:
        told = await here.add()
        here.first.set_status(here.first.journal[0].remote_id, "Partial", remains=5)
        seen = await here.becomes(told["order"], OrderStatus.PARTIAL)
        assert (seen["remains"], seen["charge"]) == ("5", "0.03")
        assert await here.balance() == Decimal(10) - Decimal("0.03")


async def test_a_canceled_order_is_refunded_whole(market: Open) -> None:
    async with market() as here:
        told = await here.add()
        here.first.set_status(here.first.journal[0].remote_id, "Canceled")
        seen = await here.becomes(told["order"], OrderStatus.CANCELED)
        assert Decimal(seen["charge"]) == 0
        assert await here.balance() == 10


async def test_a_subscription_without_limit_is_bought_and_held_as_one_of_so_many_posts(market: Open) -> None:
    async with market() as here:
        service = wares.service_of("Subscriptions")
        told = await here.shop.call("add", service=service, username="anna", min=10, max=20, delay=0)
        assert here.first.journal[0].fields["posts"] == "30"
        order = await here.order(told["order"])
        assert (order.units, order.charge) == (600, Decimal("1.2"))


@pytest.mark.parametrize(("extra", "posts"), [({"old_posts": 1}, "30"), ({"posts": 0, "old_posts": 1}, "0")])
async def test_old_posts_do_not_open_a_subscription_without_end(
    market: Open, extra: dict[str, int], posts: str
) -> None:
    async with market() as here:
        service = wares.service_of("Subscriptions")
        await here.shop.call("add", service=service, username="anna", min=10, max=10, delay=0, **extra)
        assert here.first.journal[0].fields["posts"] == posts


async def test_an_order_nobody_could_pay_is_refused(market: Open) -> None:
    async with market() as here:
        service = here.shop.gateway.catalog.service(1)
        account = await here.shop.gateway.ledger.account("shop")
        assert service is not None
        assert account is not None
        dear = msgspec.structs.replace(service, rate=Decimal(10) ** 9)
        with pytest.raises(Exception, match="Incorrect quantity"):
            await here.shop.gateway.orders.add(account, dear, Default(link=wares.LINK, quantity=2_000_000))


async def test_the_books_add_up_after_all_of_it(market: Open) -> None:
    async with market("add:no_funds@0.3, add:fin_after@0.2, add:bad_link@0.2") as here:
        for number in range(30):
            await here.add(link=f"https://x.example/p/{number}")
        for entry in here.first.journal[::2]:
            here.first.set_status(entry.remote_id, "Partial", remains=3)
        totals = await here.shop.gateway.ledger.totals()
        assert totals.sum == 0
        assert totals.wrong == ()
        assert totals.orders == 30


async def test_what_was_written_under_another_epoch_is_not_sent(market: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was taken for dead since it wrote an order: somebody else may have judged it by now."""
    async with market() as here:
        placing = here.shop.gateway.placing
        place = here.shop.gateway.ledger.place

        async def overtaken(new: NewPlacement) -> Placed:
            placed = await place(new)
            monkeypatch.setattr(placing, "_epoch", lambda: 2)
            return placed

        monkeypatch.setattr(placing, "_epoch", lambda: 1)
        monkeypatch.setattr(here.shop.gateway.ledger, "place", overtaken)
        told = await here.add()
        assert "order" in told, "the next route was written, and is sent, under the new one"
        assert await here.outcomes() == [("a", "not_sent"), ("b", "accepted")]
        assert here.first.sends["add"] == 0


async def test_who_is_fenced_while_it_fails_over_goes_on_under_the_next_epoch(
    market: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with market("add:no_funds") as here:
        settle = here.shop.gateway.ledger.settle
        fenced: list[int] = []

        async def twice_fenced(attempt: int, outcome: Outcome, then: Next | Fail | Wait | None = None) -> int | None:
            if isinstance(then, Next) and len(fenced) < 2:
                fenced.append(attempt)
                raise Fenced("taken for dead")
            return await settle(attempt, outcome, then)

        monkeypatch.setattr(here.shop.gateway.ledger, "settle", twice_fenced)
        told = await here.add()
        assert "order" in told
        assert len(fenced) == 2
        assert await here.outcomes() == [("a", "refused"), ("b", "accepted")]
        assert here.bought() == [("b", wares.LINK)]
