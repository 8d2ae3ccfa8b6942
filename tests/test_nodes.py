"""A node among others: its lease, whom it takes for dead, who leads; by a clock that a test turns."""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import pytest
import structlog

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Fenced, LedgerBusy
from gateway.ledger.reports import Node
from gateway.nodes import BEAT_S, LEASE_S, SILENCE_S, Nodes

pytestmark = pytest.mark.anyio

WHY = "this node could not tell the others that it lives, and may have been taken for dead"


class Table:
    """The rows of nodes, as a ledger has them."""

    def __init__(self) -> None:
        self.rows: dict[int, Node] = {}
        self.unknown: dict[int, int] = {}  # attempts that each is sending

    def join(self, name: str) -> int:
        epoch = max(self.rows, default=0) + 1
        self.rows[epoch] = Node(epoch=epoch, name=name, beat=0, started_ms=0)
        return epoch

    def beat(self, epoch: int, rules: str = "") -> Sequence[Node]:
        if self.rows[epoch].ended_ms is not None:
            raise Fenced(f"epoch {epoch}")
        self.rows[epoch] = msgspec.structs.replace(self.rows[epoch], beat=self.rows[epoch].beat + 1, rules=rules)
        return tuple(self.rows.values())

    def end(self, epoch: int) -> bool:
        was = self.rows[epoch].ended_ms is None
        self.rows[epoch] = msgspec.structs.replace(self.rows[epoch], ended_ms=1)
        return was

    @property
    def living(self) -> list[int]:
        return [node.epoch for node in self.rows.values() if node.ended_ms is None]


