"""Unknown outcomes in the ledger: who may send, what is learned of panels, rests that go on elsewhere, wishes."""

from decimal import Decimal

import pytest

import gateway.ledger
from gateway.ledger.learned import Learned, Reading
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    Fenced,
    Next,
    NotPlaced,
    NotSent,
    Refused,
    RequestTaken,
    Unknown,
    Untracked,
    WrongState,
)
from providers.base import OrderStatus
from tests.test_ledger.samples import CHARGE, Clock, bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio

BETA = Next(panel="beta", remote_service="9", cost=Decimal("0.3"), remote_cost=Decimal("0.3"))
DAY_MS = 24 * 3_600_000


# Who may send.


async def test_a_process_that_was_overtaken_sends_nothing_and_writes_what_it_learned(
    ledger: Ledger, url: str, clock: Clock
) -> None:
    account = await funded(ledger)
    await ledger.recover()
    orders = [await ledger.place(placement(account, link=f"l{number}")) for number in range(4)]
    taken = await bought(ledger, account, "r9", link="rest")
    other = gateway.ledger.ledger(url, now_ms=clock)
    await other.open()
    try:
        assert (await other.recover()).unknown == 4
        before = await ledger.totals()
        with pytest.raises(Fenced):
            await ledger.place(placement(account))
        with pytest.raises(Fenced):
            await ledger.settle(sent(orders[0]), Refused(reason="funds"), BETA)
        with pytest.raises(Fenced):
            await ledger.pass_on(sent(taken), told(OrderStatus.PARTIAL, remains=10), BETA, next_ms=None)
        assert await ledger.totals() == before
        await ledger.settle(sent(orders[0]), Accepted(remote_id="r1"))
        await ledger.settle(sent(orders[1]), Refused(reason="funds"), Fail(why="another process sells"))
        await other.settle(sent(orders[2]), NotPlaced(), BETA)
        assert (await other.place(placement(account))).attempt is not None
    finally:
        await other.close()


async def test_a_stop_in_good_order_is_known_at_the_next_start(ledger: Ledger, clock: Clock) -> None:
    assert (await ledger.recover()).clean, "nobody was there before"
    assert not (await ledger.recover()).clean
    await ledger.stopped()
    account = await funded(ledger)
    assert (await ledger.recover()).clean
    await ledger.place(placement(account))
    clock.ms += 1
    again = await ledger.recover()
    assert (again.clean, again.unknown, again.last_ms) == (False, 1, clock.ms - 1)


# What becomes of an unknown attempt.


