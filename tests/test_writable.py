"""Whether the ledger can be written: one write for all who ask, and none that waits behind another."""

import asyncio
from typing import cast

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy
from gateway.writable import EVERY_S, Writable

pytestmark = pytest.mark.anyio


class Disk:
    """Writes at once, or where it `hangs`, when it is told to; a `fault` is raised instead."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.writes = 0
        self.hangs = False
        self.fault: Exception | None = None
        self.goes_on = asyncio.Event()
        self.writable = Writable(cast("Ledger", self), clock=lambda: self.now)

    async def postpone(self, _attempts: list[object], _next_ms: int) -> None:
        """Nothing waits before it."""

    async def touch(self) -> None:
        self.writes += 1
        if self.hangs:
            await self.goes_on.wait()
        if self.fault is not None:
            raise self.fault


async def test_many_who_ask_in_a_second_have_the_answer_of_one_write() -> None:
    disk = Disk()
    assert await asyncio.gather(*(disk.writable() for _ in range(50))) == [True] * 50
    disk.now += EVERY_S - 0.001
    assert await disk.writable()
    assert disk.writes == 1
    disk.now += 0.001
    assert await disk.writable()
    assert disk.writes == 2


async def test_a_no_is_an_answer_for_a_second_as_well_and_not_for_longer() -> None:
    disk = Disk()
    disk.fault = LedgerBusy("database or disk is full")
    assert not await disk.writable()
    disk.fault = None
    assert not await disk.writable()
    assert disk.writes == 1
    disk.now += EVERY_S
    assert await disk.writable()


async def test_a_write_that_hangs_is_a_no_and_no_other_is_begun_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    disk.hangs = True
    monkeypatch.setattr("gateway.writable.PATIENCE_S", 0.01)
    assert not await disk.writable()
    monkeypatch.undo()
    disk.now += 60
    async with asyncio.timeout(1.5):  # it hangs for long: nobody waits for it anew
        assert [await disk.writable() for _ in range(5)] == [False] * 5
    assert disk.writes == 1
    disk.hangs = False
    disk.goes_on.set()
    while not await disk.writable():  # until it has heard of it
        disk.now += EVERY_S
    assert await disk.writable()
    assert disk.writes == 2


async def test_who_leaves_does_not_take_the_answer_of_others_away() -> None:
    disk = Disk()
    disk.hangs = True
    one, other = asyncio.create_task(disk.writable()), asyncio.create_task(disk.writable())
    while not disk.writes:  # noqa: ASYNC110 - until both wait
        await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    disk.goes_on.set()
    assert await other
    assert disk.writes == 1


async def test_a_stop_leaves_no_write_behind_and_is_no_fault_of_who_asks() -> None:
    disk, before = Disk(), asyncio.all_tasks()
    disk.hangs = True
    asking = asyncio.create_task(disk.writable())
    while not disk.writes:  # noqa: ASYNC110 - until it waits
        await asyncio.sleep(0)
    await disk.writable.stop()
    assert not await asking
    assert asyncio.all_tasks() - {asking} == before
    await disk.writable.stop()


async def test_a_fault_of_ours_is_no_answer() -> None:
    disk = Disk()
    disk.fault = ValueError("a fault of ours")
    with pytest.raises(ValueError, match="of ours"):
        await disk.writable()
    assert not disk.writable.last


async def test_what_was_found_out_last_is_kept_while_somebody_looks_anew() -> None:
    disk = Disk()
    disk.fault = LedgerBusy("database or disk is full")
    kept = [disk.writable.last]
    assert not await disk.writable()
    disk.fault = None
    disk.now += EVERY_S
    look = disk.writable.ask()
    kept.append(disk.writable.last)
    assert await look
    kept.append(disk.writable.last)
    assert kept == [True, False, True], "nothing is known against it; what was known; what was found out"
    assert disk.writable.ask() is look
