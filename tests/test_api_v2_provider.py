"""The standard dialect: every shape of answer that was seen in the field, and what each of them proves."""

import asyncio
import gzip
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.errors import Busy, NotEnoughFunds, NotSold, WrongKey
from providers import PROVIDERS
from providers.api_v2 import APIv2, words
from providers.api_v2.catalogue import rows
from providers.api_v2.words import known
from providers.base import (
    Action,
    Added,
    Balance,
    NewOrder,
    OrderStatus,
    RefillStatus,
    Refusal,
    RemoteService,
    Requested,
    Skipped,
    Status,
)
from providers.errors import ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from providers.service_types import CustomComments, Default
from providers.transport import Reply, Transport
from providers.transport.reply import reply
from providers.transport.session import Call
from tests.raw_panel import HEAD, RawPanel, answer, raw

pytestmark = pytest.mark.anyio

KEY = "c4nary/Secret+Key"
ORDER = NewOrder(remote_service="101", fields=Default(link="https://x.example/p", quantity=100))
CLOUDFLARE = {"Server": "cloudflare", "CF-RAY": "8f00-FRA"}


class Canned(Transport):
    """A transport whose panel says one thing, whatever it is asked."""

    def __init__(self, said: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("alpha", "https://panel.example/api/v2", KEY, sleep=self._nap)
        self._body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self._status = status
        self._headers = CIMultiDict({"Content-Length": str(len(self._body))} if headers is None else headers)
        self.sent: list[dict[str, str]] = []

    async def _nap(self, seconds: float) -> None:
        pass

    async def _exchange(self, call: Call, body: bytes) -> Reply:
        call.left()
        self.sent.append(dict(parse_qsl(body.decode())))
        return reply(self._status, self._headers, self._body)


def panel(said: object, status: int = 200, headers: Mapping[str, str] | None = None) -> APIv2:
    return APIv2(Canned(said, status, headers))


async def refusal(said: object, action: Action = "add", status: int = 200) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(panel(said, status), action)
    return caught.value


async def ask(provider: APIv2, action: Action, *ids: str) -> object:
    if action == "add":
        return await provider.add(ORDER)
    if action in {"services", "balance"}:
        return await getattr(provider, action)()
    return await getattr(provider, action)(ids or ("1",))


def test_the_dialect_is_registered_under_its_name() -> None:
    assert PROVIDERS["api_v2"] is APIv2


# services

ROW = {
    "service": 1,
    "name": "Followers",
    "type": "Default",
    "category": "First",
    "rate": "0.90",
    "min": "50",
    "max": "10000",
    "refill": True,
    "cancel": True,
}
SERVICE = RemoteService(
    remote_service="1",
    name="Followers",
    type="Default",
    category="First",
    rate=Decimal("0.90"),
    min=50,
    max=10_000,
    refill=True,
    cancel=True,
)


@pytest.mark.parametrize(
    "said",
    [
        [ROW],
        {"data": [ROW]},
        {"status": "success", "data": [ROW]},
        {"services": [ROW]},
        {"value": [ROW], "Count": 1},
        {"result": [ROW]},
        {"items": [ROW]},
        {"list": [ROW]},
        {"data": {"services": [ROW]}},
        {"1": ROW},
        {"data": {"1": ROW}},
        b"\xef\xbb\xbf" + json.dumps([ROW]).encode(),
    ],
)
async def test_a_list_is_found_in_any_container(said: object) -> None:
    assert (await panel(said).services()).rows == (SERVICE,)


@pytest.mark.parametrize("said", [[], {"data": []}, {"status": "success", "data": "Empty Data"}])
async def test_an_empty_list_is_a_list(said: object) -> None:
    assert (await panel(said).services()).rows == ()


@pytest.mark.parametrize("said", [{}, {"data": None}, 5, None, {"meta": {"page": 1}}, b"<html>", b""])
async def test_what_is_no_list_is_no_empty_list(said: object) -> None:
    with pytest.raises(Unanswered):
        await panel(said).services()


def read(**fields: object) -> RemoteService | Skipped:
    (row,) = rows([{name: value for name, value in {**ROW, **fields}.items() if value != "absent"}])
    return row


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"service": "77"}, "remote_service", "77"),
        ({"service": " 77 "}, "remote_service", "77"),
        ({"service": "SUB-12"}, "remote_service", "SUB-12"),
        ({"service": "absent", "id": 5}, "remote_service", "5"),
        ({"name": "\t Views &lt;HQ&gt; 🔥 \n"}, "name", "Views &lt;HQ&gt; 🔥"),
        ({"name": 393}, "name", "393"),
        ({"type": "absent"}, "type", "Default"),
        ({"type": "custom_comments"}, "type", "Custom Comments"),
        ({"type": "High Quality"}, "type", "Default"),
        ({"category": None}, "category", ""),
        ({"rate": Decimal("0.2781900")}, "rate", Decimal("0.27819")),
        ({"rate": 3}, "rate", Decimal(3)),
        ({"rate": " 1 250.5 "}, "rate", Decimal("1250.5")),
        ({"min": 50, "max": "2 147 483 647"}, "max", 2_147_483_647),
        ({"min": 0}, "min", 1),
        ({"max": Decimal("500.0")}, "max", 500),
        ({"refill": "absent"}, "refill", False),
        ({"refill": 1}, "refill", True),
        ({"refill": "true"}, "refill", True),
        ({"refill": "0"}, "refill", False),
        ({"refill": "maybe"}, "refill", False),
        ({"cancel": "absent", "canceling_is_available": True}, "cancel", True),
        ({"cancel": False, "canceling_is_available": True}, "cancel", False),
        ({"cancel": "absent"}, "cancel", False),
        ({}, "dripfeed", None),
        ({"dripfeed": False}, "dripfeed", False),
        ({"dripfeed": 1}, "dripfeed", True),
        ({"desc": " <b>x</b> "}, "description", "<b>x</b>"),
        ({"description": "y", "desc": None}, "description", "y"),
        ({"description": "z" * 9000}, "description", "z" * 4096),
    ],
)
def test_a_field_is_read_as_panels_write_it(fields: dict[str, object], attribute: str, value: object) -> None:
    assert getattr(read(**fields), attribute) == value


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"service": "absent"}, Skipped("#1", "no id")),
        ({"service": None}, Skipped("#1", "no id")),
        ({"service": True}, Skipped("#1", "no id")),
        ({"name": "  "}, Skipped("1", "no name")),
        ({"name": None}, Skipped("1", "no name")),
        ({"rate": "absent"}, Skipped("1", "rate missing")),
        ({"rate": "0.00"}, Skipped("1", 'rate "0.00"')),
        ({"rate": "-1"}, Skipped("1", 'rate "-1"')),
        ({"rate": "NaN"}, Skipped("1", 'rate "NaN"')),
        ({"rate": "1e999999"}, Skipped("1", 'rate "1e999999"')),
        ({"rate": "9999999999999.00"}, Skipped("1", 'rate "9999999999999.00"')),
        ({"rate": 10**9}, Skipped("1", 'rate "1000000000"')),
        ({"rate": "1,50"}, Skipped("1", 'rate "1,50"')),
        ({"rate": {"a": 1}}, Skipped("1", "rate unreadable")),
        ({"min": "absent"}, Skipped("1", 'min missing, max "10000"')),
        ({"max": "absent"}, Skipped("1", 'min "50", max missing')),
        ({"max": 0, "min": 0}, Skipped("1", 'min "0", max "0"')),
        ({"min": 11, "max": 10}, Skipped("1", 'min "11", max "10"')),
        ({"min": -5}, Skipped("1", 'min "-5", max "10000"')),
        ({"min": "1.5"}, Skipped("1", 'min "1.5", max "10000"')),
    ],
)
def test_a_row_that_cannot_be_sold_says_why(fields: dict[str, object], why: Skipped) -> None:
    assert read(**fields) == why


