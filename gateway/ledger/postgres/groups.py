"""Several works in one transaction: many orders share one commit, and one change of a hot account's row.

Each work is driven to its end. What it writes, and no work reads, is put off, and then written for all of them at once;
an account's row is changed last but for the commit, once, by all that they move, and accounts in the order of their
ids: no two groups wait for each other. If anything of it fails, all of it is taken back, and each work is done by
itself (`transactions.write`), where a failure is its own. What an account spends in a day is written after its row, as
by a work alone.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.ledger.postgres.connection import passing, rows
from gateway.ledger.postgres.dialect import AFTER_MOVES, APART, PUT_OFF, TELLING, spoken
from gateway.ledger.postgres.transactions import COMMIT_S, WORK_S, Trace, Undecided, rolled_back, within
from gateway.ledger.records import LedgerBusy, LedgerError
from gateway.ledger.sql import books, lives, nodes
from gateway.ledger.sql.work import ALONE, Row, Value, Work

Outcome: TypeAlias = tuple[Any, Exception | None]

_FUNDS: Final = "SELECT unlimited, available FROM account WHERE id = $1"
_XID: Final = "SELECT pg_current_xact_id()::TEXT"


class OneByOne(Exception):
    """The works have to be done each by itself; nothing of them was."""


async def write(connection: Any, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
    """What each work answers, or raises; OneByOne for those that were left out, and have to be done by themselves.

    Raises:
        OneByOne: see there.
        Undecided: they may have been committed.
    """
    group = _Group(connection)
    try:
        async with within(WORK_S, connection):
            await connection.execute("BEGIN")
            outcomes = [await group.drive(work) for work in works]
            [(xid,)] = await rows(connection, _XID, ())
            await group.written()
    except BaseException as error:
        await rolled_back(connection)
        if isinstance(error, Exception) and not passing(error):
            raise OneByOne from error
        raise
    try:
        async with asyncio.timeout(COMMIT_S):
            if await connection.execute("COMMIT") != "COMMIT":
                raise LedgerBusy("ledger: a transaction could not be committed")
    except Exception as error:
        if isinstance(error, TimeoutError) or connection.is_closed():
            connection.terminate()
            raise Undecided(group.trace(xid), outcomes) from error
        await rolled_back(connection)
        raise
    return outcomes


class _Group:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._known: dict[tuple[Value, ...], list[Row]] = {}  # what was answered of a node: it stays so until the end
        self._moves: dict[int, list[int]] = {}  # by account: what its four balances change by
        self._later: dict[str, list[tuple[Value, ...]]] = {}
        self._funds: dict[int, list[Row]] = {}  # by account: whether it has no limit, and what it had
        self._things: set[str] = set()  # that works of the group are at
        self._mark = secrets.randbits(63)

    def trace(self, xid: str) -> Trace | None:
        """What is there of it, if it is committed."""
        lines = self._later.get(TELLING)
        return Trace(xid=xid, order=int(lines[0][0] or 0), mark=self._mark) if lines else None

    async def drive(self, work: Work[Any]) -> Outcome:
        """Run a work to its end, and put off what it writes. One that raises before it wrote anything is out of it."""
        put_off: list[tuple[str, tuple[Value, ...]]] = []
        wrote = False
        try:
            statement, values = next(work)
            while True:
                if statement == books.MOVE and not await self._carried(values):
                    raise OneByOne
                if statement in PUT_OFF or statement == books.MOVE:
                    put_off.append((statement, values))
                    found: list[Row] = [(0,)] if statement == books.MOVE else []
                elif put_off and statement not in APART:
                    raise OneByOne
                else:
                    wrote = wrote or statement.lstrip().startswith(("UPDATE", "INSERT", "DELETE"))
                    found = await self._asked(statement, values)
                statement, values = work.send(found)
        except StopIteration as end:
            for statement, values in put_off:
                self._keep(statement, values)
            return end.value, None
        except (LedgerError, OneByOne) as error:
            if wrote:
                raise OneByOne from error
            return None, error

    async def _carried(self, values: tuple[Value, ...]) -> bool:
        """Whether the account has what a work takes, as far as can be told; else it alone is left out of the group."""
        change, account = int(values[0] or 0), int(values[4] or 0)
        if change >= 0:
            return True
        if account not in self._funds:
            self._funds[account] = await rows(self._connection, _FUNDS, (account,))
        moved = self._moves.get(account, (0,))[0]
        return all(unlimited or available + moved + change >= 0 for unlimited, available in self._funds[account])

    async def _asked(self, statement: str, values: tuple[Value, ...]) -> list[Row]:
        """Ask; OneByOne where another work of the group is at the same thing, whose writing this one has to see."""
        if statement == ALONE:
            self._meet(str(values[0]))
        if statement != nodes.MINE:
            found = await rows(self._connection, spoken(statement), values)
            if statement == lives.OF_ATTEMPT and found:
                self._meet(f"order {found[0][0]}")
            return found
        if values not in self._known:
            self._known[values] = await rows(self._connection, spoken(statement), values)
        return self._known[values]

    def _meet(self, thing: str) -> None:
        if thing in self._things:
            raise OneByOne
        self._things.add(thing)

    def _keep(self, statement: str, values: tuple[Value, ...]) -> None:
        if statement == TELLING:
            values = (*values, self._mark)
        if statement != books.MOVE:
            self._later.setdefault(statement, []).append(values)
            return
        *changes, account, _ = (int(value or 0) for value in values)
        known = self._moves.setdefault(account, [0, 0, 0, 0])
        for place, change in enumerate(changes):
            known[place] += change

    async def written(self) -> None:
        """Write what was put off."""
        last = {str(name): self._later.pop(name) for name in AFTER_MOVES if name in self._later}
        await self._write(self._later)
        for account in sorted(self._moves):
            changes = self._moves[account]
            if not await rows(self._connection, spoken(books.MOVE), (*changes, account, changes[0])):
                raise OneByOne
        await self._write(last)

    async def _write(self, put_off: Mapping[str, Sequence[tuple[Value, ...]]]) -> None:
        for statement, many in put_off.items():
            if len(many) == 1:
                await self._connection.fetch(spoken(statement), *many[0])
            else:
                await self._connection.executemany(spoken(statement), many)
