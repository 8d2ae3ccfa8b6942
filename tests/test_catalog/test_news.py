"""Lists that one node fetches and the others take: within moments, and soon where the news was missed."""

import asyncio

import pytest

from gateway.catalog import Catalog
from gateway.shared import InProcess
from tests.test_catalog.fakes import PUBLISHED, House, Logs, Sleeper, ids, numbered, silence

pytestmark = pytest.mark.anyio


class Nodes:
    """A node that leads, and one that does not, with a panel that each would ask by itself."""

    def __init__(self, house: House) -> None:
        house.store = InProcess(clock=house.clock)
        self.house = house
        self.store = house.store
        self.leader = house.catalog(PUBLISHED)
        house.sleep = Sleeper()  # each node has its own
        self.follower = house.catalog(PUBLISHED)
        self.follower.leads = lambda: False

    @property
    def asked(self) -> int:
        return self.house.alpha.asked.count("services")

    async def fetched(self, count: int) -> None:
        """The leader fetches a list of so many rows."""
        self.house.alpha.lists = [numbered(count)]
        self.house.clock.now += 300
        await self.leader.sync("alpha")


@pytest.fixture
async def nodes(house: House) -> Nodes:
    return Nodes(house)


async def sells(catalog: Catalog, count: int) -> None:
    """Wait until it sells so many services; the suite's time-out ends a wait that never does."""
    while len(catalog.services()) != count:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0)


async def test_the_node_that_leads_fetches_and_the_other_takes_it_at_once(nodes: Nodes) -> None:
    await nodes.follower.start()
    assert ids(nodes.follower) == []
    await nodes.leader.start()
    await sells(nodes.follower, 4)
    assert nodes.follower.ready
    assert nodes.asked == 1
    await nodes.fetched(6)
    await sells(nodes.follower, 6)
    assert nodes.asked == 2


async def test_a_list_that_is_the_same_is_younger_and_not_taken_anew(nodes: Nodes) -> None:
    await nodes.leader.start()
    await nodes.follower.start()
    await sells(nodes.follower, 4)
    panel = nodes.follower.panels["alpha"]
    rows, got = panel.rows, []
    get = nodes.store.get

    async def counted(key: str, *, large: bool = False) -> bytes | None:
        got.append(large)
        return await get(key)

    nodes.store.get = counted  # type: ignore[method-assign]
    await nodes.fetched(4)
    while panel.snapshot is None or panel.snapshot.fetched_ms != nodes.house.clock.ms():  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert panel.rows is rows
    assert True not in got, "the stamp was enough"


async def test_news_that_was_missed_is_looked_for_soon(nodes: Nodes) -> None:
    await nodes.leader.start()
    await nodes.follower.start()
    await sells(nodes.follower, 4)
    nodes.store._heard.clear()
    await nodes.fetched(6)
    assert await nodes.house.sleep.wake() == 5
    assert len(nodes.follower.services()) == 6
    assert nodes.asked == 2, "the follower asked for nothing"


async def test_without_a_store_the_follower_takes_what_the_ledger_has(nodes: Nodes, house: House) -> None:
    house.store, house.sleep = InProcess(clock=house.clock), Sleeper()
    alone = house.catalog(PUBLISHED)
    alone.leads = lambda: False
    await nodes.leader.start()
    await nodes.leader.until_ready()
    await alone.start()
    assert ids(alone) == [1, 2, 3, 4]
    await nodes.fetched(6)
    house.clock.now += 300
    await house.sleep.wake()
    assert ids(alone) == [1, 2, 3, 4, 5, 6]


async def test_a_node_that_comes_to_lead_fetches_for_itself(nodes: Nodes) -> None:
    nodes.house.alpha.lists = [numbered(5)]
    await nodes.follower.start()
    assert await nodes.house.sleep.asleep() == 5
    assert (nodes.asked, nodes.follower.ready) == (0, True)
    nodes.follower.leads = lambda: True
    await nodes.house.sleep.wake()
    assert (nodes.asked, len(nodes.follower.services())) == (1, 5)


async def test_what_another_version_says_ends_nothing(nodes: Nodes, logs: Logs) -> None:
    await nodes.leader.start()
    await nodes.follower.start()
    await sells(nodes.follower, 4)
    await nodes.store.publish("catalogue", b"of another version")
    await asyncio.sleep(0)
    assert [line["event"] for line in logs if line.get("outcome") == "not_understood"] == ["shared", "shared"]
    await nodes.fetched(6)
    await sells(nodes.follower, 6)


async def test_a_ledger_that_is_busy_while_a_follower_looks_is_told_and_asked_again(
    nodes: Nodes, house: House, logs: Logs
) -> None:
    house.alpha.lists = [silence()]
    house.ledger.busy = True
    await nodes.follower.start()
    assert ids(nodes.follower) == []
    await nodes.house.sleep.wake()
    assert "not_loaded" in [line.get("outcome") for line in logs]
