"""What the file itself refuses, what an audit finds, and which questions an index answers."""

import sqlite3
from pathlib import Path

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerError, Unknown, Untracked
from gateway.ledger.sql import ids
from gateway.ledger.sqlite.database import SQLite
from providers.base import OrderStatus
from tests.test_ledger.samples import bought, funded, placement, sent, told
from tests.test_ledger_sqlite.files import another

pytestmark = pytest.mark.anyio

FEW = {"SCAN node", "SCAN CONSTANT ROW"}  # as many rows as programs were started in a week; and one


@pytest.mark.parametrize("table", ["transfer", "entry", "event"])
@pytest.mark.parametrize("change", ["UPDATE {} SET rowid = rowid", "DELETE FROM {}"])
async def test_money_and_history_are_append_only(kept: Ledger, path: Path, table: str, change: str) -> None:
    await bought(kept, await funded(kept))
    statement = change.format(table).replace("entry SET rowid = rowid", "entry SET amount = amount")
    with another(path) as other, pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        other.execute(statement)


async def test_a_second_attempt_beside_a_live_one_is_refused_by_the_file_itself(kept: Ledger, path: Path) -> None:
    await bought(kept, await funded(kept))
    with another(path) as other, pytest.raises(sqlite3.IntegrityError, match=r"attempt\.order_id"):
        other.execute(
            "INSERT INTO attempt (order_id, panel, remote_service, state, units, cost, created_ms, settle_ms)"
            " SELECT order_id, 'beta', '1', 'sending', 1, 1, 1, 2 FROM attempt"
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM attempt", "an attempt stays"),
        ("DELETE FROM orders", "an order stays"),
        ("UPDATE attempt SET panel = 'beta'", "stays as it was written"),
        ("UPDATE attempt SET cost = 1", "stays as it was written"),
        ("UPDATE attempt SET created_ms = 1", "stays as it was written"),
        ("UPDATE attempt SET epoch = 9", "stays as it was written"),
        ("UPDATE orders SET link = 'x'", "stays as it was written"),
        ("UPDATE orders SET account = 9", "stays as it was written"),
        ("UPDATE attempt SET state = 'unknown', remote_id = NULL, settled_ms = NULL", "does not go back"),
        ("UPDATE attempt SET remote_id = 'r2'", "that ended stays ended"),
        ("UPDATE orders SET sold = 0", "stays so"),
        ("UPDATE orders SET refunded = -1", "stays so|CHECK"),
        ("UPDATE orders SET refunded = charge + 1", "CHECK"),
        ("UPDATE attempt SET state = 'eaten'", "that ended stays ended|CHECK"),
        ("UPDATE account SET held = -1", "CHECK"),
    ],
)
async def test_what_must_not_be_is_refused_by_the_file_itself(
    kept: Ledger, path: Path, change: str, words: str
) -> None:
    await bought(kept, await funded(kept))
    with another(path) as other, pytest.raises(sqlite3.IntegrityError, match=words):
        other.execute(change)


@pytest.mark.parametrize("state", ["sending", "not_placed", "refused"])
async def test_an_untracked_attempt_goes_nowhere_but_to_its_id(kept: Ledger, path: Path, state: str) -> None:
    placed = await kept.place(placement(await funded(kept)))
    await kept.settle(sent(placed), Unknown())
    await kept.settle(sent(placed), Untracked())
    with another(path) as other, pytest.raises(sqlite3.IntegrityError, match="does not go back"):
        other.execute("UPDATE attempt SET next_ms = NULL, state = ?", (state,))


