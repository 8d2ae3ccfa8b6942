"""What is left of an order when a panel is done with it: the next part, or the rest of one that ended early.

One order outside, several attempts inside. The customer pays what was agreed and no more: what is left goes only where
its share of the charge carries it. A next part that nobody can take now waits, where the rules let it; a rest is bought
where they say so, now or never.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.catalog import Catalog, Service
from gateway.ledger.life import Try, rest_of
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Attempt, Due, LedgerBusy, LedgerError, Order
from gateway.placing import DRY, Left, Placing, following, left, resized
from providers.base import FINISHED, OrderStatus, Status
from providers.service_types import Subscriptions

_log = structlog.get_logger()

_NEVER: Final = frozenset({Subscriptions.type})


class Completing:
    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        placing: Placing,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._placing = placing
        self._clock = clock

    async def passed_on(self, one: Due, status: Status, next_ms: int | None) -> bool:
        """Whether what is left of an order that its panel is done with is being made from now on.

        Raises:
            LedgerBusy, Stopping: nothing was written; it is asked about again.
        """
        order = await self._ledger.order(one.order)
        if order is None or order.status in FINISHED or order.type in _NEVER or not order.units:
            return False
        attempts = await self._ledger.attempts(order.id)
        took = next((attempt for attempt in attempts if attempt.id == one.attempt), None)
        if took is None or took.passed_on:
            return False
        rest = rest_of(Try(id=took.id, panel=took.panel, units=took.units, later=took.later), status)
        fields = resized(order, rest)
        if rest <= 0 or fields is None:
            return False
        account = await self._ledger.account_of(order.id)
        service = self._catalog.sold_to(account, order.service)
        made = took.id if status.status is OrderStatus.COMPLETED else None
        if await self._ledger.wished(order.id, "cancel") is not None:
            if made is not None:
                await self._ledger.give_up(order.id, "a cancel was asked for", attempt=took.id, status=status)
            return False
        if made is None and (service is None or not _completes(service, attempts)):
            return False
        now = left(self._catalog, order, fields, account=account, attempts=attempts, made=made, now=self._clock())
        if not now.choices:
            return made is not None and await self._waits(order, took, status, now, service, next_ms)
        first = following(self._catalog, now.choices[0], fields, now.left_out)

        async def pass_on() -> int | None:
            attempt = await self._ledger.pass_on(took.id, status, first, next_ms=next_ms)
            _log.info("complete", order=order.id, was=took.panel, rest=rest, now=first.panel, part=first.part)
            return attempt

        try:
            await self._placing.go_on(order.id, pass_on, fields, now)
        except LedgerBusy:
            raise
        except LedgerError as error:
            _log.warning("complete", order=order.id, outcome="not_passed_on", why=str(error))
            return False
        return True

    async def _waits(  # noqa: PLR0917 - what is known of the part that is made
        self, order: Order, took: Attempt, status: Status, now: Left, service: Service | None, next_ms: int | None
    ) -> bool:
        """Nobody can take the next part now: the order waits, where the rules let it; else what is left goes back."""
        wait_s = self._catalog.rules.wait_s if service is None else service.wait_s
        why = DRY if now.wait_s else "nobody can take the next part"
        try:
            if wait_s:
                await self._ledger.pass_on(took.id, status, self._placing.wait(wait_s, why), next_ms=next_ms)
                _log.info("wait", order=order.id, was=took.panel, why=why)
                return True
            await self._ledger.give_up(order.id, why, attempt=took.id, status=status)
            _log.warning("complete", order=order.id, was=took.panel, outcome="given_up", why=why)
        except LedgerBusy:
            raise
        except LedgerError as error:
            _log.warning("complete", order=order.id, outcome="not_written", why=str(error))
        return False


def _completes(service: Service, attempts: Sequence[Attempt]) -> bool:
    """Whether the rules have a rest bought elsewhere, and at one panel more."""
    panels = {attempt.panel for attempt in attempts if attempt.remote_id is not None}
    return service.complete and len(panels) < service.complete_panels
