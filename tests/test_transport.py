"""The transport against panels that misbehave: what did not leave, what may have been done, what is kept of it."""

import asyncio
import gzip
import inspect
import logging
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import client_exceptions

from providers.base import READS, Action
from providers.errors import ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from providers.transport import Limits, Reply, Transport, Verdict, reason, verdict
from providers.transport.key import Key
from providers.transport.reply import reply, retry_after
from providers.transport.session import Call
from providers.transport.sockets import factory, is_public
from tests.certificates import Authority
from tests.raw_panel import HEAD, Act, RawPanel, answer, closed_port, hang_up, raw, silence, trickle

pytestmark = pytest.mark.anyio

KEY = "c4nary/Secret+Key"
SILENT = Limits(add_s=0.15, read_s=0.15)  # for panels that never finish
UNREACHED = Limits(connect_s=0.2, reach_s=0.2)  # for those that are never reached
ORDER = {"service": "1", "link": "https://x.example/p", "quantity": "100"}


class Naps:
    """A sleep that only notes how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def transport(url: str, **options: Any) -> Transport:
    given: dict[str, Any] = {"allow_private": True, "sleep": Naps()} | options
    return Transport("alpha", url, KEY, **given)


async def failure(url: str, action: Action = "add", **options: Any) -> ProviderError:
    """Send `action` to a panel that fails it, and give how."""
    async with transport(url, **options) as line:
        with pytest.raises(ProviderError) as caught:
            await line.send(action, ORDER)
    return caught.value


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# What arrives


async def test_an_action_is_one_post_of_a_form_with_our_key() -> None:
    async with RawPanel(answer('{"order": 1}')) as panel, transport(panel.url) as line:
        got = await line.send("add", ORDER)
    assert (got.status, got.body) == (200, b'{"order": 1}')
    (request,) = panel.requests
    assert request.form == {**ORDER, "key": KEY, "action": "add"}
    assert request.head.startswith(b"POST /api/v2 HTTP/1.1\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in request.head
    assert KEY.encode() not in request.head


async def test_a_field_cannot_take_the_place_of_key_or_action() -> None:
    async with RawPanel(answer()) as panel, transport(panel.url) as line:
        await line.send("status", {"key": "another", "action": "add", "order": "1"})
    assert panel.requests[0].form == {"order": "1", "key": KEY, "action": "status"}


async def test_an_answer_packed_with_gzip_is_unpacked() -> None:
    packed = answer(gzip.compress(b'{"balance": "1"}'), headers="Content-Encoding: gzip\r\n")
    async with RawPanel(packed) as panel, transport(panel.url) as line:
        assert (await line.send("balance", {})).body == b'{"balance": "1"}'


async def test_no_cookie_comes_back_and_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", closed_port())
    async with RawPanel(answer(headers="Set-Cookie: a=b\r\n")) as panel, transport(panel.url) as line:
        await line.send("balance", {})
        await line.send("balance", {})
    assert b"cookie" not in panel.requests[1].head.lower()


# The table of exceptions: what it looks like, and what it proves of an `add`


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


def no_address(fault: Exception) -> Callable[..., Awaitable[object]]:
    async def getaddrinfo(*_: object, **__: object) -> object:
        raise fault

    return getaddrinfo


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


# Statuses that prove something


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 409, 411, 413, 414, 415, 422, 431, 451])
async def test_a_4xx_is_the_dialects_to_read(status: int) -> None:
    async with RawPanel(answer('{"error": "no money"}', status=status)) as panel, transport(panel.url) as line:
        got = await line.send("add", ORDER)
    assert (got.status, got.body) == (status, b'{"error": "no money"}')


async def test_of_a_long_error_page_the_beginning_is_read() -> None:
    async with RawPanel(answer(b"x" * 200_000, status=403)) as panel, transport(panel.url) as line:
        got = await line.send("add", ORDER)
    assert (got.status, len(got.body)) == (403, 64 * 1024)


CLOUDFLARE = "Server: cloudflare\r\nCF-RAY: 8f00-FRA\r\n"


@pytest.mark.parametrize("status", [521, 523, 525, 526, 530])
async def test_cloudflares_word_that_the_panel_was_not_reached_counts_from_cloudflare_only(status: int) -> None:
    async with RawPanel(answer(status=status, headers=CLOUDFLARE)) as panel:
        assert type(await failure(panel.url)) is Unsent
        assert len(panel.requests) == 1  # for another panel to try, not for this one
    async with RawPanel(answer(status=status)) as panel:
        assert type(await failure(panel.url)) is Unanswered


@pytest.mark.parametrize("status", [520, 522, 524, 527])
async def test_cloudflares_other_statuses_leave_it_open(status: int) -> None:
    async with RawPanel(answer(status=status, headers=CLOUDFLARE)) as panel:
        assert type(await failure(panel.url)) is Unanswered


@pytest.mark.parametrize(
    "act",
    [
        answer("<html>Just a moment", status=403, headers=CLOUDFLARE + "cf-mitigated: challenge\r\n"),
        answer('<script src="/cdn-cgi/challenge-platform/h/b">', status=503, headers=CLOUDFLARE),
    ],
)
async def test_a_challenge_page_is_a_refusal_at_the_edge(act: Act) -> None:
    async with RawPanel(act) as panel:
        fault = await failure(panel.url, "balance")
    assert isinstance(fault, Refused)
    assert fault.reason is Reason.EDGE
    assert len(panel.requests) == 1


async def test_a_503_that_only_speaks_of_challenges_proves_nothing() -> None:
    async with RawPanel(answer('<script src="/cdn-cgi/challenge-platform/h/b">', status=503)) as panel:
        assert type(await failure(panel.url)) is Unanswered


@pytest.mark.parametrize(("header", "seconds"), [("", None), ("Retry-After: 30\r\n", 30.0)])
async def test_429_asks_to_come_later(header: str, seconds: float | None) -> None:
    async with RawPanel(answer(status=429, headers=header)) as panel:
        fault = await failure(panel.url)
    assert isinstance(fault, Throttled)
    assert (fault.retry_after_s, fault.reason) == (seconds, Reason.RATE_LIMIT)
    assert len(panel.requests) == 1


def test_retry_after_is_read_against_the_answers_own_date() -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert retry_after("Wed, 21 Oct 2026 07:29:00 GMT", date) == 60.0
    assert retry_after("Wed, 21 Oct 2026 07:27:00 GMT", date) == 0.0
    assert retry_after("Wed, 21 Oct 2026 07:29:00 GMT", "") is None
    assert retry_after("Wed, 21 Oct 2026 07:29:00 -0000", date) is None
    assert retry_after("-5", date) is None
    assert retry_after("999999", date) == 86400.0


def test_a_status_proves_what_the_table_says_and_no_more() -> None:
    found = {status: verdict(Reply(status=status, body=b"")) for status in range(100, 600)}
    refused = {401, 402, 403, 404, 405, 411, 413, 414, 415, 431}
    assert {status for status, proof in found.items() if proof is Verdict.REFUSED} == refused
    assert {status for status, proof in found.items() if proof is Verdict.READ} == set(range(200, 300))
    assert {status for status, proof in found.items() if proof is Verdict.THROTTLED} == {429}
    assert {status for status, proof in found.items() if proof is Verdict.WORDS} == (
        set(range(400, 500)) - refused - {429}
    )
    assert all(found[status] is Verdict.UNANSWERED for status in [*range(100, 200), *range(300, 400), *range(500, 600)])


def test_a_status_without_known_words_has_a_reason_too() -> None:
    assert [reason(status, worded=False) for status in (401, 402, 403, 404, 405)] == [
        Reason.KEY,
        Reason.FUNDS,
        Reason.EDGE,
        Reason.EDGE,
        Reason.REQUEST,
    ]
    assert [reason(status, worded=True) for status in (401, 403, 404)] == [Reason.KEY, Reason.OTHER, Reason.OTHER]


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_key_does_not_travel(status: int) -> None:
    async with RawPanel(answer()) as elsewhere:
        act = answer(status=status, headers=f"Location: {elsewhere.url}\r\n")
        async with RawPanel(act) as panel:
            for action in ("add", "balance"):
                fault = await failure(panel.url, action)
                assert type(fault) is Unanswered
    assert elsewhere.connections == 0


# Retries


@pytest.mark.parametrize("action", sorted(READS))
async def test_a_read_is_sent_again_after_any_failure_but_a_refusal(action: Action) -> None:
    naps = Naps()
    script = (hang_up(reset=True), answer(status=502), answer("{}"))
    async with RawPanel(*script) as panel, transport(panel.url, sleep=naps) as line:
        assert (await line.send(action, {})).status == 200
    assert len(naps.seconds) == 2
    assert all(0 <= nap <= 2 for nap in naps.seconds)


async def test_a_read_is_sent_three_times_at_most() -> None:
    async with RawPanel(answer(status=502)) as panel:
        assert type(await failure(panel.url, "status")) is Unanswered
    assert len(panel.requests) == 3


async def test_a_read_waits_as_long_as_the_panel_asks_unless_that_is_too_long() -> None:
    naps = Naps()
    later = answer(status=429, headers="Retry-After: 2\r\n")
    async with RawPanel(later, answer()) as panel, transport(panel.url, sleep=naps) as line:
        await line.send("balance", {})
    assert naps.seconds == [2.0]
    async with RawPanel(answer(status=429, headers="Retry-After: 60\r\n")) as panel:
        assert isinstance(await failure(panel.url, "balance"), Throttled)
    assert len(panel.requests) == 1


async def test_a_write_goes_again_once_a_connection_comes_about() -> None:
    async with RawPanel(answer('{"order": 1}')) as panel:
        nobody = closed_port()
        line = transport(nobody)

        async def someone(_: float) -> None:
            line._url = line._url.with_port(int(panel.url.split(":")[2].split("/")[0]))

        line._sleep = someone
        async with line:
            assert (await line.send("add", ORDER)).body == b'{"order": 1}'
    assert len(panel.requests) == 1


# Connections


async def test_a_connection_is_used_again_while_warm_and_not_once_it_rested(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now)
    async with RawPanel(answer()) as panel, transport(panel.url) as line:
        await line.send("add", ORDER)
        now += 0.9
        await line.send("add", ORDER)
        assert panel.connections == 1
        now += 1.1
        await line.send("add", ORDER)
        assert panel.connections == 2


@pytest.mark.parametrize("act", [silence(), raw(HEAD + b"Content-Length: 9\r\n\r\n{", end="hang")])
async def test_a_cancelled_call_passes_on_the_cancellation_and_leaves_no_connection_to_reuse(act: Act) -> None:
    async with RawPanel(act, answer()) as panel, transport(panel.url) as line:
        call = asyncio.create_task(line.send("add", ORDER))
        await panel.heard()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await panel.gone()
        assert (await line.send("add", ORDER)).status == 200
    assert panel.connections == 2


async def test_a_thousand_cancellations_leave_every_permit_free() -> None:
    async with RawPanel(answer()) as panel, transport(panel.url, in_flight=2) as line:
        for _ in range(1000):
            call = asyncio.create_task(line.send("balance", {}))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        answers = await asyncio.gather(*(line.send("balance", {}) for _ in range(4)))
    assert [got.status for got in answers] == [200] * 4


async def test_no_more_calls_are_under_way_than_permitted_and_the_others_wait_unsent() -> None:
    async with RawPanel(silence()) as panel, transport(panel.url, in_flight=2, limits=Limits(wait_s=0.05)) as line:
        held = [asyncio.create_task(line.send("add", ORDER)) for _ in range(2)]
        await panel.heard(2)
        with pytest.raises(Unsent, match=r"2 calls in flight for 0\.05 s") as caught:
            await line.send("add", ORDER)
        assert caught.value.evidence["phase"] == "waiting"
        assert len(panel.requests) == 2
        for call in held:
            call.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_a_closed_transport_sends_nothing_until_it_is_opened_again() -> None:
    async with RawPanel(answer()) as panel:
        line = transport(panel.url)
        await line.send("balance", {})  # opens by itself
        await line.close()
        await line.close()
        with pytest.raises(Unsent, match="closed"):
            await line.send("balance", {})
        async with line:
            await line.send("balance", {})
    assert len(panel.requests) == 2


async def test_the_pace_is_asked_before_every_send_and_its_no_sends_nothing() -> None:
    class Turnstile:
        def __init__(self) -> None:
            self.asked: list[tuple[str, str]] = []

        async def admit(self, panel: str, action: str) -> None:
            self.asked.append((panel, action))
            if len(self.asked) > 2:
                raise Unsent("no turn", panel=panel, action=action)

    pace = Turnstile()
    async with RawPanel(answer(status=502), answer()) as panel, transport(panel.url, pace=pace) as line:
        await line.send("balance", {})
        with pytest.raises(Unsent, match="no turn") as caught:
            await line.send("add", ORDER)
    assert pace.asked == [("alpha", "balance")] * 2 + [("alpha", "add")]
    assert caught.value.evidence["phase"] == "waiting"
    assert len(panel.requests) == 2


# Bounds


async def test_a_bomb_is_cut_at_the_cap_and_takes_no_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * 1_000_000) for _ in range(300)) + packer.flush()
    async with RawPanel(answer(bomb, headers="Content-Encoding: gzip\r\n")) as panel:
        tracemalloc.start()
        try:
            fault = await failure(panel.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert type(fault) is Unanswered
    assert "an answer of more than 65536 bytes" in str(fault)
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("action", "cap"),
    [("add", 64), ("balance", 64), ("refill", 64), ("cancel", 64), ("status", 1024), ("services", 32 * 1024)],
)
async def test_an_answer_may_be_as_long_as_its_action_needs(action: Action, cap: int) -> None:
    assert Limits().size(action) == cap * 1024
    small = Limits(small=64, many=64, catalogue=64)
    async with RawPanel(answer(b"x" * 64), answer(b"x" * 65)) as panel:
        async with transport(panel.url, limits=small) as line:
            assert len((await line.send(action, {})).body) == 64
        assert type(await failure(panel.url, action, limits=small)) is Unanswered


def test_an_add_has_longer_to_answer_than_a_read() -> None:
    limits = Limits()
    assert [limits.answer_s(action) for action in ("add", "services", "status", "cancel")] == [120, 120, 20, 20]
    assert [limits.silence_s(action) for action in ("add", "services", "status")] == [120, 20, 20]


# TLS


async def test_a_good_certificate_is_believed(authority: Authority) -> None:
    options = {"ssl_context": authority.trust()}
    async with RawPanel(answer(), tls=authority.server()) as panel, transport(panel.url, **options) as line:
        assert (await line.send("add", ORDER)).status == 200


@pytest.mark.parametrize("flaw", ["unknown authority", "wrong host", "expired", "old protocol"])
async def test_nothing_leaves_towards_a_certificate_that_is_not_good(
    flaw: str, authority: Authority, tmp_path: Path
) -> None:
    server = authority.server(
        "DNS:other.example" if flaw == "wrong host" else "IP:127.0.0.1", expired=flaw == "expired"
    )
    trusted = Authority(tmp_path).trust() if flaw == "unknown authority" else authority.trust()
    if flaw == "old protocol":
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            server.maximum_version = ssl.TLSVersion.TLSv1_1
        server.set_ciphers("DEFAULT@SECLEVEL=0")
    naps = Naps()
    async with RawPanel(answer(), tls=server) as panel:
        fault = await failure(panel.url, ssl_context=trusted, sleep=naps)
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"
    assert panel.requests == []
    assert naps.seconds == [] or flaw == "old protocol"


async def test_the_systems_list_is_trusted_where_nothing_else_is_said(authority: Authority) -> None:
    async with RawPanel(answer(), tls=authority.server()) as panel:
        fault = await failure(panel.url)
    assert isinstance(fault, Unsent)
    assert fault.evidence["error"] == "ClientConnectorCertificateError"
    assert panel.requests == []


@pytest.mark.parametrize("act", [hang_up(), hang_up(reset=True), silence()], ids=["fin", "reset", "hang"])
async def test_nothing_left_when_the_handshake_comes_to_nothing(act: Act, authority: Authority) -> None:
    async with RawPanel(act) as panel:
        url = panel.url.replace("http:", "https:")
        fault = await failure(url, ssl_context=authority.trust(), limits=UNREACHED)
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"
    assert panel.requests == []


@pytest.mark.parametrize("lax", ["no check of the host", "no check at all"])
def test_a_context_that_does_not_verify_is_refused(lax: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    if lax == "no check at all":
        context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ValueError, match="alpha: a TLS context that does not verify"):
        Transport("alpha", "https://panel.example/api/v2", KEY, ssl_context=context)


# Addresses

INSIDE = [
    "0.0.0.0",
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "100::1",
]

OUTSIDE = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_open_network_is(address: str) -> None:
    assert is_public(address)


async def test_a_name_that_leads_inside_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_: socket.socket, address: object) -> None:
        raise AssertionError(f"connected to {address}")

    async def rebound(*_: object, **__: object) -> object:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("169.254.169.254", 443))]

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", rebound)
    fault = await failure("https://panel.example/api/v2", allow_private=False)
    assert isinstance(fault, Unsent)
    assert "169.254.169.254 is not a public address" in str(fault)


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0177.0.0.1"])
async def test_no_writing_of_this_machines_address_is_reached(literal: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.BaseEventLoop, "getaddrinfo", no_address(socket.gaierror("no such name")))
        try:
            fault = await failure(f"https://{literal}/api/v2", allow_private=False)
        except ValueError:
            return  # not an address at all
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"


async def test_a_socket_drops_what_is_given_up() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 9))
    with factory(allow_private=True, give_up_s=20)(info) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\x01\0\0\0\0\0\0\0"
    with pytest.raises(PermissionError):
        factory(allow_private=False, give_up_s=20)(info)


@pytest.mark.parametrize(
    "url",
    ["http://panel.example/api/v2", "ftp://panel.example", "panel.example", "https://", "https://u:p@panel.example/"],
)
def test_an_address_that_cannot_be_used_is_a_mistake_of_the_rules(url: str) -> None:
    with pytest.raises(ValueError, match="alpha: url: ") as caught:
        Transport("alpha", url, KEY)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://[", "https://panel.example:99999/"])
def test_an_address_that_is_none_is_a_mistake_too(url: str) -> None:
    with pytest.raises(ValueError, match="alpha: url: not an address"):
        Transport("alpha", url, KEY)


def test_an_empty_key_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="alpha: the key is empty"):
        Transport("alpha", "https://panel.example/", "")


# Secrets

ECHOES = {
    "plain": KEY,
    "in a url": "c4nary%2FSecret%2BKey",
    "in JSON": "c4nary\\/Secret+Key",
}


@pytest.mark.parametrize("writing", ECHOES)
@pytest.mark.parametrize("status", [200, 429, 403, 502])
async def test_a_key_that_the_panel_gives_back_goes_no_further(
    writing: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = f'{{"error": "no such key {ECHOES[writing]}"}}'
    async with RawPanel(answer(body, status=status)) as panel, transport(panel.url) as line:
        try:
            got = await line.send("add", ORDER)
        except ProviderError as fault:
            said = repr((fault, fault.args, vars(fault), fault.__cause__))
        else:
            said = repr((got, got.body))
        said += repr(line) + repr(vars(line)) + caplog.text
    assert "c4nary" not in said
    assert "no such key [key]" in said


async def test_a_key_in_the_words_of_a_lower_error_goes_no_further() -> None:
    async with RawPanel(raw(f"HTTP/1.1 {KEY}\r\n\r\n".encode())) as panel:
        fault = await failure(panel.url)
    assert type(fault) is Unanswered
    assert fault.__cause__ is None
    assert fault.__suppress_context__
    assert KEY not in repr((fault, fault.args, vars(fault)))


def test_a_short_key_does_not_blot_the_words_around_it() -> None:
    assert Key("k").struck(b"Incorrect link") == b"Incorrect link"
    assert repr(Key(KEY)) == "Key([key])"


def test_an_excerpt_is_one_short_line_that_steers_no_terminal() -> None:
    said = Key(KEY).excerpt(b"\x1b[31mred\r\nline \xe2\x80\xae two\x00" + b"x" * 1000)
    assert said.startswith("[31mred line two x")
    assert len(said) == 300
    assert said.isprintable()


async def test_evidence_tells_how_long_the_call_took() -> None:
    ticks = iter([10.0, 12.5])
    async with RawPanel(raw(b"")) as panel:
        fault = await failure(panel.url, clock=lambda: next(ticks))
    assert fault.evidence["ms"] == 2500


def test_a_reply_does_not_show_its_body() -> None:
    assert repr(reply(200, {}, b"secret")) == "Reply(status=200, body=6 bytes)"
