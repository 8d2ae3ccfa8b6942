"""What a panel that takes half a minute to answer costs the orders that go elsewhere.

Two gateways side by side get the same orders: a few for a panel of their own, and a stream for another one, which
answers at once for the one gateway and after `SLOW_S` for the other. How long the few take is compared, in turn.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp

from tests.benchmarks.processes import started, stopped

SLOW_S: Final = 30.0
GOAL: Final = 1.10
ROUNDS: Final = 9
MEASURED: Final = 300  # orders in each round of each side
EVERY_S: Final = 0.01  # between two of them
BESIDE_S: Final = 0.05  # between two orders for the other panel
SETTLE_S: Final = 12.0  # until the orders that wait for the slow panel are as many as ever


def rows() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two, stopped() as processes:
        quick, (panel,) = started("tests.benchmarks.stub")
        slow, (slow_panel,) = started("tests.benchmarks.stub", str(SLOW_S))
        well, (well_url, well_key, _) = started("tests.benchmarks.seller", one, "", panel, panel)
        ill, (ill_url, ill_key, _) = started("tests.benchmarks.seller", two, "", panel, slow_panel)
        processes += [quick, slow, well, ill]
        yield from asyncio.run(_compared((well_url, well_key), (ill_url, ill_key)))


async def _compared(well: tuple[str, str], ill: tuple[str, str]) -> list[str]:
    ratios: dict[int, list[float]] = {50: [], 99: []}
    times: dict[int, list[float]] = {50: [], 99: []}
    async with _beside(*well), _beside(*ill):
        await asyncio.sleep(SETTLE_S)
        for number in range(ROUNDS):
            first, second = (well, ill) if number % 2 else (ill, well)
            took = {first: await _few(*first), second: await _few(*second)}
            for percent, found in ratios.items():
                of_well, of_ill = (took[side][len(took[side]) * percent // 100] for side in (well, ill))
                found.append(of_ill / of_well)
                times[percent].append(of_ill)
    return [
        f"a panel at {SLOW_S:.0f} s beside it: p{percent} {statistics.median(times[percent]) * 1000:.1f} ms, "
        f"{statistics.median(found):.2f} x  {f'(goal {GOAL:.2f} x)' if percent == 99 else ''}"
        for percent, found in ratios.items()
    ]


async def _few(url: str, key: str) -> list[float]:
    """What orders for a panel that is well take, seconds, sorted."""
    took: list[float] = []
    async with aiohttp.ClientSession() as session:

        async def order() -> None:
            began = time.perf_counter()
            async with session.post(url, data=_form(key, 1)) as response:
                answer = await response.json()
            if "order" not in answer:
                raise RuntimeError(f"not a good answer: {answer}")
            took.append(time.perf_counter() - began)

        tasks = []
        for _ in range(MEASURED):
            tasks.append(asyncio.create_task(order()))
            await asyncio.sleep(EVERY_S)
        await asyncio.gather(*tasks)
    return sorted(took)


@contextlib.asynccontextmanager
async def _beside(url: str, key: str) -> AsyncIterator[None]:
    """Orders for the other panel, at a steady pace, however they end."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def order() -> None:
            async with session.post(url, data=_form(key, 2)) as response:
                await response.read()

        async def stream() -> None:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    tasks.create_task(order())
                    await asyncio.sleep(BESIDE_S)

        task = asyncio.create_task(stream())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _form(key: str, service: int) -> dict[str, str]:
    link = f"https://x.example/{time.perf_counter_ns()}"
    return {"key": key, "action": "add", "service": str(service), "link": link, "quantity": "10"}
