"""Two gateways, each with a ledger of its own, and one Valkey between them that stalls, is emptied, and dies."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.health import IN_A_ROW
from gateway.rules.model import AccountRules, Publish, Rules
from providers.sandbox import Sandbox
from tests import wares
from tests.running import Selling, panel, selling, until
from tests.servers import Valkey

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def two(valkey: Valkey, folder: Path, url: str, **other: Any) -> AsyncIterator[tuple[Selling, Selling]]:
    rules = Rules(
        panels={"p1": panel(url)},
        publish=(Publish(panel="p1"),),
        accounts={"shop": AccountRules(rate_limit="40/h")},
    )
    use = {"redis": valkey.url, **other}
    async with (
        selling(rules, folder / "one", overrides=use) as one,
        selling(rules, folder / "two", overrides=use) as second,
    ):
        for shop in (one, second):
            shop.gateway.turns.nodes = lambda: 2
            await shop.gateway.catalog.until_ready()
        yield one, second


async def buys(shop: Selling, number: int) -> bool:
    """Place an order; gives whether it was taken, or refused for having called too often."""
    answer = await shop.call("add", service=1, link=f"{wares.LINK}{number}", quantity=20)
    assert "order" in answer or answer == {"error": "Rate limit exceeded"}, answer
    return "order" in answer


async def there(*gateways: Gateway, is_there: bool = True) -> None:
    async def so() -> bool:
        return all(bool(gateway.shared.epoch) == is_there for gateway in gateways)

    await until(so)


async def test_orders_go_on_and_limits_hold_whatever_becomes_of_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    with Valkey() as valkey:
        async with box.serve() as url, two(valkey, tmp_path, url) as (one, other):
            await there(one.gateway, other.gateway)
            assert len(other.gateway.catalog.services()) == len(one.gateway.catalog.services()) > 0
            bought = sum([await buys(shop, number) for number in range(3) for shop in (one, other)])

            valkey.stand_still()
            assert [await buys(shop, 10) for shop in (one, other)] == [True, True]
            await there(one.gateway, other.gateway, is_there=False)
            valkey.go_on()
            await there(one.gateway, other.gateway)
            bought += 2 + sum([await buys(shop, 20) for shop in (one, other)])

            epoch = one.gateway.shared.epoch
            valkey.ask("FLUSHALL")

            async def seen() -> bool:
                return epoch not in {one.gateway.shared.epoch, other.gateway.shared.epoch}

            await until(seen)
            bought += sum([await buys(shop, 30) for shop in (one, other)])

            valkey.kill()
            assert [await buys(shop, 40) for shop in (one, other)] == [True, True]
            await there(one.gateway, other.gateway, is_there=False)
            bought += 2
            assert bought == 14, "no order was refused"
            valkey.start()
            await there(one.gateway, other.gateway)
            bought += sum([await buys(shop, 50 + number) for number in range(30) for shop in (one, other)])
            assert bought == 40, "the limit of both together, after all that"
            assert len(box.journal) == 40


async def test_a_panel_that_fails_at_one_gateway_is_left_alone_by_the_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    with Valkey() as valkey:
        async with box.serve() as url, two(valkey, tmp_path, url) as (one, other):
            await there(one.gateway, other.gateway)
            panels = [shop.gateway.panels["p1"] for shop in (one, other)]

            async def closed() -> bool:
                return all(panel.adds.probe_s is None for panel in panels)

            async def open_at_both() -> bool:
                return all(panel.adds.probe_s is not None for panel in panels)

            box.faults = "add:maintenance"
            for number in range(IN_A_ROW):
                await one.call("add", service=1, link=f"{wares.LINK}{number}", quantity=20)
            await until(open_at_both)
            assert other.gateway.catalog.circuits.heard >= 1
            assert other.gateway.catalog.circuits.told == 0, "it ordered nothing there"
            box.faults = ""
            await until(closed)
            told = [shop.gateway.catalog.circuits.told for shop in (one, other)]
            assert sorted(told) in ([0, 2], [1, 1]), "one opened it, and one probe closed it for both"
