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
           o.created_ms, o.updated_ms"""
COLUMNS: Final = 22

_ATTEMPT: Final = """
    SELECT id, order_id, panel, remote_service, state, cost, remote_id, remote_charge, reason, evidence,
           created_ms, settled_ms
    FROM attempt """
_UNKNOWN: Final = "settled_ms IS NULL AND state = 'unknown'"  # settled_ms, so that the index of open ones serves

_BY_ID = ORDER + " FROM orders AS o WHERE o.id = ?"
_OF_ACCOUNT = (
    ORDER + " FROM orders AS o WHERE o.id IN " + AMONG + " AND +o.account = ?"
)  # the plus: found by id, not by account
_ATTEMPTS = _ATTEMPT + "WHERE order_id = ? ORDER BY id"
_BOUND = "SELECT order_id FROM attempt WHERE panel = ? AND remote_id = ?"
_UNKNOWN_ATTEMPTS = _ATTEMPT + "WHERE " + _UNKNOWN + " ORDER BY id LIMIT ?"
_UNKNOWN_AT = _ATTEMPT + "WHERE " + _UNKNOWN + " AND panel = ? ORDER BY id LIMIT ?"

_STATUSES: Final = {status.value: status for status in OrderStatus}

_UNKNOWNS = f"SELECT COUNT(*) FROM attempt WHERE {_UNKNOWN}"  # noqa: S608 - a constant
_OPEN_ORDERS = """
    SELECT panel, SUM(number) FROM (
        SELECT panel, COUNT(*) AS number FROM attempt WHERE next_check_ms IS NOT NULL GROUP BY panel
        UNION ALL
        SELECT panel, COUNT(*) AS number FROM attempt WHERE settled_ms IS NULL GROUP BY panel
    ) AS both GROUP BY panel"""


def order(id: int) -> Work[Order | None]:
    rows = yield _BY_ID, (id,)
    return read_order(rows[0]) if rows else None


def orders(account: int, ids: Sequence[int]) -> Work[Mapping[int, Order]]:
    rows = yield _OF_ACCOUNT, (listed(ids), account)
    return {row[0]: read_order(row) for row in rows}


def list_orders(
    *, account: int | None, status: OrderStatus | None, unknown: bool, before: int | None, limit: int
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
        conditions.append(f"o.id IN (SELECT order_id FROM attempt WHERE {_UNKNOWN})")  # noqa: S608 - a constant
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    statement = ORDER + " FROM orders AS o" + where + " ORDER BY o.id DESC LIMIT ?"
    rows = yield statement, (*(value for _, value in asked), limit)
    return tuple(map(read_order, rows))


def attempts(order: int) -> Work[Sequence[Attempt]]:
    rows = yield _ATTEMPTS, (order,)
    return tuple(map(_attempt, rows))


def bound(panel: str, remote_id: str) -> Work[int | None]:
    rows = yield _BOUND, (panel, remote_id)
    return rows[0][0] if rows else None


def unknown_attempts(panel: str | None, limit: int) -> Work[Sequence[Attempt]]:
    if panel is None:
        rows = yield _UNKNOWN_ATTEMPTS, (limit,)
    else:
        rows = yield _UNKNOWN_AT, (panel, limit)
    return tuple(map(_attempt, rows))


def unknown_count() -> Work[int]:
    [(count,)] = yield _UNKNOWNS, ()
    return int(count)


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
    )


def _attempt(row: Row) -> Attempt:
    id, order, panel, remote_service, state, cost, remote_id, charge, reason, evidence, created_ms, settled_ms = row
    return Attempt(
        id=id,
        order=order,
        panel=panel,
        remote_service=remote_service,
        state=AttemptState(state),
        cost=amount(cost),
        remote_id=remote_id,
        remote_charge=None if charge is None else Decimal(charge),
        reason=reason,
        evidence=evidence,
        created_ms=created_ms,
        settled_ms=settled_ms,
    )
