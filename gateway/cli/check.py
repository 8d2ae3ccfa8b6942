"""panelmux check: are the rules valid, do the panels and Redis answer, is there money?"""

import asyncio
from typing import Final

import click
import msgspec

from gateway.cli import findings, output
from gateway.cli.expecting import disappointed, disappointed_by_known_lists
from gateway.cli.failure import Exit
from gateway.cli.leaf import Leaf, json_option, ledger_option, rules_option
from gateway.cli.opened import settled
from gateway.cli.panel import Line, asked
from gateway.cli.reached import agreed, catalog_of, ruled
from gateway.redis_url import shown
from gateway.rules import RulesError
from gateway.rules.model import Rules
from gateway.settings import Settings
from gateway.shared import shared

_LOOKS: Final = 100  # for Redis, as often as it takes it to be found from far away
_LOOK_S: Final = 0.02


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake of the rules; `line` and `column` count from 1, and are 0 where it is the file's as a whole."""

    line: int = 0
    column: int = 0
    path: str
    text: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What check found, as --json writes it.

    Attributes:
        mistakes: of the rules; where there are any, nothing else was looked at.
        services: how many can be sold.
        unreachable: panels that do not answer, or not to our key.
        redis: what PANELMUX_REDIS names, without its password; None = it is not set, or was not asked.
        redis_answers: whether it does.
        findings: what works and wants attention, in words.
    """

    rules: str
    mistakes: tuple[Wrong, ...] = ()
    panels: tuple[Line, ...] = ()
    services: int = 0
    unreachable: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    redis: str | None = None
    redis_answers: bool = False


@click.command(cls=Leaf, examples=("panelmux check", "panelmux check --rules next.yaml --offline"))
@click.option("--offline", is_flag=True, help="Only the rules; ask no panel and no Redis.")
@rules_option
@ledger_option
@json_option
def command(*, offline: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Check the rules, then ask each panel for its balance and its list. Nothing is bought, and nothing is written.

    Ends with 0 when all is well, 3 for invalid rules (with every mistake), 4 when a panel cannot be used, 5 when
    something wants attention: money running low, a service that cannot be sold, a Redis that does not answer.
    """
    settings = settled(rules=rules, ledger=ledger)
    try:
        checked = _checked(settings, offline=offline)
    except RulesError as wrong:
        if not as_json:
            raise
        mistakes = (Wrong(line=one.line, column=one.column, path=one.path, text=one.text) for one in wrong.mistakes)
        checked = Checked(rules=settings.rules, mistakes=tuple(mistakes))
    if as_json:
        output.document(checked)
    else:
        _print(checked)
    if code := _code(checked):
        raise click.exceptions.Exit(code)


def _code(checked: Checked) -> Exit:
    if checked.mistakes:
        return Exit.RULES
    if checked.unreachable:
        return Exit.UNREACHABLE
    is_lost = checked.redis is not None and not checked.redis_answers
    return Exit.FINDINGS if checked.findings or is_lost else Exit.GOOD


def _checked(settings: Settings, *, offline: bool) -> Checked:
    rules = ruled(settings)
    asyncio.run(agreed(settings, rules))
    if not offline:
        return asyncio.run(_all_asked(settings, rules))
    expected = asyncio.run(disappointed_by_known_lists(settings, rules))
    found = (*findings.of_rules(rules), *expected)
    return Checked(rules=settings.rules, services=len(rules.services), findings=found)


async def _all_asked(settings: Settings, rules: Rules) -> Checked:
    if settings.redis is None:
        return await _asked(settings, rules)
    checked, answers = await asyncio.gather(_asked(settings, rules), _answers(settings))
    return msgspec.structs.replace(checked, redis=shown(settings.redis), redis_answers=answers)


async def _answers(settings: Settings) -> bool:
    """Whether Redis is there, whole and writable, as a gateway would find it."""
    store = shared(settings.redis, prefix=settings.redis_prefix)
    await store.open()
    try:
        for _ in range(_LOOKS):
            if store.epoch:
                return True
            await asyncio.sleep(_LOOK_S)
        return False
    finally:
        await store.close()


async def _asked(settings: Settings, rules: Rules) -> Checked:
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
            findings=(*findings.of_rules(rules), *findings.of_catalog(catalog, lines), *disappointed(catalog)),
        )


def _print(checked: Checked) -> None:
    facts = [("rules", f"{checked.rules}: valid"), ("services", f"{checked.services} can be sold")]
    if checked.redis is not None:
        facts.append(("redis", f"{checked.redis}: {'answers' if checked.redis_answers else 'no answer'}"))
    output.facts(facts)
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
