"""Make open orders agree with the panels: their statuses, in batches, for as long as they are open."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Due, LedgerBusy, LedgerError
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
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._status_s = status_s
        self._clock = clock
        self._now_ms = now_ms
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow; names the panels that hold open orders of ours and stand in no rules any more."""
        for panel, orders in (await self._ledger.open_orders()).items():
            if panel not in self._catalog.panels:
                then = "put the panel back into the rules until they have ended"
                _log.error("track", panel=panel, open_orders=orders, outcome="not_followed", then=then)
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
            learned = 0
            try:
                learned = await self.track(panel)
            except LedgerError as error:
                _log.error("track", panel=panel.name, outcome="ledger", why=str(error))
            except Exception:  # noqa: BLE001 - see the next line
                # One answer that nobody foresaw must not end the following of all orders.
                _log.exception("track", panel=panel.name, outcome="broken")
            if learned < BATCH:
                await asyncio.sleep(min(_IDLE_S, self._status_s) * random.uniform(0.8, 1.2))

    async def track(self, panel: Panel) -> int:
        """Ask the panel about the orders whose time has come, one batch; gives of how many something was learned.

        A panel whose circuit is open, or that asked to be left alone, is not asked; its orders wait as they are.
        """
        if not panel.readable(self._clock()):
            return 0
        due = await self._ledger.due(panel.name, limit=BATCH)
        if not due:
            return 0
        began = self._clock()
        try:
            told = await panel.provider.status([one.remote_id for one in due])
        except ProviderError as error:
            panel.noted("status", error, self._clock() - began)
            _log.warning("track", panel=panel.name, orders=len(due), outcome="failed", why=error.what)
            await self._postpone(due)
            return 0
        panel.noted("status", None, self._clock() - began)
        clear = [
            (one, status) for one in due if isinstance(status := told.get(one.remote_id), Status) and status.status
        ]
        taken = await asyncio.gather(*(self._take_in(one, status) for one, status in clear))
        learned = {one.order for (one, _), well in zip(clear, taken, strict=True) if well}
        silent = [one for one in due if one.order not in learned]
        if silent:
            # "Incorrect order ID", an unknown word, nothing at all: no information, so nothing changes.
            _log.warning(
                "track", panel=panel.name, outcome="no_information", orders=len(silent), example=silent[0].order
            )
            await self._postpone(silent)
        return len(learned)

    async def _take_in(self, one: Due, status: Status) -> bool:
        """One order's answer; whether it could be taken. One that breaks something holds up its own order alone."""
        wait_s = interval_s((self._now_ms() - one.created_ms) / 1000, self._status_s)
        try:
            await self._ledger.observe(one.order, status, next_ms=self._now_ms() + int(wait_s * 1000))
        except LedgerBusy:
            raise
        except Exception as broken:  # noqa: BLE001 - told, and asked about again later
            _log.error("track", order=one.order, outcome="not_taken", word=status.word[:50], why=repr(broken)[:300])
            return False
        return True

    async def _postpone(self, silent: Sequence[Due]) -> None:
        """Ask later than usual about those nothing was learned of."""
        now = self._now_ms()
        by_time: dict[int, list[int]] = defaultdict(list)
        for one in silent:
            wait_s = 2 * interval_s((now - one.created_ms) / 1000, self._status_s)
            by_time[now + int(wait_s * 1000)].append(one.order)
        for next_ms, orders in by_time.items():
            await self._ledger.postpone(orders, next_ms)
