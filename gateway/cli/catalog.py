"""panelmux catalog: what we sell, and what panels sell us."""

import asyncio
from collections.abc import Sequence

import click
import msgspec

from gateway.catalog import Catalog, Conflict, Outcome, Service
from gateway.catalog.aside import Aside
from gateway.catalog.services import cost
from gateway.catalog.sync import Sync
from gateway.cli import moves, output
from gateway.cli.alike import best
from gateway.cli.failure import Exit
from gateway.cli.leaf import Leaf, json_option, ledger_option, rules_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.reached import Looking, catalog_of, known, panels_of, ruled
from gateway.cli.text import short, shortened
from gateway.money import wire
from gateway.panels import Panel
from gateway.rules.model import Rules
from gateway.settings import Settings
from gateway.shared import InProcess
from providers.base import RemoteService


class Buy(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a service; `cost` in our currency, None where nobody can buy there now."""

    panel: str
    service: str
    cost: str | None


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """A service of ours as --json writes it; `rate` is of 1000 units or, for packages, of one order."""

    service: int
    name: str
    category: str
    type: str
    rate: str
    min: int
    max: int
    refill: bool
    cancel: bool
    routes: tuple[Buy, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a panel's list as --json writes it; `rate` in its currency, `cost` in ours."""

    panel: str
    service: str
    name: str
    category: str
    type: str
    rate: str
    cost: str | None
    min: int
    max: int
    refill: bool
    cancel: bool


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a panel's list as --json writes it."""

    panel: str
    outcome: Outcome
    rows_before: int
    rows: int
    why: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What cannot be sold, and why, as --json writes it."""

    service: int | None
    panel: str
    remote_service: str
    why: str


@click.group()
def command() -> None:
    """What we sell, and what panels sell us."""


for _more in (moves.held, moves.approve, moves.diff, moves.history, moves.rollback):
    command.add_command(_more)


@command.command(
    cls=Leaf,
    examples=(
        'panelmux catalog search "instagram followers"',
        "panelmux catalog search telegram --panel alpha --limit 5",
        'panelmux catalog search "" --left-out',
    ),
)
@click.argument("text")
@click.option("--panel", metavar="NAME", help="Search this panel's rows instead of our services.")
@click.option("--left-out", is_flag=True, help="Show what cannot be sold, with reasons, instead.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="The best so many.")
@click.option("--live", is_flag=True, help="Fetch the panels' lists anew.")
@rules_option
@ledger_option
@json_option
def search(
    *,
    text: str,
    panel: str | None,
    left_out: bool,
    limit: int,
    live: bool,
    rules: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Find services by words of their name, category or id, in any order, begun or nearly so spelled. "" finds all."""
    settings = settled(rules=rules, ledger=ledger)
    found = ruled(settings)
    if panel is not None:
        known(panel, found)

    async def look() -> Sequence[Sold | Row | LeftOut]:
        async with catalog_of(settings, found, live=live) as looked:
            catalog = looked.tell()
            if left_out:
                return _left_out(catalog, panel, text, limit)
            if panel is not None:
                return _rows(catalog.panels[panel], text, limit)
            return _sold(catalog, text, limit)

    lines = asyncio.run(look())
    if as_json:
        output.document(lines)
    else:
        _print(lines, found.currency)


def _sold(catalog: Catalog, text: str, limit: int) -> list[Sold]:
    def words(service: Service) -> str:
        return f"{service.id} {service.name} {service.category}"

    return [_line(catalog, service) for service in best(text, catalog.services(), words, limit)]


def _line(catalog: Catalog, service: Service) -> Sold:
    return Sold(
        service=service.id,
        name=service.name,
        category=service.category,
        type=service.type,
        rate=wire(service.rate),
        min=service.min,
        max=service.max,
        refill=service.refill,
        cancel=service.cancel,
        routes=tuple(
            Buy(panel=offer.panel, service=offer.remote_service, cost=None if offer.rate is None else wire(offer.rate))
            for offer in catalog.offers(service, 0.0)
        ),
    )


@command.command(
    cls=Leaf,
    examples=("panelmux catalog sync alpha", "panelmux catalog sync alpha --accept --dry-run"),
)
@click.argument("panel")
@click.option("--accept", is_flag=True, help="Take also a list that is held back for having shrunk by half or more.")
@click.option("--dry-run", is_flag=True, help="Fetch and compare, and keep nothing.")
@rules_option
@ledger_option
@json_option
def sync(*, panel: str, accept: bool, dry_run: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Fetch a panel's list now. One that is held back stays so until it is accepted; a running gateway follows."""
    settings = settled(rules=rules, ledger=ledger)
    found = ruled(settings)
    known(panel, found)
    fetched = asyncio.run(_fetched(settings, found, panel, accept=accept, keep=not dry_run))
    if as_json:
        output.document(fetched)
    else:
        rows = f"{fetched.rows_before} rows before, {fetched.rows} now"
        output.say(f"{panel}: {fetched.outcome}: {short(fetched.why) or rows}{'; nothing was kept' if dry_run else ''}")
    if fetched.outcome == Outcome.FAILED:
        raise click.exceptions.Exit(Exit.UNREACHABLE)
    if fetched.outcome == Outcome.HELD_BACK:
        raise click.exceptions.Exit(Exit.FINDINGS)


async def _fetched(settings: Settings, rules: Rules, name: str, *, accept: bool, keep: bool) -> Fetched:
    async with ledger_at(settings.ledger) as ledger, panels_of(rules) as made:
        panel = made[name]
        store = ledger if keep else Looking(ledger)
        one = Sync(panel, store, InProcess(), every_s=1.0, aside=Aside(), together=asyncio.Semaphore(1))
        await one.load()
        before = len(panel.rows)
        synced = await one.once(accept=accept)
        return Fetched(panel=name, outcome=synced.outcome, rows_before=before, rows=synced.rows, why=synced.why)


def _rows(panel: Panel, text: str, limit: int) -> list[Row]:
    def words(row: RemoteService) -> str:
        return f"{row.remote_service} {row.name} {row.category}"

    return [_row(panel, row) for row in best(text, tuple(panel.rows.values()), words, limit)]


def _row(panel: Panel, row: RemoteService) -> Row:
    paid = cost(row, panel.exchange)
    return Row(
        panel=panel.name,
        service=row.remote_service,
        name=row.name,
        category=row.category,
        type=row.type,
        rate=wire(row.rate),
        cost=None if paid is None else wire(paid),
        min=row.min,
        max=row.max,
        refill=row.refill,
        cancel=row.cancel,
    )


def _left_out(catalog: Catalog, only: str | None, text: str, limit: int) -> list[LeftOut]:
    """Conflicts of our services, and rows of panels that nobody could read; those with a service of ours first."""
    skipped = (
        Conflict(None, name, row.row, row.why)
        for name, panel in catalog.panels.items()
        if panel.snapshot is not None
        for row in panel.snapshot.skipped
    )
    all_ = [out for out in (*catalog.conflicts, *skipped) if only is None or out.panel == only]

    def words(out: Conflict) -> str:
        row = catalog.panels[out.panel].rows.get(out.remote_service) if out.panel else None
        return f"{out.service or ''} {out.panel} {out.remote_service} {row.name if row else ''} {out.why}"

    return [
        LeftOut(service=out.service, panel=out.panel, remote_service=out.remote_service, why=out.why)
        for out in best(text, all_, words, limit)
    ]


def _print(lines: Sequence[Sold | Row | LeftOut], currency: str) -> None:
    heads = output.columns(">service", "name", "category", f">rate {currency}", ">min", ">max", "bought at, cost")
    table: list[tuple[str, ...]] = []
    for line in lines:
        if isinstance(line, Sold):
            routes = ", ".join(f"{buy.panel}/{buy.service} {buy.cost or 'none'}" for buy in line.routes)
            limits = (str(line.min), str(line.max))
            table.append((str(line.service), shortened(line.name, 50), line.category, line.rate, *limits, routes))
        elif isinstance(line, Row):
            heads = output.columns(">id", "name", "category", ">rate", f">cost {currency}", ">min", ">max")
            limits = (str(line.min), str(line.max))
            name = shortened(line.name, 60)
            table.append((line.service, name, line.category, line.rate, line.cost or "off", *limits))
        else:
            heads = output.columns(">service", "panel", "its id", "why it cannot be sold")
            table.append((str(line.service or ""), line.panel, line.remote_service, line.why))
    output.table(heads, table, empty="nothing found")
