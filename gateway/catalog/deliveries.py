"""What routes have really delivered, at hand for every decision: read from the ledger a little after it changes."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Protocol

import msgspec
import structlog

from gateway.catalog.aside import Aside
from gateway.routing import delivered
from gateway.routing.delivered import Delivered

_log = structlog.get_logger()

_AT_ONCE: Final = 100  # routes worked out between two turns of the loop: some two milliseconds
_ANEW_S: Final = 3_600.0  # all is worked out again, since orders count less as they age


class Ledger(Protocol):
    """What of the ledger is needed here."""

    async def delivered(self, since_ms: int = 0) -> Sequence[Delivered]: ...


class Known(msgspec.Struct, frozen=True, gc=False):
    """What a decision needs of a route. See `gateway.routing.Offer`."""

    truth: Decimal = Decimal(1)
    kept: float = 1.0
    seconds: int | None = None


_NEW: Final = Known()


class Deliveries:
    """By route; one of which nothing is known is thought to be like its panel."""

    def __init__(self, ledger: Ledger, aside: Aside, *, clock: Callable[[], float], now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._aside = aside
        self._clock = clock
        self._now_ms = now_ms
        self._read: dict[tuple[str, str], Delivered] = {}
        self._known: Mapping[str, Mapping[str, Known]] = {}
        self._panels: Mapping[str, Known] = {}
        self._since_ms = 0
        self._anew = 0.0

    def of(self, panel: str, remote_service: str) -> Known:
        known = self._known.get(panel)
        if known is None:
            return _NEW
        return known.get(remote_service) or self._panels[panel]

    async def refresh(self) -> None:
        """Read what is new, and never raise: without it, decisions go by what was known before."""
        try:
            rows = await self._ledger.delivered(self._since_ms)
        except Exception as error:  # noqa: BLE001 - the next refresh reads it
            _log.warning("delivered", outcome="not_read", why=f"{type(error).__name__}: {error}")
            return
        fresh = [row for row in rows if self._read.get((row.panel, row.remote_service)) != row]
        for row in fresh:
            self._read[row.panel, row.remote_service] = row
            self._since_ms = max(self._since_ms, row.at_ms)
        if fresh or self._clock() - self._anew >= _ANEW_S:
            rows, now_ms = tuple(self._read.values()), self._now_ms()
            many = len(rows) > _AT_ONCE
            worked_out = await self._aside(_worked_out, rows, now_ms) if many else _worked_out(rows, now_ms)
            self._known, self._panels = worked_out
            self._anew = self._clock()


def _worked_out(
    rows: Sequence[Delivered], now_ms: int
) -> tuple[Mapping[str, Mapping[str, Known]], Mapping[str, Known]]:
    by_panel: dict[str, list[Delivered]] = defaultdict(list)
    for row in rows:
        by_panel[row.panel].append(row)
    known, panels = {}, {}
    for panel, routes in by_panel.items():
        whole = delivered.together(routes, panel, now_ms)
        known[panel] = {
            row.remote_service: Known(
                truth=delivered.truth(row, whole, now_ms),
                kept=delivered.kept(row, now_ms),
                seconds=round(row.seconds) if row.seconds else None,
            )
            for row in routes
        }
        nothing = Delivered(panel=panel, remote_service="", at_ms=now_ms)
        panels[panel] = Known(truth=delivered.truth(nothing, whole, now_ms))
    return known, panels
