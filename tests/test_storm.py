"""Orders through panels that misbehave in every known way: the panels' own journals say what was bought."""

import asyncio
import itertools
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger.records import AttemptState
from gateway.rules.model import Route, Rules, Service
from providers.sandbox import FAULTS, Entry, Sandbox, Temper, Tempo
from tests.running import Selling, panel, selling, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

ORDERS = 2_000
AT_ONCE = 100
SHARE = 0.2  # of all adds meet a fault

SLOW = {"rate_limit": "1", "drip": "2", "bomb": "8", "delay_before": "0.3", "delay_after": "0.3"}
"""Faults in a size that a test has time for; how they are is tested beside the transport."""

SURELY_NOT = {AttemptState.REFUSED, AttemptState.NOT_SENT}

CATALOGUE = [
    {"service": 1, "name": "Likes", "type": "Default", "category": "C", "rate": "{}", "min": 1, "max": 1000},
    {"service": 2, "name": "Comments", "type": "Custom Comments", "category": "C", "rate": "{}", "min": 1, "max": 100},
    {"service": 3, "name": "Pack", "type": "Package", "category": "C", "rate": "{}", "min": 1, "max": 1},
]


def faults() -> str:
    """Every fault an `add` can meet, each as likely as the others, `SHARE` of all together."""
    names = [name for name, fault in FAULTS.items() if "add" in fault.actions]
    rules, left = [], 1.0
    for name in names:
        share = SHARE / len(names)
        value = f"={SLOW[name]}" if name in SLOW else ""
        rules.append(f"add:{name}{value}@{share / left:.6f}")  # rules are asked in turn: each gets its share of all
        left -= share
    return ", ".join(rules)


def sandbox(number: int) -> Sandbox:
    rows = [{**row, "rate": f"0.{number}0"} for row in CATALOGUE]
    return Sandbox(
        f"p{number}",
        key="panel-key",
        catalogue=rows,
        balance=Decimal(10**6),
        seed=number,
        faults=faults(),
        tempo=Tempo(pending=(0, 0.2), work=(0.1, 0.5)),
        temper=Temper(partial=0.05, canceled=0.05),
    )


def _fields(number: int, again: int) -> dict[str, object]:
    service = number % 3 + 1
    link = f"https://x.example/p/{number}/{again}"
    match service:
        case 1:
            return {"service": 1, "link": link, "quantity": 10 + number % 90}
        case 2:
            return {"service": 2, "link": link, "comments": "good\nbetter"}
        case _:
            return {"service": 3, "link": link}


async def _customers(shop: Selling, boxes: list[Sandbox]) -> tuple[dict[str, int], Counter[str]]:
    """Place all orders, `AT_ONCE` at a time; the ids given by link, and the words of refusals."""
    given: dict[str, int] = {}
    refused: Counter[str] = Counter()
    numbers = iter(range(ORDERS))

    async def customer() -> None:
        for number in numbers:
            await outages(number)
            for again in itertools.count():
                fields = _fields(number, again)
                answer = await shop.call("add", **fields)
                if "order" in answer:
                    given[str(fields["link"])] = answer["order"]
                    break
                refused[answer["error"]] += 1  # words that mean nothing was bought, so a shop orders again
                await asyncio.sleep(0.05)

    async def outages(number: int) -> None:
        """Every panel in turn is down for a hundred orders."""
        box = boxes[number // 300 % len(boxes)]
        if number % 300 == 100:
            box.stop_listening()
        elif number % 300 == 200:
            await box.listen()

    await asyncio.gather(*(customer() for _ in range(AT_ONCE)))
    return given, refused


async def test_2000_orders_through_a_storm_are_bought_once_or_known_to_be_open(tmp_path: Path) -> None:
    random.seed(1)
    boxes = [sandbox(number) for number in (1, 2, 3)]
    async with boxes[0].serve() as one, boxes[1].serve() as two, boxes[2].serve() as three:
        panels = {
            box.name: panel(url, in_flight=64, open_unknowns=10_000)
            for box, url in zip(boxes, (one, two, three), strict=True)
        }
        services = {
            number: Service(routes=tuple(Route(panel=name, service=str(number)) for name in panels))
            for number in (1, 2, 3)
        }
        overrides = {"sync_wait_s": 3.0, "drain_s": 2.0, "balance_s": 0.5}
        async with selling(Rules(panels=panels, services=services), tmp_path, overrides=overrides) as shop:

            async def ready() -> bool:
                return len(shop.gateway.catalog.services()) == 3

            await until(ready)
            people = asyncio.create_task(_people(shop))
            given, refused = await _customers(shop, boxes)
            people.cancel()
            ledger = shop.gateway.ledger
            await shop.gateway.orders.drain(2.0, asyncio.Event())
            await _compare(shop, boxes, given)
            print(len(given), "given", refused, (await ledger.totals()).attempts)
            assert len(given) == ORDERS


async def _people(shop: Selling) -> None:
    """They look at a panel that was stopped for a contradiction, and let it go on."""
    while True:
        for one in shop.gateway.panels.values():
            if one.stop_for:
                await shop.gateway.ledger.learn(one.name, stopped="")
        await asyncio.sleep(0.05)


async def _compare(shop: Selling, boxes: list[Sandbox], given: dict[str, int]) -> None:
    """The journals against the ledger."""
    ledger = shop.gateway.ledger
    orders = {order.link: order for order in await ledger.list_orders(limit=100 * ORDERS)}
    bought: dict[str, list[tuple[str, Entry]]] = {}
    for box in boxes:
        for entry in box.journal:
            if entry.action == "add":
                bought.setdefault(entry.fields["link"], []).append((box.name, entry))
    twice = {link: purchases for link, purchases in bought.items() if len(purchases) > 1}
    assert not twice, f"bought twice: {twice}"
    for link, ((name, entry),) in bought.items():
        attempts = [attempt for attempt in await ledger.attempts(orders[link].id) if attempt.panel == name]
        *before, known = attempts  # an order that waited for our money asks a panel again that surely did not buy
        assert {attempt.state for attempt in before} <= SURELY_NOT, (link, attempts, entry)
        assert known.state in {AttemptState.ACCEPTED, AttemptState.UNKNOWN}, (link, known, entry)
        if known.state is AttemptState.ACCEPTED and entry.fault != "stale":
            # `stale` hands out another order's id, whose own answer may have been lost: only its status can tell.
            assert known.remote_id == str(entry.remote_id), (link, known, entry)
    for link, order in given.items():
        assert orders[link].id == order, "the customer was given an id that is not the order's"
    states = Counter([attempt.state for order in orders.values() for attempt in await ledger.attempts(order.id)])
    assert states[AttemptState.SENDING] == 0
    assert states[AttemptState.UNKNOWN] > 0, "a storm without a lost answer proves little"
    assert min(states[AttemptState.NOT_SENT], states[AttemptState.REFUSED]) > 0, "nor does one without failover"
    totals = await ledger.totals()
    assert totals.sum == 0
    assert totals.wrong == ()
