"""The rest of an order that its panel ended early, made elsewhere; scene by scene, in virtual time."""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from gateway.ledger.records import AttemptState, Order
from gateway.rules.model import Service
from providers.base import OrderStatus
from tests.simulator.network import Fate
from tests.simulator.stage import NEVER, Stage, played

ACCEPTED = AttemptState.ACCEPTED
NO_FUNDS = Fate(arrives=False, answer=(200, b'{"error":"neworder.error.not_enough_funds"}'))


def ended(stage: Stage, panel: str, link: str, status: str, *, remains: int | None = None) -> None:
    """The panel ends its order of that link."""
    box = stage.boxes[panel]
    box.set_status(
        next(entry.remote_id for entry in box.journal if entry.fields["link"] == link), status, remains=remains
    )


def of_customer(order: Order) -> tuple[OrderStatus, int, Decimal]:
    return order.status, order.remains, order.refunded


def test_a_rest_is_made_by_the_next_panel_and_the_customer_sees_one_order() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        assert await stage.attempts(order) == [("a", ACCEPTED), ("b", ACCEPTED)]
        assert stage.boxes["b"].journal[-1].fields["quantity"] == "400"
        assert of_customer(await stage.order(order)) == (OrderStatus.IN_PROGRESS, 400, Decimal(0))
        ended(stage, "b", "l", "Completed", remains=0)
        await stage.minutes(10)
        assert of_customer(await stage.order(order)) == (OrderStatus.COMPLETED, 0, Decimal(0))

    played(scene, Stage(complete=True))


def test_what_ends_early_during_a_stop_is_made_whole_after_the_next_start() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        order = await stage.add("l")
        lost = await stage.add("m", Fate(arrives=False, answer="lost"))
        await stage.orders.drain(1.0, asyncio.Event())
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(14)
        assert await stage.attempts(order) == [("a", ACCEPTED)]
        assert (await stage.order(order)).refunded == 0
        assert await stage.attempts(lost) == [("a", AttemptState.UNKNOWN)]
        await stage.restart()
        await stage.minutes(60)
        assert await stage.attempts(order) == [("a", ACCEPTED), ("b", ACCEPTED)]
        assert await stage.attempts(lost) == [("a", AttemptState.NOT_PLACED), ("b", ACCEPTED)]

    logs = played(scene, Stage(complete=True))
    assert [log for log in logs if log["log_level"] == "error" and log["event"] != "unknown"] == []


def test_a_canceled_order_is_made_whole_by_the_next_panel() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Canceled")
        await stage.minutes(4)
        assert await stage.attempts(order) == [("a", ACCEPTED), ("b", ACCEPTED)]
        assert stage.bought("l") == ["a", "b"]
        ended(stage, "b", "l", "Canceled")
        await stage.minutes(10)
        done = await stage.order(order)
        assert of_customer(done) == (OrderStatus.CANCELED, 1000, done.charge)

    played(scene, Stage(complete=True))


def test_without_the_rule_the_rest_is_given_back() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        assert await stage.attempts(order) == [("a", ACCEPTED)]
        done = await stage.order(order)
        assert of_customer(done) == (OrderStatus.PARTIAL, 400, done.charge * 400 / 1000)

    played(scene, Stage())


@pytest.mark.parametrize("complete", [True, False])
def test_a_service_says_otherwise_than_the_rest(*, complete: bool) -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        assert len(await stage.attempts(order)) == (1 + complete)

    stage = Stage(complete=not complete)
    one: Service = msgspec.structs.replace(stage.rules.services[1], complete=complete)
    stage.rules = msgspec.structs.replace(stage.rules, services={**stage.rules.services, 1: one})
    played(scene, stage)


def test_no_more_panels_make_an_order_than_the_rules_allow() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        assert len(await stage.attempts(order)) == 1

    stage = Stage(complete=True)
    stage.rules = msgspec.structs.replace(stage.rules, complete_panels=1)
    played(scene, stage)


def test_a_rest_too_small_for_the_next_panel_is_given_back() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=9)  # ten is the least there
        await stage.minutes(4)
        assert await stage.attempts(order) == [("a", ACCEPTED)]
        assert (await stage.order(order)).status is OrderStatus.PARTIAL

    played(scene, Stage(complete=True))


def test_a_rest_that_costs_more_than_its_share_of_the_charge_is_given_back() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        assert await stage.attempts(order) == [("a", ACCEPTED)]
        assert (await stage.order(order)).status is OrderStatus.PARTIAL

    stage = Stage(complete=True)
    one = msgspec.structs.replace(stage.rules.services[1], rate=Decimal("1.95"))  # "b" takes 2.37 for a thousand
    stage.rules = msgspec.structs.replace(stage.rules, services={**stage.rules.services, 1: one})
    played(scene, stage)


def test_a_rest_that_nobody_takes_is_given_back() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        stage.network.next.append(NO_FUNDS)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        done = await stage.order(order)
        assert (await stage.attempts(order))[1] == ("b", AttemptState.REFUSED)
        assert of_customer(done) == (OrderStatus.PARTIAL, 400, done.charge * 400 / 1000)

    stage = Stage(complete=True)
    stage.rules = msgspec.structs.replace(stage.rules, wait_s=0)
    played(scene, stage)


def test_a_rest_whose_outcome_is_unknown_is_given_back_only_when_it_is_known() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        stage.panels["a"].stop_for = "a test"
        for number in range(3):
            await stage.add(f"b/{number}", quantity=200 + number)
            await stage.minutes(5)
        stage.panels["a"].stop_for = ""
        order = await stage.add("l", quantity=2000)
        await stage.minutes(2)
        stage.network.next.append(NEVER)
        ended(stage, "a", "l", "Partial", remains=700)
        await stage.minutes(3)
        assert (await stage.attempts(order))[1] == ("b", AttemptState.UNKNOWN)
        assert of_customer(await stage.order(order)) == (OrderStatus.IN_PROGRESS, 700, Decimal(0))
        await stage.minutes(15)
        done = await stage.order(order)
        assert (await stage.attempts(order))[1] == ("b", AttemptState.NOT_PLACED)
        assert of_customer(done) == (OrderStatus.PARTIAL, 700, done.charge * 700 / 2000)
        assert stage.bought("l") == ["a"]

    played(scene, Stage(complete=True))


def test_what_the_first_panel_says_later_changes_nothing_for_the_customer() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l")
        await stage.minutes(2)
        ended(stage, "a", "l", "Partial", remains=400)
        await stage.minutes(4)
        ended(stage, "a", "l", "Canceled")
        await stage.minutes(8 * 60)
        after = await stage.order(order)
        assert (after.status, after.refunded) == (OrderStatus.IN_PROGRESS, Decimal(0))
        first = (await stage.ledger.attempts(order))[0]
        assert first.taken == 0, "it gave all back to us, and we know"

    played(scene, Stage(complete=True))
