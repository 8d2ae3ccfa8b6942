"""Turns: each in turn, within bounds, and none is lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.turns import NoTurn, Turns

pytestmark = pytest.mark.anyio

LONG_S = 60.0


async def settled() -> None:
    """Until every task that can go on has."""
    for _ in range(5):
        await asyncio.sleep(0)


class Line:
    """Work that is done when it is told, one after the other."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.began: list[str] = []
        self.ends: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    def ask(self, *whose: str) -> None:
        self.tasks += [asyncio.create_task(self._work(who)) for who in whose]

    async def _work(self, who: str) -> None:
        if not self.turns.begin(who):
            await self.turns.wait(who)
        try:
            self.began.append(who)
            end = asyncio.Event()
            self.ends.append(end)
            await end.wait()
        finally:
            self.turns.end(who)

    async def end_all(self) -> None:
        """End the oldest that is under way until none is left."""
        await settled()
        while self.ends:
            self.ends.pop(0).set()
            await settled()


@asynccontextmanager
async def line(turns: Turns, *whose: str) -> AsyncIterator[Line]:
    made = Line(turns)
    made.ask(*whose)
    await settled()
    yield made
    await made.end_all()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    assert turns.waiting == 0
    assert turns.begin("anybody"), "every turn was given back"


async def test_one_who_asks_for_much_keeps_nobody_waiting_longer_than_a_round() -> None:
    async with line(Turns(1, wait_s=LONG_S), *["flood"] * 50, "shop", "bot") as asked:
        await asked.end_all()
        assert asked.began.index("shop") == 2
        assert asked.began.index("bot") == 3
        assert len(asked.began) == 52


async def test_each_ones_own_come_in_the_order_they_came() -> None:
    turns = Turns(1, wait_s=LONG_S)
    assert turns.begin("a")
    came: list[int] = []

    async def wait(number: int) -> None:
        await turns.wait("a")
        came.append(number)
        turns.end("a")

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await settled()
    turns.end("a")
    await asyncio.gather(*tasks)
    assert came == [0, 1, 2, 3, 4]


async def test_nobody_has_more_than_its_share_while_turns_are_left_for_others() -> None:
    async with line(Turns(4, each=2, wait_s=LONG_S), *["flood"] * 10) as asked:
        assert asked.began == ["flood"] * 2
        asked.ask("shop")
        await settled()
        assert asked.began == ["flood", "flood", "shop"]


async def test_who_waits_at_its_share_keeps_no_other_from_its_turn() -> None:
    async with line(Turns(3, each=2, wait_s=LONG_S), "a", "a", "b", "a", "c") as asked:
        assert asked.began == ["a", "a", "b"]
        asked.ends.pop(2).set()  # b's: the next in the line is a, who has its share
        await settled()
        assert asked.began == ["a", "a", "b", "c"]


@pytest.mark.parametrize(("more", "own"), [("flood", True), ("shop", False)])
async def test_the_line_has_an_end(more: str, own: bool) -> None:
    turns = Turns(1, waiting=3, waiting_each=3, wait_s=LONG_S)
    async with line(turns, *["flood"] * 4):
        with pytest.raises(NoTurn) as none:
            await turns.wait(more)
        assert none.value.own is own


async def test_a_turn_that_comes_too_late_is_none() -> None:
    turns = Turns(1, wait_s=0)
    assert turns.begin("a")
    with pytest.raises(NoTurn) as none:
        await turns.wait("b")
    assert not none.value.own
    assert turns.waiting == 0
    turns.end("a")
    assert turns.begin("b")


async def test_who_leaves_the_line_takes_no_turn_along() -> None:
    turns = Turns(1, wait_s=LONG_S)
    assert turns.begin("a")
    for moment in ("before", "with"):
        waiting = asyncio.create_task(turns.wait("b"))
        await settled()
        if moment == "with":
            turns.end("a")  # the turn is given, and the task is cancelled before it runs
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert turns.waiting == 0
    assert turns.begin("a"), "it was given back"


@given(st.lists(st.sampled_from("aaabc"), max_size=40), st.integers(1, 4), st.integers(1, 4), st.data())
def test_whatever_comes_and_goes_bounds_hold_and_nobody_is_forgotten(
    whose: Sequence[str], most: int, each: int, data: st.DataObject
) -> None:
    async def run() -> None:
        turns = Turns(most, each=each, wait_s=LONG_S)
        running: list[str] = []
        tasks: list[asyncio.Task[None]] = []
        flips = st.booleans()

        async def wait(who: str) -> None:
            await turns.wait(who)
            running.append(who)

        for who in whose:
            if turns.begin(who):
                running.append(who)
            else:
                tasks.append(asyncio.create_task(wait(who)))
            await settled()
            if data.draw(flips) and running:
                turns.end(running.pop(data.draw(st.integers(0, len(running) - 1))))
                await settled()
            if data.draw(flips) and tasks:
                tasks.pop().cancel()
                await settled()
            assert len(running) <= most
            assert all(running.count(one) <= each for one in "abc")
        while running:
            turns.end(running.pop())
            await settled()
        assert turns.waiting == 0
        assert all(task.done() for task in tasks)

    asyncio.run(run())
