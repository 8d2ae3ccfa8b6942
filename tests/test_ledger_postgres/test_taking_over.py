"""A node is taken for dead while it writes: what it writes is there before its end is, or never."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.ledger.postgres.database import Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState, Fenced, Placed
from gateway.ledger.sql.ledger import SQLLedger
from tests.running import until
from tests.test_ledger.samples import Clock, funded, placement

pytestmark = pytest.mark.anyio


@pytest.fixture
async def other(url: str, kept: Ledger) -> AsyncIterator[Ledger]:
    """Another node, once the ledger is there."""
    opened = SQLLedger(Postgres(url), Clock())
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("many", [1, 20])
async def test_a_node_does_not_end_in_the_middle_of_its_own_writing(
    kept: Ledger, other: Ledger, raw: Any, many: int
) -> None:
    account = await funded(kept)
    epoch = await kept.join("here")
    await other.join("there")
    async with raw.transaction():
        await raw.execute("SELECT 1 FROM account FOR UPDATE")
        placing = [asyncio.ensure_future(kept.place(placement(account, link=str(number)))) for number in range(many)]

        async def is_held_up() -> bool:
            return bool(await raw.fetchval("SELECT COUNT(*) > 0 FROM pg_locks WHERE NOT granted"))

        await until(is_held_up)
        taking = asyncio.ensure_future(other.take_over(epoch))

        async def waits_or_is_done() -> bool:
            waits = "SELECT COUNT(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
            return taking.done() or bool(await raw.fetchval(f"{waits} AND NOT granted"))

        await until(waits_or_is_done)
        waited = not taking.done()
    outcomes = await asyncio.gather(*placing, return_exceptions=True)
    unknown = await taking
    states = await raw.fetch("SELECT state FROM attempt WHERE epoch = $1", epoch)
    assert {state for (state,) in states} <= {AttemptState.UNKNOWN.value}, "sent by nobody, and looked after by nobody"
    assert waited
    placed = [one for one in outcomes if isinstance(one, Placed)]
    assert all(isinstance(one, Placed | Fenced) for one in outcomes)
    assert 1 <= len(placed) == len(states) == unknown
    assert (await other.totals()).wrong == ()
