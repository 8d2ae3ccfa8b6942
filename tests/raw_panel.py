"""A panel of bare sockets: every reply of it is scripted, byte by byte, and everything it was sent is kept."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

import msgspec

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Request(msgspec.Struct, frozen=True):
    """One request as it arrived."""

    head: bytes
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Line(msgspec.Struct):
    """One connection: what an act works on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Act(msgspec.Struct, frozen=True):
    """One entry of the script: `play` answers, and says whether the connection stays; `reads` = of a request first."""

    play: Callable[[Line], Awaitable[bool]]
    reads: bool = True


def answer(body: bytes | str = b"{}", *, status: int = 200, headers: str = "", keep: bool = True) -> Act:
    """A whole answer; `headers` are lines with CRLF."""
    content = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    return raw(head.encode() + content, end="keep" if keep else "fin")


def raw(data: bytes, *, end: str = "fin") -> Act:
    """Just these bytes, then `end`: "fin", "rst", "hang" until the other side goes, or "keep" for another request."""

    async def play(line: Line) -> bool:
        await line.send(data)
        if end == "rst":
            line.reset()
        elif end == "hang":
            await line.reader.read()
        return end == "keep"

    return Act(play)


def silence() -> Act:
    return raw(b"", end="hang")


def hang_up(*, after: int = 0, reset: bool = False) -> Act:
    """Close after so many bytes of the request, read or not."""

    async def play(line: Line) -> bool:
        if after:
            await line.reader.readexactly(after)
        if reset:
            line.reset()
        return False

    return Act(play, reads=False)


def trickle(start: bytes, piece: bytes, *, every_s: float = 0.005) -> Act:
    """`start`, then `piece` after `piece` until the other side goes."""

    async def play(line: Line) -> bool:
        await line.send(start)
        while True:
            await line.send(piece)
            await asyncio.sleep(every_s)

    return Act(play)


class RawPanel:
    """Plays its script, one act a request; the last act is played again for all that follow."""

    def __init__(self, *script: Act, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{port}/api/v2"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def heard(self, requests: int = 1) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < requests:
            self._heard.clear()
            await self._heard.wait()

    async def gone(self) -> None:
        """Wait until no connection is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._served(Line(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _served(self, line: Line) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._turn(line):
                    pass
        finally:
            line.writer.close()
            with contextlib.suppress(OSError):
                await line.writer.wait_closed()

    async def _turn(self, line: Line) -> bool:
        act = self.script[0]
        if not act.reads:
            self._next()
            return await act.play(line)
        head = await line.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        self.requests.append(Request(head, await line.reader.readexactly(length)))
        self._heard.set()
        return await self._next().play(line)

    def _next(self) -> Act:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def closed_port() -> str:
    """An address on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/api/v2"
