"""The contract of providers, over every dialect and two panels: the sandbox, and our own gateway as somebody's panel.

If our adapter can buy from our edge, the edge is a drop-in panel.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.rules.model import Publish, Rules
from providers import PROVIDERS
from providers.base import BATCH, NewOrder, OrderStatus, Provider, RefillStatus, Refusal, Requested, Status
from providers.errors import Reason, Refused
from providers.sandbox import Sandbox, Tempo
from providers.service_types import PER_ORDER, TYPES, Default, form
from providers.transport import Transport
from tests import wares
from tests.running import panel, selling, until

pytestmark = pytest.mark.anyio

FUNDS = Decimal(1000)


class Shop:
    """A provider, and the sandbox that in the end does what it asks for."""

    def __init__(self, provider: Provider, box: Sandbox, other_key: Callable[[str], Provider]) -> None:
        self.provider = provider
        self.box = box
        self.with_key = other_key

    async def add(self, type: str = "Default", *, size: int = 20, link: str = wares.LINK) -> str:
        fields = wares.orders(size, link)[type]
        return (await self.provider.add(NewOrder(wares.service_of(type), fields))).remote_id

    async def becomes(self, remote_id: str, status: OrderStatus) -> Status:
        async def there() -> Status | None:
            told = (await self.provider.status([remote_id]))[remote_id]
            assert isinstance(told, Status)
            return told if told.status is status else None

        seen: Status = await until(there)
        return seen


@contextlib.asynccontextmanager
async def _providers(dialect: str, url: str, key: str) -> AsyncIterator[tuple[Provider, Callable[[str], Provider]]]:
    transports: list[Transport] = []

    def made(key: str) -> Provider:
        transports.append(Transport("p1", url, key, allow_private=True))
        return PROVIDERS[dialect](transports[-1])

    try:
        yield made(key), made
    finally:
        for transport in transports:
            await transport.close()


@pytest.fixture(params=[(dialect, front) for dialect in PROVIDERS for front in ("sandbox", "gateway")], ids=str)
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    dialect, front = request.param
    still = Tempo(pending=(3600, 3600), cancel=(0.01, 0.02), refill=(0.01, 0.02))  # orders move when the test says so
    funds = FUNDS if front == "sandbox" else 10 * FUNDS  # behind the gateway it is the account that runs dry
    box = Sandbox("p1", key="panel-key", catalogue=wares.services(), balance=funds, tempo=still)
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(box.serve())
        key = "panel-key"
        if front == "gateway":
            rules = Rules(panels={"p1": panel(url)}, publish=(Publish(panel="p1"),))
            ours = await stack.enter_async_context(selling(rules, tmp_path, balance=FUNDS))
            await ours.gateway.catalog.until_ready()
            url, key = ours.url, ours.key
        provider, other = await stack.enter_async_context(_providers(dialect, url, key))
        yield Shop(provider, box, other)


async def test_services_are_told_with_all_that_an_order_needs_to_know(shop: Shop) -> None:
    listed = await shop.provider.services()
    assert listed.skipped == ()
    assert [row.type for row in listed.rows] == list(TYPES)
    row = listed.rows[0]
    assert (row.remote_service, row.name, row.category) == ("1", "Default service", "Wares")
    assert (row.rate, row.min, row.max) == (Decimal("1.5"), 1, 10_000)
    assert (row.refill, row.cancel, row.dripfeed) == (True, True, True)


@pytest.mark.parametrize("type", TYPES)
async def test_an_order_of_every_type_arrives_with_its_own_fields_and_price(shop: Shop, type: str) -> None:
    fields = wares.orders()[type]
    await shop.provider.add(NewOrder(wares.service_of(type), fields))
    (entry,) = shop.box.journal
    assert (entry.service, entry.type) == (wares.service_of(type), type)
    assert entry.fields == form(fields)
    if type != "Subscriptions":  # paid post by post
        assert entry.charge == (Decimal("1.5") if type in PER_ORDER else Decimal("0.03"))


async def test_a_drip_feed_is_passed_on_and_paid_for_all_its_runs(shop: Shop) -> None:
    order = Default(link=wares.LINK, quantity=20, runs=3, interval=10)
    await shop.provider.add(NewOrder("1", order))
    (entry,) = shop.box.journal
    assert entry.fields == form(order)
    assert entry.charge == Decimal("0.09")


@pytest.mark.parametrize(
    ("service", "fields", "reason"),
    [
        ("999", Default(link=wares.LINK, quantity=20), Reason.SERVICE),
        ("not-a-number", Default(link=wares.LINK, quantity=20), Reason.SERVICE),
        ("1", Default(link="", quantity=20), Reason.LINK),
        ("1", Default(link=wares.LINK, quantity=0), Reason.QUANTITY),
        ("1", Default(link=wares.LINK, quantity=10_001), Reason.QUANTITY),
        ("1", Default(link=wares.LINK, quantity=2**31), Reason.QUANTITY),
        ("1", Default(link=wares.LINK, quantity=2**63), Reason.QUANTITY),
        ("1", Default(link=wares.LINK, quantity=20, runs=3), Reason.DRIPFEED),
    ],
)
async def test_what_cannot_be_bought_is_refused_with_the_reason(
    shop: Shop, service: str, fields: Default, reason: Reason
) -> None:
    with pytest.raises(Refused) as refused:
        await shop.provider.add(NewOrder(service, fields))
    assert refused.value.reason is reason, refused.value
    assert shop.box.journal == []


async def test_more_than_the_balance_is_refused_for_funds(shop: Shop) -> None:
    for number in range(66):  # of 15.00 each
        await shop.add(size=10_000, link=f"https://x.example/q/{number}")
    with pytest.raises(Refused) as refused:
        await shop.add(size=10_000)
    assert refused.value.reason is Reason.FUNDS
    assert len(shop.box.journal) == 66
    assert (await shop.provider.balance()).amount == Decimal(10)


async def test_a_wrong_key_is_refused_as_such_for_every_action(shop: Shop) -> None:
    stranger = shop.with_key("pm_nobody")
    for call in (
        stranger.services(),
        stranger.add(NewOrder("1", Default(link=wares.LINK, quantity=20))),
        stranger.status(["1"]),
        stranger.balance(),
    ):
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.reason is Reason.KEY
    assert shop.box.journal == []


async def test_balance_is_told_and_falls_by_the_charge(shop: Shop) -> None:
    before = await shop.provider.balance()
    await shop.add()
    after = await shop.provider.balance()
    assert (before.amount, before.currency) == (FUNDS, "USD")
    assert before.amount - after.amount == Decimal("0.03")


async def test_a_new_order_is_pending_with_all_of_it_to_come(shop: Shop) -> None:
    told = await shop.becomes(await shop.add(), OrderStatus.PENDING)
    assert (told.remains, told.currency) == (20, "USD")
    assert told.charge == Decimal("0.03")


@pytest.mark.parametrize(
    ("word", "remains", "charge"),
    [("In progress", 7, "0.03"), ("Completed", 0, "0.03"), ("Partial", 5, "0.0225"), ("Canceled", 20, "0")],
)
async def test_status_follows_the_order(shop: Shop, word: str, remains: int, charge: str) -> None:
    remote_id = await shop.add()
    shop.box.set_status(shop.box.journal[0].remote_id, word, remains=remains, start_count=3572)
    told = await shop.becomes(remote_id, OrderStatus(word))
    assert (told.remains, told.start_count) == (remains, 3572)
    assert told.charge == Decimal(charge)


async def test_many_orders_are_told_of_in_one_call_each_under_its_id(shop: Shop) -> None:
    ids = [await shop.add(link=f"https://x.example/p/{number}") for number in range(5)]
    told = await shop.provider.status([*ids, "2147480000"])
    assert all(isinstance(told[id], Status) for id in ids)
    stranger = told["2147480000"]
    assert isinstance(stranger, Refusal)
    assert stranger.reason is Reason.ORDER


async def test_one_unknown_order_is_refused_as_such(shop: Shop) -> None:
    told = (await shop.provider.status(["2147480000"]))["2147480000"]
    assert isinstance(told, Refusal)
    assert told.reason is Reason.ORDER


async def test_a_whole_batch_is_answered(shop: Shop) -> None:
    ids = [await shop.add(link=f"https://x.example/p/{number}") for number in range(3)]
    batch = ids + [str(2_147_000_000 + number) for number in range(BATCH - len(ids))]
    told = await shop.provider.status(batch)
    assert set(told) == set(batch)


async def test_a_completed_order_is_refilled_and_the_refill_followed(shop: Shop) -> None:
    remote_id = await shop.add()
    shop.box.set_status(shop.box.journal[0].remote_id, "Completed", remains=0)
    await shop.becomes(remote_id, OrderStatus.COMPLETED)
    refill = (await shop.provider.refill([remote_id]))[remote_id]
    assert isinstance(refill, str)

    async def followed() -> bool:
        told = (await shop.provider.refill_status([refill]))[refill]
        return isinstance(told, RefillStatus)

    await until(followed)
    assert [entry.action for entry in shop.box.journal] == ["add", "refill"]


async def test_many_refills_are_asked_for_in_one_call(shop: Shop) -> None:
    ids = [await shop.add(link=f"https://x.example/p/{number}") for number in range(2)]
    for entry in list(shop.box.journal):
        shop.box.set_status(entry.remote_id, "Completed", remains=0)
    for id in ids:
        await shop.becomes(id, OrderStatus.COMPLETED)
    told = await shop.provider.refill([*ids, "2147480000"])
    assert [isinstance(told[id], str) for id in ids] == [True, True]
    assert isinstance(told["2147480000"], Refusal)


async def test_an_order_that_is_not_completed_is_not_refilled(shop: Shop) -> None:
    remote_id = await shop.add()
    told = (await shop.provider.refill([remote_id]))[remote_id]
    assert isinstance(told, Refusal)
    assert [entry.action for entry in shop.box.journal] == ["add"]


async def test_a_refill_nobody_knows_is_refused(shop: Shop) -> None:
    told = (await shop.provider.refill_status(["2147480000"]))["2147480000"]
    assert isinstance(told, Refusal)


async def test_a_cancel_is_taken_note_of_and_the_order_ends(shop: Shop) -> None:
    remote_id = await shop.add()
    told = await shop.provider.cancel([remote_id, "2147480000"])
    assert isinstance(told[remote_id], Requested)
    assert isinstance(told["2147480000"], Refusal)
    ended = await shop.becomes(remote_id, OrderStatus.CANCELED)
    assert ended.charge == 0
    assert (await shop.provider.balance()).amount == FUNDS


async def test_a_finished_order_is_not_canceled(shop: Shop) -> None:
    remote_id = await shop.add()
    shop.box.set_status(shop.box.journal[0].remote_id, "Completed", remains=0)
    await shop.becomes(remote_id, OrderStatus.COMPLETED)
    assert isinstance((await shop.provider.cancel([remote_id]))[remote_id], Refusal)
