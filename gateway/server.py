"""The web server around the program: a request's head has its bounds, and a stop finishes what is being bought."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import Gateway
from gateway.door import Door, Seat
from gateway.door.crowd import State

HEAD_S: Final = 10.0
"""Seconds in which a request's head must arrive whole; also how long a connection may be open before it says a word."""

MAX_HEAD: Final = 128 * 1024
"""Bytes of a request that are not its body: 64 KiB for a URL, the parser's own bound, and as much for the rest."""

_OTHER_FILES: Final = 1024  # panels' connections, the ledger's, the log's
MOST_AHEAD: Final = 16
"""Requests that a connection may send before the first of them is answered."""

_KEEP_ALIVE_S: Final = 75  # longer than load balancers keep a connection, so that none is reset under a request
_UNTAKEN_MS: Final = 30_000
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_log = structlog.get_logger()


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol with bounds on what it would otherwise keep without end: URL, headers, trailers.

    The receipt of a body is timed by who reads it, the pause between two requests by uvicorn. Where there is a `door`,
    its crowd says whether there is room, and which connection gives way.
    """

    def __init__(self, *args: Any, door: Door | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door
        self._seat: Seat | None = None
        self._held = 0  # bytes of requests that are not whole
        self._size = 0  # of the present request without its body, bytes
        self._in_head = True
        self._in_body = False
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        if self._door is not None:
            caller = self._door.callers.of(self.client[0] if self.client else "")
            self._seat = self._door.crowd.come(None if caller.near else caller.site, transport.abort)
            if self._seat is None:
                transport.write(_FULL)
                transport.close()
                return
        self._late = self.loop.call_later(HEAD_S, self.shutdown)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        if self._door is not None and self._seat is not None:
            self._door.crowd.leave(self._seat)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # it was told that there is no room, or is being cut
            return
        self._size += len(data)
        if not self._in_body:
            self._in_head = True  # blank lines between two requests included, which begin none for the parser
        super().data_received(data)
        if self._size > MAX_HEAD:
            self.transport.abort()
        elif self._in_head and self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.shutdown)
        self._held += len(data)
        self._placed()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_AHEAD:
            self.transport.abort()
            raise BlockingIOError  # which ends the parsing of what was received
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

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():
            self.transport.close()  # the rest of a body that nobody wants, which nothing would time
        self._placed()

    def timeout_keep_alive_handler(self) -> None:
        """An answer that is still not taken after this time never will be."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _placed(self) -> None:
        """Say what the connection does now: a whole request is worked on, or it brings one, or it rests."""
        if self._door is None or self._seat is None:
            return
        cycle = self.cycle
        works = cycle is not None and not cycle.response_complete
        if works and not cycle.more_body:
            state: State = "working"
        else:
            state = "arriving" if works or self._late is not None else "resting"
        crowd, seat = self._door.crowd, self._seat
        if state != "arriving":
            self._held = 0
        if seat.state != state:
            crowd.turn(seat, state)
        if seat.held != self._held:
            crowd.hold(seat, self._held)

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
                http=partial(Bounded, door=gateway.door),  # type: ignore[arg-type] # it makes what uvicorn would
                proxy_headers=False,  # the door knows whom to believe
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
        self._gateway.door.crowd.most = room(self._gateway.settings.connections)
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
    # Who takes nothing of an answer for so long is gone; else a closed connection would keep it for ever.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
    return opened


def room(connections: int) -> int:
    """How many of so many connections there is room for: the system lets a process open no more files than it says.

    The bound is raised as far as that is ours to do; what panels and the ledger need is left free.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = max(soft - min(_OTHER_FILES, soft // 2), 1)
    _log.warning("connections", wanted=connections, room_for=most, hint="raise the limit of open files (LimitNOFILE=)")
    return most


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(gateway: Gateway, listening: socket.socket, *, started: Callable[[str], None]) -> None:
    """Run an opened gateway on `listening` until SIGINT or SIGTERM; `started` is given the base URL once it sells."""
    await Server(gateway, started=lambda: started(url(listening))).serve(sockets=[listening])
