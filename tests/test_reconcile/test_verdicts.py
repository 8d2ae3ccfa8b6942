"""What becomes of unknown orders: the real gateway and panels, scene by scene, in virtual time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from gateway import errors
from gateway.evidence import trace
from gateway.ledger.records import Accepted, AttemptState, Unknown
from gateway.ledger.sql.ledger import SQLLedger
from gateway.rules.model import Feature, Tells
from providers.base import Listed, OrderStatus
from providers.errors import Reason, Refused
from tests.simulator.network import Fate
from tests.simulator.stage import LOST, NEVER, Stage, played
from tests.test_ledger.samples import placement, sent

ACCEPTED, UNKNOWN, UNTRACKED = AttemptState.ACCEPTED, AttemptState.UNKNOWN, AttemptState.UNTRACKED
NOT_PLACED = AttemptState.NOT_PLACED

BOTH: dict[str, Any] = {"evidence_ids": Tells.TRUSTED, "evidence_balance": Tells.TRUSTED}
BALANCE: dict[str, Any] = {"evidence_ids": Tells.NEVER, "evidence_balance": Tells.TRUSTED}
NOTHING: dict[str, Any] = {"evidence_ids": Tells.NEVER, "evidence_balance": Tells.NEVER}


def logged(logs: list[dict[str, Any]], event: str, outcome: str | None = None) -> list[dict[str, Any]]:
    return [one for one in logs if one["event"] == event and outcome in {None, one.get("outcome")}]


def test_an_order_whose_answer_was_lost_is_found_among_the_ids_and_bound() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        lost = await stage.add("lost", LOST, quantity=777)
        assert await stage.attempts(lost) == [("a", UNKNOWN)]
        await stage.minutes(4.5)
        assert await stage.attempts(lost) == [("a", UNKNOWN)], "nothing is judged before all has arrived"
        await stage.minutes(1)
        await stage.add("later")
        await stage.minutes(8)
        assert await stage.attempts(lost) == [("a", ACCEPTED)]
        assert (await stage.last(lost)).remote_id == str(
            next(entry.remote_id for entry in stage.boxes["a"].journal if entry.fields["link"] == "lost")
        )
        assert stage.bought("lost") == ["a"]
        evidence = [event.evidence for event in await stage.ledger.events(lost) if event.what == "accepted"]
        assert "an id there is ours" in evidence[0]

    played(scene, Stage(crowd=3, **BOTH))


def test_an_order_that_never_arrived_is_bought_at_the_next_panel() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        gone = await stage.add("gone", NEVER, quantity=777)
        await stage.minutes(6)
        await stage.add("later")
        await stage.minutes(8)
        assert await stage.attempts(gone) == [("a", NOT_PLACED), ("b", ACCEPTED)]
        assert stage.bought("gone") == ["b"]

    played(scene, Stage(crowd=3, **BOTH))


@pytest.mark.parametrize(
    ("fate", "states", "bought"),
    [(LOST, [("a", UNTRACKED)], ["a"]), (NEVER, [("a", NOT_PLACED), ("b", ACCEPTED)], ["b"])],
)
def test_the_balance_alone_tells_too(fate: Fate, states: list[tuple[str, AttemptState]], bought: list[str]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        order = await stage.add("order", fate, quantity=777)
        await stage.minutes(12)
        assert await stage.attempts(order) == states
        assert stage.bought("order") == bought
        assert (await stage.order(order)).sold

    played(scene, Stage(**BALANCE))


def test_an_order_that_arrives_minutes_after_it_was_given_up_is_found_and_not_bought_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        late = await stage.add("late", Fate(late_s=170.0, answer="lost", back_s=0), quantity=777)
        await stage.minutes(6)
        await stage.add("later")
        await stage.minutes(8)
        assert await stage.attempts(late) == [("a", ACCEPTED)]
        assert stage.bought("late") == ["a"]

    played(scene, Stage(crowd=2, **BOTH))


def test_a_clock_that_is_put_forward_makes_no_verdict_early() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        late = await stage.add("late", Fate(late_s=170.0, answer="lost", back_s=0), quantity=777)
        stage.now_shift_ms = 3_600_000
        await stage.minutes(2)
        assert await stage.attempts(late) == [("a", UNKNOWN)]
        await stage.minutes(5)
        await stage.add("later")
        await stage.minutes(10)
        assert stage.bought("late") == ["a"]

    played(scene, Stage(**BALANCE))


def test_a_restart_waits_for_the_whole_window_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        gone = await stage.add("gone", NEVER, quantity=777)
        await stage.minutes(4)
        await stage.restart()
        await stage.minutes(3)
        assert await stage.attempts(gone) == [("a", UNKNOWN)]
        await stage.minutes(12)
        assert await stage.attempts(gone) == [("a", NOT_PLACED), ("b", ACCEPTED)]

    played(scene, Stage(**BALANCE))


def test_where_nothing_tells_it_waits_is_told_to_people_and_ends_after_ten_days() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        lost = await stage.add("lost", LOST, quantity=777)
        await stage.minutes(60)
        attempt = await stage.last(lost)
        assert attempt.state is UNKNOWN
        assert "the rules say not" in attempt.why
        await stage.minutes(11 * 24 * 60)
        attempt = await stage.last(lost)
        assert (attempt.state, attempt.next_ms) == (UNKNOWN, None)
        assert attempt.why.startswith("unresolved after ten days")
        order = await stage.order(lost)
        assert (order.status, order.refunded) == (OrderStatus.PENDING, Decimal(0))

    logs = played(scene, Stage(idle_s=600.0, **NOTHING))
    [told] = logged(logs, "unknown")
    assert told["then"].startswith("panelmux order show")


def test_two_orders_of_one_price_that_money_cannot_tell_apart_wait_for_people() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        orders = [await stage.add(link, fate, quantity=777) for link, fate in (("one", LOST), ("two", NEVER))]
        await stage.minutes(20)
        for order in orders:
            assert await stage.attempts(order) == [("a", UNKNOWN)]
            assert "2 sets explain it" in (await stage.last(order)).why

    played(scene, Stage(**BALANCE))


def test_money_that_nobody_explains_silences_the_balance() -> None:
    """Somebody tops up, or orders by hand, while an outcome is open."""

    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        gone = await stage.add("gone", NEVER, quantity=777)
        stage.boxes["a"].balance += 50
        await stage.minutes(20)
        assert await stage.attempts(gone) == [("a", UNKNOWN)]
        assert "no set of them explains it" in (await stage.last(gone)).why

    played(scene, Stage(**BALANCE))


def test_a_subscription_is_paid_as_it_goes_and_silences_the_balance() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        await stage.subscribed("someone")
        gone = await stage.add("gone", NEVER, quantity=777)
        await stage.minutes(20)
        assert await stage.attempts(gone) == [("a", UNKNOWN)]
        assert "a subscription is paid for there as it goes" in (await stage.last(gone)).why

    played(scene, Stage(**BALANCE))


def test_a_panel_that_answers_for_anybodys_ids_is_not_asked_about_them() -> None:
    async def scene(stage: Stage) -> None:
        box, status = stage.boxes["a"], stage.panels["a"].provider.status

        async def everything(ids: Any) -> Any:
            known = [str(entry.remote_id) for entry in box.journal]
            told = await status([id if id in known else known[0] for id in ids])
            return {id: told[id if id in known else known[0]] for id in ids}

        stage.panels["a"].provider.status = everything  # type: ignore[method-assign,assignment]
        await stage.settled_in()
        await stage.add("gone", NEVER, quantity=777)
        await stage.minutes(20)
        assert (await stage.ledger.learned("a")).foreign is False

    played(scene, Stage(crowd=3, evidence_ids=Tells.TRUSTED, evidence_balance=Tells.NEVER))


def test_money_that_goes_without_explanation_stops_a_panel_until_people_let_it_go_on() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in(8)
        assert (await stage.ledger.learned("a")).proven >= 3
        stage.boxes["a"].ask("add", service="1", link="https://x.example/by/hand", quantity="5000")
        await stage.add("move")
        await stage.minutes(10)
        assert "that no order of ours explains" in stage.panels["a"].stopped
        other = await stage.add("elsewhere")
        assert await stage.attempts(other) == [("b", ACCEPTED)]
        await stage.restart()
        assert stage.panels["a"].stopped, "a restart forgets nothing"
        await stage.ledger.learn("a", stopped="")
        await stage.minutes(1)
        assert not stage.panels["a"].stopped
        again = await stage.add("again")
        assert await stage.attempts(again) == [("a", ACCEPTED)]

    logs = played(scene, Stage(**BALANCE))
    assert "panelmux panel resume a" in logged(logs, "reading", "stopped")[0]["then"]
    assert logged(logs, "panel", "resumed")


def test_money_that_comes_without_explanation_only_begins_anew() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in(8)
        stage.boxes["a"].balance += 100
        await stage.add("move")
        await stage.minutes(10)
        assert not stage.panels["a"].stopped
        assert (await stage.ledger.learned("a")).proven < 3
        anchor = await stage.ledger.anchor("a")
        assert anchor is not None
        assert anchor.balance == stage.boxes["a"].balance

    logs = played(scene, Stage(**BALANCE))
    assert logged(logs, "reading", "unexplained")


def test_a_panel_with_too_many_open_outcomes_takes_no_order() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(4):
            await stage.add(f"lost/{number}", LOST)
        assert stage.panels["a"].stopped == "the outcome of 4 orders there is not known"
        other = await stage.add("elsewhere")
        assert await stage.attempts(other) == [("b", ACCEPTED)]
        await stage.restart()
        assert stage.panels["a"].stopped

    played(scene, Stage(**NOTHING))


# Panels that have more than the protocol.


def rows(stage: Stage, name: str | None = None) -> tuple[Listed, ...]:
    """The panel's own list of our orders; with the name that we gave the one that was lost, and no links."""
    stage.network.arrive()
    return tuple(
        Listed(
            remote_id=str(entry.remote_id),
            remote_service="1",
            link=entry.fields["link"] if name is None else None,
            quantity=int(entry.fields["quantity"]),
            created_ms=None,
            request_id=name if entry.fields["link"] == "lost" else None,
        )
        for entry in stage.boxes["a"].journal
    )


