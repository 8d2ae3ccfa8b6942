"""A new order: where its id may stand, and what every other answer proves."""

import gzip
from decimal import Decimal
from typing import Any, get_args

import pytest

from providers import PROVIDERS
from providers.api_v2 import APIv2
from providers.api_v2.placed import ordered_in
from providers.base import (
    Action,
    Added,
    NewOrder,
)
from providers.errors import ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from providers.service_types import CustomComments
from providers.transport import Transport
from tests.raw_panel import HEAD, RawPanel, answer, raw
from tests.test_api_v2_provider.canned import CLOUDFLARE, KEY, ORDER, Canned, ask, panel, refusal

pytestmark = pytest.mark.anyio


def test_the_dialect_is_registered_under_its_name() -> None:
    assert PROVIDERS["api_v2"] is APIv2


async def test_an_order_goes_out_with_the_fields_of_its_type() -> None:
    line = Canned({"order": 1})
    comments = CustomComments(link="https://x.example/p", comments=("nice", "great"))
    await APIv2(line).add(NewOrder(remote_service="7", fields=comments))
    assert line.sent == [
        {"key": KEY, "action": "add", "service": "7", "link": "https://x.example/p", "comments": "nice\ngreat"}
    ]


@pytest.mark.parametrize(
    ("said", "remote_id"),
    [
        ({"order": 23501}, "23501"),
        ({"order": "23501"}, "23501"),
        ({"order": "VEGA123ABC"}, "VEGA123ABC"),
        ({"order": "ord_01H8-x"}, "ord_01H8-x"),
        ({"status": "success", "order": 32}, "32"),
        ({"success": True, "order": 32}, "32"),
        ({"order_id": 5}, "5"),
        ({"orderId": 5}, "5"),
        ({"Order": 5}, "5"),
        ({"OrderID": "5"}, "5"),
        ({"id": 5}, "5"),
        ({"data": {"order": 5}}, "5"),
        ({"data": {"order_id": 5}}, "5"),
        ({"status": True, "data": {"id": 5}}, "5"),
        ({"orders": [5]}, "5"),
        ({"order": 5, "error": None}, "5"),
        ({"order": 5, "error": ""}, "5"),
        ({"order": 5, "error": "Not enough funds on balance"}, "5"),
        ({"order": 5, "message": "Order placed"}, "5"),
        ({"order": None, "id": 5}, "5"),
        ({"order": "9" * 64}, "9" * 64),
        (23501, "23501"),
        ("23501", "23501"),
        (b'\xef\xbb\xbf {"order": 23501}\n', "23501"),
    ],
)
async def test_the_id_of_an_order_is_found_wherever_panels_put_it(said: object, remote_id: str) -> None:
    assert (await panel(said).add(ORDER)).remote_id == remote_id
    assert (await panel(said, 201).add(ORDER)).remote_id == remote_id


async def test_a_charge_told_at_once_is_kept_where_it_is_an_amount() -> None:
    assert await panel({"order": 1, "charge": "0.27819"}).add(ORDER) == Added("1", Decimal("0.27819"))
    assert await panel(b'{"order": 1, "charge": 0.1}').add(ORDER) == Added("1", Decimal("0.1"))
    assert await panel({"order": 1, "charge": "-1"}).add(ORDER) == Added("1")
    assert await panel({"order": 1, "charge": "1e999"}).add(ORDER) == Added("1")


NO_ID: list[object] = [
    *(0, "0", "000", -5, "-5", None, True, False, 1.5, "", " ", "1 2", "5'", 'a"b', "\u0445", "x" * 65),
    *({}, {"id": 5}, [], [5], "null", "None", "undefined", "error", "Maintenance"),
]


@pytest.mark.parametrize("value", NO_ID, ids=repr)
async def test_what_cannot_be_an_id_leaves_the_order_unknown(value: object) -> None:
    assert type(await refusal({"order": value})) is Unanswered


