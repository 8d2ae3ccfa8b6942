"""The parent of several processes: a program that stands in for the workers says what each of them does."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog

from gateway.cli import workers
from gateway.cli.workers import Workers
from gateway.settings import PREFIX
from tests.running import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

NOTED: Final = """\
import os, pathlib, signal, sys
signal.alarm(60)  # should its test fail, it stays no longer
mine = pathlib.Path(sys.argv[1], f"{os.getpid()}")
def note(word):
    mine.with_suffix("." + word).touch()
"""
DRAINS: Final = """\
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
note("ready")
signal.sigwait([signal.SIGTERM])
note("told")
signal.sigwait([signal.SIGUSR1])
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
async def running() -> AsyncIterator[list["asyncio.Task[int]"]]:
    """What is started here is stopped at the end, and no signal is left to it."""
    tasks: list[asyncio.Task[int]] = []
    yield tasks
    for task in tasks:
        if not task.done():
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)


def standing_in(
    folder: Path, listening: socket.socket, what: str, count: int = 2, *, metrics: Path | None = None
) -> Workers:
    program = (sys.executable, "-c", NOTED + what, str(folder))
    return Workers(count, "node", listening, folder=None if metrics is None else str(metrics), program=program)


def notes(folder: Path, word: str) -> list[int]:
    """The processes that noted a word."""
    return [int(path.stem) for path in folder.glob(f"*.{word}")]


async def noted(folder: Path, word: str, times: int) -> list[int]:
    """These, once there are so many."""

    async def are_there() -> bool:
        return len(notes(folder, word)) >= times

    await until(are_there)
    return notes(folder, word)


