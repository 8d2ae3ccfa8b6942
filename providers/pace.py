"""How often a panel lets itself be called: a call waits its turn before anything is sent, or is not made."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from providers.base import READS
from providers.errors import Full


class Pace(Protocol):
    """Lets calls to one panel pass at the panel's own rate."""

    async def admit(self, panel: str, action: str) -> None:
        """Return when `action` may be sent to `panel`.

        Raises:
            Full: its turn would come too late.
        """
        ...


GRAMMAR: Final = r"^([1-9][0-9]{0,8}) ?/ ?([1-9][0-9]{0,4})? ?(s|sec|m|min|h|d|second|minute|hour|day)s?$"
"""What `rate` reads; rules files and their schema are held against the same."""

_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


def rate(text: str) -> RateLimitItem:
    """Read "60/min", "2/s", "100/5min", "10/hour".

    Raises:
        ValueError: it is not a rate.

    >>> rate("60/min"), rate("100/5min")
    (60 per 1 minute, 100 per 5 minute)
    """
    found = re.fullmatch(GRAMMAR, text.strip())
    if found is None:
        raise ValueError(f'"{text}" is not a rate such as 60/min')
    calls, times, unit = found.groups()
    return parse(f"{calls} per {times or 1} {_UNITS[unit[0]]}")


class Rate:
    """A `Pace` kept in this process: no more than so many calls in any window of that length.

    Reads leave a quarter of each window to the writes, and let those go first that wait: questions about old orders
    keep no new one out.

    `clock` is wall time, as the `limits` library reads it: one that jumps back costs waiting, never a call too many.
    """

    def __init__(
        self,
        text: str,
        *,
        wait_s: float = 5.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate(text)
        self._of_reads = _share_of_reads(self._rate)
        self._wait_s = wait_s
        self._clock = clock
        self._sleep = sleep
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._writes_waiting: Counter[str] = Counter()

    async def admit(self, panel: str, action: str) -> None:
        latest = self._clock() + self._wait_s
        is_read = action in READS
        if await self._took_turn(panel, is_read=is_read):
            return
        waiting = 0 if is_read else 1
        self._writes_waiting[panel] += waiting
        try:
            while True:
                now = self._clock()
                turn = max(await self._freed(panel, is_read=is_read), now) + 0.001  # a window's last instant is inside
                if turn > latest:
                    raise Full(f"no turn within {self._wait_s:g} s at {self._rate}", panel=panel, action=action)
                await self._sleep(turn - now)
                if await self._took_turn(panel, is_read=is_read):
                    return
        finally:
            self._writes_waiting[panel] -= waiting

    async def _took_turn(self, panel: str, *, is_read: bool) -> bool:
        if not is_read:
            return await self._limiter.hit(self._rate, panel)
        if self._writes_waiting[panel] or not await self._limiter.test(self._of_reads, panel, "reads"):
            return False
        if not await self._limiter.hit(self._rate, panel):
            return False
        await self._limiter.hit(self._of_reads, panel, "reads")
        return True

    async def _freed(self, panel: str, *, is_read: bool) -> float:
        """When the window that is full has room again; 0 where none is."""
        windows = [await self._limiter.get_window_stats(self._rate, panel)]
        if is_read:
            windows.append(await self._limiter.get_window_stats(self._of_reads, panel, "reads"))
        return max((window.reset_time for window in windows if window.remaining <= 0), default=0.0)


def _share_of_reads(whole: RateLimitItem) -> RateLimitItem:
    return type(whole)(max(whole.amount * 3 // 4, 1), whole.multiples)
