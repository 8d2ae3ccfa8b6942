"""One work as one transaction: run to its end and committed; and known to be, also where that answer is lost.

The id of a transaction tells whether it is still under way, and no more: a server that crashed gives to others the ids
of those that it lost. So each run of a work draws a mark, and writes it beside the lines of history that it appends. It
was committed if, and only if, its mark is there once it is under way no more.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import msgspec

from gateway.ledger.postgres.connection import rows
from gateway.ledger.postgres.dialect import TELLING, spoken
from gateway.ledger.records import LedgerBusy
from gateway.ledger.sql.work import T, Taken, Work

_STATUS: Final = "SELECT pg_xact_status($1::TEXT::xid8)"
_THERE: Final = "SELECT 1 FROM event WHERE order_id = $1 AND mark = $2 LIMIT 1"
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LONG: Final = "; SET LOCAL statement_timeout = 0"
WORK_S: Final = 15.0
COMMIT_S: Final = 10.0
"""A server that says nothing for so long is taken for gone, and asked again on another connection."""

_UNDECIDED_S: Final = 0.05  # before a transaction that is still under way is asked about again

UNTOLD: Final = "the answer to a commit was lost, and whether it was kept is not known"


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction leaves if it is committed: its mark, in the history of an order. `xid` is its id."""

    xid: str
    order: int
    mark: int


class Undecided(Exception):
    """The way to the server broke while it was asked to commit. `answer` is right if it did.

    `trace` is None where it changed the history of no order: nobody can tell then.
    """

    def __init__(self, trace: Trace | None, answer: Any) -> None:
        super().__init__("the answer to a commit was lost")
        self.trace = trace
        self.answer = answer


class _Run:
    """A work under way on a connection."""

    def __init__(self, connection: Any, *, reads: bool = False) -> None:
        self._connection = connection
        self._reads = reads
        self._mark = secrets.randbits(63)
        self.trace: Trace | None = None

    async def drive(self, work: Work[T]) -> T:
        """Run the statements a work asks for until it returns."""
        try:
            statement, values = next(work)
            while True:
                tells = statement == TELLING
                try:
                    given = (*values, self._mark) if tells else values
                    found = await rows(self._connection, spoken(statement, reads=self._reads), given)
                except asyncpg.UniqueViolationError as error:
                    statement, values = work.throw(Taken(str(error)))
                    continue
                if tells:
                    self.trace = Trace(xid=found[0][0], order=values[0], mark=self._mark)  # type: ignore[arg-type]
                    found = []
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
        async with within(WORK_S, connection):
            await connection.execute("BEGIN")
            answer = await run.drive(work)
    except BaseException:
        await rolled_back(connection)
        raise
    try:
        async with asyncio.timeout(COMMIT_S):
            if await connection.execute("COMMIT") != "COMMIT":  # nothing was kept, and nobody was told so before
                raise LedgerBusy("ledger: a transaction could not be committed")
    except Exception as error:
        if isinstance(error, TimeoutError) or connection.is_closed():
            connection.terminate()
            raise Undecided(run.trace, answer) from error
        await rolled_back(connection)
        raise
    return answer


class _Asks(Exception):
    """A read asks for more than one statement."""


async def read_one(connection: Any, work: Work[T]) -> T | type[_Asks]:
    """Run a work that asks for one statement, which sees one moment by itself; or `MORE`, and nothing is done."""
    try:
        statement, values = next(work)
        async with within(WORK_S, connection):
            found = await rows(connection, spoken(statement, reads=True), values)
        work.send(found)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    work.close()
    return MORE


MORE: Final = _Asks


async def read(connection: Any, work: Work[T], *, long: bool = False) -> T:
    """Run a work that reads, at one moment of the ledger; a `long` one takes as long as it takes."""
    try:
        async with within(None if long else WORK_S, connection):
            await connection.execute(_READ + _LONG if long else _READ)
            return await _Run(connection, reads=True).drive(work)
    finally:
        await rolled_back(connection)


async def committed(connection: Any, undecided: Undecided) -> bool:
    """Whether a transaction whose commit was not answered was committed.

    Raises:
        LedgerBusy: nobody can tell.
    """
    trace = undecided.trace
    if trace is None:
        raise LedgerBusy(f"ledger: {UNTOLD}") from undecided.__cause__
    async with within(COMMIT_S, connection):
        while True:
            if not await _is_under_way(connection, trace.xid):
                return bool(await rows(connection, _THERE, (trace.order, trace.mark)))
            await asyncio.sleep(_UNDECIDED_S)


async def _is_under_way(connection: Any, xid: str) -> bool:
    try:
        [(status,)] = await rows(connection, _STATUS, (xid,))
    except asyncpg.InvalidParameterValueError:  # the server crashed, and has not come to this id again
        return False
    return bool(status == "in progress")


@contextlib.asynccontextmanager
async def within(seconds: float | None, connection: Any) -> AsyncIterator[None]:
    """A server that says nothing for so long is taken for gone."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        connection.terminate()
        raise


async def rolled_back(connection: Any) -> None:
    """Let go of the transaction; a connection that cannot even do that is given up."""
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(COMMIT_S):
            await connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - what was wrong before is what is told
        connection.terminate()
