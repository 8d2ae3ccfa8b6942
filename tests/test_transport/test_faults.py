"""Every way in which a call can fail below HTTP, and what it proves of an `add`."""

import asyncio
import inspect
import socket
import ssl
from typing import Any

import pytest
from aiohttp import client_exceptions

from providers.base import Action
from providers.errors import Unanswered, Unsent
from providers.transport import Reply, Transport
from providers.transport.session import Call
from tests.raw_panel import HEAD, Act, RawPanel, answer, closed_port, hang_up, raw, silence, trickle
from tests.test_transport.calling import SILENT, UNREACHED, Naps, failure, no_address, transport

pytestmark = pytest.mark.anyio


def chunked(data: bytes) -> Act:
    return raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + data)


MAYBE_DONE = {
    "reset after accept": hang_up(reset=True),
    "fin after accept": hang_up(),
    "reset in the middle of the request": hang_up(after=10, reset=True),
    "done, then fin": raw(b""),
    "done, then reset": raw(b"", end="rst"),
    "done, then silence": silence(),
    "part of the headers": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "part of the headers, then silence": raw(b"HTTP/1.1 200 OK\r\nContent-", end="hang"),
    "headers, then silence": raw(HEAD + b"Content-Length: 20\r\n\r\n", end="hang"),
    "not HTTP": raw(b"220 mail ready\r\n\r\n"),
    "a bad status line": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a body shorter than it said": raw(HEAD + b'Content-Length: 50\r\n\r\n{"order": 23501}'),
    "a bad chunk at once": chunked(b"zz\r\n"),
    "a bad chunk later": chunked(b'5\r\n{"ord\r\nzz\r\n'),
    "chunks without an end": chunked(b'10\r\n{"order": 23501}\r\n'),
    "corrupt gzip": answer(b"not gzip", headers="Content-Encoding: gzip\r\n"),
    "a header of 20 KB": raw(HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n{}"),
    "500 headers": raw(HEAD + b"".join(b"X-%d: y\r\n" % i for i in range(500)) + b"\r\n{}"),
    "too long a body": answer(b"[" + b" " * 70_000 + b"]"),
    "a body that never ends": trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "headers that never end": trickle(HEAD, b"X: y\r\n"),
    "101": raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", end="hang"),
}


@pytest.mark.parametrize("situation", MAYBE_DONE)
async def test_the_panel_may_have_acted_and_is_not_asked_again(situation: str) -> None:
    async with RawPanel(MAYBE_DONE[situation]) as panel:
        fault = await failure(panel.url, limits=SILENT)
        await panel.gone()  # and the socket is given back
    assert type(fault) is Unanswered
    assert fault.evidence["phase"] in {"sent", "answering", "answered"}
    assert panel.connections == 1
    assert len(panel.requests) <= 1


@pytest.mark.parametrize("action", ["add", "refill", "cancel"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 522, 524, 527, 599, 300, 305])
async def test_a_write_that_the_panel_may_have_done_is_sent_once(action: Action, status: int) -> None:
    async with RawPanel(answer(status=status)) as panel:
        fault = await failure(panel.url, action)
    assert type(fault) is Unanswered
    assert fault.evidence["http"] == status
    assert len(panel.requests) == 1


async def test_an_id_in_half_an_answer_is_kept_as_evidence() -> None:
    async with RawPanel(MAYBE_DONE["a body shorter than it said"]) as panel:
        fault = await failure(panel.url)
    assert fault.evidence["body"] == '{"order": 23501}'
    assert fault.evidence["http"] == 200
    assert fault.evidence["phase"] == "answering"
    assert fault.evidence["error"] == "ClientPayloadError"


async def never(*_: object, **__: object) -> object:
    return await asyncio.Event().wait()


async def test_nothing_left_when_nobody_listens() -> None:
    naps = Naps()
    fault = await failure(closed_port(), sleep=naps)
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"
    assert len(naps.seconds) == 2  # three tries: a write goes again when no connection came about


async def test_nothing_left_when_the_name_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = no_address(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
    fault = await failure("http://panel.example/api/v2")
    assert isinstance(fault, Unsent)
    assert fault.evidence["error"] == "ClientConnectorDNSError"


async def test_nothing_left_when_the_lookup_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", never)
    naps = Naps()
    fault = await failure("http://panel.example/api/v2", limits=UNREACHED, sleep=naps)
    assert isinstance(fault, Unsent)
    assert fault.evidence["error"] == "ConnectionTimeoutError"
    assert naps.seconds == []  # who waited once goes to the next offer


async def test_nothing_left_when_the_resolver_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", no_address(TypeError("odd")))
    assert isinstance(await failure("http://panel.example/api/v2"), Unsent)


async def test_nothing_left_into_a_black_hole() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = [socket.socket() for _ in range(4)]
        for sock in queued:
            sock.setblocking(False)
            sock.connect_ex(address)
        fault = await failure(f"http://127.0.0.1:{address[1]}/api/v2", limits=UNREACHED)
        for sock in queued:
            sock.close()
    assert isinstance(fault, Unsent)
    assert fault.evidence["error"] == "ConnectionTimeoutError"


async def test_nothing_left_with_a_link_that_no_form_can_carry() -> None:
    async with RawPanel(answer()) as panel, transport(panel.url) as line:
        with pytest.raises(Unsent):
            await line.send("add", {"link": "\ud800"})
    assert panel.connections == 0


LOWER = [
    kind
    for _, kind in inspect.getmembers(client_exceptions, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == client_exceptions.__name__
]
ODD = [TimeoutError, OSError, ValueError, TypeError, MemoryError, RecursionError, ssl.SSLError, asyncio.QueueFull]


@pytest.mark.parametrize("kind", [*LOWER, *ODD], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("left", [True, False], ids=["sent", "not sent"])
async def test_no_lower_exception_passes_and_only_the_phase_decides(
    kind: type[Exception], left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent: Any = type(
        kind.__name__, (kind,), {"__str__": lambda _: "scripted"}
    )  # some want a whole request to be made
    fault: Exception = silent.__new__(silent)
    sends = 0

    async def exchange(_: Transport, call: Call, __: bytes) -> Reply:
        nonlocal sends
        sends += 1
        if left:
            call.left()
        raise fault

    monkeypatch.setattr(Transport, "_exchange", exchange)
    caught = await failure("http://panel.example/api/v2")
    assert isinstance(caught, Unanswered if left else Unsent)
    assert caught.evidence["error"] == kind.__name__
    assert sends == 1 or not left
