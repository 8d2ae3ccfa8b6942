"""`kill -9` at every await of placing an order: after a restart nothing is bought twice and nothing is forgotten."""

import asyncio
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.ledger.records import AttemptState, Order
from gateway.nodes import Rhythm
from providers.sandbox import Sandbox
from providers.service_types import Default
from tests.crash_child import rules
from tests.databases import LEDGERS, drop
from tests.running import settings, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

CATALOGUE = [{"service": 1, "name": "Likes", "type": "Default", "category": "C", "rate": "1.00", "min": 1, "max": 1000}]
LINK = "https://x.example/p/{}"
MOST_STEPS = 120  # far beyond what placing takes today; the loop ends at the first placing that survives


def sandbox(name: str, faults: str = "") -> Sandbox:
    return Sandbox(name, key="panel-key", catalogue=CATALOGUE, faults=faults)


QUICK = Rhythm(beat_s=0.02, silence_s=0.1)
"""Of who looks at a node that was killed: whoever lives beats at once, and nobody else does."""


async def killed_at(step: int, where: str, folder: Path, ledger: str, urls: list[str]) -> tuple[bool, object]:
    """Run a gateway that dies at `step`, send it one order; whether it died, and what the customer was told."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.crash_child",
        str(folder),
        ledger,
        where,
        str(step),
        "SIGKILL",
        *urls,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    _, url, key = (await child.stdout.readline()).decode().split()
    form = {"key": key, "action": "add", "service": "1", "link": LINK.format(step), "quantity": "10"}
    told: object = None
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(url, data=form) as answer:
                told = await answer.json()
        except aiohttp.ClientError:
            told = None
    if told is not None:
        child.terminate()
    await child.stdout.read()
    code = await child.wait()
    assert code in {0, -9}, code
    return code == -9, told


async def check_after(
    step: int, folder: Path, ledger: str, sandboxes: list[Sandbox], urls: list[str], *, told: object
) -> None:
    """Start again on the same ledger, let it work, and compare it with what the panels did."""
    link = LINK.format(step)
    async with Gateway(settings(folder, ledger), rules(urls), rhythm=QUICK) as gateway:

        async def alone() -> bool:
            return gateway.nodes.living == 1 and gateway.nodes.leads()

        await until(alone)
        orders = [order for order in await gateway.ledger.list_orders(limit=10_000) if order.link == link]
        bought = [(box, entry) for box in sandboxes for entry in box.journal if entry.fields.get("link") == link]
        assert len(bought) <= 1, f"bought {len(bought)} times"
        assert len(orders) <= 1, f"written {len(orders)} times"
        if isinstance(told, dict) and "order" in told:
            assert [order.id for order in orders] == [told["order"]], "the customer was given an id that is not there"
        attempts = await gateway.ledger.attempts(orders[0].id) if orders else []
        assert not [attempt for attempt in attempts if attempt.state is AttemptState.SENDING]
        for box, entry in bought:
            (known,) = [attempt for attempt in attempts if attempt.panel == box.name]
            assert known.state in {AttemptState.ACCEPTED, AttemptState.UNKNOWN}
            assert known.remote_id in {str(entry.remote_id), None}
        sends = [box.sends["add"] for box in sandboxes]
        for order in orders:
            live = await gateway.ledger.live([order.id])
            if live:  # what is known to be bought is followed again

                async def looked(order_id: int = order.id) -> bool:
                    return any(event.what == "status" for event in await gateway.ledger.events(order_id))

                await until(looked)
        assert [box.sends["add"] for box in sandboxes] == sends, "a restart sent an order"
        if told is None:
            await asked_again(gateway, orders, link)
            assert sum(entry.fields.get("link") == link for box in sandboxes for entry in box.journal) <= 1
        totals = await gateway.ledger.totals()
        assert totals.sum == 0
        assert totals.wrong == ()
        assert (await gateway.ledger.replayed()).wrong == ()


async def asked_again(gateway: Gateway, orders: list[Order], link: str) -> None:
    """The shop, which heard nothing, asks again: it gets the order that was written, if there was one."""
    await gateway.catalog.until_ready()
    account, service = await gateway.ledger.account("shop"), gateway.catalog.service(1)
    assert account is not None
    assert service is not None
    order = await gateway.orders.add(account, service, Default(link=link, quantity=10), repeats="join")
    assert orders == [] or order == orders[0].id


@pytest.fixture(params=LEDGERS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    url = LEDGERS[request.param](tmp_path)
    yield url
    drop(url)


@pytest.mark.parametrize(
    ("where", "faults"),
    [("purchase", ""), ("purchase", "add:no_funds"), ("purchase", "add:fin_after"), ("request", ""), ("flight", "")],
    ids=["bought at once", "failed over", "answer lost", "in the request", "in the flight"],
)
async def test_a_kill_at_any_await_of_placing_buys_nothing_twice_and_forgets_nothing(
    where: str, faults: str, ledger: str, tmp_path: Path
) -> None:
    first, second = sandbox("p0", faults), sandbox("p1")
    async with first.serve() as one, second.serve() as two:
        urls = [one, two]
        async with Gateway(settings(tmp_path, ledger), rules(urls)) as gateway:
            account = await gateway.ledger.create_account("shop")
            await gateway.ledger.topup(account.id, Decimal(100), "test")
        died = 0
        for step in range(1, MOST_STEPS):
            dead, told = await killed_at(step, where, tmp_path, ledger, urls)
            await check_after(step, tmp_path, ledger, [first, second], urls, told=told)
            if not dead:
                assert isinstance(told, dict)
                assert "order" in told
                break
            died += 1
        else:
            pytest.fail(f"placing takes more than {MOST_STEPS} steps")
        assert died >= 3
        assert first.sends["add"] >= 2, "the panel that the case is about was never asked"
        assert len(first.journal) + len(second.journal) >= 2
