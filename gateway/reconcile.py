"""Make open orders agree with the panels: their statuses, in batches, for as long as they are open."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Due, LedgerError
from gateway.panels import Panel
from providers.base import BATCH, Status
from providers.errors import ProviderError

_log = structlog.get_logger()

_IDLE_S: Final = 1.0  # between two looks for orders whose time has come


def interval_s(age_s: float, young_s: float) -> float:
    """How long until an open order is asked about again: `young_s` for its first ten minutes, then slower with age.

    >>> [interval_s(age, 30) for age in (0, 599, 3_600, 86_400, 10**7)]
    [30, 30, 180.0, 1800, 1800]
    """
    if age_s < 600:
        return young_s
    return min(max(young_s, age_s / 20), max(young_s, 1800))


class Reconcile:
    """One task a panel, so that a slow panel delays no other's orders."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        *,
        status_s: float,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._status_s = status_s
        self._now_ms = now_ms
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._follow(panel), name=f"track {panel.name}")
            for panel in self._catalog.panels.values()
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _follow(self, panel: Panel) -> None:
        while True:
            asked = 0
            try:
                asked = await self.track(panel)
            except LedgerError as error:
                _log.error("track", panel=panel.name, outcome="ledger", why=str(error))
            except Exception:  # noqa: BLE001 - see the next line
                # One answer that nobody foresaw must not end the following of all orders.
                _log.exception("track", panel=panel.name, outcome="broken")
            if asked < BATCH:
                await asyncio.sleep(min(_IDLE_S, self._status_s) * random.uniform(0.8, 1.2))

    async def track(self, panel: Panel) -> int:
        """Ask the panel about the orders whose time has come, one batch; gives how many were asked about."""
        due = await self._ledger.due(panel.name, limit=BATCH)
        if not due:
            return 0
        began = time.monotonic()
        try:
            told = await panel.provider.status([one.remote_id for one in due])
        except ProviderError as error:
            panel.noted(error, time.monotonic() - began)
            _log.warning("track", panel=panel.name, orders=len(due), outcome="failed", why=error.what)
            await self._postpone(due)
            return len(due)
        panel.noted(None, time.monotonic() - began)
        silent = []
        for one in due:
            status = told.get(one.remote_id)
            if isinstance(status, Status) and status.status is not None:
                await self._take_in(one, status)
            else:
                # "Incorrect order ID", an unknown word, nothing at all: no information, so nothing changes.
                _log.warning("track", panel=panel.name, order=one.order, outcome="no_information")
                silent.append(one)
        await self._postpone(silent)
        return len(due)

    async def _take_in(self, one: Due, status: Status) -> None:
        now = self._now_ms()
        wait_s = interval_s((now - one.created_ms) / 1000, self._status_s)
        order = await self._ledger.observe(one.order, status, next_ms=now + int(wait_s * 1000))
        _log.debug("status", order=one.order, status=order.status.value)

    async def _postpone(self, silent: Sequence[Due]) -> None:
        now = self._now_ms()
        for one in silent:
            wait_s = 2 * interval_s((now - one.created_ms) / 1000, self._status_s)
            await self._ledger.postpone([one.order], now + int(wait_s * 1000))
