"""panelmux check: are the rules valid, do the panels answer, is there money?"""

import asyncio

import click
import msgspec

from gateway.catalog import Catalog
from gateway.cli import output
from gateway.cli.failure import Exit
from gateway.cli.leaf import Leaf, json_option, ledger_option, rules_option
from gateway.cli.opened import settled
from gateway.cli.panel import Line, asked
from gateway.cli.reached import catalog_of, ruled
from gateway.rules.model import Rules
from gateway.settings import Settings


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What check found, as --json writes it.

    Attributes:
        services: how many can be sold.
        unreachable: panels that do not answer, or not to our key.
        findings: what works and wants attention, in words.
    """

    rules: str
    panels: tuple[Line, ...]
    services: int
    unreachable: tuple[str, ...]
    findings: tuple[str, ...]


@click.command(cls=Leaf, examples=("panelmux check", "panelmux check --rules next.yaml --offline"))
@click.option("--offline", is_flag=True, help="Only the rules; ask no panel.")
@rules_option
@ledger_option
@json_option
def command(*, offline: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Check the rules, then ask each panel for its balance and its list. Nothing is bought.

    Ends with 0 when all is well, 3 for invalid rules (with every mistake), 4 when a panel cannot be used, 5 when
    something wants attention: money running low, a service that cannot be sold.
    """
    settings = settled(rules=rules, ledger=ledger)
    found = ruled(settings)
    checked = _offline(settings, found) if offline else asyncio.run(_check(settings, found))
    if as_json:
        output.document(checked)
    else:
        _print(checked)
    if checked.unreachable:
        raise click.exceptions.Exit(Exit.UNREACHABLE)
    if checked.findings:
        raise click.exceptions.Exit(Exit.FINDINGS)


def _offline(settings: Settings, rules: Rules) -> Checked:
    return Checked(
        rules=settings.rules, panels=(), services=len(rules.services), unreachable=(), findings=rules.warnings
    )


async def _check(settings: Settings, rules: Rules) -> Checked:
    async with catalog_of(settings, rules, live=True) as looked:
        catalog = looked.catalog
        panels = list(catalog.panels.values())
        with output.progress("asking panels", len(panels)) as step:
            lines = tuple(await asyncio.gather(*(asked(panel, step) for panel in panels)))
        unreachable = [f"{line.panel}: balance: {line.why}" for line in lines if not line.answers]
        unreachable += [f"{name}: services: {why}" for name, why in looked.failed.items()]
        return Checked(
            rules=settings.rules,
            panels=lines,
            services=len(catalog.services()),
            unreachable=tuple(unreachable),
            findings=(*rules.warnings, *_findings(catalog, lines)),
        )


def _findings(catalog: Catalog, lines: tuple[Line, ...]) -> list[str]:
    findings = []
    for line in lines:
        panel = catalog.panels[line.panel]
        if line.answers and line.why:
            findings.append(f"{line.panel}: {line.why}")
        if line.answers and panel.balance is not None and panel.balance <= 0:
            findings.append(f"{line.panel}: no money there: nothing can be bought")
        elif line.low:
            findings.append(f"{line.panel}: balance {line.balance} {line.currency} is low")
    # Rows that are only published come and go; what the rules name one by one is meant to be sold.
    for conflict in catalog.conflicts:
        if conflict.service in catalog.rules.services:
            where = f"{conflict.panel}/{conflict.remote_service}: " if conflict.panel else ""
            findings.append(f"service {conflict.service}: {where}{conflict.why}")
    return findings


def _print(checked: Checked) -> None:
    output.facts([("rules", f"{checked.rules}: valid"), ("services", f"{checked.services} can be sold")])
    if checked.panels:
        print()
        output.table(
            output.columns("panel", ">balance", "currency", ">services", ">skipped", "health"),
            [_row(line) for line in checked.panels],
        )
    _listed("cannot be used", checked.unreachable)
    _listed("wants attention", checked.findings)


def _row(line: Line) -> tuple[str, ...]:
    return (
        line.panel,
        line.balance or "?",
        line.currency,
        "?" if line.usable is None else str(line.usable),
        "?" if line.skipped is None else str(line.skipped),
        f"answers, {line.ms} ms" if line.answers else "no answer",
    )


def _listed(title: str, lines: tuple[str, ...]) -> None:
    if lines:
        print(f"\n{title}")
        for line in lines:
            output.write(f"  {line}")