async def test_a_panels_id_belongs_to_one_attempt(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    await bought(kept, account, "r1")
    await kept.settle(sent(await kept.place(placement(account))), Unknown())
    with another(path) as other, pytest.raises(sqlite3.IntegrityError, match=r"attempt\.remote_id"):
        other.execute("UPDATE attempt SET state = 'accepted', remote_id = 'r1', settled_ms = 1 WHERE state = 'unknown'")


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE orders SET status = 'Completed'", "status"),
        ("UPDATE orders SET charge = charge + 1", "charge"),
        ("UPDATE orders SET remains = 7", "remains"),
        ("UPDATE attempt SET remote_id = 'r2'", "r2"),
        ("UPDATE attempt SET state = 'untracked', remote_id = NULL", "untracked"),
        ("DELETE FROM event WHERE what = 'accepted'", "sold"),
        ('UPDATE event SET word = \'{"word":"recovered","attempt":1}\' WHERE what = \'accepted\'', "unknown"),
        ("UPDATE event SET word = '{}' WHERE what = 'accepted'", "cannot be told"),
    ],
)
async def test_an_order_that_is_not_what_its_history_says_is_found(
    kept: Ledger, path: Path, damage: str, finding: str
) -> None:
    placed = await bought(kept, await funded(kept))
    assert (await kept.replayed()).wrong == ()
    with another(path) as other:
        for (trigger,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            other.execute(f"DROP TRIGGER {trigger}")
        other.execute(damage)
    [wrong] = (await kept.replayed()).wrong
    assert wrong.startswith(f"order {placed.order}: its history ")
    assert finding in wrong


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE entry SET amount = amount + 1 WHERE book = 'topups'", "entries: their sum is 0.000001"),
        ("UPDATE entry SET amount = amount + 1 WHERE book = 'topups'", "transfer 1: its 2 entries sum to 0.000001"),
        ("DELETE FROM entry WHERE book = 'sales'", "account 1: sales is 0.500000, its entries say 0.000000"),
        ("UPDATE account SET available = -1, topups = 1 - held - sales", "account 1: below zero"),
        ("UPDATE orders SET refunded = charge + 1", "500001 refunded of 0.500000"),
        ("UPDATE orders SET status = 'Canceled'", "sold for 0.500000 where 0.500000 is right"),
        ("UPDATE attempt SET state = 'refused', remote_id = NULL", "Pending with no attempt open"),
        ("UPDATE attempt SET state = 'unknown', remote_id = NULL", "sold, and its attempts say otherwise"),
        ("UPDATE orders SET sold = 0", "holds 0.000000 for 0.500000"),
        ("UPDATE transfer SET account = 2 WHERE what = 'sale'", "transfer 3: not of the account of order"),
    ],
)
async def test_whatever_does_not_add_up_is_found(kept: Ledger, path: Path, damage: str, finding: str) -> None:
    await bought(kept, await funded(kept))
    await kept.create_account("rival")
    with another(path) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        for (trigger,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            other.execute(f"DROP TRIGGER {trigger}")
        other.execute(damage)
    assert any(finding in wrong for wrong in (await kept.totals()).wrong)


async def test_an_id_does_not_come_back_when_its_order_is_deleted(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    first = await kept.place(placement(account))
    with another(path) as other:
        for kept_by in ("event_stays", "attempt_stays", "order_stays"):
            other.execute(f"DROP TRIGGER {kept_by}")
        for statement in ("DELETE FROM event", "DELETE FROM attempt", "DELETE FROM orders"):
            other.execute(statement)
    assert (await kept.place(placement(account))).order > first.order


async def test_when_the_ids_are_used_up_nothing_is_taken(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    with another(path) as other:
        other.execute("UPDATE counter SET value = ?", (ids.LAST,))
    with pytest.raises(LedgerError, match="all ids up to 2147483647 are given"):
        await kept.place(placement(account))
    assert await kept.balance(account.id) == 100


async def test_hot_questions_are_answered_by_an_index(kept: Ledger, database: SQLite) -> None:
    """No table is read through, however many orders there are."""
    account = await funded(kept)
    placed = await bought(kept, account)
    asked: list[str] = []
    for db in database._connections:
        db.set_trace_callback(asked.append)
    await kept.due("alpha")
    await kept.live([placed.order])
    await kept.orders(account.id, [placed.order])
    await kept.refills(account.id, [1])
    await kept.stale_refills("alpha")
    await kept.unknown_attempts()
    await kept.list_orders(account=account.id)
    await kept.suspicions("alpha")
    await kept.followed("alpha", limit=10)
    await kept.unknown_counts()
    await kept.untracked_attempts()
    await kept.ours("alpha", ["r1"])
    await kept.ceiling("alpha", sent(placed), after_ms=0)
    await kept.latest_ids("alpha")
    await kept.anchor("alpha")
    await kept.wishes()
    await kept.recent(0)
    await kept.observe(sent(placed), told(OrderStatus.PARTIAL, remains=3), next_ms=None)
    await kept.postpone([sent(placed)], 1)
    await kept.open_refill(placed.order, "alpha")
    await kept.recover()
    for db in database._connections:
        db.set_trace_callback(None)
    questions = [sql for sql in asked if sql.split()[0] in {"SELECT", "UPDATE"}]
    assert len(questions) > 12
    with another(database._path) as other:
        for sql in questions:
            plan = [row[3] for row in other.execute("EXPLAIN QUERY PLAN " + sql)]
            scans = [step for step in plan if step.startswith("SCAN") and "json_each" not in step and step not in FEW]
            assert scans == [], (sql, plan)
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (sql, plan)
