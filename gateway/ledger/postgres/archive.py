"""Ranges of old orders, taken out of the ledger: they stay in the database under other names, to be kept or dropped."""

from collections.abc import Sequence

import msgspec

from gateway.ledger.postgres import schema
from gateway.ledger.postgres.connection import connect, told

_FINISHED = "SELECT number, orders FROM ledger_finished($1)"
_ARCHIVE = "SELECT number, orders FROM ledger_archive($1)"


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A range of ids; taken out, its tables are archived_orders_NUMBER, and so for attempt and event."""

    number: int
    orders: int


async def archive(url: str, before_ms: int, now_ms: int, *, dry_run: bool) -> Sequence[Range]:
    """Take out, or name, the ranges all of whose orders have ended, and were last changed before that moment.

    Raises:
        LedgerError, LedgerBusy: it cannot be reached, or is in use at this moment; nothing was changed.
    """
    try:
        connection = await connect(url)
    except Exception as error:
        raise told(error) from error
    try:
        await schema.migrate(connection, schema.migrations(), now_ms)
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            rows = await connection.fetch(_FINISHED if dry_run else _ARCHIVE, before_ms)
    except Exception as error:
        raise told(error) from error
    finally:
        connection.terminate()
    return tuple(Range(number=number, orders=orders) for number, orders in map(tuple, rows))
