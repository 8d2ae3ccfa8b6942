"""The rest of an order that its panel ended early: bought at the next offer, where the rules say so.

One order outside, several attempts inside. The customer pays what was agreed and no more: a rest goes only where its
share of the charge carries it.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger.life import Try, rest_of
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Due, LedgerBusy, LedgerError, Order
from gateway.money import amount, steps
from gateway.placing import Placing, choices_left, following, resized
from providers.base import FINISHED, Status
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
        """Whether the rest of an order that its panel ended is being made elsewhere from now on."""
        order = await self._ledger.order(one.order)
        if order is None or order.status in FINISHED or order.type in _NEVER or not order.units:
            return False
        account = await self._ledger.account_of(order.id)
        complete, panels = self._wanted(order, account)
        if not complete or await self._ledger.wished(order.id, "cancel") is not None:
            return False
        attempts = await self._ledger.attempts(order.id)
        tried = {attempt.panel for attempt in attempts}
        took = [attempt for attempt in attempts if attempt.id == one.attempt]
        bought = sum(attempt.remote_id is not None for attempt in attempts)
        if not took or took[0].passed_on or bought >= panels:
            return False
        rest = rest_of(Try(id=one.attempt, panel=took[0].panel, units=took[0].units), status)
        fields = resized(order, rest)
        if rest <= 0 or fields is None:
            return False
        charge = amount(steps(order.charge) * rest // order.units)
        choices = choices_left(self._catalog, order, fields, charge, account=account, without=tried, now=self._clock())
        if not choices:
            return False
        try:
            attempt = await self._ledger.pass_on(
                one.attempt, status, following(self._catalog, choices[0], fields), next_ms=next_ms
            )
        except LedgerBusy:
            raise
        except LedgerError as error:
            _log.warning("complete", order=order.id, outcome="not_passed_on", why=str(error))
            return False
        _log.info("complete", order=order.id, was=took[0].panel, rest=rest, now=choices[0].panel)
        self._placing.go_on(order.id, attempt, fields, choices)
        return True

    def _wanted(self, order: Order, account: str) -> tuple[bool, int]:
        """Whether the rules want a rest bought elsewhere, and at how many panels an order may be bought at most."""
        service = self._catalog.sold_to(account, order.service)
        if service is not None:
            return service.complete, service.complete_panels
        return self._catalog.rules.complete, self._catalog.rules.complete_panels
