"""What the ledger learns of routes as orders end there."""

from decimal import Decimal

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Next
from gateway.routing import Delivered
from providers.base import OrderStatus
from tests.test_ledger.samples import Clock, bought, funded, sent, told

pytestmark = pytest.mark.anyio


async def _one(ledger: Ledger) -> Delivered:
    [known] = await ledger.delivered()
    assert (known.panel, known.remote_service) == ("alpha", "7")
    return known


async def test_a_whole_order_is_paid_and_got_and_took_its_time(ledger: Ledger, clock: Clock) -> None:
    placed = await bought(ledger, await funded(ledger))
    await ledger.observe(sent(placed), told(OrderStatus.IN_PROGRESS, remains=40), next_ms=1)
    assert await ledger.delivered() == ()
    clock.ms += 90_000
    await ledger.observe(sent(placed), told(OrderStatus.COMPLETED, remains=0, charge=Decimal("0.5")), next_ms=1)
    known = await _one(ledger)
    assert (known.orders, known.got, known.short, known.seconds) == (1, 1, 0, 90)
    assert known.paid == pytest.approx(1.25), "0.5 taken of us where 0.4 was listed"
    assert known.at_ms == clock.ms


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
