"""What a start finds of the process before it, before anything else is done: ids beside the ledger, open attempts."""

import asyncio

import msgspec
import structlog

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, RemoteIdTaken, WrongState
from gateway.ledger.reports import Recovery
from gateway.ledger.spill import Spill

_log = structlog.get_logger()


async def recovered(ledger: Ledger, spill: Spill | None, name: str = "") -> Recovery:
    """Write the ids that were kept beside the ledger into it, then make all that was *sending* unknown."""
    if spill is not None:
        await unspilled(ledger, spill)
    recovery = await ledger.recover(name)
    if recovery.unknown:
        then = "these may have been sent, and none is sent again; panelmux order list --unknown"
        _log.warning("recover", unknown=recovery.unknown, then=then)
    return recovery


async def unspilled(ledger: Ledger, spill: Spill) -> None:
    """Write the ids that were kept beside the ledger into it."""
    for spilled in await asyncio.to_thread(spill.left):
        await _written(ledger, spilled.attempt, spilled.accepted)
        await asyncio.to_thread(spill.free, spilled.slot)


async def _written(ledger: Ledger, attempt: int, accepted: Accepted) -> None:
    """The id of one attempt; one that the ledger has already, or settled otherwise, is only told."""
    try:
        await ledger.settle(attempt, accepted)
    except (WrongState, RemoteIdTaken) as known:
        _log.warning("spill", attempt=attempt, remote_id=accepted.remote_id, outcome="not_written", why=str(known))
        order = await ledger.order_of(attempt)
        if order is None:
            return
        if all(one.remote_id != accepted.remote_id for one in await ledger.attempts(order)):
            seen = {"remote_id": accepted.remote_id, "why": str(known)}
            await ledger.note(order, attempt, "late_id", msgspec.json.encode(seen).decode())
    else:
        _log.info("spill", attempt=attempt, remote_id=accepted.remote_id, outcome="written")
