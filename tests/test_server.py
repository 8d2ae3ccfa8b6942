"""The web server: what a request's head may be, over bare sockets, and what the signals do."""

import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import structlog
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from gateway import server
from gateway.rules.model import Publish, Rules
from gateway.server import MAX_HEAD, MOST_AHEAD, Bounded
from providers.sandbox import Sandbox
from tests import wares
from tests.running import Selling, panel, selling, until

pytestmark = pytest.mark.anyio

POST: Final = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
GET: Final = b"GET /?a=1 HTTP/1.1\r\nhost: x\r\n\r\n"
SLOW: Final = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"
LAST: Final = b"GET /?a=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
QUIET_S: Final = 60.0  # longer than any test here lasts


class Site:
    """An application that tells how long the query and the body were; at /slow once `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.entered = asyncio.Event()
        self.port = 0
        self.state = ServerState()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        if scope["path"] == "/slow":
            await self.go.wait()
        size, more = 0, scope["path"] != "/unread"
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        told = b"query=%d body=%d;" % (len(scope["query_string"]), size)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
        await send({"type": "http.response.body", "body": told})

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def sent(self, *pieces: bytes) -> bytes:
        """Write the pieces; gives all that comes until the server closes, whichever way it does."""
        async with self.connection() as (reader, writer):
            return await _all(reader, writer, *pieces)


async def _all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *pieces: bytes) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(QUIET_S / 2):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            while chunk := await reader.read(65_536):
                got += chunk
    return got


def told(answers: bytes) -> list[bytes]:
    return re.findall(rb"query=\d+ body=\d+(?=;)", answers)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    config = uvicorn.Config(site, http=Bounded, lifespan="off", log_config=None, access_log=False)
    config.load()
    listening = await asyncio.get_running_loop().create_server(
        lambda: Bounded(config=config, server_state=site.state, app_state={}), "127.0.0.1", 0
    )
    site.port = listening.sockets[0].getsockname()[1]
    yield site
    site.go.set()
    listening.close()
    async with asyncio.timeout(10):
        while site.state.connections or site.state.tasks:  # noqa: ASYNC110 - uvicorn tells of neither
            await asyncio.sleep(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close can only come from the count of bytes."""
    monkeypatch.setattr(server, "HEAD_S", QUIET_S)


