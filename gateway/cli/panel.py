"""panelmux panel: the sites we buy from."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import click
import msgspec

from gateway.cli import output
from gateway.cli.failure import Exit
from gateway.cli.health import health
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option, rules_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.reached import catalog_of, known, known_ledger, ruled
from gateway.cli.text import age, shortened
from gateway.cli.told import cause
from gateway.evidence.forecast import days_left
from gateway.money import wire
from gateway.panels import Panel
from gateway.rules import RulesError
from gateway.settings import Settings
from providers.errors import ProviderError

_READINGS: Final = 200

ASK_S: Final = 10.0
"""How long a person waits for one panel's balance."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A panel as --json writes it.

    Attributes:
        balance: in `currency`; None where the panel was not asked, or did not say.
        worth: the same in the rules' currency.
        usable, skipped: rows of its list that can be sold, and that cannot; None without a list.
        list_age_s: seconds since the list was fetched that is kept in the ledger: the last one that was another one.
        answers: whether it answered now; None where it was not asked.
        ms: how long that took.
        why: what went wrong.
        stopped: why it takes no orders until people have looked; empty = it does.
        days_left: how long our money there lasts, at the pace of the last week; None where too little is known.
        unknown: orders there whose outcome is unknown.
    """

    panel: str
    currency: str
    balance: str | None
    worth: str | None
    low: bool
    usable: int | None
    skipped: int | None
    list_age_s: int | None
    answers: bool | None
    ms: int | None
    why: str
    stopped: str = ""
    unknown: int = 0
    days_left: float | None = None


class Drained(msgspec.Struct, frozen=True):
    """A panel that takes no further orders, as --json writes it; `open_orders` of ours have not ended there."""

    panel: str
    was_stopped_for: str
    open_orders: int
    done: bool


class Resumed(msgspec.Struct, frozen=True):
    """A panel that takes orders again, as --json writes it; `was_stopped_for` is empty where it was not stopped."""

    panel: str
    was_stopped_for: str
    done: bool


@click.group()
def command() -> None:
    """The sites we buy from."""


command.add_command(health)


@command.command("list", cls=Leaf, examples=("panelmux panel list", "panelmux panel list --live --json"))
@click.option("--live", is_flag=True, help="Fetch their lists of services anew too.")
@click.option("--offline", is_flag=True, help="Ask no panel; only what the ledger keeps.")
@rules_option
@ledger_option
@json_option
def list_(*, live: bool, offline: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Each panel's currency, our balance there, its services, and whether it answers.

    Balances are asked for now; services are those of the last good lists, as a gateway keeps them in the ledger. Ends
    with 4 when a panel does not answer.
    """
    if live and offline:
        raise click.UsageError("say one of --live and --offline")
    lines = asyncio.run(_lines(settled(rules=rules, ledger=ledger), live=live, offline=offline))
    if as_json:
        output.document(lines)
    else:
        output.table(
            output.columns(
                "panel", ">balance", "currency", ">services", ">skipped", ">list kept", ">lasts", ">unknown", "health"
            ),
            [_row(line) for line in lines],
        )
    if any(line.answers is False for line in lines):
        raise click.exceptions.Exit(Exit.UNREACHABLE)


def _row(line: Line) -> tuple[str, ...]:
    health = (
        "not asked" if line.answers is None else f"answers, {line.ms} ms" if line.answers else shortened(line.why, 80)
    )
    if line.stopped:
        health = f"{health}; takes no orders: {shortened(line.stopped, 80)}"
    return (
        line.panel,
        f"{line.balance or '?'}{' (low)' if line.low else ''}",
        line.currency,
        "?" if line.usable is None else str(line.usable),
        "?" if line.skipped is None else str(line.skipped),
        "none" if line.list_age_s is None else f"{age(line.list_age_s)} ago",
        "" if line.days_left is None else f"{line.days_left:.1f} d",
        str(line.unknown or ""),
        health,
    )


