"""Place and settle: what is written before an order is sent, and what follows each outcome."""

import asyncio
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    Next,
    NotEnough,
    NotSent,
    Outcome,
    Refused,
    RemoteIdTaken,
    Unknown,
    WrongState,
)
from providers.base import OrderStatus
from tests.test_ledger.samples import CHARGE, ZERO, Clock, bought, funded, placement, sent

pytestmark = pytest.mark.anyio

BETA = Next(panel="beta", remote_service="9", cost=Decimal("0.45"))


async def test_an_order_is_written_with_its_hold_and_its_attempt_before_anything_is_sent(
    ledger: Ledger, clock: Clock
) -> None:
    account = await funded(ledger, "2")
    placed = await ledger.place(placement(account))
    order = await ledger.order(placed.order)
    assert order is not None
    assert (order.account, order.service, order.type, order.link) == (account.id, 1, "Default", placement(account).link)
    assert (order.quantity, order.units, order.remains, order.start_count) == (100, 100, 100, None)
    assert (order.charge, order.refunded, order.status) == (CHARGE, ZERO, OrderStatus.PENDING)
    assert (order.refill, order.cancel, order.decision) == (True, True, '{"offers": ["alpha/7"]}')
    assert order.created_ms == order.updated_ms == clock.ms
    [attempt] = await ledger.attempts(placed.order)
    assert (attempt.id, attempt.panel, attempt.remote_service) == (placed.attempt, "alpha", "7")
    assert (attempt.state, attempt.cost, attempt.settled_ms) == (AttemptState.SENDING, Decimal("0.4"), None)
    assert [event.what for event in await ledger.events(placed.order)] == ["sending"]
    books = (await ledger.totals()).books
    assert (books[f"available:{account.id}"], books[f"held:{account.id}"]) == (Decimal("1.5"), Decimal("0.5"))


async def test_an_order_that_the_balance_does_not_carry_leaves_no_trace(ledger: Ledger) -> None:
    account = await funded(ledger, "0.499999")
    with pytest.raises(NotEnough):
        await ledger.place(placement(account))
    totals = await ledger.totals()
    assert (totals.orders, totals.attempts, totals.entries) == (0, {}, 2)


async def test_an_account_without_limit_orders_below_zero(ledger: Ledger) -> None:
    account = await ledger.create_account("house", unlimited=True)
    await bought(ledger, account)
    assert await ledger.balance(account.id) == -CHARGE


async def test_of_a_hundred_orders_at_once_just_those_the_balance_carries_are_placed(ledger: Ledger) -> None:
    account = await funded(ledger, "18.9")  # 37 times 0.5, and 0.4
    calls = (ledger.place(placement(account)) for _ in range(100))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, NotEnough) for outcome in outcomes) == 63
    totals = await ledger.totals()
    assert totals.orders == 37
    assert totals.books[f"available:{account.id}"] == Decimal("0.4")


async def test_order_ids_rise_with_gaps_and_fit_in_32_bits_with_a_sign(ledger: Ledger) -> None:
    account = await funded(ledger)
    ids = [(await ledger.place(placement(account))).order for _ in range(60)]
    gaps = {later - earlier for earlier, later in pairwise(ids)}
    assert min(gaps) >= 1
    assert max(gaps) <= 16
    assert len(gaps) > 1
    assert 100_000 <= ids[0] < ids[-1] <= 2_147_483_647


async def test_an_accepted_order_is_sold_and_due_at_once(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger, "2")
    placed = await ledger.place(placement(account))
    clock.ms += 250
    taken = Accepted(remote_id="r1", charge=Decimal("0.41"), evidence='{"http": 200}')
    assert await ledger.settle(sent(placed), taken) is None
    [attempt] = await ledger.attempts(placed.order)
    assert (attempt.state, attempt.remote_id, attempt.remote_charge) == (AttemptState.ACCEPTED, "r1", Decimal("0.41"))
    assert attempt.settled_ms == clock.ms
    assert [event.evidence for event in await ledger.events(placed.order)][-1] == '{"http": 200}'
    books = (await ledger.totals()).books
    assert (books["sales"], books[f"held:{account.id}"]) == (CHARGE, ZERO)
    assert [(due.order, due.remote_id) for due in await ledger.due("alpha")] == [(placed.order, "r1")]
    live = (await ledger.live([placed.order]))[placed.order]
    assert (live.panel, live.remote_id) == ("alpha", "r1")


