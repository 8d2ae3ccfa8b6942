"""The customer's edge over a real wire: uvicorn on loopback, aiohttp or bare bytes as the customer."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec
import pytest
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway import errors
from gateway.admission import Admission
from gateway.api_v2 import Front, edge
from gateway.api_v2.asgi import MAX_BODY, Receipt
from gateway.catalog.services import Service
from gateway.door import Door
from gateway.errors import GatewayError, WrongKey
from gateway.ledger.records import Account, Key, Order
from gateway.metrics import Metrics
from gateway.routing import Policy
from gateway.rules.model import AccountRules
from providers.base import READS, OrderStatus, RefillStatus
from providers.service_types import Default, OrderFields

pytestmark = pytest.mark.anyio

KEY: Final = "pm_sesame"
POST_ONLY_KEY: Final = "pm_careful"
LINK: Final = "https://x.example/p/1"
ACTIONS: Final = ("services", "add", "status", "refill", "refill_status", "cancel", "balance")


def sold(id: int, **other: Any) -> Service:
    values: dict[str, Any] = {
        "name": "Followers",
        "type": "Default",
        "category": "First Category",
        "rate": Decimal("0.9"),
        "min": 50,
        "max": 10000,
        "refill": True,
        "cancel": True,
        "dripfeed": None,
        "description": "",
        "policy": (Policy.CHEAPEST,),
        "routes": (),
        **other,
    }
    return Service(id=id, **values)


def ordered(id: int, **other: Any) -> Order:
    values: dict[str, Any] = {
        "account": 1,
        "service": 1,
        "type": "Default",
        "link": LINK,
        "fields": "{}",
        "quantity": 1000,
        "units": 1000,
        "charge": Decimal("0.330000"),
        "refunded": Decimal(0),
        "status": OrderStatus.PENDING,
        "start_count": None,
        "remains": 1000,
        "refill": True,
        "cancel": True,
        "created_ms": 0,
        "updated_ms": 0,
        **other,
    }
    return Order(id=id, **values)


class Accounts:
    """Two accounts: `KEY` opens the first, `POST_ONLY_KEY` the second."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.known: dict[str, tuple[Key, Account]] = {}

    async def by_key(self, key: str) -> tuple[Key, Account]:
        self.asked.append(key)
        if key not in {KEY, POST_ONLY_KEY}:
            raise WrongKey
        id = 1 if key == KEY else 2
        return (
            Key(id=id, account=id, hash=b"", hint=key[-4:], get_add=key == KEY, created_ms=0),
            Account(id=id, name="shop", unlimited=False, available=Decimal(0), held=Decimal(0), created_ms=0),
        )

    def last_known(self, key: str) -> tuple[Key, Account] | None:
        return self.known.get(key)


class Catalog:
    def __init__(self, *rows: Service) -> None:
        self.version = 1
        self.silent = False
        self.rows = rows
        self.written = 0
        self.lists: dict[str, Sequence[Service]] = {}

    def sold_to(self, account: str, id: int) -> Service | None:
        return next((row for row in self.lists.get(account, self.rows) if row.id == id), None)

    def undecided(self, id: int) -> bool:
        return self.silent and self.sold_to("", id) is None

    async def list_for(self, account: str) -> Sequence[Service]:
        self.written += 1
        return self.lists.get(account, self.rows)

    def is_apart(self, account: str) -> bool:
        return account in self.lists


