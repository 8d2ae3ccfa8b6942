"""One panel at run time."""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec
import structlog

from gateway import health
from gateway.panels.charges import Charges
from gateway.panels.snapshots import Snapshot
from gateway.rules import model
from gateway.turns import Turns
from providers.base import Action, Provider, RemoteService
from providers.errors import ProviderError, Reason, Refused
from providers.transport import Transport

_log = structlog.get_logger()

QUIET_S: Final = 4.0
"""How long orders to a panel are held back at most, so that nothing of ours moves while our money there is read.

Less than a customer's program waits for its answer; a reading takes two balances, two seconds apart.
"""


TRIAL_S: Final = 1.0
"""How often an order tries a panel whose circuit is open, where all circuits are."""


_SERVICE: Final = "service:"


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a panel stands, for a decision: fields as of `gateway.routing.Offer`."""

    closed: bool
    ramp: float
    stopped: str
    score: float
    funds: Decimal | None


class Panel:
    """One panel at run time. Changed only from the event loop; amounts are in our currency where nothing else is said.

    Attributes:
        source: fingerprint of its site, for its snapshots.
        exchange: one unit of the panel's currency, in ours.
        snapshot: its last good list; `rows` are the same by the panel's own id.
        held: why rows of it are not bought until people have looked, by id.
        balance: what the panel last said we have there, in its currency, less what was spent since; None = never said.
        balance_ms: when it said so, milliseconds since 1970.
        reads, adds: health of what we ask it and of what we order there; `routes`: of orders by its service.
        unknown: orders there whose outcome is not known.
        stop_for: why people have to look before it takes another order; empty = they have not.
        leaves: the rules are about to name it no more.
        stop_kept: whether the ledger has that too, so that people can take it back there.
        turns: of the orders that may be on their way there at once, by account.
        turned: called with the name and the new health of a circuit that this node's calls opened, closed, or had left
            alone: "reads", "adds", or "service:ID".
        moves: how often an order began or ended to be sent there; the same number twice = none did in between.
    """

    def __init__(
        self,
        name: str,
        rules: model.Panel,
        provider: Provider,
        *,
        exchange: Decimal = Decimal(1),
        transport: Transport | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.rules = rules
        self.provider = provider
        self.source = _source(rules)
        self.exchange = exchange
        self.snapshot: Snapshot | None = None
        self.rows: Mapping[str, RemoteService] = MappingProxyType({})
        self.held: Mapping[str, str] = MappingProxyType({})
        self.reads = health.Health()
        self.adds = health.Health()
        self.routes: dict[str, health.Health] = {}
        self.balance: Decimal | None = None
        self.balance_ms: int | None = None
        self.unknown = 0
        self.stop_for = ""
        self.stop_kept = False
        self._next_trial = 0.0
        self.leaves = False
        self.turned: Callable[[str, health.Health], None] = lambda _which, _health: None
        self.moves = 0
        self.turns = Turns(rules.in_flight, waiting=4096, waiting_each=2048)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._quiet = asyncio.Event()  # not set: orders are held back
        self._quiet.set()
        self._transport = transport
        self._former: list[Transport | None] = []
        self._charges = Charges()
        self._clock = clock
        self._now_ms = now_ms
        self._draw = draw
        self._spent = Decimal(0)  # ever, in the panel's currency
        self._dried = 0  # times
        self._read_dried = 0  # of them, known when the last balance was asked for

    def __repr__(self) -> str:
        return f"Panel({self.name!r})"

    async def close(self) -> None:
        for transport in (*self._former, self._transport):
            if transport is not None:
                await transport.close()
        self._former = []

    def become(self, other: "Panel") -> None:
        """Go on with the rules of `other`, which nobody has used yet: health, funds and orders on their way stay.

        What was sent by the transport of before ends there; it is closed with the panel.
        """
        unused = other._transport  # noqa: SLF001 - of one's own kind
        if other.rules != self.rules:
            unused = self._transport
            self.rules, self.provider, self._transport = other.rules, other.provider, other._transport  # noqa: SLF001
            self.source = other.source
            self.turns.most = other.rules.in_flight
        self.exchange = other.exchange
        self._former.append(unused)

    @property
    def stopped(self) -> str:
        """Why it takes no orders, its circuits apart; empty = it does."""
        if self.leaves:
            return "the rules name it no more"
        if self.stop_for:
            return self.stop_for
        if self.unknown > self.rules.open_unknowns:
            return f"the outcome of {self.unknown} orders there is not known"
        return ""

    @property
    def is_busy(self) -> bool:
        """Whether an order of ours is on its way there."""
        return self._under_way > 0

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """An order of ours is on its way there."""
        self.moves += 1
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.moves += 1
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def quieted(self) -> None:
        """Wait while our money there is being read; never longer than `QUIET_S`: then the reading is disturbed."""
        if not self._quiet.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), QUIET_S)

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[bool]:
        """Hold orders back for a moment; gives whether none of ours is on its way there, after `QUIET_S` at most."""
        self._quiet.clear()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), QUIET_S)
            yield self._idle.is_set()
        finally:
            self._quiet.set()

    def took(self, snapshot: Snapshot, rows: Mapping[str, RemoteService]) -> None:
        """This is the panel's list from now on, and the same rows by id."""
        self.snapshot = snapshot
        self.rows = rows
        self.held = {held.row.remote_service: held.why for held in snapshot.held}

    def charged(self, remote_service: str, attempt: int, expected: Decimal | None, charge: Decimal | None) -> None:
        """What an attempt took there, and what we expected; see `gateway.panels.charges`."""
        row = self.rows.get(remote_service)
        if row is None or not expected or charge is None:
            return
        why = self._charges.told(remote_service, attempt, expected, charge, rate=row.rate, now=self._clock())
        if why:
            _log.error("charge", panel=self.name, service=remote_service, outcome="held", why=why)

    def held_for(self, remote_service: str) -> str:
        """Why one of its services is not bought at present; empty = it may be."""
        row = self.rows.get(remote_service)
        rests = self._charges.resting(remote_service, None if row is None else row.rate, self._clock())
        return rests or self.held.get(remote_service, "")

    def noted(
        self, action: Action, error: ProviderError | None, latency_s: float, *, remote_service: str | None = None
    ) -> None:
        """Take note of how a call ended. A refusal for lack of funds also means that we have none there.

        Adds have a circuit of their own: a panel that reads well and whose every `add` fails takes no orders. While it
        is open, balances are its probes.
        """
        if action == "add":
            self.adds = self._observed("adds", self.adds, error, latency_s)
            if remote_service is not None and (remote_service in self.routes or health.names_the_service(error)):
                before = self.routes.get(remote_service, health.Health())
                after = health.observed_route(before, error, self._clock(), jitter=self._draw())
                self.routes[remote_service] = after
                self._tell(f"{_SERVICE}{remote_service}", before, after, error)
        else:
            self.reads = self._observed("reads", self.reads, error, latency_s)
            if action == "balance" and health.probe_due(self.adds, self._clock()):
                self.adds = self._observed("adds", self.adds, error, latency_s)
        if isinstance(error, Refused) and error.reason is Reason.FUNDS:
            self.dry()

    def _observed(
        self, which: str, before: health.Health, error: ProviderError | None, latency_s: float
    ) -> health.Health:
        after = health.observed(before, error, latency_s, self._clock(), jitter=self._draw())
        self._tell(which, before, after, error)
        return after

    def _tell(self, which: str, before: health.Health, after: health.Health, error: ProviderError | None) -> None:
        self._log_turn(which, before, after, "" if error is None else error.what)
        if before.probe_s != after.probe_s or before.quiet_s != after.quiet_s:
            self.turned(which, after)

    def _log_turn(self, which: str, before: health.Health, after: health.Health, why: str) -> None:
        if before.probe_s is None and after.probe_s is not None:
            _log.warning("circuit", panel=self.name, of=which, outcome="open", pause_s=after.pause_s, why=why)
        elif before.probe_s is not None and after.probe_s is None:
            _log.info("circuit", panel=self.name, of=which, outcome="closed")

    def circuit(self, which: str) -> health.Health:
        """One of its circuits, named as for `turned`."""
        if which == "reads":
            return self.reads
        if which == "adds":
            return self.adds
        return self.routes.get(which.removeprefix(_SERVICE), health.Health())

    def turn(self, which: str, after: health.Health) -> None:
        """Go on with a circuit as another node found it."""
        before = self.circuit(which)
        if which == "reads":
            self.reads = after
        elif which == "adds":
            self.adds = after
        else:
            self.routes[which.removeprefix(_SERVICE)] = after
        self._log_turn(which, before, after, "another node found it so")

    def closed(self, now: float) -> bool:
        """Whether the circuits let orders through at this moment of the clock."""
        return health.closed(self.reads, now) and health.closed(self.adds, now)

    def route_closed(self, remote_service: str, now: float) -> bool:
        """Whether the circuit of one of its services does; after a pause an order tries it."""
        known = self.routes.get(remote_service)
        return known is None or known.probe_s is None or now >= known.probe_s

    def quiet_for(self, now: float) -> str:
        """Why it is left alone at this moment of the clock; empty = it is not."""
        if health.quiet(self.reads, now) or health.quiet(self.adds, now):
            return "it asked to be left alone for a while"
        return ""

    def ramp(self, now: float) -> float:
        """The share of orders that may go there first, after a circuit closed."""
        return min(health.ramp(self.reads, now), health.ramp(self.adds, now))

    def readable(self, now: float) -> bool:
        """Whether asking it about orders is worth the call at this moment of the clock."""
        return health.closed(self.reads, now)

    def probe_due(self, now: float) -> bool:
        """Whether a circuit is open and it is time to see if the panel is back."""
        return health.probe_due(self.reads, now) or health.probe_due(self.adds, now)

    def trial(self, now: float) -> bool:
        """Whether an order may try the panel though a circuit is open: one in `TRIAL_S`; who asks takes its turn."""
        if now < self._next_trial:
            return False
        self._next_trial = now + TRIAL_S
        return True

    def score(self, now: float) -> float:
        return min(health.score(self.reads, now), health.score(self.adds, now))

    def standing(self, now: float) -> Standing:
        """How it stands at this moment of the clock."""
        return Standing(
            closed=self.closed(now),
            ramp=self.ramp(now),
            stopped=self.stopped or self.quiet_for(now),
            score=self.score(now),
            funds=self.funds,
        )

    @property
    def funds(self) -> Decimal | None:
        """Our money there by the last balance and what was spent since; None = not known."""
        return None if self.balance is None else self.balance * self.exchange

    @property
    def low(self) -> bool:
        """Whether people are to be warned of the balance."""
        return self.balance is not None and self.rules.low_balance is not None and self.balance < self.rules.low_balance

    def spent(self, cost: Decimal) -> None:
        """An order that takes `cost` was accepted: count it until the next balance shows it."""
        amount = cost / self.exchange
        self._spent += amount
        if self.balance is not None:
            self.balance -= amount

    @property
    def is_dry(self) -> bool:
        """Whether a refusal for lack of funds is newer than the last balance."""
        return self._dried > self._read_dried

    def dry(self) -> None:
        """The panel said that our money is short: it counts as none until the next balance."""
        if not self.is_dry:
            _log.warning("dry", panel=self.name, why="it refuses orders for lack of funds: top it up")
        self._dried += 1
        self.balance = Decimal(0)

    async def read_balance(self) -> str | None:
        """Ask for the balance and take it; gives the currency the panel names, if it names one.

        What was spent while the answer was on its way is taken off it, since the panel may not have counted it yet.
        Errors of the provider pass, after `noted`.
        """
        spent, dried, began = self._spent, self._dried, self._clock()
        try:
            told = await self.provider.balance()
        except ProviderError as error:
            self.noted("balance", error, self._clock() - began)
            raise
        self.noted("balance", None, self._clock() - began)
        self.balance_ms = self._now_ms()
        self._read_dried = dried
        self.balance = told.amount - (self._spent - spent) if dried == self._dried else Decimal(0)
        return told.currency


def _source(rules: model.Panel) -> str:
    where = f"{rules.url}\n{rules.dialect}\n{rules.currency}"
    return hashlib.blake2b(where.encode(), digest_size=8).hexdigest()
