"""SQLite as the ledger's database: one thread that writes, a few that read."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.ledger.records import LedgerBusy, LedgerError, LedgerUnusable
from gateway.ledger.sql.work import P, T, Work
from gateway.ledger.sqlite import groups, schema
from gateway.ledger.sqlite.connection import busy, connect
from gateway.ledger.sqlite.lane import Lane, Outcome

_READERS: Final = 3
_WRITES: Final = 256  # at most so many transactions share a commit
_READS: Final = 32


class SQLite:
    """The file at `path`. `busy_ms` is how long another process's write is waited for before the ledger is busy."""

    def __init__(self, path: Path, *, busy_ms: int = 5000) -> None:
        self._path = path
        self._busy_ms = busy_ms
        self._connections: list[sqlite3.Connection] = []
        self._opened: tuple[int, int] | None = None
        self._writer: Lane | None = None
        self._readers: Lane | None = None

    async def open(self, now_ms: int) -> None:
        await asyncio.to_thread(self._connect, now_ms)
        self._writer = Lane("ledger-write", self._connections[:1], self._commit, most=_WRITES)
        self._readers = Lane("ledger-read", self._connections[1:], groups.look, most=_READS)

    async def close(self) -> None:
        """Do what was submitted, move the log into the file, and let go of it. Closing twice is closing once."""
        for lane in (self._writer, self._readers):
            if lane is not None:
                await lane.close()
        await asyncio.to_thread(self._disconnect)

    def read(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        return _open(self._readers).submit(work(*given, **named))

    def write(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        return _open(self._writer).submit(work(*given, **named))

    def _commit(self, db: sqlite3.Connection, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
        """Write, unless the file is gone or another stands in its place: what is written then would go with it."""
        if _identity(self._path) != self._opened:
            lost = LedgerBusy(f"{self._path}: it was removed or replaced; stop, put the ledger back, start")
            return [(None, lost) for _ in works]
        return groups.commit(db, works)

    def _connect(self, now_ms: int) -> None:
        try:
            writer = connect(self._path, busy_ms=self._busy_ms, writes=True)
            self._connections.append(writer)
            schema.migrate(writer, self._path, schema.migrations(), now_ms)
            self._opened = _identity(self._path)
            for _ in range(_READERS):
                self._connections.append(connect(self._path, busy_ms=self._busy_ms, writes=False))
        except sqlite3.Error as error:
            self._disconnect()
            raise _refusal(self._path, error) from error
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        connections, self._connections = self._connections, []
        for number, db in reversed(list(enumerate(connections))):
            if number == 0:
                _checkpoint(db)
            db.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(lane: Lane | None) -> Lane:
    if lane is None:
        raise LedgerBusy("ledger: it is not open")
    return lane


def _refusal(path: Path, error: sqlite3.Error) -> LedgerError:
    """Another process in the way is waited for elsewhere; a file that SQLite cannot open is for people to look at."""
    if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return busy(error)
    return LedgerUnusable(f"{path}: {error}")


def _checkpoint(db: sqlite3.Connection) -> None:
    """Move the log into the file. Where another process still reads, it stays as it is, and nothing is lost."""
    with suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
