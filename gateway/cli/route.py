"""panelmux route: where an order would go, and why."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import click
import msgspec

from gateway.api_v2.fields import order_fields
from gateway.api_v2.form import read_form
from gateway.catalog import Catalog, Service
from gateway.cli import output
from gateway.cli.failure import Exit, Failure
from gateway.cli.leaf import Leaf, json_option, ledger_option, rules_option
from gateway.cli.opened import settled
from gateway.cli.panel import asked
from gateway.cli.reached import catalog_of, ruled, sold
from gateway.cli.simulate import savings
from gateway.cli.text import age, clean
from gateway.errors import GatewayError
from gateway.money import up, wire
from gateway.placing import bounded, charged, routed
from gateway.routing import Decision
from gateway.rules.model import Rules
from gateway.settings import Settings
from providers.service_types import PER_ORDER, TYPES, OrderFields

_STAND_INS: Final[Mapping[str, str]] = {
    "link": "https://link.example/post",
    "device": "1",
    "type_of_traffic": "3",
    "delay": "0",
    "answer_number": "1",
    "country": "US",
}
"""What is asked for where the command line does not say; lists get as many lines as units are wanted."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One offer as --json writes it: with its place, or with the reason why it is left out.

    `effective`: the cost corrected by what the route has really delivered; `part`: how many units are bought there
    first, where it does not take all at once.
    """

    place: int | None
    panel: str
    remote_service: str
    part: int | None
    cost: str | None
    effective: str | None
    margin: str | None
    health: float | None
    funds: str | None
    why: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """The decision as --json writes it; amounts in `currency`. `waits_s`: how long it would wait for our money."""

    service: int
    name: str
    type: str
    policy: str
    currency: str
    rate: str
    units: int
    charge: str
    offers: tuple[Offer, ...]
    waits_s: int = 0


@click.group()
def command() -> None:
    """Where an order would go, and why."""


command.add_command(savings)


@command.command(
    cls=Leaf,
    examples=(
        "panelmux route explain 1 --quantity 1000",
        "panelmux route explain 1 --quantity 100 --runs 5 --interval 30 --json",
        "panelmux route explain 7 --field comments=Nice --field username=someone",
    ),
)
@click.argument("service", type=click.IntRange(min=1))
@click.option("--quantity", type=click.IntRange(min=1), default=1000, show_default=True, help="Units, of one run.")
@click.option("--link", help="The link; conditions of routes may look at it.")
@click.option("--runs", type=click.IntRange(min=1), help="Drip-feed: how many times.")
@click.option("--interval", type=click.IntRange(min=1), help="Drip-feed: minutes between runs.")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="Any other field of the order.")
@click.option("--account", default="", metavar="NAME", help="Whose order; its own rules count.")
@click.option("--live", is_flag=True, help="Fetch the panels' lists anew.")
@click.option("--offline", is_flag=True, help="Ask no panel, not even for our balance there.")
@rules_option
@ledger_option
@json_option
def explain(
    *,
    service: int,
    quantity: int,
    link: str | None,
    runs: int | None,
    interval: int | None,
    fields: tuple[str, ...],
    account: str,
    live: bool,
    offline: bool,
    rules: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Say which panels could take an order, in which order they would be asked, and why the others would not.

    Nothing is bought. Lists are the last good ones; our balances at the panels are asked for. Health is what a running
    gateway has seen, and unknown here: every panel counts as healthy.
    """
    if live and offline:
        raise click.UsageError("say one of --live and --offline")
    given = dict(_pair(field) for field in fields)
    named = {"link": link, "runs": runs, "interval": interval}
    given |= {name: str(value) for name, value in named.items() if value is not None}
    settings = settled(rules=rules, ledger=ledger)
    explained = asyncio.run(_explain(settings, service, quantity, given, account, live=live, offline=offline))
    if as_json:
        output.document(explained)
    else:
        _print(explained)


def _pair(field: str) -> tuple[str, str]:
    name, equals, value = field.partition("=")
    if not equals or not name:
        raise click.UsageError(f'--field "{field}": wanted NAME=VALUE, such as comments=Nice')
    return name, value


