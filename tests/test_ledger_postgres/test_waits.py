"""What waits for whom at the server, and what must not."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import asyncpg
import pytest

from gateway.ledger.postgres.connection import connect
from gateway.ledger.postgres.database import GROUPS, WRITERS
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted
from gateway.writable import Writable
from tests.running import until
from tests.test_ledger.samples import CHARGE, bought, funded, placement, sent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

WAITING: Final = """
    SELECT COUNT(*) FROM pg_locks
    WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'panelmux')"""


async def held_up(works: Iterable[Coroutine[Any, Any, Any]], asking: Any) -> list[asyncio.Future[Any]]:
    """Begun one after the other, each of which waits for a lock on a connection of its own."""
    begun: list[asyncio.Future[Any]] = []
    for work in works:
        begun.append(asyncio.ensure_future(work))

        async def waits() -> bool:
            return bool(await asking.fetchval(WAITING) == len(begun))

        await until(waits)
    return begun


async def test_the_pulse_waits_where_orders_wait(
    kept: Ledger, raw: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection that orders are written on is held up; those for other things are not."""
    account = await funded(kept)
    placed = await kept.place(placement(account, link="before"))
    asking = await asyncpg.connect(url)
    held = raw.transaction()
    await held.start()
    await raw.execute("SELECT 1 FROM account FOR UPDATE")
    orders = (kept.place(placement(account, link=str(number))) for number in range(1, GROUPS + 1))
    placing = await held_up(orders, asking)
    await asyncio.gather(*(kept.postpone([sent(placed)], 1) for _ in range(4 * WRITERS)))  # all of them are connected
    pulse = asyncio.ensure_future(kept.postpone([], 0))
    await asyncio.sleep(0)  # it comes first
    for _ in range(20):
        await kept.postpone([sent(placed)], 1)
    assert not pulse.done(), "it tells nothing of how long orders wait"
    monkeypatch.setattr("gateway.writable.PATIENCE_S", 0.1)
    assert not await Writable(kept)(), "no order is taken"
    await held.rollback()
    await pulse
    assert len({order.order for order in await asyncio.gather(*placing)}) == GROUPS
    await asking.close()


async def test_a_touch_waits_behind_no_other_work(kept: Ledger, raw: Any, url: str) -> None:
    account = await funded(kept)
    placed = await bought(kept, account, "r1")
    asking = await asyncpg.connect(url)
    held = raw.transaction()
    await held.start()
    await raw.execute("SELECT 1 FROM attempt FOR UPDATE")
    works = (kept.postpone([sent(placed)], 1) for _ in range(WRITERS))
    waiting = await held_up(works, asking)
    waiting += [asyncio.ensure_future(kept.postpone([sent(placed)], 1)) for _ in range(WRITERS)]
    await kept.touch()
    assert not any(work.done() for work in waiting)
    await held.rollback()
    await asyncio.gather(*waiting)
    await asking.close()


async def test_what_was_learned_is_put_together_by_one_at_a_time_and_nobody_waits(kept: Ledger, raw: Any) -> None:
    """Another node is at it, for as long as it likes: what it leaves is for the next time."""
    account = await funded(kept, "1000")
    for number in range(64):
        placed = await kept.place(placement(account, link=str(number)))
        await kept.settle(sent(placed), Accepted(remote_id=str(number)))
    await kept.learn("alpha", proven=0)  # it has a row
    before = await kept.learned("alpha")
    pending = "SELECT COUNT(*) FROM learning"
    held = raw.transaction()
    await held.start()
    await raw.execute("SELECT 1 FROM panel FOR UPDATE")
    folding = asyncio.ensure_future(kept.fold())

    async def ends_or_waits() -> bool:
        return folding.done() or bool(await raw.fetchval(WAITING))

    await until(ends_or_waits)
    assert folding.done(), "it waits for the other"
    assert await raw.fetchval(pending) == 64
    await held.rollback()
    await kept.fold()
    assert await raw.fetchval(pending) == 0
    assert await kept.learned("alpha") == before


async def test_a_node_that_pauses_in_the_middle_of_a_transaction_holds_nobody_up(kept: Ledger, url: str) -> None:
    """The server ends it: orders of other nodes go on, and nothing of it is kept."""
    account = await funded(kept)
    before = await kept.balance(account.id)
    paused = await connect(url)
    try:
        await paused.execute("BEGIN")
        await paused.execute("UPDATE account SET available = available - 1, topups = topups + 1")
        await kept.place(placement(account))
        assert await kept.balance(account.id) == before - CHARGE
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await paused.execute("COMMIT")
    finally:
        paused.terminate()


async def test_a_touch_is_a_row_that_is_written_and_no_node_waits_for_anothers(kept: Ledger, raw: Any) -> None:
    rows = "SELECT name, xmin::TEXT FROM meta WHERE name LIKE 'touched%' ORDER BY name"
    await kept.join("a")
    await kept.touch()
    [first] = await raw.fetch(rows)
    await kept.postpone([], 0)
    assert await raw.fetch(rows) == [first]
    await kept.touch()
    [again] = await raw.fetch(rows)
    assert again["xmin"] != first["xmin"], "by another transaction"
    held = raw.transaction()
    await held.start()
    await raw.execute("SELECT 1 FROM meta WHERE name = $1 FOR UPDATE", first["name"])
    await kept.join("b")
    await kept.touch()
    await held.rollback()
    assert len(await raw.fetch(rows)) == 2
