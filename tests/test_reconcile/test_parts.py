"""Orders above a route's max: bought in parts, one after the other; scene by scene, in virtual time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.errors import NotSold
from gateway.ledger.records import AttemptState
from gateway.placing import DRY
from gateway.rules.model import Route
from providers.base import OrderStatus, Refusal, Requested, Status
from providers.errors import Reason
from providers.service_types import Default
from tests.simulator.network import Fate
from tests.simulator.stage import LOST, Stage, played

ACCEPTED = AttemptState.ACCEPTED
DAY = 24 * 60  # minutes
NO_FUNDS = Fate(arrives=False, answer=(200, b'{"error":"Not enough funds on balance"}'))


def parted(
    most: Sequence[int] = (1000, 1000), *, complete: bool = False, split: int = 4, idle_s: float = 5.0, **rules: Any
) -> Stage:
    """A stage whose panels "a" and "b" take so many units at once."""
    stage = Stage(complete=complete, most=most, idle_s=idle_s)
    stage.rules = msgspec.structs.replace(stage.rules, split=split, **rules)
    return stage


def parts(stage: Stage, link: str) -> list[tuple[str, int]]:
    """At which panels parts were bought, oldest first, and how large they are."""
    bought = [
        (entry.time, name, int(entry.fields["quantity"]))
        for name, box in stage.boxes.items()
        for entry in box.journal
        if entry.action == "add" and entry.fields["link"] == link
    ]
    return [(name, quantity) for _, name, quantity in sorted(bought)]


async def ends(stage: Stage, panel: str, link: str, status: str = "Completed", *, remains: int | None = 0) -> None:
    """The panel ends the last order of that link, and we hear of it."""
    box = stage.boxes[panel]
    last = [entry for entry in box.journal if entry.action == "add" and entry.fields["link"] == link][-1]
    box.set_status(last.remote_id, status, remains=remains)
    await stage.minutes(4)


def test_parts_are_bought_one_after_the_other_and_the_customer_sees_one_order() -> None:
    async def scene(stage: Stage) -> None:
        service = stage.catalog.service(1)
        assert service is not None
        assert service.max == 4000
        order = await stage.add("l", quantity=2500)
        await stage.minutes(10)
        assert parts(stage, "l") == [("a", 834)], "the next part waits until this one is delivered"
        known = await stage.order(order)
        assert (known.remains, known.charge) == (2500, Decimal("247.5"))
        await ends(stage, "a", "l")
        known = await stage.order(order)
        assert parts(stage, "l") == [("a", 834), ("a", 833)]
        assert (known.status, known.remains) == (OrderStatus.IN_PROGRESS, 1666)
        await ends(stage, "a", "l")
        await ends(stage, "a", "l")
        done = await stage.order(order)
        assert parts(stage, "l") == [("a", 834), ("a", 833), ("a", 833)]
        assert (done.status, done.remains, done.refunded) == (OrderStatus.COMPLETED, 0, Decimal(0))
        costs = [one.cost for one in await stage.ledger.attempts(order)]
        assert sum(costs) - Decimal("1.91") * Decimal("2.5") < Decimal("0.000003"), "each part costs its share"

    played(scene, parted())


def test_how_much_remains_is_of_the_whole_order_while_a_part_is_made() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l", "In progress", remains=300)
        known = await stage.order(order)
        assert (known.status, known.remains) == (OrderStatus.IN_PROGRESS, 1300)

    played(scene, parted())


def test_a_route_that_takes_all_at_once_need_not_part_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.add("large", quantity=2500)
        await stage.add("small", quantity=1000)
        assert parts(stage, "small") == [("a", 1000)]
        stage.panels["a"].stop_for = "a test"
        await stage.add("whole", quantity=2500)
        assert parts(stage, "whole") == [("b", 2500)]

    played(scene, parted((1000, 5000)))


def test_a_next_part_goes_to_another_panel_where_the_first_takes_no_more() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        stage.panels["a"].stop_for = "a test"
        await ends(stage, "a", "l")
        assert parts(stage, "l") == [("a", 1000), ("b", 1000)]
        await ends(stage, "b", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED

    played(scene, parted())


def test_no_more_is_sold_at_once_than_so_many_parts() -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(NotSold):
            await stage.add("l", quantity=2001)
        with pytest.raises(NotSold):
            await stage.placed(Default(link="l", quantity=1001, runs=2, interval=5), 1)
        await stage.add("l", quantity=2000)
        assert parts(stage, "l") == [("a", 1000)]

    played(scene, parted(split=2))


def test_a_part_that_ended_early_ends_the_order_and_what_was_not_delivered_goes_back() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l")
        await ends(stage, "a", "l", "Partial", remains=100)
        done = await stage.order(order)
        assert (done.status, done.remains) == (OrderStatus.PARTIAL, 100)
        assert done.refunded == done.charge * 100 / 2000
        first = await stage.add("f", quantity=2000)
        await ends(stage, "a", "f", "Canceled")
        done = await stage.order(first)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.CANCELED, 2000, done.charge)

    played(scene, parted())


def test_what_a_part_left_is_made_with_the_next_one_where_the_rules_complete() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l", "Partial", remains=100)
        assert parts(stage, "l") == [("a", 1000), ("b", 550)], "1100 are left, and two parts of them are even"
        await ends(stage, "b", "l")
        await ends(stage, "b", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED
        assert [panel for panel, _ in parts(stage, "l")] == ["a", "b", "b"], "who fell short is not asked again"

    played(scene, parted(complete=True))


def test_a_next_part_that_nobody_can_take_is_tried_until_its_time_is_over() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        for panel in stage.panels.values():
            panel.stop_for, panel.stop_kept = "a test", True
            await stage.ledger.learn(panel.name, stopped="a test")
        await ends(stage, "a", "l")
        known = await stage.order(order)
        assert (known.status, known.remains) == (OrderStatus.IN_PROGRESS, 1000)
        await stage.minutes(40)
        assert (await stage.order(order)).status is OrderStatus.IN_PROGRESS
        await stage.minutes(30)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 1000, done.charge / 2)
        assert parts(stage, "l") == [("a", 1000)]

    played(scene, parted(wait_s=3600))


def test_a_next_part_is_bought_as_soon_as_somebody_can_take_it() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        for panel in stage.panels.values():
            panel.stop_for, panel.stop_kept = "a test", True
            await stage.ledger.learn(panel.name, stopped="a test")
        await ends(stage, "a", "l")
        await stage.ledger.learn("b", stopped="")
        await stage.minutes(5)
        assert parts(stage, "l") == [("a", 1000), ("b", 1000)]
        assert (await stage.order(order)).status is OrderStatus.IN_PROGRESS

    played(scene, parted())


def test_a_next_part_that_our_money_does_not_carry_waits_like_any_order_and_before_newer_ones() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        for name in stage.boxes:
            stage.boxes[name].balance = Decimal(0)
            await stage.panels[name].read_balance()
        await ends(stage, "a", "l")
        [waiting] = await stage.ledger.waiting()
        assert (waiting.order, waiting.units, waiting.why) == (order, 1000, DRY)
        known = await stage.order(order)
        assert (known.status, known.remains) == (OrderStatus.IN_PROGRESS, 1000)
        newer = await stage.add("m", quantity=1000)
        assert await stage.ledger.waiting_count() == 2
        stage.boxes["a"].balance = Decimal(3)
        await stage.panels["a"].read_balance()
        await stage.minutes(1)
        assert parts(stage, "l") == [("a", 1000), ("a", 1000)]
        assert [one.order for one in await stage.ledger.waiting()] == [newer]
        await stage.restart()
        stage.boxes["a"].balance = Decimal(3)
        await stage.panels["a"].read_balance()
        await stage.minutes(5)
        await ends(stage, "a", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED
        assert len(parts(stage, "m")) == 1

    played(scene, parted())


def test_while_a_next_part_waits_its_panel_may_leave_the_rules() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        assert await stage.ledger.open_orders() == {"a": 1}
        for panel in stage.panels.values():
            panel.stop_for, panel.stop_kept = "a test", True
            await stage.ledger.learn(panel.name, stopped="a test")
        await ends(stage, "a", "l")
        assert [one.order for one in await stage.ledger.waiting()] == [order]
        assert await stage.ledger.open_orders() == {}
        stage.rules = msgspec.structs.replace(
            stage.rules,
            panels={"b": stage.rules.panels["b"]},
            services={
                1: msgspec.structs.replace(stage.rules.services[1], routes=(Route(panel="b", service="1"),)),
            },
        )
        del stage.boxes["a"]
        await stage.ledger.learn("b", stopped="")
        await stage.restart()
        await stage.minutes(2)
        assert parts(stage, "l") == [("b", 1000)]
        await ends(stage, "b", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED

    played(scene, parted())


def test_a_next_part_refused_for_want_of_money_waits_for_a_topup() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        stage.network.next.extend([NO_FUNDS, NO_FUNDS])
        await ends(stage, "a", "l")
        [waiting] = await stage.ledger.waiting()
        assert (waiting.order, waiting.units) == (order, 1000)
        assert (await stage.order(order)).status is OrderStatus.IN_PROGRESS
        await stage.panels["b"].read_balance()
        await stage.minutes(2)
        assert parts(stage, "l") == [("a", 1000), ("b", 1000)]
        await ends(stage, "b", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED

    played(scene, parted())


def test_after_a_cancel_was_asked_for_no_further_part_is_bought() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await stage.ledger.wish(order, "cancel", by="a test", reason="")
        await ends(stage, "a", "l")
        await stage.minutes(5)
        done = await stage.order(order)
        assert parts(stage, "l") == [("a", 1000)]
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 1000, done.charge / 2)

    played(scene, parted())


def test_a_part_whose_answer_is_lost_is_never_sent_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        order = await stage.add("l", quantity=2000)
        stage.network.next.append(LOST)
        await ends(stage, "a", "l")
        assert (await stage.last(order)).state is AttemptState.UNKNOWN
        await stage.add("after", quantity=333)
        await stage.minutes(30)
        assert await stage.attempts(order) == [("a", ACCEPTED), ("a", AttemptState.UNTRACKED)]
        assert parts(stage, "l") == [("a", 1000), ("a", 1000)]

    played(scene, parted())


def test_parts_go_on_over_a_restart() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await stage.restart()
        await ends(stage, "a", "l")
        await stage.restart()
        await ends(stage, "a", "l")
        assert parts(stage, "l") == [("a", 1000), ("a", 1000)]
        assert (await stage.order(order)).status is OrderStatus.COMPLETED

    played(scene, parted())


def test_money_that_a_panel_gives_back_for_the_last_part_reaches_the_customer() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l")
        await ends(stage, "a", "l")
        await ends(stage, "a", "l", "Partial", remains=500)
        await stage.minutes(90)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 500, done.charge / 4)

    played(scene, parted())


async def turns(stage: Stage, order: int, number: int, status: str, *, remains: int | None = None) -> None:
    """A panel says something else of an order's attempt that it was done with, and we hear of it."""
    one = (await stage.ledger.attempts(order))[number]
    assert one.remote_id is not None
    stage.boxes[one.panel].set_status(int(one.remote_id), status, remains=remains)
    await stage.minutes(DAY)


