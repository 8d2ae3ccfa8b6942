"""How far behind we are, so that what is too much is refused before everything is late.

Two things are measured several times a second: how late the event loop comes to what is due, and how long an empty
transaction takes until the ledger has written it. Their sum is what a call pays beyond its own work.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.metrics import Metrics

EVERY_S: Final = 0.25

SHEDS: Final = 1
"""New orders are refused."""

SPARES: Final = 2
"""And what is known is answered as it is known."""

_STANDING: Final = 3  # measurements in a row: what one of them does not show was a moment's, and sheds nothing


class Strain:
    """What was measured, and what follows from it. `shed_s`: so far behind, seconds, new orders are refused."""

    def __init__(self, shed_s: float) -> None:
        self._shed_s = shed_s
        self._lags: deque[float] = deque([0.0] * _STANDING, maxlen=_STANDING)
        self._writes: deque[float] = deque([0.0] * _STANDING, maxlen=_STANDING)
        self._writing_since: float | None = None
        self._lag_s = self._write_s = 0.0  # the least of each

    def lagged(self, seconds: float) -> None:
        """So late was the loop."""
        self._lags.append(max(seconds, 0.0))
        self._lag_s = min(self._lags)

    def writes(self, now: float) -> None:
        """The ledger was given something to write."""
        self._writing_since = now

    def wrote(self, now: float) -> None:
        """It has answered."""
        if self._writing_since is not None:
            self._writes.append(now - self._writing_since)
            self._write_s = min(self._writes)
            self._writing_since = None

    def behind_s(self, now: float) -> float:
        """Seconds: the least of the last few measurements of each, added up; a write under way counts at once."""
        pending = 0.0 if self._writing_since is None else now - self._writing_since
        return self._lag_s + max(self._write_s, pending)

    def level(self, now: float) -> int:
        """0 = all is well, `SHEDS`, or, twice as far behind, `SPARES`."""
        behind_s = self.behind_s(now)
        return 0 if behind_s < self._shed_s else SHEDS if behind_s < 2 * self._shed_s else SPARES


class Pulse:
    """Measures until it is stopped. `write` writes nothing, and returns or fails once the ledger has come to it."""

    def __init__(
        self,
        strain: Strain,
        write: Callable[[], Awaitable[object]],
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._strain = strain
        self._write = write
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._loop(), name="pulse"),
            asyncio.create_task(self._ledger(), name="probe"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _loop(self) -> None:
        while True:
            due = self._clock() + EVERY_S
            await self._sleep(EVERY_S)
            now = self._clock()
            self._strain.lagged(now - due)
            self._metrics.behind.set(self._strain.behind_s(now))

    async def _ledger(self) -> None:
        while True:
            self._strain.writes(self._clock())
            with contextlib.suppress(Exception):  # one that says no is not behind: each call is told so for itself
                await self._write()
            self._strain.wrote(self._clock())
            await self._sleep(EVERY_S)
