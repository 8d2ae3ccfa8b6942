"""What PostgreSQL says otherwise: each statement of `gateway.ledger.sql` as it is asked here."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from gateway.ledger.sql import (
    books,
    events,
    ids,
    learned,
    lives,
    nodes,
    orders,
    reading,
    requests,
    restoring,
    spending,
    waiting,
)
from gateway.ledger.sql.work import ALONE, AMONG, AMONG_TEXTS, FREE, LOCKED

_INSTEAD: Final[Mapping[str, str]] = {
    # Sequences, which no transaction waits for; begun by the first migration.
    ids.BEGIN: "SELECT ?::TEXT, ?::BIGINT",
    ids.NEXT: "SELECT next_id(?::BIGINT, ?::TEXT, most) FROM (SELECT ?::BIGINT AS gap, ?::BIGINT AS most) AS given",
    ids.ROOM: "SELECT ledger_ranges((SELECT last_value FROM order_ids) + 16777216)",
    requests.ANSWERED: """
        INSERT INTO answered (at_ms, order_id)
        SELECT ?::BIGINT, value::BIGINT FROM json_array_elements_text(?::JSON) AS value
        ON CONFLICT DO NOTHING""",
    restoring.COUNTERS: """
        SELECT 'order', last_value + 7 FROM order_ids UNION ALL SELECT 'refill', last_value + 7 FROM refill_ids""",
    restoring.RAISE: """
        SELECT setval((kind || '_ids')::regclass, above) FROM (SELECT ?::BIGINT AS above, ?::TEXT AS kind) AS given""",
    restoring.LAST: "SELECT last_value FROM attempt_ids",
    restoring.RAISE_ATTEMPT: "SELECT setval('attempt_ids', ?::BIGINT)",
    lives.LAST: "SELECT nextval('attempt_ids') - 1",
    ALONE: "SELECT pg_advisory_xact_lock(hashtextextended(?::TEXT, 7225))",
    nodes.MINE: "SELECT * FROM node_mine(?::BIGINT)",
    nodes.END: "SELECT * FROM node_end(?::BIGINT, ?::INTEGER, ?::BIGINT)",
    books.MOVEMENT: """
        WITH t AS (
            INSERT INTO transfer (account, order_id, what, note, at_ms)
            VALUES (?::BIGINT, ?::BIGINT, ?::TEXT, ?::TEXT, ?::BIGINT) RETURNING id
        ), m AS (SELECT ?::TEXT AS source, ?::TEXT AS target, ?::BIGINT AS amount)
        INSERT INTO entry (transfer, book, amount)
        SELECT t.id, m.source, -m.amount FROM t, m UNION ALL SELECT t.id, m.target, m.amount FROM t, m""",
    reading.BOUND: "SELECT order_id FROM remote WHERE panel = ? AND remote_id = ?",
    events.APPEND: """
        INSERT INTO event (order_id, attempt, at_ms, what, evidence, word, mark) VALUES (?, ?, ?, ?, ?, ?, ?)
        RETURNING pg_current_xact_id()::TEXT""",
}

_SPELLED: Final[Mapping[str, str]] = {
    AMONG: "(SELECT value::BIGINT FROM json_array_elements_text(?::JSON) AS value)",
    AMONG_TEXTS: "(SELECT json_array_elements_text(?::JSON))",
    LOCKED: " FOR UPDATE",
    FREE: " FOR UPDATE SKIP LOCKED",
}

TELLING: Final = events.APPEND
"""Has no answer; here it takes the mark of its transaction as well, of which it gives the id: see `transactions`."""


PUT_OFF: Final = frozenset(
    {
        books.MOVEMENT,
        events.APPEND,
        learned.LEARN,
        lives.CHANGE,
        orders.ATTEMPT,
        orders.IS_ACTIVE,
        orders.ORDER,
        requests.FORGET,
        requests.FORGET_OLD,
        requests.KEEP,
        spending.BACK,
        spending.FORGET,
        waiting.BEGIN,
        waiting.END,
    }
)
"""Statements without an answer, which of several works in one transaction are written at its end, each kind at once."""

AFTER_MOVES: Final = (spending.FORGET, spending.BACK)
"""Of these, what changes rows that belong to an account: whoever writes them has the account's row."""

APART: Final = frozenset({ALONE, ids.NEXT, lives.LAST, nodes.MINE, spending.PLACED})
"""Questions whose answer does not depend on anything that is put off."""


@cache
def spoken(statement: str, *, reads: bool = False) -> str:
    """A statement as PostgreSQL takes it; in a transaction that `reads`, nothing is locked."""
    if reads:
        statement = statement.replace(LOCKED, "").replace(FREE, "")
    text = _INSTEAD.get(statement, statement)
    for spelled, here in _SPELLED.items():
        text = text.replace(spelled, here)
    pieces = text.split("?")
    return pieces[0] + "".join(f"${number}{piece}" for number, piece in enumerate(pieces[1:], start=1))
