"""Refills: asked for once while one is open, and how they came out."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.ledger.records import Refill, WrongState
from gateway.ledger.sql import delivered, ids
from gateway.ledger.sql.work import AMONG, LOCKED, Row, Work, listed
from providers.base import REFILL_ENDED, RefillStatus

_REFILL: Final = "SELECT r.id, r.order_id, r.panel, r.remote_id, r.status, r.created_ms, r.checked_ms FROM refill AS r "

_OPEN = _REFILL + "WHERE r.order_id = ? AND r.status IN ('Pending', 'In progress')"
_BY_ID = _REFILL + "WHERE r.id = ?" + LOCKED
_OF_ACCOUNT = (  # the plus: found by id, not by account
    _REFILL + "JOIN orders AS o ON o.id = r.order_id WHERE +o.account = ? AND r.id IN " + AMONG
)
_ASKABLE = "WHERE r.panel = ? AND r.status IN ('Pending', 'In progress') AND r.remote_id IS NOT NULL "
_STALE = _REFILL + _ASKABLE + "ORDER BY r.checked_ms LIMIT ?"
_EXISTS = "SELECT id FROM orders WHERE id = ?" + LOCKED  # noqa: S608 - a constant
_CREATE = """
    INSERT INTO refill (id, order_id, panel, status, created_ms, checked_ms) VALUES (?, ?, ?, 'Pending', ?, ?)"""
_SETTLE = "UPDATE refill SET remote_id = ?, status = ?, checked_ms = ? WHERE id = ?"


def open_refill(order: int, panel: str, now_ms: int) -> Work[tuple[Refill, bool]]:
    if not (yield _EXISTS, (order,)):
        raise WrongState(f"order {order}: not there")
    rows = yield _OPEN, (order,)
    if rows:
        return _refill(rows[0]), False
    id = yield from ids.following("refill")
    yield _CREATE, (id, order, panel, now_ms, now_ms)
    yield from delivered.refilled(order, panel, now_ms)
    [row] = yield _BY_ID, (id,)
    return _refill(row), True


def settle(id: int, remote_id: str | None, status: RefillStatus, now_ms: int) -> Work[Refill]:
    rows = yield _BY_ID, (id,)
    if not rows:
        raise WrongState(f"refill {id}: not there")
    known = _refill(rows[0])
    if known.status in REFILL_ENDED:
        return known
    after = msgspec.structs.replace(
        known, remote_id=known.remote_id if remote_id is None else remote_id, status=status, checked_ms=now_ms
    )
    yield _SETTLE, (after.remote_id, status.value, now_ms, id)
    return after


def of_account(account: int, refills: Sequence[int]) -> Work[Mapping[int, Refill]]:
    rows = yield _OF_ACCOUNT, (account, listed(refills))
    return {row[0]: _refill(row) for row in rows}


def stale(panel: str, limit: int) -> Work[Sequence[Refill]]:
    rows = yield _STALE, (panel, limit)
    return tuple(map(_refill, rows))


def _refill(row: Row) -> Refill:
    id, order, panel, remote_id, status, created_ms, checked_ms = row
    return Refill(
        id=id,
        order=order,
        panel=panel,
        remote_id=remote_id,
        status=RefillStatus(status),
        created_ms=created_ms,
        checked_ms=checked_ms,
    )
