"""panelmux rules simulate, route savings: what recorded orders would have come to, by other rules or at one panel."""

import asyncio
import os
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import click
import msgspec

from gateway import rules as rules_files
from gateway.catalog import Catalog
from gateway.cli import output
from gateway.cli.leaf import Leaf, json_option, ledger_option, rules_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.reached import catalog_of, ruled
from gateway.conditions import minute_of_week
from gateway.errors import GatewayError
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Attempt, AttemptState, Order
from gateway.money import up, wire
from gateway.placing import bounded, expected
from gateway.routing import Choice, Decision
from gateway.settings import Settings
from providers.base import FINISHED
from providers.service_types import TYPES

_PAGE: Final = 1000
_MOST: Final = 1_000_000
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}
_SHOWN: Final = 10


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded orders under two rules, as --json writes it; amounts in the ledger's currency.

    Attributes:
        cost_before, cost_after: of the orders that both can place, by today's lists, all panels well and in funds.
        change: of that, in percent.
        moved: orders that go to another panel first; `lost` that nobody takes any more; `gained` that somebody does;
            `neither`: that neither takes.
        examples: ids of some of the orders lost or moved.
    """

    orders: int
    cost_before: str
    cost_after: str
    change: str
    moved: int
    lost: int
    gained: int
    neither: int
    examples: Mapping[str, tuple[int, ...]]


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """What it would have been to buy at one panel alone, as --json writes it.

    Attributes:
        could: how many of the orders it could have taken when they were placed.
        there: what these would have cost there; `paid`: what they did cost.
        saved: the difference, in percent of `there`; below zero = it would have been cheaper.
    """

    panel: str
    could: int
    there: str
    paid: str
    saved: str


class Savings(msgspec.Struct, frozen=True, kw_only=True):
    orders: int
    paid: str
    panels: tuple[Panel, ...]


class _Since(click.ParamType[float]):
    """How far back: 90m, 12h, 30d; in seconds."""

    name = "SPAN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = _SPAN.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no span like 30d, 12h or 90m", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


since_option = click.option("--since", type=_Since(), default="30d", show_default=True, help="Orders of so long.")


@click.command(
    cls=Leaf, examples=("panelmux rules simulate next.yaml", "panelmux rules simulate next.yaml --since 7d --json")
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@since_option
@rules_option
@ledger_option
@json_option
def simulate(*, file: str, since: float, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Route recorded orders by FILE and by the rules of now, and tell what changes. Nothing is bought or written.

    Both by today's lists, with all panels well and in funds: what differs is the rules' doing.
    """
    settings = settled(rules=rules, ledger=ledger)
    found = asyncio.run(_simulated(settings, file, since))
    if as_json:
        output.document(found)
        return
    facts = [
        ("orders", str(found.orders)),
        ("that both take", str(found.orders - found.lost - found.gained - found.neither)),
        ("their cost by the rules of now", found.cost_before),
        (f"by {file}", found.cost_after),
    ]
    facts += [("change", f"{found.change} %"), ("go to another panel first", str(found.moved))]
    output.facts([*facts, ("nobody takes any more", str(found.lost)), ("somebody takes now", str(found.gained))])
    for what, ids in found.examples.items():
        if ids:
            output.say(f"{what}, for example: {', '.join(map(str, ids))}")


@click.command(cls=Leaf, examples=("panelmux route savings", "panelmux route savings --since 7d --json"))
@since_option
@ledger_option
@json_option
def savings(*, since: float, ledger: str | None, as_json: bool) -> None:
    """What orders cost, beside what they would have cost at each panel alone, by the offers that there were then.

    Of orders that have ended. What panels gave back is taken off; at each panel alone, as much of an order would have
    been delivered as was.
    """
    found = asyncio.run(_savings(settled(ledger=ledger), since))
    if as_json:
        output.document(found)
        return
    output.facts([("orders", str(found.orders)), ("paid", found.paid)])
    print()
    rows = [(one.panel, str(one.could), one.there, one.paid, f"{one.saved} %") for one in found.panels]
    heads = output.columns("always at", ">could take", ">would have cost", ">did cost", ">saved")
    output.table(heads, rows, empty="no order was placed in that time")


