"""What becomes of calls when Redis is gone, slow, emptied, or no longer the primary."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ReadOnlyError

from gateway.redis_url import redis_url
from gateway.shared import Redis, Window
from gateway.shared.connecting import heeding
from tests.servers import Valkey
from tests.test_shared.nodes import Logs, opened, until

pytestmark = pytest.mark.anyio

WINDOW = Window(calls=3, reads=2, length_s=3600)
NEVER_S = 3600.0


async def nothing_comes_of(store: Redis) -> bool:
    """Whether every call ends as if there was nothing, and every claim is granted."""
    await store.put("a", b"1", 60)
    await store.publish("a", b"1")
    await store.release("a")
    turn = await store.turn("a", WINDOW, is_read=False, late=(), in_share=True, alone=False)
    counted = await store.count("a", WINDOW, ())
    claims = [await store.claim("a", 60), await store.claim("a", 60)]
    return (await store.get("a"), turn, counted, claims) == (None, None, False, [True, True])


async def test_a_killed_server_looks_like_an_empty_one(logs: Logs) -> None:
    with Valkey() as valkey:
        async with opened(valkey.url) as store:
            await store.put("a", b"1", 60)
            valkey.kill()
            assert await store.get("a") is None
            assert await nothing_comes_of(store)
    assert [line["outcome"] for line in logs] == ["lost"]


async def test_a_server_that_comes_back_is_used_again(logs: Logs) -> None:
    with Valkey() as valkey:
        async with opened(valkey.url) as store:
            before = store.epoch
            valkey.kill()
            await until(lambda: not store.epoch)
            valkey.start()
            await until(lambda: bool(store.epoch))
            assert store.epoch != before, "it remembers nothing"
            await store.put("a", b"1", 60)
            assert await store.get("a") == b"1"
    assert [line["outcome"] for line in logs] == ["lost", "back"]


async def test_a_server_absent_at_the_start_stops_nothing(logs: Logs) -> None:
    async with opened("redis://:hunter22@127.0.0.1:1/0", there=False) as store:
        assert await nothing_comes_of(store)
    assert [line["outcome"] for line in logs] == ["lost"]
    assert "hunter22" not in repr(logs) + repr(store)


async def test_while_it_is_lost_no_call_asks_it(logs: Logs) -> None:
    calls = 0

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    async with tcp(refuse) as url, opened(url, look_s=NEVER_S, there=False) as store:
        await until(lambda: bool(logs))
        before = calls
        for _ in range(50):
            assert await store.get("a") is None
        assert calls == before
    assert len(logs) == 1


async def test_a_server_that_stands_still_is_waited_for_once(logs: Logs) -> None:
    with Valkey() as valkey:
        async with opened(valkey.url, wait_s=0.1) as store:
            before = store.epoch
            await store.put("a", b"1", 60)
            valkey.stand_still()
            # The bound is 0.1 s; 5 s is what redis-py would wait, and ten times over.
            async with asyncio.timeout(3):
                answers = await asyncio.gather(*(store.get("a") for _ in range(50)))
                await until(lambda: not store.epoch)
                assert await nothing_comes_of(store)
            assert set(answers) == {None}
            valkey.go_on()
            await until(lambda: bool(store.epoch))
            assert store.epoch == before
            assert await store.get("a") == b"1"
    assert [line["outcome"] for line in logs] == ["lost", "back"]


async def test_a_server_that_speaks_something_else_degrades_too(logs: Logs) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with tcp(speak) as url, opened(url, there=False) as store:
        assert await nothing_comes_of(store)
    assert len(logs) == 1


async def test_an_emptied_server_is_told_from_one_that_remembers(valkey: Valkey, logs: Logs) -> None:
    async with opened(valkey.url) as store, opened(valkey.url) as other:
        before = store.epoch
        assert other.epoch == before
        valkey.ask("FLUSHALL")
        await until(lambda: before not in {store.epoch, other.epoch})
        assert store.epoch == other.epoch
    assert [line["outcome"] for line in logs] == ["emptied", "emptied"]


async def test_a_replica_is_no_store_until_it_is_the_primary(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    async with opened(valkey.url) as store:
        looks = 0
        connect = store._clients.connect

        async def counted() -> None:
            nonlocal looks
            looks += 1
            await connect()

        monkeypatch.setattr(store._clients, "connect", counted)
        valkey.ask("REPLICAOF", "127.0.0.1", "1")
        try:
            await store.put("a", b"1", 60)
            await until(lambda: looks >= 3)
            assert store.epoch == "", "it answers, and takes nothing"
        finally:
            valkey.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: bool(store.epoch))
        await store.put("a", b"2", 60)
        assert await store.get("a") == b"2"
    assert [line["outcome"] for line in logs] == ["lost", "back"]
    assert ReadOnlyError.__name__ not in repr(logs)  # the server's own words are logged


async def test_a_process_that_stood_still_takes_nobody_for_lost(valkey: Valkey, logs: Logs) -> None:
    async with opened(valkey.url, wait_s=0.1, look_s=NEVER_S) as store:
        calls = [asyncio.create_task(store.get("a")) for _ in range(20)]
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is to stand still
        assert await asyncio.gather(*calls) == [None] * 20
        assert store.epoch
    assert logs == []


async def test_who_asks_too_much_at_once_takes_nobody_for_lost(valkey: Valkey, logs: Logs) -> None:
    async with opened(valkey.url, wait_s=0.1, look_s=NEVER_S) as store:
        await store.put("a", b"1", 60)
        permits = store._turns._value
        for _ in range(permits):
            await store._turns.acquire()
        assert await store.get("a") is None
        assert store.epoch
        for _ in range(permits):
            store._turns.release()
        assert await store.get("a") == b"1"
    assert logs == []


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers what a store is asked when it is opened, and a get; one of `slow` never, until the next one came."""
    held = b""
    while command := await reader.read(4096):
        if b"HELLO" in command:
            writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
        elif b"PSUBSCRIBE" in command:
            break
        elif b"SET" in command:
            writer.write(b"+OK\r\n")
        elif b"panelmux:slow" in command:
            held = b"$5\r\nwrong\r\n"
        else:
            writer.write(held + b"$5\r\nright\r\n")
            held = b""
    writer.close()