@pytest.mark.parametrize("named", [True, False])
def test_a_panels_own_list_of_our_orders_tells_at_once(*, named: bool) -> None:
    async def scene(stage: Stage) -> None:
        async def listing(limit: int) -> tuple[Listed, ...]:
            return rows(stage, trace.request_id((await stage.last(lost)).id) if named else None)[-limit:]

        stage.panels["a"].provider.orders = listing  # type: ignore[method-assign, assignment]
        lost = await stage.add("lost", LOST, quantity=777)
        await stage.minutes(6)
        assert await stage.attempts(lost) == [("a", ACCEPTED)]
        gone = await stage.add("gone", NEVER, quantity=888)
        await stage.minutes(6)
        assert await stage.attempts(gone) == [("a", UNKNOWN)], "the list alone is not enough to buy again"

    features = (Feature.ORDERS, Feature.REQUEST_ID) if named else (Feature.ORDERS,)
    played(scene, Stage(features=frozenset(features), **NOTHING))


def test_a_list_and_the_balance_together_show_that_it_was_not_placed() -> None:
    async def scene(stage: Stage) -> None:
        async def listing(limit: int) -> tuple[Listed, ...]:
            return rows(stage)[-limit:]

        stage.panels["a"].provider.orders = listing  # type: ignore[method-assign, assignment]
        await stage.settled_in()
        gone = await stage.add("gone", NEVER, quantity=888)
        await stage.minutes(7)
        assert await stage.attempts(gone) == [("a", NOT_PLACED), ("b", ACCEPTED)]

    features = frozenset({Feature.ORDERS})
    played(scene, Stage(decimals=2, features=features, evidence_balance=Tells.LEARNED, evidence_ids=Tells.NEVER))