@pytest.mark.parametrize(("status", "remains", "lost"), [("Partial", 400, 400), ("Canceled", None, 1000)])
def test_money_that_a_panel_gives_back_for_an_earlier_part_reaches_the_customer(
    status: str, remains: int | None, lost: int
) -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l")
        await ends(stage, "a", "l", "In progress", remains=1000)
        await turns(stage, order, 0, status, remains=remains)
        known = await stage.order(order)
        assert (known.status, known.remains, known.refunded) == (OrderStatus.IN_PROGRESS, 1000 + lost, Decimal(0))
        await ends(stage, "a", "l", "In progress", remains=300)
        await stage.minutes(DAY)
        assert (await stage.order(order)).remains == 300 + lost
        await ends(stage, "a", "l")
        await stage.minutes(DAY)
        done = await stage.order(order)
        assert (done.status, done.remains) == (OrderStatus.PARTIAL, lost)
        assert done.refunded == done.charge * lost / 2000
        assert parts(stage, "l") == [("a", 1000), ("a", 1000)], "it is not bought again"

    played(scene, parted(idle_s=60.0))


def test_money_that_a_panel_gives_back_for_an_earlier_part_once_all_is_done_reaches_the_customer() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l")
        await ends(stage, "a", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED
        await turns(stage, order, 0, "Partial", remains=100)
        await turns(stage, order, 0, "Partial", remains=60)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 100, done.charge / 20)
        await turns(stage, order, 1, "Canceled")
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 1100, done.charge * 11 / 20)

    played(scene, parted(idle_s=60.0))


