"""Two programs that write into one ledger at once: no money is lost, no order is placed twice, no id is given twice."""

import asyncio
import itertools
from collections.abc import Awaitable, Iterable
from decimal import Decimal
from typing import TypeVar

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import (
    Accepted,
    Fail,
    Fenced,
    LinkBusy,
    NotEnough,
    Outcome,
    OverBudget,
    Placed,
    Refused,
    RemoteIdTaken,
    RequestTaken,
    Unknown,
    Untracked,
    WrongState,
)
from gateway.ledger.repeated import Twin
from providers.base import OrderStatus
from tests.test_ledger.samples import CHARGE, bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio

T = TypeVar("T")
MANY = 200  # above three times the number after which what was learned is put into the panel's row


async def at_once(calls: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


def placed_in(outcomes: Iterable[Placed | BaseException]) -> list[Placed]:
    return [outcome for outcome in outcomes if isinstance(outcome, Placed)]


@pytest.fixture
def nodes(ledger: Ledger, other: Ledger) -> "itertools.cycle[Ledger]":
    """One after the other, again and again."""
    return itertools.cycle((ledger, other))


# Money.


async def test_no_change_of_a_balance_is_lost_and_it_never_falls_below_zero(
    ledger: Ledger, nodes: "itertools.cycle[Ledger]"
) -> None:
    account = await funded(ledger, "20.4")
    calls: list[Awaitable[object]] = []
    for number in range(60):
        calls += [
            next(nodes).place(placement(account, link=str(number))),
            next(nodes).topup(account.id, Decimal("0.1"), "a little"),
        ]
    outcomes = await at_once(calls)
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(error, NotEnough) for error in failed)
    orders = 60 - len(failed)
    assert orders >= 40, "what was there from the first was enough for so many"
    known = await ledger.account("shop")
    assert known is not None
    assert known.available == Decimal("26.4") - orders * CHARGE
    assert known.held == orders * CHARGE


async def test_the_last_of_a_budget_is_spent_once(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    account = await funded(ledger, "10000")
    day, month = 9 * CHARGE + CHARGE / 2, 5 * CHARGE
    outcomes = await at_once(
        next(nodes).place(placement(account, link=str(number), budget_day=day, budget_month=month))
        for number in range(40)
    )
    assert len(placed_in(outcomes)) == 5
    assert all(isinstance(outcome, Placed | OverBudget) for outcome in outcomes)


async def test_a_hold_is_resolved_once_whoever_says_so(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    ends: list[tuple[Outcome, Fail | None]] = [
        (Accepted(remote_id="r1"), None),
        (Refused(reason="funds"), Fail(why="nobody")),
        (Accepted(remote_id="r2"), None),
        (Refused(reason="funds"), Fail(why="nobody")),
    ]
    outcomes = await at_once(next(nodes).settle(sent(placed), outcome, then) for outcome, then in ends)
    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, WrongState) for outcome in outcomes if outcome is not None)


async def test_what_was_not_delivered_is_given_back_once(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    partial = told(OrderStatus.PARTIAL, remains=40)
    await at_once(next(nodes).observe(sent(placed), partial, next_ms=None) for _ in range(20))
    order = await ledger.order(placed.order)
    assert order is not None
    assert order.refunded == Decimal("0.2")
    assert await ledger.balance(account.id) == 100 - CHARGE + Decimal("0.2")


# Orders.


async def test_no_id_is_given_twice_and_each_node_s_ids_rise(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger, "10000")

    async def run(node: Ledger) -> list[int]:
        return [(await node.place(placement(account, link=str(number)))).order for number in range(40)]

    first, second, third, fourth = await asyncio.gather(run(ledger), run(other), run(ledger), run(other))
    together = [*first, *second, *third, *fourth]
    assert len(set(together)) == 160
    for ids in (first, second, third, fourth):
        assert ids == sorted(ids)
    attempts = [attempt.id for id in together for attempt in await ledger.attempts(id)]
    assert len(set(attempts)) == 160
    assert (await ledger.totals()).orders == 160


async def test_a_request_id_is_one_order_however_many_ask_at_once(
    ledger: Ledger, nodes: "itertools.cycle[Ledger]"
) -> None:
    account = await funded(ledger)
    asked = placement(account, request=b"name", fingerprint=b"this")
    placed = placed_in(await at_once(next(nodes).place(asked) for _ in range(24)))
    assert len(placed) == 24
    assert len({one.order for one in placed}) == 1
    assert sum(one.attempt is not None for one in placed) == 1
    assert (await ledger.totals()).orders == 1


async def test_of_two_requests_under_one_id_one_is_told_that_it_is_taken(
    ledger: Ledger, nodes: "itertools.cycle[Ledger]"
) -> None:
    account = await funded(ledger)
    outcomes = await at_once(
        next(nodes).place(placement(account, request=b"name", fingerprint=print_))
        for print_ in (b"this", b"that", b"that", b"this")
    )
    assert len(placed_in(outcomes)) == 2
    assert sum(isinstance(outcome, RequestTaken) for outcome in outcomes) == 2
    assert (await ledger.totals()).orders == 1


async def test_a_link_has_one_order_at_a_time_however_many_ask_at_once(
    ledger: Ledger, nodes: "itertools.cycle[Ledger]"
) -> None:
    account = await funded(ledger)
    for _ in range(3):
        outcomes = await at_once(next(nodes).place(placement(account, one_active=True)) for _ in range(16))
        [placed] = placed_in(outcomes)
        assert sum(isinstance(outcome, LinkBusy) for outcome in outcomes) == 15
        await next(nodes).settle(sent(placed), Refused(reason="link"), Fail(why="nobody"))


async def test_an_identical_order_is_placed_once_by_two_nodes_at_once(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    for round in range(10):
        asked = placement(account, fingerprint=b"%d" % round, twin=Twin(unheard_ms=120_000))
        mine, theirs = await asyncio.gather(ledger.place(asked), other.place(asked))
        assert mine.order == theirs.order
        assert (mine.attempt is None) != (theirs.attempt is None)


async def test_no_intent_is_written_after_its_node_was_taken_for_dead(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger, "10000")
    await ledger.join("a")
    for round in range(5):
        dead = await other.join("b")
        writing = [asyncio.ensure_future(other.place(placement(account, link=f"{round}/{n}"))) for n in range(20)]
        await writing[round]
        unknown = await ledger.take_over(dead)
        outcomes = await at_once(writing)
        written = placed_in(outcomes)
        assert unknown == len(written), "each that was written before is unknown, and none was written after"
        assert all(isinstance(outcome, Placed | Fenced) for outcome in outcomes)
    assert "sending" not in (await ledger.totals()).attempts


async def test_one_panel_s_id_is_one_order_s_however_many_claim_it(
    ledger: Ledger, nodes: "itertools.cycle[Ledger]"
) -> None:
    account = await funded(ledger)
    attempts = [sent(await ledger.place(placement(account, link=str(number)))) for number in range(8)]
    outcomes = await at_once(next(nodes).settle(attempt, Accepted(remote_id="7")) for attempt in attempts)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, RemoteIdTaken) for outcome in outcomes) == 7
    assert (await ledger.learned("alpha")).orders == 1


