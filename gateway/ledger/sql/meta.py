"""What the ledger knows of itself, by name."""

from typing import Final

from gateway.ledger.sql.work import Work

_GET: Final = "SELECT value FROM meta WHERE name = ?"
_SET: Final = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_COUNT: Final = """
    INSERT INTO meta (name, value) VALUES (?, '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT)"""


def number(name: str) -> Work[int]:
    """A number of the ledger's own; 0 where it was never written."""
    rows = yield _GET, (name,)
    return int(rows[0][0]) if rows else 0


def text(name: str) -> Work[str]:
    """Words of the ledger's own; empty where they were never written."""
    rows = yield _GET, (name,)
    return str(rows[0][0]) if rows else ""


def put(name: str, value: int) -> Work[None]:
    yield _SET, (name, str(value))


def count(name: str) -> Work[None]:
    """A number of the ledger's own becomes one more."""
    yield _COUNT, (name,)
