"""Refills, cancels and balances."""

from decimal import Decimal

import pytest

from providers.base import (
    Balance,
    RefillStatus,
    Refusal,
    Requested,
)
from providers.errors import Reason, Refused, Unanswered
from tests.test_api_v2_provider.canned import GONE, panel

pytestmark = pytest.mark.anyio


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
    assert await panel({"5": 1, "7": None}).refill_status(["5", "7"]) == {}


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
