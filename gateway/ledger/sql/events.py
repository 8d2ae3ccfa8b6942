"""One line of an order's history for every change: written with the change, never altered."""

from collections.abc import Sequence

from gateway.ledger.records import Event
from gateway.ledger.sql.work import Work

_EVENT = "INSERT INTO event (order_id, attempt, at_ms, what, evidence) VALUES (?, ?, ?, ?, ?)"
_EVENTS = "SELECT order_id, attempt, at_ms, what, evidence FROM event WHERE order_id = ? ORDER BY id"
_LAST = "SELECT what, evidence FROM event WHERE order_id = ? ORDER BY id DESC LIMIT 1"


def append(order: int, attempt: int | None, what: str, evidence: str, now_ms: int) -> Work[None]:
    yield _EVENT, (order, attempt, now_ms, what, evidence)


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