def test_of_two_rows_with_one_id_the_first_counts() -> None:
    first, second, odd = rows([ROW, {**ROW, "name": "Other"}, "row"])
    assert first == SERVICE
    assert second == Skipped("1", "the id stands above already")
    assert odd == Skipped("#3", "not an object")


async def test_a_long_list_lets_others_run_between_its_rows() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    found = await panel([{**ROW, "service": place} for place in range(1, 2001)]).services()
    task.cancel()
    assert len(found.rows) == 2000
    assert turns >= 8


# add


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


NO_ID = [
    0, "0", "000", -5, "-5", None, True, False, 1.5, "", " ", "1 2", "5'", 'a"b', "х", "x" * 65, {}, {"id": 5}, [], [5],
    "null", "None", "undefined", "error", "Maintenance",
]  # fmt: skip


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
    *((status, PLACED, Unanswered, None) for status in (301, 302, 307, 400, 403, 404, 422, 500, 502, 503, 520)),
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
    (404, b"23501", Refused, Reason.OTHER),
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


# Words

REASONS = {
    "auth": Reason.KEY,
    "order_lookup": Reason.ORDER,
    "server": Reason.OTHER,
    "warning": Reason.OTHER,
} | {why.value: why for why in Reason}
FILLED = {" N": " 50", "A and B": "10 and 20", "<field>": "keywords", "refill_*": "refill_pending"}
FACTS = Path(__file__).parents[2] / "shared" / "protocol.json"


