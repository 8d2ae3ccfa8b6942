"""An id that a panel gave is not lost, however long the ledger takes: meanwhile it is kept in a file beside it."""

import asyncio
from collections.abc import Awaitable
from typing import Final

import structlog

from gateway.ledger.records import Accepted, Outcome
from gateway.ledger.spill import Spill

_log = structlog.get_logger()

_SPILL_S: Final = 0.5  # an id that the ledger has not taken by then is written beside it


class Kept:
    """An id on its way into the ledger: written beside it when that takes long, and taken away there afterwards."""

    def __init__(self, spill: Spill | None, attempt: int, outcome: Outcome) -> None:
        self._file = spill
        self._attempt = attempt
        self._outcome = outcome
        self._slot: int | None = None

    async def within(self, writing: Awaitable[int | None]) -> int | None:
        """What the ledger answers, however late; after `_SPILL_S` the id is safe without it."""
        if self._file is None or not isinstance(self._outcome, Accepted) or self._slot is not None:
            return await writing
        task = asyncio.ensure_future(writing)
        done, _ = await asyncio.wait({task}, timeout=_SPILL_S)
        if not done:
            await self.spill()
        return await task

    async def spill(self) -> None:
        if self._file is None or not isinstance(self._outcome, Accepted) or self._slot is not None:
            return
        try:
            self._slot = await asyncio.to_thread(self._file.put, self._attempt, self._outcome)
        except Exception as error:  # noqa: BLE001 - the ledger is tried again all the same
            _log.error("spill", attempt=self._attempt, remote_id=self._outcome.remote_id, why=repr(error))

    async def let_go(self) -> None:
        if self._file is not None and self._slot is not None:
            await asyncio.to_thread(self._file.free, self._slot)
            self._slot = None
