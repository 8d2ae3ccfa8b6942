"""Refills that panels took: how they stand, asked about also when no customer asks."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from gateway.ledger.protocol import Ledger
from gateway.panels import Panel
from providers.base import BATCH, RefillStatus
from providers.errors import ProviderError

_log = structlog.get_logger()

_EVERY_MS: Final = 15 * 60_000


class Refilling:
    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._now_ms = now_ms

    async def ask(self, panel: Panel) -> None:
        """Ask about the refills there that were not asked about for a while, one batch."""
        if not panel.readable(self._clock()):
            return
        now = self._now_ms()
        stale = {
            one.remote_id: one
            for one in await self._ledger.stale_refills(panel.name, limit=BATCH)
            if one.remote_id is not None and now - one.checked_ms >= _EVERY_MS
        }
        if not stale:
            return
        began = self._clock()
        try:
            told = await panel.provider.refill_status(list(stale))
        except ProviderError as error:
            panel.noted("refill_status", error, self._clock() - began)
            _log.warning("refill_status", panel=panel.name, outcome="failed", why=error.what)
            return
        panel.noted("refill_status", None, self._clock() - began)
        for remote_id, one in stale.items():
            reply = told.get(remote_id)
            status = reply if isinstance(reply, RefillStatus) else one.status
            await self._ledger.settle_refill(one.id, remote_id=remote_id, status=status)