@pytest.mark.skipif(not FACTS.exists(), reason="the collection of the field's words is not on this machine")
def test_every_word_of_the_field_has_its_meaning() -> None:
    facts = json.loads(FACTS.read_text())["errors"]
    assert len(facts) > 100
    for fact in facts:
        text = fact["string"]
        for hole, filling in FILLED.items():
            text = text.replace(hole, filling)
        settles = fact["definitive"] is True and fact["scope"] in {"any", "add"}
        word = known(text)
        assert word is not None, text
        assert (word.reason, word.settles_add) == (REASONS[fact["kind"]], settles), text


def test_no_word_of_the_table_has_two_meanings() -> None:
    told = [
        words._folded(text)
        for table in (words._BEFORE_ORDERS, words._ABOUT_OTHER_ACTIONS)
        for texts in table.values()
        for text in texts
    ]
    assert len(told) == len(set(told))


@pytest.mark.parametrize("ours", [WrongKey(), NotEnoughFunds(), NotSold(), Busy()], ids=lambda ours: ours.words)
def test_what_a_gateway_like_ours_says_is_known_to_have_bought_nothing(ours: Any) -> None:
    word = known(ours.words)
    assert word is not None
    assert word.settles_add


@pytest.mark.parametrize(
    "text",
    ["", "Incorrect", "Invalid API key provided", "no money left", "Sorry: Not enough funds on balance", "Incorrect x"],
)
def test_words_are_not_guessed_from_their_parts(text: str) -> None:
    assert known(text) is None


# status

DONE = {"charge": "0.27819", "start_count": "3572", "status": "Partial", "remains": "157", "currency": "USD"}
PARTIAL = Status(
    status=OrderStatus.PARTIAL,
    word="Partial",
    charge=Decimal("0.27819"),
    start_count=3572,
    remains=157,
    currency="USD",
)
GONE = Refusal(Reason.ORDER, "Incorrect order ID")


async def test_one_order_is_asked_for_as_one_and_several_as_a_list() -> None:
    line = Canned(DONE)
    await APIv2(line).status(["5"])
    await APIv2(line).status(["5", "6", "5"])
    await APIv2(line).refill(["5"])
    await APIv2(line).refill(["5", "6"])
    await APIv2(line).refill_status(["5"])
    await APIv2(line).refill_status(["5", "6"])
    await APIv2(line).cancel(["5"])
    await APIv2(line).cancel(["5", "6"])
    assert [{name: value for name, value in sent.items() if name != "key"} for sent in line.sent] == [
        {"action": "status", "order": "5"},
        {"action": "status", "orders": "5,6"},
        {"action": "refill", "order": "5"},
        {"action": "refill", "orders": "5,6"},
        {"action": "refill_status", "refill": "5"},
        {"action": "refill_status", "refills": "5,6"},
        {"action": "cancel", "orders": "5"},
        {"action": "cancel", "orders": "5,6"},
    ]