async def _lines(settings: Settings, *, live: bool, offline: bool) -> list[Line]:
    rules = ruled(settings)
    async with catalog_of(settings, rules, live=live, offline=offline) as looked:
        panels = list(looked.tell().panels.values())
        if offline:
            lines = [described(panel, None, None) for panel in panels]
        else:
            with output.progress("asking panels", len(panels)) as step:
                lines = list(await asyncio.gather(*(asked(panel, step) for panel in panels)))
    async with known_ledger(settings) as ledger:
        unknown = await ledger.unknown_counts()
        return [
            msgspec.structs.replace(
                line,
                stopped=(await ledger.learned(line.panel)).stopped,
                unknown=unknown.get(line.panel, 0),
                days_left=days_left(await ledger.readings(line.panel, limit=_READINGS), time.time_ns() // 1_000_000),
            )
            for line in lines
        ]


@command.command(cls=Leaf, examples=("panelmux panel resume example", "panelmux panel resume example --dry-run"))
@click.argument("name")
@dry_run_option
@rules_option
@ledger_option
@json_option
def resume(*, name: str, dry_run: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Let a panel take orders again that was stopped because something there could not be explained.

    Look first: `panelmux order list --unknown`, and the panel's own list of our orders. A running gateway hears of it
    within seconds.
    """
    settings = settled(rules=rules, ledger=ledger)
    _named(name, settings)
    why = asyncio.run(_resume(settings, name, dry_run=dry_run))
    if as_json:
        output.document(Resumed(name, why, done=bool(why) and not dry_run))
    elif not why:
        output.say(f"{name}: it is not stopped")
    elif dry_run:
        output.say(f"would let {name} take orders again; it was stopped for: {why}")
    else:
        output.facts([("resumed", name), ("was stopped for", why)])


@command.command(
    cls=Leaf, examples=("panelmux panel drain example", 'panelmux panel drain example --reason "new owner"')
)
@click.argument("name")
@click.option("--reason", default="", help="For those who ask why.")
@dry_run_option
@rules_option
@ledger_option
@json_option
def drain(*, name: str, reason: str, dry_run: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Let a panel take no further order; those that it has are followed to their end. `panel resume` takes it back.

    A running gateway hears of it within seconds. Once nothing is open there, the panel can be taken out of the rules.
    """
    settings = settled(rules=rules, ledger=ledger)
    _named(name, settings)
    drained = asyncio.run(_drain(settings, name, f"drained: {reason}" if reason else "drained", dry_run=dry_run))
    if as_json:
        output.document(drained)
    elif drained.was_stopped_for:
        output.say(f"{name}: it takes no orders already: {drained.was_stopped_for}")
    else:
        told = "would take" if dry_run else "takes"
        output.facts([(name, f"{told} no further order"), ("open there", f"{drained.open_orders} of our orders")])


def _named(name: str, settings: Settings) -> None:
    """Raise a failure where the rules have no such panel. Who stops one at night need not mend the rules first."""
    try:
        rules = ruled(settings)
    except RulesError as wrong:
        output.say(f"{settings.rules}: {wrong.mistakes[0].text}: whether there is a panel {name} is not known")
    else:
        known(name, rules)


async def _drain(settings: Settings, name: str, why: str, *, dry_run: bool) -> Drained:
    async with ledger_at(settings.ledger, make=True) as opened:
        before = (await opened.learned(name)).stopped
        if not before and not dry_run:
            await opened.learn(name, stopped=why)
        orders = (await opened.open_orders()).get(name, 0)
        return Drained(name, before, orders, done=not before and not dry_run)


async def _resume(settings: Settings, name: str, *, dry_run: bool) -> str:
    """Why it was stopped; empty where it was not."""
    async with ledger_at(settings.ledger) as opened:
        why = (await opened.learned(name)).stopped
        if why and not dry_run:
            await opened.learn(name, stopped="")
    return why


async def asked(panel: Panel, step: Callable[[], None] = lambda: None) -> Line:
    """The panel's line, its balance asked for now."""
    began = time.monotonic()
    why = ""
    try:
        async with asyncio.timeout(ASK_S):
            currency = await panel.read_balance()
    except ProviderError as error:
        why = cause(error)
    except TimeoutError:
        why = f"no answer within {ASK_S:.0f} s"
    else:
        if currency not in {None, panel.rules.currency}:
            why = f"says that it bills in {currency}, not {panel.rules.currency}"
    step()
    answered = panel.balance_ms is not None
    return described(panel, answered, round((time.monotonic() - began) * 1000), why)


def described(panel: Panel, answers: bool | None, ms: int | None, why: str = "") -> Line:
    snapshot = panel.snapshot
    return Line(
        panel=panel.name,
        currency=panel.rules.currency,
        balance=None if panel.balance is None else wire(panel.balance),
        worth=None if panel.funds is None else wire(panel.funds.quantize(Decimal("0.01"))),
        low=panel.low,
        usable=None if snapshot is None else len(panel.rows),
        skipped=None if snapshot is None else len(snapshot.skipped),
        list_age_s=None if snapshot is None else max(0, int(time.time() - snapshot.fetched_ms / 1000)),
        answers=answers,
        ms=ms,
        why=why,
    )
