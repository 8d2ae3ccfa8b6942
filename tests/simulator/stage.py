"""A gateway and two panels in virtual time, for scenes that are written out: hours pass in milliseconds."""

import asyncio
import gc
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import structlog

from gateway.catalog import Catalog
from gateway.catalog.catalog import _View
from gateway.catalog.services import Listed, Service, written
from gateway.ledger.records import Account, Attempt, AttemptState, Order
from gateway.ledger.sql.ledger import SQLLedger
from gateway.metrics import Metrics
from gateway.orders import Orders
from gateway.panels import Panel, Snapshot
from gateway.placing import Placing, recovered
from gateway.reconcile import Reconcile
from gateway.rules.model import Panel as PanelRules
from gateway.rules.model import Route, Rules
from gateway.rules.model import Service as ServiceRules
from gateway.shared import InProcess
from providers.api_v2.provider import APIv2
from providers.base import Action
from providers.sandbox import Sandbox, Temper, Tempo
from providers.service_types import Default, OrderFields, Subscriptions
from tests.simulator.database import Inline, Memory
from tests.simulator.loop import VirtualLoop
from tests.simulator.network import GOOD, Fate, Network, SimTransport

FIRST_S: Final = 1_700_000_000.0
LOST: Final = Fate(answer="lost")
"""The panel takes the order, and its answer is lost."""

NEVER: Final = Fate(arrives=False, answer="lost")
"""The order never gets there, and nobody can know."""

_ROWS: Final = (
    {"service": 1, "name": "Likes", "type": "Default", "min": 10, "max": 100_000},
    {"service": 2, "name": "Views", "type": "Default", "min": 10, "max": 100_000},
    {"service": 3, "name": "Posts", "type": "Subscriptions", "min": 10, "max": 100_000},
)


class Script(Network):
    """A network on which each `add` meets the next fate of `adds`; all else is well."""

    def __init__(self) -> None:
        super().__init__(random.Random(0), share=0.0)
        self.next: deque[Fate] = deque()

    def fate(self, action: Action) -> Fate:
        return self.next.popleft() if action == "add" and self.next else GOOD


