"""The web server around the program: a stop finishes what is being bought, or knows it to be unknown."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from gateway.app import Gateway

_KEEP_ALIVE_S: Final = 75  # longer than load balancers keep a connection, so that none is reset under a request
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """uvicorn, but a signal ends `serve` instead of the process, and /readyz turns first."""

    def __init__(self, gateway: Gateway, *, started: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                gateway.app,
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(gateway.settings.drain_s) + 1,
            )
        )
        self._gateway = gateway
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        self._gateway.draining = True
        self.handle_exit(number, None)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        OSError: the address cannot be had; the error names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(gateway: Gateway, listening: socket.socket, *, started: Callable[[str], None]) -> None:
    """Run an opened gateway on `listening` until SIGINT or SIGTERM; `started` is given the base URL once it sells."""
    await Server(gateway, started=lambda: started(url(listening))).serve(sockets=[listening])
