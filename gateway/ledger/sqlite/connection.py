"""One connection to the file, and what SQLite's errors mean for the ledger."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from gateway.ledger.records import LedgerBusy, LedgerUnusable

_OLDEST: Final = (3, 37, 0)  # the first with STRICT tables; RETURNING is older
_WAL_BYTES: Final = 64 * 1024 * 1024  # what the log keeps on disk after a checkpoint
_CACHE_KIB: Final = 32 * 1024

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""The file, the disk or another process is in the way; anything else is a mistake in the work itself."""


def connect(path: Path, *, busy_ms: int, writes: bool) -> sqlite3.Connection:
    """Open the file, made readable to its owner alone where it is new; each commit is on disk before it is answered."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise LedgerUnusable(f"SQLite {sqlite3.sqlite_version}: the ledger needs 3.37 or newer")
    _create(path)
    db = sqlite3.connect(
        path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        if writes:
            _write_ahead(db, path, busy_ms)
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA temp_store = MEMORY")  # what a savepoint can take back is kept there
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        db.execute(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    except BaseException:
        db.close()
        raise
    return db


def passing(error: sqlite3.Error) -> bool:
    """Whether the same work may well be done later."""
    code = getattr(error, "sqlite_errorcode", None)  # absent where no call into SQLite failed
    return code is not None and code & 0xFF in _PASSING


def busy(error: sqlite3.Error) -> LedgerBusy:
    told = LedgerBusy(f"ledger: {error}")
    told.__cause__ = error
    return told


def _create(path: Path) -> None:
    """Make the file if it is not there. One that is stays closed: closing it would drop the locks SQLite has on it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise LedgerUnusable(f"{path}: {error.strerror}") from error


def _write_ahead(db: sqlite3.Connection, path: Path, busy_ms: int) -> None:
    """Switch to the write-ahead log; wait, as SQLite does not, for another process that switches at this moment."""
    deadline = time.monotonic() + busy_ms / 1000
    while True:
        try:
            [mode] = db.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not passing(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
            continue
        if mode != "wal":
            raise LedgerUnusable(f"{path}: this file system carries no write-ahead log; put the ledger on a local disk")
        return
