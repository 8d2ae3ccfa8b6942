"""What the database itself refuses, how its ranges of ids are cut, and which questions an index answers."""

import asyncio
import json
from collections.abc import Set as AbstractSet
from typing import Any, Final

import asyncpg
import pytest

from gateway.ledger.postgres import connection as connections
from gateway.ledger.postgres import transactions
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, LedgerError, RemoteIdTaken, Unknown, Untracked
from gateway.ledger.repeated import Twin
from gateway.ledger.sql import ids
from providers.base import OrderStatus
from tests.test_ledger.samples import bought, funded, placement, sent, told

pytestmark = pytest.mark.anyio

WIDTH: Final = 16_777_216
"""Ids in a range."""


# What the database refuses.


@pytest.mark.parametrize("table", ["transfer", "entry", "event"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
async def test_money_and_history_are_append_only(kept: Ledger, raw: Any, table: str, change: str) -> None:
    await bought(kept, await funded(kept))
    column = "amount" if table == "entry" else "at_ms"
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=f"{table} is append-only"):
        await raw.execute(change.format(table, column))


async def test_a_range_refuses_what_the_whole_table_refuses(kept: Ledger, raw: Any) -> None:
    await bought(kept, await funded(kept))
    for table in ("event", "attempt", "orders"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=r"append-only|stays"):
            await raw.execute(f"DELETE FROM {table}_0")  # noqa: S608 - a constant


async def test_a_second_attempt_beside_a_live_one_is_refused(kept: Ledger, raw: Any) -> None:
    await bought(kept, await funded(kept))
    with pytest.raises(asyncpg.UniqueViolationError, match="order_id"):
        await raw.execute(
            "INSERT INTO attempt (id, order_id, panel, remote_service, state, units, cost, created_ms, settle_ms)"
            " SELECT 999, order_id, 'beta', '1', 'sending', 1, 1, 1, 2 FROM attempt"
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM attempt", "an attempt stays"),
        ("DELETE FROM orders", "an order stays"),
        ("UPDATE attempt SET panel = 'beta'", "stays as it was written"),
        ("UPDATE attempt SET units = 1", "stays as it was written"),
        ("UPDATE attempt SET cost = 1", "stays as it was written"),
        ("UPDATE attempt SET created_ms = 1", "stays as it was written"),
        ("UPDATE attempt SET epoch = 9", "stays as it was written"),
        ("UPDATE orders SET link = 'x'", "stays as it was written"),
        ("UPDATE orders SET account = 9", "stays as it was written"),
        ("UPDATE orders SET id = id + 1", "stays as it was written"),
        ("UPDATE attempt SET state = 'unknown', remote_id = NULL, settled_ms = NULL", "does not go back"),
        ("UPDATE attempt SET remote_id = 'r2'", "that ended stays ended"),
        ("UPDATE attempt SET remote_id = NULL", "that ended stays ended"),
        ("UPDATE orders SET sold = 0", "stays so"),
        ("UPDATE orders SET refunded = -1", "stays so|check"),
        ("UPDATE orders SET refunded = charge + 1", "check"),
        ("UPDATE attempt SET state = 'eaten'", "that ended stays ended|check"),
        ("UPDATE account SET held = -1, available = available + 1", "check"),
        ("UPDATE account SET available = -1, topups = 1 - held - sales", "check"),
        ("UPDATE account SET available = available + 1", "check"),
    ],
)
async def test_what_must_not_be_is_refused(kept: Ledger, raw: Any, change: str, words: str) -> None:
    await bought(kept, await funded(kept))
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=words):
        await raw.execute(change)


@pytest.mark.parametrize("state", ["sending", "not_placed", "refused"])
async def test_an_untracked_attempt_goes_nowhere_but_to_its_id(kept: Ledger, raw: Any, state: str) -> None:
    placed = await kept.place(placement(await funded(kept)))
    await kept.settle(sent(placed), Unknown())
    await kept.settle(sent(placed), Untracked())
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not go back"):
        await raw.execute("UPDATE attempt SET next_ms = NULL, state = $1", state)


async def test_when_the_ids_are_used_up_nothing_is_taken(kept: Ledger, raw: Any) -> None:
    account = await funded(kept)
    await raw.execute("SELECT setval('order_ids', $1)", ids.LAST)
    with pytest.raises(LedgerError, match="all ids up to 2147483647 are given"):
        await kept.place(placement(account))
    assert await kept.balance(account.id) == 100


# Ranges of ids.


