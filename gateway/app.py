"""Builds the program: the only file that knows all others."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Final, Self

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import api_v2, ledger, panels, shared
from gateway.accounts import Accounts, pepper
from gateway.admission import Admission
from gateway.catalog import Catalog
from gateway.door import Pulse, door
from gateway.door.callers import parsed
from gateway.ledger.lock import Lock
from gateway.ledger.records import LedgerError
from gateway.ledger.spill import Spill
from gateway.metrics import Metrics
from gateway.nodes import USUAL, Alone, Nodes, Rhythm
from gateway.orders import Orders
from gateway.placing import Placing, recovered, unspilled
from gateway.reconcile import Reconcile
from gateway.rules.model import Rules
from gateway.settings import Settings, is_postgres, networks, node_name, spill_path
from gateway.writable import Writable

_log = structlog.get_logger()

_COUNTED: Final = 10_000  # unknown attempts that are counted; nobody has more
_STRAYS_S: Final = 30.0
_READ_S: Final = 1.0  # how long a reader of /metrics waits for the ledger
_NOTE_S: Final = 1.0  # how old what the other workers tell of one may be


class Refused(Exception):
    """Rules that are valid, and that a running gateway cannot go on with; the text says why."""


def _unfit(before: Rules, after: Rules, open_orders: Mapping[str, int]) -> str:
    """Why a gateway that goes by `before` cannot go on by `after`; empty = it can."""
    if after.currency != before.currency:
        return f"currency: the ledger's amounts are {before.currency}"
    for name, orders in open_orders.items():
        was, now = before.panels.get(name), after.panels.get(name)
        if was is None:
            continue
        if now is None:
            way = f"panelmux panel drain {name}, until they have ended"
            return f"panels.{name}: {orders} of our orders are open there; {way}"
        if (was.url, was.dialect, was.currency) != (now.url, now.dialect, now.currency):
            return f"panels.{name}: {orders} of our orders are open there; give what is another site another name"
    return ""


def _underway(gone: Sequence[panels.Panel]) -> str:
    return next((f"panels.{panel.name}: an order of ours is on its way there" for panel in gone if panel.is_busy), "")


class Gateway:
    """The whole program, open between `async with` and its end. `app` is what a web server runs."""

    def __init__(
        self, settings: Settings, rules: Rules, *, rhythm: Rhythm = USUAL, metrics: Metrics | None = None
    ) -> None:
        self.settings = settings
        self.rules = rules
        self.ledger = ledger.ledger(settings.ledger)
        self.shared = shared.shared(settings.redis, prefix=settings.redis_prefix)
        self.turns = shared.SharedTurns(self.shared)
        self.panels = panels.panels(rules, turns=self.turns)
        self.catalog = Catalog(
            rules,
            self.panels,
            self.ledger,
            self.shared,
            catalogue_s=settings.catalogue_s,
            balance_s=settings.balance_s,
        )
        self.accounts = Accounts(self.ledger, pepper(settings))
        self.admission = Admission(rules.accounts, self.turns)
        self.metrics = metrics or Metrics()
        self.door = door(settings, self.metrics)
        self._pulse = Pulse(self.door.strain, lambda: self.ledger.postpone([], 0), self.metrics)
        self._writable = Writable(self.ledger)
        self._spill = Spill(spill_path(settings))
        self._lock = None if is_postgres(settings.ledger) else Lock(settings.ledger)
        self.nodes = self._node(rhythm)
        self._strays_due = 0.0
        self._apart = False  # nothing to sell, and the node that leads goes by other rules
        self._trade()
        self._gone: list[panels.Panel] = []
        self.draining = False
        self.hurry = asyncio.Event()  # set by who does not want to wait for orders that are being bought
        machines = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        self.app = api_v2.Front(
            api_v2.edge(
                self.accounts,
                self.admission,
                self.catalog,
                self.orders,
                self.door,
                currency=rules.currency,
                remembered=settings.remembered,
            ),
            Starlette(routes=[Route(path, endpoint) for path, endpoint in machines.items()]),
        )
        self._opened = contextlib.AsyncExitStack()

    def _trade(self) -> None:
        """What buys, and what follows what was bought."""
        settings = self.settings
        self.catalog.leads = self.nodes.leads
        self.turns.nodes = lambda: self.nodes.living
        self.placing = Placing(
            self.ledger,
            self.catalog,
            self.metrics,
            spill=self._spill,
            send_s=settings.send_s,
            may_send=self.nodes.may_send,
            epoch=lambda: self.nodes.epoch,
        )
        self.orders = Orders(
            self.ledger,
            self.catalog,
            self.placing,
            self.metrics,
            sync_wait_s=settings.sync_wait_s,
            placing_s=settings.placing_s,
            others=self._lock is None,
            remembered=settings.remembered,
        )
        self.reconcile = Reconcile(
            self.ledger,
            self.catalog,
            self.placing,
            self.metrics,
            status_s=settings.status_s,
            anchor_s=settings.anchor_s,
            leads=self.nodes.leads,
        )

    def _node(self, rhythm: Rhythm) -> Nodes | Alone:
        if self._lock is not None:
            return Alone(self.ledger, self._lock)
        return Nodes(
            self.ledger,
            node_name(self.settings),
            beaten=self._beaten,
            rules=lambda: self.rules.version,
            missed=self.metrics.busy.inc,
            rhythm=rhythm,
        )

    async def __aenter__(self) -> Self:
        """Open everything in order; what fails on the way closes what was opened before it."""
        async with contextlib.AsyncExitStack() as opened:
            if self._lock is not None:
                self._lock.take()
                opened.callback(self._lock.give_back)
            opened.push_async_callback(self.ledger.close)
            await self.ledger.open()
            opened.push_async_callback(self._writable.stop)
            await self.ledger.bind_currency(self.rules.currency)
            await self.accounts.bind()
            await asyncio.to_thread(self._spill.open)
            opened.callback(self._spill.close)
            await self._join(opened)
            await self.shared.open()
            opened.push_async_callback(self.shared.close)
            opened.push_async_callback(self.turns.stop)
            self.turns.start()
            opened.push_async_callback(self._close_panels)
            opened.push_async_callback(self.catalog.stop)
            await self.catalog.start()
            opened.push_async_callback(self.reconcile.stop)
            await self.reconcile.start()
            opened.push_async_callback(self._pulse.stop)
            self._pulse.start()
            if self.metrics.is_of_several:
                self._in_background(self._keep_noting(), "noting", opened)
            opened.push_async_callback(self._drain)
            self._opened = opened.pop_all()
        return self

    async def _join(self, opened: contextlib.AsyncExitStack) -> None:
        """Sell from now on: alone, or beside other nodes."""
        if isinstance(self.nodes, Alone):
            recovery = await recovered(self.ledger, self._spill, node_name(self.settings))
            await self.orders.recall(recovery)
            return
        await unspilled(self.ledger, self._spill)
        await self.ledger.make_room()
        await self.nodes.join()
        self._in_background(self.nodes.follow(), "beats", opened)

    def _in_background(
        self, work: Coroutine[object, object, None], name: str, opened: contextlib.AsyncExitStack
    ) -> None:
        """Until what was opened is closed."""
        task = asyncio.create_task(work, name=name)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        opened.push_async_callback(stop)

    async def _beaten(self) -> None:
        """What a node does beside beating, now and then."""
        self._tell_apart()
        await self.orders.share()
        now = time.monotonic()
        if now < self._strays_due:
            return
        self._strays_due = now + _STRAYS_S
        strays = await self.ledger.strays(self.placing.attempts, older_ms=int(_STRAYS_S * 1000))
        if strays:
            then = "written, and never heard of; none is sent; panelmux order list --unknown"
            _log.error("strays", unknown=strays, then=then)
        if self.nodes.leads():
            await self.ledger.make_room()

    def _tell_apart(self) -> None:
        """Say once why this node has nothing to sell, though it looked: it takes lists that others fetch."""
        theirs = self.nodes.leaders_rules if self.catalog.ready and self._sells_nothing() else ""
        if theirs and not self._apart:
            why = "rules differ from those of the node that leads"
            _log.warning("node", epoch=self.nodes.epoch, why=why, rules=self.rules.version, theirs=theirs)
        self._apart = bool(theirs)

    def _sells_nothing(self) -> bool:
        return bool(self.rules.panels) and not self.catalog.services()

    async def renew(self, rules: Rules) -> None:
        """Go on with other rules, whole or not at all: what is being bought goes on, what is sold changes at once.

        Raises:
            Refused: they cannot be followed without a restart, or would lose sight of open orders; nothing was changed.
        """
        made = await asyncio.to_thread(panels.panels, rules, turns=self.turns)
        gone = [panel for name, panel in self.panels.items() if name not in made]
        for panel in gone:
            panel.leaves = True  # no further order goes there while we look
        open_orders = await self.ledger.open_orders()
        why = _unfit(self.rules, rules, open_orders) or _underway(gone)
        if why:
            for panel in gone:
                panel.leaves = False
            raise Refused(why)
        self.panels = panels.renewed(self.panels, made)
        self.rules = rules
        self.admission.accounts = rules.accounts
        await self.catalog.renew(rules, self.panels)
        await self.reconcile.renew()
        self._gone += gone  # closed at the end: what was sent there may still be answered

    async def _close_panels(self) -> None:
        for panel in (*self.panels.values(), *self._gone):
            await panel.close()

    async def __aexit__(self, *_exc: object) -> None:
        """First what is being bought, last the ledger."""
        await self._opened.aclose()

    async def _drain(self) -> None:
        self.draining = True
        late = await self.orders.drain(self.settings.drain_s, self.hurry)
        if late:
            _log.warning("stop", unknown=late, then="panelmux order list --unknown")
            return
        with contextlib.suppress(LedgerError):
            await self.orders.share()
            await self.nodes.leave()

    async def _healthz(self, _request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def _readyz(self, _request: Request) -> Response:
        lacks_catalogue = not self.catalog.ready or self._sells_nothing()
        facts = (
            ("stopping", self.draining),
            ("lease", self.nodes.may_send() is not None),
            ("catalogue", lacks_catalogue),
            ("rules", lacks_catalogue and bool(self.nodes.leaders_rules)),
            ("ledger", not await self._writable()),
        )
        waiting = [name for name, wrong in facts if wrong]
        body = msgspec.json.encode({"ready": not waiting, "waiting_for": waiting})
        return Response(body, status_code=503 if waiting else 200, media_type="application/json")

    async def _metrics(self, request: Request) -> Response:
        """Names panels, so it is for the machines that the settings name, and not for what a balancer passes on."""
        peer = None if request.client is None else parsed(request.client.host)
        near = peer is not None and any(peer in network for network in networks(self.settings.metrics_from))
        if not near or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
            return Response(status_code=404)
        with contextlib.suppress(LedgerError, TimeoutError):
            async with asyncio.timeout(_READ_S):
                unknown = await self.ledger.unknown_attempts(limit=_COUNTED)
            oldest_ms = min((one.created_ms for one in unknown), default=ledger.now_ms())
            self.metrics.unknown(
                len(unknown),
                oldest_s=max(ledger.now_ms() - oldest_ms, 0) / 1000,
                cost=sum((one.cost for one in unknown), Decimal(0)),
            )
        await asyncio.wait([self._writable.ask()])
        self._note()
        return Response(self.metrics.text(), headers={"content-type": "text/plain; version=0.0.4"})

    async def _keep_noting(self) -> None:
        """Whichever worker is asked tells of all: each keeps noted what a lone one notes when it is asked."""
        while True:
            try:
                self._writable.ask()
                self._note()
            except Exception:  # noqa: BLE001 - what is told stands still for a while, and orders go on
                _log.exception("metrics", outcome="broken")
            await asyncio.sleep(_NOTE_S)

    def _note(self) -> None:
        """What this process knows of itself and of the panels, for the metrics."""
        self.door.count()
        self.metrics.writable.set(self._writable.last)
        self.metrics.leads.set(self.nodes.leads())
        self.metrics.tasks.set(len(asyncio.all_tasks()))
        self.metrics.nodes.set(self.nodes.living)
        self.metrics.nodes_other_rules.set(self.nodes.other_rules)
        self.metrics.shared(
            is_set=self.settings.redis is not None,
            is_there=bool(self.shared.epoch),
            all_nodes=self.turns.together,
            this_node=self.turns.alone,
        )
        now = time.monotonic()
        for panel in self.panels.values():
            self.metrics.panel(
                panel.name,
                funds=panel.funds,
                score=panel.score(now),
                latency_s=panel.adds.latency_s,
                is_open=not panel.closed(now),
                is_stopped=bool(panel.stopped),
            )
