"""The tables, brought up to date by numbered files, by one node at a time while the others go on.

Each file only adds: a program of before, still running beside the one that migrated, goes on with tables that have more
than it knows. One that starts refuses a ledger whose files it does not know.
"""

from collections.abc import Sequence
from typing import Any, Final

from gateway.ledger.records import LedgerUnusable
from gateway.ledger.sql import migrations as files
from gateway.ledger.sql.migrations import Migration

_PATIENT: Final = """
    SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(7226, 1)"
_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS schema (
        version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_ms BIGINT NOT NULL)"""
_KEEP: Final = "INSERT INTO schema (version, name, checksum, applied_ms) VALUES ($1, $2, $3, $4)"


def migrations() -> Sequence[Migration]:
    """Those this program knows, oldest first."""
    return files.known("gateway.ledger.postgres")


async def migrate(connection: Any, known: Sequence[Migration], now_ms: int) -> None:
    """Apply what is missing, all or nothing.

    Raises:
        LedgerUnusable: no ledger of ours, a newer one, or an altered one; nothing was changed.
    """
    async with connection.transaction():
        await connection.execute(_PATIENT)
        await connection.execute(_LOCK)
        tables = {name for (name,) in await connection.fetch(_TABLES)}
        if tables and "schema" not in tables:
            raise LedgerUnusable(f"ledger: a database of something else; tables: {', '.join(sorted(tables))}")
        await connection.execute(_CREATE)
        applied = dict(map(tuple, await connection.fetch("SELECT version, checksum FROM schema")))
        files.compare("ledger", applied, known)
        for migration in known:
            if migration.version not in applied:
                await connection.execute(migration.text)
                row = (migration.version, migration.name, migration.checksum(), now_ms)
                await connection.execute(_KEEP, *row)
