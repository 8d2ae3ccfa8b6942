"""Budgets: what an account's orders may come to in a day and in a month."""

import asyncio
from decimal import Decimal

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Fail, LinkBusy, OverBudget, Refused
from gateway.ledger.sql import spending
from providers.base import OrderStatus
from tests.test_ledger.samples import CHARGE, Clock, bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


async def test_orders_are_placed_until_the_budget_is_spent_and_not_beyond(ledger: Ledger) -> None:
    account = await funded(ledger)
    budget = 2 * CHARGE + CHARGE / 2
    for number in range(2):
        await ledger.place(placement(account, link=str(number), budget_day=budget))
    before = await ledger.totals()
    with pytest.raises(OverBudget, match="a day does not carry"):
        await ledger.place(placement(account, link="2", budget_day=budget))
    assert await ledger.totals() == before, "nothing was changed"
    await ledger.place(placement(account, link="3"))


async def test_a_hundred_at_once_on_the_last_of_a_budget_are_as_many_as_fit(ledger: Ledger) -> None:
    account = await funded(ledger, "10000")
    budget = 7 * CHARGE + CHARGE * Decimal("0.9")
    calls = [ledger.place(placement(account, link=str(number), budget_month=budget)) for number in range(100)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(end, BaseException) for end in ends) == 7
    assert all(isinstance(end, OverBudget) for end in ends if isinstance(end, BaseException))


async def test_a_new_day_has_a_new_budget_and_a_month_goes_on(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    clock.ms = 10 * DAY_MS  # 11 January 1970
    limits = {"budget_day": CHARGE, "budget_month": 2 * CHARGE}
    await ledger.place(placement(account, link="1", **limits))
    with pytest.raises(OverBudget, match="a day"):
        await ledger.place(placement(account, link="2", **limits))
    clock.ms += DAY_MS
    await ledger.place(placement(account, link="3", **limits))
    clock.ms += DAY_MS
    with pytest.raises(OverBudget, match="a month"):
        await ledger.place(placement(account, link="4", **limits))
    clock.ms = 31 * DAY_MS
    await ledger.place(placement(account, link="5", **limits))


async def test_what_goes_back_to_the_customer_goes_back_to_the_budget_of_its_day(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account, link="1", budget_day=CHARGE))
    await ledger.settle(sent(placed), Refused(reason="service"), Fail(why="no"))
    kept = await bought(ledger, account, "r2", link="2", budget_day=CHARGE)
    clock.ms += DAY_MS
    await ledger.place(placement(account, link="3", budget_day=CHARGE))
    await ledger.observe(sent(kept), told(OrderStatus.CANCELED), next_ms=None)
    with pytest.raises(OverBudget):
        await ledger.place(placement(account, link="4", budget_day=CHARGE))
    clock.ms -= DAY_MS
    await ledger.place(placement(account, link="5", budget_day=CHARGE))


async def test_a_budget_that_comes_later_counts_what_was_ordered_before(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    clock.ms = 39 * DAY_MS
    for number in range(7):
        await ledger.place(placement(account, link=f"before {number}"))
    clock.ms = 40 * DAY_MS
    await ledger.place(placement(account, link="1"))
    clock.ms += 5
    with pytest.raises(OverBudget):
        await ledger.place(placement(account, link="2", budget_day=CHARGE + CHARGE / 2))
    await ledger.place(placement(account, link="3", budget_day=2 * CHARGE))


async def test_a_budget_that_was_gone_for_a_while_counts_what_was_ordered_meanwhile(ledger: Ledger) -> None:
    account = await funded(ledger)
    limits = {"budget_day": 3 * CHARGE, "budget_month": 30 * CHARGE}
    await ledger.place(placement(account, link="1", **limits))
    meanwhile = [await bought(ledger, account, f"m{number}", link=f"m{number}") for number in range(2)]
    with pytest.raises(OverBudget, match="a day"):
        await ledger.place(placement(account, link="2", **limits))
    await ledger.observe(sent(meanwhile[0]), told(OrderStatus.CANCELED), next_ms=None)
    await ledger.place(placement(account, link="3", **limits))
    with pytest.raises(OverBudget, match="a day"):
        await ledger.place(placement(account, link="4", **limits))


async def test_a_budget_below_one_order_carries_none(ledger: Ledger) -> None:
    account = await funded(ledger)
    with pytest.raises(OverBudget):
        await ledger.place(placement(account, budget_day=CHARGE - Decimal("0.000001")))


@pytest.mark.parametrize(("ms", "days", "months"), [(0, 0, -23640), (DAY_MS - 1, 0, -23640), (31 * DAY_MS, 31, -23641)])
async def test_periods_are_days_and_months_of_utc(ms: int, days: int, months: int) -> None:
    assert (spending.day(ms), spending.month(ms)) == (days, months)


async def test_a_link_has_one_order_of_a_service_at_a_time_where_that_is_wanted(ledger: Ledger) -> None:
    account, other = await funded(ledger), await funded(ledger, name="other")
    first = await bought(ledger, account, "r1", link="l", one_active=True)
    calls = [ledger.place(placement(other, link="l", one_active=True)) for _ in range(5)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, LinkBusy) for end in ends)
    await ledger.place(placement(account, link="another", one_active=True))
    await ledger.place(placement(account, link="l", service=2, one_active=True))
    await ledger.observe(sent(first), told(OrderStatus.COMPLETED), next_ms=None)
    await ledger.place(placement(other, link="l"))
    await ledger.place(placement(other, link="l", one_active=True))
    with pytest.raises(LinkBusy):
        await ledger.place(placement(account, link="l", one_active=True))
