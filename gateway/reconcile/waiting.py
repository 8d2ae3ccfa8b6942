"""Orders that wait until somebody can take them: bought when one can, oldest first, or given up.

They come one at a time, so that a panel that was topped up is not met by all of them at once; and a panel that takes
none after all, whatever its balance says, is not asked again at once.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger import records
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy, LedgerError, Order
from gateway.metrics import Metrics
from gateway.placing import Placing, avoided, following, left, resized
from providers.base import FINISHED

_log = structlog.get_logger()

_PAGE: Final = 100
_PAUSE_S: Final = (1.0, 60.0)  # before anything is sent again after a panel said no all the same; doubling
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
        self._pause_s = _PAUSE_S[0]
        self._again = 0.0  # nothing is sent before this moment of the clock
        self._after = 0  # the turn goes on after this order

    async def release(self) -> int:
        """One turn: of those that wait, the next hundred; gives how many were sent."""
        self._metrics.waiting.set(await self._ledger.waiting_count())
        page = await self._ledger.waiting(after=self._after, limit=_PAGE)
        self._after = page[-1].order if len(page) == _PAGE else 0
        sent = 0
        for one in page:
            order = await self._ledger.order(one.order)
            if order is None or one.until_ms is None:  # out of a backup: people have to look
                continue
            if await self._ledger.wished(order.id, "cancel") is not None:
                await self._given_up(order, "a cancel was asked for")
            elif one.until_ms <= self._now_ms():
                await self._given_up(order, f"nobody could take it in time: {one.why}")
            elif self._clock() >= self._again and await self._sent(order, one):
                sent += 1
        return sent

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
        """Whether it was sent to a panel. One that comes back to wait holds the others up for a while."""
        fields = resized(order, one.units)
        if fields is None or order.status in FINISHED:
            return False
        account = await self._ledger.account_of(order.id)
        without = avoided(await self._ledger.attempts(order.id))
        now = left(self._catalog, order, fields, account=account, without=without, now=self._clock())
        if not now.choices:
            return False
        first = following(self._catalog, now.choices[0], fields)
        told = {"order": order.id, "panel": first.panel, "waited_ms": self._now_ms() - one.since_ms}

        async def send() -> int:
            attempt = await self._ledger.send(order.id, first)
            _log.info("wait", outcome="sent", **told)
            return attempt

        await self._placing.go_on(order.id, send, fields, now, timeout_s=_EACH_S)
        if await self._ledger.waiting_of([order.id]):
            self._again = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _PAUSE_S[1])
        else:
            self._pause_s = _PAUSE_S[0]
        return True