async def _explain(
    settings: Settings,
    id: int,
    quantity: int,
    given: Mapping[str, str],
    account: str,
    *,
    live: bool,
    offline: bool,
) -> Explained:
    rules = ruled(settings)
    async with catalog_of(settings, rules, live=live, offline=offline) as looked:
        catalog = looked.tell()
        service = catalog.sold_to(account, sold(catalog, id).id)
        if service is None:
            raise Failure(f"service {id}: the rules do not sell it to {account}")
        fields = fields_of(service, quantity, given, rules)
        if not offline:
            names = {route.panel for route in service.routes}
            for line in await asyncio.gather(*(asked(catalog.panels[name]) for name in sorted(names))):
                if not line.answers:
                    output.say(f"{line.panel}: balance: {line.why}")
        return _explained(
            catalog, service, fields, routed(catalog, service, fields, now=time.monotonic(), account=account)
        )


def fields_of(service: Service, quantity: int, given: Mapping[str, str], rules: Rules) -> OrderFields:
    """The order as the edge would read it, or the failure that the customer would be told."""
    stand_ins = {}
    fields = msgspec.structs.fields(TYPES[service.type])
    if strange := set(given) - {"runs", "interval", *(field.name for field in fields)}:
        known = ", ".join(field.name for field in fields)
        raise Failure(
            f"service {service.id}: {service.type} has no field {strange.pop()}; fields: {known}", Exit.MISUSE
        )
    for field in fields:
        if field.name == "quantity" or (field.name in {"min", "max"} and field.required):
            stand_ins[field.name] = str(quantity)
        elif field.type == tuple[str, ...]:
            stand_ins[field.name] = "\n".join(f"line {number}" for number in range(min(quantity, service.max)))
        elif field.required:
            stand_ins[field.name] = _STAND_INS.get(field.name, "x")
    form = read_form(b"", urlencode({**stand_ins, **given}).encode(), b"application/x-www-form-urlencoded")
    try:
        order = bounded(order_fields(form, service), rules)
        charged(service, order)
    except GatewayError as refusal:
        raise Failure(f'service {service.id}: the customer would be told "{refusal.words}"') from None
    return order


def _explained(catalog: Catalog, service: Service, fields: OrderFields, decision: Decision) -> Explained:
    charge = charged(service, fields)
    funds = {name: None if panel.funds is None else wire(panel.funds) for name, panel in catalog.panels.items()}
    choices = tuple(
        Offer(
            place=place,
            panel=choice.panel,
            remote_service=choice.remote_service,
            part=choice.part,
            cost=wire(choice.cost),
            effective=None if choice.effective is None else wire(up(choice.effective)),
            margin=wire(charge - choice.cost),
            health=round(choice.score, 2),
            funds=funds.get(choice.panel),
            why="",
        )
        for place, choice in enumerate(decision.choices, 1)
    )
    left_out = tuple(
        Offer(
            place=None,
            panel=out.panel,
            remote_service=out.remote_service,
            part=None,
            cost=None,
            effective=None,
            margin=None,
            health=None,
            funds=funds.get(out.panel),
            why=out.why,
        )
        for out in decision.left_out
    )
    return Explained(
        service=service.id,
        name=service.name,
        type=service.type,
        policy=decision.policy,
        currency=catalog.rules.currency,
        rate=wire(service.rate),
        units=fields.units(),
        charge=wire(charge),
        offers=choices + left_out,
        waits_s=service.wait_s if decision.dry and not choices else 0,
    )


def _print(explained: Explained) -> None:
    per = "an order" if explained.type in PER_ORDER else "1000"
    output.facts(
        [
            ("service", f"{explained.service} {clean(explained.name)} ({explained.type})"),
            ("rate", f"{explained.rate} {explained.currency} per {per}"),
            ("charge", f"{explained.charge} {explained.currency} for {explained.units} units"),
            ("policy", explained.policy),
        ]
    )
    print()
    output.table(
        output.columns(
            ">",
            "panel",
            "service",
            ">first part",
            ">cost",
            ">in truth",
            ">left over",
            ">health",
            ">our funds there",
            "left out because",
        ),
        [
            (
                "" if offer.place is None else str(offer.place),
                offer.panel,
                offer.remote_service,
                str(offer.part or ""),
                offer.cost or "",
                offer.effective or "",
                offer.margin or "",
                "" if offer.health is None else f"{offer.health:.2f}",
                offer.funds or "?",
                offer.why,
            )
            for offer in explained.offers
        ],
    )
    if explained.waits_s:
        output.say(f"the order would wait for money at the panels, {age(explained.waits_s)} at most")
    elif not any(offer.place for offer in explained.offers):
        output.say("nobody can take this order now: the customer would be told that the service is not available")
