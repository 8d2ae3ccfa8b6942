"""SQLite in memory, driven at once and in place of threads: the real statements, migrations and rules."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.ledger.records import LedgerBusy
from gateway.ledger.sql.work import P, T, Work
from gateway.ledger.sqlite import groups, schema


class Inline:
    """`Database` on a connection that outlives the process that is simulated.

    `crashes` is asked after each commit: the process may end there, and nobody hears of it; `is_busy` before it.
    """

    def __init__(self, db: sqlite3.Connection, *, crashes: Callable[[], bool], is_busy: Callable[[], bool]) -> None:
        self._db = db
        self._crashes = crashes
        self._is_busy = is_busy
        self._dead = False

    async def open(self, now_ms: int) -> None:
        schema.migrate(self._db, Path("memory"), schema.migrations(), now_ms)

    async def close(self) -> None:
        self._dead = True

    def kill(self) -> None:
        """From now on nothing is written, and nothing is answered."""
        self._dead = True

    def read(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> "asyncio.Future[T]":
        return self._answer(groups.look, work(*given, **named))

    def write(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> "asyncio.Future[T]":
        if not self._dead and self._is_busy():
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            future.set_exception(LedgerBusy("simulated"))
            return future
        future = self._answer(groups.commit, work(*given, **named))
        if not self._dead and self._crashes():
            self._dead = True
            return asyncio.get_running_loop().create_future()
        return future

    def _answer(self, run: Callable[[sqlite3.Connection, list[Work[Any]]], Any], work: Work[T]) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if not self._dead:
            [(answer, error)] = run(self._db, [work])
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)
        return future


def memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA temp_store = MEMORY")
    return db
