"""Several processes that sell on one listening socket: started, watched, started anew, and stopped together."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from gateway.settings import PREFIX

_log = structlog.get_logger()

FD: Final = "_LISTENING_FD"
"""Names the socket to a worker, in its environment, with our prefix."""

PARENT: Final = "_PARENT_FD"
"""Names a pipe that nobody writes to: it ends when the parent does."""

_FIRST_PAUSE_S: Final = 0.5
_PAUSE_S: Final = 15.0
_WELL_S: Final = 60.0  # who lived so long is started anew at once
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Workers:
    """`count` processes of this program with the same words, each under a node's name of its own."""

    def __init__(
        self, count: int, node: str, listening: socket.socket, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._count = count
        self._node = node
        self._listening = listening
        self._environ = environ
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._alive = os.pipe()
        self._code = 0

    async def run(self) -> int:
        """Until SIGINT or SIGTERM; gives the exit code, 0 where all ended well."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        await asyncio.gather(*(self._keep(number) for number in range(1, self._count + 1)))
        return self._code

    async def _keep(self, number: int) -> None:
        """One worker, started anew whenever it ended."""
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            process = self._running[number] = await self._start(number)
            code = await process.wait()
            del self._running[number]
            if self._stopping.is_set():
                self._code = self._code or max(code, 0)
                return
            if time.monotonic() - began >= _WELL_S:
                pause_s = _FIRST_PAUSE_S
            _log.error("worker", number=number, pid=process.pid, code=code, outcome="ended", again_in_s=pause_s)
            try:
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            except TimeoutError:
                pause_s = min(2 * pause_s, _PAUSE_S)

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        fd, alive = self._listening.fileno(), self._alive[0]
        own = {PREFIX + "WORKERS": "1", PREFIX + "NODE": f"{self._node}/{number}"}
        own |= {PREFIX + FD: str(fd), PREFIX + PARENT: str(alive)}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *sys.argv[1:],
            env={**self._environ, **own},
            pass_fds=(fd, alive),
            start_new_session=True,  # a Ctrl-C reaches them through us alone, once
        )

    def _stop(self, number: int) -> None:
        self._stopping.set()
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        for process in self._running.values():
            process.send_signal(number)


def given(environ: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The listening socket that the parent of this process opened; None where it has no such parent."""
    fd = environ.get(PREFIX + FD)
    return None if fd is None else socket.socket(fileno=int(fd))


def orphaned(then: Callable[[], None], environ: Mapping[str, str] = os.environ) -> None:
    """Call `then` when the parent of this process, if it has one, is gone: nobody would stop it any more."""
    fd = environ.get(PREFIX + PARENT)
    if fd is None:
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(int(fd))
        then()

    loop.add_reader(int(fd), ended)
