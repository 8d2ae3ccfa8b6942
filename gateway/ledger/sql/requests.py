"""Customers' own names for their requests, kept for a day: the same name twice is the same order."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.records import Recent, RequestTaken
from gateway.ledger.sql.work import Work

_KEPT_MS: Final = 24 * 3_600_000

_HEARD = "SELECT fingerprint, order_id, at_ms FROM request WHERE account = ? AND name = ?"
_KEEP = """
    INSERT INTO request (account, name, fingerprint, order_id, at_ms) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (account, name) DO UPDATE SET
        fingerprint = excluded.fingerprint, order_id = excluded.order_id, at_ms = excluded.at_ms"""
_FORGET_OLD = "DELETE FROM request WHERE at_ms < ?"
_FORGET = "DELETE FROM request WHERE order_id = ?"
_RECENT = """
    SELECT id, account, fingerprint, created_ms, charge FROM orders
    WHERE id > (SELECT MAX(id) FROM orders) - ? ORDER BY id DESC LIMIT ?"""
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
    yield _FORGET_OLD, (now_ms - _KEPT_MS,)
    yield _KEEP, (account, name, fingerprint, order, now_ms)


def forget(order: int) -> Work[None]:
    """Nobody took the order: its name is free again."""
    yield _FORGET, (order,)


def recent(since_ms: int) -> Work[Sequence[Recent]]:
    rows = yield _RECENT, (_WIDTH, _MOST)
    return tuple(
        Recent(order=order, account=account, fingerprint=fingerprint, created_ms=created_ms)
        for order, account, fingerprint, created_ms, charge in rows
        if created_ms >= since_ms and fingerprint and charge
    )
