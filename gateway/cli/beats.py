"""Who lives of those that sell from a ledger, seen from beside it: whose beats go on, and by which rules each goes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from gateway.ledger.protocol import Ledger
from gateway.ledger.reports import Node

WATCHED_S: Final = 2.0
"""In which a living node beats, several times over."""


async def watched(
    ledger: Ledger, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> tuple[Sequence[Node], frozenset[int]]:
    """The nodes of a ledger, and the epochs of those that beat while it was watched. It only reads, and ends nobody."""
    before = {node.epoch: node.beat for node in await ledger.nodes()}
    await sleep(WATCHED_S)
    nodes = await ledger.nodes()
    beating = (node.epoch for node in nodes if node.ended_ms is None and node.beat != before.get(node.epoch, 0))
    return nodes, frozenset(beating)


def by_rules(living: Sequence[Node]) -> Mapping[str, Sequence[str]]:
    """The names of living nodes by the version that they go by; who has not said yet is left out."""
    versions: dict[str, list[str]] = {}
    for node in living:
        if node.rules:
            versions.setdefault(node.rules, []).append(node.name)
    return versions


def told(versions: Mapping[str, Sequence[str]]) -> str:
    """Which nodes go by which rules."""
    return "; ".join(
        f"{version} {len(names)} node{'s' if len(names) > 1 else ''} ({', '.join(names)})"
        for version, names in versions.items()
    )
