"""The catalogue as the rest of the program sees it: services, their version, conflicts, offers."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import pytest

from gateway.catalog import Catalog, Conflict, Outcome
from gateway.panels import Snapshot
from gateway.routing import Offer
from gateway.rules import model
from providers.base import Balance, RemoteService, Services
from tests.test_catalog.fakes import PUBLISHED, ROUTED, House, Logs, ids, listing, numbered, row, rules, silence

pytestmark = pytest.mark.anyio


def _last(catalog: Catalog) -> tuple[Snapshot, Mapping[str, RemoteService]]:
    panel = catalog.panels["alpha"]
    assert panel.snapshot is not None
    return panel.snapshot, panel.rows


class TestServices:
    async def test_before_the_first_list_nothing_is_sold(self, house: House) -> None:
        catalog = house.catalog(PUBLISHED)
        assert (list(catalog.services()), catalog.service(1), catalog.version) == ([], None, 0)
        assert not catalog.ready

    async def test_after_the_first_list_it_is(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        assert ids(catalog) == [1, 2, 3, 4]
        assert catalog.service(3) is catalog.services()[2]
        assert catalog.service(5) is None

    async def test_the_version_grows_only_when_what_is_sold_changes(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        first = catalog.version
        assert (await catalog.sync("alpha")).outcome is Outcome.SAME
        assert catalog.version == first
        house.alpha.lists = [numbered(5)]
        assert (await catalog.sync("alpha")).outcome is Outcome.NEW
        assert catalog.version == first + 1
        assert ids(catalog) == [1, 2, 3, 4, 5]

    async def test_a_change_of_what_is_not_sold_changes_no_version(self, house: House) -> None:
        of = rules("alpha", publish=(model.Publish(panel="alpha", category="Insta*"),))
        catalog = await house.started(of)
        first = catalog.version
        house.alpha.lists = [Services(rows=(*numbered(4).rows, row("5", category="TikTok")))]
        assert (await catalog.sync("alpha")).outcome is Outcome.NEW
        assert catalog.version == first

    async def test_the_last_good_list_is_sold_while_the_panel_is_silent(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        for reply in (silence(), Services(rows=()), numbered(1)):
            house.alpha.lists = [reply]
            assert not (await catalog.sync("alpha")).good
            assert ids(catalog) == [1, 2, 3, 4]

    async def test_what_cannot_be_sold_is_told(self, house: House) -> None:
        house.alpha.lists = [listing(row("1"), row("SUB-12"))]
        of = rules(
            "alpha", publish=PUBLISHED.publish, services={9: model.Service(routes=ROUTED.services[7].routes[2:])}
        )
        catalog = await house.started(of)
        assert ids(catalog) == [1]
        assert list(catalog.conflicts) == [
            Conflict(9, "alpha", "99", "not in the panel's list"),
            Conflict(9, "", "", "none of its routes can be bought"),
            Conflict(None, "alpha", "SUB-12", 'its id "SUB-12" is not a number from 1 to 2147483647'),
        ]

    async def test_conflicts_are_told_also_when_they_change_nothing_that_is_sold(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        house.alpha.lists = [Services(rows=(*numbered(4).rows, row("x")))]
        await catalog.sync("alpha")
        assert [conflict.remote_service for conflict in catalog.conflicts] == ["x"]


class TestNewIds:
    NEW = rules("alpha", publish=(model.Publish(panel="alpha", ids=model.Ids.NEW, first=5000, name="*e [13]"),))

    async def test_they_are_given_by_the_ledger_to_the_rows_that_are_published(self, house: House) -> None:
        catalog = await house.started(self.NEW)
        assert [(service.id, service.routes[0].service) for service in catalog.services()] == [(5000, "1"), (5001, "3")]
        assert house.ledger.asked_ids == [("1", "3")]

    async def test_only_ids_not_yet_known_are_asked_for(self, house: House) -> None:
        catalog = await house.started(self.NEW)
        house.alpha.lists = [Services(rows=(*numbered(4).rows, row("77", name="One [13] e 1")))]
        await catalog.sync("alpha")
        assert ids(catalog) == [5000, 5001, 5002]
        assert house.ledger.asked_ids == [("1", "3"), ("77",)]

    async def test_a_busy_ledger_leaves_what_is_sold_as_it_was_until_the_next_sync(
        self, house: House, logs: Logs
    ) -> None:
        catalog = await house.started(self.NEW)
        house.alpha.lists = [Services(rows=(*numbered(4).rows, row("77", name="One [13] e 1")))]
        house.ledger.busy = True
        await catalog.sync("alpha")
        assert ids(catalog) == [5000, 5001]
        assert "not_compiled" in [line["outcome"] for line in logs if line["event"] == "catalogue"]
        house.ledger.busy = False
        assert (await catalog.sync("alpha")).outcome is Outcome.SAME
        assert ids(catalog) == [5000, 5001, 5002]

    async def test_the_catalogue_is_not_ready_before_they_are_given(self, house: House) -> None:
        house.ledger.held = asyncio.Event()
        catalog = house.catalog(self.NEW)
        await catalog.start()
        await house.ledger.reached.wait()
        assert (catalog.panels["alpha"].snapshot is None, catalog.ready) == (False, False)
        house.ledger.held.set()
        await catalog.until_ready()
        assert ids(catalog) == [5000, 5001]

    async def test_a_ledger_busy_at_the_start_is_waited_for(self, house: House) -> None:
        before = await house.started(self.NEW)
        later = house.catalog(self.NEW)
        later.panels["alpha"].took(*_last(before))
        house.ledger.busy = True
        await later.start()
        assert not later.ready
        house.ledger.busy = False
        await later.until_ready()
        assert ids(later) == [5000, 5001]


class TestOffers:
    async def test_each_route_is_an_offer_with_todays_facts(self, house: House) -> None:
        house.alpha.balances = [Balance(Decimal(50))]
        house.beta.balances = [Balance(Decimal(10), "EUR")]
        house.beta.lists = [listing(row("2", rate=Decimal(2), refill=True, dripfeed=False))]
        catalog = await house.started(ROUTED)
        await house.sleep.asleep(short=True)
        for panel in catalog.panels.values():
            await panel.read_balance()
        service = catalog.service(7)
        assert service is not None
        score = catalog.panels["alpha"].score(house.clock())
        assert catalog.offers(service, house.clock()) == [
            Offer(
                panel="alpha",
                remote_service="1",
                position=0,
                rate=Decimal(1),
                min=10,
                max=1000,
                score=score,
                funds=Decimal(50),
            ),
            Offer(
                panel="beta",
                remote_service="2",
                position=1,
                weight=3,
                condition=service.routes[1].when,
                rate=Decimal("2.16"),
                min=10,
                max=1000,
                refill=True,
                dripfeed=False,
                score=score,
                funds=Decimal("10.8"),
            ),
            Offer(panel="alpha", remote_service="99", position=2, listed=False),
        ]

    async def test_an_open_circuit_shows(self, house: House) -> None:
        catalog = await house.started(ROUTED)
        service = catalog.service(7)
        assert service is not None
        for _ in range(5):
            catalog.panels["beta"].noted("add", silence("beta"), 1.0)
        alpha, beta, _ = catalog.offers(service, house.clock())
        assert (alpha.closed, beta.closed) == (True, False)
        assert beta.score < alpha.score

    async def test_a_row_whose_rate_is_no_price_has_none(self, house: House) -> None:
        catalog = await house.started(ROUTED)
        service = catalog.service(7)
        assert service is not None
        house.alpha.lists = [numbered(4, rate=Decimal(0))]
        await catalog.sync("alpha")
        assert [offer.rate for offer in catalog.offers(service, house.clock())] == [None, Decimal("2.16"), None]

    async def test_a_service_of_before_offers_nothing_of_panels_that_are_gone(self, house: House) -> None:
        catalog = await house.started(ROUTED)
        service = catalog.service(7)
        assert service is not None
        await catalog.renew(PUBLISHED, {"alpha": catalog.panels["alpha"]})
        assert [offer.listed for offer in catalog.offers(service, house.clock())] == [True, False, False]

    async def test_funds_are_those_of_all_panels_that_told(self, house: House) -> None:
        house.alpha.balances = [Balance(Decimal(50))]
        house.beta.balances = [silence("beta")]
        catalog = await house.started(ROUTED)
        await house.sleep.asleep(short=True)
        await catalog.panels["alpha"].read_balance()
        assert catalog.funds() == Decimal(50)
