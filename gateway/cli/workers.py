"""Several processes that sell on one listening socket: started, watched, started anew, and stopped together."""

import asyncio
import contextlib
import glob
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import structlog

from gateway import together
from gateway.settings import PREFIX

_log = structlog.get_logger()

FD: Final = "_LISTENING_FD"
"""Names the socket to a worker, in its environment, with our prefix."""

PARENT: Final = "_PARENT_FD"
"""Names a pipe that nobody writes to: it ends when the parent does."""

FOLDER: Final = "_METRICS_FOLDER"
"""Names the folder in which the workers count, so that each can tell of all of them; absent = each tells of itself."""

WORKER: Final = "_WORKER"
"""A worker's number; one that is started anew has that of the one before it."""

_FIRST_PAUSE_S: Final = 0.5
_PAUSE_S: Final = 15.0
_ALONE_S: Final = 5.0  # the longest pause while no worker sells
_STARTED_S: Final = 10.0  # who lived so long could start
_TRIES: Final = 3  # of each worker, before it is said that none can start
_WELL_S: Final = 60.0  # who lived so long is started anew at once
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Workers:
    """`count` processes of this program with the same words, each under a node's name of its own."""

    def __init__(
        self,
        count: int,
        node: str,
        listening: socket.socket,
        environ: Mapping[str, str] = os.environ,
        *,
        folder: str | None = None,
        program: Sequence[str] = (),
    ) -> None:
        self._count = count
        self._node = node
        self._listening = listening
        self._environ = environ
        self._folder = folder
        self._program = program or (sys.executable, "-m", "gateway", *sys.argv[1:])
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._began: dict[int, float] = {}  # of those that run
        self._failed = dict.fromkeys(range(1, count + 1), 0)  # how often each ended with an exit code
        self._started = False  # some worker could start
        self._stopping = asyncio.Event()
        self._alive = os.pipe()
        self._code = 0

    async def run(self) -> int:
        """Until SIGINT or SIGTERM, or until no worker could start; gives the exit code, 0 where all ended well."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        await asyncio.gather(*(self._keep(number) for number in range(1, self._count + 1)))
        return self._code

    async def _keep(self, number: int) -> None:
        """One worker, started anew whenever it ended."""
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = self._began[number] = time.monotonic()
            process = self._running[number] = await self._start(number)
            _log.info("worker", number=number, pid=process.pid, outcome="started")
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
            self._forget(number)
            del self._running[number], self._began[number]
            lived_s = time.monotonic() - began
            if self._stopping.is_set():
                self._code = self._code or _told(code)
                return
            self._count_end(number, code, lived_s)
            if self._hopeless():
                _log.error("worker", number=number, pid=process.pid, code=code, outcome="cannot_start")
                self._code = code
                self._stop()
                return
            if lived_s >= _WELL_S:
                pause_s = _FIRST_PAUSE_S
            if not self._sells():
                pause_s = min(pause_s, _ALONE_S)
            _log.error("worker", number=number, pid=process.pid, code=code, outcome="ended", again_in_s=pause_s)
            try:
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            except TimeoutError:
                pause_s = min(2 * pause_s, _PAUSE_S)

    def _forget(self, number: int) -> None:
        """A worker ended: others tell of it no more. Nothing else may depend on that."""
        if self._folder is None:
            return
        try:
            together.forget(self._folder, number)
        except OSError as error:
            _log.warning("metrics", worker=number, outcome="kept", why=str(error))

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        fd, alive = self._listening.fileno(), self._alive[0]
        own = {PREFIX + "WORKERS": "1", PREFIX + "NODE": f"{self._node}/{number}"}
        own |= {PREFIX + FD: str(fd), PREFIX + PARENT: str(alive)}
        if self._folder is not None:
            own |= {PREFIX + FOLDER: self._folder, PREFIX + WORKER: str(number)}
        return await asyncio.create_subprocess_exec(
            *self._program,
            env={**self._environ, **own},
            pass_fds=(fd, alive),
            start_new_session=True,  # a Ctrl-C reaches them through us alone, once
        )

    def _count_end(self, number: int, code: int, lived_s: float) -> None:
        self._started = self._started or lived_s >= _STARTED_S
        if code > 0:
            self._failed[number] += 1

    def _hopeless(self) -> bool:
        """No worker ever lived for long, and each ended by itself often enough."""
        return not (self._started or self._sells()) and min(self._failed.values()) >= _TRIES

    def _sells(self) -> bool:
        return any(time.monotonic() - began >= _STARTED_S for began in self._began.values())

    def _stop(self) -> None:
        """New calls are refused at once: our copy of the socket goes now, a worker's when it drains."""
        self._stopping.set()
        self._listening.close()
        self._pass_on(signal.SIGTERM)  # a Ctrl-C is the same to a worker, but not while it starts

    def _pass_on(self, number: int) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)


def _told(code: int) -> int:
    """The exit code that a worker's end at a stop is worth. One that our signal killed had not begun to sell."""
    if code == -signal.SIGTERM:
        return 0
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def folder() -> Iterator[str | None]:
    """A folder of ours alone in which workers count, gone at the end; None, which the log tells, where none can be."""
    try:
        made = tempfile.TemporaryDirectory(prefix="panelmux-", ignore_cleanup_errors=True)
    except OSError as error:
        _log.warning("metrics", outcome="apart", why=str(error), then="each worker tells of itself alone")
        yield None
        return
    with made as name:
        if glob.escape(name) != name:  # in such a folder nothing would be found again
            _log.warning("metrics", outcome="apart", why=f"TMPDIR: {name}", then="each worker tells of itself alone")
        yield name if glob.escape(name) == name else None


def counting(environ: Mapping[str, str] = os.environ) -> str | None:
    """Count in the folder that the parent of this process made; gives it, None where there is none or no room in it."""
    name = environ.get(PREFIX + FOLDER)
    if name is None:
        return None
    try:
        together.join(name, int(environ[PREFIX + WORKER]))
    except OSError as error:
        _log.warning("metrics", outcome="apart", why=str(error), then="this worker tells of itself alone")
        return None
    return name


def given(environ: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The listening socket that the parent of this process opened; None where it has no such parent."""
    fd = environ.get(PREFIX + FD)
    return None if fd is None else socket.socket(fileno=int(fd))


def orphaned(then: Callable[[], None], environ: Mapping[str, str] = os.environ) -> None:
    """Call `then` when the parent of this process, if it has one, is gone: nobody would stop it any more.

    Nor would anybody remove the folder in which it counts; what is open there stays open.
    """
    fd = environ.get(PREFIX + PARENT)
    if fd is None:
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(int(fd))
        if PREFIX + FOLDER in environ:
            shutil.rmtree(environ[PREFIX + FOLDER], ignore_errors=True)
        then()

    loop.add_reader(int(fd), ended)
