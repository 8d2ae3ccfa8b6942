"""Ids that customers see: rising, never given twice, and with gaps, so that they do not tell how much is sold.

The highest id given stands in a row of its own, so an id does not come back when its order is deleted. It rises in the
same transaction that uses the id: what was not committed was given to nobody.
"""

import secrets
from typing import Final

from gateway.ledger.records import LedgerError
from gateway.ledger.sql.work import Work

LAST: Final = 2_147_483_647
"""Shops in the field keep order ids in 32 bits with a sign."""

_GAP: Final = 16  # ids rise by 1 … 16, 8.5 on average: room for 250 million orders
_START: Final = range(100_000, 10_000_000)

BEGIN: Final = "INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
ROOM: Final = "SELECT 1"
"""Sees to it that there is a place for the orders to come."""
NEXT: Final = "UPDATE counter SET value = value + ? WHERE name = ? AND value + ? <= ? RETURNING value"


def begin() -> Work[None]:
    """Choose where the ids start, once in a ledger's life."""
    for name in ("order", "refill"):
        yield BEGIN, (name, secrets.choice(_START))


def following(name: str) -> Work[int]:
    """The next id of `order` or `refill`."""
    gap = 1 + secrets.randbelow(_GAP)
    rows = yield NEXT, (gap, name, gap, LAST)
    if not rows:
        raise LedgerError(f"{name}: all ids up to {LAST} are given")
    return int(rows[0][0])


def room() -> Work[None]:
    yield ROOM, ()
