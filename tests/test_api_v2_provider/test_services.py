"""A panel's list: its containers, its fields, and the rows that cannot be sold."""

import asyncio
import json
from decimal import Decimal

import pytest

from providers.api_v2.catalogue import rows
from providers.base import (
    RemoteService,
    Skipped,
)
from providers.errors import Unanswered
from tests.test_api_v2_provider.canned import panel

pytestmark = pytest.mark.anyio


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


async def test_what_cannot_be_sold_is_listed_apart() -> None:
    found = await panel([{**ROW, "rate": "0.00"}, ROW]).services()
    assert found.rows == (SERVICE,)
    assert found.skipped == (Skipped("1", 'rate "0.00"'),)
