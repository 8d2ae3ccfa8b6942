"""Somebody else's look at a ledger's file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def another(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db