@pytest.mark.parametrize("action", ["status", "refill", "refill_status", "cancel"])
async def test_no_ids_make_no_call_and_too_many_are_not_sent(action: Action) -> None:
    line = Canned(DONE)
    assert await getattr(APIv2(line), action)([]) == {}
    with pytest.raises(Unsent, match="101 ids in one call, at most 100"):
        await getattr(APIv2(line), action)([str(number) for number in range(1, 102)])
    assert line.sent == []


@pytest.mark.parametrize(
    "said",
    [
        DONE,
        {"order": 5, **DONE},
        {"order": "5", "service": 1, **DONE},
        {"5": DONE},
        [{"order": 5, **DONE}],
        [DONE],
        {"data": DONE},
        {"status": "success", "data": {"5": DONE}},
        {"status": "success", "data": [{"order": "5", **DONE}]},
        {"error": None, **DONE},
    ],
)
async def test_the_status_of_one_order_is_found_in_any_shape(said: object) -> None:
    assert await panel(said).status(["5"]) == {"5": PARTIAL}


@pytest.mark.parametrize(
    "said",
    [
        {"5": DONE, "6": {"error": "Incorrect order ID"}, "9": DONE},
        {"5": DONE, "6": "Incorrect order ID"},
        {"data": {"5": DONE, "6": {"error": "Incorrect order ID"}}},
        {"orders": {"5": DONE, "6": {"error": "Incorrect order ID"}}},
        {"orders": [{"order": 5, **DONE}, {"order": 6, "error": "Incorrect order ID"}, {"order": 9, **DONE}]},
        [{"order": 6, "error": "Incorrect order ID"}, {"id": "5", **DONE}, {"order": 9, **DONE}, "x", DONE],
        {"5": DONE, "6": {"status": {"error": "Incorrect order ID"}}},
    ],
)
async def test_of_several_orders_each_asked_for_is_told_and_no_other(said: object) -> None:
    assert await panel(said).status(["5", "6"]) == {"5": PARTIAL, "6": GONE}


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        [DONE, DONE],
        DONE,
        {"7": DONE},
        {"5": {}, "6": None},
        {"5": [], "6": 5},
        {"status": "success"},
        {"data": {}},
        None,
        5,
    ],
)
async def test_what_is_not_told_of_an_order_is_absent(said: object) -> None:
    assert await panel(said).status(["5", "6"]) == {}


@pytest.mark.parametrize(
    "said",
    [{"order": 999, **DONE}, {"status": "success"}, {"status": "Fail"}, {"status": "success", "order": 5}, {}, [], [5]],
)
async def test_an_answer_about_something_else_tells_nothing_of_the_one_order(said: object) -> None:
    assert await panel(said).status(["5"]) == {}


def told(**fields: object) -> Status:
    return asyncio.run(_told(fields))


