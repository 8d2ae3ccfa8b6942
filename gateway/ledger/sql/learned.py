"""What our own orders teach of a panel: what it took of our money, whether its ids rise."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Final

import msgspec

from gateway.ledger.learned import Learned, Reading
from gateway.ledger.records import AttemptState
from gateway.ledger.sql.work import AMONG, AMONG_TEXTS, FREE, Row, Work, json, listed

_FIELDS: Final = "name, taken, orders, highest, rising, foreign_answers, proven, stopped"
_KNOWN: Final = f"""
    SELECT 0 AS id, {_FIELDS} FROM panel
    UNION ALL SELECT id, panel, taken, orders, number, rises, NULL, 0, '' FROM learning"""  # noqa: S608 - constants
_PANEL: Final = f"""
    SELECT * FROM (SELECT 0 AS id, {_FIELDS} FROM panel WHERE name = ?
                   UNION ALL SELECT id, panel, taken, orders, number, rises, NULL, 0, '' FROM learning WHERE panel = ?)
    AS known ORDER BY id"""  # noqa: S608 - constants
_ALL: Final = f"SELECT * FROM ({_KNOWN}) AS known ORDER BY name, id"  # noqa: S608 - constants
_BASE: Final = f"SELECT 0, {_FIELDS} FROM panel WHERE name = ?" + FREE  # noqa: S608 - constants
_PENDING: Final = """
    SELECT id, panel, taken, orders, number, rises, NULL, 0, '' FROM learning WHERE panel = ? ORDER BY id"""
_BEGIN: Final = "INSERT INTO panel (name) VALUES (?) ON CONFLICT (name) DO NOTHING"
_FOLD: Final = "UPDATE panel SET taken = ?, orders = ?, highest = ?, rising = ? WHERE name = ?"
_FOLDED: Final = "DELETE FROM learning WHERE panel = ? AND id IN " + AMONG  # noqa: S608 - a constant
LEARN: Final = "INSERT INTO learning (panel, taken, orders, number, rises) VALUES (?, ?, ?, ?, ?)"
_CHANGE: Final = """
    UPDATE panel SET foreign_answers = COALESCE(?, foreign_answers), proven = COALESCE(?, proven),
                     stopped = COALESCE(?, stopped)
    WHERE name = ?"""
_MUCH: Final = "SELECT panel, COUNT(*) FROM learning GROUP BY panel HAVING COUNT(*) >= ?"
_FOLD_FROM: Final = 64  # things learned, from which on they are put into the panel's row
_NO_NUMBER: Final = -1  # an id that is none

_READ = """
    INSERT INTO reading (panel, at_ms, balance, taken, unit, agreed, orders, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_PRUNE = """
    DELETE FROM reading WHERE panel = ? AND id < (
        SELECT MIN(id) FROM (SELECT id FROM reading WHERE panel = ? ORDER BY id DESC LIMIT 200) AS kept
    ) AND id <> (SELECT COALESCE(MAX(id), 0) FROM reading WHERE panel = ? AND agreed = 1)"""
_READING: Final = "SELECT panel, at_ms, balance, taken, unit, agreed, orders, why FROM reading WHERE panel = ? "
_ANCHOR = _READING + "AND agreed = 1 ORDER BY id DESC LIMIT 1"
_READINGS = _READING + "ORDER BY id DESC LIMIT ?"

_OURS = "SELECT remote_id FROM attempt WHERE panel = ? AND remote_id IN " + AMONG_TEXTS  # noqa: S608 - a constant
_LATER = """
    SELECT remote_id FROM attempt
    WHERE id > ? AND panel = ? AND created_ms >= ? AND remote_id IS NOT NULL ORDER BY id LIMIT 20"""
_LATEST = """
    SELECT remote_id FROM attempt WHERE panel = ? AND remote_id IS NOT NULL ORDER BY id DESC LIMIT ?"""

_MOST: Final = 2**62  # of an id that counts as a number


def of_panel(name: str) -> Work[Learned]:
    rows = yield _PANEL, (name, name)
    return _learned(name, rows)


def everywhere() -> Work[Sequence[Learned]]:
    rows = yield _ALL, ()
    return tuple(_learned(name, list(known)) for name, known in groupby(rows, key=itemgetter(1)))


def change(name: str, *, foreign: bool | None, proven: int | None, stopped: str | None) -> Work[Learned]:
    yield _BEGIN, (name,)
    yield _CHANGE, (None if foreign is None else int(foreign), proven, stopped, name)
    return (yield from of_panel(name))


def bought(panel: str, remote_id: str | None, floor: int | None, taken: Decimal, was: AttemptState) -> Work[None]:
    """An order of ours is there. Only an answer that came at once tells in which order ids are given."""
    number = rises = None
    if remote_id is not None:
        number = as_number(remote_id)
        if number is None:
            number, rises = _NO_NUMBER, 0
        elif was is AttemptState.SENDING:
            rises = int(floor is None or number > floor)
    yield from _learn(panel, taken, int(was is not AttemptState.UNTRACKED), number, rises)


def took(panel: str, more: Decimal) -> Work[None]:
    """An order there came out as taking `more`, or, negative, less than it was counted for."""
    if more:
        yield from _learn(panel, more, 0, None, None)


def fold(panel: str) -> Work[None]:
    """Put into the panel's row what was learned since; unless another transaction does so at this moment."""
    yield _BEGIN, (panel,)
    base = yield _BASE, (panel,)
    pending = yield _PENDING, (panel,)
    if base and pending:
        known = _learned(panel, [*base, *pending])
        yield _FOLD, (f"{known.taken:f}", known.orders, known.highest, known.rising, panel)
        yield _FOLDED, (panel, listed(row[0] for row in pending))


def fold_all() -> Work[None]:
    """Do so for every panel of which much was learned."""
    for panel, _ in (yield _MUCH, (_FOLD_FROM,)):
        yield from fold(panel)


def _learn(panel: str, taken: Decimal, orders: int, number: int | None, rises: int | None) -> Work[None]:
    yield LEARN, (panel, f"{taken:f}", orders, number, rises)


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


def _learned(name: str, rows: Sequence[Row]) -> Learned:
    """What a panel's row says, the first, and what was learned since, the others, whose row there may not be yet."""
    now = Learned(panel=name)
    for id, _, taken, orders, number, rises, foreign, proven, stopped in rows:
        if id == 0:
            now = Learned(
                panel=name,
                taken=Decimal(taken),
                orders=orders,
                highest=number,
                rising=rises,
                foreign=None if foreign is None else bool(foreign),
                proven=proven,
                stopped=stopped,
            )
            continue
        highest, rising = now.highest, now.rising
        if number is not None and number != _NO_NUMBER:
            highest = number if highest is None else max(highest, number)
        if rises is not None:
            rising = rising + 1 if rises else 0
        now = msgspec.structs.replace(
            now, taken=now.taken + Decimal(taken), orders=now.orders + orders, highest=highest, rising=rising
        )
    return now


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
