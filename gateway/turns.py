"""Who comes next where not all can come at once: each in turn, so that one who asks for much keeps nobody waiting."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final


class NoTurn(Exception):
    """No turn, and nothing was begun.

    Attributes:
        own: too many of the same one's own wait already; else its turn would come too late, or the line is full.
    """

    def __init__(self, *, own: bool) -> None:
        super().__init__("the line is full")
        self.own = own


class Turns:
    """At most `most` at once, of each one at most `each`; `waiting` wait in all, of each one `waiting_each`.

    Who waits is served by whose it is, round and round, each one's own in the order they came; for `wait_s` seconds at
    most. Used from one event loop:

        if not turns.begin(who):
            await turns.wait(who)
        try: ...
        finally: turns.end(who)
    """

    def __init__(
        self, most: int, *, each: int | None = None, waiting: int = 1024, waiting_each: int = 256, wait_s: float = 5.0
    ) -> None:
        self.most = most
        self._each = each
        self._waiting: Final = waiting
        self._waiting_each: Final = waiting_each
        self._wait_s: Final = wait_s
        self._running = 0
        self._own: dict[Hashable, int] = {}  # of each one, those that run
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()  # whose turn is next first
        self.waiting = 0

    def begin(self, who: Hashable) -> bool:
        """Take a turn if there is one now; whoever waits and could have it has had it before."""
        if self._running >= self.most:
            return False
        own = self._own.get(who, 0)
        if self._each is not None and own >= self._each:
            return False
        self._running += 1
        self._own[who] = own + 1
        return True

    async def wait(self, who: Hashable) -> None:
        """Return with a turn.

        Raises:
            NoTurn: there is none, and nothing was begun.
        """
        line = self._lines.get(who)
        if line is not None and len(line) >= self._waiting_each:
            raise NoTurn(own=True)
        if self.waiting >= self._waiting:
            raise NoTurn(own=False)
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(who, deque()).append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as end:
            if turn.done() and not turn.cancelled():  # it came at the same moment
                self.end(who)
            else:
                self._leave(who, turn)
            if isinstance(end, TimeoutError):
                raise NoTurn(own=False) from None
            raise

    def end(self, who: Hashable) -> None:
        """Give a turn back: the next one has it."""
        self._running -= 1
        own = self._own.pop(who) - 1
        if own:
            self._own[who] = own
        while self._lines and self._running < self.most and self._next():
            pass

    def _may(self, who: Hashable) -> bool:
        return self._each is None or self._own.get(who, 0) < self._each

    def _next(self) -> bool:
        """Let the next one begin; False where nobody who waits may."""
        who = next((who for who in self._lines if self._may(who)), None)
        if who is None:
            return False
        line = self._lines[who]
        turn = line.popleft()
        self.waiting -= 1
        if line:
            self._lines.move_to_end(who)
        else:
            del self._lines[who]
        if not turn.done() and self.begin(who):  # else it was cancelled this very moment
            turn.set_result(None)
        return True

    def _leave(self, who: Hashable, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(who)
        if line is None or turn not in line:
            return
        line.remove(turn)
        self.waiting -= 1
        if not line:
            del self._lines[who]
