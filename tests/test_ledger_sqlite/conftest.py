"""A ledger in a file of its own that waits 50 ms for others, and the database under it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sqlite.database import SQLite
from tests.test_ledger.samples import Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SQLite]:
    database = SQLite(path, busy_ms=50)
    yield database
    await database.close()


@pytest.fixture
async def kept(database: SQLite) -> Ledger:
    opened = SQLLedger(database, Clock())
    await opened.open()
    return opened
