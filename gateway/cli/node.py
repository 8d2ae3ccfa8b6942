"""panelmux node: who sells from the ledger."""

import asyncio
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from gateway import ledger as ledgers
from gateway.cli import output
from gateway.cli.beats import by_rules, told, watched
from gateway.cli.failure import Exit, Failure
from gateway.cli.leaf import Leaf, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import age
from gateway.ledger.reports import Node
from gateway.settings import is_postgres

_NOBODY: Final = "no gateway sells from this ledger"
_COMMANDS: Final = ("", "restore")
"""What the ledger names the nodes of `ledger restore` and `ledger reopen`, which never beat."""


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

    They are watched for two seconds, and nothing is changed. Ends with 5 when one does not beat, when there is
    none that does, or when those that do go by different rules.
    """
    url = settled(ledger=ledger).ledger
    if not is_postgres(url):
        raise Failure("a ledger in SQLite has no nodes: one process sells from it, or none", Exit.MISUSE)
    nodes, beating = asyncio.run(_watched(url))
    lines = _described(nodes, beating, ledgers.now_ms())
    if as_json:
        output.document(lines)
    else:
        heads = output.columns("node", ">epoch", "leads", ">started", "beats", "rules")
        output.table(heads, [_row(line) for line in lines], empty=_NOBODY)
        if lines and not beating:
            output.say(_NOBODY)
    versions = by_rules([node for node in nodes if node.epoch in beating])
    if len(versions) > 1:
        output.say(f"rules differ: {told(versions)}")
    if len(versions) > 1 or not beating or any(not line.beats and line.dead_s is None for line in lines):
        raise click.exceptions.Exit(Exit.FINDINGS)


async def _watched(url: str) -> tuple[Sequence[Node], frozenset[int]]:
    async with ledger_at(url) as opened:
        with output.progress("watching", 1) as step:
            found = await watched(opened)
            step()
    return found


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
        if not _is_of_a_command(node)
    ]


def _is_of_a_command(node: Node) -> bool:
    """Whether it only stands for epochs that are not given again, after a backup was restored: no gateway had it."""
    return node.beat == 0 and node.name in _COMMANDS


def _since_s(ms: int, now_ms: int) -> int:
    return max(0, (now_ms - ms) // 1000)


def _row(line: Line) -> tuple[str, ...]:
    beats = "beats" if line.beats else "silent" if line.dead_s is None else f"dead, {age(line.dead_s)} ago"
    return line.node, str(line.epoch), "leads" if line.leads else "", f"{age(line.age_s)} ago", beats, line.rules
