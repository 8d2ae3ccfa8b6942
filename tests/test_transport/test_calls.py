"""What a call looks like on the wire, when it is made again, and how many are made at once."""

import asyncio
import gzip

import pytest

from providers.base import READS, Action
from providers.errors import Full, Throttled, Unanswered, Unsent
from providers.pace import Rate
from providers.transport import Limits
from providers.transport.limits import Retries
from tests.raw_panel import HEAD, Act, RawPanel, answer, closed_port, hang_up, raw, silence
from tests.test_transport.calling import KEY, ORDER, Naps, failure, transport

pytestmark = pytest.mark.anyio


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


async def test_a_panel_that_fails_every_call_is_called_a_tenth_more_often_and_not_three_times() -> None:
    calls = 40
    async with RawPanel(answer(status=502)) as panel, transport(panel.url, sleep=Naps()) as line:
        for _ in range(calls):
            with pytest.raises(Unanswered):
                await line.send("status", {})
    assert calls < len(panel.requests) <= calls * (1 + Retries.SHARE) + Retries.MOST


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
        with pytest.raises(Full, match=r"2 calls in flight for 0\.05 s") as caught:
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


async def test_reads_leave_permits_to_the_writes() -> None:
    async with RawPanel(silence()) as panel, transport(panel.url, in_flight=4, limits=Limits(wait_s=0.05)) as line:
        held = [asyncio.create_task(line.send("status", {})) for _ in range(3)]
        await panel.heard(3)
        with pytest.raises(Full, match=r"3 reads in flight for 0\.05 s"):
            await line.send("status", {})
        held.append(asyncio.create_task(line.send("add", ORDER)))
        await panel.heard(4)
        assert panel.requests[3].form["action"] == "add"
        for call in held:
            call.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_one_permit_is_for_reads_and_writes_alike() -> None:
    async with RawPanel(answer()) as panel, transport(panel.url, in_flight=1) as line:
        assert (await line.send("balance", {})).status == 200
        assert (await line.send("add", ORDER)).status == 200


async def test_a_call_that_waits_for_its_turn_holds_no_permit() -> None:
    turn = asyncio.Event()
    waiting = asyncio.Event()

    class Turnstile:
        async def admit(self, _: str, action: str) -> None:
            if action == "status":
                waiting.set()
                await turn.wait()

    async with RawPanel(answer()) as panel, transport(panel.url, in_flight=1, pace=Turnstile()) as line:
        poll = asyncio.create_task(line.send("status", {}))
        await waiting.wait()
        assert (await line.send("add", ORDER)).status == 200
        turn.set()
        assert (await poll).status == 200


async def test_of_a_flood_what_the_rate_lets_through_is_sent_and_the_rest_is_held_back_by_us() -> None:
    async with RawPanel(answer()) as panel, transport(panel.url, pace=Rate("5/hour")) as line:
        ended = await asyncio.gather(*(line.send("add", ORDER) for _ in range(50)), return_exceptions=True)
        assert len(panel.requests) == 5
    held_back = [fault for fault in ended if isinstance(fault, Full)]
    assert len(held_back) == 45
    assert all(fault.evidence["phase"] == "waiting" for fault in held_back)


@pytest.mark.parametrize("status", [301, 403, 429, 521])
async def test_an_answer_that_shows_that_the_panel_acted_proves_nothing_by_its_status(status: int) -> None:
    async with RawPanel(answer("yes", status=status)) as panel, transport(panel.url) as line:
        with pytest.raises(Unanswered) as caught:
            await line.send("add", ORDER, acted=lambda got: got.body == b"yes")
    assert caught.value.evidence["body"] == "yes"
    assert len(panel.requests) == 1


async def test_an_answer_that_breaks_its_reader_proves_nothing() -> None:
    async with RawPanel(answer(status=429)) as panel, transport(panel.url) as line:
        with pytest.raises(Unanswered, match="ZeroDivisionError"):
            await line.send("add", ORDER, acted=lambda _: bool(1 // 0))


async def test_the_last_moment_before_the_first_byte_is_asked_and_its_no_sends_nothing() -> None:
    asked = 0

    def no() -> str | None:
        nonlocal asked
        asked += 1
        return "too late"

    async with RawPanel(answer("{}"), answer("{}")) as panel, transport(panel.url) as line:
        await line.send("add", ORDER, last_check=lambda: None)
        with pytest.raises(Full, match="too late"):  # which says nothing of the panel
            await line.send("add", ORDER, last_check=no)
        await panel.gone()
    assert asked == 1, "a write that its own check stops is not tried again"
    assert len(panel.requests) == 1
    assert panel.connections == 1, "the warm connection was at hand, and not a byte went over it"
