"""A node's store in a test, and what is waited for there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.redis_url import redis_url
from gateway.shared import Redis

Logs = list[MutableMapping[str, Any]]


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    url: str, *, wait_s: float = 5.0, look_s: float = 0.02, there: bool = True, **other: Any
) -> AsyncIterator[Redis]:
    """A node's store. The wait is long where a test is not about waiting, so that a busy machine fails no test."""
    store = Redis(redis_url(url), wait_s=wait_s, look_s=look_s, **other)
    await store.open()
    try:
        if there:
            await until(lambda: bool(store.epoch))
        yield store
    finally:
        await store.close()


async def until(true: Callable[[], bool]) -> None:
    """What is waited for is in another process or task; the suite's time-out ends a wait that never does."""
    while not true():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.005)


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Time to live is counted by the server's own clock; the suite's time-out ends a wait that never does."""
    while not await true():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.005)
