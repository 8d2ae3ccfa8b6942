"""What a store of this kind does, and the shapes of what it is asked."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

Heard = Callable[[bytes | None], None]
"""Called in the loop with each message, and must not wait. None = messages may have been missed: look for yourself."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """At most `calls` in any `length_s` seconds, of them `reads` that only ask."""

    calls: int
    reads: int
    length_s: float


class Late(msgspec.Struct, frozen=True):
    """Calls that were made `age_s` seconds ago and are not counted yet; `reads` of them only asked."""

    age_s: float
    calls: int
    reads: int


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking for a turn.

    Attributes:
        taken: the call may be made, and is counted.
        wait_s: else, seconds until it is worth asking again; 0 = only this node's own share stood against it.
    """

    taken: bool
    wait_s: float = 0.0


class Shared(Protocol):
    """Values by key for a time, claims, counted calls and messages.

    No method raises, and none waits longer than `WAIT_S` (100 ms); while the store is known to be lost, none waits.
    """

    @property
    def epoch(self) -> str:
        """Names what the store remembers: another one = it was emptied; empty = it is lost, or there is none."""
        ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def get(self, key: str, *, large: bool = False) -> bytes | None:
        """The value, or None: never put, run out, or out of reach. A `large` one that is late means nothing else."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float, *, large: bool = False) -> None:
        """Keep the value for `ttl_s` seconds, if it can be kept. A `large` one that is late means nothing else."""
        ...

    async def claim(self, key: str, ttl_s: float) -> bool:
        """True for one caller among all nodes until `ttl_s` seconds are over or it releases the key.

        True also where nobody can be asked: then each node acts for itself.
        """
        ...

    async def release(self, key: str) -> None:
        """Give up a claim of this node's; another node's claim stays."""
        ...

    async def turn(
        self, key: str, window: Window, *, is_read: bool, late: Sequence[Late], in_share: bool, alone: bool
    ) -> Turn | None:
        """Ask for a turn among all nodes, after `late` was counted; None = nobody could be asked, nothing was counted.

        `in_share`: this node's own share has room for it, which counts as well where the store does not know enough:
        for a while after it began to count, or where the node says so (`alone`).
        """
        ...

    async def count(self, key: str, window: Window, late: Sequence[Late]) -> bool:
        """Have calls counted that were made without asking; gives whether they were."""
        ...

    async def publish(self, topic: str, payload: bytes) -> None:
        """Tell all nodes, this one too, that listen now; nobody hears it later."""
        ...

    def subscribe(self, topic: str, heard: Heard) -> None:
        """Have `heard` called with every message of the topic, until the store is closed."""
        ...
