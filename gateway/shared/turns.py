"""Limits that all nodes keep together, and each by itself where it cannot ask.

A node that cannot ask takes its share: the limit by the living nodes, and one call at least. What it made meanwhile it
tells as soon as it can, and goes by its share until the others had time to do so too: so after a return no window holds
more than the limit and what one late node took of its share. In the window in which the store is lost, the shares of
the others can come on top of what one node had taken.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from limits import RateLimitItem

from gateway.shared.counting import PARTS
from gateway.shared.protocol import Late, Shared, Turn, Window
from providers.pace import Made, of_reads

SETTLE_S: Final = 3.0
"""For so long after the store is back, or was emptied, a node keeps to its share; the others tell within a second."""

TELL_S: Final = 0.5
"""How often it is looked whether there is anything to tell."""

_SOON_S: Final = 0.05  # until it is worth asking again, where calls under way are what stands against one


class _Mine(Made):
    """This node's calls of one window. The last `untold` of them, and of the reads, the store does not know of."""

    def __init__(self, key: str, window: Window) -> None:
        super().__init__(window.length_s)
        self.key = key
        self.window = window
        self.untold = 0
        self.untold_reads = 0
        self.under_way = 0  # turns that are being asked for

    def late(self, now: float) -> list[Late]:
        """What the store does not know, part by part, as old as the youngest of the part; it counts as told then."""
        part_s = self.length_s / PARTS
        parts: dict[int, list[float]] = {}
        untold = ((self.calls, self.untold, 1), (self.reads, self.untold_reads, 2))
        for made, count, column in untold:
            for at in list(made)[len(made) - min(count, len(made)) :]:
                part = parts.setdefault(int((now - at) / part_s), [now - at, 0, 0])
                part[0] = min(part[0], now - at)
                part[column] += 1
        self.untold = self.untold_reads = 0
        return [Late(max(age, 0.0), int(calls), int(reads)) for age, calls, reads in parts.values()]

    def not_told(self, late: list[Late]) -> None:
        """It did not arrive; where it did and only the answer was lost, it counts twice, which costs waiting alone."""
        self.untold += sum(one.calls for one in late)
        self.untold_reads += sum(one.reads for one in late)

    def forgotten(self) -> None:
        self.untold, self.untold_reads = len(self.calls), len(self.reads)


class SharedTurns:
    """`providers.pace.Turns` of all nodes.

    Attributes:
        nodes: how many nodes are alive, this one among them.
        together, alone: turns that were decided by what all nodes did, and by this node's share.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        nodes: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.nodes = nodes
        self.together = 0
        self.alone = 0
        self._shared = shared
        self._clock = clock
        self._sleep = sleep
        self._mine: dict[str, _Mine] = {}
        self._epoch = ""
        self._remembered = ""  # the last epoch that there was
        self._settled = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tell what the store does not know."""
        self._task = asyncio.create_task(self.follow(), name="turns")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def take(self, of: str, rate: RateLimitItem, *, is_read: bool = False) -> float:
        """As of `providers.pace.Turns`; waits as long for the store as the store lets it, and never raises."""
        self._notice()
        mine = self._of(of, rate)
        now = self._clock()
        if self._epoch:
            turn = await self._asked(mine, now, is_read=is_read)
            if turn is not None:
                if turn.taken:
                    mine.add(now, is_read=is_read)
                    return 0.0
                return turn.wait_s or self._own_wait_s(mine, now, is_read=is_read) or _SOON_S
        self.alone += 1
        wait_s = self._own_wait_s(mine, now, is_read=is_read)
        if not wait_s:
            mine.add(now, is_read=is_read)
            mine.untold += 1
            mine.untold_reads += is_read
        return wait_s

    async def follow(self) -> None:
        """Tell what the store does not know, also of windows that nobody calls in. Never ends."""
        while True:
            await self.tell()
            await self._sleep(TELL_S)

    async def tell(self) -> None:
        """Tell it now, if there is anything to tell and anybody to be told."""
        self._notice()
        for mine in tuple(self._mine.values()):
            if self._epoch and mine.untold:
                late = mine.late(self._clock())
                if late and not await self._shared.count(mine.key, mine.window, late):
                    mine.not_told(late)

    async def _asked(self, mine: _Mine, now: float, *, is_read: bool) -> Turn | None:
        in_share = not self._own_wait_s(mine, now, is_read=is_read)
        alone = now < self._settled
        late = mine.late(now) if mine.untold else []
        mine.under_way += 1
        turn = None
        try:
            turn = await self._shared.turn(
                mine.key, mine.window, is_read=is_read, late=late, in_share=in_share, alone=alone
            )
        finally:
            mine.under_way -= 1
            if turn is None:
                mine.not_told(late)
        self.alone += turn is not None and alone
        self.together += turn is not None and not alone
        return turn

    def _own_wait_s(self, mine: _Mine, now: float, *, is_read: bool) -> float:
        share = max(mine.window.calls // max(self.nodes(), 1), 1)
        if mine.under_way and share <= mine.under_way:
            return _SOON_S
        return mine.wait_s(now, share - mine.under_way, is_read=is_read)

    def _of(self, of: str, rate: RateLimitItem) -> _Mine:
        length_s = rate.get_expiry()
        key = f"{of}:{length_s}"
        window = Window(calls=rate.amount, reads=of_reads(rate.amount), length_s=length_s)
        mine = self._mine.get(key)
        if mine is None:
            mine = self._mine[key] = _Mine(key, window)
        mine.window = window
        return mine

    def _notice(self) -> None:
        """Take note of a store that was lost, is back, or was emptied."""
        epoch = self._shared.epoch
        if epoch == self._epoch:
            return
        self._epoch = epoch
        if not epoch:
            return
        self._settled = self._clock() + SETTLE_S
        if epoch != self._remembered:
            self._remembered = epoch
            for mine in self._mine.values():
                mine.forgotten()