async def test_what_was_bought_at_an_unknown_id_is_sold_once_and_found_later(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    await ledger.settle(sent(placed), Unknown())
    assert [one.order for one in await ledger.unknown_attempts()] == [placed.order]
    await ledger.settle(sent(placed), Untracked())
    assert await ledger.unknown_attempts() == ()
    assert [one.order for one in await ledger.untracked_attempts()] == [placed.order]
    assert (await ledger.learned("alpha")).taken == Decimal("0.4")
    order = await ledger.order(placed.order)
    assert order is not None
    assert order.sold
    with pytest.raises(WrongState):
        await ledger.settle(sent(placed), NotPlaced(), BETA)
    await ledger.settle(sent(placed), Accepted(remote_id="r1", charge=Decimal("0.41")))
    learned = await ledger.learned("alpha")
    assert (learned.taken, learned.orders) == (Decimal("0.41"), 1)
    assert (await ledger.totals()).books["sales"] == CHARGE


async def test_money_that_came_back_for_an_unknown_id_counts_once_also_when_the_id_is_found(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    await ledger.settle(sent(placed), Unknown())
    await ledger.settle(sent(placed), Untracked())
    for _ in range(2):
        await ledger.gave_back(sent(placed), "0.4 came")
    assert (await ledger.learned("alpha")).taken == 0
    assert [event.what for event in await ledger.events(placed.order)].count("money_came_back") == 1
    await ledger.settle(sent(placed), Accepted(remote_id="r1"))
    canceled = told(OrderStatus.CANCELED, charge=Decimal(0))
    await ledger.observe(sent(placed), canceled, next_ms=None)
    assert (await ledger.learned("alpha")).taken == 0


async def test_what_was_not_placed_goes_to_the_next_offer_under_the_same_hold(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    await ledger.settle(sent(placed), Unknown())
    following = await ledger.settle(sent(placed), NotPlaced(), BETA)
    assert following is not None
    await ledger.settle(following, Accepted(remote_id="r1"))
    states = [(one.panel, one.state) for one in await ledger.attempts(placed.order)]
    assert states == [("alpha", AttemptState.NOT_PLACED), ("beta", AttemptState.ACCEPTED)]
    assert (await ledger.learned("alpha")).taken == 0


async def test_looks_are_counted_and_told_when_they_find_something_new(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    await ledger.settle(sent(placed), Unknown())
    for why in ("nothing yet", "nothing yet", "two ids fit"):
        await ledger.looked(sent(placed), why=why, next_ms=clock.ms + 60_000, evidence='{"ids":"none"}')
    [attempt] = await ledger.unknown_attempts("alpha")
    assert (attempt.looks, attempt.why, attempt.next_ms) == (3, "two ids fit", clock.ms + 60_000)
    assert [event.what for event in await ledger.events(placed.order)].count("looked") == 2
    assert await ledger.unknown_attempts("beta") == ()
    assert await ledger.unknown_counts() == {"alpha": 1}


async def test_suspects_are_all_that_may_have_taken_money_there(ledger: Ledger) -> None:
    account = await funded(ledger)
    sending = await ledger.place(placement(account, link="sending"))
    unknown = await ledger.place(placement(account, link="unknown"))
    untracked = await ledger.place(placement(account, link="untracked"))
    await bought(ledger, account, link="accepted")
    await ledger.place(placement(account, link="elsewhere", panel="beta"))
    for placed in (unknown, untracked):
        await ledger.settle(sent(placed), Unknown())
    await ledger.settle(sent(untracked), Untracked())
    there = await ledger.suspicions("alpha")
    assert [one.link for one in there] == ["sending", "unknown", "untracked"]
    assert [one.attempt.order for one in there] == [sending.order, unknown.order, untracked.order]


async def test_a_duplicate_points_at_the_unknown_one_of_that_link_where_no_known_one_explains_it(
    ledger: Ledger,
) -> None:
    account = await funded(ledger)
    lost = await ledger.place(placement(account, link="l"))
    other = await ledger.place(placement(account, link="m"))
    for placed in (lost, other):
        await ledger.settle(sent(placed), Unknown())
    refused = await ledger.place(placement(account, link="l"))
    assert await ledger.duplicate_seen("alpha", "7", "l", by=sent(refused)) == 1
    assert [one.attempt.duplicate_seen for one in await ledger.suspicions("alpha")][:2] == [True, False]
    await bought(ledger, account, link="m")
    assert await ledger.duplicate_seen("alpha", "7", "m", by=sent(refused)) == 0, "an active one of ours explains it"
    assert await ledger.duplicate_seen("alpha", "8", "m", by=sent(refused)) == 0, "another service"


# A rest that goes on elsewhere.


async def test_a_rest_is_one_order_outside_and_three_attempts_inside(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account, "r1")
    second = await ledger.pass_on(sent(placed), told(OrderStatus.PARTIAL, remains=60, start_count=9), BETA, next_ms=5)
    assert second is not None
    await ledger.settle(second, Accepted(remote_id="r2"))
    order = await ledger.order(placed.order)
    assert order is not None
    assert (order.status, order.remains, order.refunded) == (OrderStatus.IN_PROGRESS, 60, Decimal(0))
    assert order.start_count == 9
    gamma = Next(panel="gamma", remote_service="1", cost=Decimal("0.1"), remote_cost=Decimal("0.1"))
    third = await ledger.pass_on(second, told(OrderStatus.CANCELED, remains=20), gamma, next_ms=None)
    assert third is not None
    await ledger.settle(third, Accepted(remote_id="r3"))
    done = await ledger.observe(third, told(OrderStatus.PARTIAL, remains=5), next_ms=None)
    assert (done.status, done.remains, done.refunded) == (OrderStatus.PARTIAL, 5, Decimal("0.025"))
    units = [(one.panel, one.units, one.passed_on) for one in await ledger.attempts(placed.order)]
    assert units == [("alpha", 100, True), ("beta", 60, True), ("gamma", 20, False)]
    assert [one.attempt for one in await ledger.followed("alpha", limit=9)] == [sent(placed)], "it may still pay back"
    live = await ledger.live([placed.order])
    assert live[placed.order].panel == "gamma"


async def test_an_order_that_ended_is_not_passed_on(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    await ledger.observe(sent(placed), told(OrderStatus.COMPLETED), next_ms=None)
    with pytest.raises(WrongState):
        await ledger.pass_on(sent(placed), told(OrderStatus.PARTIAL, remains=60), BETA, next_ms=None)


# What is learned of panels.


async def test_what_orders_take_of_our_money_there_follows_the_panels_last_word(ledger: Ledger) -> None:
    account = await funded(ledger)
    expected = await bought(ledger, account, "1", link="expected")
    assert (await ledger.learned("alpha")).taken == Decimal("0.4")
    await ledger.observe(sent(expected), told(OrderStatus.IN_PROGRESS, charge=Decimal("0.39")), next_ms=1)
    assert (await ledger.learned("alpha")).taken == Decimal("0.39")
    net = told(OrderStatus.PARTIAL, remains=50, charge=Decimal("0.195"))
    await ledger.observe(sent(expected), net, next_ms=1)
    assert (await ledger.learned("alpha")).taken == Decimal("0.195"), "what is left of the charge"
    gross = await bought(ledger, account, "2", link="gross")
    await ledger.observe(sent(gross), told(OrderStatus.CANCELED, charge=Decimal("0.4")), next_ms=1)
    assert (await ledger.learned("alpha")).taken == Decimal("0.195"), "it goes on telling what it gave back"
    assert (await ledger.learned("alpha")).orders == 2
    assert [one.panel for one in await ledger.panels()] == ["alpha"]


async def test_ids_rise_as_long_as_each_is_above_all_that_were_known_when_it_was_sent(ledger: Ledger) -> None:
    account = await funded(ledger)
    for number, id in enumerate(("10", "12", "15")):
        await bought(ledger, account, id, link=f"l{number}")
    assert (await ledger.learned("alpha")).rising == 3
    assert (await ledger.learned("alpha")).highest == 15
    await bought(ledger, account, "11", link="low")
    assert ((await ledger.learned("alpha")).rising, (await ledger.learned("alpha")).highest) == (0, 15)
    await bought(ledger, account, "x-1", link="word")
    assert (await ledger.learned("alpha")).rising == 0
    late = await ledger.place(placement(account, link="late"))
    await ledger.settle(sent(late), Unknown())
    await ledger.settle(sent(late), Accepted(remote_id="14"))
    assert (await ledger.learned("alpha")).rising == 0, "what was found later tells nothing of the order of ids"


async def test_an_unknown_one_lies_between_the_ids_known_before_and_the_first_sent_after_its_window(
    ledger: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    await bought(ledger, account, "10", link="before")
    lost = await ledger.place(placement(account, link="lost"))
    await ledger.settle(sent(lost), Unknown())
    await bought(ledger, account, "12", link="in the window")
    [suspect] = await ledger.unknown_attempts()
    assert suspect.floor == 10
    assert await ledger.ceiling("alpha", suspect.id, after_ms=suspect.settle_ms) is None
    clock.ms = suspect.settle_ms
    await bought(ledger, account, "20", link="after")
    assert await ledger.ceiling("alpha", suspect.id, after_ms=suspect.settle_ms) == 20
    assert await ledger.ours("alpha", ["10", "11", "12", "20"]) == {"10", "12", "20"}
    assert await ledger.ours("beta", ["10"]) == frozenset()
    assert await ledger.latest_ids("alpha") == (20, 12, 10)


async def test_what_people_and_looks_find_out_is_kept(ledger: Ledger) -> None:
    assert await ledger.learned("alpha") == Learned(panel="alpha")
    await ledger.learn("alpha", foreign=True, proven=2, stopped="why")
    assert await ledger.learned("alpha") == Learned(panel="alpha", foreign=True, proven=2, stopped="why")
    await ledger.learn("alpha", stopped="")
    assert await ledger.learned("alpha") == Learned(panel="alpha", foreign=True, proven=2)


def reading(balance: int, *, agreed: bool) -> Reading:
    unit = Decimal("0.01")
    return Reading(
        panel="alpha", at_ms=balance, balance=Decimal(balance), taken=Decimal(1), unit=unit, agreed=agreed, orders=3
    )


async def test_the_anchor_is_the_last_agreed_reading_however_many_come_after_it(ledger: Ledger) -> None:
    assert await ledger.anchor("alpha") is None
    await ledger.keep_reading(reading(1, agreed=True))
    for balance in range(2, 230):
        await ledger.keep_reading(reading(balance, agreed=False))
    assert await ledger.anchor("alpha") == reading(1, agreed=True)
    assert len(await ledger.readings("alpha", limit=1000)) <= 201
    assert (await ledger.readings("alpha", limit=1))[0].balance == 229


async def test_how_long_a_service_usually_takes_is_learned(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    for number, minutes in enumerate((10, 10, 90)):
        placed = await bought(ledger, account, f"r{number}", link=f"l{number}")
        clock.ms += minutes * 60_000
        await ledger.observe(sent(placed), told(OrderStatus.COMPLETED), next_ms=None)
    await bought(ledger, account, "r9")
    [due] = await ledger.due("alpha")
    assert due.usual_s == (600 * 7 + 5400) // 8


# Customers' names for requests, wishes, money given back by hand.


async def test_a_name_is_one_order_for_a_day(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    first = await ledger.place(placement(account, fingerprint=b"f", request=b"n"))
    again = await ledger.place(placement(account, fingerprint=b"f", request=b"n"))
    assert (again.order, again.attempt) == (first.order, None)
    assert await ledger.heard(account.id, b"n", b"f") == first.order
    for call in (
        ledger.place(placement(account, fingerprint=b"g", request=b"n")),
        ledger.heard(account.id, b"n", b"g"),
    ):
        with pytest.raises(RequestTaken):
            await call
    clock.ms += DAY_MS + 1
    assert await ledger.heard(account.id, b"n", b"f") is None
    assert (await ledger.place(placement(account, fingerprint=b"g", request=b"n"))).attempt is not None


async def test_a_name_is_free_when_nobody_took_the_order(ledger: Ledger) -> None:
    account = await funded(ledger)
    first = await ledger.place(placement(account, fingerprint=b"f", request=b"n"))
    await ledger.settle(sent(first), NotSent(), Fail(why="nobody"))
    assert await ledger.heard(account.id, b"n", b"f") is None
    assert (await ledger.place(placement(account, fingerprint=b"f", request=b"n"))).order != first.order


async def test_what_was_ordered_of_late_is_told_but_for_what_nobody_took(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    old = await ledger.place(placement(account, fingerprint=b"a"))
    clock.ms += 10
    failed = await ledger.place(placement(account, fingerprint=b"b"))
    await ledger.settle(sent(failed), NotSent(), Fail(why="nobody"))
    new = await ledger.place(placement(account, fingerprint=b"c"))
    assert [one.order for one in await ledger.recent(clock.ms)] == [new.order]
    assert [one.order for one in await ledger.recent(0)] == [new.order, old.order]


async def test_a_wish_is_kept_once_until_it_is_done(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    first = await ledger.wish(placed.order, "cancel", by="account shop", reason="")
    assert await ledger.wish(placed.order, "cancel", by="somebody", reason="x") == first
    await ledger.wish_told(first.id)
    [wish] = await ledger.wishes()
    assert (wish.id, wish.told) == (first.id, 1)
    assert await ledger.wished(placed.order, "cancel") == wish
    await ledger.wish_done(first.id)
    assert await ledger.wishes() == ()
    assert (await ledger.wish(placed.order, "cancel", by="x", reason="")).id != first.id
    with pytest.raises(WrongState):
        await ledger.wish(1, "cancel", by="x", reason="")


async def test_what_people_give_back_is_in_the_books_and_the_history(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    await ledger.give_back(placed.order, Decimal("0.2"), ends=False, evidence='{"who":"op"}')
    await ledger.give_back(placed.order, Decimal("0.3"), ends=True, evidence='{"who":"op"}')
    order = await ledger.order(placed.order)
    assert order is not None
    assert (order.status, order.refunded) == (OrderStatus.CANCELED, CHARGE)
    assert await ledger.balance(account.id) == 100
    with pytest.raises(WrongState):
        await ledger.give_back(placed.order, Decimal("0.000001"), ends=True, evidence="{}")
