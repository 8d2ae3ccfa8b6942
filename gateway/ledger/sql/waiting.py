"""Orders that wait until somebody can take them: nobody was asked, or all that were said no."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.life import Begun
from gateway.ledger.records import Wait, Waiting
from gateway.ledger.sql import events
from gateway.ledger.sql.work import AMONG, Work, json, listed

BEGIN: Final = "INSERT INTO waiting (order_id, until_ms, why, at_ms) VALUES (?, ?, ?, ?)"
_BECAUSE = "UPDATE waiting SET why = ? WHERE order_id = ?"
END: Final = "DELETE FROM waiting WHERE order_id = ?"
_WAITING: Final = """
    SELECT w.order_id, w.until_ms, w.why, w.at_ms,
           COALESCE((SELECT CASE WHEN a.passed_on = 1
                                 THEN o.remains - (SELECT SUM(b.lost) FROM attempt AS b WHERE b.order_id = o.id)
                                 ELSE a.units + a.later END
                     FROM attempt AS a WHERE a.order_id = o.id ORDER BY a.id DESC LIMIT 1), o.units)
    FROM waiting AS w JOIN orders AS o ON o.id = w.order_id WHERE """
_AFTER = _WAITING + "w.order_id > ? ORDER BY w.order_id LIMIT ?"
_THESE = _WAITING + "w.order_id IN " + AMONG + " ORDER BY w.order_id"
_COUNT = "SELECT COUNT(*) FROM waiting"


def begin(order: int, wait: Wait, now_ms: int, word: Begun | None = None) -> Work[None]:
    yield BEGIN, (order, wait.until_ms, wait.why, now_ms)
    yield from events.append(order, None, "waiting", json({"why": wait.why, "until_ms": wait.until_ms}), now_ms, word)


def because(order: int, why: str) -> Work[None]:
    yield _BECAUSE, (why, order)


def end(order: int) -> Work[None]:
    yield END, (order,)


def after(order: int, limit: int) -> Work[Sequence[Waiting]]:
    """Those placed after an order, oldest first."""
    rows = yield _AFTER, (order, limit)
    return tuple(_read(*row) for row in rows)


def of_orders(orders: Sequence[int]) -> Work[Sequence[Waiting]]:
    rows = yield _THESE, (listed(orders),)
    return tuple(_read(*row) for row in rows)


def count() -> Work[int]:
    [(number,)] = yield _COUNT, ()
    return int(number)


def _read(order: int, until_ms: int | None, why: str, since_ms: int, units: int) -> Waiting:
    return Waiting(order=order, units=units, until_ms=until_ms, why=why, since_ms=since_ms)
