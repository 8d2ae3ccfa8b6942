"""Orders that wait until somebody can take them: bought when one can, oldest first, or given up.

They come one at a time, so that a panel that was topped up is not met by all of them at once; and a panel that says no
after all, whatever its balance says, is left alone for a while, and then asked for another one first.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger import records
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState, LedgerBusy, LedgerError, Order
from gateway.metrics import Metrics
from gateway.placing import DRY, Placing, following, left, resized
from providers.base import FINISHED
from providers.errors import Reason

_log = structlog.get_logger()

_PAGE: Final = 100
_PAUSE_S: Final = (1.0, 60.0)  # before a panel that said no all the same gets another one; doubling
_WORDS: Final = 300  # characters of a reason
_EACH_S: Final = 5.0  # so long the next one waits for the one before it


class Waiting:
    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        placing: Placing,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._placing = placing
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self._pauses: dict[str, tuple[float, float]] = {}  # by panel: until when by the clock, and how long that was
        self._turns: dict[int, int] = {}  # by order: how often it came back to wait
        self._after = 0  # the turn goes on after this order
        self._funds: dict[str, Decimal] = {}

    async def release(self) -> int:
        """One turn: of those that wait, the next hundred; gives how many were sent."""
        self._metrics.waiting.set(await self._ledger.waiting_count())
        if self._is_richer():
            self._after = 0  # the oldest first
        page = await self._ledger.waiting(after=self._after, limit=_PAGE)
        self._after = page[-1].order if len(page) == _PAGE else 0
        self._turns = {one.order: self._turns.get(one.order, 0) for one in page}
        sent = 0
        for one in sorted(page, key=lambda one: (self._turns[one.order], one.order)):
            order = await self._ledger.order(one.order)
            if order is None or one.until_ms is None:  # out of a backup: people have to look
                continue
            if await self._ledger.wished(order.id, "cancel") is not None:
                await self._given_up(order, "a cancel was asked for")
            elif one.until_ms <= self._now_ms():
                await self._given_up(order, f"nobody could take it in time: {one.why}")
            elif await self._sent(order, one):
                sent += 1
        return sent

    def _is_richer(self) -> bool:
        """Whether there is more money at a panel than at the last turn."""
        before = self._funds
        self._funds = {name: one.funds for name, one in self._catalog.panels.items() if one.funds is not None}
        return any(funds > before.get(name, Decimal(0)) for name, funds in self._funds.items())

    async def _given_up(self, order: Order, why: str) -> None:
        try:
            await self._ledger.give_up(order.id, why)
        except LedgerBusy:
            raise
        except LedgerError as error:
            _log.warning("wait", order=order.id, outcome="not_written", why=str(error))
        else:
            _log.warning("wait", order=order.id, outcome="given_up", why=why)

    async def _sent(self, order: Order, one: records.Waiting) -> bool:
        """Whether it was sent to a panel."""
        fields = resized(order, one.units)
        if fields is None or order.status in FINISHED:
            return False
        account = await self._ledger.account_of(order.id)
        now = left(
            self._catalog,
            order,
            fields,
            account=account,
            attempts=await self._ledger.attempts(order.id),
            without=self._resting(),
            now=self._clock(),
        )
        if not now.choices:
            why = DRY if now.wait_s else "; ".join(f"{route}: {why}" for route, why in now.left_out.items())[:_WORDS]
            if why and why != one.why:
                await self._ledger.still_waits(order.id, why)
            return False
        first = following(self._catalog, now.choices[0], fields, now.left_out)
        told = {"order": order.id, "panel": first.panel, "waited_ms": self._now_ms() - one.since_ms}
        begun = 0

        async def send() -> int:
            nonlocal begun
            begun = await self._ledger.send(order.id, first)
            _log.info("wait", outcome="sent", **told)
            return begun

        try:
            await self._placing.go_on(order.id, send, fields, now, timeout_s=_EACH_S, until_ms=one.until_ms)
        except LedgerBusy:
            raise
        except LedgerError as error:
            _log.warning("wait", order=order.id, outcome="not_sent", why=str(error))
            return False
        await self._look_back(order.id, begun)
        return True

    def _resting(self) -> frozenset[str]:
        """The panels that are left alone at this moment."""
        return frozenset(panel for panel, (until, _) in self._pauses.items() if self._clock() < until)

    async def _look_back(self, order: int, begun: int) -> None:
        """Which panels took it, or said no for want of our money, since attempt `begun`."""
        for attempt in await self._ledger.attempts(order):
            if attempt.id < begun:
                continue
            if attempt.state is AttemptState.ACCEPTED:
                self._pauses.pop(attempt.panel, None)
            elif attempt.reason == Reason.FUNDS.value:
                _, before = self._pauses.get(attempt.panel, (0.0, 0.0))
                pause_s = min(2 * before, _PAUSE_S[1]) or _PAUSE_S[0]
                self._pauses[attempt.panel] = self._clock() + pause_s, pause_s
        if await self._ledger.waiting_of([order]):
            self._turns[order] = self._turns.get(order, 0) + 1
