"""What the rules say of one account: its list, its rates, where its orders may go."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.conditions import condition
from gateway.rules.model import AccountRules, Category, Route, Rules, Service
from providers.sandbox import Sandbox
from tests import wares
from tests.running import Selling, panel, selling

pytestmark = pytest.mark.anyio


def rules(one: str, two: str, **account: Any) -> Rules:
    routes = (Route(panel="p1", service="1"), Route(panel="p2", service="1"))
    return Rules(
        panels={"p1": panel(one), "p2": panel(two)},
        margin=Decimal("0.5"),
        services={7: Service(routes=routes, category="Cat A"), 8: Service(routes=routes, category="Cat B")},
        categories=(Category(category="cat b", margin=Decimal(1)),),
        accounts={"shop": AccountRules(**account)},
    )


@pytest.fixture
async def panels() -> AsyncIterator[tuple[str, str]]:
    first, second = (Sandbox(name, key="panel-key", catalogue=wares.services()) for name in ("p1", "p2"))
    async with first.serve() as one, second.serve() as two:
        yield one, two


async def listed(shop: Selling) -> dict[int, Decimal]:
    await shop.gateway.catalog.until_ready()
    return {row["service"]: Decimal(row["rate"]) for row in await shop.call("services")}


async def another(shop: Selling) -> Selling:
    """A customer of whom the rules say nothing."""
    account = await shop.gateway.ledger.create_account("other", unlimited=True)
    key, _ = await shop.gateway.accounts.create_key(account.id)
    return Selling(shop.gateway, shop.url, key, shop.session)


async def test_an_account_sees_and_pays_its_own_rates(panels: tuple[str, str], tmp_path: Path) -> None:
    async with selling(rules(*panels, margin=Decimal("0.1")), tmp_path) as shop:
        own, others = await listed(shop), await listed(await another(shop))
        assert own[7] == own[8] == (others[7] / Decimal("1.5") * Decimal("1.1")).quantize(Decimal("0.0001"))
        assert others[8] == others[7] / Decimal("1.5") * 2, "a category's margin is that of its services"
        assert await listed(shop) == own, "the lists do not mix"
        before = Decimal((await shop.call("balance"))["balance"])
        await shop.call("add", service=7, link=wares.LINK, quantity=1000)
        assert before - Decimal((await shop.call("balance"))["balance"]) == own[7]


async def test_an_account_is_sold_what_its_rules_name_and_nothing_else(panels: tuple[str, str], tmp_path: Path) -> None:
    only = condition(any=[condition(category="Cat A")])
    async with selling(rules(*panels, services=only), tmp_path) as shop:
        assert list(await listed(shop)) == [7]
        refused = await shop.call("add", service=8, link=wares.LINK, quantity=20)
        assert refused == await shop.call("add", service=99, link=wares.LINK, quantity=20), "as if it were not there"
        assert "order" in await (await another(shop)).call("add", service=8, link=wares.LINK, quantity=20)


@pytest.mark.parametrize(
    "account", [{"only": frozenset({"p2"})}, {"never": frozenset({"p1"})}, {"when": condition(panel="p2")}]
)
async def test_an_accounts_orders_stay_where_its_rules_let_them(
    panels: tuple[str, str], tmp_path: Path, account: dict[str, Any]
) -> None:
    async with selling(rules(*panels, **account), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        told = await shop.call("add", service=7, link=wares.LINK, quantity=20)
        [attempt] = await shop.gateway.ledger.attempts(told["order"])
        assert attempt.panel == "p2"
        told = await (await another(shop)).call("add", service=7, link=wares.LINK, quantity=20)
        [attempt] = await shop.gateway.ledger.attempts(told["order"])
        assert attempt.panel == "p1"


async def test_conditions_know_the_account(panels: tuple[str, str], tmp_path: Path) -> None:
    found = rules(*panels)
    route = Route(panel="p1", service="1", when=condition(not_=condition(account="sho?"), category="cat a"))
    found = Rules(panels=found.panels, services={7: Service(routes=(route,), category="Cat A")})
    async with selling(found, tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        assert "error" in await shop.call("add", service=7, link=wares.LINK, quantity=20)
        assert "order" in await (await another(shop)).call("add", service=7, link=wares.LINK, quantity=20)


async def test_a_link_with_an_open_order_is_told_so_in_the_words_of_the_field(
    panels: tuple[str, str], tmp_path: Path
) -> None:
    async with selling(msgspec.structs.replace(rules(*panels), one_active=True), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        assert "order" in await shop.call("add", service=7, link=wares.LINK, quantity=20)
        assert await (await another(shop)).call("add", service=7, link=wares.LINK, quantity=20) == {
            "error": "You have active order with this link. Please wait until order being completed."
        }
