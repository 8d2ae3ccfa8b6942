"""The durable record: money, orders, attempts, events, last good catalogues."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.ledger.protocol import Ledger
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sqlite.database import SQLite

_SQLITE: Final = "sqlite:///"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ledger(url: str, *, now_ms: Callable[[], int] = now_ms) -> Ledger:
    """The ledger that `url` names: sqlite:///relative.db or sqlite:////absolute.db. `now_ms` dates what it writes.

    Raises:
        ValueError: no kind of ledger is named so.
    """
    path = url.removeprefix(_SQLITE)
    if path in {url, "", ":memory:"}:
        raise ValueError(f'ledger: "{url}" is not sqlite:///PATH')
    return SQLLedger(SQLite(Path(path)), now_ms)
