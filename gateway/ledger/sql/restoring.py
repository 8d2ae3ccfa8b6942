"""What a ledger that comes out of a backup has to forget, and to open again.

Whatever happened since the backup is not in it. Ids that were given since must not be given again: customers hold
them, and panels know some. What panels were found to do since, and our money there, is not known any more. And an
attempt that was open then may have ended in any way since: only people can say, so nothing is bought for it again.
"""

from typing import Final

import msgspec

from gateway.ledger.records import LedgerError
from gateway.ledger.sql import ids, learned, meta, nodes, orders
from gateway.ledger.sql.work import Work

JUMP: Final = 1_000_000
"""Ids left out where nobody knows how many were given since."""

WHY: Final = "it was open in a backup that was restored: people have to look"

COUNTERS: Final = "SELECT name, value FROM counter"
RAISE: Final = "UPDATE counter SET value = ? WHERE name = ?"
LAST: Final = "SELECT COALESCE(MAX(id), 0) FROM attempt"
RAISE_ATTEMPT: Final = """
    INSERT INTO meta (name, value) VALUES ('last_attempt', CAST(? AS TEXT))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
_FORGET_READINGS = "DELETE FROM reading"
_FORGET_PANELS = "UPDATE panel SET highest = NULL, rising = 0, foreign_answers = NULL, proven = 0"
_FORGET_FLOORS = "UPDATE attempt SET floor = NULL, why = ? WHERE state = 'unknown' OR state = 'untracked'"
_DROP_WISHES = "UPDATE wish SET done_ms = ? WHERE what = 'failover' AND done_ms IS NULL"
_HOLD_WAITING = "UPDATE waiting SET until_ms = NULL, why = ?"
_TELL_WAITING = """
    INSERT INTO event (order_id, attempt, at_ms, what, evidence)
    SELECT order_id, NULL, ?, 'restored', '{}' FROM waiting ORDER BY order_id"""
_TELL = """
    INSERT INTO event (order_id, attempt, at_ms, what, evidence)
    SELECT a.order_id, a.id, ?, 'restored', '{}' FROM attempt AS a JOIN orders AS o ON o.id = a.order_id
    WHERE a.state IN ('unknown', 'untracked')
       OR (a.state = 'accepted' AND a.passed_on = 0 AND o.status NOT IN ('Completed', 'Partial', 'Canceled', 'Expired'))
    ORDER BY a.id"""
_OPEN = "SELECT COUNT(*) FROM attempt WHERE state = 'unknown'"
_FOLLOWED = """
    SELECT COUNT(*) FROM attempt AS a JOIN orders AS o ON o.id = a.order_id
    WHERE a.state = 'accepted' AND a.passed_on = 0
      AND o.status NOT IN ('Completed', 'Partial', 'Canceled', 'Expired')"""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The highest numbers that a ledger has given."""

    order: int
    refill: int
    attempt: int
    epoch: int


class Reopened(msgspec.Struct, frozen=True, kw_only=True):
    """What a restored ledger starts with: `unknown` attempts, and `followed`, whose panels are asked how they stand."""

    unknown: int
    followed: int


def given() -> Work[Given]:
    counters: dict[str, int] = dict((yield COUNTERS, ()))
    [(attempt,)] = yield LAST, ()
    epoch = yield from nodes.last()
    return Given(order=counters.get("order", 0), refill=counters.get("refill", 0), attempt=attempt, epoch=epoch)


def reopen(replaced: Given | None, now_ms: int) -> Work[Reopened]:
    """Make a ledger out of a backup fit to be sold from. `replaced`: what the one before it had given, if known."""
    mine = yield from given()
    yield from meta.put("restored_order", mine.order)
    for name, value, other in (
        ("order", mine.order, None if replaced is None else replaced.order),
        ("refill", mine.refill, None if replaced is None else replaced.refill),
    ):
        above = value + JUMP if other is None else max(value, other)
        if above > ids.LAST:
            raise LedgerError(f"{name}: no ids are left above {value} for what a restored ledger gives")
        yield RAISE, (above, name)
    yield RAISE_ATTEMPT, (max(mine.attempt, 0 if replaced is None else replaced.attempt) + JUMP,)
    epoch = mine.epoch + JUMP if replaced is None else max(mine.epoch, replaced.epoch)
    yield from nodes.reserve(epoch, now_ms)
    yield from orders.recover("restore", now_ms)
    for panel in (yield from learned.everywhere()):
        yield from learned.fold(panel.panel)
    yield _FORGET_READINGS, ()
    yield _FORGET_PANELS, ()
    yield _FORGET_FLOORS, (WHY,)
    yield _DROP_WISHES, (now_ms,)
    yield _HOLD_WAITING, (WHY,)
    yield _TELL, (now_ms,)
    yield _TELL_WAITING, (now_ms,)
    [(unknown,)] = yield _OPEN, ()
    [(followed,)] = yield _FOLLOWED, ()
    return Reopened(unknown=unknown, followed=followed)
