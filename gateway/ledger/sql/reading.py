"""Orders and attempts as the ledger has them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from gateway.ledger.records import Attempt, AttemptState, Order
from gateway.ledger.sql.work import AMONG, Row, Work, listed
from gateway.money import amount
from providers.base import OrderStatus

ORDER: Final = """
    SELECT o.id, o.account, o.service, o.type, o.link, o.fields, o.quantity, o.units, o.charge, o.refunded, o.status,
           o.start_count, o.remains, o.runs, o.posts, o.expiry, o.children, o.refill, o.cancel, o.decision,
           o.created_ms, o.updated_ms, o.sold"""

ATTEMPT: Final = """
    SELECT a.id, a.order_id, a.panel, a.remote_service, a.state, a.units, a.cost, a.remote_cost, a.remote_id,
           a.remote_charge, a.taken, a.floor, a.epoch, a.passed_on, a.duplicate_seen, a.reason, a.looks, a.why,
           a.created_ms, a.settle_ms, a.settled_ms, a.next_ms, a.later"""
ATTEMPT_COLUMNS: Final = 23
_ON_THE_LIST: Final = """
    o.id IN (SELECT order_id FROM attempt WHERE settled_ms IS NULL AND state = 'unknown'
             UNION ALL SELECT order_id FROM attempt WHERE state = 'untracked')"""

_BY_ID = ORDER + " FROM orders AS o WHERE o.id = ?"
_OF_ACCOUNT = (
    ORDER + " FROM orders AS o WHERE o.id IN " + AMONG + " AND +o.account = ?"
)  # the plus: found by id, not by account
_ATTEMPTS = ATTEMPT + " FROM attempt AS a WHERE a.order_id = ? ORDER BY a.id"
_ORDER_OF = "SELECT order_id FROM attempt WHERE id = ?"
_ACCOUNT_OF = "SELECT a.name FROM orders AS o JOIN account AS a ON a.id = o.account WHERE o.id = ?"
BOUND: Final = "SELECT order_id FROM attempt WHERE panel = ? AND remote_id = ?"
_STATUSES: Final = {status.value: status for status in OrderStatus}

_OPEN_ORDERS = """
    SELECT panel, SUM(number) FROM (
        SELECT panel, COUNT(*) AS number FROM attempt
        WHERE next_ms IS NOT NULL AND state = 'accepted' AND ended_ms IS NULL GROUP BY panel
        UNION ALL
        SELECT a.panel, COUNT(*) AS number FROM attempt AS a JOIN orders AS o ON o.id = a.order_id
        WHERE a.next_ms IS NOT NULL AND a.state = 'accepted' AND a.ended_ms IS NOT NULL AND a.later > 0
              AND a.passed_on = 0 AND o.status NOT IN ('Completed', 'Partial', 'Canceled', 'Expired')
        GROUP BY a.panel
        UNION ALL
        SELECT panel, COUNT(*) AS number FROM attempt WHERE settled_ms IS NULL GROUP BY panel
    ) AS counted GROUP BY panel"""


def order(id: int) -> Work[Order | None]:
    rows = yield _BY_ID, (id,)
    return read_order(rows[0]) if rows else None


def account_of(order: int) -> Work[str]:
    rows = yield _ACCOUNT_OF, (order,)
    return rows[0][0] if rows else ""


def orders(account: int, ids: Sequence[int]) -> Work[Mapping[int, Order]]:
    rows = yield _OF_ACCOUNT, (listed(ids), account)
    return {row[0]: read_order(row) for row in rows}


def list_orders(
    *, account: int | None, status: OrderStatus | None, unknown: bool, waiting: bool, before: int | None, limit: int
) -> Work[Sequence[Order]]:
    asked: list[tuple[str, str | int]] = []
    if account is not None:
        asked.append(("o.account = ?", account))
    if status is not None:
        asked.append(("o.status = ?", status.value))
    if before is not None:
        asked.append(("o.id < ?", before))
    conditions = [condition for condition, _ in asked]
    if unknown:
        conditions.append(_ON_THE_LIST)
    if waiting:
        conditions.append("o.id IN (SELECT order_id FROM waiting)")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    statement = ORDER + " FROM orders AS o" + where + " ORDER BY o.id DESC LIMIT ?"
    rows = yield statement, (*(value for _, value in asked), limit)
    return tuple(map(read_order, rows))


def attempts(order: int) -> Work[Sequence[Attempt]]:
    rows = yield _ATTEMPTS, (order,)
    return tuple(map(read_attempt, rows))


def order_of(attempt: int) -> Work[int | None]:
    rows = yield _ORDER_OF, (attempt,)
    return rows[0][0] if rows else None


def bound(panel: str, remote_id: str) -> Work[int | None]:
    rows = yield BOUND, (panel, remote_id)
    return rows[0][0] if rows else None


def open_orders() -> Work[Mapping[str, int]]:
    rows = yield _OPEN_ORDERS, ()
    return {panel: int(count) for panel, count in rows}


def read_order(row: Row) -> Order:
    """The order in a row of `ORDER`'s columns; what follows these is not looked at."""
    children = row[16]
    return Order(
        id=row[0],
        account=row[1],
        service=row[2],
        type=row[3],
        link=row[4],
        fields=row[5],
        quantity=row[6],
        units=row[7],
        charge=amount(row[8]),
        refunded=amount(row[9]),
        status=_STATUSES[row[10]],
        start_count=row[11],
        remains=row[12],
        runs=row[13],
        posts=row[14],
        expiry=row[15],
        children=() if children == "[]" else tuple(msgspec.json.decode(children, type=list[str])),
        refill=bool(row[17]),
        cancel=bool(row[18]),
        decision=row[19],
        created_ms=row[20],
        updated_ms=row[21],
        sold=bool(row[22]),
    )


def read_attempt(row: Row) -> Attempt:
    """The attempt in a row of `ATTEMPT`'s columns; what follows these is not looked at."""
    return Attempt(
        id=row[0],
        order=row[1],
        panel=row[2],
        remote_service=row[3],
        state=AttemptState(row[4]),
        units=row[5],
        cost=amount(row[6]),
        remote_cost=_decimal(row[7]),
        remote_id=row[8],
        remote_charge=_decimal(row[9]),
        taken=_decimal(row[10]),
        floor=row[11],
        epoch=row[12],
        passed_on=bool(row[13]),
        duplicate_seen=bool(row[14]),
        reason=row[15],
        looks=row[16],
        why=row[17],
        created_ms=row[18],
        settle_ms=row[19],
        settled_ms=row[20],
        next_ms=row[21],
        later=row[22],
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