class Stage:
    """Open while a scene is played. Panel "a" is cheaper than "b"; `panel` are rules of both."""

    def __init__(
        self,
        *,
        complete: bool = False,
        decimals: int = 5,
        crowd: int = 0,
        idle_s: float = 5.0,
        most: Sequence[int] = (100_000, 100_000),
        **panel: Any,
    ) -> None:
        self.network = Script()
        self.idle_s = idle_s
        self.now_shift_ms = 0
        rows = [{"category": "C", "refill": True, "cancel": True, **row} for row in _ROWS]
        self.boxes = {
            name: Sandbox(
                name,
                key="panel-key",
                catalogue=[{**row, "rate": str(Decimal(rate) + int(str(row["service"]))), "max": max} for row in rows],
                balance=Decimal(10_000),
                clock=self._now,
                tempo=Tempo(pending=(600, 600), work=(10**7, 10**7)),
                temper=Temper(partial=0, canceled=0),
                crowd=crowd,
                decimals=decimals,
            )
            for name, rate, max in (("a", "0.91", most[0]), ("b", "1.37", most[1]))
        }
        one = PanelRules(url="http://127.0.0.1:1/api/v2", key="panel-key", private=True, **panel)
        services = {
            int(str(row["service"])): ServiceRules(
                routes=tuple(Route(panel=name, service=str(row["service"])) for name in "ab"), rate=Decimal(99)
            )
            for row in rows
        }
        self.rules = Rules(panels={"a": one, "b": one}, services=services, complete=complete)

    def play(self, scene: Callable[["Stage"], Awaitable[None]]) -> None:
        """Open, play, close; the ledger is right at the end, and no order was bought twice."""
        self._loop = VirtualLoop(FIRST_S)
        db = Memory()
        self._database = Inline(db, crashes=lambda: False, is_busy=lambda: False)
        try:
            self._loop.until_stopped(self._played(scene)).result()
        finally:
            self._loop.abandon()
            db.close()
            gc.collect()

    async def _played(self, scene: Callable[["Stage"], Awaitable[None]]) -> None:
        self.network.now = self._loop.time
        self.ledger = SQLLedger(self._database, self._now_ms)
        await self.ledger.open()
        self.account: Account = await self.ledger.create_account("shop", unlimited=True)
        await self._start()
        await scene(self)
        await self._stop()
        self.network.arrive()
        totals, replay = await self.ledger.totals(), await self.ledger.replayed()
        assert totals.wrong == ()
        assert replay.wrong == ()

    async def _start(self) -> None:
        self.panels = {name: await self._panel(name) for name in self.boxes}
        self.catalog = Catalog(
            self.rules, self.panels, self.ledger, InProcess(), clock=self._loop.time, now_ms=self._now_ms
        )
        lists = {name: Listed(panel.rows, Decimal(1)) for name, panel in self.panels.items()}
        services = written(self.rules, lists).services
        self.catalog._view = _View(services, {service.id: service for service in services}, ())
        metrics, clock = Metrics(), self._loop.time
        self.placing = Placing(self.ledger, self.catalog, metrics, clock=clock, uptime=clock)
        self.orders = Orders(
            self.ledger, self.catalog, self.placing, metrics, sync_wait_s=6.0, placing_s=60.0, clock=clock
        )
        self.reconcile = Reconcile(
            self.ledger,
            self.catalog,
            self.placing,
            metrics,
            status_s=60.0,
            anchor_s=120.0,
            idle_s=self.idle_s,
            clock=clock,
            now_ms=self._now_ms,
            uptime=clock,
        )
        await self.orders.recall(await recovered(self.ledger, None))
        await self.reconcile.start()

    async def _stop(self) -> None:
        """As the program does: what is followed goes on until nothing is being bought any more."""
        await self.orders.drain(10.0, asyncio.Event())
        await self.reconcile.stop()

    async def restart(self) -> None:
        """Stop the gateway, and start another one on the same ledger."""
        await self._stop()
        await self._start()

    async def _panel(self, name: str) -> Panel:
        line = SimTransport(name, self.boxes[name], self.network, alive=lambda: True)
        panel = Panel(name, self.rules.panels[name], APIv2(line), clock=self._loop.time, now_ms=self._now_ms)
        rows = (await panel.provider.services()).rows
        panel.took(
            Snapshot(panel=name, source=panel.source, fetched_ms=0, rows=rows),
            {row.remote_service: row for row in rows},
        )
        await panel.read_balance()
        return panel

    def _now(self) -> float:
        return self.network.now()

    def _now_ms(self) -> int:
        """By the wall's clock, which may be put forward."""
        return int(self._loop.time() * 1000) + self.now_shift_ms

    async def minutes(self, minutes: float) -> None:
        await asyncio.sleep(60 * minutes)

    async def add(self, link: str, *fates: Fate, quantity: int = 1000, service: int = 1, **more: Any) -> int:
        """An order, whose adds meet these fates; its id."""
        self.network.next.extend(fates)
        fields: OrderFields = Default(link=link, quantity=quantity)
        return await self.placed(fields, service, **more)

    async def placed(self, fields: OrderFields, service: int, **more: Any) -> int:
        sold: Service | None = self.catalog.service(service)
        assert sold is not None
        return await self.orders.add(self.account, sold, fields, **more)

    async def subscribed(self, link: str) -> int:
        return await self.placed(Subscriptions(username=link, min=10, max=20, posts=5, delay=0), 3)

    async def settled_in(self, orders: int = 3) -> None:
        """A few orders, and time in between: the panel's money is explained, its ids are known."""
        for number in range(orders):
            await self.add(f"before/{number}", quantity=100 + number)
            await self.minutes(5)

    async def order(self, id: int) -> Order:
        order = await self.ledger.order(id)
        assert order is not None
        return order

    async def attempts(self, id: int) -> list[tuple[str, AttemptState]]:
        return [(one.panel, one.state) for one in await self.ledger.attempts(id)]

    async def last(self, id: int) -> Attempt:
        return (await self.ledger.attempts(id))[-1]

    def bought(self, link: str) -> list[str]:
        """At which panels that link was bought."""
        self.network.arrive()
        return [
            name
            for name, box in self.boxes.items()
            for entry in box.journal
            if entry.action == "add" and entry.fields.get("link", entry.fields.get("username")) == link
        ]


def played(scene: Callable[[Stage], Awaitable[None]], stage: Stage) -> list[dict[str, Any]]:
    """Play it; gives what was logged."""
    with structlog.testing.capture_logs() as logs:
        stage.play(scene)
    return [dict(line) for line in logs]
