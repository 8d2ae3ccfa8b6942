"""Clients of redis-py for one server, a primary behind Sentinels, and a cluster: one set of options for all."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, cast

import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from gateway.redis_url import Kind, RedisURL

CONNECTIONS: Final = 64
"""More than are ever used at once: who would have to wait for one waits before."""


class Clients:
    """The client for commands, and what belongs to it.

    Attributes:
        redis: executes commands; a cluster's is asked for one key at a time.
    """

    def __init__(self, url: RedisURL, *, wait_s: float) -> None:
        self._url = url
        self._options = _options(url, wait_s)
        self._sentinel: Sentinel | None = None
        self._cluster: RedisCluster | None = None
        options = dict(self._options)
        if url.kind is Kind.CLUSTER:
            self._cluster = _cluster(url, options)
            self.redis = cast("redis.asyncio.Redis", self._cluster)
        elif url.kind is Kind.SENTINEL:
            self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
                list(url.hosts), sentinel_kwargs=_to_sentinels(url, options), **_tls(options)
            )
            self.redis = self._sentinel.master_for(url.name, max_connections=CONNECTIONS)
        else:
            self.redis = _single(options)

    async def connect(self) -> None:
        """Find out who is there; raises what redis-py raises. A cluster has to be there whole."""
        if self._cluster is not None:
            await self._cluster.initialize()
            await cast("Awaitable[object]", self._cluster.ping(target_nodes=RedisCluster.PRIMARIES))

    async def forget(self) -> None:
        """Have idle connections closed: behind those of before may be who must not be asked any more."""
        if self._cluster is not None:
            for node in self._cluster.get_nodes():
                await node.disconnect_free_connections()
        else:
            await self.redis.connection_pool.disconnect(inuse_connections=False)

    def listening(self) -> tuple[redis.asyncio.Redis, Callable[[], Awaitable[None]]]:
        """A client to listen with, and how it is closed. Any node of a cluster hears what is said at any other."""
        if self._cluster is None:
            return self.redis, _nothing
        node = self._cluster.get_random_primary_node()
        own = _single({**self._options, "host": node.host, "port": node.port})
        return own, own.aclose

    async def close(self) -> None:
        await self.redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()
        if self._cluster is None:
            await self.redis.connection_pool.aclose()


def _options(url: RedisURL, wait_s: float) -> dict[str, Any]:
    """What the address says, and then what it has no say in."""
    return {
        **parse_url(url.plain),
        "socket_timeout": wait_s,
        "socket_connect_timeout": wait_s,
        # redis-py retries ten times by default, also what is not idempotent.
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
    }


def _single(options: dict[str, Any]) -> redis.asyncio.Redis:
    # With notifications on, the pool does not check that a connection it hands out has nothing left to read.
    quiet = MaintNotificationsConfig(enabled=False)
    pool = ConnectionPool(max_connections=CONNECTIONS, maint_notifications_config=quiet, **options)
    return redis.asyncio.Redis(connection_pool=pool)


def _tls(options: dict[str, Any]) -> dict[str, Any]:
    """Sentinel and cluster clients take `ssl` for a class of connections, and their hosts apart."""
    others = {name: value for name, value in options.items() if name not in {"host", "port", "connection_class"}}
    return {**others, "ssl": True} if options.get("connection_class") is SSLConnection else others


def _to_sentinels(url: RedisURL, options: dict[str, Any]) -> dict[str, Any]:
    said = {"username", "password", "db"}
    return {**{name: value for name, value in _tls(options).items() if name not in said}, **url.sentinel}


def _cluster(url: RedisURL, options: dict[str, Any]) -> RedisCluster:
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in url.hosts],
        max_connections=CONNECTIONS,
        reinitialize_steps=0,  # a moved slot is followed as it is met; a fresh look at all would outlast a call
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **_tls(options),
    )


@contextlib.contextmanager
def heeding() -> Iterator[None]:
    """Let no cancellation get lost in it: the `wait_for` of Python 3.11, in which redis-py sends, swallows some."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def _nothing() -> None: ...