class Orders:
    """Keeps what was asked of it; `fault` is raised by every method, after it was noted."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.calls: list[tuple[str, int, object]] = []
        self.named: list[tuple[str | None, str]] = []
        self.told: list[int] = []
        self.orders: dict[int, Order] = {}
        self.refills: dict[int, int | str] = {}
        self.refill_statuses: dict[int, RefillStatus] = {}
        self.cancels: dict[int, str | None] = {}
        self.known: list[tuple[int, int, OrderFields]] = []

    def _note(self, action: str, account: Account, about: object) -> None:
        self.calls.append((action, account.id, about))
        if self.fault is not None:
            raise self.fault

    async def add(
        self, account: Account, service: Service, fields: OrderFields, *, request_id: str | None, repeats: str
    ) -> int:
        self.named.append((request_id, repeats))
        self._note("add", account, (service.id, fields))
        return 23501

    def is_known(
        self, account: Account, service: Service, fields: OrderFields, *, request_id: str | None, repeats: str
    ) -> bool:
        self.named.append((request_id, repeats))
        return (account.id, service.id, fields) in self.known

    def heard(self, order: int) -> None:
        self.told.append(order)

    async def route(self, order: int) -> str:
        return f"alpha/1; accepted; order {order}"

    async def status(self, account: Account, ids: Sequence[int]) -> Mapping[int, Order]:
        self._note("status", account, list(ids))
        return {id: self.orders[id] for id in ids if id in self.orders and self.orders[id].account == account.id}

    async def refill(self, account: Account, ids: Sequence[int]) -> Mapping[int, int | str]:
        self._note("refill", account, list(ids))
        return {id: self.refills[id] for id in ids if id in self.refills}

    async def refill_status(self, account: Account, ids: Sequence[int]) -> Mapping[int, RefillStatus]:
        self._note("refill_status", account, list(ids))
        return {id: self.refill_statuses[id] for id in ids if id in self.refill_statuses}

    async def cancel(self, account: Account, ids: Sequence[int]) -> Mapping[int, str | None]:
        self._note("cancel", account, list(ids))
        return {id: self.cancels[id] for id in ids if id in self.cancels}

    async def balance(self, account: Account) -> Decimal:
        self._note("balance", account, None)
        return Decimal("100.842920")


class House:
    """The edge with doubles behind it."""

    def __init__(self, *rows: Service, receipt_s: float = 10.0) -> None:
        self.accounts = Accounts()
        self.rules: dict[str, AccountRules] = {}
        self.catalog = Catalog(*(rows or (sold(1),)))
        self.orders = Orders()
        admission = Admission(self.rules)
        self.door = Door(Metrics())
        made = edge(self.accounts, admission, self.catalog, self.orders, self.door, currency="USD", receipt_s=receipt_s)
        self.app = Front(made, Starlette())
        self.entered = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        await self.app(scope, receive, send)

    @property
    def added(self) -> list[object]:
        return [about for action, _, about in self.orders.calls if action == "add"]


class Shop:
    """A customer of a house that listens."""

    def __init__(self, house: House, port: int, session: aiohttp.ClientSession) -> None:
        self.house = house
        self.port = port
        self.url = f"http://127.0.0.1:{port}/api/v2"
        self.session = session

    async def raw(self, action: str, **fields: object) -> bytes:
        """The body of the answer to a urlencoded POST, which must be a good one."""
        form = {"key": KEY, "action": action, **{name: str(value) for name, value in fields.items()}}
        async with self.session.post(self.url, data=form) as answer:
            assert answer.status == 200
            assert answer.headers.getall("content-type") == ["application/json"]
            return await answer.read()

    async def call(self, action: str, **fields: object) -> Any:
        return json.loads(await self.raw(action, **fields))

    async def bare(self, request: bytes) -> bytes:
        """Write these bytes; gives everything that comes until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def serve(house: House) -> AsyncIterator[Shop]:
    config = uvicorn.Config(house, http="httptools", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    # uvicorn's protocol without its Server, whose every stop takes 0.1 s.
    listening = await asyncio.get_running_loop().create_server(
        lambda: HttpToolsProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        async with aiohttp.ClientSession() as session:
            yield Shop(house, listening.sockets[0].getsockname()[1], session)
        async with asyncio.timeout(10):
            while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn tells of neither
                await asyncio.sleep(0)
    finally:
        listening.close()
        await listening.wait_closed()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with serve(House()) as open_shop:
        yield open_shop


# The answers, to the byte


async def test_services_are_rows_as_the_seed_document_has_them() -> None:
    rows = (
        sold(1, dripfeed=True, description="<b>slow</b>"),
        sold(2, name="Comments 💬", type="Custom Comments", rate=Decimal(8), refill=False, cancel=False),
    )
    async with serve(House(*rows)) as shop:
        body = await shop.raw("services")
    assert body.decode() == (
        '[{"service":1,"name":"Followers","type":"Default","category":"First Category","rate":"0.90","min":"50",'
        '"max":"10000","refill":true,"cancel":true,"dripfeed":true,"desc":"<b>slow</b>"},'
        '{"service":2,"name":"Comments 💬","type":"Custom Comments","category":"First Category","rate":"8.00",'
        '"min":"50","max":"10000","refill":false,"cancel":false,"dripfeed":false}]'
    )


async def test_add_answers_an_integer_that_dotnet_and_smartpanel_can_store(shop: Shop) -> None:
    assert await shop.raw("add", service=1, link=LINK, quantity=100) == b'{"order":23501}'
    assert shop.house.orders.calls == [("add", 1, (1, Default(link=LINK, quantity=100)))]


async def test_an_answer_is_heard_by_who_is_still_there(shop: Shop) -> None:
    await shop.raw("add", service=1, link=LINK, quantity=100)
    assert shop.house.orders.told == [23501]
    shop.house.orders.fault = errors.NotSold()
    await shop.raw("add", service=1, link=LINK, quantity=100)
    assert shop.house.orders.told == [23501], "a refusal names no order"


async def test_a_requests_own_name_and_the_keys_policy_are_passed_on(shop: Shop) -> None:
    order = {"service": 1, "link": LINK, "quantity": 100}
    for name in ("", "null", "7", " a b "):
        await shop.raw("add", **order, request_id=name)
    assert shop.house.orders.named == [(None, "join"), (None, "join"), ("7", "join"), ("a b", "join")]


async def test_the_status_of_one_order_is_five_strings(shop: Shop) -> None:
    shop.house.orders.orders[1] = ordered(
        1, refunded=Decimal("0.051810"), start_count=3572, status=OrderStatus.PARTIAL, remains=157
    )
    assert await shop.raw("status", order=1) == (
        b'{"charge":"0.27819","start_count":"3572","status":"Partial","remains":"157","currency":"USD"}'
    )


async def test_justinmedia_finds_a_start_count_before_there_is_one(shop: Shop) -> None:
    shop.house.orders.orders[1] = ordered(1)
    assert (await shop.call("status", order=1))["start_count"] == "0"


async def test_the_status_of_many_is_an_object_in_the_order_asked(shop: Shop) -> None:
    shop.house.orders.orders |= {
        1: ordered(1, charge=Decimal("0.27819"), start_count=3572, status=OrderStatus.PARTIAL, remains=157),
        100: ordered(100, charge=Decimal("1.44219"), start_count=234, status=OrderStatus.IN_PROGRESS, remains=10),
    }
    assert await shop.raw("status", orders="100,10,1,x<") == (
        b'{"100":{"charge":"1.44219","start_count":"234","status":"In progress","remains":"10","currency":"USD"},'
        b'"10":{"error":"Incorrect order ID"},'
        b'"1":{"charge":"0.27819","start_count":"3572","status":"Partial","remains":"157","currency":"USD"},'
        b'"x<":{"error":"Incorrect order ID"}}'
    )
    assert shop.house.orders.calls == [("status", 1, [100, 10, 1])]


async def test_one_id_in_orders_is_still_an_object_keyed_by_id(shop: Shop) -> None:
    shop.house.orders.orders[1] = ordered(1)
    assert list(await shop.call("status", orders=1)) == ["1"]


async def test_panel_rip_puts_a_list_into_order(shop: Shop) -> None:
    shop.house.orders.orders[1] = ordered(1)
    assert list(await shop.call("status", order="1,2")) == ["1", "2"]


@pytest.mark.parametrize("action", ["status", "refill", "cancel"])
async def test_a_foreign_order_looks_exactly_like_a_missing_one(shop: Shop, action: str) -> None:
    shop.house.orders.orders[7] = ordered(7, account=2)
    assert await shop.raw(action, order=7) == await shop.raw(action, order=8) == b'{"error":"Incorrect order ID"}'
    assert await shop.raw(action, orders="7") == (await shop.raw(action, orders="8")).replace(b"8", b"7")


async def test_a_drip_feed_counts_its_runs_and_names_no_panels_orders(shop: Shop) -> None:
    shop.house.orders.orders |= {
        1: ordered(1, units=5000),
        2: ordered(2, runs=3, children=("880001", "880002")),
    }
    assert await shop.raw("status", order=1) == (
        b'{"charge":"0.33","start_count":"0","status":"Pending","remains":"1000","currency":"USD","runs":0,"orders":[]}'
    )
    both = await shop.call("status", orders="1,2")
    assert (both["2"]["runs"], both["2"]["orders"]) == (3, [])


async def test_smartpanel_finds_a_subscriptions_own_shape(shop: Shop) -> None:
    subscription = ordered(1, type="Subscriptions", status=OrderStatus.ACTIVE, posts=4, children=("880001",))
    shop.house.orders.orders |= {
        1: subscription,
        2: msgspec.structs.replace(subscription, expiry="31/12/2030", posts=None),
    }
    assert await shop.raw("status", order=1) == b'{"status":"Active","expiry":"","posts":4,"orders":[]}'
    assert await shop.raw("status", order=2) == b'{"status":"Active","expiry":"31/12/2030","posts":0,"orders":[]}'


async def test_refill_writes_its_id_as_text_for_one_and_as_integer_for_many(shop: Shop) -> None:
    shop.house.orders.refills |= {1: 1, 2: 2, 4: "Refill is disabled for this service"}
    assert await shop.raw("refill", order=1) == b'{"refill":"1"}'
    assert await shop.raw("refill", order=4) == b'{"error":"Refill is disabled for this service"}'
    assert await shop.raw("refill", orders="1,2,3,4,x") == (
        b'[{"order":1,"refill":1},{"order":2,"refill":2},{"order":3,"refill":{"error":"Incorrect order ID"}},'
        b'{"order":4,"refill":{"error":"Refill is disabled for this service"}},'
        b'{"order":"x","refill":{"error":"Incorrect order ID"}}]'
    )


async def test_refill_status_says_of_each_refill_how_it_stands(shop: Shop) -> None:
    shop.house.orders.refill_statuses |= {1: RefillStatus.COMPLETED, 2: RefillStatus.REJECTED}
    assert await shop.raw("refill_status", refill=1) == b'{"status":"Completed"}'
    assert await shop.raw("refill_status", refill=3) == b'{"error":"Refill not found"}'
    assert await shop.raw("refill_status", refills="1,2,3") == (
        b'[{"refill":1,"status":"Completed"},{"refill":2,"status":"Rejected"},'
        b'{"refill":3,"status":{"error":"Refill not found"}}]'
    )


async def test_cancel_of_orders_is_a_list_that_go_clients_can_read(shop: Shop) -> None:
    shop.house.orders.cancels |= {2: None, 3: "Order cannot be canceled"}
    assert await shop.raw("cancel", orders="9,2,3") == (
        b'[{"order":9,"cancel":{"error":"Incorrect order ID"}},{"order":2,"cancel":1},'
        b'{"order":3,"cancel":{"error":"Order cannot be canceled"}}]'
    )
    assert await shop.raw("cancel", orders=2) == b'[{"order":2,"cancel":1}]'


async def test_beast8_cancels_one_order_and_reads_no_list(shop: Shop) -> None:
    shop.house.orders.cancels |= {2: None, 3: "Order cannot be canceled"}
    assert await shop.raw("cancel", order=2) == b'{"order":2,"cancel":1}'
    assert await shop.raw("cancel", order=3) == b'{"error":"Order cannot be canceled"}'


async def test_the_balance_is_a_string(shop: Shop) -> None:
    assert await shop.raw("balance") == b'{"balance":"100.84292","currency":"USD"}'


async def test_no_good_answer_has_a_message_which_daosmm_reads_as_an_error(shop: Shop) -> None:
    shop.house.orders.orders[1] = ordered(1)
    shop.house.orders.refills[1] = 1
    shop.house.orders.cancels[1] = None
    for action in ACTIONS:
        body = await shop.raw(action, order=1, refill=1, service=1, link=LINK, quantity=100)
        assert b'"message"' not in body


# Ways to call


async def test_speedsmm_finds_exactly_application_json(shop: Shop) -> None:
    answer = await shop.bare(b"GET /api/v2?key=x&action=balance HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert [line for line in head if line.startswith(b"content-type")] == [b"content-type: application/json"]
    assert head[0] == b"http/1.1 200 ok"


@pytest.mark.parametrize("path", ["/api/v2", "/api/v2/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_panel_rip_adds_a_slash_and_is_not_redirected(shop: Shop, path: str, method: str) -> None:
    url = f"http://127.0.0.1:{shop.port}{path}"
    form = {"key": KEY, "action": "balance"}
    sent: dict[str, Any] = {"params": form} if method == "GET" else {"data": form}
    async with shop.session.request(method, url, allow_redirects=False, **sent) as answer:
        assert (answer.status, await answer.json()) == (200, {"balance": "100.84292", "currency": "USD"})


async def test_old_smartpanel_orders_by_get(shop: Shop) -> None:
    form = {"key": KEY, "action": "add", "service": "1", "link": LINK, "quantity": "100"}
    async with shop.session.get(shop.url, params=form) as answer:
        assert await answer.json() == {"order": 23501}
        assert answer.headers["cache-control"] == "no-store"


async def test_a_key_can_refuse_orders_by_get_and_still_read_by_get(shop: Shop) -> None:
    form = {"key": POST_ONLY_KEY, "action": "add", "service": "1", "link": LINK, "quantity": "100"}
    async with shop.session.get(shop.url, params=form) as answer:
        assert await answer.json() == {"error": "Incorrect request: add is not accepted by GET"}
    assert shop.house.added == []
    async with shop.session.get(shop.url, params={"key": POST_ONLY_KEY, "action": "balance"}) as answer:
        assert "balance" in await answer.json()
    async with shop.session.post(shop.url, params=form) as answer:
        assert await answer.json() == {"order": 23501}


async def test_a_post_with_everything_in_the_query_orders(shop: Shop) -> None:
    form = {"key": KEY, "action": "add", "service": "1", "link": LINK, "quantity": "100"}
    async with shop.session.post(shop.url, params=form) as answer:
        assert await answer.json() == {"order": 23501}


async def test_json_senders_order_with_numbers(shop: Shop) -> None:
    body = {"key": KEY, "action": "add", "service": 1, "link": LINK, "quantity": 100, "runs": None}
    async with shop.session.post(shop.url, json=body) as answer:
        assert await answer.json() == {"order": 23501}
    body["quantity"] = 100.5
    async with shop.session.post(shop.url, json=body) as answer:
        assert await answer.json() == {"error": "Incorrect quantity"}
    assert len(shop.house.added) == 1


async def test_php_arrays_and_formdata_order_by_multipart(shop: Shop) -> None:
    form = aiohttp.FormData({"key": KEY, "action": "add", "service": "1", "link": LINK, "quantity": "100"})
    with aiohttp.MultipartWriter("form-data") as writer:
        for name, value in (("key", KEY), ("action", "add"), ("service", "1"), ("link", LINK), ("quantity", "100")):
            writer.append(value).set_content_disposition("form-data", name=name)
    async with shop.session.post(shop.url, data=writer) as answer:
        assert await answer.json() == {"order": 23501}
    form.add_field("comments", b"one", filename="c.txt")
    async with shop.session.post(shop.url, data=form) as answer:
        assert await answer.json() == {"error": "Incorrect request: files are not accepted"}
    assert len(shop.house.added) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_not_allowed(shop: Shop, method: str) -> None:
    form = {"key": KEY, "action": "add", "service": "1", "link": LINK, "quantity": "100"}
    async with shop.session.request(method, shop.url, params=form) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
    assert shop.house.orders.calls == []


# Refusals


@pytest.mark.parametrize("action", ["", "Services", "statuses", "add ; drop", "__class__"])
async def test_an_unknown_action_is_the_same_with_and_without_a_key_and_asks_nobody(shop: Shop, action: str) -> None:
    for key in (KEY, "wrong", ""):
        assert await shop.call(action, key=key) == {"error": "Incorrect request"}
    assert shop.house.accounts.asked == []


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("key", ["", "wrong", "k" * 300, "ключ"])
async def test_a_wrong_key_gives_one_answer_whatever_else_is_wrong(shop: Shop, action: str, key: str) -> None:
    assert await shop.raw(action, key=key) == b'{"error":"Invalid API key"}'
    assert await shop.raw(action, key=key, service=1, quantity="x") == b'{"error":"Invalid API key"}'
    assert shop.house.orders.calls == []


async def test_a_text_that_can_be_no_key_is_looked_up_nowhere(shop: Shop) -> None:
    for key in ("", " ", "k" * 257):
        assert await shop.call("balance", key=key) == {"error": "Invalid API key"}
    assert shop.house.accounts.asked == []


async def test_two_keys_are_no_key(shop: Shop) -> None:
    async with shop.session.post(shop.url, data=[("key", KEY), ("key", "other"), ("action", "balance")]) as answer:
        assert await answer.json() == {"error": "Invalid API key"}
    assert shop.house.accounts.asked == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"service": "9"}, "Incorrect service ID"),
        ({"service": ""}, "Incorrect service ID"),
        ({"service": "1.0"}, "Incorrect service ID"),
        ({"service": "9" * 30}, "Incorrect service ID"),
        ({"link": ""}, "Incorrect link"),
        ({"quantity": "0"}, "Incorrect quantity"),
        ({"quantity": "49"}, "Quantity less than minimal 50"),
        ({"quantity": "10001"}, "Quantity more than maximum 10000"),
        ({"runs": "5"}, "Incorrect interval"),
        ({"interval": "5"}, "Incorrect runs"),
    ],
)
async def test_a_refused_add_says_why_in_the_fields_words_and_orders_nothing(
    shop: Shop, fields: dict[str, str], words: str
) -> None:
    assert await shop.call("add", **{"service": "1", "link": LINK, "quantity": "100", **fields}) == {"error": words}
    assert shop.house.orders.calls == []


async def test_before_the_first_catalogue_a_service_is_not_called_incorrect(shop: Shop) -> None:
    shop.house.catalog.silent = True
    later = {"error": "Service is under maintenance, please try again later"}
    assert await shop.call("add", service=9, link=LINK, quantity=100) == later
    assert await shop.call("add", service="x", link=LINK, quantity=100) == {"error": "Incorrect service ID"}
    assert await shop.call("add", service=1, link=LINK, quantity=100) == {"order": 23501}


@pytest.mark.parametrize("action", ["refill", "cancel"])
async def test_more_than_a_hundred_ids_are_refused_where_something_would_be_done(shop: Shop, action: str) -> None:
    assert await shop.call(action, orders=",".join(map(str, range(1, 102)))) == {
        "error": "Incorrect order IDs: more than 100"
    }
    assert shop.house.orders.calls == []


async def test_omni_asks_for_500_orders_and_a_thousand_are_answered(shop: Shop) -> None:
    many = await shop.call("status", orders=",".join(map(str, range(1, 1001))))
    assert list(many) == [str(id) for id in range(1, 1001)]
    assert await shop.call("status", orders=",".join(map(str, range(1, 1002)))) == {
        "error": "Incorrect order IDs: more than 1000"
    }
    assert len(await shop.call("refill_status", refills=",".join(map(str, range(1, 1001))))) == 1000


async def test_nothing_is_asked_of_orders_when_no_text_can_be_an_id(shop: Shop) -> None:
    assert await shop.call("cancel", orders="x,0,99999999999") == [
        {"order": "x", "cancel": {"error": "Incorrect order ID"}},
        {"order": 0, "cancel": {"error": "Incorrect order ID"}},
        {"order": 99999999999, "cancel": {"error": "Incorrect order ID"}},
    ]
    assert shop.house.orders.calls == []


# Faults of ours


def good(action: str) -> dict[str, str]:
    return {"key": KEY, "action": action, "service": "1", "link": LINK, "quantity": "100", "order": "1", "refill": "1"}


@pytest.mark.parametrize(
    "words", [errors.NotEnoughFunds(), errors.NotSold(), errors.Refused("Incorrect link"), errors.Busy()]
)
@pytest.mark.parametrize("action", ["add", "refill", "cancel"])
async def test_what_provably_changed_nothing_is_answered_in_words(shop: Shop, action: str, words: GatewayError) -> None:
    shop.house.orders.fault = words
    async with shop.session.post(shop.url, data=good(action)) as answer:
        assert (answer.status, await answer.json()) == (200, {"error": words.words})


@pytest.mark.parametrize("action", sorted(READS - {"services", "orders"}))
async def test_smartpanel_keeps_polling_through_a_passing_fault(shop: Shop, action: str) -> None:
    shop.house.orders.fault = errors.Busy()
    async with shop.session.post(shop.url, data=good(action)) as answer:
        assert (answer.status, await answer.read()) == (503, b"")


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "services"])
async def test_an_unforeseen_fault_is_silence_and_a_log_line_without_secrets(shop: Shop, action: str) -> None:
    shop.house.orders.fault = RuntimeError(f"cannot place {LINK} for {KEY}")
    with structlog.testing.capture_logs() as logs:
        async with shop.session.post(shop.url, data=good(action)) as answer:
            assert (answer.status, await answer.read()) == (500, b"")
            assert "content-type" not in answer.headers
    assert [(line["event"], line["action"], line["error"]) for line in logs] == [("call", action, "RuntimeError")]
    assert "test_edge.py" in logs[0]["at"]
    assert KEY not in str(logs)
    assert LINK not in str(logs)