def endless(piece: bytes) -> Iterator[bytes]:
    """More than any socket buffers: who does not close at the bound has read it all, and waits."""
    yield from [piece * (65_536 // len(piece))] * 400


# Bytes


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "start",
    [
        *(b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nx: ", b"GET /?", b"\r\n"),
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",  # and then trailers
        b"POST /unread HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        POST + b"GET / HTTP/1.1\r\n",
    ],
)
async def test_a_head_without_end_is_cut_off(site: Site, start: bytes) -> None:
    line = b"a:b\r\n" if start.endswith(b"\n") and start != b"\r\n" else b"\r\n" if start == b"\r\n" else b"x"
    async with asyncio.timeout(QUIET_S / 2):
        await site.sent(start, *endless(line))


@pytest.mark.usefixtures("patient")
async def test_a_head_is_taken_up_to_its_bound_and_no_further(site: Site) -> None:
    def request(size: int) -> bytes:
        head = b"GET / HTTP/1.1\r\nconnection: close\r\nx: "
        return head + b"y" * (size - len(head) - 4) + b"\r\n\r\n"

    async with asyncio.timeout(QUIET_S / 2):
        assert told(await site.sent(request(MAX_HEAD))) == [b"query=0 body=0"]
        unfinished = request(MAX_HEAD + 5)[:-4]
        assert await site.sent(unfinished) == b""


async def test_a_form_of_sixty_kilobytes_may_stand_in_a_query(site: Site) -> None:
    request = LAST.replace(b"a=1", b"a=" + b"1" * 60_000)
    assert told(await site.sent(request)) == [b"query=60002 body=0"]


async def test_bodies_are_not_counted_however_large(site: Site) -> None:
    size = 16 * MAX_HEAD
    plain = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"1000\r\n%s\r\n" % (b"x" * 4096) * (size // 4096) + b"0\r\n\r\n"
    answers = await site.sent(plain + b"x" * size, chunked + chunks, LAST)
    assert told(answers) == [b"query=0 body=%d" % size] * 2 + [b"query=3 body=0"]


async def test_what_many_requests_send_is_not_added_up(site: Site) -> None:
    big = GET.replace(b"host: x", b"host: x\r\nx: " + b"y" * 40_000)
    assert told(await site.sent(*[big] * 10, LAST)) == [b"query=3 body=0"] * 11


async def test_pipelined_requests_are_answered_in_order_in_whatever_pieces_they_come(site: Site) -> None:
    stream = POST + GET + POST + b"\r\n" + POST + LAST
    expected = [b"query=%d body=%d" % sizes for sizes in ((0, 3), (3, 0), (0, 3), (0, 3), (3, 0))]
    assert told(await site.sent(stream)) == expected
    assert told(await site.sent(*[stream[at : at + 1] for at in range(len(stream))])) == expected


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests a connection had in its line, each time that one more began."""
    seen: list[int] = []
    begin = Bounded.on_message_begin

    def began(self: Bounded) -> None:
        try:
            begin(self)
        finally:
            seen.append(len(self.pipeline))

    monkeypatch.setattr(Bounded, "on_message_begin", began)
    return seen


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("first", [SLOW, GET])
async def test_who_sends_requests_by_the_thousand_before_an_answer_is_cut(
    site: Site, ahead: list[int], first: bytes
) -> None:
    assert told(await site.sent(first + GET * 40_000)) == []
    assert max(ahead) == MOST_AHEAD, "no more of them are kept"
    assert len(ahead) < 2 * MOST_AHEAD, "nor is what else was received looked at"


@pytest.mark.usefixtures("patient")
async def test_ten_requests_before_the_first_answer_are_all_served(site: Site, ahead: list[int]) -> None:
    async with site.connection() as (reader, writer):
        answers = asyncio.create_task(_all(reader, writer, SLOW + GET * 8 + LAST))

        async def are_in_line() -> bool:
            return len(ahead) == 10

        await until(are_in_line)
        site.go.set()
        assert told(await answers) == [b"query=0 body=0"] + [b"query=3 body=0"] * 9


# Time


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("start", [b"", b"GET", b"GET / HTTP/1.1\r\nhost: x\r\n", b"\r\n"])
async def test_a_connection_whose_head_does_not_come_is_closed(site: Site, start: bytes) -> None:
    assert await site.sent(start) == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("between", [b"GET", b"\r\n"])
async def test_the_second_head_has_its_time_too(site: Site, between: bytes) -> None:
    async with site.connection() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b";")
        assert await _all(reader, writer, between) == b""
    assert told(await site.sent(POST + b"GET")) == [b"query=0 body=3"]


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_rests_between_two_requests_is_kept(site: Site) -> None:
    async with site.connection() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b";")
        await site.sent()  # a silent connection, opened later, has come and gone
        assert told(await _all(reader, writer, LAST)) == [b"query=3 body=0"]


@pytest.mark.usefixtures("impatient")
async def test_a_body_and_an_answer_may_take_longer_than_a_head(site: Site) -> None:
    async with site.connection() as (reader, writer):
        writer.write(POST.replace(b" / ", b" /slow ")[:-1])
        await site.entered.wait()
        await site.sent()
        writer.write(b"c")
        site.go.set()
        assert told(await reader.readuntil(b";")) == [b"query=0 body=3"]


@pytest.mark.usefixtures("impatient")
async def test_half_a_request_behind_one_that_is_being_answered_does_not_cost_its_answer(site: Site) -> None:
    async with site.connection() as (reader, writer):
        writer.write(POST.replace(b" / ", b" /slow ") + b"GET")
        await site.entered.wait()
        await site.sent()
        site.go.set()
        assert told(await _all(reader, writer)) == [b"query=0 body=3"]


@pytest.mark.usefixtures("patient")
async def test_no_timer_is_left_behind(site: Site) -> None:
    async with site.connection() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b";")
        (open,) = site.state.connections
        assert isinstance(open, Bounded)
        assert open._late is None
        writer.write(b"GET")
        await until(lambda: _true(open._late))
    await until(lambda: _true(not site.state.connections))
    assert open._late is None


async def _true(what: object) -> bool:
    return bool(what)


async def test_an_answer_does_not_wait_for_the_customers_machine_between_its_head_and_its_body() -> None:
    with server.listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()[:2]):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_an_answer_that_is_not_taken_does_not_keep_its_connection(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.connection() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b";")
        (open,) = site.state.connections
        assert isinstance(open, Bounded)
        stuffed = _Stuffed(open.transport)
        monkeypatch.setattr(open, "transport", stuffed)
        open.timeout_keep_alive_handler()
        assert await reader.read() == b""
        assert stuffed.aborted


class _Stuffed:
    """A transport whose peer takes nothing."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        return 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (1_024, 1_048_576, 4_096, 5_120),
        (1_024, 3_024, 2_000, 3_024),
        (1_024, 1_024, 512, 1_024),
        (65_536, 65_536, 4_096, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4_096, None),
        (1_024, resource.RLIM_INFINITY, 4_096, 5_120),
    ],
)
def test_there_is_room_for_as_many_connections_as_the_system_lets_files_be_open(
    soft: int, hard: int, room: int, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert server.room(4_096) == room
    assert asked == ([] if raised is None else [(raised, hard)])


# Signals


@contextlib.asynccontextmanager
async def buying(folder: Path, *, drain_s: float, sync_wait_s: float = QUIET_S) -> AsyncIterator[Selling]:
    """A gateway with one `add` at a panel that will not answer; its customer waits `sync_wait_s`."""
    box = Sandbox("p1", key="panel-key", catalogue=wares.services(), faults="add:silence_after")
    async with box.serve() as url:
        rules = Rules(panels={"p1": panel(url)}, publish=(Publish(panel="p1"),))
        waits = {"drain_s": drain_s, "sync_wait_s": sync_wait_s, "status_s": QUIET_S}
        async with selling(rules, folder, overrides=waits) as shop:
            await shop.gateway.catalog.until_ready()
            add = asyncio.create_task(_add(shop))
            await until(lambda: _true(box.sends["add"]))
            yield shop
        await add


async def _add(shop: Selling) -> None:
    with contextlib.suppress(aiohttp.ClientError):  # its connection may go with the server
        await shop.call("add", service=1, link=wares.LINK, quantity=20)


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def _drained(shop: Selling) -> None:
    """Until the stopped server and the gateway's own wait are over."""
    await until(lambda: _true(shop.gateway.hurry.is_set()))


async def test_a_signal_says_at_once_what_it_waits_for_and_a_second_ends_the_waiting(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(QUIET_S / 2), buying(tmp_path, drain_s=QUIET_S) as shop:
            _interrupt()
            await until(lambda: _true(_events(logs, "stopping")))
            assert shop.gateway.draining
            assert not shop.gateway.hurry.is_set()
            _interrupt()
            await _drained(shop)
    (told,) = _events(logs, "stopping")
    assert (told["buying"], told["longest_s"]) == (1, QUIET_S)
    assert "second signal" in told["hint"]
    assert [told["unknown"] for told in _events(logs, "stop")] == [1]


async def test_a_second_signal_is_heard_when_only_orders_are_left_to_wait_for(tmp_path: Path) -> None:
    async def again(shop: Selling) -> None:
        await until(lambda: _true(shop.session.closed))  # the server has gone by then
        assert shop.gateway.orders.open == 1
        _interrupt()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(QUIET_S / 2), buying(tmp_path, drain_s=QUIET_S, sync_wait_s=0.1) as shop:
            _interrupt()
            await until(lambda: _true(_events(logs, "stopping")))
            second = asyncio.create_task(again(shop))
        await second
    assert [told["unknown"] for told in _events(logs, "stop")] == [1]


async def test_after_one_signal_everything_has_drain_s_in_all(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(QUIET_S / 2), buying(tmp_path, drain_s=0.3) as shop:
            _interrupt()
            await _drained(shop)
    assert [told["unknown"] for told in _events(logs, "stop")] == [1]


def _events(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]
