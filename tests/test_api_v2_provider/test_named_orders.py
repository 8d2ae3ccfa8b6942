"""An answer that names an order is never a no; one that names none and says a known no is one; all else is unknown."""

import json

import pytest

from providers.api_v2.placed import ordered, ordered_in
from providers.api_v2.words import known
from providers.base import Added
from providers.errors import Reason, Refused, Throttled, Unanswered
from providers.service_types import TYPES
from tests.test_api_v2_provider.canned import ORDER, panel, refusal

pytestmark = pytest.mark.anyio

NAMED: list[object] = [
    {"error": "x", "order": {"id": 55}},
    {"error": "x", "order": {"number": "A-55"}},
    {"error": "x", "order": {"uuid": "0b5e-77"}},
    {"error": "x", "order": {"55": {"status": "new"}}},
    {"orders": [{"id": 55}]},
    {"orders": 55},
    *({"error": "Not enough funds", name: 55} for name in ("order_number", "orderNumber", "orderno", "order_uuid")),
    *({"error": "Order failed", "result": {name: 55}} for name in ("Order ID", "order-id", "ORDER_ID", "order no.")),
    {"error": "Not enough funds", "result": {"order": "#55"}},
    b'{"error": "x", "result": {"order": 55.0}}',
    b'{"order": 55.0}',
    {"message": "Order #55 placed"},
    {"message": "Not enough funds", "note": ["Order number: 55"]},
    {"error": '{"order": 55}'},
    "Order ID: 55",
]


@pytest.mark.parametrize("said", NAMED, ids=repr)
@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 422, 429])
async def test_an_answer_that_names_an_order_is_never_a_no(said: object, status: int) -> None:
    assert type(await refusal(said, "add", status)) is Unanswered


@pytest.mark.parametrize("name", ["Order ID", "order-id", "order_id", "ORDER"])
async def test_a_name_in_any_writing_names_the_order(name: str) -> None:
    assert await panel({name: 55}).add(ORDER) == Added("55")
    assert type(await refusal({name: 55}, "add", 403)) is Unanswered


async def test_the_id_is_told_from_a_number_made_for_people() -> None:
    assert await panel({"order_number": "A-7", "order": 55}).add(ORDER) == Added("55")
    assert type(await refusal({"order_number": "A-7"})) is Unanswered


NO_IDS = ["-", "_", "--", "invalid", "rejected", "Rejected", "not_created", "not-created", "none", "INVALID", ""]


@pytest.mark.parametrize("word", NO_IDS)
async def test_a_word_beside_a_known_no_is_no_id(word: str) -> None:
    fault = await refusal({"error": "Not enough funds", "order": word})
    assert isinstance(fault, Refused)
    assert fault.reason is Reason.FUNDS


@pytest.mark.parametrize("word", ["-", "rejected", "Rejected", "not_created"])
async def test_a_word_alone_is_no_id_either(word: str) -> None:
    assert type(await refusal({"order": word})) is Unanswered


BARE: list[tuple[object, Reason | None]] = [
    ({"status": 0, "message": "Not enough funds", "id": 12}, Reason.FUNDS),
    ({"status": "0", "message": "Not enough funds", "id": 12}, Reason.FUNDS),
    ({"ok": 0, "message": "Not enough funds", "id": 12}, Reason.FUNDS),
    ({"code": 400, "message": "Not enough funds", "data": {"id": 9}}, Reason.FUNDS),
    ({"statusCode": "402", "message": "Not enough funds", "id": 9}, Reason.FUNDS),
    ({"status": 403, "message": "Not enough funds", "id": 9}, Reason.FUNDS),
    ({"success": 0, "id": 5, "message": "no"}, None),
    ({"status": "failure", "id": 12}, None),
    ({"code": 400, "id": 12}, None),
    ({"message": "Not enough funds", "id": 12}, None),
    ({"status": True, "data": {"id": 12, "error": "Order failed"}}, None),
]


@pytest.mark.parametrize(("said", "why"), BARE, ids=repr)
async def test_a_bare_id_beside_a_no_is_no_order(said: object, why: Reason | None) -> None:
    fault = await refusal(said)
    assert type(fault) is (Unanswered if why is None else Refused)
    assert getattr(fault, "reason", None) is why


@pytest.mark.parametrize("beside", [{"code": 200}, {"code": 0}, {"status": 1}, {"success": 1}, {"message": "Placed"}])
async def test_a_bare_id_beside_a_yes_is_an_order(beside: dict[str, object]) -> None:
    assert await panel({**beside, "id": 12}).add(ORDER) == Added("12")


