"""What nodes share: one contract for Redis and its twin, and what becomes of calls when Redis is gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from redis.exceptions import ReadOnlyError

from gateway.shared import SILENCE_S, InProcess, Redis, Shared, shared
from tests.servers import Valkey

pytestmark = pytest.mark.anyio

Logs = list[MutableMapping[str, Any]]


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    assert server.ask("FLUSHALL") == b"+OK\r\n"
    return server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@asynccontextmanager
async def opened(url: str, clock: Clock, wait_s: float = 5.0) -> AsyncIterator[Redis]:
    """A node's store. The wait is long where a test is not about waiting, so that a busy machine fails no test."""
    store = Redis(url, clock=clock, wait_s=wait_s)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["in_process", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Shared]:
    if request.param == "in_process":
        twin = InProcess()
        await twin.open()
        yield twin
        await twin.close()
    else:
        async with opened(request.getfixturevalue("valkey").url, Clock()) as real:
            yield real


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Time to live is counted by the server's own clock; the suite's time-out ends a wait that never does."""
    while not await true():  # noqa: ASYNC110 - what is waited for is in another process, no event tells of it
        await asyncio.sleep(0.005)


class TestContract:
    async def test_a_key_never_put_is_absent(self, store: Shared) -> None:
        assert await store.get("a") is None

    async def test_a_value_comes_back_as_the_same_bytes(self, store: Shared) -> None:
        value = bytes(range(256)) * 4_000
        await store.put("a", value, 60)
        assert await store.get("a") == value

    async def test_the_last_value_put_counts(self, store: Shared) -> None:
        await store.put("a", b"1", 60)
        await store.put("a", b"2", 60)
        assert await store.get("a") == b"2"

    async def test_a_value_is_gone_after_its_time(self, store: Shared) -> None:
        await store.put("a", b"1", 0.001)

        async def gone() -> bool:
            return await store.get("a") is None

        await eventually(gone)

    async def test_a_claim_is_granted_once(self, store: Shared) -> None:
        assert [await store.claim("a", 60) for _ in range(3)] == [True, False, False]
        assert await store.claim("b", 60)

    async def test_of_many_callers_at_once_one_has_the_claim(self, store: Shared) -> None:
        granted = await asyncio.gather(*(store.claim("a", 60) for _ in range(20)))
        assert sum(granted) == 1

    async def test_a_released_claim_can_be_had_again(self, store: Shared) -> None:
        await store.claim("a", 60)
        await store.release("a")
        assert await store.claim("a", 60)

    async def test_a_claim_ends_by_itself(self, store: Shared) -> None:
        await store.claim("a", 0.001)

        async def free() -> bool:
            return await store.claim("a", 60)

        await eventually(free)

    async def test_releasing_what_nobody_claimed_changes_nothing(self, store: Shared) -> None:
        await store.release("a")
        assert await store.claim("a", 60)

    async def test_a_value_and_a_claim_of_one_key_are_two_things(self, store: Shared) -> None:
        await store.put("a", b"1", 60)
        assert await store.claim("a", 60)
        assert await store.get("a") == b"1"


async def test_the_twin_forgets_what_has_run_out(clock: Clock) -> None:
    twin = InProcess(clock=clock)
    await twin.put("a", b"1", 10)
    await twin.claim("a", 10)
    clock.now += 10
    assert await twin.get("a") is None
    assert await twin.claim("a", 10)
    await twin.put("b", b"1", 10)
    assert list(twin._values) == ["b"]


async def test_nodes_see_one_another(valkey: Valkey, clock: Clock) -> None:
    async with opened(valkey.url, clock) as one, opened(valkey.url, clock) as other:
        await one.put("a", b"1", 60)
        assert await other.get("a") == b"1"
        assert await one.claim("a", 60)
        assert not await other.claim("a", 60)


async def test_a_node_cannot_release_another_nodes_claim(valkey: Valkey, clock: Clock) -> None:
    async with opened(valkey.url, clock) as one, opened(valkey.url, clock) as other:
        await one.claim("a", 60)
        await other.release("a")
        assert not await other.claim("a", 60)


async def test_every_key_in_redis_has_our_prefix(valkey: Valkey, clock: Clock) -> None:
    async with opened(valkey.url, clock) as store:
        await store.put("a", b"1", 60)
        await store.claim("a", 60)
    keys = [word for word in valkey.ask("KEYS", "*").decode().split() if word[0] not in "*$"]
    assert sorted(keys) == ["panelmux:a", "panelmux:claim:a"]


class TestOutage:
    async def test_a_killed_server_looks_like_an_empty_one(self, clock: Clock, logs: Logs) -> None:
        with Valkey() as valkey:
            async with opened(valkey.url, clock) as store:
                await store.put("a", b"1", 60)
                valkey.kill()
                assert await store.get("a") is None
                clock.now += SILENCE_S
                await store.put("a", b"1", 60)
                clock.now += SILENCE_S
                assert [await store.claim("a", 60), await store.claim("a", 60)] == [True, True]
                clock.now += SILENCE_S
                await store.release("a")
        assert [line["outcome"] for line in logs] == ["lost"]

    async def test_a_server_that_comes_back_is_used_again(self, clock: Clock, logs: Logs) -> None:
        with Valkey() as valkey:
            async with opened(valkey.url, clock) as store:
                valkey.kill()
                assert await store.get("a") is None
                valkey.start()
                clock.now += SILENCE_S
                await store.put("a", b"1", 60)
                assert await store.get("a") == b"1"
        assert [line["outcome"] for line in logs] == ["lost", "back"]

    async def test_a_server_absent_at_the_start_stops_nothing(self, clock: Clock, logs: Logs) -> None:
        async with opened("redis://:hunter22@127.0.0.1:1/0", clock) as store:
            assert await store.get("a") is None
        assert [line["outcome"] for line in logs] == ["lost"]
        assert "hunter22" not in repr(logs) + repr(store.__dict__)

    async def test_after_a_failure_redis_is_not_asked_for_a_while(self, clock: Clock, logs: Logs) -> None:
        calls = 0

        async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal calls
            calls += 1
            writer.close()

        async with tcp(refuse) as url, opened(url, clock) as store:
            for _ in range(5):
                await store.get("a")
            assert calls == 1
            clock.now += SILENCE_S
            await store.get("a")
            assert calls == 2
        assert len(logs) == 1

    async def test_a_server_that_never_answers_is_waited_for_once(self, clock: Clock, logs: Logs) -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with tcp(swallow) as url:
            store = Redis(url, clock=clock)
            try:
                # The bound is 0.1 s; 5 s is what redis-py would wait, and ten times over.
                async with asyncio.timeout(3):
                    answers = await asyncio.gather(*(store.get("a") for _ in range(20)))
                    granted = await store.claim("a", 60)
            finally:
                await store.close()
        assert (set(answers), granted) == ({None}, True)
        assert [line["outcome"] for line in logs] == ["lost"]

    async def test_a_server_that_speaks_something_else_degrades_too(self, clock: Clock, logs: Logs) -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        async with tcp(speak) as url, opened(url, clock) as store:
            assert await store.get("a") is None
        assert len(logs) == 1

    async def test_a_reply_that_comes_too_late_is_nobody_elses(self, clock: Clock) -> None:
        """The first get is given up while its answer is on the way; the next one must not read that answer."""
        answer = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while command := await reader.read(4096):
                if b"HELLO" in command:
                    writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                elif b"panelmux:slow" in command:
                    await answer.wait()
                    writer.write(b"$5\r\nwrong\r\n")
                else:
                    writer.write(b"$5\r\nright\r\n")
            writer.close()

        async with tcp(slow) as url:
            store = Redis(url, clock=clock, wait_s=0.1)
            assert await store.get("slow") is None
            answer.set()
            clock.now += SILENCE_S
            while (next_answer := await store.get("fast")) is None:
                clock.now += SILENCE_S
            assert next_answer == b"right"
            await store.close()

    async def test_a_replica_makes_the_pool_forget_its_connections_once(
        self, valkey: Valkey, clock: Clock, monkeypatch: pytest.MonkeyPatch, logs: Logs
    ) -> None:
        async with opened(valkey.url, clock) as store:
            dropped: list[bool] = []
            disconnect = store._pool.disconnect

            async def counted(inuse_connections: bool = True) -> None:
                dropped.append(inuse_connections)
                await disconnect(inuse_connections)

            monkeypatch.setattr(store._pool, "disconnect", counted)
            valkey.ask("REPLICAOF", "127.0.0.1", "1")
            try:
                await store.put("a", b"1", 60)
                clock.now += SILENCE_S
                await store.put("a", b"1", 60)
                assert dropped == [False]
            finally:
                valkey.ask("REPLICAOF", "NO", "ONE")
            clock.now += SILENCE_S
            await store.put("a", b"2", 60)
            assert await store.get("a") == b"2"
        assert [line["outcome"] for line in logs] == ["lost", "back"]
        assert ReadOnlyError.__name__ not in repr(logs)  # the server's own words are logged


@asynccontextmanager
async def tcp(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        await server.wait_closed()


def test_without_a_url_the_twin_is_used() -> None:
    assert isinstance(shared(None), InProcess)


def test_a_url_of_another_kind_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="PANELMUX_REDIS") as refused:
        shared("memcached://:hunter22@127.0.0.1/0")
    assert "hunter22" not in str(refused.value)


async def test_a_url_of_redis_gives_redis(valkey: Valkey) -> None:
    store = shared(valkey.url)
    assert isinstance(store, Redis)
    await store.close()
