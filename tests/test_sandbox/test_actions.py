"""The seven actions in good order, as the field's documents write them, and every way to ask for them."""

from collections.abc import Mapping
from decimal import Decimal

import aiohttp
import pytest

from providers.sandbox import Sandbox, Temper
from tests.test_sandbox.shop import FIELDS, KEY, LATER, LINK, ROWS, SERVICES, TEMPO, Buyer, Clock

pytestmark = pytest.mark.anyio


async def test_services_are_served_as_they_stand(buyer: Buyer) -> None:
    assert await buyer.ask("services") == [dict(row) for row in ROWS]


async def test_add_gives_numbers_that_rise_from_the_first(buyer: Buyer) -> None:
    assert await buyer.add() == {"order": 23_501}
    assert await buyer.add() == {"order": 23_502}


async def test_status_of_many_is_keyed_by_id_and_unknown_ids_have_an_error_each(buyer: Buyer) -> None:
    await buyer.add()
    many = await buyer.ask("status", orders="23501, 7,x")
    assert list(many) == ["23501", "7", "x"]
    assert many["23501"]["status"] == "Pending"
    assert many["7"] == many["x"] == {"error": "Incorrect order ID"}
    assert list(await buyer.ask("status", orders="23501")) == ["23501"]
    assert await buyer.ask("status", order="7") == {"error": "Incorrect order ID"}
    assert await buyer.ask("status") == {"error": "Incorrect order ID"}


async def test_more_than_a_hundred_ids_are_refused_whole(buyer: Buyer) -> None:
    assert len(await buyer.ask("status", orders=",".join(map(str, range(100))))) == 100
    assert await buyer.ask("status", orders=",".join(map(str, range(101)))) == {"error": "Incorrect request"}
    assert await buyer.ask("cancel") == {"error": "Incorrect request"}


async def test_cancel_is_refused_where_it_is_not_sold(buyer: Buyer, panel: Sandbox) -> None:
    panel.catalogue = panel.catalogue.changed("1", cancel=None, canceling_is_available=False)
    await buyer.add()
    refused = [{"order": 23_501, "cancel": {"error": "Order cannot be canceled"}}]
    assert await buyer.ask("cancel", orders="23501") == refused


async def test_refill_waits_for_completion_and_runs_to_its_end(buyer: Buyer, panel: Sandbox, clock: Clock) -> None:
    order = str((await buyer.add())["order"])
    assert await buyer.ask("refill", order=order) == {"error": "The order is not completed"}
    clock.now += LATER
    assert await buyer.ask("refill", order=order) == {"refill": "1"}
    again = {"error": "The order was completed or refill was requested less than 24 hours ago"}
    assert await buyer.ask("refill", order=order) == again
    words = []
    for _ in range(3):
        words.append((await buyer.ask("refill_status", refill="1"))["status"])
        clock.now += 20
    assert words == ["Pending", "In progress", "Completed"]
    assert await buyer.ask("refill", orders=f"{order},77") == [
        {"order": 23_501, "refill": 2},
        {"order": 77, "refill": {"error": "Incorrect order ID"}},
    ]
    assert await buyer.ask("refill_status", refills="1,2,3") == [
        {"refill": 1, "status": "Completed"},
        {"refill": 2, "status": "Pending"},
        {"refill": 3, "status": {"error": "Refill not found"}},
    ]
    assert await buyer.ask("refill_status", refill="x") == {"error": "Refill not found"}
    assert [(entry.action, entry.refill) for entry in panel.journal[1:]] == [("refill", 1), ("refill", 2)]
    assert panel.balance == 99, "a refill is free"


async def test_refill_is_refused_where_it_is_not_sold_and_can_be_rejected(clock: Clock) -> None:
    rows = [dict(ROWS[0]), dict(ROWS[1], refill=False)]
    panel = Sandbox("alpha", key=KEY, catalogue=rows, clock=clock, tempo=TEMPO, temper=Temper(refill_rejected=1))
    panel.ask("add", service="2", link=LINK)
    panel.ask("add", service="1", **FIELDS["Default"])
    clock.now += LATER
    assert panel.ask("refill", order="23501") == {"error": "Refill is disabled for this service"}
    panel.ask("refill", order="23502")
    clock.now += LATER
    assert panel.ask("refill_status", refill="1") == {"status": "Rejected"}


