"""One connection to the server, and what its errors mean for the ledger."""

import asyncio
from typing import Any, Final

import asyncpg

from gateway.ledger.records import LedgerBusy, LedgerError, LedgerUnusable
from gateway.redis_url import shown

CONNECT_S: Final = 3.0
STATEMENT_S: Final = 30.0
"""No statement runs longer, audits apart."""

IDLE_S: Final = 2.0
"""A transaction whose client says nothing for so long is ended by the server: a paused node holds nobody up."""

_SETTINGS: Final = {
    "application_name": "panelmux",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": str(int(IDLE_S * 1000)),
    "lock_timeout": "5000",
    "statement_timeout": str(int(STATEMENT_S * 1000)),
    "jit": "off",
    "tcp_user_timeout": "10000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_CROSSED: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresIOError,
    asyncpg.QueryCanceledError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
)
_ENDED: Final = (
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
_MINE: Final = (asyncpg.ClientConfigurationError, asyncpg.InvalidAuthorizationSpecificationError)
_NOT_THERE: Final = (
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection; what it commits is on disk before it is answered.

    Raises:
        LedgerUnusable: the URL, the name, the password or the database is wrong.
        ConnectionError: the server cannot be reached, or takes nobody now; the text names it, without a password.
    """
    try:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_S,
            statement_cache_size=512,
            max_cached_statement_lifetime=0,
            server_settings=_SETTINGS,
        )
    except (*_MINE, *_NOT_THERE) as wrong:
        raise LedgerUnusable(f"ledger: {wrong}") from wrong
    except ValueError:  # whose words may hold a piece of the password
        text = "it is not postgresql://USER@HOST/DATABASE; a password has %2F for /, %23 for #, %40 for @"
        raise LedgerUnusable(f"PANELMUX_LEDGER: {text}") from None
    except _PASSING as away:
        raise ConnectionError(f"{shown(url)}: {_why(away)}") from away


def crossed(error: BaseException) -> bool:
    """Whether another transaction was in the way: the same work may be done at once, anew."""
    return isinstance(error, _CROSSED)


def passing(error: BaseException) -> bool:
    """Whether the server, or the way to it, is at fault, and the same work may well be done later."""
    return isinstance(error, (*_CROSSED, *_PASSING))


def ended(error: BaseException) -> bool:
    """Whether the connection that said so is of no use any more: the server sends it away, or takes no writes now."""
    return isinstance(error, _ENDED)


def told(error: Exception) -> Exception:
    """An error as who asked is told it."""
    if passing(error):
        busy: LedgerError = LedgerBusy(f"ledger: {_why(error)}")
    elif isinstance(error, _NOT_THERE):
        busy = LedgerUnusable(f"ledger: {error}")
    elif isinstance(error, (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)):
        busy = LedgerError(f"ledger: refused by its own rules: {error}")
    else:
        return error
    busy.__cause__ = error
    return busy


def _why(error: Exception) -> str:
    """In words: a time-out has none of its own."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


async def rows(connection: Any, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(statement, *values)]
