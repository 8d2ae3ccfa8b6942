"""Panels, a ledger, a clock and a sleep that do as the test says."""

import asyncio
from collections.abc import Mapping, MutableMapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from gateway.catalog import Catalog
from gateway.conditions import condition
from gateway.ledger.records import LedgerBusy
from gateway.panels import Panel, exchange
from gateway.routing import Delivered
from gateway.rules import model
from gateway.shared import InProcess
from providers.base import (
    Added,
    Balance,
    LastCheck,
    Listed,
    NewOrder,
    RefillStatus,
    Refusal,
    RemoteService,
    Requested,
    Services,
    Status,
)
from providers.errors import Unanswered

T = TypeVar("T")

Logs = list[MutableMapping[str, Any]]


def row(remote_service: str, **fields: object) -> RemoteService:
    """A row of a panel's list; what is not said is plain."""
    plain: dict[str, object] = {
        "name": f"Service {remote_service}",
        "type": "Default",
        "category": "Instagram",
        "rate": Decimal("1.00"),
        "min": 10,
        "max": 1000,
    }
    return RemoteService(remote_service=remote_service, **{**plain, **fields})  # type: ignore[arg-type]


def listing(*rows: RemoteService) -> Services:
    return Services(rows=rows)


def numbered(count: int, **fields: object) -> Services:
    return Services(rows=tuple(row(str(id), **fields) for id in range(1, count + 1)))


class FakeProvider:
    """Answers in turn what its lists say, the last one for ever. `held` makes `services` wait until it is set."""

    def __init__(self, *services: Services | Exception) -> None:
        self.lists: list[Services | Exception] = list(services)
        self.balances: list[Balance | Exception] = [Balance(Decimal(100), "USD")]
        self.asked: list[str] = []
        self.held: asyncio.Event | None = None

    async def services(self) -> Services:
        self.asked.append("services")
        if self.held is not None:
            await self.held.wait()
        return _next(self.lists)

    async def balance(self) -> Balance:
        self.asked.append("balance")
        await asyncio.sleep(0)
        return _next(self.balances)

    async def orders(self, *, limit: int = 100) -> Sequence[Listed]:
        raise AssertionError(f"the catalogue asks for no list of orders: {limit}")

    async def add(self, order: NewOrder, *, last_check: LastCheck | None = None) -> Added:  # noqa: ARG002
        raise AssertionError(f"the catalogue buys nothing: {order}")

    async def status(self, orders: Sequence[str]) -> Mapping[str, Status | Refusal]:
        raise AssertionError(f"the catalogue asks for no status: {orders}")

    async def refill(self, orders: Sequence[str]) -> Mapping[str, str | Refusal]:
        raise AssertionError(f"the catalogue refills nothing: {orders}")

    async def refill_status(self, refills: Sequence[str]) -> Mapping[str, RefillStatus | Refusal | None]:
        raise AssertionError(f"the catalogue asks for no refill: {refills}")

    async def cancel(self, orders: Sequence[str]) -> Mapping[str, Requested | Refusal]:
        raise AssertionError(f"the catalogue cancels nothing: {orders}")


def _next(replies: list[T | Exception]) -> T:
    reply = replies.pop(0) if len(replies) > 1 else replies[0]
    if isinstance(reply, Exception):
        raise reply
    return reply


def silence(panel: str = "alpha") -> Unanswered:
    return Unanswered("HTTP 502", panel=panel, action="services")


class FakeLedger:
    """The methods that the catalogue uses, in memory. `held` makes `service_ids` wait once it is `reached`."""

    def __init__(self) -> None:
        self.snapshots: dict[str, bytes] = {}
        self.kept_ms: list[int] = []
        self.deliveries: list[Delivered] = []
        self.approvals: dict[str, str] = {}
        self.changes: list[list[str]] = []
        self.ids: dict[tuple[str, str], int] = {}
        self.asked_ids: list[tuple[str, ...]] = []
        self.busy = False
        self.held: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def approved(self, panel: str) -> Mapping[str, str]:  # noqa: ARG002 - there is one
        self._check()
        return self.approvals

    async def keep_changes(self, panel: str, changes: Sequence[tuple[str, str | None, str | None]]) -> int:  # noqa: ARG002
        self._check()
        self.changes.append([id for id, _, _ in changes])
        return len(self.changes)

    async def delivered(self, since_ms: int = 0) -> Sequence[Delivered]:
        self._check()
        return [one for one in self.deliveries if one.at_ms >= since_ms]

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None:
        self._check()
        self.snapshots[panel] = snapshot
        self.kept_ms.append(fetched_ms)

    async def snapshot(self, panel: str) -> bytes | None:
        self._check()
        return self.snapshots.get(panel)

    async def service_ids(self, panel: str, remote_services: Sequence[str], *, first: int) -> Mapping[str, int]:
        self._check()
        self.reached.set()
        if self.held is not None:
            await self.held.wait()
        self.asked_ids.append(tuple(remote_services))
        for remote in remote_services:
            self.ids.setdefault((panel, remote), first + len(self.ids))
        return {remote: self.ids[panel, remote] for remote in remote_services}

    def _check(self) -> None:
        if self.busy:
            raise LedgerBusy("the disk is full")


