"""What our own orders teach of a panel: what it took of our money, whether its ids rise."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.ledger.learned import Learned, Reading
from gateway.ledger.records import AttemptState
from gateway.ledger.sql.work import AMONG, Row, Work, json

_PANEL: Final = """
    SELECT name, taken, orders, highest, rising, foreign_answers, proven, stopped FROM panel WHERE name = ?"""
_KEEP: Final = """
    INSERT INTO panel (name, taken, orders, highest, rising, foreign_answers, proven, stopped)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET taken = excluded.taken, orders = excluded.orders, highest = excluded.highest,
        rising = excluded.rising, foreign_answers = excluded.foreign_answers, proven = excluded.proven,
        stopped = excluded.stopped"""
_ALL = "SELECT name, taken, orders, highest, rising, foreign_answers, proven, stopped FROM panel ORDER BY name"

_READ = """
    INSERT INTO reading (panel, at_ms, balance, taken, unit, agreed, orders, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_PRUNE = """
    DELETE FROM reading WHERE panel = ? AND id < (
        SELECT MIN(id) FROM (SELECT id FROM reading WHERE panel = ? ORDER BY id DESC LIMIT 200)
    ) AND id <> (SELECT COALESCE(MAX(id), 0) FROM reading WHERE panel = ? AND agreed = 1)"""
_READING: Final = "SELECT panel, at_ms, balance, taken, unit, agreed, orders, why FROM reading WHERE panel = ? "
_ANCHOR = _READING + "AND agreed = 1 ORDER BY id DESC LIMIT 1"
_READINGS = _READING + "ORDER BY id DESC LIMIT ?"

_OURS = "SELECT remote_id FROM attempt WHERE panel = ? AND remote_id IN " + AMONG  # noqa: S608 - a constant
_LATER = """
    SELECT remote_id FROM attempt
    WHERE id > ? AND panel = ? AND created_ms >= ? AND remote_id IS NOT NULL ORDER BY id LIMIT 20"""
_LATEST = """
    SELECT remote_id FROM attempt WHERE panel = ? AND remote_id IS NOT NULL ORDER BY id DESC LIMIT ?"""

_MOST: Final = 2**62  # of an id that counts as a number


def of_panel(name: str) -> Work[Learned]:
    rows = yield _PANEL, (name,)
    return _learned(rows[0]) if rows else Learned(panel=name)


def everywhere() -> Work[Sequence[Learned]]:
    rows = yield _ALL, ()
    return tuple(map(_learned, rows))


def change(name: str, **changes: Any) -> Work[Learned]:
    after = msgspec.structs.replace((yield from of_panel(name)), **changes)
    yield from _keep(after)
    return after


def bought(panel: str, remote_id: str | None, floor: int | None, taken: Decimal, was: AttemptState) -> Work[None]:
    """An order of ours is there. Only an answer that came at once tells in which order ids are given."""
    known = yield from of_panel(panel)
    highest, rising = known.highest, known.rising
    if remote_id is not None:
        id = as_number(remote_id)
        if id is None:
            rising = 0
        else:
            if was is AttemptState.SENDING:
                rising = rising + 1 if floor is None or id > floor else 0
            highest = id if highest is None else max(highest, id)
    orders = known.orders + (was is not AttemptState.UNTRACKED)
    yield from _keep(
        msgspec.structs.replace(known, taken=known.taken + taken, orders=orders, highest=highest, rising=rising)
    )


def took(panel: str, more: Decimal) -> Work[None]:
    """An order there came out as taking `more`, or, negative, less than it was counted for."""
    if more:
        known = yield from of_panel(panel)
        yield from _keep(msgspec.structs.replace(known, taken=known.taken + more))


def keep_reading(reading: Reading) -> Work[None]:
    yield (
        _READ,
        (
            reading.panel,
            reading.at_ms,
            f"{reading.balance:f}",
            f"{reading.taken:f}",
            f"{reading.unit:f}",
            reading.agreed,
            reading.orders,
            reading.why,
        ),
    )
    yield _PRUNE, (reading.panel, reading.panel, reading.panel)


def anchor(panel: str) -> Work[Reading | None]:
    rows = yield _ANCHOR, (panel,)
    return _reading(rows[0]) if rows else None


def readings(panel: str, limit: int) -> Work[Sequence[Reading]]:
    rows = yield _READINGS, (panel, limit)
    return tuple(map(_reading, rows))


def ours(panel: str, remote_ids: Sequence[str]) -> Work[frozenset[str]]:
    rows = yield _OURS, (panel, json(list(remote_ids)))
    return frozenset(row[0] for row in rows)


def ceiling(panel: str, attempt: int, after_ms: int) -> Work[int | None]:
    rows = yield _LATER, (attempt, panel, after_ms)
    numbers = [id for (text,) in rows if (id := as_number(text)) is not None]
    return min(numbers, default=None)


def latest_ids(panel: str, limit: int) -> Work[Sequence[int]]:
    rows = yield _LATEST, (panel, limit)
    return tuple(id for (text,) in rows if (id := as_number(text)) is not None)


def as_number(remote_id: str) -> int | None:
    """An id as the number that it is; None where it is none."""
    if not (remote_id.isascii() and remote_id.isdecimal()) or len(remote_id) > 19:
        return None
    id = int(remote_id)
    return id if id < _MOST else None


def _keep(known: Learned) -> Work[None]:
    foreign = None if known.foreign is None else int(known.foreign)
    values = (known.panel, f"{known.taken:f}", known.orders, known.highest, known.rising, foreign)
    yield _KEEP, (*values, known.proven, known.stopped)


def _learned(row: Row) -> Learned:
    name, taken, orders, highest, rising, foreign, proven, stopped = row
    return Learned(
        panel=name,
        taken=Decimal(taken),
        orders=orders,
        highest=highest,
        rising=rising,
        foreign=None if foreign is None else bool(foreign),
        proven=proven,
        stopped=stopped,
    )


def _reading(row: Row) -> Reading:
    panel, at_ms, balance, taken, unit, agreed, orders, why = row
    return Reading(
        panel=panel,
        at_ms=at_ms,
        balance=Decimal(balance),
        taken=Decimal(taken),
        unit=Decimal(unit),
        agreed=bool(agreed),
        orders=orders,
        why=why,
    )
