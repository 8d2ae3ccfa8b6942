"""What is sold now and where it could be bought: compiled from rules and panels' lists whenever these change."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from gateway.catalog.aside import Aside
from gateway.catalog.balances import Balances
from gateway.catalog.deliveries import Deliveries
from gateway.catalog.services import (
    Compiled,
    Conflict,
    Listed,
    Service,
    cost,
    matching,
    merged,
    published,
    sold_to,
    written,
)
from gateway.catalog.sync import NEWS, Ledger, Sync, Synced, pause_s
from gateway.circuits import Circuits
from gateway.money import down
from gateway.panels import Panel, Stamp, Standing
from gateway.routing import Offer
from gateway.rules.model import Ids, Publish, Route, Rules
from gateway.shared import Shared
from providers.base import RemoteService

_log = structlog.get_logger()

_TOGETHER: Final = 8  # lists fetched at once
_LOOK_S: Final = 5.0  # how old the news of another node's list can be, should they be missed


class _View(msgspec.Struct, frozen=True):
    """One compilation: replaced whole, never changed."""

    services: tuple[Service, ...] = ()
    by_id: Mapping[int, Service] = {}
    conflicts: tuple[Conflict, ...] = ()


class Catalog:
    """Everything known of panels and services.

    Attributes:
        rules: those in force.
        panels: by name.
        deliveries: what their routes have really done with our orders.
        circuits: those of the panels, in step with other nodes.
        leads: whether this node fetches lists; one that does not takes those that another one fetched.
        now_ms: the time, milliseconds since 1970.
        version: grows whenever what is sold has changed.
    """

    def __init__(
        self,
        rules: Rules,
        panels: Mapping[str, Panel],
        ledger: Ledger,
        shared: Shared,
        *,
        catalogue_s: float = 300.0,
        balance_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """A panel's list is fetched every `catalogue_s`, our money there read every `balance_s` seconds."""
        self.rules = rules
        self.panels = panels
        self.version = 0
        self._ledger = ledger
        self._shared = shared
        self._catalogue_s = catalogue_s
        self._balance_s = balance_s
        self._clock = clock
        self.now_ms = now_ms
        self._sleep = sleep
        self._draw = draw
        self._tasks: list[asyncio.Task[None]] = []
        self.circuits = Circuits(shared, clock=clock, now_ms=now_ms)
        self.leads: Callable[[], bool] = lambda: True
        self._news: set[str] = set()  # panels whose list another node has fetched
        self._told = asyncio.Event()
        shared.subscribe(NEWS, self._hear)
        self._compiling = asyncio.Lock()
        self._aside = Aside()
        self._together = asyncio.Semaphore(_TOGETHER)
        self.deliveries = Deliveries(ledger, self._aside, clock=clock, now_ms=now_ms)
        self._ids: dict[str, dict[str, int]] = {}
        self._settled = asyncio.Event()
        self._view = _View()
        self._settle_in()

    def _settle_in(self) -> None:
        """Nothing is known yet of these rules and panels but what the panels themselves still know."""
        self._syncs = {
            name: Sync(
                panel,
                self._ledger,
                self._shared,
                every_s=self._catalogue_s,
                aside=self._aside,
                together=self._together,
                clock=self._clock,
                now_ms=self.now_ms,
            )
            for name, panel in self.panels.items()
        }
        self._exchange = {
            name: panel.exchange * (1 + self.rules.exchange_buffer * (panel.rules.currency != self.rules.currency))
            for name, panel in self.panels.items()
        }
        self._tried: set[str] = set()
        self._settled.clear()
        self._stale = set(self.panels)
        self._published = [Compiled()] * len(self.rules.publish)

    async def start(self) -> None:
        """Sell by the last good lists at once, and begin to fetch new ones, all panels side by side."""
        await asyncio.gather(self.deliveries.refresh(), *(sync.load() for sync in self._syncs.values()))
        await self._compile()
        self._tried |= {name for name, panel in self.panels.items() if panel.snapshot is not None} - self._stale
        self._settled_now()
        self.circuits.watch(self.panels)
        self._tasks.append(asyncio.create_task(self.circuits.follow(), name="circuits"))
        self._tasks.append(asyncio.create_task(self._follow_news(), name="catalogue news"))
        for name, panel in self.panels.items():
            balances = Balances(
                panel,
                every_s=self._balance_s,
                probing=self.circuits,
                clock=self._clock,
                sleep=self._sleep,
                draw=self._draw,
            )
            self._tasks.append(asyncio.create_task(self._follow(name), name=f"catalogue {name}"))
            self._tasks.append(asyncio.create_task(balances.follow(), name=f"balance {name}"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def renew(self, rules: Rules, panels: Mapping[str, Panel]) -> None:
        """Go on with other rules; what is sold stays as it was until the new rules are compiled.

        Panels that go on keep all that is known of them. Closing those that do not is the caller's.
        """
        await self.stop()
        async with self._compiling:
            self.version += rules.accounts != self.rules.accounts  # their own lists are others now
            self.rules = rules
            self.panels = panels
            self._settle_in()
        await self.start()

    @property
    def ready(self) -> bool:
        """Every panel's list is compiled, or was asked for once in vain."""
        return self._tried >= self.panels.keys()

    def undecided(self, id: int) -> bool:
        """Whether a panel that was never heard of may sell under this id: not found is not yet the same as not sold."""
        ours = self.rules.services.get(id)
        names = {route.panel for route in ours.routes} if ours else {entry.panel for entry in self.rules.publish}
        return any(panel.snapshot is None for name, panel in self.panels.items() if name in names)

    async def until_ready(self) -> None:
        await self._settled.wait()

    @property
    def conflicts(self) -> Sequence[Conflict]:
        """What cannot be sold, and why."""
        return self._view.conflicts

    def services(self) -> Sequence[Service]:
        """What is sold: the services of the rules, then the published ones entry by entry."""
        return self._view.services

    def service(self, id: int) -> Service | None:
        return self._view.by_id.get(id)

    def sold_to(self, account: str, id: int) -> Service | None:
        """A service as an account has it: its own rate and limits; None where it is not sold, or not to that one."""
        service, own = self._view.by_id.get(id), self.rules.accounts.get(account)
        return service if service is None or own is None else sold_to(service, own)

    async def list_for(self, account: str) -> Sequence[Service]:
        """What an account may buy, as `services`."""
        own = self.rules.accounts.get(account)
        if own is None:
            return self._view.services
        return await self._aside(lambda services: [s for one in services if (s := sold_to(one, own))], self.services())

    def is_apart(self, account: str) -> bool:
        """Whether the rules say anything of this account: it has a list of its own."""
        return account in self.rules.accounts

    def panel(self, name: str) -> Panel | None:
        return self.panels.get(name)

    def funds(self) -> Decimal:
        """Our money at all panels that told of it, in our currency."""
        return down(sum((panel.funds for panel in self.panels.values() if panel.funds is not None), Decimal(0)))

    def offers(self, service: Service, now: float) -> list[Offer]:
        """Where the service could be bought, as its routes stand; `now` is a moment of the clock."""
        standings: dict[str, Standing] = {}
        return [self._offer(position, route, now, standings) for position, route in enumerate(service.routes)]

    def _offer(self, position: int, route: Route, now: float, standings: dict[str, Standing]) -> Offer:
        panel = self.panels.get(route.panel)
        row = None if panel is None else panel.rows.get(route.service)
        if panel is None or row is None:
            return Offer(
                panel=route.panel,
                remote_service=route.service,
                position=position,
                weight=route.weight,
                condition=route.when,
                listed=False,
            )
        standing = standings.get(route.panel)
        if standing is None:
            standing = standings[route.panel] = panel.standing(now)
        known = self.deliveries.of(route.panel, route.service)
        return Offer(
            panel=route.panel,
            remote_service=route.service,
            position=position,
            weight=route.weight,
            condition=route.when,
            held=panel.held_for(route.service),
            type=row.type,
            rate=cost(row, self._exchange[route.panel]),
            min=row.min,
            max=row.max,
            refill=row.refill,
            cancel=row.cancel,
            dripfeed=row.dripfeed,
            closed=standing.closed and panel.route_closed(route.service, now),
            ramp=standing.ramp,
            stopped=standing.stopped,
            score=standing.score,
            truth=known.truth,
            kept=known.kept,
            seconds=known.seconds,
            funds=standing.funds,
        )

    async def sync(self, panel: str, *, accept: bool = False) -> Synced:
        """Fetch the panel's list now; `accept` takes it however short it has become. KeyError: no such panel."""
        return await self._synced(panel, forced=True, accept=accept)

    async def _follow(self, panel: str) -> None:
        failures = 0
        while True:
            if not self.leads():
                await self._looked(panel)
                await self._sleep(min(_LOOK_S, self._catalogue_s))
                continue
            synced = await self._synced(panel)
            failures = 0 if synced.good else failures + 1
            await self._sleep(pause_s(self._catalogue_s, failures, synced.later_s, self._draw()))

    def _hear(self, payload: bytes | None) -> None:
        """Another node has fetched a list, or may have: that is looked at by who waits for it."""
        if payload is None:
            self._news |= self.panels.keys()
        else:
            stamp = msgspec.msgpack.decode(payload, type=Stamp)
            panel = self.panels.get(stamp.panel)
            if panel is None or (panel.snapshot is not None and panel.snapshot.fetched_ms >= stamp.fetched_ms):
                return
            self._news.add(stamp.panel)
        self._told.set()

    async def _follow_news(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            while self._news:
                name = self._news.pop()
                if name in self.panels:
                    await self._looked(name)

    async def _looked(self, name: str) -> None:
        rows = self.panels[name].rows
        await self._syncs[name].look()
        await self._brought(name, rows)

    async def _synced(self, name: str, *, forced: bool = False, accept: bool = False) -> Synced:
        rows = self.panels[name].rows
        synced = await self._syncs[name].once(forced=forced, accept=accept)
        await self._brought(name, rows)
        return synced

    async def _brought(self, name: str, rows: Mapping[str, RemoteService]) -> None:
        """Sell by what a panel's list is now, if it is not `rows` any more."""
        if self.panels[name].rows is not rows:
            self._stale.add(name)
        if self._stale:
            await self._compile()
        self._tried.add(name)
        self._settled_now()

    def _settled_now(self) -> None:
        if self.ready:
            self._settled.set()

    async def _compile(self) -> None:
        """Compile what changed. What cannot be compiled is sold as it was, and tried again after the next sync."""
        async with self._compiling:
            stale, self._stale = self._stale, set()
            if not stale:
                return
            try:
                view = await self._compiled(stale)
                changed = await self._aside(lambda: view.services != self._view.services)
            except Exception as error:  # noqa: BLE001 - the last compilation goes on being sold
                self._stale |= stale
                _log.error("catalogue", outcome="not_compiled", why=f"{type(error).__name__}: {error}")
                return
            self._view = view if changed else msgspec.structs.replace(self._view, conflicts=view.conflicts)
            self.version += changed

    async def _compiled(self, stale: Container[str]) -> _View:
        lists = {
            name: Listed(None if panel.snapshot is None else panel.rows, self._exchange[name])
            for name, panel in self.panels.items()
        }
        ours = await self._aside(written, self.rules, lists)
        for position, entry in enumerate(self.rules.publish):
            if entry.panel in stale:
                self._published[position] = await self._entry(entry, lists[entry.panel])
        by_id, conflicts = await self._aside(merged, ours, tuple(self._published), self.rules, self._view.by_id)
        return _View(tuple(by_id.values()), by_id, conflicts)

    async def _entry(self, entry: Publish, listed: Listed) -> Compiled:
        rows = await self._aside(matching, entry, (listed.rows or {}).values())
        ids = None
        if entry.ids is Ids.NEW:
            ids = self._ids.setdefault(entry.panel, {})
            unknown = [row.remote_service for row in rows if row.remote_service not in ids]
            if unknown:
                ids.update(await self._ledger.service_ids(entry.panel, unknown, first=entry.first))
        return await self._aside(published, entry, self.rules, rows, listed.exchange, ids)