@pytest.mark.parametrize(("decimals", "told"), [(5, "99.99600"), (2, "100.00")])
async def test_the_balance_is_told_with_the_panels_decimals(clock: Clock, decimals: int, told: str) -> None:
    panel = Sandbox(
        "alpha", key=KEY, catalogue=ROWS, clock=clock, balance=Decimal(100), decimals=decimals, currency="EUR"
    )
    panel.ask("add", service=SERVICES["Custom Comments"], link=LINK, comments="nice")
    panel.ask("add", service=SERVICES["Custom Comments"], link=LINK, comments="nice")
    assert panel.balance == Decimal("99.996")
    assert panel.ask("balance") == {"balance": told, "currency": "EUR"}


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "wrong", "action": "balance"},
        {"action": "balance"},
        {"key": KEY + "é", "action": "balance"},
    ],
)
async def test_a_wrong_key_is_told_so(buyer: Buyer, fields: Mapping[str, str]) -> None:
    async with buyer.session.post(buyer.url, data=fields) as response:
        assert await response.json() == {"error": "Invalid API key"}


async def test_an_unknown_action_is_an_incorrect_request(buyer: Buyer, panel: Sandbox) -> None:
    assert await buyer.ask("buy") == {"error": "Incorrect request"}
    assert panel.sends == {"other": 1}


async def test_every_way_to_send_a_request_is_understood(buyer: Buyer) -> None:
    await buyer.add()
    session, url = buyer.session, buyer.url
    asked = {"key": KEY, "action": "status", "orders": "23501,7"}
    multipart = aiohttp.FormData(default_to_multipart=True)
    for name, value in asked.items():
        multipart.add_field(name, value)
    listed = {"key": KEY, "action": "status", "orders[0]": "23501", "orders[1]": "7"}
    ways = [
        session.get(url, params=asked),
        session.post(url, params=asked),
        session.post(url + "/", data=asked),
        session.post(url, json=asked),
        session.post(url, json={**asked, "orders": [23_501, 7], "page": None}),
        session.post(url, data=multipart),
        session.post(url, data=listed),
        session.post(url, data=[*list(asked.items())[:2], ("orders[]", "23501"), ("orders[]", "7")]),
        session.post(url, data=asked, expect100=True),
    ]
    for way in ways:
        async with way as response:
            assert list(await response.json()) == ["23501", "7"]


async def test_a_body_of_broken_json_says_nothing(buyer: Buyer) -> None:
    async with buyer.session.post(buyer.url, data=b'{"key":') as response:
        assert await response.json() == {"error": "Invalid API key"}


async def test_other_paths_and_methods_are_not_the_api(buyer: Buyer, panel: Sandbox) -> None:
    async with buyer.session.post(buyer.url + "/x", data={"key": KEY, "action": "balance"}) as response:
        assert (response.status, await response.json()) == (404, {"error": "Incorrect request"})
    async with buyer.session.put(buyer.url) as response:
        assert response.status == 405
    assert [call.path for call in panel.calls] == ["/api/v2/x", "/api/v2"]


async def test_calls_remember_what_was_sent_and_never_the_key(buyer: Buyer, panel: Sandbox) -> None:
    await buyer.add(ref="17")
    await buyer.ask("status", order="23501")
    add, status = panel.calls
    assert dict(add.fields) == {"action": "add", "service": "1", **FIELDS["Default"], "ref": "17"}
    assert (add.number, add.method, add.path, add.action, add.has_key) == (1, "POST", "/api/v2", "add", True)
    assert status.number == 2
    assert panel.sends == {"add": 1, "status": 1}
    assert KEY not in repr(panel) + repr(panel.calls) + repr(panel.journal)


async def test_calls_are_bounded_and_their_count_is_not(clock: Clock) -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, calls_kept=2)
    async with panel.serve() as url, aiohttp.ClientSession() as session:
        for _ in range(3):
            await Buyer(session, url).ask("balance")
    assert [call.number for call in panel.calls] == [2, 3]
    assert panel.sends["balance"] == 3
