"""The web server around the program: a request's head has its bounds, and a stop finishes what is being bought."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import Gateway

HEAD_S: Final = 10.0
"""Seconds in which a request's head must arrive whole; also how long a connection may be open before it says a word."""

MAX_HEAD: Final = 128 * 1024
"""Bytes of a request that are not its body: 64 KiB for a URL, the parser's own bound, and as much for the rest."""

_KEEP_ALIVE_S: Final = 75  # longer than load balancers keep a connection, so that none is reset under a request
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_log = structlog.get_logger()


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol with bounds on what it would otherwise keep without end: URL, headers, trailers.

    The receipt of a body is timed by who reads it, the pause between two requests by uvicorn.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._size = 0  # of the present request without its body, bytes
        self._in_head = True
        self._in_body = False
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_S, self.shutdown)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if not self._in_body:
            self._in_head = True  # blank lines between two requests included, which begin none for the parser
        super().data_received(data)
        if self._size > MAX_HEAD:
            self.transport.abort()
        elif self._in_head and self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.shutdown)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._in_time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._size -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._size, self._in_body = 0, False
        super().on_message_complete()

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """uvicorn, but a signal ends `serve` instead of the process, and /readyz turns first.

    After a signal, orders that are being bought have `drain_s` in all; a second signal ends their time at once.
    """

    def __init__(self, gateway: Gateway, *, started: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                gateway.app,
                http=Bounded,
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
        """Until the loop's own end: the gateway waits for its orders after the server has gone."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        if self.should_exit:
            self._hurry()
            return
        self._gateway.draining = True
        longest_s, open = self._gateway.settings.drain_s, self._gateway.orders.open
        _log.info("stopping", buying=open, longest_s=longest_s, hint="a second signal leaves what is bought unknown")
        asyncio.get_running_loop().call_later(longest_s, self._hurry)
        self.handle_exit(number, None)

    def _hurry(self) -> None:
        self.force_exit = True
        self._gateway.hurry.set()


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        OSError: the address cannot be had; the error names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.create_server((host, port), family=family, backlog=2048)
    # asyncio does this only where the socket says its protocol, which these do not. Without it the body of an answer
    # waits 40 ms until the customer's machine has confirmed the head.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(gateway: Gateway, listening: socket.socket, *, started: Callable[[str], None]) -> None:
    """Run an opened gateway on `listening` until SIGINT or SIGTERM; `started` is given the base URL once it sells."""
    await Server(gateway, started=lambda: started(url(listening))).serve(sockets=[listening])
