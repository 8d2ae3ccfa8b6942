"""How one panel's list is kept: guarded, shared among nodes, kept over restarts, whatever fails."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import msgspec
import pytest

from gateway.catalog.aside import Aside
from gateway.catalog.sync import Outcome, Sync, pause_s
from gateway.panels import Panel, unpack
from gateway.shared import InProcess, Shared
from providers.base import Services, Skipped
from providers.errors import Reason, Refused, Throttled
from tests.servers import Valkey
from tests.test_catalog.fakes import (
    Clock,
    FakeLedger,
    FakeProvider,
    Logs,
    listing,
    numbered,
    panels,
    row,
    rules,
    silence,
)
from tests.test_shared.nodes import opened

pytestmark = pytest.mark.anyio

EVERY_S = 300.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture(params=["in_process", "redis"])
async def store(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Shared]:
    if request.param == "in_process":
        yield InProcess(clock=clock)
    else:
        valkey: Valkey = request.getfixturevalue("server")
        valkey.ask("FLUSHALL")
        async with opened(valkey.url) as real:
            yield real


class Node:
    """One process: its own panel and its own sync over a store that others may share."""

    def __init__(self, provider: FakeProvider, ledger: FakeLedger, store: Shared, clock: Clock) -> None:
        self.provider = provider
        self.panel: Panel = panels(rules("alpha"), clock, alpha=provider)["alpha"]
        self.sync = Sync(
            self.panel,
            ledger,
            store,
            every_s=EVERY_S,
            aside=Aside(),
            together=asyncio.Semaphore(8),
            clock=clock,
            now_ms=clock.ms,
        )

    async def outcome(self) -> Outcome:
        return (await self.sync.once()).outcome


@pytest.fixture
def node(ledger: FakeLedger, clock: Clock) -> Node:
    return Node(FakeProvider(numbered(10)), ledger, InProcess(clock=clock), clock)


async def again(node: Node, clock: Clock, *lists: Services | Exception) -> Outcome:
    """The next sync, after the interval, with these lists."""
    node.provider.lists = list(lists)
    clock.now += EVERY_S
    return await node.outcome()


async def test_a_first_list_is_taken_kept_and_told(node: Node, ledger: FakeLedger, clock: Clock, logs: Logs) -> None:
    node.provider.lists = [Services(rows=numbered(10).rows, skipped=(Skipped("#11", "no rate"),))]
    assert await node.outcome() is Outcome.NEW
    snapshot = node.panel.snapshot
    assert snapshot is not None
    assert (snapshot.panel, snapshot.fetched_ms, len(snapshot.rows)) == ("alpha", clock.ms(), 10)
    assert node.panel.rows["3"] == row("3")
    assert unpack(ledger.snapshots["alpha"]) == snapshot
    expected = {"panel": "alpha", "outcome": "new", "rows": 10, "skipped": 1, "event": "catalogue", "log_level": "info"}
    assert logs == [expected]


async def test_an_unchanged_list_is_younger_and_keeps_its_rows(node: Node, ledger: FakeLedger, clock: Clock) -> None:
    await node.outcome()
    rows = node.panel.rows
    assert await again(node, clock, numbered(10)) is Outcome.SAME
    assert node.panel.rows is rows
    assert node.panel.snapshot is not None
    assert node.panel.snapshot.fetched_ms == clock.ms()
    assert len(ledger.kept_ms) == 1


async def test_a_changed_list_replaces_the_last(node: Node, ledger: FakeLedger, clock: Clock) -> None:
    await node.outcome()
    assert await again(node, clock, numbered(9, rate=Decimal(2))) is Outcome.NEW
    assert node.panel.rows["1"].rate == 2
    assert "10" not in node.panel.rows
    assert len(ledger.kept_ms) == 2


@pytest.mark.parametrize(
    "broken",
    [Services(rows=()), numbered(4), Services(rows=(), skipped=(Skipped("#1", "no id"),))],
    ids=["empty", "halved", "unreadable"],
)
async def test_a_list_held_back_changes_nothing_and_is_told(
    node: Node, ledger: FakeLedger, clock: Clock, logs: Logs, broken: Services
) -> None:
    await node.outcome()
    before = node.panel.snapshot
    assert await again(node, clock, broken) is Outcome.HELD_BACK
    assert node.panel.snapshot is before
    assert len(ledger.kept_ms) == 1
    assert (logs[-1]["outcome"], logs[-1]["log_level"], logs[-1]["rows"]) == ("held_back", "error", 10)
    assert logs[-1]["why"]


async def test_a_shrunken_list_is_taken_when_people_accept_it(node: Node, clock: Clock) -> None:
    await node.outcome()
    assert await again(node, clock, numbered(4)) is Outcome.HELD_BACK
    assert (await node.sync.once(forced=True, accept=True)).outcome is Outcome.NEW
    assert len(node.panel.rows) == 4


async def test_nobody_can_accept_an_empty_list(node: Node) -> None:
    await node.outcome()
    node.provider.lists = [Services(rows=())]
    assert (await node.sync.once(forced=True, accept=True)).outcome is Outcome.HELD_BACK


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (silence(), "HTTP 502"),
        (Refused("Invalid API key", Reason.KEY, panel="alpha", action="services"), "Invalid API key"),
        (RuntimeError("a dialect's own mistake"), "RuntimeError: a dialect's own mistake"),
    ],
)
async def test_a_failure_keeps_the_last_list_and_is_told(
    node: Node, clock: Clock, logs: Logs, error: Exception, why: str
) -> None:
    await node.outcome()
    before = node.panel.snapshot
    assert await again(node, clock, error) is Outcome.FAILED
    assert node.panel.snapshot is before
    assert (logs[-1]["outcome"], logs[-1]["log_level"], logs[-1]["why"]) == ("failed", "warning", why)
    assert "key-of-alpha" not in repr(logs)


async def test_a_fetch_speaks_for_or_against_the_panels_health(node: Node, clock: Clock) -> None:
    await node.outcome()
    assert (node.panel.reads.streak, node.panel.reads.latency_s) == (1, 0.0)
    await again(node, clock, silence())
    assert node.panel.reads.streak == -1


@pytest.mark.parametrize(("retry_after_s", "later_s"), [(900.0, 900.0), (None, EVERY_S)])
async def test_a_panel_that_asks_for_patience_gets_it(node: Node, retry_after_s: float | None, later_s: float) -> None:
    node.provider.lists = [Throttled("slow down", panel="alpha", action="services", retry_after_s=retry_after_s)]
    synced = await node.sync.once()
    assert (synced.outcome, synced.later_s, synced.good) == (Outcome.FAILED, later_s, False)


async def test_calls_at_the_same_time_share_one_fetch(node: Node) -> None:
    node.provider.held = asyncio.Event()
    calls = [asyncio.create_task(node.sync.once(forced=True)) for _ in range(5)]
    await asyncio.sleep(0)
    node.provider.held.set()
    assert {(await call).outcome for call in calls} == {Outcome.NEW}
    assert node.provider.asked == ["services"]


class TestRestart:
    async def test_the_last_good_list_is_loaded_from_the_ledger(
        self, node: Node, ledger: FakeLedger, clock: Clock
    ) -> None:
        await node.outcome()
        later = Node(FakeProvider(silence()), ledger, InProcess(clock=clock), clock)
        await later.sync.load()
        assert later.panel.snapshot == node.panel.snapshot
        assert later.panel.rows == node.panel.rows

    async def test_what_is_known_already_is_not_loaded(self, node: Node, ledger: FakeLedger) -> None:
        await node.outcome()
        before = node.panel.snapshot
        ledger.snapshots.clear()
        await node.sync.load()
        assert node.panel.snapshot is before

    async def test_a_list_of_another_site_is_not_loaded(self, node: Node, ledger: FakeLedger, clock: Clock) -> None:
        await node.outcome()
        moved = Node(FakeProvider(silence()), ledger, InProcess(clock=clock), clock)
        moved.panel.source = "another site"
        await moved.sync.load()
        assert moved.panel.snapshot is None

    @pytest.mark.parametrize("trouble", ["busy", "garbage"])
    async def test_a_ledger_that_cannot_give_it_stops_nothing(
        self, node: Node, ledger: FakeLedger, logs: Logs, trouble: str
    ) -> None:
        ledger.snapshots["alpha"] = b"garbage"
        ledger.busy = trouble == "busy"
        await node.sync.load()
        assert node.panel.snapshot is None
        assert [line["outcome"] for line in logs] == ["not_loaded"]

    async def test_a_list_that_could_not_be_kept_is_kept_later(
        self, node: Node, ledger: FakeLedger, clock: Clock, logs: Logs
    ) -> None:
        ledger.busy = True
        assert await node.outcome() is Outcome.NEW
        assert [line["outcome"] for line in logs] == ["not_kept", "new"]
        ledger.busy = False
        assert await again(node, clock, numbered(10)) is Outcome.SAME
        assert ledger.kept_ms == [clock.ms()]


class TestNodes:
    async def test_one_node_fetches_and_the_other_takes_it(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        other = Node(FakeProvider(numbered(10)), ledger, store, clock)
        assert [await one.outcome(), await other.outcome()] == [Outcome.NEW, Outcome.TAKEN]
        assert other.panel.snapshot == one.panel.snapshot
        assert other.panel.rows == one.panel.rows
        assert other.provider.asked == []

    async def test_a_node_that_has_the_list_waits_for_its_turn(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        assert [await one.outcome(), await one.outcome()] == [Outcome.NEW, Outcome.ELSEWHERE]
        assert one.provider.asked == ["services"]

    async def test_people_need_not_wait_for_a_turn(self, store: Shared, ledger: FakeLedger, clock: Clock) -> None:
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        await one.outcome()
        assert (await one.sync.once(forced=True)).outcome is Outcome.SAME

    async def test_a_failed_fetch_leaves_the_turn_to_the_other_node(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one, other = await self.two_with_a_list(store, ledger, clock)
        one.provider.lists = [silence()]
        assert [await one.outcome(), await other.outcome()] == [Outcome.FAILED, Outcome.SAME]

    async def test_a_younger_list_of_another_node_replaces_an_older_one(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one, other = await self.two_with_a_list(store, ledger, clock)
        one.provider.lists = [numbered(11)]
        assert [await one.outcome(), await other.outcome()] == [Outcome.NEW, Outcome.TAKEN]
        assert len(other.panel.rows) == 11

    async def two_with_a_list(self, store: Shared, ledger: FakeLedger, clock: Clock) -> tuple[Node, Node]:
        """Two nodes that know the panel's list, the interval over, and nobody's turn."""
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        other = Node(FakeProvider(numbered(10)), ledger, store, clock)
        assert [await one.outcome(), await other.outcome()] == [Outcome.NEW, Outcome.TAKEN]
        await store.release(f"catalogue:alpha:{one.panel.source}")
        clock.now += EVERY_S
        return one, other

    async def test_a_node_without_any_list_does_not_wait_for_the_other(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        await store.claim(f"catalogue:alpha:{one.panel.source}", 60)
        assert await one.outcome() is Outcome.NEW

    async def test_a_node_whose_list_is_old_does_not_wait_either(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        await one.outcome()
        clock.now += 2 * EVERY_S + 1
        await store.claim(f"catalogue:alpha:{one.panel.source}", 60)
        assert await one.outcome() is Outcome.SAME
        assert one.provider.asked == ["services", "services"]

    async def test_what_nobody_can_unpack_is_as_good_as_nothing(
        self, store: Shared, ledger: FakeLedger, clock: Clock
    ) -> None:
        one = Node(FakeProvider(numbered(10)), ledger, store, clock)
        key = f"catalogue:alpha:{one.panel.source}"
        await store.claim(key, 60)
        await store.put(key, b"of another version", 60)
        assert await one.outcome() is Outcome.NEW

    async def test_without_redis_each_node_fetches_for_itself(self, ledger: FakeLedger, clock: Clock) -> None:
        async with opened("redis://127.0.0.1:1/0", there=False) as gone:
            nodes = [Node(FakeProvider(numbered(10)), ledger, gone, clock) for _ in range(2)]
            assert [await node.outcome() for node in nodes] == [Outcome.NEW, Outcome.NEW]


def test_of_two_rows_with_one_id_the_first_counts(clock: Clock, ledger: FakeLedger) -> None:
    twice = listing(row("1", name="first"), row("1", name="second"))
    node = Node(FakeProvider(twice), ledger, InProcess(), clock)
    asyncio.run(node.outcome())
    assert node.panel.rows["1"].name == "first"


async def test_computing_is_done_off_the_loop_and_one_piece_at_a_time() -> None:
    aside, loop_thread = Aside(), threading.get_ident()
    first_began, first_may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> int:
        first_began.set()
        first_may_end.wait()
        order.append("first")
        return threading.get_ident()

    def second() -> int:
        order.append("second")
        return threading.get_ident()

    one = asyncio.create_task(aside(first))
    while not first_began.is_set():  # noqa: ASYNC110 - another thread tells
        await asyncio.sleep(0)
    other = asyncio.create_task(aside(second))
    await asyncio.sleep(0)
    first_may_end.set()
    assert loop_thread not in {await one, await other}
    assert order == ["first", "second"]


class TestPause:
    def test_a_good_sync_is_followed_after_the_interval_give_or_take_a_tenth(self) -> None:
        assert [pause_s(300, 0, None, draw) for draw in (0.0, 0.5, 1.0)] == pytest.approx([270, 300, 330])

    def test_failures_double_the_pause_up_to_the_interval(self) -> None:
        assert [pause_s(300, failures, None, 0.5) for failures in range(1, 9)] == pytest.approx(
            [5, 10, 20, 40, 80, 160, 300, 300]
        )
        assert pause_s(300, 10**6, None, 0.5) == pytest.approx(300)

    def test_a_short_interval_is_never_exceeded(self) -> None:
        assert pause_s(1, 3, None, 0.5) == pytest.approx(1)

    def test_what_the_panel_asks_for_is_the_least(self) -> None:
        assert pause_s(300, 1, 900, 0.5) == 900


class TestMoves:
    """What moved too far waits, and what people say yes to is taken."""

    @staticmethod
    def priced(rate: str) -> Services:
        return listing(row("1", rate=Decimal(rate)), row("2"), row("3"))

    async def test_a_jump_waits_and_is_named_once(self, node: Node, clock: Clock, logs: Logs) -> None:
        await again(node, clock, self.priced("1"))
        for _ in range(3):
            assert await again(node, clock, self.priced("5")) in {Outcome.NEW, Outcome.SAME}
        assert node.panel.rows["1"].rate == 1
        assert node.panel.held_for("1") == "its rate was 1.00 and is 5.00"
        assert [line.get("outcome") for line in logs].count("rows_held") == 1
        await again(node, clock, self.priced("1"))
        assert not node.panel.held_for("1")

    async def test_small_steps_in_a_day_are_a_large_one_and_on_another_day_they_are_not(
        self, node: Node, clock: Clock
    ) -> None:
        await again(node, clock, self.priced("1"))
        for rate in ("1.8", "1.9"):
            await again(node, clock, self.priced(rate))
            assert node.panel.rows["1"].rate == Decimal(rate)
        await again(node, clock, self.priced("3"))
        assert node.panel.held_for("1") == "its rate was 1.00 and is 3.00"
        clock.now += 86_400
        await again(node, clock, self.priced("3"))
        assert (node.panel.rows["1"].rate, node.panel.held_for("1")) == (Decimal(3), "")

    async def test_what_is_approved_is_taken_and_may_move_on_from_there(
        self, node: Node, clock: Clock, ledger: FakeLedger
    ) -> None:
        await again(node, clock, self.priced("1"))
        await again(node, clock, self.priced("5"))
        ledger.approvals["1"] = msgspec.json.encode(row("1", rate=Decimal(5))).decode()
        await again(node, clock, self.priced("5"))
        assert (node.panel.rows["1"].rate, node.panel.held_for("1")) == (Decimal(5), "")
        assert ledger.changes == [["1"]]
        await again(node, clock, self.priced("9"))
        assert node.panel.rows["1"].rate == 9

    async def test_a_list_that_is_accepted_whole_is_taken_whole(self, node: Node, clock: Clock) -> None:
        await again(node, clock, self.priced("1"))
        node.provider.lists = [self.priced("50")]
        await node.sync.once(forced=True, accept=True)
        assert (node.panel.rows["1"].rate, node.panel.held_for("1")) == (Decimal(50), "")
        await again(node, clock, self.priced("60"))
        assert node.panel.rows["1"].rate == 60

    async def test_approvals_that_cannot_be_read_leave_it_waiting(
        self, node: Node, clock: Clock, ledger: FakeLedger
    ) -> None:
        await again(node, clock, self.priced("1"))
        ledger.busy = True
        await again(node, clock, self.priced("5"))
        assert node.panel.held_for("1")

    async def test_what_waits_still_waits_after_a_start(self, node: Node, clock: Clock, ledger: FakeLedger) -> None:
        await again(node, clock, self.priced("1"))
        await again(node, clock, self.priced("5"))
        later = Node(FakeProvider(self.priced("5")), ledger, InProcess(clock=clock), clock)
        await later.sync.load()
        assert later.panel.held_for("1") == "its rate was 1.00 and is 5.00"
