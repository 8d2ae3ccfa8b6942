"""The durable record: money, orders, attempts, events, last good catalogues."""

import time
from collections.abc import Callable

from gateway.ledger.postgres.database import Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sqlite.database import SQLite
from gateway.settings import is_postgres, sqlite_path


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ledger(url: str, *, now_ms: Callable[[], int] = now_ms) -> Ledger:
    """The ledger that `url` names: sqlite:///relative.db, sqlite:////absolute.db, or postgresql://user@host/database.

    `now_ms` dates what it writes.

    Raises:
        ValueError: no kind of ledger is named so.
    """
    if is_postgres(url):
        return SQLLedger(Postgres(url), now_ms)
    try:
        path = sqlite_path(url)
    except ValueError as wrong:
        raise ValueError(f"ledger: {wrong}") from None
    return SQLLedger(SQLite(path), now_ms)
