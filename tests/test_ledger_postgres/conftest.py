"""A ledger in a schema of its own, the database under it, and somebody else's connection to the same."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.ledger.postgres.database import Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.sql.ledger import SQLLedger
from tests import databases
from tests.servers import PostgreSQL
from tests.test_ledger.samples import Clock


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    made = databases.postgres(tmp_path)
    yield made
    databases.drop(made)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Postgres]:
    database = Postgres(url)
    yield database
    await database.close()


@pytest.fixture
async def kept(database: Postgres) -> Ledger:
    opened = SQLLedger(database, Clock())
    await opened.open()
    return opened


@pytest.fixture
async def raw(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def crashing() -> Iterator[PostgreSQL]:
    """A server of these tests alone, which they may kill; what it has answered is on disk."""
    with PostgreSQL(fsync=True) as running:
        yield running