async def _told(fields: dict[str, object]) -> Status:
    status = (await panel(json.dumps(DONE | fields).encode()).status(["5"]))["5"]
    assert isinstance(status, Status)
    return status


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"charge": 0.08011655652}, "charge", Decimal("0.08011655652")),
        ({"charge": None}, "charge", None),
        ({"charge": "-3"}, "charge", None),
        ({"charge": "Infinity"}, "charge", None),
        ({"start_count": 7}, "start_count", 7),
        ({"start_count": None}, "start_count", None),
        ({"start_count": ""}, "start_count", None),
        ({"start_count": "-7"}, "start_count", None),
        ({"remains": 157}, "remains", 157),
        ({"remains": "Unknown"}, "remains", None),
        ({"remains": "-20"}, "remains", 0),
        ({"remains": "+20"}, "remains", 0),
        ({"remains": "+x"}, "remains", None),
        ({"remains": "10.5"}, "remains", None),
        ({"remains": None}, "remains", None),
        ({"currency": "inr"}, "currency", "INR"),
        ({"currency": "₹"}, "currency", "INR"),
        ({"currency": None}, "currency", None),
        ({"runs": "10", "orders": [1, "2", 0, None]}, "orders", ("1", "2")),
        ({"runs": "10"}, "runs", 10),
        ({"posts": 3}, "posts", 3),
        ({"expiry": "31/12/2026"}, "expiry", "31/12/2026"),
        ({"expiry": True}, "expiry", None),
        ({"expiry": ""}, "expiry", None),
        ({"orders": "1,2"}, "orders", ()),
    ],
)
def test_a_figure_is_read_as_panels_write_it(fields: dict[str, object], attribute: str, value: object) -> None:
    assert getattr(told(**fields), attribute) == value


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Pending", OrderStatus.PENDING),
        ("Awaiting", OrderStatus.PENDING),
        ("Processing", OrderStatus.PROCESSING),
        ("In progress", OrderStatus.IN_PROGRESS),
        ("in_progress", OrderStatus.IN_PROGRESS),
        ("Inprogress", OrderStatus.IN_PROGRESS),
        ("IN-PROGRESS", OrderStatus.IN_PROGRESS),
        ("Completed", OrderStatus.COMPLETED),
        ("success", OrderStatus.COMPLETED),
        ("Partially Completed", OrderStatus.PARTIAL),
        ("Canceled", OrderStatus.CANCELED),
        ("Cancelled", OrderStatus.CANCELED),
        ("Refunded", OrderStatus.CANCELED),
        ("Fail", OrderStatus.CANCELED),
        ("Active", OrderStatus.ACTIVE),
        ("Paused", OrderStatus.PAUSED),
        ("Expired", OrderStatus.EXPIRED),
        (4, OrderStatus.CANCELED),
        ("Error", None),
        ("Failed", None),
        ("Completed soon", None),
    ],
)
def test_a_status_word_means_what_the_field_means_by_it(word: object, status: OrderStatus | None) -> None:
    found = told(status=word)
    assert (found.status, found.word) == (status, str(word))


@pytest.mark.skipif(not FACTS.exists(), reason="the collection of the field's words is not on this machine")
def test_every_status_of_the_field_has_its_meaning() -> None:
    folds = {"failed": None} | {status.name.lower(): status for status in OrderStatus}
    folds |= {f"subscription_{name}": folds[name] for name in ("active", "paused", "expired")}
    for fact in json.loads(FACTS.read_text())["statuses"]:
        if "numeric" not in fact["status"]:
            for word in fact["status"].split(" / "):
                assert told(status=word).status == folds[fact["fold"]], word


async def test_a_lone_word_in_place_of_an_entry_is_read() -> None:
    assert await panel({"5": "Completed", "6": "Something new"}).status(["5", "6"]) == {
        "5": Status(status=OrderStatus.COMPLETED, word="Completed"),
        "6": Refusal(Reason.OTHER, "Something new"),
    }


async def test_the_children_of_a_drip_feed_are_not_its_status() -> None:
    found = await panel({"status": "In progress", "runs": 1, "orders": [77]}).status(["5"])
    assert found == {"5": Status(status=OrderStatus.IN_PROGRESS, word="In progress", runs=1, orders=("77",))}


async def test_a_no_about_one_order_is_an_answer_and_one_about_us_or_all_is_an_error() -> None:
    assert await panel({"error": "Incorrect order ID"}).status(["5"]) == {"5": GONE}
    assert await panel({"error": "Incorrect order ID"}, 404).status(["5"]) == {"5": GONE}
    assert await panel("Incorrect order ID").status(["5"]) == {"5": GONE}
    with pytest.raises(Refused):
        await panel({"error": "Incorrect order IDs"}).status(["5", "6"])
    with pytest.raises(Refused) as caught:
        await panel({"error": "Invalid API key"}).status(["5"])
    assert caught.value.reason is Reason.KEY