class Clock:
    """Seconds that stand still unless moved; `ms` tells them as wall time."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def ms(self) -> int:
        return int(self.now * 1000)


class Sleeper:
    """A sleep that lasts until the test ends it. Naps of a second and less are the balances', the others the lists'."""

    def __init__(self) -> None:
        self._naps: list[tuple[float, asyncio.Event]] = []
        self._moved = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        nap = (seconds, asyncio.Event())
        self._naps.append(nap)
        self._moved.set()
        try:
            await nap[1].wait()
        finally:
            self._naps.remove(nap)

    async def wake(self, *, short: bool = False) -> float:
        """End one sleep, as soon as there is one, and wait for the next; gives how long it was meant to be."""
        seconds, over = await self._next(short=short)
        over.set()
        await self._next(short=short, after=over)
        return seconds

    async def asleep(self, *, short: bool = False) -> float:
        """Wait until a task sleeps; gives for how long it means to."""
        return (await self._next(short=short))[0]

    async def _next(self, *, short: bool, after: asyncio.Event | None = None) -> tuple[float, asyncio.Event]:
        while True:
            for seconds, over in self._naps:
                if (seconds <= 1) == short and over is not after:
                    return seconds, over
            self._moved.clear()
            await self._moved.wait()


def rules(*names: str, **fields: object) -> model.Rules:
    """Rules with panels of these names; "beta:EUR" says the currency, and `fields` are those of `model.Rules`."""
    panels = {}
    for name in names or ("alpha",):
        plain, _, currency = name.partition(":")
        panels[plain] = model.Panel(
            url=f"https://{plain}.example/api/v2", key=f"key-of-{plain}", currency=currency or "USD"
        )
    return model.Rules(panels=panels, **fields)  # type: ignore[arg-type]


def panels(of: model.Rules, clock: Clock, **providers: FakeProvider) -> Mapping[str, Panel]:
    return {
        name: Panel(
            name,
            panel,
            providers[name],
            exchange=exchange(of, panel.currency),
            clock=clock,
            now_ms=clock.ms,
            draw=lambda: 0.5,
        )
        for name, panel in of.panels.items()
    }


PUBLISHED = rules("alpha", publish=(model.Publish(panel="alpha"),))

ROUTED = rules(
    "alpha",
    "beta:EUR",
    exchange={"EUR": Decimal("1.08")},
    services={
        7: model.Service(
            routes=(
                model.Route(panel="alpha", service="1"),
                model.Route(panel="beta", service="2", weight=3, when=condition(quantity=">= 100")),
                model.Route(panel="alpha", service="99"),
            )
        )
    },
)


class House:
    """A catalogue and all that it stands on."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sleep = Sleeper()
        self.ledger = FakeLedger()
        self.alpha = FakeProvider(numbered(4))
        self.beta = FakeProvider(numbered(4, rate=Decimal(2)))
        self.opened: list[Catalog] = []
        self.store: InProcess | None = None  # that catalogues have together, where a test has several nodes

    def catalog(self, of: model.Rules) -> Catalog:
        catalog = Catalog(
            of,
            panels(of, self.clock, alpha=self.alpha, beta=self.beta),
            self.ledger,
            self.store or InProcess(clock=self.clock),
            catalogue_s=300,
            balance_s=60,
            clock=self.clock,
            now_ms=self.clock.ms,
            sleep=self.sleep,
            draw=lambda: 0.5,
        )
        self.opened.append(catalog)
        return catalog

    async def started(self, of: model.Rules) -> Catalog:
        catalog = self.catalog(of)
        await catalog.start()
        await catalog.until_ready()
        return catalog


def ids(catalog: Catalog) -> list[int]:
    return [service.id for service in catalog.services()]
