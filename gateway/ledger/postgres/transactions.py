"""One work as one transaction: run to its end and committed; and known to be, also where that answer is lost."""

import asyncio
from typing import Any, Final

import asyncpg

from gateway.ledger.postgres.connection import rows
from gateway.ledger.postgres.dialect import TELLING, spoken
from gateway.ledger.records import LedgerBusy
from gateway.ledger.sql.work import T, Taken, Work

_STATUS: Final = "SELECT pg_xact_status($1::TEXT::xid8)"
WORK_S: Final = 15.0
COMMIT_S: Final = 10.0
"""A server that says nothing for so long is taken for gone, and asked again on another connection."""

_UNDECIDED_S: Final = 0.05  # before a transaction that is still under way is asked about again


class Undecided(Exception):
    """The way to the server broke while it was asked to commit. `answer` is right if it did."""

    def __init__(self, xid: str | None, answer: Any) -> None:
        super().__init__("the answer to a commit was lost")
        self.xid = xid
        self.answer = answer


class _Run:
    """A work under way on a connection."""

    def __init__(self, connection: Any, *, reads: bool = False) -> None:
        self._connection = connection
        self._reads = reads
        self.xid: str | None = None

    async def drive(self, work: Work[T]) -> T:
        """Run the statements a work asks for until it returns."""
        try:
            statement, values = next(work)
            while True:
                try:
                    found = await rows(self._connection, spoken(statement, reads=self._reads), values)
                except asyncpg.UniqueViolationError as error:
                    statement, values = work.throw(Taken(str(error)))
                    continue
                if statement in TELLING:
                    self.xid, found = found[0][0], []
                statement, values = work.send(found)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


async def write(connection: Any, work: Work[T]) -> T:
    """Run a work in a transaction of its own; what it raises has changed nothing.

    Raises:
        Undecided: it may have been committed.
    """
    run = _Run(connection)
    try:
        async with asyncio.timeout(WORK_S):
            await connection.execute("BEGIN")
            answer = await run.drive(work)
    except TimeoutError:
        connection.terminate()
        raise
    except BaseException:
        await rolled_back(connection)
        raise
    try:
        async with asyncio.timeout(COMMIT_S):
            await connection.execute("COMMIT")
    except Exception as error:
        if isinstance(error, TimeoutError) or connection.is_closed():
            connection.terminate()
            raise Undecided(run.xid, answer) from error
        await rolled_back(connection)
        raise
    return answer


class _Asks(Exception):
    """A read asks for more than one statement."""


async def read_one(connection: Any, work: Work[T]) -> T | type[_Asks]:
    """Run a work that asks for one statement, which sees one moment by itself; or `MORE`, and nothing is done."""
    try:
        statement, values = next(work)
        found = await rows(connection, spoken(statement, reads=True), values)
        work.send(found)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    work.close()
    return MORE


MORE: Final = _Asks


async def read(connection: Any, work: Work[T]) -> T:
    """Run a work that reads, at one moment of the ledger."""
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0")
    try:
        return await _Run(connection, reads=True).drive(work)
    finally:
        await rolled_back(connection)


async def committed(connection: Any, undecided: Undecided) -> bool:
    """Whether a transaction whose commit was not answered was committed.

    Raises:
        LedgerBusy: nobody can tell.
    """
    if undecided.xid is None:
        raise LedgerBusy("ledger: the answer to a commit was lost") from undecided.__cause__
    while True:
        [(status,)] = await rows(connection, _STATUS, (undecided.xid,))
        if status != "in progress":
            return bool(status == "committed")
        await asyncio.sleep(_UNDECIDED_S)


async def rolled_back(connection: Any) -> None:
    """Let go of the transaction; a connection that cannot even do that is given up."""
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(COMMIT_S):
            await connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - what was wrong before is what is told
        connection.terminate()
