"""Whether who sells goes by the rules that were just put in place: the one gateway of a file, or every living node."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.cli.beats import WATCHED_S, by_rules, watched
from gateway.cli.opened import ledger_at
from gateway.ledger.lock import LedgerInUse, Lock
from gateway.ledger.protocol import Ledger
from gateway.ledger.reports import Node
from gateway.settings import is_postgres

_HEARD_S: Final = 10.0  # how long those who sell are waited for
_LOOK_S: Final = 0.2
_LAST: Final = 5  # of the log, in which the reason is looked for why a node did not take it

_NOBODY: Final = "no gateway is running"
_NOT_TAKEN: Final = "the running gateway has not taken it"

Sleep = Callable[[float], Awaitable[None]]


async def heard(url: str, version: str, since_ms: int, *, sleep: Sleep = asyncio.sleep) -> tuple[bool | None, str]:
    """Whether they took it, and that in words; None where nobody sells. The file was changed at `since_ms`."""
    if is_postgres(url):
        async with ledger_at(url) as ledger:
            return await _heard_by_all(ledger, version, sleep)
    if not _is_running(url):
        return None, _NOBODY
    async with ledger_at(url) as ledger:
        for _ in range(round(_HEARD_S / _LOOK_S)):
            for one in await ledger.rules_files(limit=1):
                if one.version == version and (one.at_ms >= since_ms or not one.why):
                    return (
                        (False, f"{_NOT_TAKEN}: {one.why}") if one.why else (True, "the running gateway has taken it")
                    )
            await sleep(_LOOK_S)
    return False, f"{_NOT_TAKEN}: it has said nothing; does it follow this file? see its log"


async def differing(url: str, *, sleep: Sleep = asyncio.sleep) -> bool:
    """Whether nodes that live go by different rules: then none are the rules in force, and none those before."""
    if not is_postgres(url):
        return False
    async with ledger_at(url) as ledger:
        nodes, beating = await watched(ledger, sleep=sleep)
    return len(by_rules([node for node in nodes if node.epoch in beating])) > 1


async def _heard_by_all(ledger: Ledger, version: str, sleep: Sleep) -> tuple[bool | None, str]:
    """As `heard`, of all nodes that live; one that joins meanwhile is one of them, one that ends is none any more."""
    nodes, beating = await watched(ledger, sleep=sleep)
    silent = {node.epoch for node in nodes} - beating
    for _ in range(round((_HEARD_S - WATCHED_S) / _LOOK_S)):
        living = [node for node in nodes if node.ended_ms is None and node.epoch not in silent]
        if all(node.rules == version for node in living):
            break
        await sleep(_LOOK_S)
        nodes = await ledger.nodes()
    else:
        return False, await _not_by_all(ledger, living, version)
    if not living:
        return None, _NOBODY
    return True, "the one node that lives has taken it" if len(
        living
    ) == 1 else f"all {len(living)} nodes have taken it"


async def _not_by_all(ledger: Ledger, living: Sequence[Node], version: str) -> str:
    others = ", ".join(f"{node.name} (by {node.rules or 'none yet'})" for node in living if node.rules != version)
    whys = [one.why for one in await ledger.rules_files(limit=_LAST) if one.version == version and one.why]
    why = whys[0] if whys else "has each node the same file? see their logs, and panelmux node list"
    return f"not all nodes have taken it, these go by others: {others}: {why}"


def _is_running(url: str) -> bool:
    lock = Lock(url)
    try:
        lock.take()
    except LedgerInUse:
        return True
    except OSError:
        return False
    lock.give_back()
    return False
