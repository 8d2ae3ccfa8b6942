"""A ledger in SQLite, copied into an empty one in PostgreSQL: all of it or nothing, and held against the first.

Who calls holds the lock of the one that is copied, so that nothing is written there meanwhile. It is marked as moved
before the copy is there: no gateway sells from it again. Where the copy does not come to an end after all, the mark
stays, and it may be copied again.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.ledger.postgres import schema as there
from gateway.ledger.postgres.connection import connect as reach
from gateway.ledger.postgres.connection import told
from gateway.ledger.records import LedgerError
from gateway.ledger.sql import nodes
from gateway.ledger.sqlite import schema as here
from gateway.ledger.sqlite.connection import connect as read
from gateway.redis_url import shown

_ROWS: Final = 2_000
"""Rows that are sent at once."""

_NOT_COPIED: Final = frozenset({"schema", "counter"})
_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
_COLUMNS: Final = """
    SELECT table_name::TEXT, column_name::TEXT, is_identity = 'YES' FROM information_schema.columns
    WHERE table_schema = current_schema()"""
_RANGES: Final = "SELECT ledger_ranges($1)"
_NOT_EMPTY: Final = "SELECT (SELECT COUNT(*) FROM account) + (SELECT COUNT(*) FROM meta) + (SELECT COUNT(*) FROM node)"
_MOVED: Final = """
    INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
_RISE: Final = "SELECT setval(pg_get_serial_sequence($1, 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM {}), false)"
_RISE_TO: Final = "SELECT setval($1::TEXT::regclass, $2)"
_SUMS: Final = (
    "SELECT COUNT(*) FROM orders",
    "SELECT COALESCE(SUM(charge), 0) FROM orders",
    "SELECT COALESCE(SUM(refunded), 0) FROM orders",
    "SELECT COUNT(*) FROM attempt WHERE remote_id IS NOT NULL",
    "SELECT COALESCE(SUM(amount), 0) FROM entry",
    "SELECT COALESCE(SUM(amount), 0) FROM entry WHERE amount > 0",
    "SELECT COALESCE(SUM(available), 0) FROM account",
    "SELECT COALESCE(SUM(held), 0) FROM account",
)

Watch = Callable[[int, int], None]
"""Called after each step with the rows that remain, and all of them."""


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied: rows by table."""

    rows: dict[str, int]


class NotEmpty(LedgerError):
    """There is something in the ledger that should be copied into."""


async def copy(source: Path, url: str, now_ms: int, watch: Watch = lambda _left, _all: None) -> Copied:
    """Copy the file at `source` into the database at `url`, and hold sums and counts of both against each other.

    Raises:
        NotEmpty: it is sold from already; nothing was changed.
        LedgerError, LedgerBusy: it did not come to an end, or came out otherwise; nothing was copied.
    """
    with contextlib.closing(read(source, busy_ms=5000, writes=True)) as db:
        here.migrate(db, source, here.migrations(), now_ms)
        db.execute("BEGIN")
        try:
            connection = await reach(url)
        except Exception as error:
            raise told(error) from error
        try:
            await there.migrate(connection, there.migrations(), now_ms)
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                copied = await _copied(db, connection, watch)
                db.execute("ROLLBACK")
                db.execute(_MOVED, (nodes.MOVED, shown(url)))  # before there are two that could be sold from
            return copied
        except LedgerError:
            raise
        except Exception as error:
            raise told(error) from error
        finally:
            connection.terminate()


async def _copied(db: sqlite3.Connection, connection: Any, watch: Watch) -> Copied:
    [(known,)] = await connection.fetch(_NOT_EMPTY)
    if known:
        raise NotEmpty("the ledger to copy into is not empty: take a fresh database, on which no gateway was started")
    columns: dict[str, dict[str, bool]] = {}
    for table, column, is_identity in await connection.fetch(_COLUMNS):
        columns.setdefault(table, {})[column] = is_identity
    [(highest,)] = db.execute("SELECT COALESCE(MAX(id), 0) FROM orders").fetchall()
    await connection.fetch(_RANGES, highest + 16_777_216)
    tables = [name for (name,) in db.execute(_TABLES) if name not in _NOT_COPIED]
    sizes = {name: db.execute(f'SELECT COUNT(*) FROM "{name}"{_only(name)}').fetchone()[0] for name in tables}  # noqa: S608 - ours
    total, done = sum(sizes.values()), 0
    for table in tables:
        names = [column for _, column, *_ in db.execute(f'PRAGMA table_info("{table}")')]
        missing = set(names) - columns.get(table, {}).keys()
        if missing:
            raise LedgerError(f"{table}: there is no place for {', '.join(sorted(missing))}")
        for rows in _pages(db, table, names):
            await connection.copy_records_to_table(table, records=rows, columns=names)
            done += len(rows)
            watch(total - done, total)
        if columns[table].get("id"):
            await connection.fetch(_RISE.format(f'"{table}"'), table)
    await _rise(db, connection)
    await _compare(db, connection, sizes)
    return Copied(rows=sizes)


def _pages(db: sqlite3.Connection, table: str, names: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    listed = ", ".join(f'"{name}"' for name in names)
    cursor = db.execute(f'SELECT {listed} FROM "{table}"{_only(table)}')  # noqa: S608 - names of our own tables
    while rows := cursor.fetchmany(_ROWS):
        yield rows


def _only(table: str) -> str:
    """What of a table is copied: all of it, but for the mark of an earlier copy that did not come to an end."""
    return f" WHERE name <> '{nodes.MOVED}'" if table == "meta" else ""


async def _rise(db: sqlite3.Connection, connection: Any) -> None:
    """Go on above every id that was given."""
    for kind, value in db.execute("SELECT name, value FROM counter").fetchall():
        await connection.fetch(_RISE_TO, f"{kind}_ids", value)
    [(attempt,)] = db.execute("""
        SELECT MAX(COALESCE((SELECT MAX(id) FROM attempt), 0),
                   COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'last_attempt'), 0))""").fetchall()
    await connection.fetch(_RISE_TO, "attempt_ids", max(attempt, 1))


async def _compare(db: sqlite3.Connection, connection: Any, sizes: dict[str, int]) -> None:
    for table, size in sizes.items():
        [(copied,)] = await connection.fetch(f'SELECT COUNT(*) FROM "{table}"')  # noqa: S608 - a table of ours
        if copied != size:
            raise LedgerError(f"{table}: {size} rows, and {copied} in the copy")
    for question in _SUMS:
        [(mine,)] = db.execute(question).fetchall()
        [(theirs,)] = await connection.fetch(question)
        if int(mine) != int(theirs):
            raise LedgerError(f"{question}: {mine}, and {theirs} in the copy")
