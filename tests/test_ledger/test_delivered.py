"""What the ledger learns of routes as orders end there."""

from decimal import Decimal

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Next, Refused, WrongState
from gateway.ledger.reports import RouteOutcomes
from gateway.routing import Delivered
from providers.base import OrderStatus
from tests.test_ledger.samples import Clock, bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio


async def _one(ledger: Ledger) -> Delivered:
    [known] = await ledger.delivered()
    assert (known.panel, known.remote_service) == ("alpha", "7")
    return known


async def test_a_whole_order_is_paid_and_got_and_took_its_time(ledger: Ledger, clock: Clock) -> None:
    placed = await bought(ledger, await funded(ledger))
    clock.ms += 30_000
    await ledger.observe(sent(placed), told(OrderStatus.IN_PROGRESS, remains=40), next_ms=1)
    assert (await _one(ledger)).orders == 0
    clock.ms += 60_000
    await ledger.observe(sent(placed), told(OrderStatus.COMPLETED, remains=0, charge=Decimal("0.5")), next_ms=1)
    known = await _one(ledger)
    assert (known.orders, known.got, known.short, known.seconds) == (1, 1, 0, 90)
    assert known.paid == pytest.approx(1.25), "0.5 taken of us where 0.4 was listed"
    assert known.at_ms == clock.ms


async def test_how_long_an_order_took_to_begin_is_learned_once(ledger: Ledger, clock: Clock) -> None:
    placed = await bought(ledger, await funded(ledger))
    for wait_s, status in (
        (10, OrderStatus.PENDING),
        (10, OrderStatus.PROCESSING),
        (20, OrderStatus.IN_PROGRESS),
        (500, OrderStatus.IN_PROGRESS),
        (500, OrderStatus.PARTIAL),
    ):
        clock.ms += wait_s * 1000
        await ledger.observe(sent(placed), told(status, remains=40), next_ms=1)
    known = await _one(ledger)
    assert (known.start_s, known.orders, known.short, known.canceled) == (40, 1, 1, 0)


async def test_an_order_canceled_before_it_began_says_nothing_of_how_long_that_takes(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    await ledger.observe(sent(placed), told(OrderStatus.CANCELED), next_ms=1)
    known = await _one(ledger)
    assert (known.start_s, known.short, known.canceled) == (0, 1, 1)


async def test_what_became_of_attempts_is_counted_by_route(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    await bought(ledger, account)
    clock.ms += 86_400_000
    since_ms = clock.ms
    first = await ledger.place(placement(account))
    assert first.attempt is not None
    clock.ms += 500
    then = Next(panel="beta", remote_service="9", cost=Decimal("0.1"), remote_cost=Decimal("0.1"))
    second = await ledger.settle(first.attempt, Refused(reason="funds", evidence="{}"), then)
    assert second is not None
    clock.ms += 120_000
    await ledger.settle(second, Accepted(remote_id="77"))
    assert await ledger.outcomes(since_ms) == (
        RouteOutcomes(
            panel="alpha", remote_service="7", attempts={"refused": 1}, refusals={"funds": 1}, answers=1, took_ms=500
        ),
        RouteOutcomes(panel="beta", remote_service="9", attempts={"accepted": 1}, refusals={}, answers=0, took_ms=0),
    )
    [alpha, _] = await ledger.outcomes(0)
    assert alpha.attempts == {"accepted": 1, "refused": 1}


async def test_an_end_is_counted_once(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    for _ in range(3):
        await ledger.observe(sent(placed), told(OrderStatus.COMPLETED), next_ms=1)
    assert (await _one(ledger)).orders == 1


@pytest.mark.parametrize(
    ("status", "remains", "got", "paid"),
    [
        (OrderStatus.PARTIAL, 25, 0.75, 0.75),
        (OrderStatus.CANCELED, None, 0.0, 0.0),
        (OrderStatus.CANCELED, 0, 0.0, 0.0),
        (OrderStatus.COMPLETED, 40, 0.6, 1.0),
    ],
)
async def test_what_ends_short_is_told_from_what_ends_dear(
    ledger: Ledger, status: OrderStatus, remains: int | None, got: float, paid: float
) -> None:
    placed = await bought(ledger, await funded(ledger))
    charge = Decimal("0.4")
    await ledger.observe(sent(placed), told(status, remains=remains, charge=charge), next_ms=1)
    known = await _one(ledger)
    assert [known.got, known.paid, known.short] == pytest.approx([got, paid, 1])


async def test_a_panel_s_word_that_it_took_less_makes_it_no_cheaper(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    await ledger.observe(sent(placed), told(OrderStatus.COMPLETED, charge=Decimal(0)), next_ms=1)
    known = await _one(ledger)
    assert (known.paid, known.got) == (1, 1)


async def test_after_a_cancel_was_asked_for_no_order_is_passed_on(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    await ledger.wish(placed.order, "cancel", by="customer", reason="")
    then = Next(panel="beta", remote_service="9", cost=Decimal("0.1"), remote_cost=Decimal("0.1"))
    with pytest.raises(WrongState, match="a cancel was asked for"):
        await ledger.pass_on(sent(placed), told(OrderStatus.PARTIAL, remains=20), then, next_ms=None)
    assert len(await ledger.attempts(placed.order)) == 1


async def test_what_was_to_be_canceled_says_nothing_against_its_panel(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    await ledger.wish(placed.order, "cancel", by="customer", reason="")
    await ledger.observe(sent(placed), told(OrderStatus.CANCELED), next_ms=1)
    assert await ledger.delivered() == ()


async def test_an_order_whose_rest_goes_elsewhere_ended_there(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    then = Next(panel="beta", remote_service="9", cost=Decimal("0.1"), remote_cost=Decimal("0.1"))
    await ledger.pass_on(sent(placed), told(OrderStatus.PARTIAL, remains=20), then, next_ms=None)
    known = await _one(ledger)
    assert [known.orders, known.got, known.short] == pytest.approx([1, 0.8, 1])
    await ledger.observe(sent(placed), told(OrderStatus.PARTIAL, remains=20), next_ms=None)
    assert (await _one(ledger)).orders == 1


async def test_a_refill_is_counted_where_the_order_was_made(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger))
    await ledger.observe(sent(placed), told(OrderStatus.COMPLETED), next_ms=None)
    await ledger.open_refill(placed.order, "alpha")
    await ledger.open_refill(placed.order, "alpha")
    assert (await _one(ledger)).refills == 1


async def test_only_what_is_new_is_read(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    first = await bought(ledger, account, "r1", link="1")
    await ledger.observe(sent(first), told(OrderStatus.COMPLETED), next_ms=None)
    clock.ms += 1000
    second = await bought(ledger, account, "r2", link="2", remote_service="8")
    await ledger.observe(sent(second), told(OrderStatus.COMPLETED), next_ms=None)
    assert [one.remote_service for one in await ledger.delivered()] == ["7", "8"]
    assert [one.remote_service for one in await ledger.delivered(clock.ms)] == ["8"]
