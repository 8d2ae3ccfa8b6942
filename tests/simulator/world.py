"""One world: panels and customers that live on, and gateways that die and come back on the same ledger."""

import asyncio
import contextlib
import gc
import random
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import structlog

from gateway.catalog import Catalog
from gateway.catalog.catalog import _View
from gateway.catalog.services import Listed, written
from gateway.errors import GatewayError
from gateway.ledger.records import Account
from gateway.ledger.sql import ids
from gateway.ledger.sql.ledger import SQLLedger
from gateway.metrics import Metrics
from gateway.orders import Orders
from gateway.panels import Panel, Snapshot
from gateway.placing import Placing, recovered
from gateway.reconcile import Reconcile
from gateway.shared import InProcess
from providers.api_v2.provider import APIv2
from providers.errors import ProviderError
from providers.service_types import Default
from tests.simulator.database import Inline, Memory, Store
from tests.simulator.loop import VirtualLoop
from tests.simulator.network import Network, SimTransport
from tests.simulator.oracle import Findings, judged
from tests.simulator.scenario import FIRST_S, SERVICES, Scenario, boxes, rules

_DEAF: Final = 0.1  # of all answers are not heard, and the customer asks again
_PATIENCE_S: Final = 60.0  # so long such a customer goes on asking
QUANTITIES: Final = (500, 1000, None, None, None, None, None, None)  # None = any: one in four is of a round size


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Worlds log nothing, a million orders would; and what a crash cuts off in the middle has nobody to complain to."""
    before, hook = structlog.get_config(), sys.unraisablehook
    structlog.configure(processors=[_drop])
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()  # here, and not in the middle of somebody else's test
    finally:
        structlog.configure(**before)
        sys.unraisablehook = hook


class _Secrets:
    """In place of `secrets`, where ids are drawn: the same seed gives the same ids."""

    def __init__(self, luck: random.Random) -> None:
        self.choice = luck.choice
        self.randbelow = luck.randrange


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


class World:
    """What a seed draws, over a `store` that is its own, and closed at its end; SQLite in memory if none is given."""

    def __init__(self, drawn: Scenario, store: Store | None = None) -> None:
        self.drawn = drawn
        self.luck = random.Random(f"world {drawn.seed}")
        self.network = Network(random.Random(f"network {drawn.seed}"), share=drawn.share)
        self.boxes = boxes(drawn, self._now)
        self.rules = rules(drawn)
        self.db = Memory() if store is None else store
        self.given: dict[str, int] = {}
        self.deaf = random.Random(f"deaf {drawn.seed}")  # who does not hear the answer, and when it asks again
        self.asking: dict[str, tuple[float, tuple[str, int, int]]] = {}  # since when, who waits or will ask again
        self.twice: list[str] = []
        self.now: float = FIRST_S
        self.network.now = lambda: FIRST_S
        setattr(ids, "secrets", _Secrets(random.Random(f"ids {drawn.seed}")))  # noqa: B010 - no name of its own to export
        self.lives = 0
        self.started = False
        self.panels: dict[str, Panel] = {}
        at = FIRST_S + 400
        self.due: list[tuple[float, str, int, int]] = []
        for number in range(drawn.orders):
            at += self.luck.expovariate(1 / drawn.every_s)
            quantity = self.luck.choice(QUANTITIES) or self.luck.randrange(10, 5000)
            self.due.append((at, f"https://x.example/p/{drawn.seed}/{number}", self.luck.choice(SERVICES), quantity))
        self.calm = at
        self.end = at + drawn.rest_s
        for number in range(
            int(drawn.rest_s / 375)
        ):  # a shop goes on selling, if slowly: what comes later tells of what came before
            at += self.luck.uniform(200, 400)
            self.due.append((at, f"https://x.example/late/{drawn.seed}/{number}", 1, self.luck.randrange(10, 5000)))
        self.stirs = sorted(self.luck.uniform(FIRST_S + 400, self.calm) for _ in range(drawn.stirs))
        self.payer = random.Random(f"payer {drawn.seed}")
        ends = self.calm + drawn.rest_s / 2
        self.topups = sorted(self.payer.uniform(FIRST_S + 400, ends) for _ in range(drawn.topups))

    def _now(self) -> float:
        return self.network.now()

    def run(self) -> Findings:
        """Live until the end of time, through every crash, and be judged."""
        while not self._lived():
            self.lives += 1
        loop = VirtualLoop(self.now)
        findings: Findings = loop.until_stopped(self._judged()).result()
        loop.abandon()
        findings.wrong += self.twice
        findings.adds, findings.faults, findings.crashes = self.network.adds, self.network.faults, self.lives
        kind = self.drawn.kind
        findings.reasons = Counter({f"{kind}: {why}": count for why, count in findings.reasons.items()})
        findings.by_evidence[self.drawn.evidence] = [findings.settled, findings.unknown]
        findings.wrong = [f"seed {self.drawn.seed} ({kind}): {wrong}" for wrong in findings.wrong]
        self.db.close()
        return findings

    def _lived(self) -> bool:
        """One life of the gateway; whether it reached the end."""
        loop = VirtualLoop(self.now)
        self.network.now = loop.time
        last = self.drawn.crashes[self.lives] if self.lives < len(self.drawn.crashes) else None
        commits = 0

        def crashes() -> bool:
            nonlocal commits
            commits += 1
            if commits == last:
                loop.stop()
                return True
            return False

        busy = self.luck.random() < 0.2
        self.started = False  # a start that cannot write is no start
        database = Inline(self.db, crashes=crashes, is_busy=lambda: busy and self.started and self.luck.random() < 0.01)
        task = loop.until_stopped(self._life(loop, database))
        self.now = loop.time()
        done = task.done()
        if done:
            task.result()
        database.kill()
        loop.abandon()
        return done

    async def _life(self, loop: VirtualLoop, database: Inline) -> None:
        def now_ms() -> int:
            return int(loop.time() * 1000)

        ledger = SQLLedger(database, now_ms)
        await ledger.open()
        account = await ledger.account("shop") or await ledger.create_account("shop", unlimited=True)
        random.seed(self.luck.random())
        panels = await self._panels(loop, database)
        catalog = self._catalog(panels, ledger, loop)
        metrics = Metrics()
        placing = Placing(ledger, catalog, metrics, clock=loop.time, uptime=loop.time)
        orders = Orders(
            ledger, catalog, placing, metrics, sync_wait_s=6.0, placing_s=60.0, clock=loop.time, now_ms=now_ms
        )
        reconcile = Reconcile(
            ledger,
            catalog,
            placing,
            metrics,
            status_s=300.0,
            anchor_s=600.0,
            idle_s=30.0,
            clock=loop.time,
            now_ms=now_ms,
            uptime=loop.time,
        )
        await orders.recall(await recovered(ledger, None))
        await reconcile.start()
        self.started = True
        customers = asyncio.create_task(self._customers(loop, orders, catalog, account))
        keeper = asyncio.create_task(self._kept(loop, panels))
        await asyncio.sleep(self.end - loop.time())
        await customers
        keeper.cancel()
        await reconcile.stop()
        await orders.drain(10.0, asyncio.Event())
        self.panels = panels

    async def _panels(self, loop: VirtualLoop, database: Inline) -> dict[str, Panel]:
        panels = {}
        for box, (name, rule) in zip(self.boxes, self.rules.panels.items(), strict=True):
            line = SimTransport(name, box, self.network, alive=lambda: not database._dead)
            panel = Panel(name, rule, APIv2(line), clock=loop.time, now_ms=lambda: int(loop.time() * 1000))
            share, self.network.share = self.network.share, 0.0
            rows = (await panel.provider.services()).rows
            self.network.share = share
            snapshot = Snapshot(panel=name, source=panel.source, fetched_ms=0, rows=rows)
            panel.took(snapshot, {row.remote_service: row for row in rows})
            panels[name] = panel
        return panels

    async def _kept(self, loop: VirtualLoop, panels: dict[str, Panel]) -> None:
        """As `Balances` does: a panel that failed, or said that our money is short, is looked at until it is well."""
        while True:
            for panel in panels.values():
                if panel.is_dry or panel.probe_due(loop.time()):
                    with contextlib.suppress(ProviderError):
                        await panel.read_balance()
            await asyncio.sleep(15)

    def _catalog(self, panels: dict[str, Panel], ledger: SQLLedger, loop: VirtualLoop) -> Catalog:
        """The real one, its lists given once: catalogues are another test's business."""
        now_ms = lambda: int(loop.time() * 1000)  # noqa: E731
        catalog = Catalog(self.rules, panels, ledger, InProcess(), clock=loop.time, now_ms=now_ms)
        services = written(
            self.rules, {name: Listed(panel.rows, Decimal(1)) for name, panel in panels.items()}
        ).services
        catalog._view = _View(services, {service.id: service for service in services}, ())
        return catalog

    async def _customers(self, loop: VirtualLoop, orders: Orders, catalog: Catalog, account: Account) -> None:
        buying: set[asyncio.Task[None]] = set()

        def begun(wanted: tuple[str, int, int], after_s: float) -> None:
            task = asyncio.create_task(self._customer(orders, catalog, account, wanted, after_s))
            buying.add(task)
            task.add_done_callback(buying.discard)

        for _, wanted in list(self.asking.values()):  # the gateway died: they ask again
            begun(wanted, self.deaf.uniform(1, 60))
        while self.due or self.stirs or self.topups:
            times = [*(due[0] for due in self.due[:1]), *self.stirs[:1], *self.topups[:1]]
            await asyncio.sleep(max(min(times) - loop.time(), 0))
            if self.topups and self.topups[0] <= loop.time():
                self.topups.pop(0)
                self.payer.choice(self.boxes).balance += self.payer.choice((Decimal(10), Decimal(25)))
                continue
            if self.stirs and self.stirs[0] <= loop.time():
                self.stirs.pop(0)
                self._stir()
                continue
            at, link, service, quantity = self.due.pop(0)
            if at > self.calm:
                self.network.share = 0.0
            begun((link, service, quantity), 0)
        if buying:
            await asyncio.wait(buying)

    async def _customer(
        self, orders: Orders, catalog: Catalog, account: Account, wanted: tuple[str, int, int], after_s: float
    ) -> None:
        """Asks until an answer is heard, and is never told of two orders."""
        link, number, quantity = wanted
        since, _ = self.asking.setdefault(link, (asyncio.get_running_loop().time(), wanted))
        service = catalog.service(number)
        assert service is not None
        known: set[int] = set()
        while True:
            await asyncio.sleep(after_s)
            with contextlib.suppress(GatewayError):
                known.add(await orders.add(account, service, Default(link=link, quantity=quantity), repeats="join"))
            patient = asyncio.get_running_loop().time() - since < _PATIENCE_S
            if not patient or self.deaf.random() >= _DEAF:
                break
            after_s = self.deaf.uniform(1, 50)
        del self.asking[link]
        if len(known) > 1:
            self.twice.append(f"{link}: its customer was told of {len(known)} orders: {known}")
        for id in known:
            orders.heard(id)
            self.given[link] = id

    def _stir(self) -> None:
        """The panel's owner, its staff, or we ourselves by hand: what no order of ours explains."""
        box = self.luck.choice(self.boxes)
        self.network.arrive()
        match self.luck.choice(("topup", "manual", "refund", "refund")):
            case "topup":
                box.balance += self.luck.choice((Decimal(50), Decimal("12.5")))
            case "manual":
                box.ask(
                    "add", service="1", link="https://owner.example/1", quantity=str(self.luck.randrange(6000, 9000))
                )
            case _:
                ended = [entry for entry in box.journal if entry.action == "add"][-20:]
                if ended:
                    box.set_status(self.luck.choice(ended).remote_id, "Canceled", remains=0)

    async def _judged(self) -> Findings:
        self.network.now = lambda: self.now + 1
        self.network.arrive()
        ledger = SQLLedger(Inline(self.db, crashes=lambda: False, is_busy=lambda: False), lambda: int(self.now * 1000))
        now = None if self.drawn.stirs else self.now
        return await judged(ledger, self.boxes, self.given, now=now)