# refill


@pytest.mark.parametrize(
    ("said", "refill"),
    [
        ({"refill": "1"}, "1"),
        ({"refill": 1}, "1"),
        ({"success": "text", "refill": 12345}, "12345"),
        ([{"order": 5, "refill": 1}], "1"),
        ([{"refill": 1}], "1"),
        ({"5": {"refill": 1}}, "1"),
        ({"5": 1}, "1"),
        ({"refill_id": "r7"}, "r7"),
        ({"refill": {"error": "Incorrect order ID"}}, GONE),
        ({"error": "Incorrect order ID"}, GONE),
        ([{"order": 5, "error": "Incorrect order ID"}], GONE),
        ([{"order": 5, "refill": {"error": "Incorrect order ID"}}], GONE),
        ({"5": "Incorrect order ID"}, GONE),
        ({"error": "Something new"}, Refusal(Reason.OTHER, "Something new")),
        ({"refill": "Maintenance"}, Refusal(Reason.MAINTENANCE, "Maintenance")),
        ({"refill": "no"}, None),
        ({"refill": 0}, Refusal(Reason.REFILL, "refill: 0")),
        ({"refill": False}, Refusal(Reason.REFILL, "refill: False")),
        ({"status": "Success", "message": "done"}, None),
        ({}, None),
        ([1], None),
    ],
)
async def test_a_refill_is_an_id_or_a_no(said: object, refill: object) -> None:
    expected = {} if refill is None else {"5": refill}
    if said == {"refill": "no"}:
        expected = {"5": Refusal(Reason.OTHER, "no")}
    assert await panel(said).refill(["5"]) == expected


async def test_many_refills_are_told_by_order() -> None:
    said = [
        {"order": 5, "refill": 1},
        {"order": 6, "refill": {"error": "Incorrect order ID"}},
        {"order": 7, "error": "Refill is not available for this order"},
        {"order": 9, "refill": 3},
    ]
    assert await panel(said).refill(["5", "6", "7", "8"]) == {
        "5": "1",
        "6": GONE,
        "7": Refusal(Reason.REFILL, "Refill is not available for this order"),
    }


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"status": "Completed"}, RefillStatus.COMPLETED),
        ({"status": "In progress"}, RefillStatus.IN_PROGRESS),
        ({"status": "approved"}, RefillStatus.IN_PROGRESS),
        ({"status": "Pending"}, RefillStatus.PENDING),
        ({"status": "Rejected"}, RefillStatus.REJECTED),
        ({"status": "Cancelled"}, RefillStatus.CANCELED),
        ({"status": "Error"}, None),
        ({"status": "Something"}, None),
        ({"refill": 5, "status": "Completed"}, RefillStatus.COMPLETED),
        ([{"refill": 5, "status": "Completed"}], RefillStatus.COMPLETED),
        ([{"status": "Completed"}], RefillStatus.COMPLETED),
        ({"5": {"status": "Completed"}}, RefillStatus.COMPLETED),
        ({"5": "Completed"}, RefillStatus.COMPLETED),
        ({"refill": 5, "status": {"status": "Completed"}}, RefillStatus.COMPLETED),
        ({"refill": 5, "status": {"error": "Refill not found"}}, Refusal(Reason.REFILL, "Refill not found")),
        ({"refill": 5, "error": "Refill not found"}, Refusal(Reason.REFILL, "Refill not found")),
        ({"error": "Refill not found"}, Refusal(Reason.REFILL, "Refill not found")),
        ({"status": "Not found"}, Refusal(Reason.REFILL, "Not found")),
        ({"5": "Refill not found"}, Refusal(Reason.REFILL, "Refill not found")),
    ],
)
async def test_a_refills_status_is_a_word_or_a_no(said: object, status: object) -> None:
    assert await panel(said).refill_status(["5"]) == {"5": status}


