"""This process among those that sell from one ledger: whether it may still send, leads, knows their rules; who died.

Each node beats in the ledger. It counts the beats of the others by its own clock, and ends the epoch of one that has
been silent for `SILENCE_S`: what that one had *sending* is unknown then, and it writes no further intent. The oldest
living node leads: it alone tracks orders, seeks evidence, and fulfils wishes. A node that could not beat for
`LEASE_S`, because it was paused or the ledger is away, neither sends nor leads until it has beaten twice; that is less
than the others wait. So it takes up no order either that it finds waiting after a pause, whose customer has long asked
somebody else. One that finds its epoch ended goes on under a new one.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog

from gateway.ledger.lock import Lock
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Fenced, LedgerError, Rewound
from gateway.ledger.reports import Node

_log = structlog.get_logger()

BEAT_S: Final = 0.5
LEASE_S: Final = 3.0
SILENCE_S: Final = 4.0

_LOOKS: Final = 4  # without a beat of another, before it is taken for dead


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between two beats; for which a beat is a lease; after which a silent node is dead, longer than that."""

    beat_s: float = BEAT_S
    lease_s: float = LEASE_S
    silence_s: float = SILENCE_S


USUAL: Final = Rhythm()


class Nodes:
    """The nodes of a ledger that several processes sell from, seen from this one.

    `beaten` is awaited after each beat; `rules` tells the version of the rules that this one goes by now.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        *,
        beaten: Callable[[], Awaitable[None]],
        rules: Callable[[], str],
        missed: Callable[[], None] = lambda: None,
        rhythm: Rhythm = USUAL,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._beaten = beaten
        self._rules = rules
        self._missed = missed
        self._rhythm = rhythm
        self._clock = clock
        self._sleep = sleep
        self._epoch = 0
        self._lease_until = 0.0
        self._living: tuple[Node, ...] = ()
        self._silent: dict[int, _Silence] = {}
        self._led = False
        self._left = False
        self._rewound = False  # sells nothing any more, until people have looked
        self._returns = True  # the last beat was the first after a while, or the first of all is to come

    async def join(self) -> None:
        """Sell from now on, beside the others."""
        now = self._clock()
        await self._begin()
        self._take(await self._ledger.beat(self._rules()), now, watches=False)

    async def _begin(self) -> None:
        self._epoch = await self._ledger.join(self._name)
        _log.info("node", epoch=self._epoch, name=self._name, pid=os.getpid(), outcome="joined")

    async def follow(self) -> None:
        """Beat and watch, until this node leaves. What follows a beat may take long, and holds up none."""
        aside: asyncio.Task[bool] | None = None
        try:
            while True:
                await self._sleep(self._rhythm.beat_s)
                if self._left:
                    return
                if await self._safely(self._beat) and (aside is None or aside.done()):
                    aside = asyncio.create_task(self._safely(self._aside), name="beaten")
        finally:
            if aside is not None:
                aside.cancel()
                await asyncio.gather(aside, return_exceptions=True)

    async def once(self) -> None:
        """Beat once, look at the others, and end who is dead."""
        if not self._left:
            await self._beat()
            await self._aside()

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it was done. A node that stops beating for a fault of ours would be taken for dead."""
        try:
            await work()
        except LedgerError as error:
            self._missed()
            _log.warning("node", epoch=self._epoch, outcome="not_beaten", why=str(error))
        except Exception:  # noqa: BLE001 - see above
            _log.exception("node", epoch=self._epoch, outcome="broken")
        else:
            return True
        return False

    async def _beat(self) -> None:
        """Say that this node lives, and see who else does."""
        if self._rewound:
            raise Rewound("ledger: it was older than before: panelmux ledger reopen, then start this node anew")
        now = self._clock()
        watches = now < self._lease_until  # else it was this node that did not look
        try:
            seen = await self._ledger.beat(self._rules())
        except Rewound:
            self._lease_until, self._rewound = 0.0, True
            raise
        except Fenced:
            if self._left:
                return
            before, self._lease_until, watches = self._epoch, 0.0, False
            _log.error("node", epoch=before, outcome="taken_for_dead", then="goes on under a new epoch")
            now = self._clock()
            await self._begin()
            seen = await self._ledger.beat(self._rules())
        if not self._left:
            self._take(seen, now, watches=watches)

    async def _aside(self) -> None:
        """End who is dead, which waits for what that one was writing; and what else follows a beat."""
        names = {node.epoch: node.name for node in self._living}
        now = self._clock()
        for epoch, silence in list(self._silent.items()):
            alive = now < self._lease_until
            if alive and silence.looks >= _LOOKS and silence.last - silence.since >= self._rhythm.silence_s:
                unknown = await self._ledger.take_over(epoch)
                if unknown is not None:
                    _log.error("node", epoch=epoch, name=names.get(epoch), outcome="dead", unknown=unknown)
        await self._beaten()

    async def leave(self) -> None:
        """Sell no more, in good order: nothing is left *sending*."""
        self._left, self._lease_until = True, 0.0
        await self._ledger.stopped()

    def _take(self, seen: Sequence[Node], now: float, *, watches: bool) -> None:
        self._living = tuple(node for node in seen if node.ended_ms is None)
        if watches or self._returns:
            self._lease_until = now + self._rhythm.lease_s  # from before the beat was sent
        self._returns = not watches
        if self.leads() != self._led:
            self._led = not self._led
            _log.info(
                "node", epoch=self._epoch, name=self._name, pid=os.getpid(), leads=self._led, nodes=len(self._living)
            )
        if not watches:
            self._silent.clear()
        others = {node.epoch: node for node in self._living if node.epoch != self._epoch}
        self._silent = {epoch: self._heard(epoch, node.beat, now) for epoch, node in others.items()}

    def _heard(self, epoch: int, beat: int, now: float) -> "_Silence":
        before = self._silent.get(epoch)
        if before is None or before.beat != beat:
            return _Silence(beat, now)
        before.looks += 1
        before.last = now
        return before

    @property
    def epoch(self) -> int:
        """Of this node, now."""
        return self._epoch

    @property
    def living(self) -> int:
        """How many nodes live, this one among them."""
        return max(len(self._living), 1)

    @property
    def other_rules(self) -> int:
        """How many nodes live that go by other rules than this one."""
        mine = self._rules()
        return sum(node.rules not in ("", mine) for node in self._living if node.epoch != self._epoch)

    @property
    def leaders_rules(self) -> str:
        """The version of the rules that the node that leads goes by, where it is not this node's; else empty."""
        if not self._living or self._living[0].epoch == self._epoch:
            return ""
        theirs = self._living[0].rules
        return "" if theirs == self._rules() else theirs

    def leads(self) -> bool:
        """Whether this node does what one node does for all."""
        alive = self._clock() < self._lease_until
        return alive and bool(self._living) and self._living[0].epoch == self._epoch

    def may_send(self) -> str | None:
        """Why nothing may be sent at this moment."""
        if self._rewound:
            return "the ledger is older than it was"
        if self._clock() < self._lease_until:
            return None
        return "this node could not tell the others that it lives, and may have been taken for dead"


class Alone:
    """The one process that sells from a ledger in a file, as long as its lock is held."""

    living: Final = 1
    epoch: Final = 0
    other_rules: Final = 0
    leaders_rules: Final = ""

    def __init__(self, ledger: Ledger, lock: Lock) -> None:
        self._ledger = ledger
        self._lock = lock

    async def leave(self) -> None:
        """Sell no more, in good order."""
        await self._ledger.stopped()

    def leads(self) -> bool:
        return True

    def may_send(self) -> str | None:
        """Why nothing may be sent any more: another process has taken the ledger."""
        return None if self._lock.held() else "another process sells from this ledger now"


class _Silence:
    """Since when no new beat of a node was seen, when it was looked for last, and in how many looks."""

    def __init__(self, beat: int, since: float) -> None:
        self.beat = beat
        self.since = since
        self.last = since
        self.looks = 0
