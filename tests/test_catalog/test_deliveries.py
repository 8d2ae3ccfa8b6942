"""What routes really delivered, from the ledger into the offers."""

from decimal import Decimal

import pytest

from gateway.routing import Delivered
from providers.errors import Reason, Refused
from tests.test_catalog.fakes import ROUTED, House

pytestmark = pytest.mark.anyio


def short(house: House, *, orders: float = 40.0, remote_service: str = "1") -> Delivered:
    return Delivered(
        panel="alpha",
        remote_service=remote_service,
        orders=orders,
        paid=orders,
        got=orders * 0.6,
        short=orders,
        seconds=90,
        at_ms=house.clock.ms(),
    )


async def test_offers_know_what_was_delivered_at_the_start_and_after_each_look(house: House) -> None:
    house.ledger.deliveries = [short(house)]
    catalog = await house.started(ROUTED)
    service = catalog.service(7)
    assert service is not None
    alpha, beta, _ = catalog.offers(service, house.clock())
    assert (alpha.truth > Decimal("1.5"), alpha.kept < 0.1, alpha.seconds) == (True, True, 90)
    assert (beta.truth, beta.kept, beta.seconds) == (Decimal(1), 1.0, None)
    house.ledger.deliveries = [short(house, orders=4.0)]
    await catalog.deliveries.refresh()
    assert catalog.offers(service, house.clock())[0].truth < alpha.truth


async def test_a_route_of_which_nothing_is_known_is_thought_to_be_like_its_panel(house: House) -> None:
    house.ledger.deliveries = [short(house, remote_service="another")]
    catalog = await house.started(ROUTED)
    service = catalog.service(7)
    assert service is not None
    alpha, beta, _ = catalog.offers(service, house.clock())
    assert alpha.truth > Decimal("1.5")
    assert (alpha.kept, beta.truth) == (1.0, Decimal(1))


async def test_a_ledger_that_is_busy_leaves_what_was_known(house: House) -> None:
    house.ledger.deliveries = [short(house)]
    catalog = await house.started(ROUTED)
    house.ledger.busy = True
    await catalog.deliveries.refresh()
    assert catalog.deliveries.of("alpha", "1").truth > Decimal("1.5")


async def test_an_open_circuit_of_a_service_leaves_its_routes_out_and_no_other(house: House) -> None:
    catalog = await house.started(ROUTED)
    service = catalog.service(7)
    assert service is not None
    alpha = catalog.panels["alpha"]
    for _ in range(2):
        alpha.noted(
            "add", Refused("Incorrect service ID", Reason.SERVICE, panel="alpha", action="add"), 0.1, remote_service="1"
        )
    assert [offer.closed for offer in catalog.offers(service, house.clock())][:2] == [False, True]
    assert alpha.closed(house.clock()), "the panel's own stays closed"
    house.clock.now += 300
    assert catalog.offers(service, house.clock())[0].closed, "after the pause an order tries it"
