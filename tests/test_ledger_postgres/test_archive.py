"""Old ranges of orders are taken out whole, and only where nothing happens in them any more."""

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.ledger.postgres.archive import Range, archive
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, Placed
from providers.base import OrderStatus
from tests.test_ledger.samples import bought, funded, sent, told

pytestmark = pytest.mark.anyio

WIDTH = 16_777_216
LATER = 10**15


async def ended(kept: Ledger, raw: Any, account: Account, number: int) -> Placed:
    """An order of that range of ids in which nothing happens any more."""
    await raw.execute("SELECT setval('order_ids', $1)", number * WIDTH + 200000)
    old = await bought(kept, account, f"r{number}", link=str(number))
    await kept.observe(sent(old), told(OrderStatus.COMPLETED), next_ms=1)
    await kept.postpone([sent(old)], None)
    return old


async def test_a_range_is_taken_out_once_all_of_it_has_ended(kept: Ledger, raw: Any, url: str) -> None:
    account = await funded(kept)
    await raw.execute("SELECT setval('order_ids', 200000)")
    old = await bought(kept, account, "r1")
    await raw.execute("SELECT setval('order_ids', $1)", WIDTH + 1000)
    new = await bought(kept, account, "r2")
    assert await archive(url, LATER, 1, dry_run=False) == (), "it has not ended"
    await kept.observe(sent(old), told(OrderStatus.COMPLETED), next_ms=1)
    assert await archive(url, LATER, 1, dry_run=False) == (), "it is asked about again"
    await kept.postpone([sent(old)], None)
    order = await kept.order(old.order)
    assert order is not None
    assert await archive(url, order.updated_ms, 1, dry_run=False) == (), "it was changed of late"
    assert await archive(url, LATER, 1, dry_run=True) == (Range(number=0, orders=1),)
    assert await kept.order(old.order) == order
    placing = [asyncio.ensure_future(bought(kept, account, f"r{number}", link=str(number))) for number in range(3, 20)]
    assert await archive(url, LATER, 1, dry_run=False) == (Range(number=0, orders=1),)
    await asyncio.gather(*placing)
    assert await kept.order(old.order) is None
    assert await kept.order(new.order) is not None
    assert await kept.bound("alpha", "r1") == old.order, "its id at the panel stays taken"
    assert await raw.fetchval("SELECT COUNT(*) FROM archived_event_0 WHERE order_id = $1", old.order) > 2
    await kept.make_room()
    assert await raw.fetchval("SELECT to_regclass('orders_0')") is None
    totals = await kept.totals()
    assert totals.wrong == ()
    assert totals.sum == 0
    assert (await kept.replayed()).wrong == ()


@pytest.mark.parametrize(("first", "then"), [("orders", "event"), ("event", "orders")])
async def test_who_is_in_the_tables_is_waited_for_and_never_in_a_deadlock(
    kept: Ledger, raw: Any, url: str, first: str, then: str
) -> None:
    account = await funded(kept)
    old = await ended(kept, raw, account, 0)
    await raw.execute("SELECT setval('order_ids', $1)", WIDTH + 1000)
    selling = await asyncpg.connect(url)
    try:
        async with selling.transaction():
            await selling.execute(f"LOCK TABLE {first} IN ROW EXCLUSIVE MODE")
            archiving = asyncio.ensure_future(archive(url, LATER, 1, dry_run=False))
            while not await raw.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = $1::regclass", first):
                assert not archiving.done()
            await selling.execute(f"LOCK TABLE {then} IN ROW EXCLUSIVE MODE")
        assert await archiving == (Range(number=0, orders=1),)
    finally:
        await selling.close()
    assert await kept.order(old.order) is None


async def test_a_range_in_use_keeps_nobody_from_buying_and_no_other_range_from_going(
    kept: Ledger, raw: Any, url: str
) -> None:
    account = await funded(kept)
    for number in range(2):
        await ended(kept, raw, account, number)
    await raw.execute("SELECT setval('order_ids', $1)", 2 * WIDTH + 1000)
    await kept.make_room()
    vacuum = await asyncpg.connect(url)
    try:
        async with vacuum.transaction():
            await vacuum.execute("LOCK TABLE orders_1 IN SHARE UPDATE EXCLUSIVE MODE")
            archiving = asyncio.ensure_future(archive(url, LATER, 1, dry_run=False))
            while await raw.fetchval("SELECT to_regclass('archived_orders_0')") is None:
                assert not archiving.done()
            for number in range(10, 20):
                await bought(kept, account, f"r{number}", link=str(number))
            assert not archiving.done()
        assert await archiving == (Range(number=0, orders=1), Range(number=1, orders=1))
    finally:
        await vacuum.close()


async def test_a_range_that_is_in_use_all_the_while_stays(
    kept: Ledger, raw: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ledger.postgres.archive._TRIES", 2)
    account = await funded(kept)
    old = await ended(kept, raw, account, 0)
    await raw.execute("SELECT setval('order_ids', $1)", WIDTH + 1000)
    async with raw.transaction():
        await raw.execute("LOCK TABLE orders_0 IN SHARE UPDATE EXCLUSIVE MODE")
        assert await archive(url, LATER, 1, dry_run=False) == ()
    assert await kept.order(old.order) is not None
    assert await raw.fetchval("SELECT ledger_archive(5)") is False, "there is none"
    await raw.execute("UPDATE attempt SET next_ms = 1")
    assert await raw.fetchval("SELECT ledger_archive(0)") is False, "it is asked about again"
    await raw.execute("UPDATE attempt SET next_ms = NULL")
    assert await archive(url, LATER, 1, dry_run=False) == (Range(number=0, orders=1),)
