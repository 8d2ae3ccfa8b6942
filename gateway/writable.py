"""Whether the ledger can be written: found out by writing to it, for an empty transaction sees no full disk."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerError

EVERY_S: Final = 1.0
"""There is one such write in this time at most, however many ask: each is a write to disk, and anybody may ask."""

PATIENCE_S: Final = 2.0
"""A ledger that has not written for so long cannot be written."""


class Writable:
    """Asked whenever somebody wants to know.

    Who asks while a write is under way, or soon after, has its answer. One that hangs is the only one that does.
    """

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._last: asyncio.Task[bool] | None = None
        self._began = 0.0

    async def __call__(self) -> bool:
        now, last = self._clock(), self._last
        if last is None or (last.done() and now - self._began >= EVERY_S):
            self._began = now
            last = self._last = asyncio.create_task(self._written(), name="writable")
        left_s = self._began + PATIENCE_S - now
        await asyncio.wait([last], timeout=max(left_s, 0))
        return last.done() and not last.cancelled() and last.result()

    async def stop(self) -> None:
        """Ask no more of the ledger."""
        if self._last is not None:
            self._last.cancel()
            await asyncio.gather(self._last, return_exceptions=True)
            self._last = None

    async def _written(self) -> bool:
        try:
            await self._ledger.touch()
        except LedgerError:
            return False
        return True
