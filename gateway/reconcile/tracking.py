"""Following the orders that a panel took: their statuses, in batches, open ones often and finished ones ever less."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Due, LedgerBusy
from gateway.panels import Panel
from gateway.placing import Stopping
from gateway.reconcile.completing import Completing
from providers.base import BATCH, FINISHED, OrderStatus, Status
from providers.errors import ProviderError

_log = structlog.get_logger()

_SLOWEST_S: Final = 1800.0
_H: Final = 3_600_000
_WATCHED_MS: Final = (_H, 6 * _H, 24 * _H, 72 * _H, 168 * _H, 336 * _H, 720 * _H)
"""How old a finished order is when it is asked about again: panels give money back weeks later."""

_ENDED_EARLY: Final = frozenset({OrderStatus.PARTIAL, OrderStatus.CANCELED})


def interval_s(age_s: float, young_s: float, usual_s: float | None = None) -> float:
    """How long until an open order is asked about again.

    `young_s` for its first ten minutes, then slower with age; where it is known how long such an order usually takes,
    about ten times until then.

    >>> [interval_s(age, 30) for age in (0, 599, 3_600, 86_400, 10**7)]
    [30, 30, 180.0, 1800.0, 1800.0]
    >>> [interval_s(60, 30, usual_s=usual) for usual in (30, 3_600, 10**6)]
    [30, 360.0, 1800.0]
    """
    slowest = max(young_s, _SLOWEST_S)
    if usual_s is not None and age_s < usual_s:
        return min(max(young_s, usual_s / 10), slowest)
    return young_s if age_s < 600 else min(max(young_s, age_s / 20), slowest)


def watch_ms(ended_ms: int, now_ms: int) -> int | None:
    """When a finished order is asked about again; None = never more.

    >>> watch_ms(0, 0), watch_ms(0, 3_600_000), watch_ms(0, 720 * 3_600_000)
    (3600000, 21600000, None)
    """
    return next((ended_ms + age for age in _WATCHED_MS if ended_ms + age > now_ms), None)


class Tracking:
    def __init__(
        self,
        ledger: Ledger,
        completing: Completing,
        *,
        status_s: float,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._completing = completing
        self._status_s = status_s
        self._clock = clock
        self._now_ms = now_ms

    async def track(self, panel: Panel) -> int:
        """Ask the panel about the orders whose time has come, one batch; gives of how many something was learned.

        A panel whose circuit is open, or that asked to be left alone, is not asked; its orders wait as they are.
        """
        if not panel.readable(self._clock()):
            return 0
        due = await self._ledger.due(panel.name, limit=BATCH)
        if not due:
            return 0
        try:
            silent = await self.ask(panel, due)
        except ProviderError as error:
            _log.warning("track", panel=panel.name, orders=len(due), outcome="failed", why=error.what)
            await self._postpone(due)
            return 0
        if silent:
            # "Incorrect order ID", an unknown word, nothing at all: no information, so nothing changes.
            example = silent[0].order
            _log.warning("track", panel=panel.name, outcome="no_information", orders=len(silent), example=example)
            await self._postpone(silent)
        return len(due) - len(silent)

    async def ask(self, panel: Panel, due: Sequence[Due]) -> Sequence[Due]:
        """Take in what the panel says of these orders, at most `BATCH`; gives those it said nothing of."""
        began = self._clock()
        try:
            told = await panel.provider.status([one.remote_id for one in due])
        except ProviderError as error:
            panel.noted("status", error, self._clock() - began)
            raise
        panel.noted("status", None, self._clock() - began)
        for one in due:
            if isinstance(answer := told.get(one.remote_id), Status) and one.ended_ms is None:
                panel.charged(one.remote_service, one.attempt, one.remote_cost, answer.charge)
        clear = [
            (one, status) for one in due if isinstance(status := told.get(one.remote_id), Status) and status.status
        ]
        taken = await asyncio.gather(*(self._take_in(one, status) for one, status in clear), return_exceptions=True)
        for outcome in taken:
            if isinstance(outcome, BaseException):
                raise outcome
        learned = {one.attempt for (one, _), well in zip(clear, taken, strict=True) if well}
        return [one for one in due if one.attempt not in learned]

    async def _take_in(self, one: Due, status: Status) -> bool:
        """One order's answer; whether it could be taken. One that breaks something holds up its own order alone."""
        next_ms = self._next_ms(one, status)
        try:
            early = one.ended_ms is None and status.status in _ENDED_EARLY
            made = one.later > 0 and status.status in FINISHED
            if not ((early or made) and await self._completing.passed_on(one, status, next_ms)):
                await self._ledger.observe(one.attempt, status, next_ms=next_ms)
        except (LedgerBusy, Stopping):
            raise
        except Exception as broken:  # noqa: BLE001 - told, and asked about again later
            _log.error("track", order=one.order, outcome="not_taken", word=status.word[:50], why=repr(broken)[:300])
            return False
        return True

    def _next_ms(self, one: Due, status: Status) -> int | None:
        now = self._now_ms()
        if one.later and status.status in FINISHED:  # its next part is not being made yet
            return now + int(interval_s((now - (one.ended_ms or now)) / 1000, self._status_s) * 1000)
        if one.ended_ms is not None:
            return watch_ms(one.ended_ms, now)
        if status.status in FINISHED:
            return watch_ms(now, now)
        return now + int(interval_s((now - one.created_ms) / 1000, self._status_s, one.usual_s) * 1000)

    async def _postpone(self, silent: Sequence[Due]) -> None:
        """Ask later than usual about those nothing was learned of."""
        now = self._now_ms()
        by_time: dict[int, list[int]] = defaultdict(list)
        never = []
        for one in silent:
            if one.ended_ms is None:
                wait_s = 2 * interval_s((now - one.created_ms) / 1000, self._status_s)
                by_time[now + int(wait_s * 1000)].append(one.attempt)
            elif (next_ms := watch_ms(one.ended_ms, now)) is not None:
                by_time[next_ms].append(one.attempt)
            else:
                never.append(one.attempt)
        for next_ms, attempts in by_time.items():
            await self._ledger.postpone(attempts, next_ms)
        if never:
            await self._ledger.postpone(never, None)
