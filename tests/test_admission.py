"""Who may call: keys that may do less, addresses, how often."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.admission import Admission
from gateway.errors import GatewayError, NotAllowed, TooMany, WrongKey
from gateway.ledger.records import Account, Key
from gateway.rules.model import AccountRules, Publish, Rules
from providers.sandbox import Sandbox
from tests import wares
from tests.running import Selling, panel, selling

pytestmark = pytest.mark.anyio

ACCOUNT = Account(id=1, name="shop", unlimited=True, available=Decimal(0), held=Decimal(0), created_ms=0)


def key(*actions: str) -> Key:
    return Key(id=1, account=1, hash=b"", hint="", get_add=True, actions=actions, created_ms=0)


async def ends(
    rules: Mapping[str, AccountRules],
    address: str | None = "10.1.2.3",
    *,
    action: str = "add",
    may: tuple[str, ...] = (),
) -> type[GatewayError] | None:
    try:
        await Admission(rules).admit(key(*may), ACCOUNT, action, address)
    except GatewayError as refused:
        return type(refused)
    return None


@pytest.mark.parametrize(
    ("networks", "address", "end"),
    [
        ((), "8.8.8.8", None),
        (("10.0.0.0/8",), "10.1.2.3", None),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", None),
        (("10.0.0.0/8",), "11.1.2.3", WrongKey),
        (("10.0.0.0/8", "2001:db8::/32"), "2001:db8::5", None),
        (("192.0.2.7",), "192.0.2.7", None),
        (("192.0.2.7",), "192.0.2.8", WrongKey),
        (("192.0.2.7",), None, WrongKey),
        (("192.0.2.7",), "no address", WrongKey),
    ],
)
async def test_an_account_calls_from_where_its_rules_let_it(
    networks: tuple[str, ...], address: str | None, end: type[GatewayError] | None
) -> None:
    assert await ends({"shop": AccountRules(addresses=networks)}, address) is end
    assert await ends({"other": AccountRules(addresses=networks)}, address) is None


async def test_a_key_does_what_it_may_and_nothing_else() -> None:
    assert await ends({}, may=("status", "balance"), action="status") is None
    assert await ends({}, may=("status", "balance"), action="add") is NotAllowed
    assert await ends({}, may=(), action="add") is None


async def test_an_account_calls_as_often_as_its_rules_let_it() -> None:
    admission = Admission({"shop": AccountRules(rate_limit="3/min")})
    for _ in range(3):
        await admission.admit(key(), ACCOUNT, "status", None)
    with pytest.raises(TooMany):
        await admission.admit(key(), ACCOUNT, "status", None)


async def opened(shop: Selling, **may: Any) -> Selling:
    account = await shop.gateway.ledger.account("shop")
    assert account is not None
    text, _ = await shop.gateway.accounts.create_key(account.id, **may)
    return Selling(shop.gateway, shop.url, text, shop.session)


async def test_a_reading_key_at_the_edge_reads_and_orders_nothing(tmp_path: Path) -> None:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    async with box.serve() as url:
        rules = Rules(
            panels={"p1": panel(url)},
            publish=(Publish(panel="p1"),),
            accounts={"shop": AccountRules(rate_limit="5/min", budget_day=Decimal("0.04"))},
        )
        async with selling(rules, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            reader = await opened(shop, actions=("balance",))
            assert "balance" in await reader.call("balance")
            assert await reader.call("add", service=1, link=wares.LINK, quantity=20) == {
                "error": "This key may not do this"
            }
            assert "order" in await shop.call("add", service=1, link=wares.LINK, quantity=20)
            assert await shop.call("add", service=1, link=wares.LINK + "2", quantity=20) == {
                "error": "Not enough funds on balance"
            }, "the budget of the day"
            assert len(box.journal) == 1
            assert "balance" in await shop.call("balance")
            assert "balance" in await shop.call("balance")
            form = {"key": shop.key, "action": "balance"}
            async with shop.session.post(shop.url, data=form) as answer:
                assert (answer.status, await answer.read()) == (429, b""), "a read is silent: shops ask again"
            assert await shop.call("add", service=1, link=wares.LINK + "3", quantity=20) == {
                "error": "Rate limit exceeded"
            }


async def test_a_key_that_may_see_it_is_told_where_its_order_went_and_no_other(tmp_path: Path) -> None:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    async with box.serve() as url:
        rules = Rules(panels={"p1": panel(url)}, publish=(Publish(panel="p1"),), version="abc")
        async with selling(rules, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            seer = await opened(shop, shows_route=True)
            for one, told in ((seer, "p1/1; accepted; policy=cheapest; rules=abc"), (shop, None)):
                form = {"key": one.key, "action": "add", "service": "1", "link": wares.LINK + one.key, "quantity": "20"}
                async with one.session.post(one.url, data=form) as answer:
                    assert answer.status == 200
                    assert "order" in await answer.json()
                    assert answer.headers.get("x-panelmux-route") == told
