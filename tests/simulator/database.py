"""Databases that do each work at once, in the loop that asks: the real statements, migrations and rules."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg

from gateway.ledger.postgres import connection, transactions
from gateway.ledger.postgres import schema as tables
from gateway.ledger.records import LedgerBusy
from gateway.ledger.sql.work import P, T, Work
from gateway.ledger.sqlite import groups, schema

R = TypeVar("R")


class Store(Protocol):
    """What outlives the process that is simulated. A work gives its answer, or raises."""

    def migrate(self, now_ms: int) -> None: ...

    def look(self, work: Work[T]) -> T: ...

    def commit(self, work: Work[T]) -> T: ...

    def close(self) -> None: ...


class Inline:
    """`Database` on a store.

    `crashes` is asked after each commit: the process may end there, and nobody hears of it; `is_busy` before it.
    """

    def __init__(self, store: Store, *, crashes: Callable[[], bool], is_busy: Callable[[], bool]) -> None:
        self._store = store
        self._crashes = crashes
        self._is_busy = is_busy
        self._dead = False

    async def open(self, now_ms: int) -> None:
        self._store.migrate(now_ms)

    async def close(self) -> None:
        self._dead = True

    def kill(self) -> None:
        """From now on nothing is written, and nothing is answered."""
        self._dead = True

    def read(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> "asyncio.Future[T]":
        return self._answer(self._store.look, work(*given, **named))

    def write(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> "asyncio.Future[T]":
        if not self._dead and self._is_busy():
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            future.set_exception(LedgerBusy("simulated"))
            return future
        future = self._answer(self._store.commit, work(*given, **named))
        if not self._dead and self._crashes():
            self._dead = True
            return asyncio.get_running_loop().create_future()
        return future

    def _answer(self, run: Callable[[Work[T]], T], work: Work[T]) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if not self._dead:
            try:
                future.set_result(run(work))
            except Exception as error:  # noqa: BLE001 - whatever a work raises is its caller's
                future.set_exception(error)
        return future


class Memory:
    """SQLite in memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA temp_store = MEMORY")

    def migrate(self, now_ms: int) -> None:
        schema.migrate(self._db, Path("memory"), schema.migrations(), now_ms)

    def look(self, work: Work[T]) -> T:
        given: T = _given(groups.look(self._db, [work]))
        return given

    def commit(self, work: Work[T]) -> T:
        given: T = _given(groups.commit(self._db, [work]))
        return given

    def close(self) -> None:
        self._db.close()


def _given(outcomes: Any) -> Any:
    """What the only work answered; raises what it raised."""
    [(answer, error)] = outcomes
    if error is not None:
        raise error
    return answer


class Server:
    """PostgreSQL at a URL: one connection, in a loop of its own in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated-ledger", daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection[asyncpg.Record] = self._done(connection.connect(url))

    def migrate(self, now_ms: int) -> None:
        self._done(tables.migrate(self._connection, tables.migrations(), now_ms))

    def look(self, work: Work[T]) -> T:
        return self._done(transactions.read(self._connection, work))

    def commit(self, work: Work[T]) -> T:
        return self._done(transactions.write(self._connection, work))

    def close(self) -> None:
        self._done(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _done(self, asked: Coroutine[Any, Any, R] | Generator[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()  # type: ignore[arg-type]
