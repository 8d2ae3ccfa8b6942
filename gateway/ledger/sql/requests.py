"""Customers' own names for their requests, kept for a day: the same name twice is the same order."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.records import RequestTaken
from gateway.ledger.repeated import Recent, Twin
from gateway.ledger.sql.work import Work, listed

_KEPT_MS: Final = 24 * 3_600_000

_HEARD = "SELECT fingerprint, order_id, at_ms FROM request WHERE account = ? AND name = ?"
KEEP: Final = """
    INSERT INTO request (account, name, fingerprint, order_id, at_ms) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (account, name) DO UPDATE SET
        fingerprint = excluded.fingerprint, order_id = excluded.order_id, at_ms = excluded.at_ms"""
FORGET_OLD: Final = "DELETE FROM request WHERE at_ms < ?"
FORGET: Final = "DELETE FROM request WHERE order_id = ?"
_RECENT = """
    SELECT id, account, fingerprint, created_ms, charge FROM orders
    WHERE id > (SELECT MAX(id) FROM orders) - ? ORDER BY id DESC LIMIT ?"""
ANSWERED: Final = """
    INSERT INTO answered (order_id, at_ms) SELECT value, ? FROM json_each(?) WHERE 1 = 1 ON CONFLICT DO NOTHING"""
_FORGET_ANSWERED = "DELETE FROM answered WHERE at_ms < ?"
_ANSWERED_MS: Final = 3_600_000
_TWIN = """
    SELECT o.id FROM orders AS o
    WHERE o.fingerprint = ? AND o.charge > 0 AND (o.created_ms >= ? OR (
        o.created_ms >= ? AND NOT EXISTS (SELECT 1 FROM answered AS a WHERE a.order_id = o.id)))
      AND NOT EXISTS (SELECT 1 FROM attempt AS t WHERE t.order_id = o.id AND t.epoch = ?)
    ORDER BY o.id DESC LIMIT 1"""
_UNFINISHED = """
    SELECT id FROM orders WHERE fingerprint = ? AND status NOT IN ('Completed', 'Partial', 'Canceled', 'Expired')
    ORDER BY id DESC LIMIT 1"""
_WIDTH: Final = 170_000  # ids rise by 16 at most: the last 10 000 orders at least
_MOST: Final = 10_000


def heard(account: int, name: bytes, fingerprint: bytes, now_ms: int) -> Work[int | None]:
    """The order that the account's request of this name placed within a day; RequestTaken if it was another request."""
    rows = yield _HEARD, (account, name)
    if not rows:
        return None
    known, order, at_ms = rows[0]
    if now_ms - at_ms > _KEPT_MS:
        return None
    if known != fingerprint:
        raise RequestTaken(f"order {order}: it was placed by a request of the same id that asked for something else")
    return int(order)


def keep(account: int, name: bytes, fingerprint: bytes, order: int, now_ms: int) -> Work[None]:
    yield FORGET_OLD, (now_ms - _KEPT_MS,)
    yield KEEP, (account, name, fingerprint, order, now_ms)


def forget(order: int) -> Work[None]:
    """Nobody took the order: its name is free again."""
    yield FORGET, (order,)


def answered(orders: Sequence[int], now_ms: int) -> Work[None]:
    """The answers that named these orders were heard."""
    yield ANSWERED, (now_ms, listed(orders))
    yield _FORGET_ANSWERED, (now_ms - _ANSWERED_MS,)


def twin(fingerprint: bytes, meant: Twin, epoch: int, now_ms: int) -> Work[int | None]:
    """The order that another node placed for the same, if it is the one that is meant."""
    any_since_ms = now_ms - meant.any_ms if meant.any_ms else now_ms + _ANSWERED_MS  # none is as young as that
    rows = yield _TWIN, (fingerprint, any_since_ms, now_ms - meant.unheard_ms, epoch)
    return int(rows[0][0]) if rows else None


def unfinished(fingerprint: bytes) -> Work[int | None]:
    """An order that asked for the same, and has not ended."""
    rows = yield _UNFINISHED, (fingerprint,)
    return int(rows[0][0]) if rows else None


def recent(since_ms: int) -> Work[Sequence[Recent]]:
    rows = yield _RECENT, (_WIDTH, _MOST)
    return tuple(
        Recent(order=order, account=account, fingerprint=fingerprint, created_ms=created_ms)
        for order, account, fingerprint, created_ms, charge in rows
        if created_ms >= since_ms and fingerprint and charge
    )