class Line:
    """One program's way to the table; `before` is done, once, when it next beats, and may raise."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.epoch = 0
        self.taken_over: list[int] = []
        self.before: Callable[[], None] = lambda: None

    async def join(self, name: str) -> int:
        self.epoch = self.table.join(name)
        return self.epoch

    async def beat(self, rules: str) -> Sequence[Node]:
        before, self.before = self.before, lambda: None
        before()
        return self.table.beat(self.epoch, rules)

    async def take_over(self, epoch: int) -> int | None:
        self.taken_over.append(epoch)
        return self.table.unknown.get(epoch, 0) if self.table.end(epoch) else None

    async def stopped(self) -> None:
        self.table.end(self.epoch)


class One:
    """A program under test, and its clock."""

    def __init__(self, table: Table, name: str = "here") -> None:
        self.now = 1_000.0
        self.line = Line(table)
        self.done = 0
        self.rules = "r1"
        self.nodes = Nodes(
            cast("Ledger", self.line),
            name,
            beaten=self._beaten,
            rules=lambda: self.rules,
            clock=lambda: self.now,
        )

    async def _beaten(self) -> None:
        self.done += 1

    async def lives(self, for_s: float, *others: "One") -> None:
        """It beats in time, as do the others; all clocks go on alike."""
        for _ in range(round(for_s / BEAT_S)):
            for one in (self, *others):
                one.now += BEAT_S
                await one.nodes.once()


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
async def one(table: Table) -> One:
    made = One(table)
    await made.nodes.join()
    return made


# The lease.


async def test_a_node_may_send_as_long_as_it_was_heard_lately(one: One) -> None:
    assert one.nodes.may_send() is None
    one.now += LEASE_S - 0.001
    assert (one.nodes.may_send(), one.nodes.leads()) == (None, True)
    one.now += 0.001
    assert (one.nodes.may_send(), one.nodes.leads()) == (WHY, False)
    await one.nodes.once()
    assert (one.nodes.may_send(), one.nodes.leads()) == (None, True)


async def test_each_beat_says_by_which_rules_its_node_goes_then(table: Table, one: One) -> None:
    assert table.rows[1].rules == "r1"
    one.rules = "r2"
    assert table.rows[1].rules == "r1"
    await one.nodes.once()
    assert table.rows[1].rules == "r2"
    table.end(1)
    await one.nodes.once()
    assert [(node.epoch, node.rules) for node in table.rows.values()] == [(1, "r2"), (2, "r2")], "it joined anew"


async def test_the_log_tells_which_process_a_node_is(table: Table) -> None:
    node = One(table, "w/2")
    with structlog.testing.capture_logs() as logs:
        await node.nodes.join()
        table.end(1)
        await node.nodes.once()
        await node.lives(1)
    joined = [line for line in logs if line.get("outcome") == "joined"]
    assert [(line["epoch"], line["name"], line["pid"]) for line in joined] == [
        (epoch, "w/2", os.getpid()) for epoch in (1, 2)
    ]
    assert {line["pid"] for line in logs if "leads" in line} == {os.getpid()}


async def test_a_node_knows_how_many_go_by_other_rules_and_whether_the_one_that_leads_does(
    table: Table, one: One
) -> None:
    others = [One(table, name) for name in ("b", "c")]
    for other in others:
        await other.nodes.join()
    everyone = (one, *others)
    assert [(each.nodes.other_rules, each.nodes.leaders_rules) for each in everyone] == [(0, "")] * 3
    one.rules = "r2"
    assert others[0].nodes.other_rules == 0, "it has not said so"
    assert one.nodes.leaders_rules == "", "it leads itself, whatever its last beat said"
    await one.lives(1, *others)
    assert [(each.nodes.other_rules, each.nodes.leaders_rules) for each in everyone] == [(2, ""), (1, "r2"), (1, "r2")]
    others[0].rules = "r2"
    assert (others[0].nodes.other_rules, others[0].nodes.leaders_rules) == (1, ""), "what it goes by now"
    await one.lives(1, *others)
    assert [(each.nodes.other_rules, each.nodes.leaders_rules) for each in everyone] == [(1, ""), (1, ""), (2, "r2")]
    table.end(3)
    await one.lives(1)
    assert one.nodes.other_rules == 0, "who was taken for dead goes by no rules"


async def test_rules_of_a_node_that_has_not_beaten_yet_are_no_other_rules(table: Table, one: One) -> None:
    table.join("b")
    await one.nodes.once()
    assert one.nodes.living == 2
    assert one.nodes.other_rules == 0
    table.end(1)
    table.beat(2, "r2")
    await one.nodes.once()
    assert (one.nodes.epoch, one.nodes.other_rules, one.nodes.leaders_rules) == (3, 1, "r2")


async def test_a_node_that_never_joined_sends_nothing_and_does_not_lead(table: Table) -> None:
    nodes = One(table).nodes
    assert (nodes.may_send(), nodes.leads(), nodes.living) == (WHY, False, 1)
    assert (nodes.other_rules, nodes.leaders_rules) == (0, "")


async def test_the_lease_counts_from_before_the_beat_was_sent(one: One) -> None:
    def slow() -> None:
        one.now += LEASE_S - 0.5

    one.line.before = slow
    await one.nodes.once()
    one.now += 0.499
    assert one.nodes.may_send() is None
    one.now += 0.001
    assert one.nodes.may_send() == WHY


async def test_a_beat_that_the_ledger_does_not_take_renews_nothing(one: One) -> None:
    def busy() -> None:
        raise LedgerBusy("away")

    one.now += LEASE_S - 0.1
    one.line.before = busy
    with pytest.raises(LedgerBusy):
        await one.nodes.once()
    assert one.nodes.may_send() is None
    one.now += 0.1
    assert one.nodes.may_send() == WHY
    assert one.done == 0, "what is done after a beat was done without one"


def test_others_wait_longer_than_a_lease_lasts_by_more_than_two_beats() -> None:
    assert SILENCE_S - LEASE_S >= 2 * BEAT_S
    assert LEASE_S >= 4 * BEAT_S, "one beat that is late must not stop the selling"


# Whom it takes for dead.


async def test_a_node_that_beats_no_more_is_ended_after_its_lease_and_not_before(one: One, table: Table) -> None:
    dead = table.join("dead")
    table.unknown[dead] = 3
    await one.lives(SILENCE_S)
    assert one.line.taken_over == []
    assert one.nodes.living == 2
    await one.lives(BEAT_S)
    assert one.line.taken_over == [dead]
    await one.lives(5)
    assert one.line.taken_over == [dead], "once"
    assert one.nodes.living == 1


async def test_a_node_that_beats_now_and_then_lives(one: One, table: Table) -> None:
    slow = table.join("slow")
    for _ in range(5):
        await one.lives(SILENCE_S - BEAT_S)
        table.beat(slow)
    assert one.line.taken_over == []


async def test_a_node_that_did_not_look_does_not_judge_others(one: One, table: Table) -> None:
    table.join("silent")
    await one.lives(SILENCE_S - BEAT_S)
    one.now += LEASE_S  # paused for so long
    await one.lives(SILENCE_S)
    assert one.line.taken_over == [], "what it did not see while it was away is no silence"
    await one.lives(2 * BEAT_S)
    assert one.line.taken_over == [2]


async def test_few_looks_are_not_enough_however_far_they_are_apart(one: One, table: Table) -> None:
    table.join("silent")
    for _ in range(4):
        one.now += LEASE_S - 0.1
        await one.nodes.once()
    assert one.line.taken_over == []
    one.now += LEASE_S - 0.1
    await one.nodes.once()
    assert one.line.taken_over == [2]


async def test_who_lives_alone_and_late_takes_nobody_for_dead(one: One, table: Table) -> None:
    """The ledger was away for all of them: the first that is back does not end the others."""
    other = One(table, "other")
    await other.nodes.join()
    await one.lives(3, other)
    one.now += 60
    other.now += 60
    for _ in range(5):
        await one.lives(BEAT_S)
        assert table.living == [1, 2]
        other.now += BEAT_S
    await one.lives(BEAT_S, other)
    await one.lives(5, other)
    assert table.living == [1, 2]


async def test_one_node_of_many_takes_a_dead_one_over(table: Table) -> None:
    first, second, third = (One(table, name) for name in "abc")
    for one in (first, second, third):
        await one.nodes.join()
    await first.lives(2, second, third)
    await second.lives(SILENCE_S + 1, third)
    assert table.living == [2, 3]
    assert [second.line.taken_over, third.line.taken_over] == [[1], []]


# Who leads.


async def test_the_oldest_that_lives_leads_and_the_next_one_follows_it(table: Table) -> None:
    first, second = One(table, "a"), One(table, "b")
    await first.nodes.join()
    await second.nodes.join()
    await first.lives(1, second)
    assert (first.nodes.leads(), second.nodes.leads()) == (True, False)
    assert (first.nodes.living, second.nodes.living) == (2, 2)
    await first.nodes.leave()
    assert not first.nodes.leads()
    await second.lives(BEAT_S)
    assert second.nodes.leads()


async def test_at_no_moment_two_lead_whatever_is_paused(table: Table) -> None:
    """The leader stops for any length of time, and goes on; both clocks go on alike."""
    for pause in range(1, 20):
        first, second = One(table, "a"), One(table, "b")
        await first.nodes.join()
        await second.nodes.join()
        await first.lives(1, second)
        for _ in range(pause):
            first.now += BEAT_S
            await second.lives(BEAT_S)
            assert not (first.nodes.leads() and second.nodes.leads())
        for _ in range(20):
            await first.lives(BEAT_S, second)
            assert not (first.nodes.leads() and second.nodes.leads())
        assert first.nodes.leads() != second.nodes.leads()
        await first.nodes.leave()
        await second.nodes.leave()


# Fenced, and gone.


async def test_a_node_that_was_taken_for_dead_goes_on_as_a_new_one_and_leads_no_more(table: Table) -> None:
    first, second = One(table, "a"), One(table, "b")
    await first.nodes.join()
    await second.nodes.join()
    await first.lives(1, second)
    first.now += SILENCE_S + 1
    await second.lives(SILENCE_S + 1)
    assert second.nodes.leads()
    assert first.nodes.may_send() == WHY, "before it knows that it was taken for dead"
    await first.nodes.once()
    assert first.line.epoch == 3
    assert first.nodes.may_send() == WHY, "what waited for it meanwhile is not taken up"
    await first.nodes.once()
    assert (first.nodes.may_send(), first.nodes.leads(), first.nodes.living) == (None, False, 2)
    await first.lives(3, second)
    assert table.living == [2, 3]


async def test_while_it_cannot_join_again_nothing_is_sent(one: One, table: Table) -> None:
    table.end(1)

    async def busy(name: str) -> int:
        raise LedgerBusy("away")

    join, one.line.join = one.line.join, busy  # type: ignore[method-assign]
    with pytest.raises(LedgerBusy):
        await one.nodes.once()
    assert one.nodes.may_send() == WHY
    one.line.join = join  # type: ignore[method-assign]
    await one.nodes.once()
    assert one.nodes.may_send() is None
    assert table.living == [2]


async def test_a_node_that_left_beats_no_more_and_sends_no_more(one: One, table: Table) -> None:
    await one.nodes.leave()
    beat, done = table.rows[1].beat, one.done
    one.now += BEAT_S
    await one.nodes.once()
    assert (table.rows[1].beat, one.done) == (beat, done)
    assert (one.nodes.may_send(), one.nodes.leads()) == (WHY, False)


async def test_beats_follow_each_other_until_it_leaves_whatever_happens_in_between(table: Table) -> None:
    one, slept = One(table), []

    def raising(error: Exception) -> Callable[[], None]:
        def raised() -> None:
            raise error

        return raised

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)  # what follows a beat is done beside
        one.now += seconds
        match len(slept):
            case 2:
                one.line.before = raising(LedgerBusy("away"))
            case 3:
                one.line.before = raising(ValueError("a fault of ours"))
            case 6:
                await one.nodes.leave()

    one.nodes = Nodes(
        cast("Ledger", one.line), "here", beaten=one._beaten, rules=str, clock=lambda: one.now, sleep=sleep
    )
    await one.nodes.join()
    await one.nodes.follow()
    assert slept == [BEAT_S] * 6
    assert table.rows[1].beat == 1 + 3
    assert one.done == 3


async def test_what_follows_a_beat_holds_up_no_beat_however_long_it_takes(table: Table) -> None:
    one, slept, begun = One(table), 0, 0

    async def endless() -> None:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()

    async def sleep(seconds: float) -> None:
        nonlocal slept
        slept += 1
        one.now += seconds
        await asyncio.sleep(0)
        if slept == 20:
            await one.nodes.leave()

    one.nodes = Nodes(cast("Ledger", one.line), "here", beaten=endless, rules=str, clock=lambda: one.now, sleep=sleep)
    await one.nodes.join()
    async with asyncio.timeout(20):
        await one.nodes.follow()
    assert table.rows[1].beat == 20
    assert begun == 1, "one after the other"


async def test_a_node_that_leaves_while_its_beat_is_on_its_way_does_not_join_again(table: Table) -> None:
    one = One(table)
    await one.nodes.join()
    leaving: list[asyncio.Task[None]] = []

    async def crossed(rules: str) -> Sequence[Node]:
        leaving.append(asyncio.create_task(one.nodes.leave()))
        while table.living:  # noqa: ASYNC110 - until the other way was quicker
            await asyncio.sleep(0)
        return table.beat(one.line.epoch, rules)

    one.line.beat = crossed  # type: ignore[method-assign]
    await one.nodes.once()
    await asyncio.gather(*leaving)
    assert table.living == []
    assert one.line.epoch == 1
    assert one.nodes.may_send() == WHY
