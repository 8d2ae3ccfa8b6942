"""Whichever worker is asked tells of all: what they count, dead ones too, and the gauges of those that live."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
import structlog
from prometheus_client import Gauge, Metric, values
from prometheus_client.multiprocess import MultiProcessCollector

from gateway import together
from gateway.cli import workers
from gateway.metrics import Metrics
from gateway.settings import PREFIX
from tests import databases
from tests.house import PATIENCE_S, House, Node, house
from tests.running import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


class Workers:
    """Several in this process: which of them it is just now, is who was asked for last."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._running: dict[int, tuple[type, Metrics]] = {}

    def __getitem__(self, number: int) -> Metrics:
        if number not in self._running:
            together.join(self._folder, number)
            self._running[number] = values.ValueClass, Metrics(self._folder)
        values.ValueClass, metrics = self._running[number]
        return metrics

    def end(self, number: int) -> None:
        del self._running[number]
        together.forget(self._folder, number)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workers:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    return Workers(tmp_path)


def told(text: str, name: str) -> float:
    """All samples of that name; one that bears a label of a process would be a series of its own for each worker."""
    assert "pid=" not in text
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))


def test_a_gauge_says_how_those_of_several_workers_become_one() -> None:
    gauges = [one for one in vars(Metrics()).values() if isinstance(one, Gauge)]
    assert len(gauges) > 10
    modes = {one._name: one._multiprocess_mode for one in gauges}
    assert {name: mode for name, mode in modes.items() if f"gauge_{mode}" not in together.KINDS} == {}


def test_one_process_has_its_own_and_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = Metrics(), Metrics()
    first.busy.inc()
    first.shared(is_set=True, is_there=True, all_nodes=7, this_node=1)
    first.shared(is_set=True, is_there=True, all_nodes=9, this_node=1)
    assert told(first.text().decode(), "panelmux_ledger_busy_total") == 1
    assert told(second.text().decode(), "panelmux_ledger_busy_total") == 0
    assert 'panelmux_turns{of="all_nodes"} 9.0' in first.text().decode()
    assert list(tmp_path.iterdir()) == []
    assert workers.counting({}) is None


def test_workers_are_told_as_one(worker: Workers) -> None:
    for many in (1, 2):
        metrics = worker[many]
        metrics.attempts.labels("p0", "accepted").inc(many)
        metrics.connections.set(10 * many)
        metrics.behind.set(many)
        metrics.leads.set(many == 1)
        metrics.rules_taken.set(many == 1)
        metrics.writable.set(many == 1)
        metrics.unknown(many, oldest_s=many, cost=Decimal(many))
        metrics.panel(
            "p0", funds=Decimal(many), score=many / 2, latency_s=many, is_open=many == 1, is_stopped=many == 1
        )
    text = worker[1].text().decode()
    assert worker[2].text().decode() == text
    expected = {
        "attempts_total": 3,
        "edge_connections": 30,
        "edge_behind_seconds": 2,
        "leads": 1,
        "rules_taken": 0,
        "ledger_writable": 0,
        "unknown_attempts": 2,
        "unknown_cost": 2,
        "panel_funds": 2,
        "panel_health": 0.5,
        "panel_latency_seconds": 2,
        "panel_circuit_open": 0,
        "panel_stopped": 1,
    }
    assert {name: told(text, f"panelmux_{name}") for name in expected} == expected


def test_what_all_read_is_as_the_last_of_them_read_it(worker: Workers) -> None:
    assert "panelmux_waiting_orders 0" not in worker[1].text().decode(), "nobody has looked"
    worker[1].waiting.set(5)
    assert told(worker[2].text().decode(), "panelmux_waiting_orders") == 5
    worker[2].waiting.set(3)
    assert told(worker[1].text().decode(), "panelmux_waiting_orders") == 3


def test_who_ended_has_counted_and_has_no_gauges(tmp_path: Path, worker: Workers) -> None:
    for number in (1, 2):
        worker[number].busy.inc(5)
        worker[number].connections.set(10)
        worker[number].rules_taken.set(number == 1)
        worker[number].shared(is_set=True, is_there=True, all_nodes=100, this_node=0)
    worker.end(2)
    text = worker[1].text().decode()
    assert told(text, "panelmux_ledger_busy_total") == 10
    assert told(text, "panelmux_turns") == 200
    assert told(text, "panelmux_edge_connections") == 10
    assert told(text, "panelmux_rules_taken") == 1
    files = sorted(tmp_path.iterdir())
    for _ in range(5):
        worker[2].busy.inc()
        worker[2].shared(is_set=True, is_there=True, all_nodes=1, this_node=0)
        assert told(worker[2].text().decode(), "panelmux_edge_connections") == 10
        worker.end(2)
    text = worker[1].text().decode()
    assert told(text, "panelmux_ledger_busy_total") == 15
    assert told(text, "panelmux_turns") == 205
    assert sorted(tmp_path.iterdir()) == files, "no more of them however often it is started anew"


