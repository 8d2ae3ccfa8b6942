"""What customers and operators want of an order, kept until it is done."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.records import Wish, WrongState
from gateway.ledger.sql import events
from gateway.ledger.sql.work import LOCKED, Row, Work, json

UNWANTED: Final = "a cancel was asked for"

_WISH: Final = "SELECT id, order_id, what, by, reason, at_ms, told FROM wish "
_OPEN = _WISH + "WHERE order_id = ? AND what = ? AND done_ms IS NULL"
_ALL = _WISH + "WHERE id > ? AND done_ms IS NULL ORDER BY id LIMIT ?"
_KEEP = "INSERT INTO wish (order_id, what, by, reason, at_ms) VALUES (?, ?, ?, ?, ?) RETURNING id"
_TELL = "UPDATE wish SET told = told + 1 WHERE id = ?"
_DONE = "UPDATE wish SET done_ms = ? WHERE id = ? AND done_ms IS NULL"
_EXISTS = "SELECT id FROM orders WHERE id = ?" + LOCKED  # noqa: S608 - a constant


def wish(order: int, what: str, by: str, reason: str, now_ms: int) -> Work[Wish]:
    """The wish; the one that is open, if there is one."""
    if not (yield _EXISTS, (order,)):
        raise WrongState(f"order {order}: not there")
    rows = yield _OPEN, (order, what)
    if rows:
        return _read(rows[0])
    [(id,)] = yield _KEEP, (order, what, by, reason, now_ms)
    yield from events.append(order, None, f"{what}_wished", json({"by": by, "reason": reason}), now_ms)
    return Wish(id=id, order=order, what=what, by=by, reason=reason, at_ms=now_ms)


def open_wishes(after: int, limit: int) -> Work[Sequence[Wish]]:
    rows = yield _ALL, (after, limit)
    return tuple(map(_read, rows))


def of_order(order: int, what: str) -> Work[Wish | None]:
    rows = yield _OPEN, (order, what)
    return _read(rows[0]) if rows else None


def still_wanted(order: int) -> Work[None]:
    """WrongState where a cancel was asked for."""
    if (yield _OPEN, (order, "cancel")):
        raise WrongState(f"order {order}: {UNWANTED}")


def told(id: int) -> Work[None]:
    yield _TELL, (id,)


def done(id: int, now_ms: int) -> Work[None]:
    yield _DONE, (now_ms, id)


def _read(row: Row) -> Wish:
    id, order, what, by, reason, at_ms, told = row
    return Wish(id=id, order=order, what=what, by=by, reason=reason, at_ms=at_ms, told=told)
