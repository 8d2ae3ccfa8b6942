"""Ledgers for tests, a fresh one each, of every kind there is. PostgreSQL is one server a test process."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Final

import asyncpg

from tests.servers import PostgreSQL


@cache
def server() -> PostgreSQL:
    """The server of this test process; nothing is safe there from a power failure, which no test of its makes."""
    running = PostgreSQL().__enter__()
    Finalize(None, running.__exit__, (None, None, None), exitpriority=0)  # in processes of a pool as well
    return running


def postgres(_folder: Path) -> str:
    """The URL of an empty ledger: a schema of its own."""
    name = f"ledger_{secrets.token_hex(8)}"
    _ask(f"CREATE SCHEMA {name}")
    return f"{server().url()}&search_path={name}"


def drop(url: str) -> None:
    if url.startswith("postgresql:"):
        _ask(f"DROP SCHEMA {url.rpartition('=')[2]} CASCADE")


def _ask(statement: str) -> None:
    async def asked() -> None:
        connection = await asyncpg.connect(server().url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(asked())


LEDGERS: Final[Mapping[str, Callable[[Path], str]]] = {
    "sqlite": lambda folder: f"sqlite:///{folder}/ledger.db",
    "postgres": postgres,
}
"""URLs by kind of ledger."""
