"""The tables, brought up to date by numbered files. Each one applied is remembered with its checksum.

An older program refuses a ledger that a newer one migrated, and every program one whose migrations are not those it
knows. It is one transaction that takes the write lock first: of two processes that open a new file, one waits.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway.ledger.records import LedgerUnusable
from gateway.ledger.sql import migrations as files
from gateway.ledger.sql.migrations import Migration

_APPLIED = """
    CREATE TABLE IF NOT EXISTS schema (
        version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_ms INTEGER NOT NULL
    ) STRICT"""
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"


def migrations() -> Sequence[Migration]:
    """Those this program knows, oldest first."""
    return files.known("gateway.ledger.sqlite")


def migrate(db: sqlite3.Connection, path: Path, known: Sequence[Migration], now_ms: int) -> None:
    """Apply what is missing, all or nothing.

    Raises:
        LedgerUnusable: no ledger of ours, a newer one, or an altered one; nothing was changed.
    """
    db.execute("PRAGMA foreign_keys = OFF")  # a table that others refer to may be made anew; checked below
    try:
        _migrate(db, path, known, now_ms)
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def _migrate(db: sqlite3.Connection, path: Path, known: Sequence[Migration], now_ms: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        applied = _applied(db, path)
        files.compare(str(path), applied, known)
        for migration in known:
            if migration.version not in applied:
                for statement in statements(migration.text):
                    db.execute(statement)
                row = (migration.version, migration.name, migration.checksum(), now_ms)
                db.execute("INSERT INTO schema (version, name, checksum, applied_ms) VALUES (?, ?, ?, ?)", row)
        if len(applied) < len(known) and (astray := db.execute("PRAGMA foreign_key_check").fetchall()):
            raise LedgerUnusable(f"{path}: rows that refer to nothing: {astray[:5]}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def statements(text: str) -> Iterator[str]:
    """A migration's statements one by one: a script run at once would commit before it begins."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError("a migration ends in the middle of a statement")


def _applied(db: sqlite3.Connection, path: Path) -> Mapping[int, str]:
    """Checksums by version."""
    tables = {name for (name,) in db.execute(_TABLES)}
    if tables and "schema" not in tables:
        raise LedgerUnusable(f"{path}: a database of something else; tables: {', '.join(sorted(tables))}")
    db.execute(_APPLIED)
    return dict(db.execute("SELECT version, checksum FROM schema").fetchall())
