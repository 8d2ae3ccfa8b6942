"""The tasks that keep lists and balances fresh: when they look, what they bear, how they end."""

import asyncio
from decimal import Decimal

import pytest

from gateway.rules import model
from providers.base import Balance, Services
from providers.errors import Reason, Refused
from tests.test_catalog.fakes import PUBLISHED, ROUTED, House, ids, numbered, panels, rules, silence

pytestmark = pytest.mark.anyio


class TestTasks:
    async def test_all_panels_are_asked_side_by_side(self, house: House) -> None:
        house.alpha.held = asyncio.Event()
        catalog = house.catalog(ROUTED)
        await catalog.start()
        assert await house.sleep.asleep() == pytest.approx(300)  # beta's task has done its sync, alpha's is held
        assert catalog.panels["beta"].snapshot is not None
        assert (catalog.panels["alpha"].snapshot, catalog.ready) == (None, False)
        house.alpha.held.set()
        await catalog.until_ready()
        assert catalog.ready

    async def test_a_panel_that_failed_once_does_not_hold_up_the_start(self, house: House) -> None:
        house.alpha.lists = [silence()]
        catalog = await house.started(PUBLISHED)
        assert catalog.ready
        assert list(catalog.services()) == []

    async def test_a_list_is_fetched_again_after_the_interval(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        house.alpha.lists = [numbered(5)]
        house.clock.now += 300
        assert await house.sleep.wake() == pytest.approx(300)
        assert len(catalog.services()) == 5

    async def test_failures_are_followed_sooner_and_then_later(self, house: House) -> None:
        house.alpha.lists = [silence(), Services(rows=()), RuntimeError("never seen before"), numbered(4)]
        catalog = await house.started(PUBLISHED)
        pauses = [await house.sleep.wake() for _ in range(3)]
        assert pauses == pytest.approx([5, 10, 20])
        assert await house.sleep.asleep() == pytest.approx(300)
        assert len(catalog.services()) == 4

    async def test_a_restart_sells_by_the_last_good_list_at_once(self, house: House) -> None:
        await house.started(PUBLISHED)
        house.alpha.held = asyncio.Event()
        later = house.catalog(PUBLISHED)
        await later.start()
        assert later.ready
        assert ids(later) == [1, 2, 3, 4]

    async def test_stopping_leaves_no_task_behind(self, house: House) -> None:
        before = asyncio.all_tasks()
        catalog = await house.started(ROUTED)
        names = {task.get_name() for task in asyncio.all_tasks() - before}
        of_panels = {"catalogue alpha", "catalogue beta", "balance alpha", "balance beta"}
        assert names == of_panels | {"catalogue news", "circuits"}
        await catalog.stop()
        assert asyncio.all_tasks() == before

    async def test_stopping_in_the_middle_of_a_fetch_is_clean_too(self, house: House) -> None:
        before = asyncio.all_tasks()
        house.alpha.held = asyncio.Event()
        catalog = house.catalog(PUBLISHED)
        await catalog.start()
        await house.sleep.asleep(short=True)
        await catalog.stop()
        assert asyncio.all_tasks() == before

    async def test_an_unknown_panel_is_an_error(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        assert catalog.panel("beta") is None
        assert catalog.panel("alpha") is catalog.panels["alpha"]
        with pytest.raises(KeyError):
            await catalog.sync("beta")


class TestRenew:
    async def test_other_rules_are_sold_and_the_panel_that_stays_is_not_asked_again(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        version, alpha = catalog.version, catalog.panels["alpha"]
        other = rules("alpha", publish=(model.Publish(panel="alpha", margin=Decimal(1)),))
        await catalog.renew(other, {"alpha": alpha})
        assert catalog.rules is other
        assert catalog.ready
        assert catalog.version == version + 1
        assert {service.rate for service in catalog.services()} == {Decimal(2)}
        await house.sleep.asleep()
        assert house.alpha.asked.count("services") == 1

    async def test_a_new_panel_is_asked_at_once(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        made = panels(ROUTED, house.clock, alpha=house.alpha, beta=house.beta)
        await catalog.renew(ROUTED, {**made, "alpha": catalog.panels["alpha"]})
        await catalog.until_ready()
        assert ids(catalog) == [7]


class TestProbe:
    async def test_an_open_circuit_is_probed_with_the_balance_and_closed_by_it(self, house: House) -> None:
        house.alpha.balances = [silence(), silence(), Balance(Decimal(1))]
        catalog = await house.started(PUBLISHED)
        await house.sleep.asleep(short=True)
        panel = catalog.panels["alpha"]
        while panel.closed(house.clock()):
            panel.noted("add", silence(), 1.0)
        asked = house.alpha.asked.count("balance")
        await house.sleep.wake(short=True)
        assert house.alpha.asked.count("balance") == asked
        house.clock.now += 5
        await house.sleep.wake(short=True)
        assert (house.alpha.asked.count("balance"), panel.closed(house.clock())) == (asked + 1, False)
        house.clock.now += 10
        await house.sleep.wake(short=True)
        assert (house.alpha.asked.count("balance"), panel.closed(house.clock())) == (asked + 2, True)

    async def test_the_balance_is_read_every_interval(self, house: House) -> None:
        await house.started(PUBLISHED)
        await house.sleep.asleep(short=True)
        for _ in range(3):
            await house.sleep.wake(short=True)
        assert house.alpha.asked.count("balance") == 1
        house.clock.now += 60
        await house.sleep.wake(short=True)
        assert house.alpha.asked.count("balance") == 2

    async def test_a_refusal_for_lack_of_funds_empties_the_offer_until_the_next_balance(self, house: House) -> None:
        catalog = await house.started(ROUTED)
        await house.sleep.asleep(short=True)
        alpha, service = catalog.panels["alpha"], catalog.service(7)
        assert service is not None
        alpha.noted("add", Refused("Not enough funds", Reason.FUNDS, panel="alpha", action="add"), 0.1)
        assert catalog.offers(service, house.clock())[0].funds == 0
        await alpha.read_balance()
        assert catalog.offers(service, house.clock())[0].funds == 100

    async def test_a_panel_that_said_our_money_is_short_is_asked_for_the_balance_soon(self, house: House) -> None:
        catalog = await house.started(PUBLISHED)
        await house.sleep.asleep(short=True)
        alpha = catalog.panels["alpha"]
        asked = house.alpha.asked.count("balance")
        alpha.noted("add", Refused("Not enough funds", Reason.FUNDS, panel="alpha", action="add"), 0.1)
        await house.sleep.wake(short=True)
        assert house.alpha.asked.count("balance") == asked
        house.clock.now += 5
        await house.sleep.wake(short=True)
        assert (house.alpha.asked.count("balance"), alpha.is_dry) == (asked + 1, False)
        house.clock.now += 5
        await house.sleep.wake(short=True)
        assert house.alpha.asked.count("balance") == asked + 1
