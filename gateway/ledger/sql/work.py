"""A transaction as a generator: it asks for statements and is sent their rows, whichever database runs them.

    def debit(account: int, amount: int) -> Work[int]:
        rows = yield "UPDATE account SET … WHERE id = ? AND available >= ? RETURNING available", (account, amount)
        …

The database runs it to its end inside one transaction; one that raises has changed nothing. Both databases understand
RETURNING, ON CONFLICT and partial indexes. What PostgreSQL says otherwise is spelled one way here, for it to replace:
`?` for a value, `AMONG`, `AMONG_TEXTS`, `LOCKED`, `FREE` and `ALONE`. A flag is an integer, 0 or 1.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec

from gateway.ledger.records import LedgerError

T = TypeVar("T")
P = ParamSpec("P")

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Any, ...]
Ask: TypeAlias = tuple[str, tuple[Value, ...]]
Work: TypeAlias = Generator[Ask, list[Row], T]

AMONG: Final = "(SELECT value FROM json_each(?))"
"""After IN: any of a JSON list of numbers, see `listed`."""

AMONG_TEXTS: Final = "(SELECT value FROM json_each( ?))"
"""The same, of texts."""

LOCKED: Final = " /*locked*/"
"""Ends a read whose rows the transaction goes on to change."""

FREE: Final = " /*free*/"
"""The same, but a row that another transaction has locked is not there."""

ALONE: Final = "SELECT ? /*alone*/"
"""Of all transactions that ask with the same text, one goes on at a time. For what no row stands for yet."""


class Taken(LedgerError):
    """Thrown into the work at a statement that would have written a second row of what can be there once."""


class Database(Protocol):
    """Runs work. A future that is cancelled is not waited for any more; its work is done all the same."""

    async def open(self, now_ms: int) -> None:
        """Connect and migrate.

        Raises:
            LedgerUnusable: it is newer than this program, was altered, or is no ledger.
        """

    async def close(self) -> None: ...

    def read(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        """Run work that changes nothing; it sees one moment of the ledger, all that was answered before included."""
        ...

    def write(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        """Run work as one transaction; its answer comes after the commit is on disk.

        It may be run more than once, where two transactions were in each other's way: what it did the first time was
        taken back.
        """
        ...


def json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def listed(values: Iterable[int | str]) -> str:
    """A JSON list, each value once, for `AMONG`."""
    return json(list(dict.fromkeys(values)))
