"""panelmux rules: the rules file over time: what was in force, what would change, another one put in its place."""

import asyncio
import difflib
import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from gateway import rules as rules_files
from gateway.cli import output
from gateway.cli.expecting import disappointed_by_known_lists
from gateway.cli.failure import Exit, Failure, confirmed
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option, rules_option, yes_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.simulate import simulate
from gateway.cli.taking import differing, heard
from gateway.cli.text import clean, shortened
from gateway.ledger.reports import RulesFile
from gateway.settings import Settings


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A rules file as --json writes it. `why`: why the gateway would not take it; empty = it was in force."""

    version: str
    at: str
    why: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Two rules files held against each other, as --json writes it; `diff` is in the manner of diff -u."""

    was: str
    now: str
    diff: tuple[str, ...]
    done: bool = False
    heard: bool | None = None


@click.group()
def command() -> None:
    """The rules file over time: what changed, another one, the way back.

    A running gateway follows its rules file: a change is taken within seconds, whole, or not at all and with every
    mistake in its log. SIGHUP has it read again, with the keys that the file refers to.
    """


command.add_command(simulate)


@command.command(cls=Leaf, examples=("panelmux rules log", "panelmux rules log --json"))
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="So many, newest first.")
@ledger_option
@json_option
def log(*, limit: int, ledger: str | None, as_json: bool) -> None:
    """Which rules were in force since when, and which the gateway would not take."""
    files = asyncio.run(_files(settled(ledger=ledger), limit))
    lines = [Version(version=one.version, at=_when(one), why=one.why) for one in files]
    if as_json:
        output.document(lines)
    else:
        rows = [(one.version, one.at, f"not taken: {shortened(one.why, 90)}" if one.why else "taken") for one in lines]
        output.table(output.columns("version", "at", ""), rows, empty="no gateway has run with this ledger yet")


@command.command(
    cls=Leaf, examples=("panelmux rules diff", "panelmux rules diff 3f2a", "panelmux rules diff --file next.yaml")
)
@click.argument("version", required=False)
@click.option("--file", type=click.Path(exists=True, dir_okay=False), help="This file instead of the rules file.")
@rules_option
@ledger_option
@json_option
def diff(*, version: str | None, file: str | None, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """What the rules file says otherwise than the rules last in force, or than VERSION of them."""
    settings = settled(rules=rules, ledger=ledger)
    was = _version(asyncio.run(_files(settings, 200)), version)
    changed = _changed(was, file or settings.rules, _text(file or settings.rules))
    if as_json:
        output.document(changed)
    else:
        _print(changed)


@command.command(cls=Leaf, examples=("panelmux rules apply next.yaml", "panelmux rules apply next.yaml --dry-run"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@dry_run_option
@yes_option
@rules_option
@ledger_option
@json_option
def apply(*, file: str, dry_run: bool, yes: bool, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Put FILE in the place of the rules file, once it is found valid, and see that the running gateway takes it.

    Of several nodes of one ledger all have to; each that lives and does not is named. Ends with 5 where one has not.
    """
    settings = settled(rules=rules, ledger=ledger)
    _put(settings, file, _text(file), dry_run=dry_run, yes=yes, as_json=as_json)


@command.command(cls=Leaf, examples=("panelmux rules rollback", "panelmux rules rollback 3f2a --yes"))
@click.argument("version", required=False)
@dry_run_option
@yes_option
@rules_option
@ledger_option
@json_option
def rollback(
    *, version: str | None, dry_run: bool, yes: bool, rules: str | None, ledger: str | None, as_json: bool
) -> None:
    """Put the rules back that were in force before those of now, or VERSION of them.

    Where the rules file says otherwise than the rules last in force, because no gateway has taken it, those come back.
    Where nodes of one ledger go by different rules there are none before: say which VERSION.
    """
    settings = settled(rules=rules, ledger=ledger)
    if version is None and asyncio.run(differing(settings.ledger)):
        raise Failure("rules: nodes go by different rules: say which VERSION; panelmux node list", Exit.MISUSE)
    files = [one for one in asyncio.run(_files(settings, 200)) if not one.why]
    if version is None:
        path = Path(settings.rules)
        in_place = rules_files.version_of(path.read_bytes()) if path.exists() else ""
        while files and files[0].version == in_place:
            files = [one for one in files if one.version != in_place]
        if not files:
            raise Failure("rules: no others were in force before; panelmux rules log")
    wanted = _version(files, version)
    _put(settings, wanted.version, wanted.text, dry_run=dry_run, yes=yes, as_json=as_json)


def _put(settings: Settings, name: str, text: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Check a text, show what it changes, and make it the rules file."""
    found = rules_files.parse(text.encode(), name, os.environ)
    before = _text(settings.rules) if Path(settings.rules).exists() else ""
    was = RulesFile(id=0, version=settings.rules, text=before, why="", at_ms=0)
    changed = _changed(was, name, text)
    if not as_json:
        _print(changed)
    for warning in found.warnings:
        output.say(f"warning: {warning}")
    for why in asyncio.run(disappointed_by_known_lists(settings, found)):
        output.say(f"warning: {why}")
    if changed.diff and not dry_run:
        confirmed("rules", yes=yes or as_json)
        since = time.time_ns() // 1_000_000
        _replace(Path(settings.rules), text)
        taken, words = asyncio.run(heard(settings.ledger, found.version, since))
        changed = msgspec.structs.replace(changed, done=True, heard=taken)
        if taken is False:
            raise Failure(f"{settings.rules}: in place, and {words}", Exit.FINDINGS)
        if not as_json:
            output.say(words if taken else f"in place; {words}")
    if as_json:
        output.document(changed)


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, its permissions as they were."""
    path = path.resolve()
    made = path.with_name(f".{path.name}.new")
    made.write_text(text)
    if path.exists():
        made.chmod(path.stat().st_mode & 0o777)
    made.replace(path)


async def _files(settings: Settings, limit: int) -> Sequence[RulesFile]:
    async with ledger_at(settings.ledger) as ledger:
        return await ledger.rules_files(limit=limit)


def _version(files: Iterable[RulesFile], prefix: str | None) -> RulesFile:
    """The newest that was in force, or the one whose version begins so."""
    taken = [one for one in files if not one.why]
    if not taken:
        raise Failure("rules: no gateway has run with this ledger yet")
    if prefix is None:
        return taken[0]
    found = {one.version: one for one in reversed(taken) if one.version.startswith(prefix)}
    if len(found) != 1:
        what = "no rules of this version were" if not found else f"{len(found)} versions begin so that were"
        raise Failure(f"rules: {clean(prefix)}: {what} in force; panelmux rules log", Exit.MISUSE)
    return next(iter(found.values()))


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as wrong:
        raise Failure(f"{path}: cannot be read: {wrong}", Exit.UNREACHABLE) from None


def _changed(was: RulesFile, now: str, text: str) -> Changed:
    lines = difflib.unified_diff(was.text.splitlines(), text.splitlines(), was.version, now, lineterm="", n=2)
    return Changed(was=was.version, now=now, diff=tuple(lines))


def _print(changed: Changed) -> None:
    for line in changed.diff:
        print("".join(c if c.isprintable() else "?" for c in line))
    if not changed.diff:
        output.say(f"{changed.now}: says what {changed.was} says")


def _when(one: RulesFile) -> str:
    return datetime.fromtimestamp(one.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
