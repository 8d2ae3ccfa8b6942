"""Requests that come twice: the field has no name for a request, and a shop that heard no answer asks again.

A request that says its own name (`Idempotency-Key`, `request_id`) is that order for a day; the ledger knows it. One
without is known by all that it asks for, its fingerprint, and what an identical one means is the key's to say:

    join      one that comes while the first is under way waits for the same answer; one that comes within two minutes
              of an answer that never reached the customer gets that answer; any other is a new order
    allow     always a new order
    refuse    as join, and no second order while an identical one has not ended
    SECONDS   as join, and the same order for so long, whether its answer was heard or not
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import msgspec

from gateway.errors import BadForm, RequestIdTaken
from gateway.ledger.protocol import Ledger
from gateway.ledger.repeated import Recent, Twin
from providers.base import FINISHED
from providers.service_types import OrderFields

UNHEARD_S: Final = 120.0
"""How long an answer that was not heard is kept for who asks again."""

MOST: Final = 50_000
_SIZE: Final = 16  # bytes of a hash
_ACTIVE: Final = "You have active order with this link. Please wait until order being completed."

Buy = Callable[[], Coroutine[Any, Any, int]]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one request of an account from another.

    Attributes:
        fingerprint: hash of the account and all that is ordered.
        name: hash of the account and the customer's own name for it; None where it gave none.
        repeats: what an identical one without a name means: join, allow, refuse, or a number of seconds.
    """

    fingerprint: bytes
    name: bytes | None = None
    repeats: str = "join"


def request(account: int, service: int, fields: OrderFields, *, name: str | None, repeats: str) -> Request:
    asked = (account, service, type(fields).__name__, fields)
    return Request(
        fingerprint=_hash(msgspec.json.encode(asked)),
        name=None if name is None else _hash(msgspec.json.encode((account, name))),
        repeats=repeats,
    )


def twin(request: Request, sync_wait_s: float) -> Twin | None:
    """Which order of another node an identical request stands for; None where each is a new one."""
    if request.name is not None or request.repeats == "allow":
        return None
    any_ms = int(request.repeats) * 1000 if request.repeats.isdecimal() else 0
    unheard_ms = int((UNHEARD_S + sync_wait_s) * 1000)
    return Twin(unheard_ms=unheard_ms, any_ms=any_ms, refuses=request.repeats == "refuse")


def _heard_out(task: "asyncio.Task[int]") -> None:
    """A refusal that nobody waits for any more is no fault of the program."""
    if not task.cancelled():
        task.exception()


def _hash(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_SIZE).digest()


class _Flight:
    """A request under way, and how many wait for its answer."""

    def __init__(self, fingerprint: bytes, task: asyncio.Task[int]) -> None:
        self.fingerprint = fingerprint
        self.task = task
        self.waiting = 1


class _Answered:
    """An order placed at a moment of the clock, and to how many requests its id was told, last, that may be deaf."""

    __slots__ = ("at", "order", "told", "unheard")

    def __init__(self, order: int, at: float, unheard: int, told: float) -> None:
        self.order = order
        self.at = at
        self.unheard = unheard
        self.told = told


class Repeats:
    """Knows the last `most` requests; all but those of a name are forgotten with the process, but for `recall`."""

    def __init__(self, ledger: Ledger, *, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._most = most
        self._clock = clock
        self._flights: dict[bytes, _Flight] = {}  # by name, or by fingerprint
        self._answered: OrderedDict[bytes, _Answered] = OrderedDict()  # by fingerprint, first to be forgotten first
        self._fingerprints: dict[int, bytes] = {}  # by order

    async def once(self, request: Request, buy: Buy) -> int:
        """The order of this request: that of an earlier one which it repeats, else what `buy` gives. Errors as `buy`'s.

        Raises:
            RequestIdTaken: a request of that name under way asks for something else.
            BadForm: the key refuses a second order while an identical one has not ended.
        """
        if request.name is None and request.repeats == "allow":
            return await buy()
        known_by = request.name or request.fingerprint
        flight = self._flights.get(known_by)
        if flight is None:
            task = asyncio.create_task(self._fly(request, known_by, buy), name="add")
            task.add_done_callback(_heard_out)
            flight = self._flights[known_by] = _Flight(request.fingerprint, task)
        elif flight.fingerprint != request.fingerprint:
            raise RequestIdTaken
        else:
            flight.waiting += 1
        return await asyncio.shield(flight.task)

    def knows(self, request: Request) -> bool:
        """Whether `once` gives an earlier order without buying, as far as is remembered here."""
        if request.name is None and request.repeats == "allow":
            return False
        flight = self._flights.get(request.name or request.fingerprint)
        if flight is not None:
            return flight.fingerprint == request.fingerprint
        known = self._answered.get(request.fingerprint)
        return request.name is None and known is not None and self._stands_for(known, request, self._clock())

    async def _fly(self, request: Request, known_by: bytes, buy: Buy) -> int:
        try:
            if request.name is not None:
                return await buy()
            order = await self._repeated(request)
            if order is None:
                order = await buy()
                now = self._clock()
                self._keep(request.fingerprint, _Answered(order, now, self._flights[known_by].waiting, now))
            return order
        finally:
            del self._flights[known_by]

    async def _repeated(self, request: Request) -> int | None:
        """The order that an identical request without a name stands for; None = it is a new one."""
        known = self._answered.get(request.fingerprint)
        if known is None:
            return None
        now = self._clock()
        if self._stands_for(known, request, now):
            known.told = now
            return known.order
        if request.repeats == "refuse":
            order = await self._ledger.order(known.order)
            if order is not None and order.status not in FINISHED:
                raise BadForm(_ACTIVE)
        return None

    @staticmethod
    def _stands_for(known: _Answered, request: Request, now: float) -> bool:
        """Whether an identical request is taken for the one that was answered."""
        unheard = known.unheard > 0 and now - known.told < UNHEARD_S
        return unheard or (request.repeats.isdecimal() and now - known.at < int(request.repeats))

    def _keep(self, fingerprint: bytes, answered: _Answered) -> None:
        before = self._answered.pop(fingerprint, None)
        if before is not None:
            self._fingerprints.pop(before.order, None)
        self._answered[fingerprint] = answered
        self._fingerprints[answered.order] = fingerprint
        if len(self._answered) > self._most:
            oldest = next(iter(self._answered))
            self._fingerprints.pop(self._answered.pop(oldest).order, None)

    def heard(self, order: int) -> None:
        """The answer that named this order was written to a customer who was still there."""
        fingerprint = self._fingerprints.get(order)
        if fingerprint is not None:
            known = self._answered[fingerprint]
            known.unheard = max(0, known.unheard - 1)
            if not known.unheard:
                self._answered.move_to_end(fingerprint, last=False)  # it is the first to be forgotten

    def recall(self, orders: Iterable[Recent], *, now_ms: int, unheard_since_ms: int | None) -> None:
        """What the process before this one was asked, newest first; of `unheard_since_ms` on, nobody heard the answer.

        Those are kept for two minutes from now, for that is when their customers can ask again.
        """
        now = self._clock()
        for recent in sorted(orders, key=lambda one: one.order):
            unheard = unheard_since_ms is not None and recent.created_ms >= unheard_since_ms
            at = now - (now_ms - recent.created_ms) / 1000
            self._keep(recent.fingerprint, _Answered(recent.order, at, int(unheard), now))
