"""Who lives of those that sell from a ledger, seen from beside it: whose beats go on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