async def _simulated(settings: Settings, file: str, since_s: float) -> Simulated:
    now = ruled(settings)
    then = rules_files.load(file, os.environ)
    before = after = Decimal(0)
    orders = 0
    moved: list[int] = []
    lost: list[int] = []
    gained: list[int] = []
    neither: list[int] = []
    async with (
        ledger_at(settings.ledger) as ledger,
        catalog_of(settings, now, offline=True) as one,
        catalog_of(settings, then, offline=True) as other,
    ):
        names = {account.id: account.name for account in await ledger.accounts()}
        async for order in _placed(ledger, since_s):
            orders += 1
            first, second = (_first(looked.catalog, order, names[order.account]) for looked in (one, other))
            if first is None or second is None:
                (lost if first else gained if second else neither).append(order.id)
                continue
            before, after = before + first.cost, after + second.cost
            if (first.panel, first.remote_service) != (second.panel, second.remote_service):
                moved.append(order.id)
    return Simulated(
        orders=orders,
        cost_before=wire(before),
        cost_after=wire(after),
        change=_percent(after - before, before),
        moved=len(moved),
        lost=len(lost),
        gained=len(gained),
        neither=len(neither),
        examples={"lost": tuple(lost[:_SHOWN]), "moved": tuple(moved[:_SHOWN])},
    )


def _first(catalog: Catalog, order: Order, account: str) -> Choice | None:
    """Where an order would be bought first; the same chance for both rules."""
    service = catalog.sold_to(account, order.service)
    if service is None or service.type != order.type:
        return None
    try:
        fields = bounded(msgspec.json.decode(order.fields, type=TYPES[order.type]), catalog.rules)
        minute = minute_of_week(order.created_ms)
        decision = expected(catalog, service, fields, account=account, minute=minute, draw=str(order.id))
    except (GatewayError, msgspec.MsgspecError):
        return None
    return decision.choices[0] if decision.choices else None


async def _savings(settings: Settings, since_s: float) -> Savings:
    could: dict[str, int] = defaultdict(int)
    there: dict[str, Decimal] = defaultdict(Decimal)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    orders, total = 0, Decimal(0)
    async with ledger_at(settings.ledger) as ledger:
        async for order in _placed(ledger, since_s):
            bought = [one for one in await ledger.attempts(order.id) if one.state is AttemptState.ACCEPTED]
            if not bought or not order.charge or order.status not in FINISHED:
                continue
            orders += 1
            cost = sum((_taken(one) for one in bought), Decimal(0))
            total += cost
            for panel, alone in _costs(order).items():
                could[panel] += 1
                there[panel] += alone * (order.charge - order.refunded) / order.charge
                paid[panel] += cost
    panels = tuple(
        Panel(
            panel=name,
            could=could[name],
            there=wire(up(there[name])),
            paid=wire(up(paid[name])),
            saved=_percent(there[name] - paid[name], there[name]),
        )
        for name in sorted(could, key=lambda name: (-could[name], name))
    )
    return Savings(orders=orders, paid=wire(up(total)), panels=panels)


def _taken(one: Attempt) -> Decimal:
    """What an attempt took of us in the end, in our currency."""
    known = one.taken is not None and one.remote_cost
    return one.cost * one.taken / one.remote_cost if known else one.cost  # type: ignore[operator]


def _costs(order: Order) -> Mapping[str, Decimal]:
    """What an order would have cost at each panel that could take it then, by its cheapest offer."""
    try:
        decision = msgspec.json.decode(order.decision, type=Decision)
    except msgspec.MsgspecError:
        return {}
    costs: dict[str, Decimal] = {}
    for choice in decision.choices:
        costs[choice.panel] = min(costs.get(choice.panel, choice.cost), choice.cost)
    return costs


async def _placed(ledger: Ledger, since_s: float) -> AsyncIterator[Order]:
    """The orders of so long, newest first."""
    since_ms = (time.time() - since_s) * 1000
    before: int | None = None
    seen = 0
    while seen < _MOST:
        page: Sequence[Order] = await ledger.list_orders(before=before, limit=_PAGE)
        for order in page:
            if order.created_ms < since_ms:
                return
            yield order
        seen += len(page)
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _percent(part: Decimal, whole: Decimal) -> str:
    """A share, signed, to one decimal."""
    return f"{100 * part / whole:+.1f}" if whole else "+0.0"
