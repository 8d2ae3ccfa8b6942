"""One line of an order's history for every change: written with the change, never altered.

A line that changed the order also keeps the word that did, so that the order can be told anew from its history.
"""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.life import Word
from gateway.ledger.records import Event
from gateway.ledger.sql import lives
from gateway.ledger.sql.work import Work

APPEND: Final = "INSERT INTO event (order_id, attempt, at_ms, what, evidence, word) VALUES (?, ?, ?, ?, ?, ?)"
_EVENTS = "SELECT order_id, attempt, at_ms, what, evidence FROM event WHERE order_id = ? ORDER BY id"
_LAST = "SELECT what, evidence FROM event WHERE order_id = ? ORDER BY id DESC LIMIT 1"
_LATEST = "SELECT at_ms FROM event WHERE id = (SELECT MAX(id) FROM event)"


def append(  # noqa: PLR0917 - the columns of its row
    order: int, attempt: int | None, what: str, evidence: str, now_ms: int, word: Word | None = None
) -> Work[None]:
    yield APPEND, (order, attempt, now_ms, what, evidence, None if word is None else lives.written(word))


def append_once(order: int, attempt: int | None, what: str, evidence: str, now_ms: int) -> Work[None]:
    """The same, unless the order's last line says just that."""
    if (yield _LAST, (order,)) != [(what, evidence)]:
        yield from append(order, attempt, what, evidence, now_ms)


def of_order(order: int) -> Work[Sequence[Event]]:
    rows = yield _EVENTS, (order,)
    return tuple(
        Event(order=id, attempt=attempt, at_ms=at_ms, what=what, evidence=evidence)
        for id, attempt, at_ms, what, evidence in rows
    )


def latest_ms() -> Work[int]:
    """When the ledger last wrote a line of any order's history; 0 for none."""
    rows = yield _LATEST, ()
    return int(rows[0][0]) if rows else 0
