"""One task a panel, so that a slow panel delays no other's orders; and one for what is wished.

Of several nodes only the one that leads asks panels and acts; the others follow what people say of panels, and how many
outcomes are open there.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerError
from gateway.metrics import Metrics
from gateway.panels import Panel
from gateway.placing import Placing, Stopping
from gateway.reconcile.anchoring import Anchoring
from gateway.reconcile.completing import Completing
from gateway.reconcile.looking import Looking
from gateway.reconcile.reading import Readings
from gateway.reconcile.refilling import Refilling
from gateway.reconcile.tracking import Tracking
from gateway.reconcile.waiting import Waiting
from gateway.reconcile.wishing import Wishing
from providers.base import BATCH

_log = structlog.get_logger()

_FOLD_S: Final = 10.0  # between two times that what was learned is put together
_IDLE_S: Final = 1.0  # between two looks for orders whose time has come


class Reconcile:
    """Follows every panel of the catalogue from `start` to `stop`."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        placing: Placing,
        metrics: Metrics,
        *,
        status_s: float,
        anchor_s: float,
        leads: Callable[[], bool] = lambda: True,
        idle_s: float = _IDLE_S,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._leads = leads
        self._clock = clock
        self._fold_due = 0.0
        self._ledger = ledger
        self._catalog = catalog
        self._idle_s = min(idle_s, status_s)
        completing = Completing(ledger, catalog, placing, clock=clock)
        self._waiting = Waiting(ledger, catalog, placing, metrics, clock=clock, now_ms=now_ms)
        self._tracking = Tracking(ledger, completing, status_s=status_s, clock=clock, now_ms=now_ms)
        readings = Readings(ledger, self._tracking, clock=clock, now_ms=now_ms)
        self._looking = Looking(ledger, catalog, placing, readings, metrics, clock=clock, now_ms=now_ms, uptime=uptime)
        self._anchoring = Anchoring(ledger, readings, every_s=anchor_s, clock=clock)
        self._refilling = Refilling(ledger, clock=clock, now_ms=now_ms)
        self._wishing = Wishing(ledger, catalog, self._looking, clock=clock, now_ms=now_ms)
        self._tasks: list[asyncio.Task[None]] = []
        self._followed: dict[str, Panel] = {}

    async def start(self) -> None:
        """Begin to follow; names the panels that hold open orders of ours and stand in no rules any more."""
        for name, orders in (await self._ledger.open_orders()).items():
            if name not in self._catalog.panels:
                then = "put the panel back into the rules until they have ended"
                _log.error("track", panel=name, open_orders=orders, outcome="not_followed", then=then)
        waiting = await self._ledger.waiting_count()
        if waiting:
            _log.warning("wait", orders=waiting, then="panelmux order list --waiting")
        await self.renew()
        self._tasks.append(asyncio.create_task(self._wish(), name="wishes"))
        self._tasks.append(asyncio.create_task(self._wait(), name="waiting"))

    async def renew(self) -> None:
        """Begin to follow the panels that are new in the catalogue. Who is there no more is let go after its turn."""
        unknown = await self._ledger.unknown_counts()
        self._followed = {name: panel for name, panel in self._followed.items() if self._is_there(panel)}
        for name, panel in self._catalog.panels.items():
            if name in self._followed:
                continue
            panel.unknown = unknown.get(name, 0)
            panel.stop_for = (await self._ledger.learned(name)).stopped
            panel.stop_kept = bool(panel.stop_for)
            if panel.stop_for:
                _log.error("panel", panel=name, outcome="stopped", why=panel.stop_for)
            self._followed[name] = panel
            self._tasks.append(asyncio.create_task(self._follow(panel), name=f"track {name}"))

    def _is_there(self, panel: Panel) -> bool:
        return self._catalog.panels.get(panel.name) is panel

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def track(self, panel: Panel) -> int:
        """One batch of statuses; of how many orders something was learned."""
        return await self._tracking.track(panel)

    async def _follow(self, panel: Panel) -> None:
        while self._is_there(panel):
            if not self._leads():
                await asyncio.sleep(self._idle_s)
                continue
            learned = await self._safely(panel.name, lambda: self._tracking.track(panel))
            if not learned or learned < BATCH:
                await self._safely(panel.name, lambda: self._looking.look(panel))
                await self._safely(panel.name, lambda: self._anchoring.anchor(panel))
                await self._safely(panel.name, lambda: self._refilling.ask(panel))
                await asyncio.sleep(self._idle_s * random.uniform(0.8, 1.2))

    async def _wish(self) -> None:
        while True:
            if self._leads():
                await self._safely("", self._wishing.fulfil)
                if self._clock() >= self._fold_due:
                    self._fold_due = self._clock() + _FOLD_S
                    await self._safely("", self._ledger.fold)
            await self._catalog.deliveries.refresh()
            if self._followed.keys() != self._catalog.panels.keys():  # the ledger was busy when the rules changed
                await self._safely("", self.renew)
            await self._safely("", self._told)
            if not self._leads():
                await self._safely("", self._counted)
            await asyncio.sleep(self._idle_s * random.uniform(0.8, 1.2))

    async def _wait(self) -> None:
        while True:
            if self._leads():
                await self._safely("", self._waiting.release)
            await asyncio.sleep(self._idle_s * random.uniform(0.8, 1.2))

    async def _counted(self) -> None:
        """How many outcomes are open at each panel, as the node that leads has it."""
        unknown = await self._ledger.unknown_counts()
        for name, panel in self._catalog.panels.items():
            panel.unknown = unknown.get(name, 0)

    async def _told(self) -> None:
        """People may have said, from another process, that a panel takes no orders, or takes them again."""
        kept = {name for name, panel in self._catalog.panels.items() if panel.stop_kept}  # before the ledger is asked
        stopped = {learned.panel: learned.stopped for learned in await self._ledger.panels()}
        for panel in list(self._catalog.panels.values()):
            why = stopped.get(panel.name, "")
            if panel.stop_for and not panel.stop_kept:  # the ledger could not take it
                await self._ledger.learn(panel.name, stopped=panel.stop_for)
                panel.stop_kept = True
            elif why and not panel.stop_for:
                panel.stop_for, panel.stop_kept = why, True
                _log.warning("panel", panel=panel.name, outcome="stopped", why=why)
            elif panel.stop_for and not why and panel.name in kept:
                panel.stop_for, panel.stop_kept = "", False
                _log.warning("panel", panel=panel.name, outcome="resumed")

    async def _safely(self, panel: str, work: Callable[[], Awaitable[object]]) -> int:
        """Do it; one answer that nobody foresaw must not end the following of all orders."""
        try:
            done = await work()
        except Stopping:
            return 0
        except LedgerError as error:
            _log.error("track", panel=panel, outcome="ledger", why=str(error))
        except Exception:  # noqa: BLE001 - see above
            _log.exception("track", panel=panel, outcome="broken")
        else:
            return done if isinstance(done, int) else 0
        return 0
