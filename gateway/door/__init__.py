"""The door: who may come in at all, before anything is looked up, and who comes next when not all can.

What stands before the ledger costs next to nothing: a call is told no by its address, by how often its key calls, or
because its address sent too many wrong keys. A key that was right of late is known by a fingerprint (Python's own
keyed hash of its text) and is not asked about its address: shops behind one address do not pay for a neighbour who
guesses. A key that is not known waits until those of other addresses have been looked up, so that a flood of guesses
delays the first call of a good key and does not keep it out.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from gateway.door.callers import Caller, Callers
from gateway.door.crowd import Crowd, Seat
from gateway.door.rates import Guesses, Rates
from gateway.door.strain import SHEDS, SPARES, Pulse, Strain
from gateway.errors import Busy, TooMany, TooManyWrong
from gateway.metrics import Metrics
from gateway.settings import Network, Settings, networks
from gateway.turns import NoTurn, Turns

__all__ = ["HEAVY", "SHEDS", "SPARES", "Caller", "Callers", "Crowd", "Door", "Pulse", "Seat", "Strain", "door"]

HEAVY: Final = frozenset({"add", "refill", "cancel", "refill_status"})
"""Actions that buy, or ask panels."""

_GOOD: Final = 50_000  # keys that were right of late
_TOLD: Final = 1_000  # sites whose first cut is told

_LOOKUPS: Final = 16
_LOOKUPS_EACH: Final = 8
_READS: Final = 64
_ORDERS: Final = 512

_log = structlog.get_logger()


class Door:
    """Everything a call passes before it is worked on."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        proxies: tuple[Network, ...] = (),
        key_rate: float = 0,
        address_rate: float = 0,
        shed_s: float = 2.0,
        connections: int = 4096,
        connections_each: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.callers: Final = Callers(proxies)
        self.crowd: Final = Crowd(metrics, most=connections, most_each=connections_each, clock=clock)
        self.strain: Final = Strain(shed_s)
        self._reads = Turns(_READS)
        self._orders = Turns(_ORDERS, each=_ORDERS // 2)  # a slow panel holds them long
        self._metrics = metrics
        self._clock = clock
        self._keys = Rates(key_rate)
        self._sites = Rates(address_rate)
        self._guesses = Guesses()
        self._lookups = Turns(_LOOKUPS, each=_LOOKUPS_EACH, wait_s=2.0)
        self._asked: dict[int, asyncio.Event] = {}  # fingerprints of keys that are being looked up
        self._good: dict[int, None] = {}  # fingerprints, those that came in last at the end
        self._told: set[str] = set()

    def knocks(self, caller: Caller, key: str) -> bool:
        """A call with that key; gives whether the key was right of late.

        Raises:
            TooMany: the address or the key calls too often.
            TooManyWrong: the address sent too many wrong keys, and this one is not known.
        """
        now, fingerprint = self._clock(), hash(key)
        if not caller.near and not self._sites.hit(caller.site, now):
            self._metrics.refused.labels("address_rate").inc()
            raise TooMany
        if fingerprint in self._good:
            if not self._keys.hit(fingerprint, now):
                self._metrics.refused.labels("key_rate").inc()
                raise TooMany
            return True
        if self._guesses.cut(caller.site, now):
            self._metrics.refused.labels("wrong_keys").inc()
            raise TooManyWrong
        return False

    async def looks_up(self, caller: Caller, key: str) -> bool:
        """Return when an unknown key of that caller may be looked up; `looked_up` follows.

        False where it need not be: somebody else's call with it was meanwhile, and it is right.

        Raises:
            TooManyWrong: its address has been cut off meanwhile.
            Busy: its turn would come too late.
        """
        fingerprint = hash(key)
        other = self._asked.get(fingerprint)
        if other is not None:
            await other.wait()
            if fingerprint in self._good:
                return False
        asked = self._asked[fingerprint] = asyncio.Event()
        try:
            if not self._lookups.begin(caller.site):
                await self._lookups.wait(caller.site)
        except BaseException as none:
            self._answered(fingerprint, asked)
            if isinstance(none, NoTurn):
                self._metrics.refused.labels("lookups").inc()
                raise Busy from None
            raise
        if self._guesses.cut(caller.site, self._clock()):
            self.looked_up(caller, key)
            self._metrics.refused.labels("wrong_keys").inc()
            raise TooManyWrong
        return True

    def looked_up(self, caller: Caller, key: str) -> None:
        """It has been, whatever came of it."""
        self._lookups.end(caller.site)
        self._answered(hash(key), self._asked.get(hash(key)))

    def _answered(self, fingerprint: int, asked: asyncio.Event | None) -> None:
        """Let those go on who wait for what came of a key."""
        if asked is not None:
            asked.set()
            if self._asked.get(fingerprint) is asked:
                del self._asked[fingerprint]

    def right(self, key: str) -> None:
        """The key was right."""
        if len(self._good) >= _GOOD:
            del self._good[next(iter(self._good))]
        self._good[hash(key)] = None

    def wrong(self, caller: Caller, key: str) -> None:
        """The key is nobody's."""
        self._good.pop(hash(key), None)
        self._metrics.wrong_keys.inc()
        cut_s = self._guesses.wrong(caller.site, self._clock())
        if not cut_s:
            return
        self._metrics.cut_off.inc()
        if caller.site not in self._told and len(self._told) < _TOLD:
            self._told.add(caller.site)
            _log.warning("wrong_keys", address=caller.site, outcome="cut_off", for_s=cut_s)

    def turns(self, action: str) -> Turns:
        """The turns that an action needs one of."""
        return self._orders if action in HEAVY else self._reads

    async def wait(self, turns: Turns, account: int) -> None:
        """Return when an account's call may be worked on, after those of others; `turns.end(account)` follows.

        Raises:
            TooMany: too many calls of that account wait already.
            Busy: its turn would come too late.
        """
        try:
            await turns.wait(account)
        except NoTurn as none:
            self._metrics.refused.labels("account_turns" if none.own else "turns").inc()
            raise (TooMany if none.own else Busy) from None

    def level(self) -> int:
        """How far behind we are: 0, `SHEDS` or `SPARES`."""
        return self.strain.level(self._clock())

    def shed(self) -> Busy:
        """The error of a call that is refused because we are behind."""
        self._metrics.refused.labels("behind").inc()
        return Busy()

    def remembers(self, action: str) -> None:
        """A call was answered from memory."""
        self._metrics.remembered.labels(action).inc()

    def count(self) -> None:
        """Tell the metrics how many there are now."""
        self._metrics.connections.set(len(self.crowd))
        self._metrics.queued.set(self._reads.waiting + self._orders.waiting + self._lookups.waiting)


def door(settings: Settings, metrics: Metrics) -> Door:
    """The door as the settings have it."""
    return Door(
        metrics,
        proxies=networks(settings.proxies),
        key_rate=settings.key_rate,
        address_rate=settings.address_rate,
        shed_s=settings.shed_s,
        connections=settings.connections,
        connections_each=settings.connections_each,
    )
