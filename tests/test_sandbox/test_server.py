"""The sockets: one request after another, closed and opened listeners, and requests that are none."""

import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from providers.sandbox import Sandbox
from tests.test_sandbox.shop import FIELDS, KEY, ROWS, Clock, exchange, until

pytestmark = pytest.mark.anyio

BALANCE = {"key": KEY, "action": "balance"}
ASKED = b"POST /api/v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\nkey=k-1234&action=balance"
ANSWER = b'{"balance":"1000.00000","currency":"USD"}'


@pytest.fixture
def panel() -> Sandbox:
    return Sandbox("alpha", key=KEY, catalogue=ROWS, clock=Clock())


@pytest.fixture
async def url(panel: Sandbox) -> AsyncIterator[str]:
    async with panel.serve() as url:
        yield url


async def _opened(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(url)
    return await asyncio.open_connection(place.hostname, place.port)


async def _sent(url: str, raw: bytes) -> bytes:
    """Send bytes, and read until the panel closes."""
    reader, writer = await _opened(url)
    writer.write(raw)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_a_connection_carries_one_request_after_another(panel: Sandbox, url: str) -> None:
    last = ASKED.replace(b"Host: a", b"Host: a\r\nConnection: close")
    raw = await _sent(url, ASKED * 3 + last)
    assert raw.count(ANSWER) == 4
    assert panel.sends["balance"] == 4


async def test_requests_behind_a_late_one_wait_for_it(panel: Sandbox, url: str) -> None:
    panel.faults = "balance:1:delay_after=0.02"
    last = ASKED.replace(b"Host: a", b"Host: a\r\nConnection: close")
    assert (await _sent(url, ASKED + last)).count(ANSWER) == 2


async def test_a_request_may_come_byte_by_byte(url: str) -> None:
    reader, writer = await _opened(url)
    for byte in ASKED:
        writer.write(bytes([byte]))
        await writer.drain()
    assert ANSWER in await reader.read(1000)
    writer.close()


async def test_old_http_closes_unless_asked_to_stay(url: str) -> None:
    old = ASKED.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert ANSWER in await _sent(url, old)
    stay = old.replace(b"Host: a", b"Connection: keep-alive")
    assert (await _sent(url, stay + old)).count(ANSWER) == 2


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"HELLO\r\n\r\n", 400),
        (b"POST / HTTP/2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
    ],
)
async def test_what_is_no_request_is_told_so_and_closed(panel: Sandbox, url: str, raw: bytes, code: int) -> None:
    assert (await _sent(url, raw)).startswith(f"HTTP/1.1 {code} ".encode())
    assert not panel.calls


async def test_a_closed_listener_refuses_and_an_opened_one_answers_on_the_same_port(panel: Sandbox, url: str) -> None:
    reader, writer = await _opened(url)
    writer.write(ASKED)
    assert ANSWER in await reader.read(1000)
    panel.stop_listening()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await _opened(url)
    panel.stop_listening()
    await panel.listen()
    assert (await exchange(url, BALANCE)).body == ANSWER


@pytest.mark.parametrize("ticks", range(6))
async def test_a_connection_made_as_the_listener_closes_is_reset(panel: Sandbox, url: str, ticks: int) -> None:
    place = urlsplit(url)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=5) as buyer:
        for _ in range(ticks):  # from not accepted to listened to
            await asyncio.sleep(0)
        panel.stop_listening()
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(buyer.recv, 1)


async def test_a_panel_that_does_not_serve_has_no_listener(panel: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="alpha: not serving"):
        panel.stop_listening()


async def test_a_panel_serves_again_after_it_stopped_and_keeps_its_orders(panel: Sandbox) -> None:
    for _ in range(2):
        async with panel.serve() as url:
            await exchange(url, {"key": KEY, "action": "add", "service": "1", **FIELDS["Default"]})
        with pytest.raises(ConnectionRefusedError):
            await _opened(url)
    assert list(panel.orders) == [23_501, 23_502]


async def test_what_waits_is_dropped_when_the_panel_stops(panel: Sandbox) -> None:
    add = {"key": KEY, "action": "add", "service": "1", **FIELDS["Default"]}
    async with panel.serve() as url:
        panel.faults = "add:delay_before=3600"
        seen = await exchange(url, add, patience_s=0.05)
        await until(lambda: panel.sends["add"] == 1)
        panel.faults = "add:drip=3600"
        dripped = await exchange(url, add, patience_s=0.1)
        await until(lambda: panel.sends["add"] == 2)
        assert (seen.raw, seen.end, dripped.end) == (b"", "open", "open")
    assert len(panel.journal) == 1


async def test_a_panel_serves_on_ipv6_where_there_is_one(panel: Sandbox) -> None:
    async with panel.serve("::1") as url:
        assert url.startswith("http://[::1]:")
        async with aiohttp.ClientSession() as session, session.post(url, data=BALANCE) as response:
            assert (await response.read()) == ANSWER


async def test_a_drip_to_a_buyer_who_leaves_ends(panel: Sandbox, url: str) -> None:
    panel.faults = "balance:drip=3600"
    reader, writer = await _opened(url)
    writer.write(ASKED)
    await reader.readuntil(b"1\r\n \r\n")
    writer.close()
    listener = panel._listener
    assert listener is not None
    await until(lambda: not listener.connections and not listener._timers)