async def test_a_panel_s_id_belongs_to_one_attempt_in_whatever_range_that_is(kept: Ledger, raw: Any) -> None:
    account = await funded(kept)
    first = await bought(kept, account, "r1")
    await raw.execute("SELECT setval('order_ids', $1)", WIDTH)
    second = await kept.place(placement(account, link="second"))
    assert first.order < WIDTH < second.order
    with pytest.raises(RemoteIdTaken, match='"r1"'):
        await kept.settle(sent(second), Accepted(remote_id="r1"))
    await kept.settle(sent(second), Unknown())
    with pytest.raises(asyncpg.UniqueViolationError, match="remote_pkey"):
        await raw.execute(
            "UPDATE attempt SET state = 'accepted', remote_id = 'r1', settled_ms = 1 WHERE state = 'unknown'"
        )
    await kept.settle(sent(second), Accepted(remote_id="r2"))
    assert [await kept.bound("alpha", id) for id in ("r1", "r2")] == [first.order, second.order]
    assert {live.order for live in (await kept.live([first.order, second.order])).values()} == {
        first.order,
        second.order,
    }


async def test_there_is_room_for_the_orders_to_come_and_it_is_made_beside_them(kept: Ledger, raw: Any) -> None:
    account = await funded(kept, "1000")
    await raw.execute("SELECT setval('order_ids', $1)", WIDTH - 400)
    outcomes = await asyncio.gather(
        *(kept.place(placement(account, link=str(number))) for number in range(50)),
        kept.make_room(),
        *(kept.place(placement(account, link=str(number))) for number in range(50, 100)),
        kept.make_room(),
    )
    await kept.make_room()
    placed = [outcome.order for outcome in outcomes if outcome is not None]
    assert min(placed) < WIDTH < max(placed)
    assert sorted(order.id for order in await kept.list_orders(limit=1000)) == sorted(placed)
    ranges = "SELECT COUNT(*) FROM pg_inherits WHERE inhparent = 'orders'::regclass"
    assert await raw.fetchval(ranges) == 3, "the one after that in which ids are given is there"


async def test_ranges_are_made_once_and_as_far_as_ids_go(kept: Ledger, raw: Any) -> None:
    assert await raw.fetchval("SELECT ledger_ranges($1)", WIDTH) == 0
    assert await raw.fetchval("SELECT ledger_ranges($1)", 3 * WIDTH) == 2 * 3
    assert await raw.fetchval("SELECT ledger_ranges($1)", 3 * WIDTH + 1) == 0
    bounds = await raw.fetchval(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = to_regclass('attempt_3')"
    )
    assert bounds == f"FOR VALUES FROM ('{3 * WIDTH}') TO ('{4 * WIDTH}')"
    assert 128 * WIDTH == ids.LAST + 1, "as many as it makes at most"


# Indexes.

PARTIAL: Final = """
    SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indpred IS NOT NULL"""
ORDERS: Final = 20_000
GROWS: Final = (
    "orders",
    "attempt",
    "event",
    "transfer",
    "entry",
    "remote",
    "request",
    "answered",
    "refill",
    "learning",
)
"""Tables that get longer with every order: none is read through."""

FILL: Final = f"""
    INSERT INTO orders (id, account, service, type, link, fields, quantity, units, charge, status, remains, refill,
                        cancel, decision, created_ms, updated_ms, sold, fingerprint)
        SELECT 1000 + 64 * n, 100 + n % 50, 1, 'Default', 'https://x.example/' || n, '{{}}', 100, 100, 500000,
               'Completed', 0, 1,
               1, '{{}}', n, n, 1, n::TEXT::BYTEA FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO attempt (id, order_id, panel, remote_service, state, units, cost, remote_id, created_ms, settle_ms,
                         settled_ms, ended_ms)
        SELECT 1000000 + n, 1000 + 64 * n, 'panel' || n % 100, '7', 'accepted', 100, 1, n, n, n, n, n
        FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO event (order_id, attempt, at_ms, what, evidence)
        SELECT 1000 + 64 * n, 1000000 + n, n, what, '{{}}'
        FROM generate_series(1, {ORDERS}) AS n, unnest(ARRAY['sending', 'accepted', 'status']) AS what;
    INSERT INTO transfer (account, order_id, what, note, at_ms)
        SELECT 1, 1000 + 64 * n, 'hold', '', n FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO entry SELECT id, 'held', 1 FROM transfer WHERE what = 'hold';
    INSERT INTO request
        SELECT 1, n::TEXT::BYTEA, '', 1000 + 64 * n, 1700000000000 FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO answered SELECT 1000 + 64 * n, 1700000000000 FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO refill
        SELECT 8 * n, 1000 + 64 * n, 'alpha', n, 'Completed', n, n FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO learning (panel, taken, orders) SELECT 'panel' || n % 5, 1, 1 FROM generate_series(1, 2000) AS n;
    SELECT setval('order_ids', 1000 + 64 * {ORDERS}), setval('attempt_ids', 1000000 + {ORDERS});
    """  # noqa: S608 - constants