async def test_a_fault_leaves_the_connection_good_for_the_next_call(shop: Shop) -> None:
    shop.house.orders.fault = RuntimeError()
    form = b"key=%s&action=balance" % KEY.encode()
    request = b"POST /api/v2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(form), form)
    last = request.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answers = await shop.bare(request + request + last)
    assert answers.count(b"HTTP/1.1 500 ") == 3


# Bodies that are too large, too slow or never whole


def posted(body: bytes, *, length: int | None = None) -> bytes:
    """A request, byte by byte; `length` is what its header says of the body."""
    head = b"POST /api/v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % (len(body) if length is None else length) + body


def add_form(padding: int = 0) -> bytes:
    return f"x={'x' * padding}&key={KEY}&action=add&service=1&link={LINK}&quantity=100".encode()


async def test_a_body_is_taken_up_to_256_kib(shop: Shop) -> None:
    room = MAX_BODY - len(add_form())
    assert (await shop.bare(posted(add_form(room)))).endswith(b'{"order":23501}')
    answer = await shop.bare(posted(add_form(room + 1)))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'{"error":"Incorrect request: larger than 256 KiB"}')
    assert len(shop.house.added) == 1


async def test_the_cap_counts_what_arrives_chunk_by_chunk(shop: Shop) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield add_form()
        for _ in range(16):
            yield b"x" * (MAX_BODY // 10)

    async with shop.session.post(shop.url, data=chunks()) as answer:
        assert await answer.json() == {"error": "Incorrect request: larger than 256 KiB"}
    assert shop.house.added == []


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    """Past the server: over a socket, the reset that ends such a call may overtake its answer."""
    read = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal read
        read += 0x8000
        return {"type": "http.request", "body": b"x" * 0x8000, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    await House()({"type": "http", "method": "POST", "path": "/api/v2", "headers": []}, receive, send)
    assert read <= 5 * MAX_BODY
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"]) == {"error": "Incorrect request: larger than 256 KiB"}


async def test_a_client_that_leaves_in_the_middle_of_its_body_changes_nothing() -> None:
    house = House()
    async with serve(house) as shop:
        for request in (posted(add_form(), length=10_000), posted(add_form())[:-40]):
            _, writer = await asyncio.open_connection("127.0.0.1", shop.port)
            writer.write(request)
            await house.entered.wait()
            house.entered.clear()
            writer.close()
            await writer.wait_closed()
    assert house.accounts.asked == []
    assert house.orders.calls == []


async def test_a_body_shorter_than_its_header_says_is_never_taken_for_whole() -> None:
    house = House(receipt_s=0.05)
    async with serve(house) as shop:
        short = posted(add_form(), length=10_000)
        answers = await asyncio.gather(shop.bare(short), shop.bare(short), shop.bare(posted(add_form())))
        assert answers[2].endswith(b'{"order":23501}')
        for answer in (*answers[:2], await shop.bare(short)):  # the last one comes when nobody is waited for
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close" in head.lower()
            assert body == b""
    assert len(house.added) == 1


async def test_a_request_cancelled_while_it_arrives_stays_cancelled() -> None:
    async def silent() -> Message:
        return await asyncio.Future()

    reading = asyncio.create_task(Receipt(10.0).body(silent))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_body_longer_than_its_header_says_is_cut_there(shop: Shop) -> None:
    answer = await shop.bare(posted(add_form(), length=len(add_form()) - len("=100")))
    assert b'{"error":"Incorrect quantity"}' in answer
    assert shop.house.added == []


# The list of services


async def test_services_are_written_once_for_each_version_of_the_catalogue(shop: Shop) -> None:
    first = await asyncio.gather(*(shop.raw("services") for _ in range(5)))
    assert len(set(first)) == 1
    assert shop.house.catalog.written == 1
    shop.house.catalog.rows = (sold(1, rate=Decimal(2)),)
    shop.house.catalog.version = 2
    assert json.loads(await shop.raw("services"))[0]["rate"] == "2.00"
    assert shop.house.catalog.written == 2


async def test_a_long_list_is_whole_and_in_order() -> None:
    house = House(*(sold(id) for id in range(1, 1002)))
    async with serve(house) as shop:
        assert [row["service"] for row in await shop.call("services")] == list(range(1, 1002))


async def test_importers_that_delete_by_an_empty_list_are_given_silence() -> None:
    house = House()
    house.catalog.rows = ()
    async with serve(house) as shop:
        async with shop.session.post(shop.url, data={"key": KEY, "action": "services"}) as answer:
            assert (answer.status, await answer.read()) == (503, b"")
        house.catalog.rows = (sold(1),)
        assert len(await shop.call("services")) == 1


async def test_a_list_that_became_empty_is_not_answered_either(shop: Shop) -> None:
    assert len(await shop.call("services")) == 1
    shop.house.catalog.rows = ()
    shop.house.catalog.version = 2
    async with shop.session.post(shop.url, data={"key": KEY, "action": "services"}) as answer:
        assert answer.status == 503


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_customer_who_has_the_list_is_told_that_it_is_unchanged(shop: Shop, method: str) -> None:
    form = {"key": KEY, "action": "services"}
    async with shop.session.request(method, shop.url, params=form) as answer:
        etag = answer.headers["etag"]
    for sent in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
        async with shop.session.request(method, shop.url, params=form, headers={"If-None-Match": sent}) as answer:
            assert (answer.status, await answer.read(), answer.headers["etag"]) == (304, b"", etag)
    shop.house.catalog.version = 2  # a new version with the same rows
    async with shop.session.request(method, shop.url, params=form, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    shop.house.catalog.version, shop.house.catalog.rows = 3, (sold(1, max=77),)
    async with shop.session.request(method, shop.url, params=form, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200
        assert answer.headers["etag"] != etag


async def test_an_etag_is_worth_nothing_without_a_key(shop: Shop) -> None:
    async with shop.session.get(shop.url, params={"key": KEY, "action": "services"}) as answer:
        etag = answer.headers["etag"]
    form = {"key": "wrong", "action": "services"}
    async with shop.session.get(shop.url, params=form, headers={"If-None-Match": etag}) as answer:
        assert await answer.json() == {"error": "Invalid API key"}


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("br, deflate", False),
        ("gzip;q=0", False),
        ("gzip ; q=0.000, identity", False),
    ],
)
async def test_the_list_is_compressed_for_who_can_read_it(shop: Shop, accepts: str, packed: bool) -> None:
    plain = await shop.raw("services")
    request = f"GET /api/v2?key={KEY}&action=services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = await shop.bare(f"{request}Accept-Encoding: {accepts}\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (b"content-encoding: gzip" in head.lower()) == packed
    assert b"vary: accept-encoding" in head.lower()
    assert (gzip.decompress(body) if packed else body) == plain
