"""Orders that only our money at the panels keeps from being bought: they wait; scene by scene, in virtual time."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.errors import NotSold
from gateway.ledger.records import AttemptState
from gateway.placing import DRY
from gateway.rules.model import Route
from providers.base import Action, OrderStatus
from providers.service_types import Default
from tests.simulator.network import Fate
from tests.simulator.stage import LOST, Stage, played

ACCEPTED, REFUSED, NOT_SENT = AttemptState.ACCEPTED, AttemptState.REFUSED, AttemptState.NOT_SENT
NO_FUNDS = Fate(arrives=False, answer=(200, b'{"error":"Not enough funds on balance"}'))
BAD_LINK = Fate(arrives=False, answer=(200, b'{"error":"Incorrect link"}'))
BROKEN = Fate(arrives=False, answer=(200, b'{"error":"Service is under maintenance, please try again later"}'))


async def dried(stage: Stage, *panels: str) -> None:
    """We have no money there, and know it."""
    for name in panels:
        stage.boxes[name].balance = Decimal(0)
        await stage.panels[name].read_balance()


async def topped_up(stage: Stage, panel: str, balance: int = 100) -> None:
    stage.boxes[panel].balance = Decimal(balance)
    await stage.panels[panel].read_balance()


def ruled(**changes: Any) -> Stage:
    stage = Stage()
    stage.rules = msgspec.structs.replace(stage.rules, **changes)
    return stage


def test_an_order_waits_while_all_panels_are_dry_and_is_bought_after_a_topup() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        order = await stage.add("l")
        assert await stage.attempts(order) == []
        known = await stage.order(order)
        assert (known.status, known.remains, known.charge) == (OrderStatus.PENDING, 1000, Decimal(99))
        assert (await stage.ledger.totals()).books["held:1"] == Decimal(99)
        await stage.minutes(60)
        assert stage.bought("l") == []
        await topped_up(stage, "b")
        await stage.minutes(1)
        assert await stage.attempts(order) == [("b", ACCEPTED)]
        assert await stage.ledger.waiting() == ()
        assert (await stage.ledger.totals()).books["held:1"] == 0

    played(scene, Stage())


def test_who_asks_twice_while_an_order_waits_has_one_order() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        named: dict[str, Any] = {"request_id": "mine", "repeats": "join"}
        first = await stage.add("l", **named)
        assert await stage.add("l", **named) == first
        await topped_up(stage, "a")
        await stage.minutes(1)
        assert stage.bought("l") == ["a"]

    played(scene, Stage())


def test_an_order_that_every_panel_refuses_for_want_of_money_waits_and_the_answer_is_its_id() -> None:
    async def scene(stage: Stage) -> None:
        order = await stage.add("l", BROKEN, NO_FUNDS)
        assert await stage.attempts(order) == [("a", REFUSED), ("b", REFUSED)]
        assert (await stage.order(order)).status is OrderStatus.PENDING
        await stage.minutes(0.2)
        assert stage.bought("l") == [], "their word counts, until they say otherwise of our balance"
        await stage.panels["b"].read_balance()
        await stage.minutes(1)
        assert (await stage.attempts(order))[2:] == [("b", ACCEPTED)]

    played(scene, Stage())


def test_an_order_at_fault_itself_does_not_wait() -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(Exception, match="Incorrect link"):
            await stage.add("l", NO_FUNDS, BAD_LINK)
        assert await stage.ledger.waiting() == ()

    played(scene, Stage())


def test_where_the_rules_say_so_nothing_waits() -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(NotSold):
            await stage.add("r", NO_FUNDS, NO_FUNDS)
        await dried(stage, "a", "b")
        with pytest.raises(NotSold):
            await stage.add("l")
        assert [one.charge for one in await stage.ledger.list_orders()] == [Decimal(0)]

    played(scene, ruled(wait_s=0))


def test_what_money_alone_would_not_mend_does_not_wait() -> None:
    async def scene(stage: Stage) -> None:
        for panel in stage.panels.values():
            panel.stop_for, panel.stop_kept = "a test", True
            await stage.ledger.learn(panel.name, stopped="a test")
        with pytest.raises(NotSold):
            await stage.add("l")

    played(scene, Stage())


def test_an_order_that_nobody_could_take_in_time_goes_back_to_the_customer() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        order = await stage.add("l")
        await stage.minutes(9)
        assert (await stage.order(order)).status is OrderStatus.PENDING
        await stage.minutes(2)
        done = await stage.order(order)
        assert (done.status, done.charge) == (OrderStatus.CANCELED, Decimal(0))
        assert (await stage.ledger.totals()).books["held:1"] == 0
        await topped_up(stage, "a")
        await stage.minutes(5)
        assert stage.bought("l") == []

    logs = played(scene, ruled(wait_s=600))
    assert [line["outcome"] for line in logs if line["event"] == "wait" and "outcome" in line] == ["given_up"]


def test_a_cancel_of_an_order_that_waits_comes_to_pass_at_once() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        order = await stage.add("l")
        assert await stage.orders.cancel(stage.account, [order]) == {order: None}
        await stage.minutes(0.5)
        done = await stage.order(order)
        assert (done.status, done.charge) == (OrderStatus.CANCELED, Decimal(0))
        assert await stage.orders.cancel(stage.account, [order]) == {order: "Order cannot be canceled"}
        assert await stage.ledger.wishes() == ()
        await topped_up(stage, "a")
        await stage.minutes(5)
        assert stage.bought("l") == []

    played(scene, Stage())


def test_a_cancel_that_comes_while_its_turn_does_is_heeded() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        order = await stage.add("l")
        real = stage.ledger.account_of

        async def account_of(asked: int) -> str:
            assert await stage.orders.cancel(stage.account, [order]) == {order: None}
            return await real(asked)

        stage.ledger.account_of = account_of  # type: ignore[assignment, method-assign]
        await topped_up(stage, "a")
        await stage.minutes(1)
        assert (await stage.attempts(order), stage.bought("l")) == ([], [])
        done = await stage.order(order)
        assert (done.status, done.charge) == (OrderStatus.CANCELED, Decimal(0))

    played(scene, Stage())


def test_after_a_cancel_the_next_panel_is_not_asked() -> None:
    async def scene(stage: Stage) -> None:
        slow = Fate(arrives=False, back_s=25, answer=BROKEN.answer)
        order = await stage.add("l", slow)
        assert await stage.attempts(order) == [("a", AttemptState.SENDING)]
        assert await stage.orders.cancel(stage.account, [order]) == {order: None}
        await stage.minutes(1)
        assert await stage.attempts(order) == [("a", REFUSED)]
        done = await stage.order(order)
        assert (done.status, done.charge) == (OrderStatus.CANCELED, Decimal(0))

    played(scene, Stage())


def test_those_that_wait_are_bought_oldest_first_and_no_further_than_the_money_goes() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        for number in range(5):
            await stage.add(f"l/{number}")  # 1.91 each at "a"
        await topped_up(stage, "a", 6)
        await stage.minutes(2)
        assert [len(stage.bought(f"l/{number}")) for number in range(5)] == [1, 1, 1, 0, 0]
        assert len(await stage.ledger.waiting()) == 2
        await topped_up(stage, "a", 4)
        await stage.minutes(2)
        assert [len(stage.bought(f"l/{number}")) for number in range(5)] == [1, 1, 1, 1, 1]

    played(scene, Stage())


def test_an_order_that_can_be_paid_is_not_held_up_by_one_that_cannot() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        dear, cheap = await stage.add("dear", quantity=100_000), await stage.add("cheap", quantity=100)
        await topped_up(stage, "a", 3)
        await stage.minutes(1)
        assert (await stage.attempts(dear), await stage.attempts(cheap)) == ([], [("a", ACCEPTED)])

    played(scene, Stage())


def test_a_panel_that_says_no_money_whatever_its_balance_says_is_not_asked_again_and_again() -> None:
    async def scene(stage: Stage) -> None:
        stage.panels["b"].stop_for = "a test"
        order = await stage.add("l", *[NO_FUNDS] * 1000)

        async def hour() -> None:
            for _ in range(120):
                await stage.minutes(0.5)
                await stage.panels["a"].read_balance()  # it shows plenty

        await hour()
        assert 20 <= len(await stage.attempts(order)) <= 70
        stage.network.next.clear()
        await stage.minutes(2)
        assert (await stage.attempts(order))[-1] == ("a", ACCEPTED)
        assert stage.bought("l") == ["a"]

    played(scene, Stage())


def refusing(stage: Stage, panel: str, link: str = "") -> None:
    """The panel says that our money is short, whatever its balance; to orders for one link, or to all."""
    box, real = stage.boxes[panel], stage.boxes[panel].ask

    def ask(action: Action, **fields: str) -> object:
        is_refused = action == "add" and link in {"", fields["link"]}
        return {"error": "Not enough funds on balance"} if is_refused else real(action, **fields)

    box.ask = ask  # type: ignore[assignment, method-assign]


async def looked_at(stage: Stage, minutes: int) -> None:
    """Time passes, in which balances are read as ever."""
    for _ in range(minutes):
        await stage.minutes(1)
        for panel in stage.panels.values():
            await panel.read_balance()


def test_a_panel_that_says_no_money_holds_up_nobody_elsewhere_and_its_order_no_longer_than_the_rules_say() -> None:
    async def scene(stage: Stage) -> None:
        refusing(stage, "a")
        await dried(stage, "b")
        odd = await stage.add("odd", service=1)
        others = [await stage.add(f"other/{number}", service=2) for number in range(3)]
        await looked_at(stage, 60)
        stage.boxes["b"].balance = Decimal(100)
        await looked_at(stage, 2)
        assert [await stage.attempts(order) for order in others] == 3 * [[("b", ACCEPTED)]]
        assert (await stage.order(odd)).status is OrderStatus.PENDING
        assert len(await stage.attempts(odd)) > 10
        await looked_at(stage, 5 * 60)
        assert (await stage.order(odd)).status is OrderStatus.CANCELED
        assert await stage.ledger.waiting() == ()

    stage = Stage()
    services = {
        id: msgspec.structs.replace(stage.rules.services[id], routes=(Route(panel=panel, service=str(id)),))
        for id, panel in ((1, "a"), (2, "b"))
    }
    stage.rules = msgspec.structs.replace(stage.rules, services=services)
    played(scene, stage)


def test_why_an_order_waits_is_what_holds_it_up_now() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        await stage.add("l")
        assert [one.why for one in await stage.ledger.waiting()] == [DRY]
        for name, panel in stage.panels.items():
            await stage.ledger.learn(name, stopped="a test")
            panel.stop_for, panel.stop_kept = "a test", True
            await topped_up(stage, name)
        await stage.minutes(1)
        [waiting] = await stage.ledger.waiting()
        assert waiting.why == "a/1: takes no orders: a test; b/1: takes no orders: a test"

    played(scene, Stage())


def test_after_a_topup_the_oldest_is_first_however_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.reconcile.waiting._PAGE", 2)

    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        for number in range(5):
            await stage.add(f"l/{number}")
        for _ in range(7):  # wherever its turn is
            await stage.minutes(0.1)
            before = len([number for number in range(5) if stage.bought(f"l/{number}")])
            await topped_up(stage, "a", 2)
            await stage.minutes(0.2)
            bought = [number for number in range(5) if stage.bought(f"l/{number}")]
            assert bought == list(range(min(before + 1, 5)))

    played(scene, Stage())


def test_an_order_that_its_panel_refuses_again_and_again_lets_others_go_first() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        refusing(stage, "a", "odd")
        odd = await stage.add("odd")
        await stage.add("other")
        stage.boxes["a"].balance = Decimal(100)
        await looked_at(stage, 5)
        assert (stage.bought("odd"), stage.bought("other")) == ([], ["a"])
        assert (await stage.order(odd)).status is OrderStatus.PENDING

    played(scene, Stage())


def test_one_whose_answer_is_lost_when_it_is_bought_at_last_is_unknown_and_waits_no_more() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        await dried(stage, "a", "b")
        order = await stage.add("l", LOST)
        await topped_up(stage, "a")
        await stage.minutes(1)
        assert (await stage.last(order)).state is AttemptState.UNKNOWN
        assert await stage.ledger.waiting() == ()
        await stage.minutes(60)
        assert stage.bought("l") == ["a"]

    played(scene, Stage())


def test_it_waits_over_a_restart_and_is_bought_by_the_next_process() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        order = await stage.add("l")
        await stage.restart()
        await stage.minutes(2)
        assert stage.bought("l") == []
        await topped_up(stage, "b")
        await stage.minutes(1)
        assert await stage.attempts(order) == [("b", ACCEPTED)]

    played(scene, Stage())


def test_once_a_stop_has_begun_nothing_that_waits_is_sent() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        waiting = [await stage.add(f"l{number}") for number in range(3)]
        await stage.orders.drain(1.0, asyncio.Event())
        await topped_up(stage, "a", 10_000)
        await stage.minutes(2)
        assert [one.order for one in await stage.ledger.waiting()] == waiting
        await stage.restart()
        await stage.minutes(1)
        assert [await stage.attempts(order) for order in waiting] == 3 * [[("a", ACCEPTED)]]

    logs = played(scene, Stage())
    assert [log for log in logs if log["log_level"] == "error"] == []


def test_an_unknown_order_found_not_placed_waits_where_the_others_are_dry() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        order = await stage.add("l", Fate(arrives=False, answer="lost"))
        await dried(stage, "b")
        await stage.minutes(20)
        assert await stage.attempts(order) == [("a", AttemptState.NOT_PLACED)]
        [waiting] = await stage.ledger.waiting()
        assert (waiting.order, waiting.units) == (order, 1000)
        await topped_up(stage, "b")
        await stage.minutes(1)
        assert await stage.attempts(order) == [("a", AttemptState.NOT_PLACED), ("b", ACCEPTED)]
        assert stage.bought("l") == ["b"]

    played(scene, Stage())


def test_drip_feed_waits_as_a_whole() -> None:
    async def scene(stage: Stage) -> None:
        await dried(stage, "a", "b")
        order = await stage.placed(Default(link="l", quantity=100, runs=3, interval=5), 1)
        await topped_up(stage, "a")
        await stage.minutes(1)
        assert await stage.attempts(order) == [("a", ACCEPTED)]
        assert stage.boxes["a"].journal[-1].fields["runs"] == "3"

    played(scene, Stage())
