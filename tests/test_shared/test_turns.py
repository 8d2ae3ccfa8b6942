"""Limits that nodes keep together, and what each takes while it cannot ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.shared import InProcess, Late, Redis, SharedTurns, Turn, Window
from gateway.shared.counting import YOUNG_S
from gateway.shared.turns import SETTLE_S
from providers.pace import rate
from tests.servers import Valkey
from tests.test_shared.nodes import Clock, opened, until

pytestmark = pytest.mark.anyio

RATE = rate("12/h")
HOUR = Window(calls=12, reads=9, length_s=3600)
KEY = "a:3600"


class Node:
    """One of `nodes` that keep a limit together."""

    def __init__(self, store: Redis, clock: Clock, nodes: int) -> None:
        self.store = store
        self.turns = SharedTurns(store, nodes=lambda: nodes, clock=clock)

    async def take(self, times: int, *, is_read: bool = False, text: str = "12/h") -> int:
        """Ask so often; gives how many calls were let through."""
        return sum([await self.turns.take("a", rate(text), is_read=is_read) == 0 for _ in range(times)])


@asynccontextmanager
async def two(valkey: Valkey, clock: Clock) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes, of which the server knows what they do: they have settled, and the window is not young."""
    async with opened(valkey.url) as one, opened(valkey.url) as other:
        nodes = Node(one, clock, 2), Node(other, clock, 2)
        for node in nodes:
            await node.turns.tell()
        clock.now += SETTLE_S
        grown(valkey)
        yield nodes


def grown(valkey: Valkey) -> None:
    """The server has counted this window for long."""
    valkey.ask("HSET", f"panelmux:turns:{KEY}", "born", "1")


async def back(valkey: Valkey, *nodes: Node) -> None:
    valkey.start()
    await until(lambda: all(node.store.epoch for node in nodes))


class TestTogether:
    async def test_nodes_have_one_limit_and_one_may_take_all_of_it(self, valkey: Valkey, clock: Clock) -> None:
        async with two(valkey, clock) as (one, other):
            assert (await one.take(10), await other.take(10), await one.take(1)) == (10, 2, 0)
            assert (one.turns.together, other.turns.together) == (11, 10)

    async def test_reads_leave_a_quarter_to_writes(self, valkey: Valkey, clock: Clock) -> None:
        async with two(valkey, clock) as (one, other):
            assert (await one.take(5, is_read=True), await other.take(9, is_read=True)) == (5, 4)
            assert await other.take(9) == 3
            assert await one.take(1) == 0

    async def test_who_has_to_wait_is_told_how_long(self, valkey: Valkey, clock: Clock) -> None:
        async with two(valkey, clock) as (one, other):
            await one.take(12)
            assert 3600 - 60 < await other.turns.take("a", RATE) <= 3600 * 1.02 + 1

    async def test_each_panel_and_account_has_its_own(self, valkey: Valkey, clock: Clock) -> None:
        async with two(valkey, clock) as (one, _):
            await one.take(12)
            assert await one.turns.take("b", RATE) == 0

    async def test_many_at_once_are_not_one_too_many(self, valkey: Valkey, clock: Clock) -> None:
        async with two(valkey, clock) as nodes:
            waits = await asyncio.gather(*(node.turns.take("a", RATE) for _ in range(20) for node in nodes))
        assert waits.count(0) == 12

    async def test_another_limit_over_the_same_time_goes_on_with_what_was_counted(
        self, valkey: Valkey, clock: Clock
    ) -> None:
        async with two(valkey, clock) as (one, other):
            assert await one.take(5) == 5
            assert await other.take(20, text="7/h") == 2