async def test_a_refill_that_is_not_told_of_is_absent() -> None:
    assert await panel([{"refill": 6, "status": "Completed"}, {"refill": 5}]).refill_status(["5", "7"]) == {}


# cancel


@pytest.mark.parametrize(
    ("said", "cancel"),
    [
        ([{"order": 5, "cancel": 1}], Requested()),
        ([{"order": 5, "cancel": True}], Requested()),
        ([{"order": 5, "cancel": "1"}], Requested()),
        ([{"order": "5", "cancel": 90123}], Requested()),
        ([{"order": 5, "cancel": "Pending"}], Requested()),
        ({"5": {"cancel": True}}, Requested()),
        ({"5": "Cancel requests are submitted"}, Requested()),
        ({"ok": "true"}, Requested()),
        ({"status": "success"}, Requested()),
        ({"success": True}, Requested()),
        ({"cancel": {"status": "success"}}, Requested()),
        ({"status": "Canceled"}, Requested()),
        ([{"order": 5, "cancel": {"error": "Incorrect order ID"}}], GONE),
        ([{"order": 5, "error": "Incorrect order ID"}], GONE),
        ({"5": {"error": "Incorrect order ID"}}, GONE),
        ({"5": "Incorrect order ID"}, GONE),
        ({"error": "Incorrect order ID"}, GONE),
        ([{"order": 5, "cancel": 0}], Refusal(Reason.CANCEL, "cancel: 0")),
        ([{"order": 5, "cancel": False}], Refusal(Reason.CANCEL, "cancel: False")),
        ([{"order": 5, "cancel": "Impossible"}], Refusal(Reason.OTHER, "Impossible")),
        ({"error": "Already completed"}, Refusal(Reason.CANCEL, "Already completed")),
        ({"error": "Something new"}, Refusal(Reason.OTHER, "Something new")),
        ({"ok": "false", "message": "Failed to cancel"}, Refusal(Reason.CANCEL, "Failed to cancel")),
    ],
)
async def test_a_cancel_is_a_request_or_a_no(said: object, cancel: object) -> None:
    assert await panel(said).cancel(["5"]) == {"5": cancel}


@pytest.mark.parametrize("said", [{}, [], {"order": 5}, [{"order": 6, "cancel": 1}], {"cancel": None}, {"cancel": {}}])
async def test_a_cancel_that_is_not_told_of_is_absent(said: object) -> None:
    assert await panel(said).cancel(["5"]) == {}


async def test_a_lone_yes_does_not_speak_for_many() -> None:
    assert await panel({"status": "success"}).cancel(["5", "6"]) == {}
    assert await panel([{"cancel": 1}, {"cancel": 1}]).cancel(["5", "6"]) == {}


async def test_a_panel_without_cancels_says_so_once() -> None:
    with pytest.raises(Refused) as caught:
        await panel("Incorrect request").cancel(["5"])
    assert caught.value.reason is Reason.REQUEST


# balance


@pytest.mark.parametrize(
    ("said", "balance"),
    [
        ({"balance": "100.84292", "currency": "USD"}, Balance(Decimal("100.84292"), "USD")),
        (b'{"balance": 12.3}', Balance(Decimal("12.3"))),
        ({"balance": 10000, "currency": "₽"}, Balance(Decimal(10000), "RUB")),
        ({"balance": "1 234.50", "currency": "rupees"}, Balance(Decimal("1234.50"))),
        ({"balance": "-2", "currency": 5}, Balance(Decimal(-2))),
        ({"status": "success", "balance": "1", "currency": "USD"}, Balance(Decimal(1), "USD")),
        ({"statusCode": 201, "balance": 5}, Balance(Decimal(5))),
        ({"funds": "5"}, Balance(Decimal(5))),
        ({"amount": "5"}, Balance(Decimal(5))),
        ({"status": True, "data": {"balance": "5", "currency": "IDR"}}, Balance(Decimal(5), "IDR")),
    ],
)
async def test_a_balance_is_read_as_panels_write_it(said: object, balance: Balance) -> None:
    assert await panel(said).balance() == balance