NOT_NAMED: list[object] = [
    {"error": "Forbidden", "limits": {"orders": 100}},
    {"error": "Forbidden", "details": {"order": "invalid"}},
    {"errors": {"order": "required"}},
    {"errors": {"order": ["is missing"]}},
    {"error": "Too many requests", "order": "asc"},
    {"error": "Forbidden", "order": {"service": 7, "quantity": 100}},
    {"id": "abc", "code": 429},
    {"id": "x1", "code": 429},
    {"id": "x1", "code": "LIMITED"},
    {"title": "Forbidden", "id": "x1", "status": 403},
    {"title": "Forbidden", "id": "x1"},
    b"[429] Too many requests",
    b"[2026-11-23 10:00] Too many requests",
    b"{error}",
    b"{ error }",
]


@pytest.mark.parametrize("said", NOT_NAMED, ids=repr)
async def test_a_no_by_its_status_that_names_no_order_is_a_no(said: object) -> None:
    assert type(await refusal(said, "add", 429)) is Throttled
    for status in (401, 402, 403, 404, 405):
        assert type(await refusal(said, "add", status)) is Refused


async def test_a_complaint_about_a_field_called_order_hides_no_known_words() -> None:
    said = {"error": "Incorrect service ID", "errors": {"order": "required"}}
    assert type(await refusal(said, "add", 422)) is Refused
    assert type(await refusal({"errors": {"order": "required"}}, "add", 422)) is Unanswered
    assert not ordered(said)


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[", b" {", b"\xef\xbb\xbf{", b'{"sta', b"{'sta", b'[{"id', b"[[", b"[55", b"[55,", b"{}x", b"[]x"),
        *(b'{\\"order', b"{&quot;ord", b"{order: 55}", b'["a"'),
    ],
)
def test_json_that_was_cut_or_goes_on_may_hold_an_order(body: bytes) -> None:
    assert ordered_in(body)


FIELDS = sorted({field for kind in TYPES.values() for field in kind.__struct_fields__})


@pytest.mark.parametrize("field", FIELDS)
async def test_incorrect_and_the_name_of_a_field_has_bought_nothing(field: str) -> None:
    for text in (f"Incorrect {field}", f"Incorrect {field}: x", f"Incorrect {field.replace('_', ' ')}."):
        assert type(await refusal({"error": text})) is Refused


MORE: list[tuple[str, Reason]] = [
    ("Incorrect service ID: 12", Reason.SERVICE),
    ("Incorrect service ID 12", Reason.SERVICE),
    ("Incorrect service ID (12)", Reason.SERVICE),
    ("Not enough funds on balance. Need $1.20", Reason.FUNDS),
    ("Not enough funds, top up first", Reason.FUNDS),
    ("Not enough funds $1.20", Reason.FUNDS),
    ("Not enough funds - need USD 1.20", Reason.FUNDS),
    ("neworder.error.min_quantity: 100", Reason.QUANTITY),
    ("limit min 100", Reason.QUANTITY),
    ("Not enough funds. Order cost: 1.20", Reason.FUNDS),
]


@pytest.mark.parametrize(("text", "why"), MORE)
async def test_a_known_text_that_goes_on_is_a_no(text: str, why: Reason) -> None:
    fault = await refusal({"error": text})
    assert isinstance(fault, Refused)
    assert fault.reason is why


@pytest.mark.parametrize(
    "text",
    [
        *("Not enough funds. Order ID: 55", "Not enough funds. Order 55", "Not enough funds, order #55 is on hold"),
        *("Rate limit exceeded: order queued", "Maintenance. Orders are accepted", "Duplicate order: 55"),
        *("Sorry. Not enough funds", "Not enough fundsx", "Maintenance mode is over", "no money left"),
        *("Failed to create order: 5", "Incorrect order ID: 5", "Internal server error. Try later"),
    ],
)
async def test_a_text_that_goes_on_to_an_order_or_turns_its_sense_is_unknown(text: str) -> None:
    assert type(await refusal({"error": text})) is Unanswered


def test_a_text_without_an_end_is_read_in_no_time() -> None:
    assert known("no " * 300_000) is None
    assert known("no money" + " order" * 10_000) is None
    assert known("no money:" + " order" * 10_000 + json.dumps("x")) is not None
