"""The loss of a panel under load: no customer hears of it while another route exists, and its return is gentle."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.rules.model import Route, Rules, Service
from providers.sandbox import Sandbox, Tempo
from tests import wares
from tests.running import Selling, panel, selling, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

STILL = Tempo(pending=(3600, 3600), cancel=(0.01, 0.02), refill=(0.01, 0.02))
FAILURES = ("gone", "add:maintenance", "add:bad_key")


def boxes() -> list[Sandbox]:
    made = []
    for number in (1, 2, 3):
        rows = [{**row, "rate": f"{number}.00"} for row in wares.services()]
        made.append(Sandbox(f"p{number}", key="panel-key", catalogue=rows, tempo=STILL))
    return made


async def ordered(shop: Selling, numbers: range) -> tuple[Counter[str], list[object]]:
    """Many customers at once: which panels took their orders, and what was answered that is no order."""
    answers = await asyncio.gather(
        *(shop.call("add", service=1, link=f"https://x.example/{number}", quantity=20) for number in numbers)
    )
    wrong = [answer for answer in answers if "order" not in answer]
    took: Counter[str] = Counter()
    for answer in answers:
        if "order" in answer:
            attempts = await shop.gateway.ledger.attempts(answer["order"])
            took.update(one.panel for one in attempts if one.remote_id is not None)
    return took, wrong


@pytest.mark.parametrize("fault", FAILURES)
async def test_no_customer_hears_of_a_panel_that_is_lost_under_load(tmp_path: Path, fault: str) -> None:
    random.seed(1)
    first, second, third = boxes()
    async with first.serve() as one, second.serve() as two, third.serve() as three:
        routes = tuple(Route(panel=f"p{number}", service="1") for number in (1, 2, 3))
        rules = Rules(
            panels={"p1": panel(one), "p2": panel(two), "p3": panel(three)},
            services={1: Service(routes=routes, rate=Decimal(9))},
        )
        async with selling(rules, tmp_path, overrides={"balance_s": 0.2}) as shop:
            await shop.gateway.catalog.until_ready()
            took, wrong = await ordered(shop, range(60))
            assert (wrong, took) == ([], {"p1": 60})
            if fault == "gone":
                first.stop_listening()
            else:
                first.faults = fault
            took, wrong = await ordered(shop, range(100, 300))
            assert (wrong, took) == ([], {"p2": 200})
            lost = shop.gateway.panels["p1"]
            assert not lost.closed(asyncio.get_running_loop().time())
            if fault == "gone":
                await first.listen()
            else:
                first.faults = ""
            before = len(first.journal)

            async def back() -> bool:
                return lost.closed(asyncio.get_running_loop().time())

            await until(back)
            took, wrong = await ordered(shop, range(400, 500))
            assert wrong == []
            assert set(took) <= {"p1", "p2"}
            assert took["p1"] < 60, "it is not run over by all orders at once"
            assert len(first.journal) - before == took["p1"]


async def test_when_every_panel_says_no_nothing_is_called_an_order_and_nothing_is_charged(tmp_path: Path) -> None:
    first, second, _ = boxes()
    first.faults = second.faults = "add:maintenance"
    async with first.serve() as one, second.serve() as two:
        routes = tuple(Route(panel=f"p{number}", service="1") for number in (1, 2))
        rules = Rules(
            panels={"p1": panel(one), "p2": panel(two)}, services={1: Service(routes=routes, rate=Decimal(9))}
        )
        async with selling(rules, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            before = await shop.call("balance")
            for number in range(12):  # the circuits open on the way, and are not heeded then
                told = await shop.call("add", service=1, link=f"https://x.example/{number}", quantity=20)
                assert told == {"error": "This service is not available right now"}
            assert await shop.call("balance") == before
            assert (first.journal, second.journal) == ([], [])
            written = len(await shop.gateway.ledger.list_orders(limit=1000))
            for number in range(100, 200):
                await shop.call("add", service=1, link=f"https://x.example/{number}", quantity=20)
            more = len(await shop.gateway.ledger.list_orders(limit=1000)) - written
            assert more < 50, "a shop that asks on and on neither fills the ledger nor runs panels over"
