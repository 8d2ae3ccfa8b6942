"""Threads that take work from one queue, as much as has gathered while they were busy, and answer it together."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

from gateway.ledger.records import LedgerBusy
from gateway.ledger.sql.work import T, Work

Job: TypeAlias = tuple[Work[Any], asyncio.Future[Any]]
Outcome: TypeAlias = tuple[Any, BaseException | None]
Run: TypeAlias = Callable[[sqlite3.Connection, Sequence[Work[Any]]], Sequence[Outcome]]

_END: Final = None


class Lane:
    """One thread a connection. `run` answers a group of at most `most` works."""

    def __init__(self, name: str, connections: Sequence[sqlite3.Connection], run: Run, *, most: int) -> None:
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._run = run
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(db,), name=f"{name}-{number}", daemon=True)
            for number, db in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        if self._closed:
            raise LedgerBusy("ledger: it is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((work, future))
        return future

    async def close(self) -> None:
        """Do all that was submitted, then end."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(_END)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _work(self, db: sqlite3.Connection) -> None:
        going = True
        while going:
            group, going = self._gathered()
            if group:
                outcomes = self._outcomes(db, [work for work, _ in group])
                answers = [(future, *outcome) for (_, future), outcome in zip(group, outcomes, strict=True)]
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(_answer, answers)

    def _outcomes(self, db: sqlite3.Connection, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
        try:
            return self._run(db, works)
        except Exception as error:  # noqa: BLE001 - a thread that ends would leave every later caller waiting for ever
            return [(None, error) for _ in works]

    def _gathered(self) -> tuple[list[Job], bool]:
        """Wait for work and take what is there; and whether there is more to come."""
        group: list[Job] = []
        job = self._queue.get()
        while job is not _END:
            group.append(job)
            if len(group) == self._most:
                return group, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False


def _answer(answers: Sequence[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    """Runs in the loop. A future that is done was cancelled: its work stands, and nobody asks for the answer."""
    for future, value, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
