"""One request's body read whole within its caps, and one answer sent."""

from collections.abc import Callable
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.api_v2.deadline import Deadline
from gateway.errors import BadForm

MAX_BODY: Final = 256 * 1024
"""Bytes of a body, and of a query."""

_DRAIN: Final = 4 * MAX_BODY
"""Bytes read (and dropped) of a body that is too large, so that its sender comes to read why it was refused."""

Headers = tuple[tuple[bytes, bytes], ...]

JSON: Final[Headers] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class Gone(Exception):
    """The client left before its request was whole."""


class TooLarge(BadForm):
    def __init__(self) -> None:
        super().__init__(f"Incorrect request: larger than {MAX_BODY // 1024} KiB")


class Answer(msgspec.Struct, frozen=True):
    """One answer.

    Attributes:
        close: the request was not read to its end, and its connection cannot carry another.
        heard: called once the answer was written to a client who was still there.
    """

    body: bytes
    status: int = 200
    headers: Headers = JSON
    close: bool = False
    heard: Callable[[], None] | None = None


def silence(status: int, *, close: bool = False) -> Answer:
    """An answer without a body: buyers take it for a passing fault, and ask again."""
    return Answer(b"", status, ((b"cache-control", b"no-store"),), close=close)


class Receipt:
    """Reads bodies, each within `seconds` and a little."""

    def __init__(self, seconds: float) -> None:
        self._deadline = Deadline(seconds)

    async def body(self, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            TooLarge: above `MAX_BODY`.
            TimeoutError: not whole in time.
            Gone: the client left.
        """
        return await self._deadline.of(_whole(receive))


async def _whole(receive: Receive) -> bytes:
    """The caps count what arrives, not what a header announces."""
    chunks, size, more = [], 0, True
    while more and size <= _DRAIN:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
    if size > MAX_BODY:
        raise TooLarge
    return b"".join(chunks)


def header(scope: Scope, name: bytes) -> bytes:
    """The value of a request's header; empty where there is none."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for found, value in headers:
        if found == name:
            return value
    return b""


async def send_answer(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    if answer.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