@pytest.mark.parametrize("said", [{}, [], 5, {"balance": None}, {"balance": "NaN"}, {"balance": "lots"}, b"", b"{"])
async def test_no_amount_is_no_balance(said: object) -> None:
    with pytest.raises(Unanswered):
        await panel(said).balance()


# Whatever a panel says

TEXTS = st.sampled_from(["Incorrect service ID", "no money", "Failed to create order", "Rate limit exceeded", "x", ""])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.text(max_size=9),
)
NAMES = st.sampled_from(
    ["order", "order_id", "id", "orders", "error", "errors", "status", "message", "data", "success", "balance", "refill",
     "cancel", "1", "charge", "remains", "service", "services", "Order", "result", "ok"]
)  # fmt: skip
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)
BODIES = st.one_of(
    DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    st.tuples(DOCUMENTS, st.integers(0, 30)).map(lambda cut: json.dumps(cut[0]).encode()[: cut[1]]),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: f"<html>{text}</html>".encode("utf-8", "replace")),
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 520, 521])
HEADERS = st.sampled_from([None, CLOUDFLARE, {**CLOUDFLARE, "CF-Mitigated": "challenge"}, {}])


def leaves(document: object) -> Iterator[object]:
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for inner in document:
            yield from leaves(inner)
    else:
        yield document


def said_in(body: bytes) -> list[object]:
    """All values of a JSON body; nothing of any other."""
    try:
        return list(leaves(json.loads(body.decode("utf-8-sig"))))
    except (ValueError, RecursionError):
        return []


@settings(max_examples=300, deadline=None)
@given(status=STATUSES, body=BODIES, headers=HEADERS)
@example(status=200, body=b'{"order":5,"error":"no money"}', headers=None)
@example(status=521, body=b"", headers=CLOUDFLARE)
@example(status=503, body=b'{"order":5}', headers={**CLOUDFLARE, "CF-Mitigated": "challenge"})
def test_an_order_is_unknown_unless_something_proves_otherwise(
    status: int, body: bytes, headers: Mapping[str, str] | None
) -> None:
    said = said_in(body)
    meanings = [word for leaf in said if isinstance(leaf, str) and (word := known(leaf)) is not None]
    provider = panel(body, status, headers)
    try:
        placed = asyncio.run(provider.add(ORDER))
    except Throttled:
        assert status == 429 or any(word.reason is Reason.RATE_LIMIT for word in meanings)
    except Refused:
        turned_away = status in {401, 402, 403, 404, 405, 411, 413, 414, 415, 431}
        challenged = status == 503 and headers is not None and "CF-Mitigated" in headers
        assert turned_away or challenged or (status < 500 and any(word.settles_add for word in meanings))
    except Unsent:
        assert status == 521
        assert headers is not None
        assert "CF-RAY" in headers
    except Unanswered:
        pass
    else:
        assert 200 <= status < 300
        assert placed.remote_id in {str(leaf) for leaf in said}
        assert placed.remote_id != "0"


@settings(max_examples=300, deadline=None)
@given(action=st.sampled_from(get_args(Action)), status=STATUSES, body=BODIES, many=st.booleans())
def test_nothing_but_our_own_errors_comes_out_whatever_a_panel_says(
    action: Action, status: int, body: bytes, many: bool
) -> None:
    ids = ("1", "2") if many else ("1",)
    try:
        found = asyncio.run(_asked(action, status, body, ids))
    except ProviderError as fault:
        assert fault.action == action
        assert fault.panel == "alpha"
    else:
        if action not in {"services", "add", "balance"}:
            assert isinstance(found, dict)
            assert set(found) <= set(ids)


async def _asked(action: Action, status: int, body: bytes, ids: tuple[str, ...]) -> object:
    return await ask(panel(body, status), action, *ids)