async def test_from_a_signal_on_the_parent_holds_no_copy_of_the_socket(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"]
) -> None:
    closes = f"os.close(int(os.environ['{PREFIX + workers.FD}']))\n"
    address = listening.getsockname()
    running.append(asyncio.create_task(standing_in(tmp_path, listening, closes + DRAINS).run()))
    drain = await noted(tmp_path, "ready", 2)
    os.kill(os.getpid(), signal.SIGTERM)
    await noted(tmp_path, "told", 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    assert not running[0].done(), "the drain goes on"
    for pid in drain:
        os.kill(pid, signal.SIGUSR1)
    assert await running[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_that_comes_while_a_worker_is_started_reaches_it(
    tmp_path: Path,
    listening: socket.socket,
    running: list["asyncio.Task[int]"],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    start = Workers._start

    async def slow(self: Workers, worker: int) -> asyncio.subprocess.Process:
        process = await start(self, worker)
        os.kill(os.getpid(), number)
        await self._stopping.wait()
        return process

    monkeypatch.setattr(Workers, "_start", slow)
    waits = "signal.sigwait([signal.SIGUSR1])\n"
    running.append(asyncio.create_task(standing_in(tmp_path, listening, waits).run()))
    async with asyncio.timeout(20):
        assert await running[0] == 0, "it had not begun to sell"


@pytest.mark.parametrize(("ends", "code"), [("os.kill(os.getpid(), 9)", 137), ("sys.exit(5)", 5), ("", 0)])
async def test_how_a_worker_ended_at_a_stop_is_told(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"], ends: str, code: int
) -> None:
    running.append(asyncio.create_task(standing_in(tmp_path, listening, DRAINS + ends).run()))
    pids = await noted(tmp_path, "ready", 2)
    os.kill(os.getpid(), signal.SIGTERM)
    await noted(tmp_path, "told", 2)
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
    assert await running[0] == code


async def test_a_signal_is_passed_on_though_one_worker_has_ended(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"]
) -> None:
    class Ended:
        def send_signal(self, _number: int) -> None:
            raise ProcessLookupError

    parent = standing_in(tmp_path, listening, DRAINS, count=1)
    parent._running[0] = Ended()  # type: ignore[assignment] # that it ended is not told yet
    running.append(asyncio.create_task(parent.run()))
    [pid] = await noted(tmp_path, "ready", 1)
    os.kill(os.getpid(), signal.SIGTERM)
    await noted(tmp_path, "told", 1)
    os.kill(pid, signal.SIGUSR1)
    assert await running[0] == 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_FIRST_PAUSE_S", 0.001)


@pytest.mark.usefixtures("quick")
async def test_workers_that_cannot_start_end_their_parent_with_their_code(
    tmp_path: Path, listening: socket.socket
) -> None:
    async with asyncio.timeout(30):
        assert await standing_in(tmp_path, listening, "note('tried')\nsys.exit(3)\n").run() == 3
    assert len(notes(tmp_path, "tried")) >= 6, "each was tried three times"
    assert listening.fileno() == -1, "the address is free"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "ends",
    [
        pytest.param("os.kill(os.getpid(), 9)\n", id="by a signal"),
        pytest.param("sys.exit(0 if number == '1' else 3)\n", id="one of them well"),
    ],
)
async def test_other_ends_are_no_reason_to_give_up(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"], ends: str
) -> None:
    number = f"number = os.environ['{PREFIX}NODE'].rpartition('/')[2]\nnote('tried')\n"
    running.append(asyncio.create_task(standing_in(tmp_path, listening, number + ends).run()))
    await noted(tmp_path, "tried", 12)
    assert not running[0].done()
    os.kill(os.getpid(), signal.SIGTERM)
    await running[0]


@pytest.mark.usefixtures("quick")
async def test_where_one_could_start_once_its_parent_goes_on(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_STARTED_S", 0.0)
    running.append(asyncio.create_task(standing_in(tmp_path, listening, "note('tried')\nsys.exit(3)\n").run()))
    await noted(tmp_path, "tried", 9)
    assert not running[0].done()
    os.kill(os.getpid(), signal.SIGTERM)
    await running[0]


async def test_pauses_stay_short_while_nobody_sells(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(workers, "_ALONE_S", 0.02)
    killed = "note('tried')\nos.kill(os.getpid(), 9)\n"
    with structlog.testing.capture_logs() as logs:
        running.append(asyncio.create_task(standing_in(tmp_path, listening, killed).run()))
        await noted(tmp_path, "tried", 12)
        os.kill(os.getpid(), signal.SIGTERM)
        await running[0]
    pauses = [line["again_in_s"] for line in logs if line.get("outcome") == "ended"]
    assert len(pauses) >= 10
    assert max(pauses) == 0.02


async def test_the_log_tells_the_process_of_each_worker(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"]
) -> None:
    names = f"note(os.environ['{PREFIX}NODE'].rpartition('/')[2])\n"
    with structlog.testing.capture_logs() as logs:
        running.append(asyncio.create_task(standing_in(tmp_path, listening, names + DRAINS).run()))
        pids = await noted(tmp_path, "ready", 2)
        os.kill(os.getpid(), signal.SIGTERM)
        await noted(tmp_path, "told", 2)
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        await running[0]
    told = {(line["number"], line["pid"]) for line in logs if line.get("outcome") == "started"}
    assert told == {(number, pid) for number in (1, 2) for pid in notes(tmp_path, str(number))}


@pytest.mark.usefixtures("quick")
async def test_one_that_is_started_anew_finds_what_was_counted_and_no_gauges(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"]
) -> None:
    found = f"""\
where, number = pathlib.Path(os.environ['{PREFIX + workers.FOLDER}']), os.environ['{PREFIX + workers.WORKER}']
counts, gauges = where / f'counter_{{number}}.db', where / f'gauge_livesum_{{number}}.db'
note('gauges' if gauges.exists() else 'counts' if counts.exists() else 'nothing')
counts.touch(), gauges.touch()
os.kill(os.getpid(), 9)
"""
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    running.append(asyncio.create_task(standing_in(tmp_path, listening, found, metrics=metrics).run()))
    await noted(tmp_path, "counts", 4)
    os.kill(os.getpid(), signal.SIGTERM)
    await running[0]
    assert len(notes(tmp_path, "nothing")) == 2, "each once"
    assert notes(tmp_path, "gauges") == []


@pytest.mark.usefixtures("quick")
async def test_gauges_that_cannot_be_removed_keep_no_worker_from_being_started_anew(
    tmp_path: Path, listening: socket.socket, running: list["asyncio.Task[int]"]
) -> None:
    found = f"""\
where, number = pathlib.Path(os.environ['{PREFIX + workers.FOLDER}']), os.environ['{PREFIX + workers.WORKER}']
(where / f'gauge_livesum_{{number}}.db').mkdir(exist_ok=True)
note('begun')
os.kill(os.getpid(), 9)
"""
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    running.append(asyncio.create_task(standing_in(tmp_path, listening, found, metrics=metrics).run()))
    await noted(tmp_path, "begun", 6)
    os.kill(os.getpid(), signal.SIGTERM)
    await running[0]


async def test_who_outlives_the_parent_removes_the_folder(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    reading, writing = os.pipe()
    try:
        gone = asyncio.Event()
        workers.orphaned(gone.set, {PREFIX + workers.PARENT: str(reading), PREFIX + workers.FOLDER: str(metrics)})
        assert metrics.exists()
        os.close(writing)
        await asyncio.wait_for(gone.wait(), 20)
        assert not metrics.exists()
    finally:
        os.close(reading)
