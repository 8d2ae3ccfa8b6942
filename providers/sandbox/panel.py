"""A whole API v2 panel in one object: the seven actions, books and a journal, and misbehaviour on demand."""

import hmac
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from providers.sandbox import mischief, wire
from providers.sandbox.actions import Actions, Bend
from providers.sandbox.books import Books, Order
from providers.sandbox.catalogue import Catalogue
from providers.sandbox.fault_table import ACTIONS, CONNECT
from providers.sandbox.faults import Faults, Rule, parse
from providers.sandbox.journal import Entry, Journal
from providers.sandbox.market import Market
from providers.sandbox.mischief import Spoiled
from providers.sandbox.progress import State, Temper, Tempo
from providers.sandbox.server import Listener, Turn
from providers.sandbox.wire import Answer, Head

PATH: Final = "/api/v2"

_IN_PLACE: Final = frozenset({"delay_before", "price", "empty", "halve", "ignored"})
"""Faults that change when or what is done, and leave the answer as it is."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request that came in, whatever became of it. `fields` are as sent, the key apart."""

    number: int
    time: float
    method: str
    path: str
    action: str
    fields: Mapping[str, str]
    has_key: bool  # the right one
    fault: str


class Sandbox:
    """A panel.

    Args:
        name: for people.
        key: the one key that it knows.
        catalogue: what it sells; rows as Python has them, or what `load` and `generate` give.
        balance: the buyer's money there, in `currency`.
        seed: of all its luck; the same seed and the same calls at the same times give the same panel.
        clock: the time in seconds; it must not run backwards.
        faults: rules of misbehaviour (`faults.parse`).
        tempo: how fast orders move.
        temper: shares of orders that end badly.
        journal: a file to write down what is done; one that is there is carried on, its orders are known again.
        fsync: whether each line of the journal is on the disk before the answer leaves.
        first_order: the first order's id.
        crowd: up to so many orders of other buyers take an id between two of ours.
        decimals: of the balance as it is told.
        duplicate_links: refuse a second active order for the same service and link.
        calls_kept: how many of the last calls are remembered.
        elsewhere: where the fault `redirect` leads.
    """

    def __init__(
        self,
        name: str,
        *,
        key: str,
        catalogue: Catalogue | Iterable[Mapping[str, object]],
        currency: str = "USD",
        balance: Decimal = Decimal(1000),
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        faults: Faults | str = "",
        tempo: Tempo | None = None,
        temper: Temper | None = None,
        journal: Path | None = None,
        fsync: bool = False,
        first_order: int = 23_501,
        crowd: int = 0,
        decimals: int = 5,
        duplicate_links: bool = False,
        calls_kept: int = 10_000,
        elsewhere: str = "/moved/api/v2",
    ) -> None:
        self.name, self.currency, self.seed, self.elsewhere = name, currency, seed, elsewhere
        self.calls: deque[Call] = deque(maxlen=calls_kept)
        self.sends: Counter[str] = Counter()
        self._key, self._clock = key.encode(), clock
        self._books = Books(opening=balance, seed=seed, tempo=tempo or Tempo(), first_order=first_order, crowd=crowd)
        self._market = Market(self._books, temper=temper or Temper(), duplicate_links=duplicate_links)
        self._journal = Journal(journal, fsync=fsync)
        self._actions = Actions(
            self._market, _catalogue(catalogue), self._journal, currency=currency, decimals=decimals
        )
        self._actions.replay(self._journal.entries)
        self._answered: dict[str, bytes] = {}
        self._listener: Listener | None = None
        self.faults = faults

    def __repr__(self) -> str:
        return f"Sandbox({self.name!r}, orders={len(self._books.orders)})"

    @property
    def faults(self) -> Faults:
        """The rules of misbehaviour. New ones count calls from 1 again."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults | str) -> None:
        self._faults = parse(faults) if isinstance(faults, str) else faults
        self._met: Counter[str] = Counter()

    @property
    def catalogue(self) -> Catalogue:
        return self._actions.catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue | Iterable[Mapping[str, object]]) -> None:
        self._actions.catalogue = _catalogue(catalogue)

    @property
    def balance(self) -> Decimal:
        """What is left: opening - charged + refunded. To set it is to top it up, or to take from it."""
        self._books.settle(self._clock())
        return self._books.balance

    @balance.setter
    def balance(self, balance: Decimal) -> None:
        self._books.opening += balance - self.balance

    @property
    def opening(self) -> Decimal:
        """All that was ever paid in."""
        return self._books.opening

    @property
    def charged(self) -> Decimal:
        """All that orders ever took."""
        self._books.settle(self._clock())
        return self._books.charged

    @property
    def refunded(self) -> Decimal:
        """All that came back."""
        self._books.settle(self._clock())
        return self._books.refunded

    @property
    def orders(self) -> Mapping[int, Order]:
        """Every order by its id, runs of drip-feeds and posts of subscriptions too."""
        self._books.settle(self._clock())
        return self._books.orders

    @property
    def journal(self) -> Sequence[Entry]:
        """What was done because it was asked for: the oracle."""
        return self._journal.entries

    def state(self, remote_id: int) -> State:
        """An order now; `Denied` when there is none."""
        return self._market.state(remote_id, self._clock())

    def set_status(
        self, remote_id: int, status: str, *, remains: int | None = None, start_count: int | None = None
    ) -> None:
        """Say what an order is from now on. Canceled gives its charge back, Partial its share of what remains."""
        self._market.override(remote_id, status, remains, start_count, self._clock())

    def ask(self, action: str, **fields: str) -> object:
        """What the panel answers in good order: no socket, no fault, no entry in `calls`."""
        return self._actions.reply(action, fields, self._clock(), Bend())

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve over HTTP while the context lasts; gives the address of the API. Port 0 = any free one."""
        self._listener = Listener(self, host, port)
        await self._listener.listen()
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{self._listener.port}{PATH}"
        finally:
            await self._listener.close()
            self._listener = None

    def stop_listening(self) -> None:
        """Refuse every connection until `listen`, and reset those there are."""
        self._serving().stop()

    async def listen(self) -> None:
        """Take connections again, on the same port."""
        await self._serving().listen()

    def close(self) -> None:
        """Close the journal's file; a panel that has none needs no closing."""
        self._journal.close()

    def greet(self) -> Answer | None:
        """A connection was made: the fault that it meets at once, if any."""
        rule = self._choose(CONNECT)
        return mischief.on_wire(rule.fault.name, Spoiled(value=rule.value)) if rule else None

    def receive(self, request: Head, body: bytes) -> Turn:
        """A request came in: remember it, choose its fault, and say what is to be done when."""
        fields = wire.form(request, body)
        action = fields.get("action", "")
        is_api = request.path.rstrip("/") == PATH and request.method in {"GET", "POST"}
        rule = self._choose(action) if is_api and action in ACTIONS else None
        has_key = hmac.compare_digest(fields.pop("key", "").encode(), self._key)
        self.sends[action if action in ACTIONS else "other"] += 1
        self.calls.append(
            Call(
                number=self.sends.total(),
                time=self._clock(),
                method=request.method,
                path=request.path,
                action=action,
                fields=fields,
                has_key=has_key,
                fault=rule.fault.name if rule else "",
            )
        )
        if not is_api:
            code = 404 if request.method in {"GET", "POST"} else 405
            return Turn(lambda: Answer(raw=wire.response(mischief.failure("Incorrect request"), code)))
        wait_s = float(rule.value) if rule and rule.fault.name == "delay_before" else 0
        return Turn(partial(self._answer, action, fields, rule, has_key=has_key), wait_s)

    def _answer(self, action: str, fields: Mapping[str, str], rule: Rule | None, *, has_key: bool) -> Answer:
        name, value = (rule.fault.name, rule.value) if rule else ("", "")
        if rule and not rule.fault.executed and name not in _IN_PLACE:
            return mischief.on_wire(name, Spoiled(value=value, elsewhere=self.elsewhere))
        last_id = self._last_order() if name == "wrong_id" else None
        reply: object = {"error": "Invalid API key"}
        if has_key:
            bend = Bend(fault=name, factor=Decimal(value) if name == "price" else Decimal(1), heed=name != "ignored")
            reply = self._actions.reply(action, fields, self._clock(), bend)
        body = msgspec.json.encode(reply)
        stale = self._answered.get(action, body)
        self._answered[action] = body
        if not name or name in _IN_PLACE:
            return Answer(raw=wire.response(body))
        spoiled = Spoiled(value=value, body=body, stale=stale, last_id=last_id, elsewhere=self.elsewhere)
        if mischief.is_said(name):
            return Answer(raw=wire.response(msgspec.json.encode(mischief.in_words(name, reply, spoiled))))
        return mischief.on_wire(name, spoiled)

    def _last_order(self) -> int | None:
        return next((entry.remote_id for entry in reversed(self._journal.entries) if entry.action == "add"), None)

    def _choose(self, action: str) -> Rule | None:
        if not self._faults.rules:
            return None
        self._met[action] += 1
        return self._faults.choose(action, self._met[action], self.seed)

    def _serving(self) -> Listener:
        if self._listener is None:
            raise RuntimeError(f"{self.name}: not serving")
        return self._listener


def _catalogue(given: Catalogue | Iterable[Mapping[str, object]]) -> Catalogue:
    return given if isinstance(given, Catalogue) else Catalogue.of(given)
