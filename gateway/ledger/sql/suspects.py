"""Attempts whose outcome waits for evidence, and those that bought under an id that is not known."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from gateway.ledger.records import Attempt, Suspicion
from gateway.ledger.sql import events, learned
from gateway.ledger.sql.reading import ATTEMPT, ATTEMPT_COLUMNS, read_attempt
from gateway.ledger.sql.work import LOCKED, Work, json

_UNKNOWN: Final = "a.settled_ms IS NULL AND a.state = 'unknown'"  # settled_ms, so that the index of open ones serves
_UNKNOWN_ATTEMPTS = ATTEMPT + " FROM attempt AS a WHERE " + _UNKNOWN + " ORDER BY a.id LIMIT ?"
_UNKNOWN_AT = ATTEMPT + " FROM attempt AS a WHERE " + _UNKNOWN + " AND a.panel = ? ORDER BY a.id LIMIT ?"
_UNTRACKED = ATTEMPT + " FROM attempt AS a WHERE a.state = 'untracked' ORDER BY a.id LIMIT ?"
_COUNTS = f"SELECT a.panel, COUNT(*) FROM attempt AS a WHERE {_UNKNOWN} GROUP BY a.panel"  # noqa: S608 - a constant
_SUSPICIONS = (
    ATTEMPT  # noqa: S608 - constants
    + """, o.type, o.link, o.fields FROM attempt AS a JOIN orders AS o ON o.id = a.order_id
    WHERE a.id IN (SELECT id FROM attempt WHERE settled_ms IS NULL AND state IN ('sending', 'unknown') AND panel = ?
                   UNION ALL SELECT id FROM attempt WHERE state = 'untracked' AND panel = ?)
    ORDER BY a.id LIMIT ?"""
)
_ELSEWHERE = """
    SELECT COUNT(*) FROM attempt WHERE settled_ms IS NULL AND state = 'sending' AND panel = ? AND epoch <> ?"""
_LOOKED = (
    "UPDATE attempt SET looks = looks + 1, why = ?, next_ms = ? WHERE id = ? AND state IN ('unknown', 'untracked')"
)
_ORDER = "SELECT order_id, why FROM attempt WHERE id = ?"
_TAKEN: Final = f"""
    SELECT order_id, panel, taken FROM attempt
    WHERE id = ? AND state = 'untracked' AND taken IS NOT NULL{LOCKED}"""  # noqa: S608 - a constant
_GAVE_BACK = "UPDATE attempt SET taken = '0', why = 'the panel gave its money back' WHERE id = ?"
_DUPLICATE = """
    UPDATE attempt SET duplicate_seen = 1
    WHERE settled_ms IS NULL AND state = 'unknown' AND panel = ? AND remote_service = ? AND duplicate_seen = 0
      AND order_id IN (SELECT id FROM orders WHERE link = ?) AND id <> ? AND NOT EXISTS (
        SELECT 1 FROM attempt AS b JOIN orders AS o ON o.id = b.order_id
        WHERE b.panel = attempt.panel AND b.remote_service = attempt.remote_service AND b.state = 'accepted'
          AND b.ended_ms IS NULL AND b.next_ms IS NOT NULL AND o.link = ?)
    RETURNING id, order_id"""


def unknown(panel: str | None, limit: int) -> Work[Sequence[Attempt]]:
    if panel is None:
        rows = yield _UNKNOWN_ATTEMPTS, (limit,)
    else:
        rows = yield _UNKNOWN_AT, (panel, limit)
    return tuple(map(read_attempt, rows))


def untracked(limit: int) -> Work[Sequence[Attempt]]:
    rows = yield _UNTRACKED, (limit,)
    return tuple(map(read_attempt, rows))


def counts() -> Work[Mapping[str, int]]:
    rows = yield _COUNTS, ()
    return {panel: int(count) for panel, count in rows}


def suspicions(panel: str, limit: int) -> Work[Sequence[Suspicion]]:
    rows = yield _SUSPICIONS, (panel, panel, limit)
    return tuple(
        Suspicion(
            attempt=read_attempt(row),
            type=row[ATTEMPT_COLUMNS],
            link=row[ATTEMPT_COLUMNS + 1],
            fields=row[ATTEMPT_COLUMNS + 2],
        )
        for row in rows
    )


def elsewhere(panel: str, epoch: int) -> Work[int]:
    """How many attempts at a panel other nodes have *sending*."""
    [(number,)] = yield _ELSEWHERE, (panel, epoch)
    return int(number)


def looked(attempt: int, why: str, next_ms: int | None, evidence: str, now_ms: int) -> Work[None]:
    """Evidence was sought and settled nothing; what is new of it stands in the order's history."""
    rows = yield _ORDER, (attempt,)
    yield _LOOKED, (why, next_ms, attempt)
    if rows and rows[0][1] != why:
        yield from events.append(rows[0][0], attempt, "looked", evidence, now_ms)


def gave_back(attempt: int, arithmetic: str, now_ms: int) -> Work[None]:
    rows = yield _TAKEN, (attempt,)
    if rows and Decimal(rows[0][2]):
        [(order, panel, taken)] = rows
        yield _GAVE_BACK, (attempt,)
        yield from learned.took(panel, -Decimal(taken))
        evidence = json({"taken": taken, "arithmetic": arithmetic})
        yield from events.append(order, attempt, "money_came_back", evidence, now_ms)


def duplicate_seen(panel: str, remote_service: str, link: str, by: int, now_ms: int) -> Work[int]:
    """Attempt `by` was refused there for an active order with this link: one of ours that is unknown may be that."""
    rows = yield _DUPLICATE, (panel, remote_service, link, by, link)
    for attempt, order in rows:
        yield from events.append(order, attempt, "duplicate_seen", json({"refused": by}), now_ms)
    return len(rows)
