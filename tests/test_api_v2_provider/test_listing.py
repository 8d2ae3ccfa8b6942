"""What some panels have beside the protocol: a list of our orders, and names for requests."""

from typing import Any

import msgspec
import pytest

from providers.api_v2 import APIv2
from providers.base import Listed
from providers.errors import ProviderError, Reason, Refused, Unanswered
from tests.test_api_v2_provider.canned import KEY, ORDER, Canned, panel

pytestmark = pytest.mark.anyio

ROW: dict[str, Any] = {"order": 7, "service": 3, "link": "https://x.example/p", "quantity": "100"}
SEEN = Listed(
    remote_id="7",
    remote_service="3",
    link="https://x.example/p",
    quantity=100,
    created_ms=None,
    request_id=None,
)


async def test_our_name_for_an_order_goes_out_where_it_has_one() -> None:
    line = Canned({"order": 1})
    await APIv2(line).add(msgspec.structs.replace(ORDER, request_id="pm-2s"))
    await APIv2(line).add(ORDER)
    assert [sent.get("request_id") for sent in line.sent] == ["pm-2s", None]


@pytest.mark.parametrize("said", [[ROW], {"orders": [ROW]}, {"data": [ROW]}, {"list": [ROW, "noise", {"service": 3}]}])
async def test_a_list_of_our_orders_is_found_in_any_envelope(said: object) -> None:
    assert await panel(said).orders() == (SEEN,)


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({"created": 1_700_000_000}, 1_700_000_000_000),
        ({"created": "1700000000000"}, 1_700_000_000_000),
        ({"date": "2023-11-14 22:13:20"}, 1_700_000_000_000),
        ({"date": "2023-11-14T23:13:20+01:00"}, 1_700_000_000_000),
        ({"date": "yesterday"}, None),
        ({"date": ["x"]}, None),
    ],
)
async def test_when_an_order_was_placed_is_read_as_panels_write_it(fields: dict[str, object], moment: int) -> None:
    [row] = await panel([{**ROW, **fields}]).orders()
    assert row.created_ms == moment


async def test_a_name_that_comes_back_is_ours() -> None:
    [row] = await panel([{**ROW, "request_id": "pm-2s"}]).orders()
    assert row.request_id == "pm-2s"


async def test_so_many_are_asked_for() -> None:
    line = Canned([])
    assert await APIv2(line).orders(limit=50) == ()
    assert line.sent == [{"key": KEY, "action": "orders", "limit": "50"}]


@pytest.mark.parametrize("said", [{}, {"orders": "none"}, "text", {"order": 5}])
async def test_what_is_no_list_tells_nothing(said: object) -> None:
    with pytest.raises(ProviderError) as caught:
        await panel(said).orders()
    assert isinstance(caught.value, Unanswered | Refused)


async def test_a_panel_that_has_no_list_says_so() -> None:
    with pytest.raises(Refused) as caught:
        await panel({"error": "Incorrect request"}).orders()
    assert isinstance(caught.value.reason, Reason)
