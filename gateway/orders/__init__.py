"""What a customer may ask of orders: place, status, refill, refill_status, cancel, balance."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from gateway.catalog import Catalog, Service
from gateway.conditions import refuses_link
from gateway.errors import BadForm, Busy, NotSold, RequestIdTaken
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, LedgerError, NewPlacement, Next, Order, RequestTaken, Wait
from gateway.ledger.reports import Recovery
from gateway.metrics import Metrics
from gateway.orders.repeats import MOST, UNHEARD_S, Repeats, Request, request, twin
from gateway.orders.requests import Requests
from gateway.placing import DRY, Placing, Purchase, Round, bounded, charged, following, routed
from gateway.routing import Choice, Decision
from providers.base import RefillStatus
from providers.service_types import OrderFields

_log = structlog.get_logger()

_SHARE_S: Final = 0.05  # for which answers that were heard are gathered
_ANSWERED_MOST: Final = 10_000  # answers that are kept while the ledger cannot be told
_RECALLED_MS: Final = 24 * 3_600_000  # how far back a start remembers what was ordered


class Orders:
    """Ids that are not the account's are absent from every answer, whether they exist or not.

    `others`: other nodes sell from the same ledger, and may have been asked the same. `remembered`: so many requests.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        placing: Placing,
        metrics: Metrics,
        *,
        sync_wait_s: float,
        placing_s: float,
        others: bool = False,
        remembered: int = MOST,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._placing = placing
        self._sync_wait_s = sync_wait_s
        self._placing_s = placing_s
        self._clock = clock
        self._now_ms = now_ms
        self._requests = Requests(ledger, catalog, clock=clock, now_ms=now_ms)
        self._repeats = Repeats(ledger, most=remembered, clock=clock)
        self._metrics = metrics
        self._others = others
        self._sharing: asyncio.Task[None] | None = None
        self._answered: set[int] = set()  # orders whose answers were heard, and the ledger does not know it
        self._turned_away: set[int] = set()  # services that orders are turned away from at present

    async def recall(self, recovery: Recovery) -> None:
        """At a start: know what was ordered of late.

        After a stop in no good order nobody knows which of the last answers were heard.
        """
        now_ms = self._now_ms()
        orders = await self._ledger.recent(now_ms - _RECALLED_MS)
        since_ms = recovery.last_ms - int((self._sync_wait_s + UNHEARD_S) * 1000)
        self._repeats.recall(orders, now_ms=now_ms, unheard_since_ms=None if recovery.clean else since_ms)

    async def add(
        self,
        account: Account,
        service: Service,
        fields: OrderFields,
        *,
        request_id: str | None = None,
        repeats: str = "allow",
    ) -> int:
        """Place an order and give its id; for one that repeats another (`gateway.orders.repeats`), that other's.

        Returns once a panel took it or may have, or after `sync_wait_s`. Errors as `Placing.buy`, and NotSold where no
        offer can take the order: nothing was written then. A process that may not send is Busy: it was paused, or cut
        off, and who asked may have asked another since.
        """
        if self._placing.held() is not None:
            raise Busy
        asked = request(account.id, service.id, fields, name=request_id, repeats=repeats)
        return await self._repeats.once(asked, lambda: self._add(account, service, fields, asked))

    def is_known(
        self, account: Account, service: Service, fields: OrderFields, *, request_id: str | None, repeats: str
    ) -> bool:
        """Whether `add` would give an order that is there or on its way, as far as this process remembers."""
        return self._repeats.knows(request(account.id, service.id, fields, name=request_id, repeats=repeats))

    async def route(self, order: int) -> str:
        """Where an order went, and by which policy and rules, as one line of ASCII; for those who may see it."""
        known, attempts = await self._ledger.order(order), await self._ledger.attempts(order)
        if known is None or not attempts:
            return ""
        last, decision = attempts[-1], msgspec.json.decode(known.decision, type=Decision)
        text = (
            f"{last.panel}/{last.remote_service}; {last.state.value}; policy={decision.policy}; rules={decision.rules}"
        )
        return "".join(c if " " <= c <= "~" else "?" for c in text)

    def heard(self, order: int) -> None:
        """The answer that named this order was written to a customer who was still there."""
        self._repeats.heard(order)
        if self._others:
            self._answered.add(order)
            if self._sharing is None or self._sharing.done():
                self._sharing = asyncio.create_task(self._share_soon(), name="answered")

    async def _share_soon(self) -> None:
        await asyncio.sleep(_SHARE_S)
        await self.share()

    async def share(self) -> None:
        """Tell the other nodes which answers were heard since."""
        answered, self._answered = self._answered, set()
        if not answered:
            return
        try:
            await self._ledger.answered(sorted(answered))
        except LedgerError as error:
            _log.warning("answered", orders=len(answered), outcome="not_written", why=str(error))
            if len(answered) < _ANSWERED_MOST:
                self._answered |= answered

    async def _add(self, account: Account, service: Service, fields: OrderFields, asked: Request) -> int:
        if asked.name is not None:  # before anything that may have changed since it was first heard
            try:
                order = await self._ledger.heard(account.id, asked.name, asked.fingerprint)
            except RequestTaken as taken:
                raise RequestIdTaken from taken
            if order is not None:
                return order
        fields = bounded(fields, self._catalog.rules)
        charge = charged(service, fields)
        decision = routed(self._catalog, service, fields, now=self._clock(), account=account.name)
        can_be_sent = decision.choices and not (decision.panic and not self._tries(decision.choices[0]))
        wait_s = service.wait_s if decision.dry else 0
        first: Next | Wait
        if can_be_sent:
            first = following(self._catalog, decision.choices[0], fields)
            self._turned_away.discard(service.id)
        elif wait_s:
            first = self._placing.wait(wait_s, DRY)
        else:
            self._turn_away(service, decision)
            wrong_link = all(refuses_link(route.when, fields.link) for route in service.routes)
            raise BadForm("Incorrect link") if wrong_link else NotSold()
        own = self._catalog.rules.accounts.get(account.name)
        new = NewPlacement(
            account=account.id,
            service=service.id,
            type=service.type,
            link=fields.link,
            fields=msgspec.json.encode(fields).decode(),
            quantity=fields.size(),
            units=fields.units(),
            charge=charge,
            refill=service.refill,
            cancel=service.cancel,
            decision=msgspec.json.encode(decision).decode(),
            first=first,
            fingerprint=asked.fingerprint,
            request=asked.name,
            one_active=service.one_active,
            twin=twin(asked, self._sync_wait_s) if self._others else None,
            budget_day=None if own is None else own.budget_day,
            budget_month=None if own is None else own.budget_month,
        )
        deadline = self._clock() + self._placing_s
        round = Round(fields, decision.choices, deadline, wait_s=wait_s, dry_wait_s=service.wait_s)
        purchase = Purchase(new, round)
        return await self._placing.buy(purchase, wait_s=self._sync_wait_s)

    def _tries(self, best: Choice) -> bool:
        """Whether an order is let through to a panel that fails: a few are, so that its return is noticed."""
        panel = self._catalog.panel(best.panel)
        return panel is not None and panel.trial(self._clock())

    def _turn_away(self, service: Service, decision: Decision) -> None:
        """Count it, and tell people once when it begins for a service."""
        self._metrics.turned_away.inc()
        if service.id not in self._turned_away:
            self._turned_away.add(service.id)
            why = "; ".join(f"{out.panel}/{out.remote_service}: {out.why}" for out in decision.left_out[:5])
            _log.warning("turned_away", service=service.id, why=why or "every circuit is open")

    async def status(self, account: Account, ids: Sequence[int]) -> Mapping[int, Order]:
        """As last known; `Reconcile` keeps it fresh."""
        return await self._ledger.orders(account.id, ids)

    async def refill(self, account: Account, ids: Sequence[int]) -> Mapping[int, int | str]:
        return await self._requests.refill(account, ids)

    async def refill_status(self, account: Account, ids: Sequence[int]) -> Mapping[int, RefillStatus]:
        return await self._requests.refill_status(account, ids)

    async def cancel(self, account: Account, ids: Sequence[int]) -> Mapping[int, str | None]:
        return await self._requests.cancel(account, ids)

    async def balance(self, account: Account) -> Decimal:
        """What the account may spend; for one without limit, our money at all panels, in our currency."""
        return self._catalog.funds() if account.unlimited else await self._ledger.balance(account.id)

    async def drain(self, timeout_s: float, hurry: asyncio.Event) -> int:
        """Finish what is under way; gives how many orders were cut, and end unknown."""
        late = await self._placing.drain(timeout_s, hurry)
        await self._requests.stop()
        return late

    @property
    def open(self) -> int:
        """How many orders are being bought."""
        return self._placing.open
