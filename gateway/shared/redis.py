"""Redis or Valkey, as `Shared`. Its failures are logged once an outage and otherwise look like an empty store.

The first call that fails or is late ends it for all others: from then on none asks it, and none waits, until a task of
its own, in its own time, has found it whole again and writable. So an outage costs each call that is on its way at
most `WAIT_S`, and all others nothing. A failover of a primary or a cluster is such an outage.

The epoch is a word that stands in the store. Where it is gone the store was emptied, and has another one.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar, cast

import redis.exceptions
import structlog

from gateway.redis_url import RedisURL
from gateway.shared.connecting import Clients, heeding
from gateway.shared.counting import SCRIPT, arguments
from gateway.shared.listening import SILENT_S, Listening
from gateway.shared.protocol import Heard, Late, Turn, Window

_log = structlog.get_logger()

WAIT_S: Final = 0.1
"""No call waits longer for Redis, connecting included."""

LOOK_S: Final = 1.0
"""How often it is looked at: whether it is there, and whether it remembers."""

PREFIX: Final = "panelmux:"

_MEND_S: Final = 2.0  # for one look that may have to find a primary or the nodes of a cluster
_TOGETHER: Final = 8  # calls at once; the others wait for their turn, as part of their `WAIT_S`
_MENDED_S: Final = 60.0  # how long the word stays that a look writes
_LATE: Final = (TimeoutError, redis.exceptions.TimeoutError)
_STOOD_STILL_S: Final = 0.02  # a time-out that comes so late tells of this process, which stood still

_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

_Answer = TypeVar("_Answer")
_Lost = TypeVar("_Lost")


class Redis:
    """One store, asked by one node."""

    def __init__(self, url: RedisURL, *, prefix: str = PREFIX, wait_s: float = WAIT_S, look_s: float = LOOK_S) -> None:
        self._prefix = prefix
        self._wait_s = wait_s
        self._look_s = look_s
        self._node = secrets.token_hex(8)
        self._clients = Clients(url, wait_s=wait_s)
        self._redis = self._clients.redis
        self._turns = asyncio.Semaphore(_TOGETHER)
        self._epoch = ""
        self._told = ""  # the last thing that was logged of it
        self._hurt = asyncio.Event()
        self._looked = asyncio.Event()
        self._listening = Listening(self._clients, prefix + "news:", pause_s=look_s, silent_s=SILENT_S)
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"Redis({self._prefix!r})"

    @property
    def epoch(self) -> str:
        return self._epoch

    async def open(self) -> None:
        """Begin to look for it; waits for the first look, but not longer than for a call."""
        if self._tasks:
            return
        self._tasks = [
            asyncio.create_task(self._watch(), name="shared"),
            asyncio.create_task(self._listening.follow(), name="shared news"),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                await self._looked.wait()

    async def close(self) -> None:
        self._epoch = ""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with contextlib.suppress(Exception):  # what cannot be closed any more is closed
            async with asyncio.timeout(_MEND_S):
                await self._clients.close()

    async def get(self, key: str, *, large: bool = False) -> bytes | None:
        value = await self._ask(lambda: self._redis.get(self._prefix + key), lost=None, large=large)
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, ttl_s: float, *, large: bool = False) -> None:
        await self._ask(lambda: self._redis.set(self._prefix + key, value, px=_ms(ttl_s)), lost=None, large=large)

    async def claim(self, key: str, ttl_s: float) -> bool:
        claimed = self._prefix + "claim:" + key
        granted = await self._ask(lambda: self._redis.set(claimed, self._node, px=_ms(ttl_s), nx=True), lost=True)
        return granted is not None

    async def release(self, key: str) -> None:
        await self._ask(lambda: self._ran(_RELEASE, self._prefix + "claim:" + key, [self._node]), lost=None)

    async def turn(
        self, key: str, window: Window, *, is_read: bool, late: Sequence[Late], in_share: bool, alone: bool
    ) -> Turn | None:
        words = arguments(window, is_read=is_read, late=late, in_share=in_share, alone=alone)
        answer = await self._ask(lambda: self._ran(SCRIPT, self._prefix + "turns:" + key, words), lost=None)
        if not isinstance(answer, list):
            return None
        taken, wait_us = answer
        return Turn(taken=taken == 1, wait_s=wait_us / 1e6)

    async def count(self, key: str, window: Window, late: Sequence[Late]) -> bool:
        words = arguments(window, is_read=False, late=late, in_share=False, alone=True, asks=False)
        answer = await self._ask(lambda: self._ran(SCRIPT, self._prefix + "turns:" + key, words), lost=None)
        return isinstance(answer, list)

    async def publish(self, topic: str, payload: bytes) -> None:
        await self._ask(lambda: self._redis.publish(f"{self._prefix}news:{topic}", payload), lost=None)

    def subscribe(self, topic: str, heard: Heard) -> None:
        self._listening.subscribe(topic, heard)

    def _ran(self, script: str, key: str, words: Sequence[str]) -> Awaitable[object]:
        """The script goes along each time: a server that restarted has forgotten it."""
        return cast("Awaitable[object]", self._redis.eval(script, 1, key, *words))

    async def _ask(
        self, call: Callable[[], Awaitable[_Answer]], *, lost: _Lost, large: bool = False
    ) -> _Answer | _Lost:
        """The answer to `call`, or `lost`: at once where the store is known to be, after `wait_s` at the latest.

        A time-out that is our own doing, since we ask too much at once, or stand still, does not count as an outage.
        """
        if not self._epoch:
            return lost
        clock = asyncio.get_running_loop().time
        began, asked = clock(), float("inf")
        try:
            with heeding():
                async with asyncio.timeout(self._wait_s), self._turns:
                    asked = clock()
                    return await call()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, orders do not depend on it
            ours = large or clock() - asked < self._wait_s / 2 or clock() - began > self._wait_s + _STOOD_STILL_S
            if not (ours and isinstance(error, _LATE)):
                self._failed(error)
            return lost

    def _failed(self, error: Exception) -> None:
        self._epoch = ""
        self._hurt.set()
        if self._told != "lost":
            self._told = "lost"
            _log.warning("shared", outcome="lost", why=str(error) or type(error).__name__)

    async def _watch(self) -> None:
        """Look, every `look_s` and as soon as a call failed. Never ends."""
        while True:
            self._hurt.clear()
            await self._look()
            self._looked.set()
            if not self._epoch:
                await asyncio.sleep(self._look_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._hurt.wait()

    async def _look(self) -> None:
        if not self._epoch:
            await self._mend()
            return
        epoch = await self._ask(self._remembered, lost="")
        if self._epoch and epoch and epoch != self._epoch:
            _log.warning("shared", outcome="emptied")
            self._epoch = epoch

    async def _mend(self) -> None:
        """Find it whole and writable: a replica answers too, and so does a cluster that lacks a part."""
        try:
            with heeding():
                async with asyncio.timeout(_MEND_S):
                    await self._clients.forget()
                    await self._clients.connect()
                    await self._redis.set(self._prefix + "mended", self._node, px=_ms(_MENDED_S))
                    epoch = await self._remembered()
        except Exception as error:  # noqa: BLE001 - the next look may be luckier
            self._failed(error)
            return
        self._epoch = epoch
        if self._told == "lost":
            _log.info("shared", outcome="back")
        self._told = "back"

    async def _remembered(self) -> str:
        """The word that stands there, put there where there is none."""
        key = self._prefix + "epoch"
        word = await self._redis.get(key)
        if word is None:
            await self._redis.set(key, secrets.token_hex(8), nx=True)
            word = await self._redis.get(key)
        if not isinstance(word, bytes):
            raise TypeError("it keeps nothing")
        return word.decode()


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
