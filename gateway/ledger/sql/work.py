"""A transaction as a generator: it asks for statements and is sent their rows, whichever database runs them.

    def debit(account: int, amount: int) -> Work[int]:
        rows = yield "UPDATE account SET … WHERE id = ? AND available >= ? RETURNING available", (account, amount)
        …

The database runs it to its end inside one transaction; one that raises has changed nothing. Both databases understand
RETURNING, ON CONFLICT and partial indexes. What PostgreSQL says otherwise is spelled one way here, for it to replace:
`?` for a value, `AMONG` and `LOCKED`.
"""

import asyncio
from collections.abc import Generator, Iterable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import msgspec

from gateway.ledger.records import LedgerError

T = TypeVar("T")

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Any, ...]
Ask: TypeAlias = tuple[str, tuple[Value, ...]]
Work: TypeAlias = Generator[Ask, list[Row], T]

AMONG: Final = "(SELECT value FROM json_each(?))"
"""After IN: any of a JSON list, see `listed`."""

LOCKED: Final = " /*locked*/"
"""Ends a read whose rows the transaction goes on to change."""


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

    def read(self, work: Work[T]) -> asyncio.Future[T]:
        """Run work that changes nothing; it sees one moment of the ledger, all that was answered before included."""
        ...

    def write(self, work: Work[T]) -> asyncio.Future[T]:
        """Run work as one transaction; its answer comes after the commit is on disk."""
        ...


def json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def listed(values: Iterable[int | str]) -> str:
    """A JSON list, each value once, for `AMONG`."""
    return json(list(dict.fromkeys(values)))