def test_a_panel_that_gives_no_list_after_all_is_judged_by_the_rest() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        lost = await stage.add("lost", LOST, quantity=777)
        await stage.minutes(6)
        await stage.add("later")
        await stage.minutes(8)
        assert await stage.attempts(lost) == [("a", ACCEPTED)]

    logs = played(scene, Stage(features=frozenset({Feature.ORDERS}), **BOTH))
    assert logged(logs, "look", "no_listing")


# What people and customers want.


def test_an_operators_failover_is_done_when_the_window_is_over() -> None:
    async def scene(stage: Stage) -> None:
        gone = await stage.add("gone", NEVER)
        await stage.ledger.wish(gone, "failover", by="operator x", reason="support says no")
        await stage.minutes(4)
        assert await stage.attempts(gone) == [("a", UNKNOWN)]
        await stage.minutes(2)
        assert await stage.attempts(gone) == [("a", NOT_PLACED), ("b", ACCEPTED)]
        assert await stage.ledger.wishes() == ()
        evidence = [event.evidence for event in await stage.ledger.events(gone) if event.what == "not_placed"]
        assert "support says no" in evidence[0]
        known = await stage.add("known")
        await stage.ledger.wish(known, "failover", by="operator x", reason="a mistake")
        await stage.minutes(1)
        assert await stage.attempts(known) == [("a", ACCEPTED)]
        assert await stage.ledger.wishes() == ()

    played(scene, Stage(**NOTHING))


