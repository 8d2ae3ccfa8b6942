"""Opening: the schema and its migrations, what is refused, how the file is kept."""

import contextlib
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy, LedgerUnusable
from gateway.ledger.sql import ids
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sql.migrations import Migration
from gateway.ledger.sql.work import Work
from gateway.ledger.sqlite import schema
from gateway.ledger.sqlite.connection import connect
from gateway.ledger.sqlite.database import SQLite
from tests.test_ledger.samples import funded
from tests.test_ledger_sqlite.files import another

pytestmark = pytest.mark.anyio


async def test_a_ledger_of_a_newer_program_is_refused(kept: Ledger, path: Path) -> None:
    with another(path) as other:
        other.execute("INSERT INTO schema VALUES (99, '0099_later', 'x', 1)")
    with pytest.raises(LedgerUnusable, match="schema is version 99, this program knows 6; run the newer program"):
        await ledger(f"sqlite:///{path}").open()


async def test_a_migration_that_was_altered_since_is_refused(kept: Ledger, path: Path) -> None:
    with another(path) as other:
        other.execute("UPDATE schema SET checksum = 'other' WHERE version = 1")
    with pytest.raises(LedgerUnusable, match="0001_ledger is not the one that was applied"):
        await ledger(f"sqlite:///{path}").open()


async def test_a_migration_is_applied_whole_or_not_at_all(path: Path) -> None:
    first = Migration(1, "0001_one", "CREATE TABLE one (id INTEGER);\n")
    broken = Migration(2, "0002_two", "CREATE TABLE two (id INTEGER);\nCREATE TABLE one (id INTEGER);\n")
    with contextlib.closing(connect(path, busy_ms=50, writes=True)) as db:
        schema.migrate(db, path, (first,), 1)
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(db, path, (first, broken), 2)
        assert db.execute("SELECT version FROM schema").fetchall() == [(1,)]
        assert db.execute("SELECT name FROM sqlite_schema WHERE name = 'two'").fetchall() == []
        mended = Migration(2, "0002_two", "CREATE TABLE two (id INTEGER);\n")
        schema.migrate(db, path, (first, mended), 3)
        assert db.execute("SELECT version, name, applied_ms FROM schema").fetchall()[1] == (2, "0002_two", 3)


def test_a_migration_is_read_statement_by_statement_triggers_whole() -> None:
    trigger = "CREATE TRIGGER t BEFORE UPDATE ON a BEGIN\n  SELECT 1;\n  SELECT 2;\nEND;\n"
    assert list(schema.statements("-- why\nSELECT 1;\n" + trigger)) == ["-- why\nSELECT 1;\n", trigger]
    with pytest.raises(ValueError, match="middle of a statement"):
        list(schema.statements("SELECT 1"))


async def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with another(path) as other:
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
    for where in (tmp_path, tmp_path / "file" / "ledger.db", tmp_path / "file" / "folder" / "ledger.db"):
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


def test_another_process_that_switches_the_log_at_this_moment_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = 2

    class Raced(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            nonlocal refusals
            if "journal_mode" in sql and refusals:
                refusals -= 1
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(sql, *values)

    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: plain(*args, **options, factory=Raced))
    with contextlib.closing(connect(path, busy_ms=5000, writes=True)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert refusals == 0


def test_a_sqlite_too_old_for_the_tables_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(LedgerUnusable, match=r"needs 3\.37"):
        connect(path, busy_ms=50, writes=True)


async def test_opening_a_ledger_that_another_holds_is_busy(path: Path) -> None:
    with another(path) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusy, match="locked"):
            await SQLite(path, busy_ms=20).open(1)
    with another(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerBusy, match="locked"):
            await SQLite(path, busy_ms=20).open(1)


async def test_an_opening_that_fails_half_way_leaves_neither_thread_nor_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin() -> Work[None]:
        yield "SELECT name FROM counter", ()
        raise LedgerBusy("ledger: database is locked")

    monkeypatch.setattr(ids, "begin", begin)
    before = set(threading.enumerate())
    database = SQLite(path)
    with pytest.raises(LedgerBusy, match="locked"):
        await SQLLedger(database, lambda: 1).open()
    assert database._connections == []
    assert {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("ledger-")} == set()


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