@pytest.mark.parametrize("no", [Refused(reason="funds", evidence='{"said": "no"}'), NotSent()])
async def test_after_a_no_the_next_offer_is_tried_under_the_same_hold(ledger: Ledger, no: Outcome) -> None:
    account = await funded(ledger, "2")
    placed = await ledger.place(placement(account))
    following = await ledger.settle(sent(placed), no, BETA)
    assert following is not None
    first, second = await ledger.attempts(placed.order)
    assert first.state in {AttemptState.REFUSED, AttemptState.NOT_SENT}
    assert first.reason == getattr(no, "reason", None)
    assert (await ledger.events(placed.order))[1].evidence == no.evidence
    assert (second.id, second.panel, second.state) == (following, "beta", AttemptState.SENDING)
    assert (second.cost, second.remote_service) == (Decimal("0.45"), "9")
    account_now = await ledger.account("shop")
    assert account_now is not None
    assert account_now.held == CHARGE
    await ledger.settle(following, Accepted(remote_id="b1"))
    assert (await ledger.live([placed.order]))[placed.order].panel == "beta"


async def test_when_nobody_takes_it_the_hold_goes_back_and_the_history_keeps_the_amount(ledger: Ledger) -> None:
    account = await funded(ledger, "2")
    placed = await ledger.place(placement(account))
    assert await ledger.settle(sent(placed), NotSent(), Fail(why="no offer left")) is None
    order = await ledger.order(placed.order)
    assert order is not None
    assert (order.status, order.charge, order.refunded) == (OrderStatus.CANCELED, ZERO, ZERO)
    assert await ledger.balance(account.id) == 2
    *_, last = await ledger.events(placed.order)
    assert (last.what, msgspec.json.decode(last.evidence)) == ("failed", {"why": "no offer left", "charge": "0.500000"})
    assert await ledger.live([placed.order]) == {}


@pytest.mark.parametrize(
    ("outcome", "then"),
    [
        (Accepted(remote_id="r1"), BETA),
        (Unknown(), BETA),
        (Unknown(), Fail(why="impatience")),
        (Refused(reason="link"), None),
        (NotSent(), None),
    ],
)
async def test_failover_follows_a_definite_no_and_nothing_else(
    ledger: Ledger, outcome: Outcome, then: Next | Fail | None
) -> None:
    account = await funded(ledger)
    placed = await ledger.place(placement(account))
    with pytest.raises(ValueError, match="what follows is said for what bought nothing"):
        await ledger.settle(sent(placed), outcome, then)
    [attempt] = await ledger.attempts(placed.order)
    assert attempt.state is AttemptState.SENDING


