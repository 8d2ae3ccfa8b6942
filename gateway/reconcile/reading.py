"""Our money at a panel, read at a moment when nothing of ours moves there.

A reading is the balance beside all that our orders took by then: as long as everything is explained, the two add up to
the same. The balance is asked for twice, with the statuses of all orders that may move money in between; had one
moved, or an order of ours been on its way, the two would differ or the moves of the panel would, and the reading is
thrown away. Where that happens, orders are held back for a moment (`panels.QUIET_S`), and a reading that an order
cannot wait for is thrown away as well.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

import msgspec

from gateway.evidence import funds
from gateway.ledger.learned import Reading
from gateway.ledger.protocol import Ledger
from gateway.panels import Panel
from gateway.reconcile.tracking import Tracking
from providers.base import BATCH
from providers.errors import ProviderError
from providers.service_types import Subscriptions

MOST_CALLS: Final = 20
"""Calls for statuses that one reading may take."""

_APART_S: Final = 2.0  # between the two balances: a panel that keeps its answer for a moment would agree with itself
_SHOWN: Final = 8  # decimals that a balance may have


class Spoiled(Exception):
    """No reading: the text says why."""


class Readings:
    def __init__(
        self,
        ledger: Ledger,
        tracking: Tracking,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._tracking = tracking
        self._clock = clock
        self._now_ms = now_ms
        self._sleep = sleep
        self._units: dict[str, Decimal] = {}

    async def take(self, panel: Panel, *, hold: bool) -> Reading:
        """A reading, not yet judged, or Spoiled. `hold`: orders are held back for it, for a moment."""
        async with panel.quiet() if hold else contextlib.nullcontext():
            moves, orders = panel.moves, await self._still(panel)
            began = self._clock()
            first = await self._balance(panel)
            await self._statuses(panel)
            await self._sleep(max(_APART_S - (self._clock() - began), 0))
            at_ms = self._now_ms()
            second = await self._balance(panel)
            if await self._still(panel) != orders:
                raise Spoiled("an order was bought there while the balance was read")
            learned = await self._ledger.learned(panel.name)
            if first != second:
                raise Spoiled(f"the balance moved while it was read: {first}, then {second}")
            if panel.moves != moves:
                raise Spoiled("an order was sent there while the balance was read")
        return Reading(
            panel=panel.name,
            at_ms=at_ms,
            balance=second,
            taken=learned.taken,
            unit=self._unit(panel.name, second),
            agreed=False,
            orders=learned.orders,
        )

    async def _still(self, panel: Panel) -> int:
        """How many orders we had there so far; Spoiled while another node has one on its way."""
        if await self._ledger.sending_elsewhere(panel.name):
            raise Spoiled("another node is buying there")
        return (await self._ledger.learned(panel.name)).orders

    async def _balance(self, panel: Panel) -> Decimal:
        began = self._clock()
        try:
            told = await panel.provider.balance()
        except ProviderError as error:
            panel.noted("balance", error, self._clock() - began)
            raise Spoiled(f"its balance cannot be read: {error.what}") from error
        panel.noted("balance", None, self._clock() - began)
        return told.amount

    async def _statuses(self, panel: Panel) -> None:
        """Ask about every order that may move money there; those that are open must all be answered."""
        orders = await self._ledger.followed(panel.name, limit=MOST_CALLS * BATCH + 1)
        if len(orders) > MOST_CALLS * BATCH:
            raise Spoiled(f"more than {MOST_CALLS * BATCH} orders there may still move money")
        if any(one.type == Subscriptions.type and one.ended_ms is None for one in orders):
            raise Spoiled("a subscription is paid for there as it goes")
        for start in range(0, len(orders), BATCH):
            try:
                silent = await self._tracking.ask(panel, orders[start : start + BATCH])
            except ProviderError as error:
                raise Spoiled(f"its orders cannot be read: {error.what}") from error
            unread = [one for one in silent if one.ended_ms is None]
            if unread:
                raise Spoiled(f"it says nothing of {len(unread)} open orders, {unread[0].order} for one")

    def _unit(self, panel: str, balance: Decimal) -> Decimal:
        """The finest step that its balance has shown."""
        unit = min(self._units.get(panel, Decimal(1)), funds.unit_of([balance]))
        self._units[panel] = unit
        return unit


def agreed(reading: Reading, why: str = "") -> Reading:
    return msgspec.structs.replace(reading, agreed=True, why=why)
