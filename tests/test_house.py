"""Real processes that sell from one ledger: killed, paused, stopped; nothing is bought twice and nothing forgotten."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from gateway.ledger.records import AttemptState
from providers.sandbox.server import Listener
from tests import databases
from tests.house import PATIENCE_S, busy, house, is_there
from tests.running import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

SLOW = "add:delay_before=0.05@0.5, add:delay_after=0.05@0.5"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[str]:
    url = databases.postgres(tmp_path)
    yield url
    databases.drop(url)


async def test_when_a_node_is_killed_under_load_the_other_goes_on(tmp_path: Path, ledger: str) -> None:
    async with house(tmp_path, ledger, faults="add:delay_after=0.3") as made:
        first, second = await made.serve("a"), await made.serve("b")
        raw = await asyncpg.connect(ledger)
        async with busy(made, [first, second]):

            async def is_sending() -> bool:
                query = "SELECT COUNT(*) FROM attempt WHERE state = 'sending' AND epoch = 1"
                return bool(await raw.fetchval(query) >= 3)

            await until(is_sending, for_s=PATIENCE_S)
            first.send(signal.SIGKILL)  # the panel is in this process: it has answered none of them meanwhile

            async def is_over() -> bool:
                return [lives for _, lives, _ in await made.known()] == [False, True]

            await until(is_over, for_s=PATIENCE_S)
            await made.sold(30)
        await raw.close()
        await made.stop(second)
        states = await made.check()
        assert await made.known() == [("a", False, False), ("b", False, True)]
        assert states[AttemptState.UNKNOWN] > 0, "what it was sending"
        assert states[AttemptState.ACCEPTED] > 50


async def test_a_leader_that_was_paused_for_longer_than_its_lease_finds_another_and_goes_on(
    tmp_path: Path, ledger: str
) -> None:
    async with house(tmp_path, ledger, faults=SLOW) as made:
        first, second = await made.serve("a"), await made.serve("b")
        async with busy(made, [first, second]):
            first.send(signal.SIGSTOP)

            async def is_over() -> bool:
                return [lives for _, lives, _ in await made.known()] == [False, True]

            await until(is_over, for_s=PATIENCE_S)
            await made.sold(30)
            first.send(signal.SIGCONT)

            async def is_back() -> bool:
                return [lives for _, lives, _ in await made.known()] == [False, True, True]

            await until(is_back, for_s=PATIENCE_S)
            await until(lambda: made.is_ready(first), for_s=PATIENCE_S)
            await made.sold(60)
        await made.stop(first, second)
        await made.check()
        assert await made.known() == [("a", False, False), ("b", False, True), ("a", False, True)]


async def test_a_node_that_is_stopped_finishes_what_is_on_its_way(tmp_path: Path, ledger: str) -> None:
    async with house(tmp_path, ledger, faults="add:1-20:delay_after=1") as made:
        first, second = await made.serve("a"), await made.serve("b")
        async with aiohttp.ClientSession() as session:
            asked = [asyncio.create_task(made.asked(session, first, f"https://x.example/{n}")) for n in range(20)]

            async def all_on_their_way() -> bool:
                return len(made.boxes[0].journal) == 20

            await until(all_on_their_way)
            first.send(signal.SIGTERM)
            assert await asyncio.gather(*asked) == [True] * 20
            assert await first.process.wait() == 0
            assert await made.asked(session, second, "https://x.example/after")
        await made.stop(second)
        assert await made.check() == {AttemptState.ACCEPTED: 21}
        assert await made.known() == [("a", False, True), ("b", False, True)]


async def test_workers_are_started_anew_and_end_with_their_parent(tmp_path: Path, ledger: str) -> None:
    async with house(tmp_path, ledger, faults=SLOW) as made:
        parent = await made.serve("a", WORKERS="2")

        async def are_two() -> bool:
            return len(parent.children) == 2 and sum(lives for _, lives, _ in await made.known()) == 2

        await until(are_two, for_s=PATIENCE_S)
        workers = parent.children
        async with busy(made, [parent]):
            os.kill(workers[0], signal.SIGKILL)

            async def is_anew() -> bool:
                lives = [lives for _, lives, _ in await made.known()]
                return len(parent.children) == 2 and len(lives) == 3 and sum(lives) == 2

            await until(is_anew, for_s=PATIENCE_S)
            await made.sold(30)
        workers = parent.children
        parent.send(signal.SIGKILL)

        async def all_ended() -> bool:
            return not any(map(is_there, workers))

        await until(all_ended, for_s=PATIENCE_S)
        await made.check()
        ends = sorted((lives, clean) for _, lives, clean in await made.known())
        assert ends == [(False, False), (False, True), (False, True)]
        assert {name for name, _, _ in await made.known()} == {"a/1", "a/2"}


async def test_workers_that_are_stopped_refuse_new_calls_and_finish_what_is_on_its_way(
    tmp_path: Path, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Callable[[], None]] = []  # what the panel would say, as soon as it is let
    monkeypatch.setattr(Listener, "later", lambda _listener, _after_s, act: answers.append(act))
    async with house(tmp_path, ledger, faults="add:1-8:delay_after=1") as made:
        parent = await made.serve("a", WORKERS="2", SYNC_WAIT_S="60")

        async def are_two() -> bool:
            return sum(lives for _, lives, _ in await made.known()) == 2

        await until(are_two, for_s=PATIENCE_S)
        async with aiohttp.ClientSession() as session:
            asked = [asyncio.create_task(made.asked(session, parent, f"https://x.example/{n}")) for n in range(8)]

            async def all_on_their_way() -> bool:
                return len(answers) == 8

            await until(all_on_their_way)
            parent.send(signal.SIGTERM)

            async def is_refused() -> bool:
                try:
                    async with aiohttp.ClientSession() as another, another.get(f"{parent.url}/healthz"):
                        return False
                except aiohttp.ClientConnectorError:
                    return True
                except aiohttp.ClientError:  # it came to a worker that closed at that moment
                    return False

            await until(is_refused)
            assert not any(one.done() for one in asked), "the drain goes on"
            for answer in answers:
                answer()
            assert await asyncio.gather(*asked) == [True] * 8
        assert await parent.process.wait() == 0
        assert await made.check() == {AttemptState.ACCEPTED: 8}
        assert sorted(await made.known()) == [("a/1", False, True), ("a/2", False, True)]