async def test_an_attempt_ends_once(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    for outcome, then in ((Accepted(remote_id="r2"), None), (Refused(reason="link"), BETA), (Unknown(), None)):
        with pytest.raises(WrongState, match="it is accepted"):
            await ledger.settle(sent(placed), outcome, then)
    with pytest.raises(WrongState, match="not there"):
        await ledger.settle(sent(placed) + 1, Unknown())
    [attempt] = await ledger.attempts(placed.order)
    assert attempt.remote_id == "r1"


@pytest.mark.parametrize("late", ["accepted", "refused", "operator"])
async def test_an_unknown_attempt_keeps_the_hold_until_evidence_comes(ledger: Ledger, late: str) -> None:
    account = await funded(ledger, "2")
    placed = await ledger.place(placement(account))
    await ledger.settle(sent(placed), Unknown(evidence='{"cut": "after headers"}'))
    assert await ledger.balance(account.id) == Decimal("1.5")
    [attempt] = await ledger.unknown_attempts("alpha")
    assert (attempt.id, attempt.settled_ms) == (placed.attempt, None)
    assert (await ledger.events(placed.order))[-1].evidence == '{"cut": "after headers"}'
    with pytest.raises(WrongState, match="it is unknown, and cannot become unknown"):
        await ledger.settle(sent(placed), Unknown())
    match late:
        case "accepted":
            await ledger.settle(sent(placed), Accepted(remote_id="late"))
            assert (await ledger.live([placed.order]))[placed.order].remote_id == "late"
        case "refused":
            assert await ledger.settle(sent(placed), Refused(reason="link"), BETA) is not None
        case _:
            await ledger.settle(sent(placed), NotSent(), Fail(why="not found at the panel"))
            assert await ledger.balance(account.id) == 2
    assert await ledger.unknown_attempts() == ()


async def test_a_remote_id_that_another_attempt_has_changes_nothing(ledger: Ledger) -> None:
    account = await funded(ledger)
    await bought(ledger, account, "r1")
    second = await ledger.place(placement(account))
    with pytest.raises(RemoteIdTaken, match='"r1"'):
        await ledger.settle(sent(second), Accepted(remote_id="r1"))
    [attempt] = await ledger.attempts(second.order)
    assert (attempt.state, attempt.remote_id) == (AttemptState.SENDING, None)
    assert [event.what for event in await ledger.events(second.order)] == ["sending"]
    await bought(ledger, account, "r1", panel="beta")  # another panel counts for itself


async def test_the_order_behind_a_remote_id_is_found_at_its_own_panel(ledger: Ledger) -> None:
    placed = await bought(ledger, await funded(ledger), "r1")
    assert await ledger.bound("alpha", "r1") == placed.order
    assert await ledger.bound("beta", "r1") is None
    assert await ledger.bound("alpha", "r2") is None


async def test_what_was_being_sent_is_unknown_after_a_start_and_is_never_sent_again(
    ledger: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    cut = await ledger.place(placement(account))
    done = await bought(ledger, account)
    clock.ms += 60_000
    assert (await ledger.recover()).unknown == 1
    assert (await ledger.recover()).unknown == 0
    [attempt] = await ledger.attempts(cut.order)
    assert attempt.state is AttemptState.UNKNOWN
    assert [(event.what, event.at_ms) for event in await ledger.events(cut.order)][-1] == ("recovered", clock.ms)
    assert (await ledger.totals()).attempts == {"unknown": 1, "accepted": 1}
    await ledger.settle(sent(cut), Accepted(remote_id="late"))
    assert set(await ledger.live([cut.order, done.order])) == {cut.order, done.order}


async def test_a_foreign_order_is_as_absent_as_a_missing_one(ledger: Ledger) -> None:
    mine, theirs = await funded(ledger), await funded(ledger, name="rival")
    own = await ledger.place(placement(mine))
    foreign = await ledger.place(placement(theirs))
    found = await ledger.orders(mine.id, [own.order, foreign.order, own.order, 1, 2**40])
    assert set(found) == {own.order}
    assert found[own.order] == await ledger.order(own.order)
    assert await ledger.order(1) is None
    assert await ledger.orders(mine.id, []) == {}


async def test_orders_are_listed_newest_first_by_account_status_and_open_question(ledger: Ledger) -> None:
    shop, rival = await funded(ledger), await funded(ledger, name="rival")
    ids = [(await ledger.place(placement(account))).order for account in (shop, rival, shop)]
    [attempt] = await ledger.attempts(ids[0])
    await ledger.settle(attempt.id, Unknown())
    [attempt] = await ledger.attempts(ids[1])
    await ledger.settle(attempt.id, NotSent(), Fail(why="nobody"))

    async def listed(**asked: Any) -> list[int]:
        return [order.id for order in await ledger.list_orders(**asked)]

    assert await listed() == ids[::-1]
    assert await listed(limit=2) == [ids[2], ids[1]]
    assert await listed(before=ids[1]) == [ids[0]]
    assert await listed(account=shop.id) == [ids[2], ids[0]]
    assert await listed(status=OrderStatus.CANCELED) == [ids[1]]
    assert await listed(unknown=True) == [ids[0]]
    assert await listed(unknown=True, account=rival.id) == []
    assert [attempt.order for attempt in await ledger.unknown_attempts("alpha")] == [ids[0]]
    assert await ledger.unknown_attempts("beta") == ()