def test_one_that_is_being_started_spoils_no_answer(worker: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    text, replace, write = worker[1].text, Path.replace, Path.write_bytes
    asked = []

    def empty(self: Path, content: bytes) -> int:
        self.touch()
        asked.append(text())
        return write(self, content)

    def asked_around(self: Path, target: Path) -> Path:
        asked.append(text())
        made = replace(self, target)
        asked.append(text())
        return made

    monkeypatch.setattr(Path, "write_bytes", empty)
    monkeypatch.setattr(Path, "replace", asked_around)
    worker[2].busy.inc()
    assert len(asked) == 3 * len(together.KINDS)
    assert told(text().decode(), "panelmux_ledger_busy_total") == 1


def test_more_than_there_was_room_for(worker: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_ROOM", 8192)
    for number in range(500):
        worker[2].refusals.labels(f"p{number}", "other").inc()
    assert told(worker[1].text().decode(), "panelmux_refusals_total") == 500


def test_without_room_a_worker_tells_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = values.ValueClass
    environ = {PREFIX + workers.FOLDER: str(tmp_path / "gone"), PREFIX + workers.WORKER: "1"}
    with structlog.testing.capture_logs() as logs:
        assert workers.counting(environ) is None
    assert [line["outcome"] for line in logs] == ["apart"]
    assert values.ValueClass is before


def test_the_folder_is_nobody_elses_and_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with workers.folder() as name:
        assert name is not None
        assert Path(name).stat().st_mode & 0o777 == 0o700
        together._make_room(Path(name, "counter_1.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["gone", "odd[0-9]"])
def test_where_no_folder_can_be_workers_sell_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "odd[0-9]").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
    with structlog.testing.capture_logs() as logs, workers.folder() as name:
        assert name is None
    assert [line["outcome"] for line in logs] == ["apart"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[str]:
    url = databases.postgres(tmp_path)
    yield url
    databases.drop(url)


async def asked(node: Node) -> str:
    """By whichever worker comes first: a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"{node.url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def sold_each(made: House, parent: Node, folder: Path) -> None:
    """Each worker sells something while the other one stands still, and nothing is under way."""
    for number in (1, 2):
        before = each(folder, "counter", "panelmux_attempts")[number - 1]

        async def did(number: int = number, before: float = before) -> bool:
            await sold_one(made, parent)
            return each(folder, "counter", "panelmux_attempts")[number - 1] > before

        other = worker_of(parent, 3 - number)
        os.kill(other, signal.SIGSTOP)
        try:
            await until(did, for_s=PATIENCE_S)
        finally:
            os.kill(other, signal.SIGCONT)


async def sold_one(made: House, parent: Node) -> None:
    async with aiohttp.ClientSession() as session:
        await made.asked(session, parent, next(made._links))


def each(folder: Path, kind: str, metric: str) -> list[float]:
    """The sum of a metric in each worker's own file."""
    merge: Callable[[list[str]], Iterable[Metric]] = MultiProcessCollector.merge
    read = [merge([str(folder / f"{kind}_{number}.db")]) for number in (1, 2)]
    return [sum(one.value for found in own if found.name == metric for one in found.samples) for own in read]


@contextlib.asynccontextmanager
async def resting(node: Node, many: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connections that were answered and stay open."""
    opened = [await asyncio.open_connection("127.0.0.1", int(node.url.rpartition(":")[2])) for _ in range(many)]
    try:
        for reader, writer in opened:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"}")
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()


def worker_of(parent: Node, number: int) -> int:
    """Its process."""
    return next(pid for pid in parent.children if variable(pid, PREFIX + workers.WORKER) == str(number))


def variable(pid: int, name: str) -> str:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next(pair for pair in pairs if pair.startswith(f"{name}=")).partition("=")[2]


async def test_a_worker_that_is_killed_leaves_its_counts_and_takes_its_gauges(tmp_path: Path, ledger: str) -> None:
    async with house(tmp_path, ledger) as made:
        parent = await made.serve("a", WORKERS="2")

        async def are_two() -> bool:
            return len(parent.children) == 2 and sum(lives for _, lives, _ in await made.known()) == 2

        await until(are_two, for_s=PATIENCE_S)
        folder = Path(variable(parent.children[0], PREFIX + workers.FOLDER))
        await sold_each(made, parent, folder)
        bought = len(made.boxes[0].journal)
        for _ in range(20):
            assert told(await asked(parent), "panelmux_attempts_total") == bought

        async with resting(parent, 30) as held:

            async def are_told() -> bool:
                """Beside those that rest, who asks now; and who asked the other worker last, until that takes note."""
                open_now = sum(not one.at_eof() and one.exception() is None for one in held)
                return told(await asked(parent), "panelmux_edge_connections") - open_now in {1, 2}

            await until(are_told, for_s=PATIENCE_S)
            having = each(folder, "gauge_livesum", "panelmux_edge_connections")
            victim = worker_of(parent, having.index(max(having)) + 1)
            nodes = len(await made.known())
            os.kill(victim, signal.SIGKILL)

            async def is_anew() -> bool:
                assert told(await asked_of_any(parent), "panelmux_attempts_total") == bought, "back, or twice"
                return len(await made.known()) > nodes and await are_two()

            await until(is_anew, for_s=PATIENCE_S)
            await until(are_told, for_s=PATIENCE_S)
        await sold_each(made, parent, folder)
        bought = len(made.boxes[0].journal)
        assert told(await asked(parent), "panelmux_attempts_total") == bought
        await made.stop(parent)
        assert not await asyncio.to_thread(folder.exists)


async def asked_of_any(node: Node) -> str:
    """As often as it takes: a connection that the killed worker had taken is lost."""
    while True:
        try:
            return await asked(node)
        except aiohttp.ClientConnectionError:
            continue