class TestCounting:
    """The script itself, by the server's clock."""

    async def asked(self, store: Redis, window: Window, *late: Late, key: str = KEY, is_read: bool = False) -> Turn:
        turn = await store.turn(key, window, is_read=is_read, late=late, in_share=True, alone=False)
        assert turn is not None
        return turn

    async def test_late_calls_count_where_they_belong(self, valkey: Valkey) -> None:
        async with opened(valkey.url) as store:
            turn = await self.asked(store, HOUR, Late(3000.0, 12, 0))
            assert not turn.taken
            assert 600 - 60 < turn.wait_s < 600 + 72 + 60, "600 s, and at most a part longer"
            assert (await self.asked(store, HOUR, Late(3700.0, 12, 0), key="b")).taken, "that has left the window"

    async def test_late_reads_count_as_reads(self, valkey: Valkey) -> None:
        async with opened(valkey.url) as store:
            assert not (await self.asked(store, HOUR, Late(10.0, 9, 9), is_read=True)).taken
            assert (await self.asked(store, HOUR)).taken

    async def test_a_call_waits_until_as_many_have_left_as_are_over(self, valkey: Valkey) -> None:
        async with opened(valkey.url) as store:
            few = Window(calls=3, reads=2, length_s=3600)
            turn = await self.asked(store, few, Late(3000.0, 1, 0), Late(2000.0, 1, 0), Late(100.0, 3, 0))
            assert 3500 - 60 < turn.wait_s < 3500 + 72 + 60, "two of the three that are young have to go too"

    async def test_no_window_holds_one_too_many(self, valkey: Valkey) -> None:
        """By our own watch: the last answer of six calls comes later than a window after the first was asked for."""
        short = Window(calls=5, reads=4, length_s=0.1)
        calls: list[tuple[float, float]] = []
        async with opened(valkey.url) as store:
            while len(calls) < 30:
                asked = time.monotonic()
                if (await self.asked(store, short)).taken:
                    calls.append((asked, time.monotonic()))
        for first, last in zip(calls, calls[5:], strict=False):
            assert last[1] - first[0] >= 0.1

    async def test_what_is_kept_of_a_window_does_not_grow_with_its_calls(self, valkey: Valkey) -> None:
        async with opened(valkey.url) as store:
            for age in range(4000):
                await store.count(KEY, Window(calls=10**6, reads=1, length_s=3600), [Late(age, 3, 1)])
            assert valkey.ask("HLEN", f"panelmux:turns:{KEY}") in {b":%d\r\n" % count for count in range(95, 104)}

    async def test_a_clock_that_was_put_far_back_leaves_nothing_to_wait_for(self, valkey: Valkey) -> None:
        async with opened(valkey.url) as store:
            valkey.ask("HSET", f"panelmux:turns:{KEY}", "born", "1", "a99999999999", "12")
            assert (await self.asked(store, HOUR)).taken

    async def test_counted_without_asking_takes_no_turn(self, valkey: Valkey) -> None:
        async with opened(valkey.url) as store:
            assert await store.count(KEY, HOUR, [Late(0.0, 11, 0)])
            grown(valkey)
            assert [(await self.asked(store, HOUR)).taken for _ in range(2)] == [True, False]


class TestAlone:
    async def test_without_a_store_each_node_takes_its_share(self, clock: Clock) -> None:
        turns = SharedTurns(InProcess(), nodes=lambda: 3, clock=clock)
        assert [await turns.take("a", RATE) for _ in range(5)] == [0, 0, 0, 0, pytest.approx(3600)]
        assert await turns.take("b", rate("2/h")) == 0, "one at least"
        assert await turns.take("b", rate("2/h")) > 0

    async def test_the_share_follows_the_living_nodes(self, clock: Clock) -> None:
        turns = SharedTurns(InProcess(), clock=clock)
        turns.nodes = lambda: 4
        assert [await turns.take("a", RATE) == 0 for _ in range(4)] == [True, True, True, False]
        turns.nodes = lambda: 2
        assert [await turns.take("a", RATE) == 0 for _ in range(4)] == [True, True, True, False]

    async def test_what_was_taken_together_counts_as_its_own(self, clock: Clock) -> None:
        with Valkey() as valkey:
            async with two(valkey, clock) as (one, other):
                assert (await one.take(5), await other.take(7)) == (5, 5 + 2)
                valkey.kill()
                await until(lambda: not (one.store.epoch or other.store.epoch))
                assert (await one.take(9), await other.take(9)) == (1, 0)

    async def test_a_window_that_has_passed_is_free_again(self, clock: Clock) -> None:
        turns = SharedTurns(InProcess(), nodes=lambda: 2, clock=clock)
        for _ in range(2):
            assert [await turns.take("a", RATE) == 0 for _ in range(7)] == [True] * 6 + [False]
            clock.now += 3601