def test_an_order_whose_customer_wants_it_canceled_is_not_bought_elsewhere() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        gone = await stage.add("gone", NEVER, quantity=777)
        assert await stage.orders.cancel(stage.account, [gone]) == {gone: None}
        await stage.minutes(20)
        assert await stage.attempts(gone) == [("a", NOT_PLACED)]
        order = await stage.order(gone)
        assert (order.status, order.charge) == (OrderStatus.CANCELED, Decimal(0))
        assert stage.bought("gone") == []

    played(scene, Stage(**BALANCE))


def test_a_shop_that_asks_again_for_what_is_unknown_gets_the_same_order() -> None:
    async def scene(stage: Stage) -> None:
        lost = await stage.add("lost", LOST, repeats="join")
        await stage.minutes(1)
        assert await stage.add("lost", repeats="join") == lost
        assert stage.bought("lost") == ["a"]

    played(scene, Stage(**NOTHING))


def test_a_duplicate_that_a_panel_refuses_shows_that_it_has_the_lost_one() -> None:
    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        lost = await stage.add("lost", LOST)
        add = stage.panels["a"].provider.add

        async def duplicate(*_: Any, **__: Any) -> Any:
            raise Refused("You have active order with this link", Reason.DUPLICATE, panel="a", action="add")

        stage.panels["a"].provider.add = duplicate  # type: ignore[method-assign]
        with pytest.raises(errors.Refused):
            await stage.add("lost")
        stage.panels["a"].provider.add = add  # type: ignore[method-assign]
        await stage.minutes(10)
        assert await stage.attempts(lost) == [("a", UNTRACKED)]

    played(scene, Stage(**NOTHING))


# Other nodes buy there as well.


@pytest.mark.parametrize("became", ["sending", "accepted", "unknown", "sending since before"])
def test_what_another_node_buys_while_ids_are_asked_about_is_not_taken_for_what_was_lost(became: str) -> None:
    """The two orders are alike, and the other node's came there after the suspects were read."""

    async def scene(stage: Stage) -> None:
        await stage.settled_in()
        other = SQLLedger(stage._database, stage._now_ms)
        await other.join("other")
        gone = await stage.add("gone", NEVER, quantity=777)
        lost = await stage.last(gone)
        provider, theirs = stage.panels["a"].provider, {}
        asked, elsewhere = provider.status, stage.ledger.sending_elsewhere

        async def buys() -> None:
            alike = {"remote_service": lost.remote_service, "cost": lost.cost, "remote_cost": lost.remote_cost}
            fields = (await stage.order(gone)).fields
            wanted = placement(stage.account, panel="a", link="theirs", fields=fields, quantity=777, units=777, **alike)
            theirs["attempt"] = sent(await other.place(wanted))
            told: Any = stage.boxes["a"].ask("add", service=lost.remote_service, link="theirs", quantity="777")
            theirs["id"] = told["order"]
            if became == "accepted":
                await other.settle(theirs["attempt"], Accepted(remote_id=str(theirs["id"])))
            if became == "unknown":
                await other.settle(theirs["attempt"], Unknown())

        async def before(panel: str) -> int:
            if became == "sending since before" and not theirs and stage._now_ms() >= lost.settle_ms:
                await buys()
            return await elsewhere(panel)

        async def meanwhile(ids: Sequence[str]) -> Mapping[str, Any]:
            if not theirs and len(ids) > 10:  # those that may be the lost one's: ours are few
                await buys()
            return await asked(ids)

        stage.ledger.sending_elsewhere = before  # type: ignore[method-assign]
        provider.status = meanwhile  # type: ignore[method-assign, assignment]
        await stage.minutes(6)
        assert theirs, "it was never asked"
        found = await stage.last(gone)
        assert (found.state, found.remote_id) == (UNKNOWN, None)
        if became != "accepted":
            await other.settle(theirs["attempt"], Accepted(remote_id=str(theirs["id"])))
        await stage.minutes(30)
        assert (await stage.last(gone)).remote_id is None

    logs = played(scene, Stage(evidence_ids=Tells.TRUSTED, evidence_balance=Tells.NEVER))
    assert not logged(logs, "look", "not_written"), "only the ledger's own rules kept it from being taken for it"
