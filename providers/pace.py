"""How often a panel lets itself be called: a call waits its turn before anything is sent, or is not made."""

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, Protocol

from limits import RateLimitItem, parse

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


class Turns(Protocol):
    """Counts calls in windows: no more than so many in any window of that length."""

    async def take(self, of: str, rate: RateLimitItem, *, is_read: bool = False) -> float:
        """0 = the call may be made, and is counted; else the seconds until it is worth asking again.

        Reads take three quarters of a window at most.
        """
        ...


GRAMMAR: Final = r"^([1-9][0-9]{0,8}) ?/ ?([1-9][0-9]{0,4})? ?(s|sec|m|min|h|d|second|minute|hour|day)s?$"
"""What `rate` reads; rules files and their schema are held against the same."""

_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_AFTER_WRITES_S: Final = 0.05  # how soon a read looks again that let a write go first


@lru_cache(maxsize=1024)
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


def of_reads(calls: int) -> int:
    """How many of so many calls may be reads."""
    return max(calls * 3 // 4, 1)


class Made:
    """When this process made its calls, of one window; a call leaves it `length_s` seconds later."""

    def __init__(self, length_s: float) -> None:
        self.length_s = length_s
        self.calls: deque[float] = deque()
        self.reads: deque[float] = deque()

    def wait_s(self, now: float, calls: int, *, is_read: bool) -> float:
        """Seconds until there is room for one more under `calls` in a window; 0 = there is."""
        for made in (self.calls, self.reads):
            while made and made[0] < now - self.length_s:  # the window's last instant is inside
                made.popleft()
        wait_s = self._leaves(self.calls, calls, now)
        return max(wait_s, self._leaves(self.reads, of_reads(calls), now)) if is_read else wait_s

    def add(self, now: float, *, is_read: bool) -> None:
        """Count a call of this moment, or of the last one there was, if the clock was put back."""
        for made in (self.calls, self.reads) if is_read else (self.calls,):
            made.append(max(now, made[-1]) if made else now)

    def _leaves(self, made: deque[float], limit: int, now: float) -> float:
        """When so many have left that there are fewer than `limit`, which is 1 or more."""
        return 0.0 if len(made) < limit else max(made[len(made) - limit] + self.length_s - now, 1e-6)


class OwnTurns:
    """Turns of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[tuple[str, float], Made] = {}

    async def take(self, of: str, rate: RateLimitItem, *, is_read: bool = False) -> float:
        made = self._made.setdefault((of, rate.get_expiry()), Made(rate.get_expiry()))
        now = self._clock()
        wait_s = made.wait_s(now, rate.amount, is_read=is_read)
        if not wait_s:
            made.add(now, is_read=is_read)
        return wait_s


class Rate:
    """A `Pace`: no more than so many calls in any window of that length, of this process or of whom `turns` counts.

    Reads leave a quarter of each window to the writes, and let those go first that wait: questions about old orders
    keep no new one out.
    """

    def __init__(
        self,
        text: str,
        *,
        turns: Turns | None = None,
        wait_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate(text)
        self._turns = OwnTurns(clock) if turns is None else turns
        self._wait_s = wait_s
        self._clock = clock
        self._sleep = sleep
        self._writes_waiting: Counter[str] = Counter()

    async def admit(self, panel: str, action: str) -> None:
        latest = self._clock() + self._wait_s
        is_read = action in READS
        wait_s = await self._take(panel, is_read=is_read)
        if not wait_s:
            return
        waiting = 0 if is_read else 1
        self._writes_waiting[panel] += waiting
        try:
            while wait_s:
                now = self._clock()
                if now + wait_s > latest:
                    raise Full(f"no turn within {self._wait_s:g} s at {self._rate}", panel=panel, action=action)
                await self._sleep(wait_s + 0.001)  # a window's last instant is inside
                wait_s = await self._take(panel, is_read=is_read)
        finally:
            self._writes_waiting[panel] -= waiting

    async def _take(self, panel: str, *, is_read: bool) -> float:
        if is_read and self._writes_waiting[panel]:
            return _AFTER_WRITES_S
        return await self._turns.take(f"panel:{panel}", self._rate, is_read=is_read)