async def test_a_reply_that_comes_too_late_is_nobody_elses(logs: Logs) -> None:
    """The first get is given up while its answer is on the way; the next one must not read that answer."""
    async with tcp(slow) as url, opened(url, wait_s=0.1) as store:
        assert await store.get("slow") is None
        await until(lambda: bool(store.epoch))
        assert [await store.get("fast") for _ in range(3)] == [b"right"] * 3
    assert [line["outcome"] for line in logs] == ["lost", "back"]


async def test_a_large_value_that_is_late_is_no_outage(logs: Logs) -> None:
    async with tcp(slow) as url, opened(url, wait_s=0.1, look_s=NEVER_S) as store:
        assert await store.get("slow", large=True) is None
        assert store.epoch
        assert await store.get("fast") == b"right"
    assert logs == []


async def test_a_call_that_is_cancelled_leaves_its_reply_to_nobody(valkey: Valkey) -> None:
    async with opened(valkey.url) as store:
        await store.put("a", b"1", 60)
        await store.put("b", b"2", 60)
        for turns in range(30):
            call = asyncio.create_task(store.get("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            assert await store.get("b") == b"2"
            await asyncio.gather(call, return_exceptions=True)


async def test_a_store_that_was_never_opened_is_closed_all_the_same() -> None:
    await Redis(redis_url("redis://127.0.0.1:1")).close()


async def test_a_cancellation_that_was_swallowed_is_heeded_all_the_same() -> None:
    """As the `wait_for` of Python 3.11 does, when what it waits for ends in the same moment."""
    begun = asyncio.Event()

    async def swallows() -> None:
        with heeding(), contextlib.suppress(asyncio.CancelledError):
            begun.set()
            await asyncio.Event().wait()

    call = asyncio.create_task(swallows())
    await begun.wait()
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


async def test_a_store_can_be_closed_at_any_moment(valkey: Valkey) -> None:
    for turns in range(80):
        store = Redis(redis_url(valkey.url), look_s=0.001)
        await store.open()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):  # a task that missed its end would go on for ever
            await store.close()


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
