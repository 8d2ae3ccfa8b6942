"""A group of works in one transaction: many orders share one write to disk, and each still stands or falls alone."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from gateway.ledger.records import LedgerError
from gateway.ledger.sql.work import T, Taken, Work
from gateway.ledger.sqlite.connection import busy, passing
from gateway.ledger.sqlite.lane import Outcome

_TAKEN = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


def commit(db: sqlite3.Connection, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
    """Run works that write, each behind a savepoint, and commit once. If that fails nothing is kept, and all know."""
    return _together(db, "BEGIN IMMEDIATE", _alone, works)


def look(db: sqlite3.Connection, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
    """Run works that only read, all at one moment of the ledger."""
    return _together(db, "BEGIN", _told, works)


def _together(
    db: sqlite3.Connection,
    begin: str,
    run: Callable[[sqlite3.Connection, Work[Any]], Outcome],
    works: Sequence[Work[Any]],
) -> Sequence[Outcome]:
    try:
        db.execute(begin)
        outcomes = [run(db, work) for work in works]
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return [(None, busy(error)) for _ in works]
    return outcomes


def _alone(db: sqlite3.Connection, work: Work[Any]) -> Outcome:
    """One work of the group; if it raises, what it wrote is taken back, and what the others wrote is not."""
    db.execute("SAVEPOINT alone")
    outcome = _told(db, work)
    if outcome[1] is not None:
        db.execute("ROLLBACK TO alone")
    db.execute("RELEASE alone")
    return outcome


def _told(db: sqlite3.Connection, work: Work[Any]) -> Outcome:
    """What the work answers or raises; a fault of the file or the disk is no answer, and ends the whole group."""
    try:
        return drive(db, work), None
    except sqlite3.Error as error:
        if passing(error):
            raise
        if isinstance(error, sqlite3.IntegrityError):
            refused = LedgerError(f"ledger: refused by its own rules: {error}")
            refused.__cause__ = error
            return None, refused
        return None, error
    except Exception as error:  # noqa: BLE001 - whatever a work raises is its caller's, and the thread lives on
        return None, error


def drive(db: sqlite3.Connection, work: Work[T]) -> T:
    """Run the statements a work asks for until it returns."""
    try:
        statement, values = next(work)
        cursor = db.cursor()
        while True:
            try:
                rows = cursor.execute(statement, values).fetchall()
            except sqlite3.IntegrityError as error:
                if error.sqlite_errorcode not in _TAKEN:
                    raise
                statement, values = work.throw(Taken(str(error)))
            else:
                statement, values = work.send(rows)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
