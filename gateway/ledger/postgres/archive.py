"""Ranges of old orders, taken out of the ledger: they stay in the database under other names, to be kept or dropped."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import tenacity

from gateway.ledger.postgres import schema
from gateway.ledger.postgres.connection import connect, crossed, told

_FINISHED: Final = "SELECT number, orders FROM ledger_finished($1)"
_ARCHIVE: Final = "SELECT ledger_archive($1)"
_TRIES: Final = 50
_PAUSE_S: Final = 0.2  # between two of them, in which orders go on


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A range of ids; taken out, its tables are archived_orders_NUMBER, and so for attempt and event."""

    number: int
    orders: int


async def archive(url: str, before_ms: int, now_ms: int, *, dry_run: bool) -> Sequence[Range]:
    """Take out, or name, the ranges all of whose orders have ended, and were last changed before that moment.

    Each is taken out by itself, or is not, where it is in use at this moment; gives those that were.

    Raises:
        LedgerError, LedgerBusy: it cannot be reached; what was taken out until then stays so.
    """
    try:
        connection = await connect(url)
    except Exception as error:
        raise told(error) from error
    try:
        await schema.migrate(connection, schema.migrations(), now_ms)
        await connection.execute("SET statement_timeout = 0")
        found = [Range(number=number, orders=orders) for number, orders in await connection.fetch(_FINISHED, before_ms)]
        return tuple([one for one in found if dry_run or await _is_taken_out(connection, one.number)])
    except Exception as error:
        raise told(error) from error
    finally:
        connection.terminate()


async def _is_taken_out(connection: Any, number: int) -> bool:
    """Tried until nobody is in its tables for a moment, or has been all the while."""
    trying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(crossed),
        wait=tenacity.wait_fixed(_PAUSE_S),
        stop=tenacity.stop_after_attempt(_TRIES),
        retry_error_callback=lambda _last: False,
    )
    return bool(await trying(connection.fetchval, _ARCHIVE, number))
