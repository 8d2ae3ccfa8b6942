"""How often a panel lets itself be called: a call waits its turn before anything is sent, or is not made."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from providers.errors import Unsent


class Pace(Protocol):
    """Lets calls to one panel pass at the panel's own rate."""

    async def admit(self, panel: str, action: str) -> None:
        """Return when `action` may be sent to `panel`.

        Raises:
            Unsent: its turn would come too late.
        """
        ...


_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


def rate(text: str) -> RateLimitItem:
    """Read "60/min", "2/s", "100/5min", "10/hour".

    Raises:
        ValueError: it is not a rate.

    >>> rate("60/min"), rate("100/5min")
    (60 per 1 minute, 100 per 5 minute)
    """
    found = re.fullmatch(
        r"([1-9]\d{0,8}) ?/ ?([1-9]\d{0,4})? ?(s|sec|m|min|h|d|second|minute|hour|day)s?", text.strip()
    )
    if found is None:
        raise ValueError(f'"{text}" is not a rate such as 60/min')
    calls, times, unit = found.groups()
    return parse(f"{calls} per {times or 1} {_UNITS[unit[0]]}")


class Rate:
    """A `Pace` kept in this process: no more than so many calls in any window of that length.

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
        self._wait_s = wait_s
        self._clock = clock
        self._sleep = sleep
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def admit(self, panel: str, action: str) -> None:
        latest = self._clock() + self._wait_s
        while not await self._limiter.hit(self._rate, panel):
            window = await self._limiter.get_window_stats(self._rate, panel)
            now = self._clock()
            turn = max(window.reset_time, now) + 0.001  # the window's last instant still counts as inside
            if turn > latest:
                raise Unsent(f"no turn within {self._wait_s:g} s at {self._rate}", panel=panel, action=action)
            await self._sleep(turn - now)
