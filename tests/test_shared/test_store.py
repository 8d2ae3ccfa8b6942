"""One contract for Redis and its twin: values, claims, and that nodes see one another."""

import asyncio

import pytest

from gateway.shared import InProcess, Redis, Shared, shared
from tests.servers import Valkey
from tests.test_shared.nodes import Clock, eventually, opened

pytestmark = pytest.mark.anyio


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


async def test_nodes_see_one_another(valkey: Valkey) -> None:
    async with opened(valkey.url) as one, opened(valkey.url) as other:
        await one.put("a", b"1", 60)
        assert await other.get("a") == b"1"
        assert await one.claim("a", 60)
        assert not await other.claim("a", 60)


async def test_a_node_cannot_release_another_nodes_claim(valkey: Valkey) -> None:
    async with opened(valkey.url) as one, opened(valkey.url) as other:
        await one.claim("a", 60)
        await other.release("a")
        assert not await other.claim("a", 60)


async def test_every_key_in_redis_has_the_deployments_prefix(valkey: Valkey) -> None:
    async with opened(valkey.url, prefix="shop-1:") as store, opened(valkey.url, prefix="shop-2:") as other:
        await store.put("a", b"1", 60)
        await store.claim("a", 60)
        assert await other.get("a") is None
        assert await other.claim("a", 60)
        keys = [word for word in valkey.ask("KEYS", "*").decode().split() if word[0] not in "*$"]
    own = {"a", "claim:a", "epoch", "mended"}
    assert set(keys) == {f"shop-1:{key}" for key in own} | {f"shop-2:{key}" for key in own - {"a"}}


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
