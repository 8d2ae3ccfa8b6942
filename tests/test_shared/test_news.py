"""What nodes tell each other: heard by all that listen, missed where it is not, and that is told."""

import asyncio

import pytest

from gateway.shared import Shared
from tests.servers import Valkey
from tests.test_shared.nodes import Logs, opened, until

pytestmark = pytest.mark.anyio


async def connected(store: Shared) -> None:
    """Wait until it hears what it says itself."""
    heard: list[bytes | None] = []
    store.subscribe("connected", heard.append)
    while b"yes" not in heard:
        await store.publish("connected", b"yes")
        await asyncio.sleep(0.005)


async def test_all_that_listen_to_a_topic_hear_it_in_order_and_nobody_else(store: Shared) -> None:
    await connected(store)
    heard: dict[str, list[bytes | None]] = {"one": [], "other": [], "else": []}
    store.subscribe("a", heard["one"].append)
    store.subscribe("a", heard["other"].append)
    store.subscribe("b", heard["else"].append)
    for number in range(20):
        await store.publish("a", b"%d" % number)
    await until(lambda: len(heard["one"]) == len(heard["other"]) == 20)
    assert heard["one"] == heard["other"] == [b"%d" % number for number in range(20)]
    assert heard["else"] == []


async def test_a_listener_that_fails_ends_nothing(store: Shared, logs: Logs) -> None:
    def fails(payload: bytes | None) -> None:
        if payload is not None:
            raise ValueError("of another version")

    heard: list[bytes | None] = []
    store.subscribe("a", fails)
    store.subscribe("a", heard.append)
    await connected(store)
    for number in range(3):
        await store.publish("a", b"%d" % number)
    await until(lambda: b"2" in heard)
    assert [line["outcome"] for line in logs] == ["not_understood"] * 3


async def test_nodes_hear_each_other_and_no_other_deployment(valkey: Valkey) -> None:
    async with (
        opened(valkey.url) as one,
        opened(valkey.url) as other,
        opened(valkey.url, prefix="shop-2:") as strange,
    ):
        heard: list[bytes | None] = []
        other.subscribe("a", heard.append)
        await connected(other)
        await strange.publish("a", b"not ours")
        await one.publish("a", b"ours")
        await until(lambda: b"ours" in heard)
        assert b"not ours" not in heard


async def test_after_an_outage_those_who_listen_are_told_that_they_may_have_missed_something() -> None:
    with Valkey() as valkey:
        async with opened(valkey.url) as one, opened(valkey.url) as other:
            heard: list[bytes | None] = []
            other.subscribe("a", heard.append)
            await connected(other)
            heard.clear()
            valkey.kill()
            await until(lambda: not one.epoch)
            await one.publish("a", b"to nobody")
            valkey.start()
            await until(lambda: None in heard)
            await until(lambda: bool(one.epoch))
            await one.publish("a", b"to all")
            await until(lambda: b"to all" in heard)
            assert b"to nobody" not in heard


async def test_a_connection_that_has_gone_silent_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.shared.redis.SILENT_S", 0.05)
    with Valkey() as valkey:
        async with opened(valkey.url, wait_s=0.5) as store:
            heard: list[bytes | None] = []
            store.subscribe("a", heard.append)
            await connected(store)
            heard.clear()
            valkey.stand_still()
            await until(lambda: not store.epoch)
            await asyncio.sleep(0.2)  # two silences; a shorter one would only leave the old connection as it was
            valkey.go_on()
            await until(lambda: None in heard)


async def test_silence_is_no_outage_while_the_server_answers(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.shared.redis.SILENT_S", 0.02)
    async with opened(valkey.url, look_s=3600.0) as store:
        heard: list[bytes | None] = []
        store.subscribe("a", heard.append)
        await connected(store)
        heard.clear()

        def pings() -> bool:
            words = valkey.ask("INFO", "commandstats").decode()
            found = [line for line in words.split("\r\n") if line.startswith("cmdstat_ping:calls=")]
            return bool(found) and int(found[0].split("=")[1].split(",")[0]) >= 5

        valkey.ask("CONFIG", "RESETSTAT")
        await until(pings)
        await store.publish("a", b"1")
        await until(lambda: b"1" in heard)
        assert None not in heard