# What orders teach of a panel.


async def test_what_many_orders_taught_is_their_sum_whenever_it_is_put_together(ledger: Ledger) -> None:
    account = await funded(ledger, "10000")
    taken, highest, rising = Decimal(0), 0, 0
    for number in range(MANY):
        placed = await ledger.place(placement(account, link=str(number)))
        charge = Decimal(number % 7 + 1) / 10
        id = 1000 + number if number % 50 else 500 - number  # now and then one that does not rise
        await ledger.settle(sent(placed), Accepted(remote_id=str(id), charge=charge))
        taken, rising = taken + charge, rising + 1 if id > highest else 0
        highest = max(highest, id)
        if number % 31 == 0:
            back = told(OrderStatus.CANCELED, remains=100, charge=Decimal(0))
            await ledger.observe(sent(placed), back, next_ms=None)
            taken -= charge
        if number % 21 == 0:
            learned = await ledger.learned("alpha")
            assert (learned.taken, learned.orders) == (taken, number + 1)
            assert (learned.highest, learned.rising) == (highest, rising)
            assert await ledger.panels() == (learned,)
    learned = await ledger.learned("alpha")
    assert (learned.taken, learned.orders, learned.highest, learned.rising) == (taken, MANY, highest, rising)


async def test_what_orders_taught_at_once_is_their_sum(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    account = await funded(ledger, "10000")
    panels = ("alpha", "beta")
    attempts = [
        sent(await ledger.place(placement(account, link=str(number), panel=panels[number % 2])))
        for number in range(MANY)
    ]

    async def life(number: int, attempt: int) -> None:
        node, charge = next(nodes), Decimal(number % 5 + 1) / 100
        if number % 10 == 3:  # bought, and its id is found later
            await node.settle(attempt, Unknown())
            await node.settle(attempt, Untracked())
        await node.settle(attempt, Accepted(remote_id=str(number), charge=charge))
        if number % 10 == 4:  # the panel takes another charge than it said
            await node.observe(attempt, told(OrderStatus.IN_PROGRESS, charge=2 * charge), next_ms=None)

    words = [ledger.learn("alpha", proven=3), next(nodes).learn("beta", stopped="why")]  # not lost among these
    outcomes = await at_once([*(life(number, attempt) for number, attempt in enumerate(attempts)), *words])
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    expected = {panel: Decimal(0) for panel in panels}
    for number in range(MANY):
        expected[panels[number % 2]] += Decimal(number % 5 + 1) / 100 * (2 if number % 10 == 4 else 1)
    for panel in panels:
        learned = await ledger.learned(panel)
        assert (learned.taken, learned.orders) == (expected[panel], MANY // 2)
        assert learned.highest == max(number for number in range(MANY) if panels[number % 2] == panel)
    assert (await ledger.learned("alpha")).proven == 3
    assert (await ledger.learned("beta")).stopped == "why"


# Things that are there once.


async def test_services_get_one_id_each_whoever_asks(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    asked = [[str(number) for number in range(start, start + 10)] for start in (0, 5, 0, 5, 2)]
    given = await asyncio.gather(*(next(nodes).service_ids("alpha", names, first=1) for names in asked))
    together: dict[str, int] = {}
    for ids in given:
        assert all(together.setdefault(name, id) == id for name, id in ids.items())
    assert len(set(together.values())) == 15


async def test_a_refill_is_asked_for_once(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    placed = await bought(ledger, await funded(ledger))
    opened = await asyncio.gather(*(next(nodes).open_refill(placed.order, "alpha") for _ in range(8)))
    assert len({refill.id for refill, _ in opened}) == 1
    assert sum(new for _, new in opened) == 1


async def test_a_wish_is_one_wish(ledger: Ledger, nodes: "itertools.cycle[Ledger]") -> None:
    placed = await bought(ledger, await funded(ledger))
    calls = (next(nodes).wish(placed.order, "cancel", by="shop", reason="late") for _ in range(8))
    assert len({wish.id for wish in await asyncio.gather(*calls)}) == 1
