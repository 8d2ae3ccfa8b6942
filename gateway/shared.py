"""What nodes share and may lose: Redis where there are several, a twin in process where there is one.

Nothing here is a record. An answer may be absent for any reason, a claim may be granted to two, and all goes on: what
must not be lost is in the ledger.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.maint_notifications import MaintNotificationsConfig

_log = structlog.get_logger()

WAIT_S: Final = 0.1
"""No call waits longer for Redis, connecting included."""

SILENCE_S: Final = 1.0
"""After a failure Redis is not asked for so long, so that an outage costs one wait a second and not one a call."""

_PREFIX: Final = "panelmux:"
_CONNECTIONS: Final = 8

_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

_Answer = TypeVar("_Answer")
_Lost = TypeVar("_Lost")


class Shared(Protocol):
    """Values by key for a time. No method raises, and none waits longer than `WAIT_S`."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def get(self, key: str) -> bytes | None:
        """The value, or None: never put, run out, or out of reach."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep the value for `ttl_s` seconds, if it can be kept."""
        ...

    async def claim(self, key: str, ttl_s: float) -> bool:
        """True for one caller among all nodes until `ttl_s` seconds are over or it releases the key.

        True also where nobody can be asked: then each node acts for itself.
        """
        ...

    async def release(self, key: str) -> None:
        """Give up a claim of this node's; another node's claim stays."""
        ...


def shared(url: str | None) -> Shared:
    """The store at `url` (redis, rediss or unix), or the twin in process where there is none.

    Raises:
        ValueError: the URL's scheme is none of these.
    """
    if url is None:
        return InProcess()
    scheme, there, _ = url.partition("://")
    if not there or scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("PANELMUX_REDIS: the URL does not begin with redis://, rediss:// or unix://")
    return Redis(url)


class InProcess:
    """The twin for a single node."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[str, tuple[float, bytes]] = {}
        self._claims: dict[str, float] = {}

    async def open(self) -> None: ...

    async def close(self) -> None:
        self._values.clear()
        self._claims.clear()

    async def get(self, key: str) -> bytes | None:
        until, value = self._values.get(key, (0.0, b""))
        return value if self._clock() < until else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        now = self._clock()
        self._values = {old: kept for old, kept in self._values.items() if now < kept[0]}
        self._values[key] = (now + ttl_s, value)

    async def claim(self, key: str, ttl_s: float) -> bool:
        now = self._clock()
        self._claims = {old: until for old, until in self._claims.items() if now < until}
        if key in self._claims:
            return False
        self._claims[key] = now + ttl_s
        return True

    async def release(self, key: str) -> None:
        self._claims.pop(key, None)


class Redis:
    """Redis or Valkey. Its failures are logged once an outage and otherwise look like an empty store."""

    def __init__(self, url: str, *, wait_s: float = WAIT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_s = wait_s
        self._clock = clock
        self._node = secrets.token_hex(8)
        self._silent_until = 0.0
        self._lost = False
        self._pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=wait_s,
            socket_timeout=wait_s,
            socket_connect_timeout=wait_s,
            # redis-py retries ten times by default, also what is not idempotent.
            retry=Retry(NoBackoff(), 0),
            # With notifications on, the pool does not check that a connection it hands out has nothing left to read.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            driver_info=None,
        )
        self._redis = redis.asyncio.Redis(connection_pool=self._pool)
        self._released = self._redis.register_script(_RELEASE)

    async def open(self) -> None:
        await self._ask(self._redis.ping, lost=None)

    async def close(self) -> None:
        await self._redis.aclose()
        await self._pool.aclose()

    async def get(self, key: str) -> bytes | None:
        value = await self._ask(lambda: self._redis.get(_PREFIX + key), lost=None)
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        await self._ask(lambda: self._redis.set(_PREFIX + key, value, px=_ms(ttl_s)), lost=None)

    async def claim(self, key: str, ttl_s: float) -> bool:
        claimed = _PREFIX + "claim:" + key
        granted = await self._ask(lambda: self._redis.set(claimed, self._node, px=_ms(ttl_s), nx=True), lost=True)
        return granted is not None

    async def release(self, key: str) -> None:
        claimed = _PREFIX + "claim:" + key
        await self._ask(lambda: self._released(keys=[claimed], args=[self._node]), lost=None)

    async def _ask(self, call: Callable[[], Awaitable[_Answer]], *, lost: _Lost) -> _Answer | _Lost:
        """The answer to `call`, or `lost`: at once during the silence after a failure, after `wait_s` at the latest."""
        if self._clock() < self._silent_until:
            return lost
        try:
            async with asyncio.timeout(self._wait_s):
                answer = await call()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, orders do not depend on it
            await self._failed(error)
            return lost
        if self._lost:
            self._lost = False
            _log.info("shared", outcome="back")
        return answer

    async def _failed(self, error: Exception) -> None:
        self._silent_until = self._clock() + SILENCE_S
        if self._lost:
            return
        self._lost = True
        _log.warning("shared", outcome="lost", why=str(error) or type(error).__name__)
        if isinstance(error, ReadOnlyError):
            # The primary became a replica: new connections find the new one, those in the pool would not.
            await self._pool.disconnect(inuse_connections=False)


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
