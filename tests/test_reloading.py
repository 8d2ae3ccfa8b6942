"""Other rules for a running gateway: whole, or not at all; and nothing that was bought is lost sight of."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import server
from gateway.app import Gateway
from gateway.reloading import Reloading
from gateway.rules import load
from providers.base import OrderStatus
from providers.sandbox import Sandbox, Tempo
from tests import wares
from tests.running import Selling, settings, until

pytestmark = pytest.mark.anyio

KEYS = {"ONE": "panel-key", "TWO": "panel-key"}


class Sites:
    """Two panels, and a rules file that names them."""

    def __init__(self, folder: Path, one: str, two: str) -> None:
        self.file = folder / "routing_rules.yaml"
        self.one, self.two = one, two

    def write(self, rest: str, *, panels: str = "p1 p2", **panel: str) -> None:
        lines = ["panels:"]
        for name, url, key in (("p1", self.one, "ONE"), ("p2", self.two, "TWO")):
            if name in panels:
                more = "".join(f", {word}: {value}" for word, value in panel.items())
                lines.append(f'  {name}: {{url: "{url}", key: "${{{key}}}", private: true{more}}}')
        self.file.write_text("\n".join(lines) + "\n" + rest)


class Follower:
    """A gateway that sells by the file, and looks at it when told to."""

    def __init__(self, shop: Selling, reloading: Reloading) -> None:
        self.shop = shop
        self.gateway = shop.gateway
        self.reloading = reloading

    async def told(self) -> list[tuple[str, str]]:
        """What the ledger keeps of the rules: version and why not, oldest first."""
        return [(one.version, one.why) for one in reversed(await self.gateway.ledger.rules_files())]

    async def bought_at(self, **fields: Any) -> str:
        told = await self.shop.call("add", **{"service": 1, "link": wares.LINK, "quantity": 20, **fields})
        [attempt] = await self.gateway.ledger.attempts(told["order"])
        return attempt.panel


ONE = "services: {1: {routes: [p1/1]}}\n"
TWO = "services: {1: {routes: [p2/1]}, 2: {routes: [p2/1], name: More}}\n"


@pytest.fixture
async def boxes() -> AsyncIterator[tuple[Sandbox, Sandbox, str, str]]:
    slow = Tempo(pending=(3600, 3600), cancel=(0.01, 0.02), refill=(0.01, 0.02))
    first, second = (Sandbox(name, key="panel-key", catalogue=wares.services(), tempo=slow) for name in ("p1", "p2"))
    async with first.serve() as one, second.serve() as two:
        yield first, second, one, two


@pytest.fixture
async def sites(boxes: tuple[Sandbox, Sandbox, str, str], tmp_path: Path) -> Sites:
    _, _, one, two = boxes
    sites = Sites(tmp_path, one, two)
    sites.write(ONE)
    return sites


@pytest.fixture
async def follower(sites: Sites, tmp_path: Path) -> AsyncIterator[Follower]:
    import aiohttp  # noqa: PLC0415 - as in tests.running

    async with Gateway(settings(tmp_path), load(sites.file, KEYS)) as gateway:
        account = await gateway.ledger.create_account("shop", unlimited=True)
        key, _ = await gateway.accounts.create_key(account.id)
        listening = server.listen("127.0.0.1", 0)
        running = server.Server(gateway)
        serving = asyncio.create_task(running.serve(sockets=[listening]))
        looks = asyncio.Event()

        async def sleep(_seconds: float) -> None:
            looks.set()
            await asyncio.Event().wait()

        reloading = Reloading(gateway, str(sites.file), KEYS, sleep=sleep)
        following = asyncio.create_task(reloading.follow())
        await looks.wait()
        await gateway.catalog.until_ready()
        async with aiohttp.ClientSession() as session:
            yield Follower(Selling(gateway, server.url(listening) + "/api/v2", key, session), reloading)
        following.cancel()
        running.should_exit = True
        await serving


async def test_a_changed_file_is_in_force_at_the_next_look(follower: Follower, sites: Sites) -> None:
    assert await follower.bought_at() == "p1"
    assert not await follower.reloading.once(), "nothing changed"
    sites.write(TWO)
    assert await follower.reloading.once()
    assert await follower.bought_at() == "p2"
    assert [row["service"] for row in await follower.shop.call("services")] == [1, 2]
    assert [why for _, why in await follower.told()] == ["", ""]


async def test_a_mistake_leaves_all_as_it_was_and_is_kept_with_its_reason(
    follower: Follower, sites: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    before = follower.gateway.rules
    sites.write(TWO + "policy: cheapst\nmargn: 5%\n")
    assert not await follower.reloading.once()
    assert follower.gateway.rules is before
    assert await follower.bought_at() == "p1"
    told = capsys.readouterr().out
    assert 'did you mean "cheapest"?' in told
    assert "margn: no such key here" in told
    _, (_, why) = await follower.told()
    assert "cheapst" in why
    assert b"panelmux_rules_taken 0.0" in follower.gateway.metrics.text()
    sites.write(ONE)
    assert not await follower.reloading.once(), "as before"
    assert b"panelmux_rules_taken 1.0" in follower.gateway.metrics.text()
    assert (await follower.told())[-1] == (before.version, "")


async def test_a_file_that_is_gone_for_a_moment_changes_nothing(follower: Follower, sites: Sites) -> None:
    text = sites.file.read_text()
    sites.file.unlink()
    assert not await follower.reloading.once()
    assert await follower.bought_at() == "p1"
    sites.file.write_text(text + "margin: 5%\n")
    assert await follower.reloading.once()


async def test_health_and_funds_of_a_panel_outlive_a_change_of_its_rules(follower: Follower, sites: Sites) -> None:
    panel = follower.gateway.panels["p1"]
    await until(lambda: asyncio.sleep(0, panel.balance is not None))
    balance = panel.balance
    sites.write(ONE, in_flight="3")
    assert await follower.reloading.once()
    assert follower.gateway.panels["p1"] is panel
    assert (panel.rules.in_flight, panel.balance) == (3, balance)
    assert await follower.bought_at() == "p1"


async def test_orders_go_on_being_followed_after_a_change(follower: Follower, sites: Sites) -> None:
    told = await follower.shop.call("add", service=1, link=wares.LINK, quantity=20)
    sites.write(TWO)
    assert await follower.reloading.once()
    await follower.shop.call("cancel", orders=told["order"])

    async def ended() -> bool:
        order = await follower.gateway.ledger.order(told["order"])
        return order is not None and order.status is OrderStatus.CANCELED

    await until(ended)


@pytest.mark.parametrize(
    ("panels", "panel", "why"),
    [
        ("p2", {}, "panels.p1: 1 of our orders are open there; panelmux panel drain p1"),
        ("p1 p2", {"currency": "EUR"}, "panels.p1: 1 of our orders are open there; give what is another site another"),
    ],
)
async def test_rules_that_would_lose_sight_of_open_orders_are_not_taken(
    follower: Follower, sites: Sites, panels: str, panel: dict[str, str], why: str
) -> None:
    assert await follower.bought_at() == "p1"
    sites.write('exchange: {EUR: "1"}\n' + TWO, panels=panels, **panel)
    assert not await follower.reloading.once()
    assert (await follower.told())[-1][1].startswith(why)
    assert await follower.bought_at(link="https://x.example/2") == "p1"


async def test_a_panel_is_not_let_go_while_an_order_is_on_its_way_there(
    follower: Follower, sites: Sites, boxes: tuple[Sandbox, Sandbox, str, str]
) -> None:
    boxes[0].faults = "add:delay_before=1"
    order = asyncio.create_task(follower.bought_at())
    panel = follower.gateway.panels["p1"]
    await until(lambda: asyncio.sleep(0, panel.is_busy))
    sites.write("services: {1: {routes: [p2/1]}}\n", panels="p2")
    assert not await follower.reloading.once()
    assert "panels.p1: " in (await follower.told())[-1][1]
    assert not panel.leaves
    assert await order == "p1"


async def test_a_file_that_is_still_being_written_is_left_for_the_next_look(sites: Sites, tmp_path: Path) -> None:
    async with Gateway(settings(tmp_path), load(sites.file, KEYS)) as gateway:
        looks = 0
        ends = asyncio.Event()

        async def sleep(_seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks <= 3:
                sites.write(TWO + "#" * looks)
            elif looks == 6:
                ends.set()
                await asyncio.Event().wait()

        reloading = Reloading(gateway, str(sites.file), KEYS, sleep=sleep)
        following = asyncio.create_task(reloading.follow())
        await ends.wait()
        following.cancel()
        assert [len(one.text) - len(one.text.rstrip("#")) for one in await gateway.ledger.rules_files()] == [3, 0]


async def test_the_currency_is_not_changed_while_it_sells(follower: Follower, sites: Sites) -> None:
    sites.write('currency: EUR\nexchange: {USD: "1"}\n' + ONE)
    assert not await follower.reloading.once()
    assert (await follower.told())[-1][1] == "currency: the ledger's amounts are USD"


async def test_a_panel_that_comes_is_followed_and_one_that_goes_is_let_go(follower: Follower, sites: Sites) -> None:
    sites.write("services: {1: {routes: [p2/1]}}\n", panels="p2")
    assert await follower.reloading.once()
    assert list(follower.gateway.panels) == ["p2"]
    await follower.gateway.catalog.until_ready()
    told = await follower.shop.call("add", service=1, link=wares.LINK, quantity=20)
    await follower.shop.call("cancel", orders=told["order"])

    async def ended() -> bool:
        order = await follower.gateway.ledger.order(told["order"])
        return order is not None and order.status is OrderStatus.CANCELED

    await until(ended)
    sites.write(ONE, panels="p1")
    await until(follower.reloading.once)
    assert await follower.bought_at(link="https://x.example/3") == "p1"


async def test_keys_that_the_file_refers_to_are_read_again_when_asked(sites: Sites, follower: Follower) -> None:
    KEYS["ONE"] = "another-key"
    try:
        assert not await follower.reloading.once(), "the file looks as before"
        follower.reloading.ask()
        assert await follower.reloading.once()
        assert follower.gateway.rules.panels["p1"].key == "another-key"
    finally:
        KEYS["ONE"] = "panel-key"


async def test_an_account_has_its_new_rates_at_once(follower: Follower, sites: Sites) -> None:
    [before] = await follower.shop.call("services")
    sites.write(ONE + "accounts: {shop: {margin: 100%}}\n")
    assert await follower.reloading.once()
    [after] = await follower.shop.call("services")
    assert Decimal(after["rate"]) == 2 * Decimal(before["rate"])


async def test_what_people_stop_takes_no_order_and_what_they_resume_does(follower: Follower) -> None:
    ledger, panel = follower.gateway.ledger, follower.gateway.panels["p1"]
    await ledger.learn("p1", stopped="drained: new owner")
    await until(lambda: asyncio.sleep(0, panel.stopped))
    told = await follower.shop.call("add", service=1, link=wares.LINK, quantity=20)
    assert "error" in told
    await ledger.learn("p1", stopped="")
    await until(lambda: asyncio.sleep(0, not panel.stopped))
    assert await follower.bought_at() == "p1"


async def test_rules_are_compared_by_what_they_say(sites: Sites) -> None:
    one = load(sites.file, KEYS)
    assert one == load(sites.file, KEYS) != msgspec.structs.replace(one, margin=Decimal(1))