NOTHING_KNOWN = [
    b"", b" ", b"null", b"true", b"[]", b"{}", b'[{"order": 5}]', b"1", b"404", b"999", b"-23501", b"23501.5",
    b'{"order": 1e3}', b'{"order": NaN}', b'{"order": 5', b'{"order": 5} x', b'{"order": "5}', b"{'order': 5}",
    b'{"order": ' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"a":' * 20_000, b'{"order": 5}\xff', b"<html>Sign in</html>",
    b'<br />\n<b>Warning</b>: mysqli::query() in /x.php\n{"order": 5}', b'{"charge": 1e99999999999999999999}',
    b'{"error": "Order failed"}', b'{"error": "Failed to create order"}', b'{"error": "Internal server error"}',
    b'{"error": "Incorrect order ID"}', b'{"error": "The order is not completed"}', b'{"error": "Already completed"}',
    b'{"error": "unknown"}', b'{"error": true}', b'{"error": 1}', b'{"error": {}}', b'{"status": "error"}',
    b'{"status": "success"}', b'{"success": true}', b'{"orders": [5, 6]}', b'{"message": "Invalid link"}',
    b'{"id": 5, "error": "Order failed"}', b'{"status": "fail", "message": "Order failed", "id": 5}',
    '{"error": "Đơn hàng không được tạo thành công vui lòng liên hệ Admin"}'.encode(),
    b'{"error": "Service is running slow, orders may be delayed"}', b'"Order failed"',
    b'{"error":' * 200 + b"{}" + b"}" * 200,
]  # fmt: skip


@pytest.mark.parametrize("said", NOTHING_KNOWN, ids=lambda said: repr(said[:60]))
async def test_an_answer_that_proves_nothing_leaves_the_order_unknown(said: bytes) -> None:
    fault = await refusal(said)
    assert type(fault) is Unanswered
    assert fault.evidence["http"] == 200
    assert fault.evidence["phase"] == "answered"


async def test_a_bare_number_that_may_be_cut_is_no_id() -> None:
    with pytest.raises(Unanswered):
        await panel(23501, headers={}).add(ORDER)
    with pytest.raises(Unanswered):
        await panel(23501, headers={"Content-Length": "5", "Content-Encoding": "gzip"}).add(ORDER)
    assert await panel(23501, headers={"Transfer-Encoding": "chunked"}).add(ORDER) == Added("23501")


ENVELOPES: list[object] = [
    {"error": "Incorrect service ID"},
    {"Error": "Incorrect service ID"},
    {"errors": ["Incorrect service ID"]},
    {"errors": {"service": ["Incorrect service ID"]}},
    {"message": "The given data was invalid", "errors": {"service": ["Incorrect service ID"]}},
    {"status": "error", "msg": "Incorrect service ID"},
    {"status": "error", "message": "Incorrect service ID"},
    {"status": "fail", "message": "Incorrect service ID"},
    {"status": "Fail", "message": "Incorrect service ID"},
    {"status": False, "data": "Incorrect service ID"},
    {"status": False, "data": {"pesan": "Incorrect service ID"}},
    {"success": False, "data": {"name": "Bad", "message": "Incorrect service ID", "code": 0, "type": "x"}},
    {"success": False, "message": "Incorrect service ID"},
    {"result": "error", "error": "Incorrect service ID"},
    {"result": False, "message": "Incorrect service ID"},
    {"data": None, "error": {"code": 3, "message": "Incorrect service ID"}},
    {"statusCode": 401, "error": {"message": "Incorrect service ID"}},
    {"error": "Incorrect service ID", "code": "API_ERROR"},
    {"error": True, "message": "Incorrect service ID"},
    {"error": 1, "msg": "Incorrect service ID"},
    {"error": "Incorrect service ID", "order": None},
    {"error": "Incorrect service ID", "id": "req-7"},
    {"error": "  incorrect  SERVICE id. "},
    "Incorrect service ID",
]


@pytest.mark.parametrize("said", ENVELOPES, ids=repr)
async def test_a_known_no_is_found_in_any_envelope(said: object) -> None:
    for action in get_args(Action):
        if action in {"refill", "cancel"}:  # a no for the one order asked for
            told: Any = await ask(panel(said), action)
            assert told["1"].reason is Reason.SERVICE
            continue
        fault = await refusal(said, action)
        assert isinstance(fault, Refused)
        assert fault.reason is Reason.SERVICE
        assert fault.text.strip().lower().startswith("incorrect")


@pytest.mark.parametrize("action", ["services", "status", "refill_status", "balance"])
async def test_words_that_no_table_knows_refuse_a_read(action: Action) -> None:
    fault = await refusal({"error": "Something new"}, action)
    assert isinstance(fault, Refused)
    assert (fault.reason, fault.text) == (Reason.OTHER, "Something new")


@pytest.mark.parametrize("action", get_args(Action))
async def test_a_rate_limit_in_words_asks_to_come_later(action: Action) -> None:
    fault = await refusal({"error": "Rate limit exceeded"}, action)
    assert isinstance(fault, Throttled)
    assert fault.retry_after_s is None


HTML = b"<html>nothing here</html>"
KNOWN = b'{"error": "Incorrect service ID"}'
UNKNOWN = b'{"error": "Something new"}'
PLACED = b'{"order": 23501}'

