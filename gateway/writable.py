"""Whether the ledger takes orders: found out by waiting where orders wait, and by writing to it."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerError

EVERY_S: Final = 1.0
"""There is one such look in this time at most, however many ask: each is a write to disk, and anybody may ask."""

PATIENCE_S: Final = 2.0
"""A ledger that has not written for so long cannot be written."""


class Writable:
    """Asked whenever somebody wants to know.

    Who asks while a look is under way, or soon after, has its answer. A write that hangs is the only one that does.
    `last` is what was found out last: that it can be written, until something is known against it.
    """

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._look: asyncio.Task[bool] | None = None
        self._write: asyncio.Task[bool] | None = None
        self._began = 0.0
        self._write_began = 0.0
        self.last = True

    def ask(self) -> asyncio.Task[bool]:
        """The look that is under way, or was a moment ago; else a new one."""
        now, look = self._clock(), self._look
        if look is None or (look.done() and now - self._began >= EVERY_S):
            self._began = now
            look = self._look = asyncio.create_task(self._looked(), name="writable")
        return look

    async def __call__(self) -> bool:
        look = self.ask()
        try:
            return await asyncio.shield(look)
        except asyncio.CancelledError:
            if look.cancelled():  # we stop: it is not who asked that was cancelled
                return False
            raise

    async def stop(self) -> None:
        """Ask no more of the ledger."""
        tasks = [task for task in (self._look, self._write) if task is not None]
        self._look = self._write = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _looked(self) -> bool:
        if self._write is None or self._write.done():
            self._write_began = self._began
            self._write = asyncio.create_task(self._written(), name="written")
        left_s = self._write_began + PATIENCE_S - self._began
        await asyncio.wait([self._write], timeout=max(left_s, 0))
        self.last = False  # after a fault of ours, too
        self.last = self._write.done() and self._write.result()
        return self.last

    async def _written(self) -> bool:
        try:
            await self._ledger.postpone([], 0)  # empty, and behind the orders that wait
            await self._ledger.touch()
        except LedgerError:
            return False
        return True
