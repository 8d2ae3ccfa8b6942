"""Following orders at the panels that took them: which to ask about now, and what their answers change."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from gateway.ledger.delivery import Unclear, observed
from gateway.ledger.records import Due, Live, Order, WrongState
from gateway.ledger.sql import books, events
from gateway.ledger.sql.reading import COLUMNS, ORDER, read_order
from gateway.ledger.sql.work import AMONG, LOCKED, Work, json, listed
from gateway.money import steps
from providers.base import FINISHED, Status

_LIVE = "SELECT order_id, panel, remote_id FROM attempt WHERE state = 'accepted' AND order_id IN " + AMONG  # noqa: S608 - a constant
_DUE = """
    SELECT order_id, remote_id, created_ms FROM attempt
    WHERE panel = ? AND next_check_ms <= ? ORDER BY next_check_ms, id LIMIT ?"""
_POSTPONE = "UPDATE attempt SET next_check_ms = ? WHERE next_check_ms IS NOT NULL AND order_id IN " + AMONG  # noqa: S608 - a constant
_TAKEN_BY = ORDER + ", a.id, a.remote_charge FROM orders AS o JOIN attempt AS a ON a.order_id = o.id "
_TAKEN = _TAKEN_BY + "WHERE o.id = ? AND a.state = 'accepted'" + LOCKED
_OBSERVE = """
    UPDATE orders SET status = ?, refunded = ?, start_count = ?, remains = ?, runs = ?, posts = ?, expiry = ?,
                      children = ?, updated_ms = ?
    WHERE id = ?"""
_CHECKED = "UPDATE attempt SET next_check_ms = ?, remote_charge = ? WHERE id = ?"


def live(orders: Sequence[int]) -> Work[Mapping[int, Live]]:
    rows = yield _LIVE, (listed(orders),)
    return {order: Live(order=order, panel=panel, remote_id=remote_id) for order, panel, remote_id in rows}


def due(panel: str, limit: int, now_ms: int) -> Work[Sequence[Due]]:
    rows = yield _DUE, (panel, now_ms, limit)
    return tuple(Due(*row) for row in rows)


def postpone(orders: Sequence[int], next_ms: int) -> Work[None]:
    yield _POSTPONE, (next_ms, listed(orders))


def cancel_asked(order: int, evidence: str, now_ms: int) -> Work[None]:
    _, attempt, _ = yield from _taken(order)
    yield from events.append(order, attempt, "cancel_asked", evidence, now_ms)


def observe(id: int, told: Status, next_ms: int | None, now_ms: int) -> Work[Order]:
    order, attempt, known_charge = yield from _taken(id)
    after = observed(order, told)
    charge = known_charge
    open_or_moved = order.status not in FINISHED or after != order
    if isinstance(after, Unclear):
        yield from events.append_once(id, attempt, "unclear", _evidence(told, None, after.why), now_ms)
        after = order
    elif told.charge is not None and told.status is not None and open_or_moved:
        charge = told.charge
    if after != order or charge != known_charge:
        after = yield from _change(order, after, attempt, told, now_ms)
    yield _CHECKED, (None if after.status in FINISHED else next_ms, None if charge is None else str(charge), attempt)
    return after


def _taken(order: int) -> Work[tuple[Order, int, Decimal | None]]:
    """The order, the attempt that bought it, and what the panel last said that it took."""
    rows = yield _TAKEN, (order,)
    if not rows:
        raise WrongState(f"order {order}: no panel took it")
    [row] = rows
    attempt, charge = row[COLUMNS:]
    return read_order(row), attempt, None if charge is None else Decimal(charge)


def _change(order: Order, after: Order, attempt: int, told: Status, now_ms: int) -> Work[Order]:
    refund = after.refunded - order.refunded
    yield (
        _OBSERVE,
        (
            after.status.value,
            steps(after.refunded),
            after.start_count,
            after.remains,
            after.runs,
            after.posts,
            after.expiry,
            json(after.children),
            now_ms,
            order.id,
        ),
    )
    if refund:
        back = steps(refund)
        yield from books.move(order.account, back, source="sales", target="available")
        yield from books.record(
            order.account, back, source="sales", target="available", what="refund", now_ms=now_ms, order=order.id
        )
    yield from events.append(order.id, attempt, "status", _evidence(told, refund, None), now_ms)
    return msgspec.structs.replace(after, updated_ms=now_ms)


def _evidence(told: Status, refund: Decimal | None, why: str | None) -> str:
    """What the panel said, and what it gave back to the customer."""
    said = {
        "word": told.word,
        "remains": told.remains,
        "start_count": told.start_count,
        "charge": None if told.charge is None else str(told.charge),
        "refund": str(refund) if refund else None,
        "why": why,
    }
    return json({name: value for name, value in said.items() if value is not None})
