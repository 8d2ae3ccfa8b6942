"""SQLite's own matters: shared commits, other processes, the schema, a full disk, a kill."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState, LedgerBusy, LedgerError, LedgerUnusable, NotEnough, Placed
from gateway.ledger.sql import ids
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sql.work import Work
from gateway.ledger.sqlite import schema
from gateway.ledger.sqlite.connection import connect
from gateway.ledger.sqlite.database import SQLite
from providers.base import OrderStatus
from tests.test_ledger.samples import Clock, bought, funded, placement, told

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SQLite]:
    database = SQLite(path, busy_ms=50)
    yield database
    await database.close()


@pytest.fixture
async def kept(database: SQLite) -> Ledger:
    opened = SQLLedger(database, Clock())
    await opened.open()
    return opened


@contextlib.contextmanager
def _another(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


async def test_what_gathers_while_a_commit_runs_shares_the_next(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept, "1000")
    statements: list[str] = []
    database._connections[0].set_trace_callback(statements.append)
    calls = [asyncio.create_task(kept.place(placement(account))) for _ in range(300)]
    await asyncio.gather(*calls)
    database._connections[0].set_trace_callback(None)
    assert statements.count("SAVEPOINT alone") == 300
    assert statements.count("COMMIT") <= 5  # the first alone, then groups of at most 256


async def test_one_that_raises_falls_alone(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept, "1")
    statements: list[str] = []
    database._connections[0].set_trace_callback(statements.append)

    def late() -> Work[None]:
        """Fails after it wrote."""
        yield "UPDATE account SET name = 'spoilt' WHERE id = ?", (account.id,)
        raise LookupError("mine alone")

    async def spoilt() -> None:
        await database.write(late())

    async def wrong() -> None:
        await database.write(iter_of("SELECT nothing FROM nowhere"))

    async def against_the_rules() -> None:
        await database.write(iter_of("UPDATE account SET held = -1"))

    calls = [kept.place(placement(account)), spoilt(), wrong(), against_the_rules(), kept.place(placement(account))]
    outcomes = await asyncio.gather(*calls, kept.place(placement(account)), return_exceptions=True)
    database._connections[0].set_trace_callback(None)
    kinds = [Placed, LookupError, sqlite3.OperationalError, LedgerError, Placed, NotEnough]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert statements.count("COMMIT") <= 2
    found = await kept.account("shop")
    assert found is not None
    assert found.held == 1


def iter_of(statement: str) -> Work[None]:
    yield statement, ()


async def test_while_another_process_writes_the_ledger_is_busy_and_keeps_nothing(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    with _another(path) as other:
        other.execute("BEGIN IMMEDIATE")
        calls = (kept.place(placement(account)) for _ in range(5))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["ledger: database is locked"] * 5
        assert all(isinstance(outcome, LedgerBusy) for outcome in outcomes)
        assert await kept.balance(account.id) == 100  # reading goes on
        other.execute("ROLLBACK")
    await kept.place(placement(account))
    assert (await kept.totals()).orders == 1


async def test_on_a_full_disk_the_ledger_is_busy_and_keeps_nothing(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept)
    writer = database._connections[0]
    [pages] = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    placed: list[Placed] = []

    async def fill() -> None:
        while True:
            placed.append(await kept.place(placement(account, fields="x" * 2000)))

    with pytest.raises(LedgerBusy, match="full"):
        await fill()
    assert {order.id for order in await kept.list_orders(limit=1000)} == {one.order for one in placed}
    assert (await kept.totals()).wrong == ()
    writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    await kept.place(placement(account))
    assert (await kept.totals()).orders == len(placed) + 1


async def test_a_group_that_a_fault_breaks_is_lost_whole(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept)
    writer = database._connections[0]
    [pages] = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    calls = [kept.place(placement(account, fields=fields)) for fields in ("{}", "{}", "x" * 50_000, "{}")]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    kept_orders = {order.id for order in await kept.list_orders()}
    assert isinstance(outcomes[2], LedgerBusy)
    assert {outcome.order for outcome in outcomes if isinstance(outcome, Placed)} == kept_orders


async def test_a_read_that_the_file_fails_is_busy_and_no_read_ever_writes(kept: Ledger, database: SQLite) -> None:
    def broken() -> Work[None]:
        yield "SELECT id FROM account", ()
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    with pytest.raises(LedgerBusy, match="disk I/O error"):
        await database.read(broken())
    with pytest.raises(LedgerBusy, match="readonly"):
        await database.read(iter_of("DELETE FROM account"))
    assert await kept.accounts() == ()


@pytest.mark.parametrize("table", ["transfer", "entry", "event"])
@pytest.mark.parametrize("change", ["UPDATE {} SET rowid = rowid", "DELETE FROM {}"])
async def test_money_and_history_are_append_only(kept: Ledger, path: Path, table: str, change: str) -> None:
    await bought(kept, await funded(kept))
    statement = change.format(table).replace("entry SET rowid = rowid", "entry SET amount = amount")
    with _another(path) as other, pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        other.execute(statement)


async def test_a_second_attempt_beside_a_live_one_is_refused_by_the_file_itself(kept: Ledger, path: Path) -> None:
    await bought(kept, await funded(kept))
    with _another(path) as other, pytest.raises(sqlite3.IntegrityError, match=r"attempt\.order_id"):
        other.execute(
            "INSERT INTO attempt (order_id, panel, remote_service, state, cost, evidence, created_ms)"
            " SELECT order_id, 'beta', '1', 'sending', 1, '{}', 1 FROM attempt"
        )


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
        ("UPDATE attempt SET state = 'unknown', remote_id = NULL", "holds 0.000000 for 0.500000"),
        ("UPDATE transfer SET account = 2 WHERE what = 'sale'", "transfer 3: not of the account of order"),
    ],
)
async def test_whatever_does_not_add_up_is_found(kept: Ledger, path: Path, damage: str, finding: str) -> None:
    await bought(kept, await funded(kept))
    await kept.create_account("rival")
    with _another(path) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        for (trigger,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            other.execute(f"DROP TRIGGER {trigger}")
        other.execute(damage)
    assert any(finding in wrong for wrong in (await kept.totals()).wrong)


async def test_an_id_does_not_come_back_when_its_order_is_deleted(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    first = await kept.place(placement(account))
    with _another(path) as other:
        other.execute("DROP TRIGGER event_stays")
        for statement in ("DELETE FROM event", "DELETE FROM attempt", "DELETE FROM orders"):
            other.execute(statement)
    assert (await kept.place(placement(account))).order > first.order


async def test_when_the_ids_are_used_up_nothing_is_taken(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    with _another(path) as other:
        other.execute("UPDATE counter SET value = ?", (ids.LAST,))
    with pytest.raises(LedgerError, match="all ids up to 2147483647 are given"):
        await kept.place(placement(account))
    assert await kept.balance(account.id) == 100


async def test_a_ledger_of_a_newer_program_is_refused(kept: Ledger, path: Path) -> None:
    with _another(path) as other:
        other.execute("INSERT INTO schema VALUES (99, '0099_later', 'x', 1)")
    with pytest.raises(LedgerUnusable, match="schema is version 99, this program knows 1; run the newer program"):
        await ledger(f"sqlite:///{path}").open()


async def test_a_migration_that_was_altered_since_is_refused(kept: Ledger, path: Path) -> None:
    with _another(path) as other:
        other.execute("UPDATE schema SET checksum = 'other' WHERE version = 1")
    with pytest.raises(LedgerUnusable, match="0001_ledger is not the one that was applied"):
        await ledger(f"sqlite:///{path}").open()


async def test_a_migration_is_applied_whole_or_not_at_all(path: Path) -> None:
    first = schema.Migration(1, "0001_one", "CREATE TABLE one (id INTEGER);\n")
    broken = schema.Migration(2, "0002_two", "CREATE TABLE two (id INTEGER);\nCREATE TABLE one (id INTEGER);\n")
    with contextlib.closing(connect(path, busy_ms=50, writes=True)) as db:
        schema.migrate(db, path, (first,), 1)
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(db, path, (first, broken), 2)
        assert db.execute("SELECT version FROM schema").fetchall() == [(1,)]
        assert db.execute("SELECT name FROM sqlite_schema WHERE name = 'two'").fetchall() == []
        mended = schema.Migration(2, "0002_two", "CREATE TABLE two (id INTEGER);\n")
        schema.migrate(db, path, (first, mended), 3)
        assert db.execute("SELECT version, name, applied_ms FROM schema").fetchall()[1] == (2, "0002_two", 3)


def test_a_migration_is_read_statement_by_statement_triggers_whole() -> None:
    trigger = "CREATE TRIGGER t BEFORE UPDATE ON a BEGIN\n  SELECT 1;\n  SELECT 2;\nEND;\n"
    assert list(schema.statements("-- why\nSELECT 1;\n" + trigger)) == ["-- why\nSELECT 1;\n", trigger]
    with pytest.raises(ValueError, match="middle of a statement"):
        list(schema.statements("SELECT 1"))


async def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with _another(path) as other:
        other.execute("CREATE TABLE songs (id INTEGER)")
        with pytest.raises(LedgerUnusable, match="a database of something else; tables: songs"):
            await ledger(f"sqlite:///{path}").open()
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("songs",)]


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(LedgerUnusable, match="file is not a database"):
        await ledger(f"sqlite:///{path}").open()


async def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for where in (tmp_path, tmp_path / "file" / "ledger.db"):
        with pytest.raises(LedgerUnusable, match=str(where)):
            await ledger(f"sqlite:///{where}").open()


async def test_a_file_system_without_a_write_ahead_log_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(sqlite3.Connection):
        def execute(self, sql: str, *_values: object) -> sqlite3.Cursor:
            return super().execute("SELECT 'delete'" if "journal_mode" in sql else sql)

    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: plain(*args, **options, factory=Elsewhere))
    with pytest.raises(LedgerUnusable, match="put the ledger on a local disk"):
        connect(path, busy_ms=50, writes=True)


def test_a_sqlite_too_old_for_the_tables_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(LedgerUnusable, match=r"needs 3\.37"):
        connect(path, busy_ms=50, writes=True)


async def test_opening_a_ledger_that_another_holds_is_busy(path: Path) -> None:
    with _another(path) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusy, match="locked"):
            await SQLite(path, busy_ms=20).open(1)
    with _another(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerBusy, match="locked"):
            await SQLite(path, busy_ms=20).open(1)


async def test_every_commit_is_on_disk_before_it_is_answered(kept: Ledger, database: SQLite) -> None:
    for number, db in enumerate(database._connections):
        asked = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "foreign_keys", "query_only")
        }
        assert asked == {"synchronous": 2, "foreign_keys": 1, "query_only": int(number > 0)}
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_the_file_is_its_owner_s_alone_and_nothing_stays_beside_it(path: Path) -> None:
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    await funded(opened)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["ledger.db", "ledger.db-wal", "ledger.db-shm"], 0o600)
    await opened.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


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
    await kept.observe(placed.order, told(OrderStatus.PARTIAL, remains=3), next_ms=None)
    await kept.postpone([placed.order], 1)
    await kept.open_refill(placed.order, "alpha")
    await kept.recover()
    for db in database._connections:
        db.set_trace_callback(None)
    questions = [sql for sql in asked if sql.split()[0] in {"SELECT", "UPDATE"}]
    assert len(questions) > 12
    with _another(database._path) as other:
        for sql in questions:
            plan = [row[3] for row in other.execute("EXPLAIN QUERY PLAN " + sql)]
            scans = [step for step in plan if step.startswith("SCAN") and "json_each" not in step]
            assert scans == [], (sql, plan)
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (sql, plan)


def _child(what: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ledger_child", what, f"sqlite:///{path}"]
    root = Path(__file__).parent.parent
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


async def test_what_was_answered_before_a_kill_is_there_after_it(path: Path) -> None:
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    await funded(opened, "1000000")
    await opened.close()
    with _child("place", path) as child:
        assert child.stdout is not None
        told_ids = [int(child.stdout.readline()) for _ in range(200)]
        os.kill(child.pid, signal.SIGKILL)
        told_ids += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    totals = await opened.totals()
    orders = await opened.list_orders(limit=10**6)
    assert {order.id for order in orders} >= set(told_ids)
    assert len(set(told_ids)) == len(told_ids)
    assert (totals.wrong, totals.attempts) == ((), {"sending": len(orders)})
    assert await opened.recover() == len(orders)
    [attempt] = await opened.attempts(told_ids[0])
    assert attempt.state is AttemptState.UNKNOWN
    account = await opened.account("shop")
    assert account is not None
    assert (await opened.place(placement(account))).order > max(order.id for order in orders)
    await opened.close()


def test_processes_that_open_a_new_ledger_at_once_all_succeed(path: Path) -> None:
    children = [_child("open", path) for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        with child:
            assert child.wait(30) == 0
    with _another(path) as other:
        assert other.execute("SELECT name, available FROM account").fetchall() == [("shop", 4_000_000)]
        assert other.execute("SELECT COUNT(*) FROM schema").fetchone() == (1,)


async def test_a_command_line_writes_beside_a_process_that_sells(path: Path) -> None:
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    account = await funded(opened, "50")
    with _child("open", path) as child:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        placed = 0
        while child.poll() is None or placed < 50:
            await opened.place(placement(account))
            placed += 1
            if placed == 100:
                break
        assert await asyncio.to_thread(child.wait, 30) == 0
    assert await opened.balance(account.id) == 51 - placed * Decimal("0.5")
    await opened.close()
