"""Ledgers for tests, a fresh one each, of every kind there is. PostgreSQL is one server a test process."""

import asyncio
import atexit
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

import gateway.ledger
from tests.servers import PostgreSQL

_TEMPLATE: Final = "template_ledger"


@cache
def server() -> PostgreSQL:
    """The server of this test process; nothing is safe there from a power failure, which no test of its makes."""
    running = PostgreSQL().__enter__()
    atexit.register(running.__exit__, None, None, None)
    return running


def postgres(_folder: Path) -> str:
    """The URL of an empty ledger: a copy of one that was opened once."""
    _made()
    name = f"ledger_{secrets.token_hex(8)}"
    _ask(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    return server().url(name)


def drop(url: str) -> None:
    if url.startswith("postgresql:"):
        _ask(f"DROP DATABASE {urlsplit(url).path.removeprefix('/')} WITH (FORCE)")


@cache
def _made() -> None:
    _ask(f"CREATE DATABASE {_TEMPLATE}")

    async def opened() -> None:
        ledger = gateway.ledger.ledger(server().url(_TEMPLATE))
        await ledger.open()
        await ledger.close()

    asyncio.run(opened())


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
