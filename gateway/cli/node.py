"""panelmux node: who sells from the ledger."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import click
import msgspec

from gateway import ledger as ledgers
from gateway.cli import output
from gateway.cli.beats import watched
from gateway.cli.failure import Exit, Failure
from gateway.cli.leaf import Leaf, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import age
from gateway.ledger.reports import Node
from gateway.settings import is_postgres

_NOBODY: Final = "no gateway sells from this ledger"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A node as --json writes it.

    Attributes:
        epoch: its own, higher than that of every node before it.
        leads: it does what one node does for all.
        beats: it lives: it said so while it was watched.
        age_s: seconds since it started.
        rules: version of the rules file that it goes by, as `panelmux rules log` has it; empty until it said so.
        dead_s: seconds since others took it for dead; None where they did not.
    """

    node: str
    epoch: int
    leads: bool
    beats: bool
    age_s: int
    rules: str
    dead_s: int | None = None


@click.group()
def command() -> None:
    """The gateways that sell from one ledger, and the rules they go by."""


@command.command("list", cls=Leaf, examples=("panelmux node list", "panelmux node list --json"))
@ledger_option
@json_option
def list_(*, ledger: str | None, as_json: bool) -> None:
    """Each node, oldest first: whether it leads and beats, and its rules; those, too, that were taken for dead of late.

    They are watched for two seconds, and nothing is changed. Ends with 5 when one does not beat, or when those that do
    go by different rules.
    """
    url = settled(ledger=ledger).ledger
    if not is_postgres(url):
        raise Failure("a ledger in SQLite has no nodes: one process sells from it, or none", Exit.MISUSE)
    lines = asyncio.run(_lines(url))
    if as_json:
        output.document(lines)
    else:
        heads = output.columns("node", ">epoch", "leads", ">started", "beats", "rules")
        output.table(heads, [_row(line) for line in lines], empty=_NOBODY)
        if lines and all(line.dead_s is not None for line in lines):
            output.say(_NOBODY)
    versions = _by_rules(lines)
    if len(versions) > 1:
        output.say(f"rules differ: {'; '.join(_told(version, names) for version, names in versions.items())}")
    if len(versions) > 1 or any(not line.beats and line.dead_s is None for line in lines):
        raise click.exceptions.Exit(Exit.FINDINGS)


async def _lines(url: str) -> list[Line]:
    async with ledger_at(url) as opened:
        with output.progress("watching", 1) as step:
            nodes, beating = await watched(opened)
            step()
    return _described(nodes, beating, ledgers.now_ms())


def _described(nodes: Sequence[Node], beating: frozenset[int], now_ms: int) -> list[Line]:
    oldest = min((node.epoch for node in nodes if node.ended_ms is None), default=0)
    return [
        Line(
            node=node.name,
            epoch=node.epoch,
            leads=node.epoch == oldest and node.epoch in beating,
            beats=node.epoch in beating,
            age_s=_since_s(node.started_ms, now_ms),
            rules=node.rules,
            dead_s=None if node.ended_ms is None else _since_s(node.ended_ms, now_ms),
        )
        for node in nodes
    ]


def _since_s(ms: int, now_ms: int) -> int:
    return max(0, (now_ms - ms) // 1000)


def _row(line: Line) -> tuple[str, ...]:
    beats = "beats" if line.beats else "silent" if line.dead_s is None else f"dead, {age(line.dead_s)} ago"
    return line.node, str(line.epoch), "leads" if line.leads else "", f"{age(line.age_s)} ago", beats, line.rules


def _by_rules(lines: Sequence[Line]) -> Mapping[str, Sequence[str]]:
    """The names of the living by the version that they go by; who has not said yet is left out."""
    versions: dict[str, list[str]] = {}
    for line in lines:
        if line.beats and line.rules:
            versions.setdefault(line.rules, []).append(line.node)
    return versions


def _told(version: str, names: Sequence[str]) -> str:
    return f"{version} {len(names)} node{'s' if len(names) > 1 else ''} ({', '.join(names)})"