HTTP_OUTCOMES: list[tuple[int, bytes, type[ProviderError], Reason | None]] = [
    *((status, HTML, Unanswered, None) for status in (200, 202, 204, 301, 302, 303, 304, 307, 308)),
    *((status, PLACED, Unanswered, None) for status in (301, 302, 307, 400, 403, 404, 422, 429, 500, 502, 503, 520)),
    (401, HTML, Refused, Reason.KEY),
    (402, HTML, Refused, Reason.FUNDS),
    (403, HTML, Refused, Reason.EDGE),
    (404, HTML, Refused, Reason.EDGE),
    *((status, HTML, Refused, Reason.REQUEST) for status in (405, 411, 413, 414, 415, 431)),
    *((status, KNOWN, Refused, Reason.SERVICE) for status in (401, 402, 403, 404, 405, 413, 431)),
    (401, UNKNOWN, Refused, Reason.KEY),
    (403, UNKNOWN, Refused, Reason.OTHER),
    (404, UNKNOWN, Refused, Reason.OTHER),
    (403, b'{"message": "Forbidden", "id": "req7"}', Refused, Reason.OTHER),
    (404, b"23501", Refused, Reason.EDGE),
    (429, HTML, Throttled, Reason.RATE_LIMIT),
    (429, KNOWN, Throttled, Reason.RATE_LIMIT),
    *((status, KNOWN, Refused, Reason.SERVICE) for status in (400, 408, 409, 422, 451)),
    (400, b'{"message": "Invalid link"}', Refused, Reason.LINK),
    *((status, UNKNOWN, Unanswered, None) for status in (400, 408, 409, 422, 451)),
    *((status, HTML, Unanswered, None) for status in (400, 408, 409, 422, 451)),
    *((status, KNOWN, Unanswered, None) for status in (500, 501, 502, 503, 504, 511, 520, 522, 524, 527, 599)),
    *((status, HTML, Unanswered, None) for status in (500, 503, 520, 521, 523, 525, 526, 530)),
    (503, b'{"error": "MAINTENANCE_MODE"}', Unanswered, None),
]


@pytest.mark.parametrize(("status", "body", "kind", "why"), HTTP_OUTCOMES)
async def test_an_add_ends_as_the_table_of_statuses_says(
    status: int, body: bytes, kind: type[ProviderError], why: Reason | None
) -> None:
    fault = await refusal(body, "add", status)
    assert type(fault) is kind
    assert getattr(fault, "reason", None) is why
    assert fault.evidence["http"] == status


@pytest.mark.parametrize("status", [521, 523, 525, 526, 530])
async def test_an_add_that_cloudflare_could_not_deliver_was_not_sent(status: int) -> None:
    with pytest.raises(Unsent):
        await panel(HTML, status, CLOUDFLARE).add(ORDER)


@pytest.mark.parametrize(
    "act",
    [
        raw(HEAD + b'\r\n{"order": 235'),
        raw(HEAD + b'\r\n{"order": "235'),
        raw(HEAD + b"\r\n23501"),
        raw(HEAD + b"\r\n"),
        answer(gzip.compress(b'{"order": 23501}' + b" " * 99)[:-14], headers="Content-Encoding: gzip\r\n"),
        answer(gzip.compress(b"23501")[:-9], headers="Content-Encoding: gzip\r\n"),
    ],
)
async def test_an_answer_cut_without_a_sign_of_it_leaves_the_order_unknown(act: Any) -> None:
    async with RawPanel(act) as server, Transport("alpha", server.url, KEY, allow_private=True) as line:
        with pytest.raises(Unanswered):
            await APIv2(line).add(ORDER)
    assert len(server.requests) == 1


async def test_the_key_is_in_no_error_however_the_panel_gives_it_back() -> None:
    async with (
        RawPanel(answer(f'{{"error": "no such key {KEY}"}}')) as server,
        Transport("alpha", server.url, KEY, allow_private=True) as line,
    ):
        for action in get_args(Action):
            try:
                said = repr(await ask(APIv2(line), action))
            except ProviderError as fault:
                said = repr((fault, vars(fault)))
            assert "no such key [key]" in said
            assert KEY not in said


