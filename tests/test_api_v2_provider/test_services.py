"""A panel's list: its containers, its fields, and the rows that cannot be sold."""

import asyncio
import gzip
import json
import tracemalloc
from decimal import Decimal

import pytest

from providers.api_v2 import APIv2
from providers.api_v2.catalogue import rows
from providers.base import (
    RemoteService,
    Skipped,
)
from providers.errors import Unanswered
from providers.transport import Transport
from tests.raw_panel import RawPanel, answer
from tests.test_api_v2_provider.canned import KEY, panel

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
        ({"min": 50, "max": 10**12}, "max", 2_147_483_647),
        ({"min": 0}, "min", 1),
        ({"name": "Real\tViews\r\nHQ\u2028x\xa0y"}, "name", "Real Views  HQ x y"),
        ({"name": "a\0b\x1b[31mc\u202ed\u2066e\u2069f\u202a"}, "name", "ab[31mcdef"),
        ({"name": "\u06a9\u200c 👩\u200d👩 ⭐\ufe0f"}, "name", "\u06a9\u200c 👩\u200d👩 ⭐\ufe0f"),
        ({"category": "\u202eevil\0"}, "category", "evil"),
        ({"description": "one\n\x07two\u202c"}, "description", "one two"),
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
        ({"min": 3 * 10**9, "max": 4 * 10**9}, Skipped("1", 'min "3000000000", max "4000000000"')),
        ({"rate": Decimal("1e1000000")}, Skipped("1", 'rate "1E+1000000"')),
        ({"rate": "\x1b[1m\u202e9"}, Skipped("1", 'rate "[1m9"')),
        ({"rate": True}, Skipped("1", 'rate "True"')),
        ({"name": "\0\u202e"}, Skipped("1", "no name")),
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


@pytest.mark.parametrize("figure", [b"1e1000000", b"1e-1000000", b"1e99999999999999999999"])
async def test_a_number_that_no_arithmetic_can_hold_costs_one_row(figure: bytes) -> None:
    odd = json.dumps({**ROW, "service": 2}).encode().replace(b'"0.90"', figure)
    found = await panel(b"[" + json.dumps(ROW).encode() + b"," + odd + b"]").services()
    assert found.rows == (SERVICE,)
    assert [row.row for row in found.skipped] == ["2"]


async def test_of_rows_that_cannot_be_sold_the_first_thousand_are_kept_and_the_rest_counted() -> None:
    found = await panel([ROW, *({} for _ in range(5000))]).services()
    assert found.rows == (SERVICE,)
    assert [row.row for row in found.skipped] == [f"#{place}" for place in range(2, 1002)]
    assert found.skipped_more == 4000


@pytest.mark.parametrize("entry", [b"{}", b"[]", b"1"])
async def test_a_list_as_long_as_no_panels_is_refused(entry: bytes) -> None:
    said = b"[" + json.dumps(ROW).encode() + (b"," + entry) * 200_000 + b"]"
    with pytest.raises(Unanswered, match="a list of 200001 entries"):
        await panel(said).services()


@pytest.mark.parametrize("entry", [b",{}", b",[]", b',{"a":1}'])
async def test_a_bomb_of_entries_is_not_even_unpacked(entry: bytes) -> None:
    bomb = b"[" + json.dumps(ROW).encode() + entry * 3_000_000 + b"]"
    packed = answer(gzip.compress(bomb, 1), headers="Content-Encoding: gzip\r\n")
    async with RawPanel(packed) as server, Transport("alpha", server.url, KEY, allow_private=True) as line:
        tracemalloc.start()
        try:
            with pytest.raises(Unanswered, match=r"a list of 300000[01] entries"):
                await APIv2(line).services()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 150_000_000


async def test_a_flood_of_numbers_is_not_unpacked_either() -> None:
    with pytest.raises(Unanswered, match="a list of 5100000 entries"):
        await panel(b"[" + b"1," * 5_100_000 + b"1]").services()