class TestReturn:
    async def test_a_store_that_is_back_and_empty_lets_nothing_more_through(self, clock: Clock) -> None:
        with Valkey() as valkey:
            async with two(valkey, clock) as (one, other):
                valkey.kill()
                await until(lambda: not (one.store.epoch or other.store.epoch))
                assert (await one.take(9), await other.take(9)) == (6, 6)
                await back(valkey, one, other)
                assert await one.take(9) == 0, "the other has not told yet"
                await one.turns.tell()
                await other.turns.tell()
                grown(valkey)
                clock.now += SETTLE_S
                assert (await one.take(9), await other.take(9)) == (0, 0)

    async def test_one_late_node_adds_its_own_share_and_no_more(self, clock: Clock) -> None:
        with Valkey() as valkey:
            async with two(valkey, clock) as (one, late):
                valkey.kill()
                await until(lambda: not (one.store.epoch or late.store.epoch))
                assert await late.take(9) == 6
                await back(valkey, one)
                await one.turns.tell()
                clock.now += SETTLE_S
                await one.take(1)
                grown(valkey)
                assert 1 + await one.take(20) == 12
                assert await late.take(9) == 0

    async def test_a_store_that_stood_still_knows_what_was_taken_before(self, clock: Clock) -> None:
        with Valkey() as valkey:
            async with two(valkey, clock) as (one, other):
                assert await one.take(9) == 9
                valkey.kill()
                await until(lambda: not (one.store.epoch or other.store.epoch))
                assert await other.take(9) == 6, "its share: it cannot know"
                await back(valkey, one, other)
                assert (await one.take(9), await other.take(9)) == (0, 0)

    async def test_an_emptied_store_is_told_all_that_was_taken(self, valkey: Valkey, clock: Clock) -> None:
        async with two(valkey, clock) as (one, other):
            assert (await one.take(7), await other.take(2)) == (7, 2)
            before = one.store.epoch
            valkey.ask("FLUSHALL")
            await until(lambda: before not in {one.store.epoch, other.store.epoch})
            await one.turns.tell()
            await other.turns.tell()
            grown(valkey)
            clock.now += SETTLE_S
            assert (await one.take(9), await other.take(9)) == (3, 0)

    async def test_what_is_emptied_and_not_seen_yet_gives_no_more_than_a_share(self, clock: Clock) -> None:
        with Valkey() as valkey:
            async with opened(valkey.url, look_s=3600.0) as store:
                node = Node(store, clock, 2)
                await node.turns.tell()
                clock.now += SETTLE_S
                await node.take(1)
                grown(valkey)
                assert await node.take(1) == 1
                valkey.ask("FLUSHALL")
                assert await node.take(20) == 4, "2 of its share of 6 are made"

    async def test_a_window_grows_up_by_itself(self, valkey: Valkey, clock: Clock) -> None:
        async with opened(valkey.url) as store:
            node = Node(store, clock, 2)
            await node.turns.tell()
            clock.now += SETTLE_S
            assert await node.take(9) == 6
            born = float(valkey.ask("HGET", f"panelmux:turns:{KEY}", "born").split(b"\r\n")[1])
            aged = born - YOUNG_S * 1e6
            valkey.ask("HSET", f"panelmux:turns:{KEY}", "born", f"{aged:.0f}")
            assert await node.take(9) == 6

    async def test_many_at_once_are_not_more_than_the_share(self, valkey: Valkey, clock: Clock) -> None:
        async with opened(valkey.url) as store:
            node = Node(store, clock, 2)
            assert await node.take(3) == 3
            waits = await asyncio.gather(*(node.turns.take("a", RATE) for _ in range(30)))
            assert waits.count(0) == 3
            assert node.turns.together == 0

    async def test_what_could_not_be_told_is_told_later(self, clock: Clock) -> None:
        class Failing(InProcess):
            told: Sequence[Late] | None = None
            works = False

            @property
            def epoch(self) -> str:
                return "one"

            async def count(self, key: str, window: Window, late: Sequence[Late]) -> bool:  # noqa: ARG002
                self.told = late
                return self.works

        store = Failing()
        turns = SharedTurns(store, clock=clock)
        assert await turns.take("a", RATE, is_read=True) == 0
        assert await turns.take("a", RATE) == 0
        for works in (False, True):
            store.told, store.works = None, works
            await turns.tell()
            assert store.told == [Late(0.0, 2, 1)]
        store.told = None
        await turns.tell()
        assert store.told is None
        clock.now += 4000
        assert await turns.take("a", RATE) == 0

    async def test_a_call_that_is_cancelled_forgets_nothing(self, clock: Clock) -> None:
        class Held(InProcess):
            reached = asyncio.Event()

            @property
            def epoch(self) -> str:
                return "one"

            async def turn(self, *_key: object, **_what: object) -> Turn | None:
                self.reached.set()
                await asyncio.Event().wait()
                return None

            async def count(self, key: str, window: Window, late: Sequence[Late]) -> bool:  # noqa: ARG002
                told.extend(late)
                return True

        told: list[Late] = []
        store = Held()
        turns = SharedTurns(store, clock=clock)
        store.reached.clear()
        call = asyncio.create_task(turns.take("a", RATE))
        await store.reached.wait()
        (mine,) = turns._mine.values()
        mine.add(clock.now, is_read=False)
        mine.untold = 1
        store.reached.clear()
        second = asyncio.create_task(turns.take("a", RATE))
        await store.reached.wait()
        for task in (call, second):
            task.cancel()
        await asyncio.gather(call, second, return_exceptions=True)
        await turns.tell()
        assert told == [Late(0.0, 1, 0)]
        assert mine.under_way == 0