async def every_hot_question(kept: Ledger) -> None:
    """What is asked for each order, each call of a customer, and again and again while nothing happens."""
    account = await kept.account("shop")
    assert account is not None
    new = placement(
        account,
        link="new",
        request=b"name",
        fingerprint=b"print",
        one_active=True,
        twin=Twin(unheard_ms=1000, any_ms=5),
        budget_day=account.available,
    )
    placed = await kept.place(new)
    await kept.heard(account.id, b"name", b"print")
    await kept.settle(sent(placed), Accepted(remote_id="new"))
    await kept.due("alpha")
    await kept.followed("alpha", limit=10)
    await kept.live([placed.order])
    await kept.orders(account.id, [placed.order, 1064])
    await kept.order(placed.order)
    await kept.attempts(placed.order)
    await kept.events(placed.order)
    await kept.account_of(placed.order)
    await kept.order_of(sent(placed))
    await kept.bound("alpha", "new")
    await kept.refills(account.id, [8])
    await kept.stale_refills("alpha")
    await kept.unknown_attempts()
    await kept.unknown_attempts("alpha")
    await kept.unknown_counts()
    await kept.untracked_attempts()
    await kept.sending_elsewhere("alpha")
    await kept.open_orders()
    await kept.list_orders(account=account.id)
    await kept.list_orders(unknown=True)
    await kept.suspicions("alpha")
    await kept.ours("alpha", ["new"])
    await kept.ceiling("panel1", 1_000_100, after_ms=0)
    await kept.latest_ids("panel1")
    await kept.learned("panel1")
    await kept.anchor("alpha")
    await kept.wishes()
    await kept.waiting()
    await kept.recent(0)
    await kept.beat("r1")
    await kept.answered([placed.order])
    await kept.strays([], older_ms=30_000)
    await kept.observe(sent(placed), told(OrderStatus.PARTIAL, remains=3), next_ms=None)
    await kept.postpone([sent(placed)], 1)
    await kept.duplicate_seen("alpha", "7", "new", by=sent(placed))
    await kept.open_refill(placed.order, "alpha")


async def test_hot_questions_are_answered_by_an_index(kept: Ledger, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that grows with the orders is read through, however many there are."""
    await funded(kept)
    await kept.join("here")
    await raw.execute(FILL)
    await raw.execute("ANALYZE")
    asked: dict[str, tuple[Any, ...]] = {}
    rows = connections.rows

    async def kept_in_mind(connection: Any, statement: str, values: tuple[Any, ...]) -> Any:
        asked[statement] = values
        return await rows(connection, statement, values)

    monkeypatch.setattr(transactions, "rows", kept_in_mind)
    await every_hot_question(kept)
    assert len(asked) > 60
    partial = {name for (name,) in await raw.fetch(PARTIAL)}
    read_through = []
    for statement, values in asked.items():
        async with raw.transaction():
            await raw.execute("SET LOCAL enable_seqscan = off")  # a table of this size may be read faster without one
            [(plan,)] = await raw.fetch("EXPLAIN (FORMAT JSON) " + statement, *values)
        read_through += [(table, statement) for table in scanned(json.loads(plan)[0]["Plan"], partial)]
    assert read_through == []


def scanned(node: dict[str, Any], partial: AbstractSet[str], *, is_short: bool = False) -> list[str]:
    """Tables that grow, and that a plan reads from end to end.

    A way along an index `is_short` if a limit ends it and all rows count; or it is one of the `partial` ones: of what
    is open.
    """
    is_short |= node["Node Type"] == "Limit"
    found = [table for part in node.get("Plans", ()) for table in scanned(part, partial, is_short=is_short)]
    table = str(node.get("Relation Name", "")).removesuffix("_0")  # the next range of ids is empty
    along = node["Node Type"].startswith("Index") and "Index Cond" not in node and node["Index Name"] not in partial
    through = node["Node Type"] == "Seq Scan" or (along and not (is_short and "Filter" not in node))
    return [*found, table] if table in GROWS and through else found