HIDDEN = [
    b'{"order": 5001}',
    b'{"error": "Rate limit exceeded", "order": 5001}',
    b'{"error": "Incorrect service ID", "result": {"items": [{"order_id": "5001"}]}}',
    b'{"error": "Incorrect service ID", "orders": [5001]}',
    b'{"\\u006frder": 5001}',
    b'{"id": 5001}',
    b'{"status": "success", "data": {"id": 5001}}',
    b'{"order": 5001',
    b'<br />\n<b>Warning</b>: x in /y.php\n{"order": 5001}',
    b"<html>{&quot;order&quot;:5001}</html>",
    b"<order>5001</order>",
    b"Array ( [order] => 5001 )",
    b"Order ID: 5001",
    b'{"pad": "' + b"x" * 70_000 + b'", "order": 5001}',
    b'{"a":' * 100 + b'{"order": 5001}' + b"}" * 100,
]
CHALLENGED = {**CLOUDFLARE, "CF-Mitigated": "challenge"}


@pytest.mark.parametrize("body", HIDDEN, ids=lambda body: repr(body[:60]))
@pytest.mark.parametrize(("status", "headers"), [(429, None), (403, CHALLENGED), (503, CHALLENGED), (521, CLOUDFLARE)])
async def test_an_id_in_a_no_of_any_status_leaves_the_order_unknown(
    status: int, headers: dict[str, str] | None, body: bytes
) -> None:
    provider = panel(body[: 64 * 1024], status, headers)
    with pytest.raises(Unanswered) as caught:
        await provider.add(ORDER)
    assert caught.value.evidence["http"] == status
    assert caught.value.evidence["phase"] == "answered"
    assert str(caught.value.evidence["body"])[:20] == body.decode().replace("\n", " ")[:20]


@pytest.mark.parametrize(
    "body",
    [
        b"<style>td{border:1px solid;order:2}</style><p>in order to go on, wait 30 s</p>",
        b'{"error": "Too many requests", "order": null}',
        b'{"error": "Too many requests", "order": 0}',
        b'{"errors": {"order": ["is missing"]}, "code": 5}',
        b'{"message": "Too many requests", "id": "req7"}',
        b"",
    ],
)
async def test_a_no_without_an_id_is_a_no(body: bytes) -> None:
    assert type(await refusal(body, "add", 429)) is Throttled
    with pytest.raises(Refused):
        await panel(body, 403, CHALLENGED).add(ORDER)
    with pytest.raises(Unsent):
        await panel(body, 521, CLOUDFLARE).add(ORDER)


@pytest.mark.parametrize(
    "piece",
    [b'"order":', b"order #", b'"order"' + b" " * 999, b'"order"' + b"\\" * 999, b'"order":' + b"a" * 999, b":"],
)
def test_no_page_makes_the_search_for_an_id_long(piece: bytes) -> None:
    page = (b'<html>"order"' + piece * 65_536)[:65_536]
    assert not ordered_in(page)


async def test_an_id_deep_in_a_known_no_leaves_the_order_unknown() -> None:
    said = {"error": "Incorrect service ID", "result": {"order": 5001}}
    assert type(await refusal(said)) is Unanswered


@pytest.mark.parametrize("charge", [b"1e1000000", b"-1e1000000", b"1e99999999999999999999", b"[[]]", b'{"a": 1}'])
async def test_an_id_is_not_lost_because_of_the_charge_beside_it(charge: bytes) -> None:
    assert await panel(b'{"order": 5, "charge": ' + charge + b"}").add(ORDER) == Added("5")


async def test_an_id_is_not_lost_however_the_charge_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("providers.api_v2.placed.charge", broken)
    assert await panel({"order": 5, "charge": 1}).add(ORDER) == Added("5")


ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)


@pytest.mark.parametrize("action", get_args(Action))
async def test_a_key_that_only_unpacking_brings_to_light_goes_no_further(action: Action) -> None:
    service = f'{{"service": 1, "name": "n {ESCAPED}", "category": "c {ESCAPED}", "description": "{ESCAPED}"'
    listed = f'{service}, "rate": 1, "min": 1, "max": 9}}'
    for said in (
        f'{{"error": "no such key {ESCAPED}"}}',
        f'{{"1": {{"error": "no such key {ESCAPED}"}}}}',
        f'{{"status": "no such key {ESCAPED}"}}',
        f'{{"order": "{ESCAPED}", "note": "no such key {ESCAPED}"}}',
        f'[{listed}, {{"service": 2, "name": "x", "rate": "no such key {ESCAPED}"}}]',
        f"<html>no such key {ESCAPED}",
    ):
        try:
            told = repr(await ask(panel(said.encode()), action))
        except ProviderError as fault:
            told = repr((fault, vars(fault)))
        assert KEY not in told
        assert ESCAPED[:24] not in told.replace("\\\\", "\\")
