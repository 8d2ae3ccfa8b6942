"""Whether our money at a panel is as our orders explain it: read again and again while nothing there is in doubt.

Each reading that agrees is what the next doubt is measured from. Money that went without explanation, seen twice, stops
a panel that was explained so far, until people have looked; money that came (a top-up) only starts the count anew.
"""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec
import structlog

from gateway.evidence import funds
from gateway.ledger.learned import Learned, Reading
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Suspicion
from gateway.panels import Panel
from gateway.reconcile.reading import Readings, Spoiled, agreed
from gateway.rules.model import Tells

_log = structlog.get_logger()

_PROVEN = 3
_PATIENCE = 3  # spoiled readings, before orders are held back for one
_SOON_S = 60.0  # until a reading that did not agree is taken again


class Anchoring:
    def __init__(
        self,
        ledger: Ledger,
        readings: Readings,
        *,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._readings = readings
        self._every_s = every_s
        self._clock = clock
        self._due: dict[str, float] = {}
        self._orders: dict[str, int] = {}
        self._doubt: dict[str, Decimal] = {}
        self._spoiled: dict[str, int] = {}  # by panel: how many readings in a row

    async def anchor(self, panel: Panel) -> None:
        """Read our money there, if it is time, and if there is nothing in doubt that could explain a difference."""
        now = self._clock()
        if (
            panel.rules.evidence_balance is Tells.NEVER
            or now < self._due.get(panel.name, 0.0)
            or not panel.readable(now)
        ):
            return
        before = await self._ledger.anchor(panel.name)
        learned = await self._ledger.learned(panel.name)
        if before is not None and panel.name not in self._doubt and learned.taken == before.taken:
            self._due[panel.name] = now + self._every_s  # no order moved since
            return
        try:
            reading = await self._readings.take(panel, hold=self._spoiled.get(panel.name, 0) >= _PATIENCE)
        except Spoiled as spoiled:
            self._spoiled[panel.name] = self._spoiled.get(panel.name, 0) + 1
            self._due[panel.name] = now + _SOON_S
            _log.debug("reading", panel=panel.name, outcome="spoiled", why=str(spoiled))
            return
        self._spoiled.pop(panel.name, None)
        learned = await self._ledger.learned(panel.name)
        there = await self._ledger.suspicions(panel.name)
        if any(one.attempt.settled_ms is None for one in there):
            await self._beside(before, reading, learned, there)
            self._due[panel.name] = self._clock() + self._every_s
        else:
            reading, learned = await self._come_back(before, reading, learned, there)
            await self._judge(panel, before, reading, learned)

    async def _come_back(
        self, before: Reading | None, reading: Reading, learned: Learned, there: Sequence[Suspicion]
    ) -> tuple[Reading, Learned]:
        """Money that came back for orders bought under an id that is not known, where nothing else explains it."""
        if before is None or not there:
            return reading, learned
        gone, unit = funds.gone(before, reading), min(before.unit, reading.unit)
        weighed = funds.weigh(gone, there, unit=unit, strict=False)
        if not weighed.gone:
            return reading, learned
        for attempt in weighed.gone:
            await self._ledger.gave_back(attempt, weighed.why)
        back = sum((one.attempt.taken or Decimal(0) for one in there if one.attempt.id in weighed.gone), Decimal(0))
        return msgspec.structs.replace(reading, taken=reading.taken - back), learned

    async def _beside(
        self, before: Reading | None, reading: Reading, learned: Learned, there: Sequence[Suspicion]
    ) -> None:
        """While outcomes are open, a reading is agreed only if nothing is gone, and nothing but that explains it."""
        if before is None:
            return
        weighed = funds.weigh(funds.gone(before, reading), there, unit=min(before.unit, reading.unit), strict=False)
        if weighed.gone == ():
            await self._ledger.keep_reading(agreed(reading))
            if reading.orders > before.orders:
                await self._ledger.learn(reading.panel, proven=learned.proven + 1)

    async def _judge(self, panel: Panel, before: Reading | None, reading: Reading, learned: Learned) -> None:
        gone = Decimal(0) if before is None else funds.gone(before, reading)
        unit = reading.unit if before is None else min(before.unit, reading.unit)
        orders = 0 if before is None else reading.orders - before.orders
        if abs(gone) <= funds.tolerance(unit, orders):
            self._doubt.pop(panel.name, None)
            self._due[panel.name] = self._clock() + self._every_s
            await self._ledger.keep_reading(agreed(reading))
            if orders and not learned.stopped:
                await self._ledger.learn(panel.name, proven=learned.proven + 1)
            return
        if self._doubt.get(panel.name) != gone:
            self._doubt[panel.name] = gone
            self._due[panel.name] = self._clock() + _SOON_S
            return
        self._doubt.pop(panel.name)
        self._due[panel.name] = self._clock() + self._every_s
        fell = gone > 0
        why = f"{abs(gone)} {'went' if fell else 'came'} that no order of ours explains"
        await self._ledger.keep_reading(agreed(reading, why))
        if fell and learned.proven >= _PROVEN:
            panel.stop_for, panel.stop_kept = why, False
            await self._ledger.learn(panel.name, proven=0, stopped=why)
            panel.stop_kept = True
            then = f"look at the panel's own list of our orders; panelmux panel resume {panel.name}"
            _log.error("reading", panel=panel.name, outcome="stopped", why=why, then=then)
            return
        await self._ledger.learn(panel.name, proven=0)
        _log.warning("reading", panel=panel.name, outcome="unexplained", why=why)