def test_of_a_beginning_only_what_was_not_passed_on_is_given_back() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await ends(stage, "a", "l", "Partial", remains=400)
        assert parts(stage, "l") == [("a", 1000), ("b", 400)]
        await ends(stage, "b", "l", "In progress", remains=400)
        await turns(stage, order, 0, "Partial", remains=400)
        await turns(stage, order, 0, "Completed", remains=0)
        assert (await stage.order(order)).remains == 400
        await turns(stage, order, 0, "Canceled")
        assert (await stage.order(order)).remains == 1000
        await ends(stage, "b", "l")
        await stage.minutes(DAY)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 600, done.charge * 6 / 10)

    played(scene, parted(complete=True, most=(5000, 5000), idle_s=60.0))


def test_what_was_given_back_of_an_earlier_part_goes_back_with_what_nobody_makes() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        await ends(stage, "a", "l")
        await turns(stage, order, 0, "Partial", remains=400)
        await ends(stage, "a", "l", "Canceled")
        await stage.minutes(DAY)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 1400, done.charge * 7 / 10)

    played(scene, parted(idle_s=60.0))


@pytest.mark.parametrize(
    ("status", "remains", "back"),
    [
        (OrderStatus.EXPIRED, None, 1000),
        (OrderStatus.EXPIRED, 250, 1250),
        (OrderStatus.PARTIAL, None, 1000),
        (OrderStatus.PARTIAL, 0, 1000),
    ],
)
def test_where_a_part_ends_oddly_what_comes_later_goes_back(
    status: OrderStatus, remains: int | None, back: int
) -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        [one] = await stage.ledger.attempts(order)
        told = Status(status=status, word=status.value, remains=remains)
        real = stage.panels["a"].provider.status

        async def says(ids: Sequence[str]) -> Mapping[str, Status | Refusal]:
            return {**await real(ids), one.remote_id or "": told}

        stage.panels["a"].provider.status = says  # type: ignore[assignment, method-assign]
        await stage.minutes(30)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, back, done.charge * back / 2000)
        assert parts(stage, "l") == [("a", 1000)]

    played(scene, parted())


