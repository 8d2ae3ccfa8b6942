"""Sockets for a panel: keep-alive HTTP that can also be reset, cut short or left hanging at any byte."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, cast

import msgspec

from providers.sandbox import wire
from providers.sandbox.wire import Answer, Head, Malformed

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_DRIP_EVERY_S: Final = 0.02
_BACKLOG: Final = 1024  # connections


class Turn(msgspec.Struct, frozen=True):
    """A request that was taken in: `act` does what was asked, once `wait_s` seconds have passed."""

    act: Callable[[], Answer]
    wait_s: float = 0


class Panel(Protocol):
    """What stands behind the sockets."""

    def greet(self) -> Answer | None:
        """A connection is there; None to listen to it."""
        ...

    def receive(self, request: Head, body: bytes) -> Turn: ...


class Listener:
    """A port that can be closed and opened again; while it is closed, connections to it are refused."""

    def __init__(self, panel: Panel, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.panel = panel
        self.connections: set[_Connection] = set()
        self._held: socket.socket | None = None  # bound and deaf: keeps the port while we refuse
        self._heard: socket.socket | None = None
        self._arriving: set[asyncio.Task[object]] = set()
        self._timers: set[asyncio.TimerHandle] = set()

    async def listen(self) -> None:
        heard = self._heard = self._held or self._bound()
        self._held = None
        heard.listen(_BACKLOG)
        heard.setblocking(False)
        asyncio.get_running_loop().add_reader(heard.fileno(), self._accept, heard)

    @property
    def is_open(self) -> bool:
        return self._heard is not None

    def stop(self) -> None:
        """Refuse connections and reset those there are; the port stays ours."""
        self._turn_deaf()
        if self._held is None:
            self._held = self._bound()
        self._reset_all()

    async def close(self) -> None:
        self._turn_deaf()
        if self._held is not None:
            self._held.close()
        for timer in self._timers:
            timer.cancel()
        while self._arriving or self.connections:
            self._reset_all()
            await asyncio.sleep(0)

    def _accept(self, heard: socket.socket) -> None:
        """Let one connection in. asyncio's own server forgets those that arrive as it closes."""
        try:
            arrived, _ = heard.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        arrived.setblocking(False)
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(loop.connect_accepted_socket(lambda: _Connection(self), arrived))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _turn_deaf(self) -> None:
        if self._heard is not None:
            asyncio.get_running_loop().remove_reader(self._heard.fileno())
            self._heard.close()
            self._heard = None

    def _reset_all(self) -> None:
        for connection in tuple(self.connections):
            connection.reset()

    def later(self, after_s: float, act: Callable[[], None]) -> None:
        """Act after so long, unless the listener is closed by then."""

        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(after_s, fire)
        self._timers.add(timer)

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((self.host, self.port))
        except OSError:
            held.close()
            raise
        self.port = held.getsockname()[1]
        return held


class _Connection(asyncio.Protocol):
    """One connection: requests one after another, each answered before the next is looked at."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._buffer = bytearray()
        self._head: Head | None = None
        self._is_busy = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # what create_server gives, whatever its class is called
        if not self._listener.is_open:  # accepted just before
            self.reset()
            return
        self._listener.connections.add(self)
        greeting = self._listener.panel.greet()
        if greeting is not None:
            self._is_busy = True
            self._write(greeting, keep_alive=False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop names it
        self._listener.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_busy:
            self._next()

    def reset(self) -> None:
        """Close so that the other side reads a reset."""
        sock = self._transport.get_extra_info("socket")
        if not self._transport.is_closing():
            with socket.socket(fileno=os.dup(sock.fileno())) as same:  # not every event loop's socket sets options
                same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _next(self) -> None:
        try:
            while not self._is_busy and not self._transport.is_closing() and self._read():
                pass
        except Malformed as exc:
            self._transport.write(wire.response(b"", exc.code, extra=("Connection: close",)))
            self._transport.close()

    def _read(self) -> bool:
        """Take one request from the buffer, if all of it is there."""
        request = self._head
        if request is None:
            request = self._head = wire.head(self._buffer)
            if request is None:
                return False
            if request.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        end = request.head_size + request.body_size
        if len(self._buffer) < end:
            return False
        body = bytes(self._buffer[request.head_size : end])
        del self._buffer[:end]
        self._head, self._is_busy = None, True
        turn = self._listener.panel.receive(request, body)
        if turn.wait_s:
            self._listener.later(turn.wait_s, partial(self._act, turn, keep_alive=request.keep_alive))
        else:
            self._act(turn, keep_alive=request.keep_alive)
        return True

    def _act(self, turn: Turn, *, keep_alive: bool) -> None:
        """Do what was asked, even when nobody waits for it any more."""
        answer = turn.act()
        if answer.wait_s:
            self._listener.later(answer.wait_s, partial(self._write, answer, keep_alive=keep_alive))
        else:
            self._write(answer, keep_alive=keep_alive)

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        if self._transport.is_closing():
            return
        if answer.raw:
            self._transport.write(answer.raw)
        if answer.drip_s:
            self._drip(answer.drip_s)
        elif answer.then == "reset":
            self.reset()
        elif answer.then == "fin" or (answer.then == "keep" and not keep_alive):
            self._transport.close()
        elif answer.then == "keep":
            self._is_busy = False
            if self._buffer:
                self._listener.later(0, self._next)

    def _drip(self, left_s: float) -> None:
        if self._transport.is_closing():
            return
        if left_s <= 0:
            self.reset()
            return
        self._transport.write(b"1\r\n \r\n")
        self._listener.later(_DRIP_EVERY_S, partial(self._drip, left_s - _DRIP_EVERY_S))
