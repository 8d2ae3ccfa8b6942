"""Nodes of one ledger: who lives, who was taken for dead, and what is true of orders that other nodes placed."""

import asyncio
from decimal import Decimal
from typing import Any, Final

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, AttemptState, Fail, Fenced, LedgerBusy, NewPlacement, Next, Refused, Wait
from gateway.ledger.repeated import Twin
from gateway.ledger.reports import ENDED_MS
from providers.base import OrderStatus
from tests.test_ledger.samples import Clock, bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio

BETA: Final = Next(panel="beta", remote_service="9", cost=Decimal("0.45"))
DRY: Final = Wait(until_ms=2**41, why="dry")
UNHEARD: Final = Twin(unheard_ms=120_000)


# Who lives.


async def test_a_touch_changes_nothing_that_anybody_reads(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.touch()
    await ledger.join("a")
    await other.join("b")
    placed = await ledger.place(placement(account))
    before = await ledger.totals(), await ledger.events(placed.order)
    for _ in range(3):
        await asyncio.gather(ledger.touch(), other.touch(), ledger.touch())
    assert (await ledger.totals(), await ledger.events(placed.order)) == before
    await other.stopped()
    await other.close()
    with pytest.raises(LedgerBusy):
        await other.touch()


async def test_each_node_that_joins_has_a_higher_epoch_and_all_are_seen_with_their_beats(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    first = await ledger.join("a")
    clock.ms += 5
    second = await other.join("b")
    assert second > first
    await ledger.beat("r1")
    seen = await ledger.beat("r1")
    assert [(node.epoch, node.name, node.beat, node.ended_ms) for node in seen] == [
        (first, "a", 2, None),
        (second, "b", 0, None),
    ]
    assert [node.started_ms for node in seen] == [clock.ms - 5, clock.ms]
    assert await other.join("b") > second, "a start under the same name is another node"


async def test_the_rules_that_a_node_goes_by_are_those_of_its_last_beat_and_whoever_looks_sees_them(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    first, second = await ledger.join("a"), await other.join("b")
    assert [node.rules for node in await other.nodes()] == ["", ""]
    assert [node.rules for node in await ledger.beat("r1")] == ["r1", ""]
    await other.beat("r1")
    await ledger.beat("r2")
    assert [(node.epoch, node.rules, node.beat) for node in await other.nodes()] == [
        (first, "r2", 2),
        (second, "r1", 1),
    ]
    await ledger.take_over(second)
    with pytest.raises(Fenced):
        await other.beat("r3")
    [_, dead] = await ledger.nodes()
    assert (dead.rules, dead.ended_ms, dead.beat) == ("r1", clock.ms, 1)


async def test_a_node_taken_for_dead_is_told_of_for_a_while_and_one_that_left_is_not(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    epoch, gone = await ledger.join("a"), await other.join("b")
    assert await ledger.take_over(gone) == 0
    assert [(node.epoch, node.ended_ms) for node in await ledger.beat("r1")] == [(epoch, None), (gone, clock.ms)]
    clock.ms += ENDED_MS + 1
    assert [node.epoch for node in await ledger.beat("r1")] == [epoch]
    left = await other.join("b")
    await other.stopped()
    assert left not in {node.epoch for node in await ledger.beat("r1")}
    with pytest.raises(Fenced):
        await other.beat("r1")


async def test_what_a_dead_node_was_sending_is_unknown_once_and_what_others_send_is_not(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    dead = await other.join("b")
    mine = await ledger.place(placement(account, link="mine"))
    theirs = [await other.place(placement(account, link=str(number))) for number in range(3)]
    await other.settle(sent(theirs[0]), Accepted(remote_id="r1"))
    clock.ms += 60
    assert await ledger.take_over(dead) == 2
    assert await ledger.take_over(dead) is None
    [attempt] = await ledger.attempts(mine.order)
    assert attempt.state is AttemptState.SENDING
    for placed in theirs[1:]:
        [attempt] = await ledger.attempts(placed.order)
        assert (attempt.state, attempt.epoch) == (AttemptState.UNKNOWN, dead)
        assert (await ledger.events(placed.order))[-1].what == "recovered"
    assert await ledger.unknown_counts() == {"alpha": 2}


async def test_a_node_taken_for_dead_writes_no_intent_and_its_outcomes_count(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    dead = await other.join("b")
    placed = [await other.place(placement(account, link=str(number))) for number in range(2)]
    waits = await other.place(placement(account, first=DRY))
    taken = await bought(other, account, "r9", link="rest")
    await ledger.take_over(dead)
    before = await ledger.totals()
    for call in (
        lambda: other.place(placement(account)),
        lambda: other.place(placement(account, first=DRY)),
        lambda: other.settle(sent(placed[0]), Refused(reason="funds"), BETA),
        lambda: other.send(waits.order, BETA),
        lambda: other.pass_on(sent(taken), told(OrderStatus.PARTIAL, remains=10), BETA, next_ms=None),
        lambda: other.beat("r1"),
    ):
        with pytest.raises(Fenced):
            await call()
    assert await ledger.totals() == before
    await other.settle(sent(placed[0]), Accepted(remote_id="late"))
    await other.settle(sent(placed[1]), Refused(reason="funds"), Fail(why="nobody"))
    assert await ledger.take_over(dead) is None


async def test_a_node_that_joins_again_sends_under_its_new_epoch_what_it_placed_before(
    ledger: Ledger, other: Ledger
) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    dead = await other.join("b")
    placed = await other.place(placement(account))
    await ledger.take_over(dead)
    again = await other.join("b")
    following = await other.settle(sent(placed), Refused(reason="funds"), BETA)
    assert [attempt.epoch for attempt in await ledger.attempts(placed.order)] == [dead, again]
    assert following is not None
    await other.settle(following, Accepted(remote_id="r1"))


async def test_a_program_that_never_joined_may_place_only_where_nobody_ever_did(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await other.place(placement(account))
    await ledger.join("a")
    with pytest.raises(Fenced):
        await other.place(placement(account))


async def test_only_old_attempts_of_this_node_that_it_does_not_know_are_strays(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    foreign = await other.place(placement(account, link="foreign"))
    known, lost = [await ledger.place(placement(account, link=link)) for link in ("known", "lost")]
    clock.ms += 30_001
    young = await ledger.place(placement(account, link="young"))
    assert await ledger.strays([sent(known)], older_ms=30_000) == 1
    assert await ledger.strays([sent(known)], older_ms=30_000) == 0
    states = {placed.order: (await ledger.attempts(placed.order))[0].state for placed in (foreign, known, lost, young)}
    assert [order for order, state in states.items() if state is AttemptState.UNKNOWN] == [lost.order]
    assert set(states.values()) == {AttemptState.SENDING, AttemptState.UNKNOWN}


async def test_what_others_are_sending_to_a_panel_is_counted_and_what_this_node_sends_is_not(
    ledger: Ledger, other: Ledger
) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    await ledger.place(placement(account, link="mine"))
    theirs = [await other.place(placement(account, link=str(number))) for number in range(2)]
    await other.place(placement(account, link="beta", panel="beta"))
    assert await ledger.sending_elsewhere("alpha") == 2
    assert await other.sending_elsewhere("alpha") == 1
    assert await ledger.sending_elsewhere("gamma") == 0
    await other.settle(sent(theirs[0]), Accepted(remote_id="r1"))
    assert await ledger.sending_elsewhere("alpha") == 1


async def test_a_start_after_nodes_stopped_is_clean_only_if_the_last_one_stopped_in_good_order(
    ledger: Ledger, other: Ledger
) -> None:
    await ledger.join("a")
    last = await other.join("b")
    await ledger.stopped()
    await ledger.take_over(last)
    assert not (await ledger.recover()).clean
    await ledger.join("c")
    await ledger.stopped()
    assert (await ledger.recover()).clean


async def test_room_is_made_as_often_as_one_asks(ledger: Ledger) -> None:
    await ledger.make_room()
    await ledger.make_room()
    await ledger.place(placement(await funded(ledger)))


# Identical orders on two nodes.


def same(account: Any, twin: Twin = UNHEARD, **changes: Any) -> NewPlacement:
    return placement(account, fingerprint=b"same", twin=twin, **changes)


async def test_an_identical_order_whose_answer_nobody_heard_is_the_same_order_on_another_node(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    first = await ledger.place(same(account))
    clock.ms += 119_000
    again = await other.place(same(account))
    assert (again.order, again.attempt) == (first.order, None)
    assert (await other.place(placement(account, fingerprint=b"other", twin=UNHEARD))).order != first.order
    clock.ms += 1_001
    later = await other.place(same(account))
    assert later.order != first.order, "whoever asks so late wants another one"
    assert later.attempt is not None


async def test_an_identical_order_whose_answer_was_heard_is_a_new_order(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    first = await ledger.place(same(account))
    await ledger.answered([first.order])
    await ledger.answered([first.order])
    second = await other.place(same(account))
    assert second.order != first.order
    assert second.attempt is not None
    assert (await ledger.place(same(account))).order == second.order, "of two, the younger one is meant"


async def test_a_key_of_so_many_seconds_gets_the_same_order_for_so_long_whether_it_was_heard_or_not(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    first = await ledger.place(same(account))
    await ledger.answered([first.order])
    meant = Twin(unheard_ms=120_000, any_ms=3_600_000)
    clock.ms += 3_600_000
    assert (await other.place(same(account, meant))).order == first.order
    clock.ms += 1
    assert (await other.place(same(account, meant))).order != first.order


async def test_what_this_node_placed_itself_is_no_order_of_another(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    first = await ledger.place(same(account))
    assert (await ledger.place(same(account))).order != first.order


async def test_an_order_that_every_panel_refused_stands_for_none(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    first = await ledger.place(same(account))
    await ledger.settle(sent(first), Refused(reason="funds"), Fail(why="nobody"))
    assert (await other.place(same(account))).order != first.order


async def test_who_does_not_ask_for_it_gets_a_new_order_each_time(ledger: Ledger, other: Ledger) -> None:
    account = await funded(ledger)
    await ledger.join("a")
    await other.join("b")
    first = await ledger.place(placement(account, fingerprint=b"same"))
    assert (await other.place(placement(account, fingerprint=b"same"))).order != first.order