def test_a_cancel_that_comes_too_late_for_a_part_is_in_time_for_the_later_ones() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=3000)
        [one] = await stage.ledger.attempts(order)

        async def says(ids: Sequence[str]) -> Mapping[str, Requested | Refusal]:
            return dict.fromkeys(ids, Refusal(Reason.CANCEL, "it is done"))

        stage.panels["a"].provider.cancel = says  # type: ignore[assignment, method-assign]
        assert await stage.orders.cancel(stage.account, [order]) == {order: None}
        await ends(stage, "a", "l")
        await stage.minutes(30)
        done = await stage.order(order)
        assert (done.status, done.remains) == (OrderStatus.PARTIAL, 2000)
        assert parts(stage, "l") == [("a", 1000)]
        assert one.remote_id is not None

    played(scene, parted())


@pytest.mark.parametrize("answer", [NO_FUNDS.answer, (200, b'{"error":"Service is under maintenance"}'), "lost"])
def test_an_order_that_people_gave_back_whole_is_not_bought_on(answer: str | tuple[int, bytes]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        order = await stage.add("l", quantity=2000)
        stage.network.next.extend([Fate(arrives=False, back_s=25, answer=answer)])
        [entry] = [entry for entry in stage.boxes["a"].journal if entry.fields.get("link") == "l"]
        stage.boxes["a"].set_status(entry.remote_id, "Completed", remains=0)
        for _ in range(200):
            if len(await stage.attempts(order)) == 2:
                break
            await stage.minutes(1 / 60)
        known = await stage.order(order)
        await stage.ledger.give_back(order, known.charge, ends=True, evidence="{}")
        await stage.minutes(8 * 60)
        done = await stage.order(order)
        assert (done.status, done.refunded) == (OrderStatus.CANCELED, done.charge)
        assert parts(stage, "l") == [("a", 1000)]
        [_, (_, second)] = await stage.attempts(order)
        assert second is not AttemptState.SENDING, "what became of it is written all the same"
        assert await stage.ledger.waiting() == ()

    played(scene, parted())


def test_a_part_takes_of_our_money_no_more_than_it_costs() -> None:
    async def scene(stage: Stage) -> None:
        await stage.add("l", quantity=4000)
        funds = stage.panels["a"].funds
        assert funds is not None
        assert Decimal(10_000) - funds == Decimal("1.91")
        await stage.panels["a"].read_balance()
        assert stage.panels["a"].funds == funds

    played(scene, parted())


@pytest.mark.parametrize(("margin", "rate"), [("0", "0.9137"), ("0.10", "0.914"), ("0.25", "0.9132")])
def test_no_rounding_keeps_a_next_part_from_being_bought(margin: str, rate: str) -> None:
    async def scene(stage: Stage) -> None:
        row = stage.panels["a"].rows["1"]
        stage.panels["b"].stop_for = "a test"
        dear = msgspec.structs.replace(row, rate=Decimal(rate))
        stage.panels["a"].rows = {"1": dear}
        service = stage.catalog.service(1)
        assert service is not None
        sold = msgspec.structs.replace(service, rate=Decimal(rate) * (1 + Decimal(margin)), min_margin=Decimal(margin))
        stage.catalog._view.by_id[1] = sold  # type: ignore[index]
        order = await stage.orders.add(stage.account, sold, Default(link="l", quantity=2500))
        await ends(stage, "a", "l")
        await ends(stage, "a", "l")
        await ends(stage, "a", "l")
        assert (await stage.order(order)).status is OrderStatus.COMPLETED

    played(scene, parted(min_margin=Decimal(margin)))


def test_after_a_waiting_part_was_given_up_a_late_word_gives_back_its_own_units_and_no_more() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", quantity=2000)
        for panel in stage.panels.values():
            panel.stop_for, panel.stop_kept = "a test", True
            await stage.ledger.learn(panel.name, stopped="a test")
        await ends(stage, "a", "l")
        await stage.minutes(70)
        done = await stage.order(order)
        assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 1000, done.charge / 2)
        await turns(stage, order, 0, "Partial", remains=100)
        done = await stage.order(order)
        assert (done.remains, done.refunded) == (1100, done.charge * 11 / 20)

    played(scene, parted(wait_s=3600, idle_s=60.0))


def test_no_more_parts_are_bought_than_the_rules_say_whatever_the_panels_take() -> None:
    async def scene(stage: Stage) -> None:
        await stage.add("l", quantity=2000)
        for name in ("a", "b"):
            panel = stage.panels[name]
            panel.rows = {"1": msgspec.structs.replace(panel.rows["1"], max=500)}
        await ends(stage, "a", "l")
        assert parts(stage, "l") == [("a", 1000)]
        [waiting] = await stage.ledger.waiting()
        assert waiting.units == 1000

    played(scene, parted(split=2))


def test_the_rest_of_a_drip_feed_is_not_bought_by_itself() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.placed(Default(link="l", quantity=100, runs=10, interval=5), 1)
        await ends(stage, "a", "l", "Partial", remains=400)
        assert len(parts(stage, "l")) == 1
        assert (await stage.order(order)).status is OrderStatus.PARTIAL

    played(scene, parted(complete=True, most=(5000, 5000)))
