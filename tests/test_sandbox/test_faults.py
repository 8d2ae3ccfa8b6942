"""Every fault by its name: what is on the wire, and what the journal says was done."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from providers.sandbox import FAULTS, Sandbox, Tempo, fault_table, mischief, parse
from providers.sandbox.panel import _IN_PLACE
from tests.test_sandbox.shop import FIELDS, KEY, LINK, ROWS, Clock, Seen, exchange, until

pytestmark = pytest.mark.anyio

ADD = {"key": KEY, "action": "add", "service": "1", **FIELDS["Default"]}
ORDER = b'{"order":23501}'


@pytest.fixture
def panel() -> Sandbox:
    return Sandbox("alpha", key=KEY, catalogue=ROWS, clock=Clock(), tempo=Tempo(pending=(0, 0), work=(9, 9)))


@pytest.fixture
async def url(panel: Sandbox) -> AsyncIterator[str]:
    async with panel.serve() as url:
        yield url


def _is(code: int, *parts: bytes, end: str = "open") -> Callable[[Seen], bool]:
    return lambda seen: seen.code == code and seen.end == end and all(part in seen.raw for part in parts)


def _error(words: str, code: int = 200) -> Callable[[Seen], bool]:
    return lambda seen: seen.code == code and json.loads(seen.body) == {"error": words}


def _answers(body: bytes) -> Callable[[Seen], bool]:
    return lambda seen: seen.code == 200 and seen.body == body


def _quiet(end: str) -> Callable[[Seen], bool]:
    return lambda seen: (seen.raw, seen.end) == (b"", end)


def _grows(seen: Seen) -> bool:
    grown = gzip.decompress(seen.body)
    return len(grown) == 2 * 1_048_576 + len(ORDER) and grown.strip() == ORDER and len(seen.body) < 10_000


ON_ADD: Mapping[str, tuple[str, Callable[[Seen], bool]]] = {
    "refuse": ("", _quiet("reset")),
    "reset_before": ("", _quiet("reset")),
    "reset_after": ("", _quiet("reset")),
    "fin_before": ("", _quiet("closed")),
    "fin_after": ("", _quiet("closed")),
    "silence_before": ("", _quiet("open")),
    "silence_after": ("", _quiet("open")),
    "delay_before": ("0.01", _answers(ORDER)),
    "delay_after": ("0.01", _answers(ORDER)),
    "garbage_before": ("", lambda seen: not seen.raw.startswith(b"HTTP/") and seen.end == "closed"),
    "garbage_after": ("", lambda seen: not seen.raw.startswith(b"HTTP/") and seen.end == "closed"),
    "cut_headers": ("", lambda seen: seen.code == 200 and b"\r\n\r\n" not in seen.raw and seen.end == "closed"),
    "truncate": ("11", lambda seen: _is(200, b"Content-Length: 15", end="closed")(seen) and seen.body == ORDER[:11]),
    "truncate_eof": ("11", lambda seen: b"Content-Length" not in seen.raw and seen.body == ORDER[:11]),
    "bad_chunk": ("", _is(200, b"Transfer-Encoding: chunked", b"zz-not-hex", ORDER, end="closed")),
    "bad_gzip": ("", _is(200, b"Content-Encoding: gzip", ORDER)),
    "long_header": ("", lambda seen: seen.body == ORDER and len(seen.raw) > 20_480),
    "many_headers": ("", lambda seen: seen.body == ORDER and seen.raw.count(b"X-Trace-") == 500),
    "twice": ("", lambda seen: seen.raw.count(ORDER) == 2),
    "stale": ("", _answers(ORDER)),
    "html_before": ("", _is(200, b"text/html", b"Sign in")),
    "html_after": ("", _is(200, b"text/html", b"Sign in")),
    "blank_before": ("", lambda seen: seen.code == 200 and seen.body == b""),
    "blank_after": ("", lambda seen: seen.code == 200 and seen.body == b""),
    "php_before": ("", lambda seen: b"<b>Warning</b>" in seen.body and ORDER not in seen.body),
    "php_after": ("", lambda seen: b"<b>Warning</b>" in seen.body and seen.body.endswith(ORDER)),
    "http_before": ("503", _is(503, b"Service Unavailable", b"text/html")),
    "http_after": ("504", _is(504, b"Gateway Timeout", b"text/html")),
    "http_json_before": ("422", _error("Incorrect request", 422)),
    "http_json_after": ("500", _error("Incorrect request", 500)),
    "redirect_before": ("307", _is(307, b"Location: /moved/api/v2\r\n")),
    "redirect_after": ("302", _is(302, b"Location: /moved/api/v2\r\n")),
    "cloudflare_before": ("521", _is(521, b"521 Unknown", b"Server: cloudflare", b"CF-RAY: ")),
    "cloudflare_after": ("524", _is(524, b"Server: cloudflare", b"CF-RAY: ")),
    "challenge": ("", _is(403, b"cf-mitigated: challenge", b"Just a moment")),
    "rate_limit": ("7", _is(429, b"Retry-After: 7\r\n", b"Rate limit exceeded")),
    "rate_limit_bare": ("", lambda seen: seen.code == 429 and b"Retry-After" not in seen.raw),
    "no_funds": ("", _error("Not enough funds on balance")),
    "bad_link": ("", _error("Incorrect link")),
    "bad_key": ("", _error("Invalid API key")),
    "bad_service": ("", _error("Incorrect service ID")),
    "duplicate": ("", _error("You have active order with this link. Please wait until order being completed.")),
    "maintenance": ("", _error("Service is under maintenance, please try again later")),
    "error_before": ('"no: really"', _error("no: really")),
    "error_after": ("", _error("Something went sideways, code 17")),
    "server_error_before": ("", _error("Internal server error")),
    "server_error_after": ("", _error("Internal server error")),
    "wrong_id": ("negative", _answers(b'{"order":-1}')),
    "id_text": ("", _answers(b'{"order":"23501"}')),
    "no_id": ("", _answers(b'{"status":"success"}')),
    "order_and_error": ("", _answers(b'{"order":23501,"error":"Order could not be created"}')),
    "bomb": ("2", _grows),
    "big": ("1", lambda seen: len(seen.body) > 1_048_576 and json.loads(seen.body)["answer"] == {"order": 23_501}),
    "deep": ("5000", _answers(b'{"order":' + b"[" * 5000 + b"]" * 5000 + b"}")),
    "drip": ("0.05", lambda seen: seen.body.startswith(b"1\r\n \r\n") and seen.end == "reset"),
    "price": ("3", _answers(ORDER)),
}
"""Every fault that `add` can meet: a value, and what must be seen."""


def test_every_fault_of_add_is_seen_here_and_every_fault_is_made_somewhere() -> None:
    assert set(ON_ADD) == {name for name, fault in FAULTS.items() if "add" in fault.actions}
    for name, fault in FAULTS.items():
        made = (
            name in _IN_PLACE
            or mischief.is_said(name)
            or name.removesuffix("_before").removesuffix("_after") in (mischief._WIRE)
        )
        assert made, name
        assert fault.says.endswith("."), name


@pytest.mark.parametrize("name", ON_ADD)
async def test_a_fault_of_add_is_on_the_wire_and_the_journal_says_what_was_done(
    panel: Sandbox, url: str, name: str
) -> None:
    value, is_right = ON_ADD[name]
    panel.faults = f"add:{name}={value}" if value else f"add:{name}"
    seen = await exchange(url, ADD, patience_s=0.1 if name.startswith("silence") else 10)
    assert is_right(seen), seen
    await until(lambda: bool(panel.calls))
    executed = FAULTS[name].executed
    assert [(entry.remote_id, entry.fault) for entry in panel.journal] == ([(23_501, name)] if executed else [])
    assert (panel.balance < panel.opening) == executed
    assert [call.fault for call in panel.calls] == [name]


@pytest.mark.parametrize("name", ON_ADD)
async def test_a_panel_is_sound_again_after_a_fault(panel: Sandbox, url: str, name: str) -> None:
    panel.faults = f"add:1:{name}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as session:
        if name not in {"bomb", "big", "deep"}:  # their default sizes are for other tests
            try:
                async with session.post(url, data=ADD) as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError):
                pass
        panel.faults = ""
    async with aiohttp.ClientSession() as session, session.post(url, data=ADD) as response:
        assert (await response.json())["order"] >= 23_501


@pytest.mark.parametrize("kind", [kind for kind in fault_table.WRONG_IDS if kind != "repeat"])
async def test_every_wrong_id_is_json_and_not_the_orders(panel: Sandbox, url: str, kind: str) -> None:
    panel.faults = f"add:wrong_id={kind}"
    seen = await exchange(url, ADD)
    assert json.loads(seen.body, parse_int=str)["order"] != "23501"
    assert list(panel.orders) == [23_501]


async def test_a_repeated_id_is_that_of_the_order_before(panel: Sandbox, url: str) -> None:
    panel.faults = "add:2:wrong_id=repeat"
    bodies = [(await exchange(url, ADD)).body for _ in range(2)]
    assert bodies == [ORDER, ORDER]
    assert list(panel.orders) == [23_501, 23_502]


async def test_a_first_repeated_id_and_the_id_of_a_refusal_stay_what_they_are(panel: Sandbox, url: str) -> None:
    panel.faults = "add:wrong_id=repeat"
    assert (await exchange(url, {**ADD, "service": "x"})).body == b'{"error":"Incorrect service ID"}'
    assert (await exchange(url, ADD)).body == ORDER


async def test_a_stale_answer_is_that_of_the_call_before(panel: Sandbox, url: str) -> None:
    panel.faults = "add:2:stale"
    assert [(await exchange(url, ADD)).body for _ in range(2)] == [ORDER, ORDER]
    assert list(panel.orders) == [23_501, 23_502]


async def test_a_price_fault_of_add_charges_more_than_was_listed(panel: Sandbox, url: str) -> None:
    panel.faults = "add:price=x3"
    await exchange(url, ADD)
    assert panel.journal[0].charge == panel.charged == 3


async def test_a_delayed_order_is_placed_though_its_buyer_has_gone(panel: Sandbox, url: str) -> None:
    panel.faults = "add:delay_before=0.2"
    leaving = asyncio.create_task(exchange(url, ADD))
    await until(lambda: bool(panel.calls))
    leaving.cancel()
    await until(lambda: panel._listener is not None and not panel._listener.connections)
    await until(lambda: bool(panel.journal))
    assert leaving.cancelled()


async def test_an_order_answered_late_is_placed_at_once(panel: Sandbox, url: str) -> None:
    panel.faults = "add:delay_after=3600"
    waiting = asyncio.create_task(exchange(url, ADD))
    await until(lambda: bool(panel.journal))
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize(
    ("fault", "is_right"),
    [
        ("refuse", _quiet("reset")),
        ("reset", _quiet("reset")),
        ("fin", _quiet("closed")),
        ("silence", _quiet("open")),
        ("garbage", ON_ADD["garbage_before"][1]),
    ],
)
async def test_a_connection_can_meet_a_fault_before_it_is_read(
    panel: Sandbox, url: str, fault: str, is_right: Callable[[Seen], bool]
) -> None:
    panel.faults = f"connect:1:{fault}"
    seen = await exchange(url, ADD, patience_s=0.1 if fault == "silence" else 10)
    assert is_right(seen) or (seen.raw, seen.end) == (b"", "reset"), seen
    assert not panel.calls
    assert not panel.journal
    assert (await exchange(url, ADD)).body == ORDER


async def _asked(panel: Sandbox, url: str, faults: str, **fields: str) -> Any:
    panel.faults = faults
    return json.loads((await exchange(url, {"key": KEY, **fields})).body)


async def test_the_list_of_services_can_be_empty_halved_dear_or_a_page(panel: Sandbox, url: str) -> None:
    assert await _asked(panel, url, "services:empty", action="services") == []
    assert await _asked(panel, url, "services:halve", action="services") == [dict(row) for row in ROWS[:8]]
    dear = await _asked(panel, url, "services:price=\u00d7100", action="services")
    assert [row["rate"] for row in dear] == ["200.0000"] * len(ROWS)
    cheap = await _asked(panel, url, "services:price=0.01", action="services")
    assert [Decimal(row["rate"]) for row in cheap] == [Decimal("0.02")] * len(ROWS)
    panel.faults = "services:html"
    assert b"<html>" in (await exchange(url, {"key": KEY, "action": "services"})).body
    assert panel.ask("services") is not None
    assert await _asked(panel, url, "", action="services") == [dict(row) for row in ROWS]


@pytest.mark.parametrize(
    ("fault", "one", "many"),
    [
        ("omit", {}, {"23502": {}}),
        ("word=Holding", {"status": "Holding"}, {"23501": {"status": "Holding"}, "23502": {"status": "Holding"}}),
        ("lost", {"error": "Incorrect order ID"}, {"23501": {"error": "Incorrect order ID"}, "23502": {}}),
        ("remains=more", {"remains": "2147483647"}, {"23501": {"remains": "2147483647"}, "23502": {}}),
        ("remains=negative", {"remains": "-17"}, {"23501": {"remains": "-17"}, "23502": {}}),
        ("remains=text", {"remains": "Unknown"}, {"23501": {"remains": "Unknown"}, "23502": {}}),
        ("remains=null", {"remains": None}, {"23501": {"remains": None}, "23502": {}}),
        ("null_start", {"start_count": None}, {"23501": {"start_count": None}, "23502": {}}),
        ("currency=XAU", {"currency": "XAU"}, {"23501": {"currency": "XAU"}, "23502": {"currency": "XAU"}}),
        ("foreign", {"order": 999_999_999}, {"23501": {}, "23502": {}, "999999999": {"status": "Canceled"}}),
    ],
)
async def test_status_can_lie(
    panel: Sandbox, url: str, fault: str, one: Mapping[str, object], many: Mapping[str, Mapping[str, object]]
) -> None:
    for _ in range(2):
        await exchange(url, ADD)
    told = await _asked(panel, url, f"status:{fault}", action="status", order="23501")
    assert {name: told.get(name) for name in one} == one
    assert told or fault == "omit"
    told = await _asked(panel, url, f"status:{fault}", action="status", orders="23501,23502")
    assert set(told) == set(many)
    for order, fields in many.items():
        assert {name: told[order].get(name) for name in fields} == fields
    assert [order.refunded for order in panel.orders.values()] == [0, 0], "what is told changes no books"


async def test_status_can_leave_out_a_field_or_change_its_shape(panel: Sandbox, url: str) -> None:
    for _ in range(2):
        await exchange(url, ADD)
    one, many = {"action": "status", "order": "23501"}, {"action": "status", "orders": "23501,23502,7"}
    assert "remains" not in await _asked(panel, url, "status:remains=missing", **one)
    listed = await _asked(panel, url, "status:as_list", **many)
    assert [row["order"] for row in listed] == ["7", "23502", "23501"]
    assert len(await _asked(panel, url, "status:as_list", **one)) == 1
    assert await _asked(panel, url, "status:lost_text", **one) == "Incorrect order ID"
    lost = await _asked(panel, url, "status:lost_text", **many)
    assert lost == {"23501": "Incorrect order ID", "23502": "Incorrect order ID", "7": {"error": "Incorrect order ID"}}
    assert await _asked(panel, url, "balance:currency=EUR", action="balance") == {
        "balance": "998.00000",
        "currency": "EUR",
    }


async def test_a_cancel_can_be_answered_and_ignored(panel: Sandbox, url: str) -> None:
    await exchange(url, ADD)
    assert await _asked(panel, url, "cancel:ignored", action="cancel", orders="23501") == [
        {"order": 23_501, "cancel": 1}
    ]
    assert [entry.action for entry in panel.journal] == ["add"]
    clock = panel._clock
    assert isinstance(clock, Clock)
    clock.now += 100
    assert panel.state(23_501).status == "Completed"


async def test_other_actions_meet_the_faults_of_all(panel: Sandbox, url: str) -> None:
    await exchange(url, ADD)
    panel.faults = "*:2-:reset_after, *:http_before=502"
    assert panel.faults == parse("*:2-:reset_after, *:http_before=502")
    cancel = {"key": KEY, "action": "cancel", "orders": "23501"}
    assert (await exchange(url, cancel)).code == 502
    assert (await exchange(url, cancel)).end == "reset"
    assert [(entry.action, entry.fault) for entry in panel.journal] == [("add", ""), ("cancel", "reset_after")]


async def test_a_redirect_leads_elsewhere_and_a_follower_is_seen_there(panel: Sandbox, url: str) -> None:
    panel.faults = "add:redirect=307"
    async with aiohttp.ClientSession() as session, session.post(url, data=ADD) as response:
        assert response.status == 404
    assert [call.path for call in panel.calls] == ["/api/v2", "/moved/api/v2"]
    assert not panel.journal


async def test_faults_of_a_wrong_key_do_nothing(panel: Sandbox, url: str) -> None:
    panel.faults = "add:php_after"
    seen = await exchange(url, {**ADD, "key": "other"})
    assert b"Invalid API key" in seen.body
    assert not panel.journal


async def _weather(seed: int) -> tuple[list[str], list[int]]:
    clock = Clock()
    panel = Sandbox(
        "alpha",
        key=KEY,
        catalogue=ROWS,
        clock=clock,
        seed=seed,
        faults="add:http_after=500@0.3, add:no_funds@0.3, status:omit@0.5",
    )
    async with panel.serve() as url, aiohttp.ClientSession() as session:
        for number in range(40):
            async with session.post(url, data={**ADD, "link": f"{LINK}/{number}"}) as response:
                await response.read()
    return [call.fault for call in panel.calls], [entry.remote_id for entry in panel.journal]


async def test_a_seed_gives_the_same_weather_again() -> None:
    faults, orders = await _weather(5)
    assert (faults, orders) == await _weather(5)
    assert faults != (await _weather(6))[0]
    assert set(faults) == {"", "http_after", "no_funds"}
    assert len(orders) == 40 - faults.count("no_funds")


def test_a_bomb_is_whole_gzip_with_the_true_answer_at_its_end() -> None:
    spoiled = mischief.Spoiled(value="3", body=ORDER)
    body = mischief.on_wire("bomb", spoiled).raw.partition(b"\r\n\r\n")[2]
    grown = zlib.decompressobj(wbits=31)
    assert grown.decompress(body).endswith(b" " + ORDER)
    assert grown.eof
