"""What customers and operators want of orders, done when it can be: a cancel waits until the order's panel is known."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from gateway.catalog import Catalog
from gateway.ledger import records
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState, Live, Wish
from gateway.panels import Panel
from gateway.reconcile.looking import Looking
from providers.base import BATCH, FINISHED, Requested
from providers.errors import ProviderError

_log = structlog.get_logger()

_PAGE: Final = 100
_FIRST_MS: Final = 15_000  # so long it is the customer's own call that tells the panel


class Wishing:
    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        looking: Looking,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._looking = looking
        self._clock = clock
        self._now_ms = now_ms
        self._after = 0  # the turn goes on after this wish

    async def fulfil(self) -> None:
        """Do what can be done now of what is wished: of the next hundred."""
        cancels: dict[str, list[tuple[Wish, Live]]] = defaultdict(list)
        page = await self._ledger.wishes(after=self._after, limit=_PAGE)
        self._after = page[-1].id if len(page) == _PAGE else 0
        for wish in page:
            order = await self._ledger.order(wish.order)
            if order is None or order.status in FINISHED:
                await self._ledger.wish_done(wish.id)
            elif wish.what == "failover":
                await self._fail_over(wish)
            elif not wish.told and self._now_ms() - wish.at_ms >= _FIRST_MS:
                live = (await self._ledger.live([wish.order])).get(wish.order)
                if live is not None:
                    cancels[live.panel].append((wish, live))
        for name, group in cancels.items():
            panel = self._catalog.panel(name)
            if panel is not None and panel.readable(self._clock()):
                for start in range(0, len(group), BATCH):
                    await self._cancel(panel, group[start : start + BATCH])

    async def _cancel(self, panel: Panel, group: list[tuple[Wish, Live]]) -> None:
        began = self._clock()
        try:
            replies = await panel.provider.cancel([live.remote_id for _, live in group])
        except ProviderError as error:
            panel.noted("cancel", error, self._clock() - began)
            _log.warning("cancel", panel=panel.name, outcome="failed", why=error.what)
            return
        panel.noted("cancel", None, self._clock() - began)
        for wish, live in group:
            reply = replies.get(live.remote_id)
            if isinstance(reply, Requested):
                await self._ledger.cancel_asked(live.order, "{}")
            if isinstance(reply, Requested) or (reply is not None and live.later):  # its later parts are not bought
                await self._ledger.wish_told(wish.id)
            elif reply is not None:
                await self._ledger.wish_done(wish.id)

    async def _fail_over(self, wish: Wish) -> None:
        """An operator looked, and says that the order was not placed: it is bought elsewhere."""
        attempts = await self._ledger.attempts(wish.order)
        unknown = [one for one in attempts if one.state is AttemptState.UNKNOWN]
        if not unknown:
            await self._ledger.wish_done(wish.id)
            return
        panel = self._catalog.panel(unknown[0].panel)
        if panel is None:
            return
        suspects = await self._ledger.suspicions(panel.name)
        one = next((known for known in suspects if known.attempt.id == unknown[0].id), None)
        if one is not None and one.attempt.settle_ms <= self._now_ms() and self._looking.arrived(one.attempt):
            evidence = msgspec.json.encode({"by": wish.by, "reason": wish.reason}).decode()
            if await self._looking.settle(panel, one, records.NotPlaced(evidence=evidence)):
                await self._ledger.wish_done(wish.id)
