"""Following orders at their panels: statuses, counts, and the refunds that follow, once."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Order, WrongState
from providers.base import OrderStatus
from tests.test_ledger.samples import CHARGE, ZERO, Clock, bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio

PENDING, RUNNING, DONE = OrderStatus.PENDING, OrderStatus.IN_PROGRESS, OrderStatus.COMPLETED
PARTIAL, CANCELED, EXPIRED = OrderStatus.PARTIAL, OrderStatus.CANCELED, OrderStatus.EXPIRED


async def _after(ledger: Ledger, words: list[tuple[OrderStatus | None, int | None]], **changes: Any) -> Order:
    """An order that its panel said all of `words` of."""
    account = await funded(ledger)
    placed = await bought(ledger, account, **changes)
    for status, remains in words:
        order = await ledger.observe(sent(placed), told(status, remains=remains), next_ms=None)
        assert order == await ledger.order(placed.order)
    assert await ledger.balance(account.id) == 100 - order.charge + order.refunded
    return order


@pytest.mark.parametrize(
    ("words", "status", "remains", "refunded"),
    [
        ([(RUNNING, 60)], RUNNING, 60, "0"),
        ([(RUNNING, None)], RUNNING, 100, "0"),
        ([(RUNNING, -5)], RUNNING, 0, "0"),
        ([(RUNNING, 101)], RUNNING, 100, "0"),
        ([(RUNNING, 60), (PENDING, 60)], PENDING, 60, "0"),
        ([(RUNNING, 60), (DONE, None)], DONE, 0, "0"),
        ([(DONE, 7)], DONE, 7, "0"),
        ([(DONE, None), (RUNNING, 40)], DONE, 0, "0"),
        ([(PARTIAL, 40)], PARTIAL, 40, "0.2"),
        ([(PARTIAL, 0)], PARTIAL, 0, "0"),
        ([(PARTIAL, -3)], PARTIAL, 0, "0"),
        ([(PARTIAL, 10**30)], PARTIAL, 100, "0.5"),
        ([(RUNNING, 60), (PARTIAL, None)], RUNNING, 60, "0"),
        ([(PARTIAL, 40), (PARTIAL, None)], PARTIAL, 40, "0.2"),
        ([(PARTIAL, 40), (PARTIAL, 40)], PARTIAL, 40, "0.2"),
        ([(PARTIAL, 40), (PARTIAL, 60)], PARTIAL, 60, "0.3"),
        ([(PARTIAL, 40), (PARTIAL, 10)], PARTIAL, 40, "0.2"),
        ([(PARTIAL, 40), (CANCELED, None)], CANCELED, 40, "0.5"),
        ([(PARTIAL, 40), (DONE, 0)], PARTIAL, 40, "0.2"),
        ([(DONE, 0), (PARTIAL, 40)], PARTIAL, 40, "0.2"),
        ([(DONE, 0), (PARTIAL, 0)], DONE, 0, "0"),
        ([(DONE, 0), (CANCELED, None)], CANCELED, 0, "0.5"),
        ([(CANCELED, None)], CANCELED, 100, "0.5"),
        ([(CANCELED, 0)], CANCELED, 0, "0.5"),
        ([(CANCELED, 40)], CANCELED, 40, "0.2"),
        ([(CANCELED, 1), (CANCELED, 0)], CANCELED, 0, "0.5"),
        ([(PARTIAL, 40), (CANCELED, 10)], PARTIAL, 40, "0.2"),
        ([(CANCELED, None), (DONE, 0)], CANCELED, 100, "0.5"),
        ([(CANCELED, None), (PARTIAL, 10)], CANCELED, 100, "0.5"),
        ([(CANCELED, None), (CANCELED, 3)], CANCELED, 100, "0.5"),
        ([(EXPIRED, None)], EXPIRED, 100, "0"),
        ([(EXPIRED, None), (RUNNING, 5)], EXPIRED, 100, "0"),
        ([(RUNNING, 60), (None, 3)], RUNNING, 60, "0"),
    ],
)
async def test_what_follows_from_a_panel_s_words(
    ledger: Ledger,
    words: list[tuple[OrderStatus | None, int | None]],
    status: OrderStatus,
    remains: int,
    refunded: str,
) -> None:
    order = await _after(ledger, words)
    assert (order.status, order.remains, order.refunded) == (status, remains, Decimal(refunded))


async def test_a_refund_is_rounded_down_to_a_step(ledger: Ledger) -> None:
    order = await _after(ledger, [(PARTIAL, 1)], units=3, charge=Decimal("0.000002"))
    assert order.refunded == 0
    assert order.status is PARTIAL


async def test_a_refund_of_a_great_order_is_exact(ledger: Ledger) -> None:
    account = await ledger.create_account("house", unlimited=True)
    charge, units = Decimal("987654321.123456"), 2**40
    placed = await bought(ledger, account, units=units, charge=charge)
    order = await ledger.observe(sent(placed), told(PARTIAL, remains=units - 1), next_ms=None)
    assert order.refunded == Decimal("987654321.122557")  # 987654321.123456 less one 2⁴⁰th, down


async def test_a_package_of_which_anything_remains_is_given_back_whole(ledger: Ledger) -> None:
    order = await _after(ledger, [(RUNNING, 300), (PARTIAL, 300)], type="Package", quantity=1, units=1)
    assert (order.refunded, order.remains) == (CHARGE, 1)


async def test_a_partial_that_cannot_be_reckoned_is_noted_once_and_changes_nothing(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    for _ in range(3):
        order = await ledger.observe(sent(placed), told(PARTIAL), next_ms=None)
    assert (order.status, order.refunded) == (PENDING, ZERO)
    *_, last = await ledger.events(placed.order)
    assert (last.what, msgspec.json.decode(last.evidence)["why"]) == ("unclear", "Partial without remains")
    assert [event.what for event in await ledger.events(placed.order)].count("unclear") == 1
    endless = await bought(ledger, account, "r2", type="Subscriptions", quantity=0, units=0)
    order = await ledger.observe(sent(endless), told(PARTIAL, remains=3), next_ms=None)
    assert order.status is PENDING
    *_, last = await ledger.events(endless.order)
    assert "without a number of units" in last.evidence


async def test_the_same_word_again_writes_no_line_of_history(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    said = told(RUNNING, remains=60, start_count=1000, charge=Decimal("0.27819"), currency="USD")
    first = await ledger.observe(sent(placed), said, next_ms=None)
    assert (first.start_count, first.updated_ms) == (1000, clock.ms)
    clock.ms += 1000
    same = told(RUNNING, remains=60, start_count=1000, charge=Decimal("0.278190"))
    assert await ledger.observe(sent(placed), same, next_ms=None) == first
    assert [event.what for event in await ledger.events(placed.order)] == ["sending", "accepted", "status"]
    *_, last = await ledger.events(placed.order)
    assert msgspec.json.decode(last.evidence) == {
        "word": "In progress",
        "remains": 60,
        "start_count": 1000,
        "charge": "0.27819",
    }
    [attempt] = await ledger.attempts(placed.order)
    assert attempt.remote_charge == Decimal("0.27819")


async def test_a_refund_stands_in_the_history_with_what_the_panel_said(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    await ledger.observe(sent(placed), told(PARTIAL, remains=40), next_ms=None)
    *_, last = await ledger.events(placed.order)
    assert msgspec.json.decode(last.evidence) == {"word": "Partial", "remains": 40, "refund": "0.200000"}
    assert last.attempt == placed.attempt


async def test_a_canceled_order_seen_a_thousand_times_is_refunded_once(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    seen = (ledger.observe(sent(placed), told(CANCELED), next_ms=None) for _ in range(1000))
    assert {order.refunded for order in await asyncio.gather(*seen)} == {CHARGE}
    assert await ledger.balance(account.id) == 100
    assert (await ledger.totals()).entries == 8  # top-up, hold, sale, one refund


async def test_the_fields_of_dripfeed_and_subscriptions_are_kept(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    said = told(OrderStatus.ACTIVE, runs=3, posts=12, expiry="31/12/2030", orders=("c1", "c2"))
    order = await ledger.observe(sent(placed), said, next_ms=None)
    assert (order.status, order.runs, order.posts, order.expiry) == (OrderStatus.ACTIVE, 3, 12, "31/12/2030")
    assert order.children == ("c1", "c2")
    later = await ledger.observe(sent(placed), told(OrderStatus.PAUSED, start_count=2**63, posts=-1), next_ms=None)
    assert (later.runs, later.posts, later.expiry, later.children) == (3, 12, "31/12/2030", ("c1", "c2"))
    assert later.start_count is None  # no number of the kind is a count
    assert await ledger.order(placed.order) == later


async def test_only_an_order_that_a_panel_took_is_observed(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    with pytest.raises(WrongState, match="it is sending; no panel took it"):
        await ledger.observe(sent(placed), told(DONE), next_ms=None)
    with pytest.raises(WrongState, match="not there"):
        await ledger.observe(10_000, told(DONE), next_ms=None)
    for order in (placed.order, 1):
        with pytest.raises(WrongState, match=f"order {order}: no panel took it"):
            await ledger.cancel_asked(order, "{}")
    assert [event.what for event in await ledger.events(placed.order)] == ["sending"]


async def test_orders_are_due_when_their_time_has_come_longest_waiting_first(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    began = clock.ms
    first = await bought(ledger, account, "r1")
    clock.ms += 1
    second = await bought(ledger, account, "r2")
    await bought(ledger, account, "r1", panel="beta")
    due = await ledger.due("alpha")
    assert [(one.order, one.remote_id) for one in due] == [(first.order, "r1"), (second.order, "r2")]
    assert [one.created_ms for one in due] == [began, began + 1]
    assert [one.order for one in await ledger.due("alpha", limit=1)] == [first.order]
    await ledger.observe(sent(first), told(RUNNING, remains=50), next_ms=clock.ms + 100)
    await ledger.postpone([sent(second), 10_000], clock.ms + 50)
    assert await ledger.due("alpha") == ()
    clock.ms += 100
    assert [one.order for one in await ledger.due("alpha")] == [second.order, first.order]


async def test_a_finished_order_is_asked_about_for_as_long_as_its_asker_says(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    await ledger.observe(sent(placed), told(DONE), next_ms=clock.ms)
    [due] = await ledger.due("alpha")
    assert (due.attempt, due.ended_ms) == (placed.attempt, clock.ms)
    await ledger.observe(sent(placed), told(DONE), next_ms=None)
    await ledger.postpone([sent(placed)], clock.ms)
    assert await ledger.due("alpha") == ()
    assert await ledger.open_orders() == {}


async def test_a_cancel_that_the_panel_noted_moves_no_money(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    await ledger.cancel_asked(placed.order, '{"by": "customer"}')
    *_, last = await ledger.events(placed.order)
    assert (last.what, last.evidence, last.attempt) == ("cancel_asked", '{"by": "customer"}', placed.attempt)
    order = await ledger.order(placed.order)
    assert order is not None
    assert (order.status, order.refunded) == (PENDING, ZERO)


@pytest.mark.parametrize(
    ("status", "more", "ends", "refunded"),
    [
        (CANCELED, {"posts": 30, "orders": ("1", "2", "3")}, CANCELED, "2.7"),
        (CANCELED, {"posts": 30, "orders": tuple(map(str, range(29)))}, CANCELED, "0.1"),
        (CANCELED, {"expiry": ""}, CANCELED, "3"),
        (EXPIRED, {"posts": 30, "orders": ("1",)}, EXPIRED, "2.9"),
        (EXPIRED, {"posts": 30, "orders": tuple(map(str, range(40)))}, EXPIRED, "0"),
        (CANCELED, {"remains": 100}, CANCELED, "1"),
        (CANCELED, {"remains": 10**30}, CANCELED, "3"),
        (CANCELED, {}, PENDING, "0"),
        (CANCELED, {"remains": 0}, PENDING, "0"),
        (DONE, {"posts": 30, "orders": ("1",)}, DONE, "0"),
    ],
)
async def test_a_subscription_that_ends_gives_back_the_posts_that_never_came(
    ledger: Ledger, status: OrderStatus, more: dict[str, Any], ends: OrderStatus, refunded: str
) -> None:
    account = await funded(ledger)
    subscription: dict[str, Any] = {"type": "Subscriptions", "quantity": 10, "units": 300, "charge": Decimal(3)}
    placed = await bought(ledger, account, **subscription)
    order = await ledger.observe(sent(placed), told(status, **more), next_ms=None)
    assert (order.status, order.refunded) == (ends, Decimal(refunded))
    assert (await ledger.totals()).wrong == ()
