"""A primary behind Sentinels, and a cluster: found, followed when they change, lost and found again."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.redis_url import Kind, redis_url, shown
from gateway.shared import Window
from tests.servers import Cluster, Sentinels
from tests.test_shared.nodes import Logs, opened, until

pytestmark = pytest.mark.anyio

WINDOW = Window(calls=3, reads=2, length_s=3600)


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "name", "plain"),
    [
        ("redis://h", Kind.SINGLE, (("h", 6379),), "", "redis://h:6379"),
        ("rediss://u:p@h:1/2?x=y", Kind.SINGLE, (("h", 1),), "", "rediss://u:p@h:1/2?x=y"),
        ("redis://[::1]:7/0", Kind.SINGLE, (("::1", 7),), "", "redis://[::1]:7/0"),
        ("unix:///run/redis.sock?db=1", Kind.SINGLE, (), "", "unix:///run/redis.sock?db=1"),
        (
            "redis+sentinel://:p@h1,h2:9/shop/3",
            Kind.SENTINEL,
            (("h1", 26379), ("h2", 9)),
            "shop",
            "redis://:p@h1:26379/3",
        ),
        ("rediss+cluster://h1:7,h2:8", Kind.CLUSTER, (("h1", 7), ("h2", 8)), "", "rediss://h1:7"),
    ],
)
def test_an_address_is_read(url: str, kind: Kind, hosts: tuple[tuple[str, int], ...], name: str, plain: str) -> None:
    read = redis_url(url)
    assert (read.kind, read.hosts, read.name, read.plain) == (kind, hosts, name, plain)


def test_what_is_for_the_sentinels_is_said_to_them_alone() -> None:
    read = redis_url("redis+sentinel://:p@h/shop?sentinel_password=hunter22&ssl_cert_reqs=none")
    assert read.sentinel == {"password": "hunter22"}
    assert read.plain == "redis://:p@h:26379?ssl_cert_reqs=none"
    assert "hunter22" not in repr(read)


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter22@h",
        "redis://",
        "redis://:hunter22@h:port",
        "redis://:hunter22@h:0",
        "redis://:hunter22@h/name",
        "redis://:hunter22@h1,h2",
        "redis+sentinel://:hunter22@h1,h2",
        "redis+sentinel://:hunter22@h/shop/x",
        "redis+cluster://:hunter22@h/1",
        "redis+cluster://:hunter22@",
        "redis+else://:hunter22@h",
        ":hunter22@h",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not|name|several|database") as refused:
        redis_url(url)
    assert "hunter22" not in str(refused.value)
    assert "hunter22" not in shown(url + "?password=hunter22")


class TestSentinels:
    @pytest.fixture
    def sentinels(self) -> Iterator[Sentinels]:
        with Sentinels() as running:
            yield running

    async def test_a_new_primary_is_found_after_the_old_one_died(self, sentinels: Sentinels, logs: Logs) -> None:
        async with opened(sentinels.url) as store, opened(sentinels.url) as other:
            heard: list[bytes | None] = []
            other.subscribe("a", heard.append)
            await store.put("a", b"1", 600)
            await until(lambda: sentinels.replica.says(b"$1\r\n1\r\n", "GET", "panelmux:a"))
            sentinels.primary.kill()
            assert await store.get("a") is None
            assert await store.claim("a", 60)
            await until(lambda: bool(store.epoch and other.epoch))
            assert await store.get("a") == b"1"
            assert [await store.claim("b", 60), await other.claim("b", 60)] == [True, False]
            await until(lambda: None in heard)
            await store.publish("a", b"news")
            await until(lambda: b"news" in heard)
        assert [line["outcome"] for line in logs].count("lost") == 2

    async def test_a_primary_that_was_made_a_replica_is_left(self, sentinels: Sentinels) -> None:
        async with opened(sentinels.url) as store:
            assert sentinels.sentinel.ask("SENTINEL", "FAILOVER", sentinels.NAME) == b"+OK\r\n"
            await until(lambda: sentinels.replica.says(b"role:master", "INFO", "replication"))
            # The Sentinel would say so within ten seconds.
            sentinels.primary.ask("REPLICAOF", "127.0.0.1", str(sentinels.replica.port))
            while not sentinels.replica.says(b"$1\r\n2\r\n", "GET", "panelmux:a"):
                await store.put("a", b"2", 600)
                await asyncio.sleep(0.005)
            assert await store.get("a") == b"2"


class TestCluster:
    @pytest.fixture
    def cluster(self) -> Iterator[Cluster]:
        with Cluster() as running:
            yield running

    async def test_a_slot_that_moved_is_followed(self, cluster: Cluster, logs: Logs) -> None:
        key = "panelmux:turns:a"
        async with opened(cluster.url) as store:
            for _ in range(3):
                assert await self.taken(store)
            holder = cluster.holder(key)
            for node in [node for node in cluster.nodes if node is not holder]:
                cluster.move(key, node)
                assert not await self.taken(store), "the count went along"
            assert store.epoch
        assert logs == []

    async def taken(self, store: object) -> bool:
        turn = await store.turn("a", WINDOW, is_read=False, late=(), in_share=True, alone=False)  # type: ignore[attr-defined]
        assert turn is not None
        return bool(turn.taken)

    async def test_what_one_node_says_is_heard_at_any_other(self, cluster: Cluster) -> None:
        async with opened(cluster.url) as one, opened(cluster.url) as other:
            heard: list[bytes | None] = []
            other.subscribe("a", heard.append)
            while b"news" not in heard:
                await one.publish("a", b"news")
                await asyncio.sleep(0.005)

    async def test_a_cluster_that_lacks_a_part_is_lost_until_it_is_whole(self, cluster: Cluster, logs: Logs) -> None:
        async with opened(cluster.url) as store:
            victim = cluster.holder("panelmux:a")
            victim.kill()
            assert await store.get("a") is None
            assert await store.claim("b", 60)
            await until(lambda: not store.epoch)
            victim.start()
            await until(lambda: bool(store.epoch))
            while await store.get("a") != b"1":
                await store.put("a", b"1", 600)
                await asyncio.sleep(0.005)
        assert {line["outcome"] for line in logs} == {"lost", "back"}
