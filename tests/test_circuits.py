"""Circuits of all nodes: open at one, open at all; one probe for all; each by itself where nobody can be asked."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

from gateway.catalog.balances import Balances
from gateway.circuits import PROBE_S, Circuits
from gateway.health import IN_A_ROW
from gateway.panels import Panel
from gateway.rules import model
from gateway.shared import InProcess, Shared
from providers.base import Action, Balance
from providers.errors import Full, ProviderError, Reason, Refused, Throttled, Unanswered
from tests.servers import Valkey
from tests.test_catalog.fakes import Clock, FakeProvider, Sleeper
from tests.test_shared.nodes import opened, until

pytestmark = pytest.mark.anyio

DOWN = Unanswered("HTTP 502", panel="alpha", action="add")


class Node:
    """A panel as one node knows it, and its circuits."""

    def __init__(self, store: Shared, clock: Clock, *, url: str = "https://alpha.example/api/v2") -> None:
        self.provider = FakeProvider()
        self.clock = clock
        said = model.Panel(url=url, key="a-secret-key")
        self.panel = Panel("alpha", said, self.provider, clock=clock, draw=lambda: 0.5)
        self.circuits = Circuits(store, clock=clock, now_ms=clock.ms)
        self.circuits.watch({"alpha": self.panel})
        self.sleep = Sleeper()
        self.balances = Balances(
            self.panel, every_s=1e6, probing=self.circuits, clock=clock, sleep=self.sleep, draw=lambda: 0.5
        )

    def fails(self, error: ProviderError = DOWN, times: int = IN_A_ROW, action: Action = "add") -> None:
        for _ in range(times):
            self.panel.noted(action, error, 0.1)

    @property
    def closed(self) -> bool:
        return self.panel.closed(self.clock.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> InProcess:
    return InProcess(clock=clock)


async def told(*nodes: Node) -> None:
    """All is told and heard that there is."""
    for node in nodes:
        await node.circuits.once()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_circuit_that_opens_at_one_node_opens_at_the_others(store: InProcess, clock: Clock) -> None:
    one, other, elsewhere = Node(store, clock), Node(store, clock), Node(store, clock, url="https://beta.example")
    one.fails()
    assert (one.closed, other.closed) == (False, True)
    await told(one)
    assert (one.closed, other.closed, elsewhere.closed) == (False, False, True)
    assert other.panel.adds.probe_s == pytest.approx(one.panel.adds.probe_s)
    assert (one.circuits.told, other.circuits.heard) == (1, 1)


async def test_one_node_makes_the_probe_and_all_go_by_what_it_finds(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    one.fails()
    await told(one)
    for pauses in range(3):
        probe_s = one.panel.adds.probe_s
        assert probe_s is not None
        clock.now = probe_s
        assert [await node.circuits.may_probe(node.panel) for node in (other, one, other)] == [True, False, False]
        other.panel.noted("balance", DOWN if pauses < 2 else None, 0.1)
        await other.circuits.probed(other.panel)
        assert not await one.circuits.may_probe(one.panel), "it was made, and is only not heard of yet"
        await told(other)
        assert one.closed == other.closed == (pauses == 2)
        assert one.panel.adds.pause_s == other.panel.adds.pause_s
    assert one.panel.ramp(clock.now) == pytest.approx(0.1), "who comes back is not run over"


async def test_of_nodes_that_follow_balances_one_asks_a_panel_that_is_down(store: InProcess, clock: Clock) -> None:
    nodes = [Node(store, clock) for _ in range(3)]
    tasks = [asyncio.create_task(node.balances.follow()) for node in nodes]
    for node in nodes:
        await node.sleep.asleep(short=True)
        node.provider.asked.clear()
        node.provider.balances = [DOWN]
    nodes[0].fails()
    await told(nodes[0])
    for _ in range(3):
        clock.now += 600
        for node in nodes:
            await node.sleep.wake(short=True)
        await told(*nodes)
    assert sum(len(node.provider.asked) for node in nodes) == 3
    nodes[1].provider.balances = nodes[0].provider.balances = nodes[2].provider.balances = [Balance(Decimal(1), "USD")]
    clock.now += 600
    for node in nodes:
        await node.sleep.wake(short=True)
    await told(*nodes)
    assert [node.closed for node in nodes] == [True] * 3
    assert sum(len(node.provider.asked) for node in nodes) == 4
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_probe_whose_node_died_is_made_by_another(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    one.fails()
    await told(one)
    clock.now += 10
    assert await one.circuits.may_probe(one.panel)
    assert not await other.circuits.may_probe(other.panel)
    clock.now += PROBE_S
    assert await other.circuits.may_probe(other.panel)


async def test_a_probe_that_was_not_sent_is_left_to_whoever_comes_next(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    one.fails()
    await told(one)
    clock.now += 10
    assert await one.circuits.may_probe(one.panel)
    one.panel.noted("balance", Full("no turn", panel="alpha", action="balance"), 0.0)
    await one.circuits.probed(one.panel)
    assert await other.circuits.may_probe(other.panel)


async def test_where_no_probe_is_due_none_is_made(store: InProcess, clock: Clock) -> None:
    one = Node(store, clock)
    assert not await one.circuits.may_probe(one.panel)
    one.fails()
    assert not await one.circuits.may_probe(one.panel)


async def test_a_node_that_starts_later_asks_what_is_open(store: InProcess, clock: Clock) -> None:
    one = Node(store, clock)
    one.fails()
    await told(one)
    clock.now += 2
    late = Node(store, clock)
    await told(late)
    assert not late.closed
    assert late.panel.adds.probe_s == pytest.approx(one.panel.adds.probe_s)


async def test_what_was_missed_is_asked_for(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    await told(one, other)
    one.fails()
    store._heard.clear()  # a message that is lost on its way
    await told(one, other)
    assert other.closed
    other.circuits._hear(None)
    await told(other)
    assert not other.closed


async def test_two_that_open_at_once_agree_which_opening_it_was(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    one.fails()
    other.fails()
    await told(one, other)
    clock.now += 10
    assert sorted([await one.circuits.may_probe(one.panel), await other.circuits.may_probe(other.panel)]) == [
        False,
        True,
    ]


async def test_what_is_older_changes_nothing(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    heard: list[bytes | None] = []
    store.subscribe("circuits", heard.append)
    one.fails()
    await told(one)
    clock.now += 10
    one.panel.noted("balance", None, 0.1)
    await told(one)
    assert other.closed
    before = other.circuits.heard
    for message in heard:
        other.circuits._hear(message)
    assert other.closed
    assert other.circuits.heard == before
    other.circuits._hear(b"of another version")
    assert other.closed


async def test_a_service_that_is_refused_rests_at_all_nodes_until_one_sells_it(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    for _ in range(2):
        no = Refused("Incorrect service ID", Reason.SERVICE, panel="alpha", action="add")
        one.panel.noted("add", no, 0.1, remote_service="7")
    await told(one)
    assert not other.panel.route_closed("7", clock.now)
    assert other.closed
    clock.now += 10
    other.panel.noted("add", None, 0.1, remote_service="7")
    await told(other)
    assert one.panel.routes["7"].probe_s is None


async def test_a_panel_that_asks_to_be_left_alone_is_by_all_nodes(store: InProcess, clock: Clock) -> None:
    one, other = Node(store, clock), Node(store, clock)
    one.panel.noted("status", Throttled("later", panel="alpha", action="status", retry_after_s=60), 0.1)
    await told(one)
    assert other.panel.quiet_for(clock.now)
    clock.now += 61
    assert not other.panel.quiet_for(clock.now)
    assert other.closed


class TestRedis:
    @pytest.fixture
    def valkey(self) -> Iterator[Valkey]:
        with Valkey() as running:
            yield running

    async def test_nodes_go_on_each_by_itself_when_it_is_lost_and_together_when_it_is_back(
        self, valkey: Valkey, clock: Clock
    ) -> None:
        async with opened(valkey.url) as first, opened(valkey.url) as second:
            one, other = Node(first, clock), Node(second, clock)
            tasks = [asyncio.create_task(node.circuits.follow()) for node in (one, other)]
            one.fails()
            await until(lambda: not other.closed)
            clock.now += 10
            assert await one.circuits.may_probe(one.panel)
            assert not await other.circuits.may_probe(other.panel)
            valkey.kill()
            await until(lambda: not (first.epoch or second.epoch))
            assert await other.circuits.may_probe(other.panel)
            other.panel.noted("balance", None, 0.1)
            assert (one.closed, other.closed) == (False, True)
            valkey.start()
            await until(lambda: bool(first.epoch and second.epoch))
            assert await one.circuits.may_probe(one.panel)
            one.panel.noted("balance", None, 0.1)
            assert one.closed
            heard = other.circuits.heard
            while other.closed:  # news are heard again soon after the store is back
                one.fails()
                clock.now += 0.001
                await asyncio.sleep(0.01)
                one.panel.noted("balance", None, 0.1)
            assert other.circuits.heard > heard
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
