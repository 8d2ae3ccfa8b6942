"""What a panel tells of orders."""

import json
from decimal import Decimal

import pytest

from providers.api_v2 import APIv2
from providers.base import (
    Action,
    OrderStatus,
    Refusal,
    Status,
)
from providers.errors import Reason, Refused, Unsent
from tests.test_api_v2_provider.canned import FACTS, GONE, Canned, panel

pytestmark = pytest.mark.anyio


DONE = {"charge": "0.27819", "start_count": "3572", "status": "Partial", "remains": "157", "currency": "USD"}
PARTIAL = Status(
    status=OrderStatus.PARTIAL,
    word="Partial",
    charge=Decimal("0.27819"),
    start_count=3572,
    remains=157,
    currency="USD",
)


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
    [
        {"order": 999, **DONE},
        {"status": "success"},
        {"status": "Fail"},
        {"status": "success", "order": 5},
        {},
        [],
        [5],
        [DONE, DONE],
    ],
)
async def test_an_answer_about_something_else_tells_nothing_of_the_one_order(said: object) -> None:
    assert await panel(said).status(["5"]) == {}


async def told(**fields: object) -> Status:
    status = (await panel(json.dumps(DONE | fields).encode()).status(["5"]))["5"]
    assert isinstance(status, Status)
    return status


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"charge": 0.08011655652}, "charge", Decimal("0.08011655652")),
        ({"charge": None}, "charge", None),
        ({"charge": "1" * 100}, "charge", None),
        ({"charge": 10**400}, "charge", None),
        ({"charge": "1e-99"}, "charge", None),
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
async def test_a_figure_is_read_as_panels_write_it(fields: dict[str, object], attribute: str, value: object) -> None:
    assert getattr(await told(**fields), attribute) == value


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
async def test_a_status_word_means_what_the_field_means_by_it(word: object, status: OrderStatus | None) -> None:
    found = await told(status=word)
    assert (found.status, found.word) == (status, str(word))


@pytest.mark.skipif(not FACTS.exists(), reason="the collection of the field's words is not on this machine")
async def test_every_status_of_the_field_has_its_meaning() -> None:
    folds = {"failed": None} | {status.name.lower(): status for status in OrderStatus}
    folds |= {f"subscription_{name}": folds[name] for name in ("active", "paused", "expired")}
    for fact in json.loads(FACTS.read_text())["statuses"]:
        if "numeric" not in fact["status"]:
            for word in fact["status"].split(" / "):
                assert (await told(status=word)).status == folds[fact["fold"]], word


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


async def test_a_number_of_a_million_digits_is_no_charge() -> None:
    said = json.dumps(DONE).replace('"0.27819"', "0." + "1" * 1_000_000).encode()
    status = (await panel(said).status(["5", "6"])).get("5")
    assert status is None
    status = (await panel(b'{"5": ' + said + b"}").status(["5", "6"]))["5"]
    assert isinstance(status, Status)
    assert (status.charge, status.remains) == (None, 157)
