"""Following orders at the panels that took them: which to ask about now, and what their answers change."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from gateway.ledger import life
from gateway.ledger.delivery import Unclear
from gateway.ledger.life import Life, Observed, PassedOn, Try
from gateway.ledger.records import Due, Live, Next, Order, Wait, WrongState
from gateway.ledger.sql import delivered, events, learned, lives, nodes, orders, reading, waiting, wishes
from gateway.ledger.sql.work import AMONG, Row, Work, json, listed
from gateway.routing.delivered import End
from providers.base import FINISHED, OrderStatus, Status

_LIVE = "SELECT order_id, id, panel, remote_id, later FROM attempt WHERE state = 'accepted' AND passed_on = 0 AND "
_LIVE += "order_id IN " + AMONG
_DUE: Final = """
    SELECT a.id, a.order_id, a.remote_id, a.remote_service, o.type, a.created_ms, a.ended_ms, u.seconds,
           a.remote_cost,
           CASE WHEN a.passed_on = 1 OR o.status IN ('Completed', 'Partial', 'Canceled', 'Expired') THEN 0
                ELSE a.later END
    FROM attempt AS a JOIN orders AS o ON o.id = a.order_id
    LEFT JOIN delivered AS u ON u.panel = a.panel AND u.remote_service = a.remote_service
    WHERE a.panel = ? AND a.state = 'accepted' AND """
_NOW = _DUE + "a.next_ms <= ? ORDER BY a.next_ms, a.id LIMIT ?"
_FOLLOWED = _DUE + "a.next_ms IS NOT NULL ORDER BY a.next_ms, a.id LIMIT ?"
_POSTPONE = "UPDATE attempt SET next_ms = ? WHERE next_ms IS NOT NULL AND state = 'accepted' AND id IN " + AMONG  # noqa: S608 - a constant
_SPENT = """
    SELECT remote_charge, taken, remote_cost, remote_service, created_ms, ended_ms, panel FROM attempt WHERE id = ?"""
_CHECKED = "UPDATE attempt SET next_ms = ?, remote_charge = ?, taken = ?, ended_ms = ? WHERE id = ?"
_TO_CANCEL = "SELECT 1 FROM event WHERE order_id = ? AND what IN ('cancel_wished', 'cancel_asked') LIMIT 1"
_LOST = "UPDATE attempt SET lost = ? WHERE id = ?"
_PASSED_ON = "UPDATE attempt SET passed_on = 1 WHERE id = ?"

_NOT_BEGUN: Final = frozenset({OrderStatus.PENDING, OrderStatus.PROCESSING})


class _Spent(msgspec.Struct, frozen=True):
    """What an attempt takes of us: by the panel's last word, and net by all that is known."""

    remote_charge: Decimal | None
    taken: Decimal | None
    remote_cost: Decimal | None
    remote_service: str
    created_ms: int
    ended_ms: int | None
    panel: str


def live(orders: Sequence[int]) -> Work[Mapping[int, Live]]:
    rows = yield _LIVE, (listed(orders),)
    return {row[0]: Live(order=row[0], attempt=row[1], panel=row[2], remote_id=row[3], later=row[4]) for row in rows}


def due(panel: str, limit: int, now_ms: int) -> Work[Sequence[Due]]:
    rows = yield _NOW, (panel, now_ms, limit)
    return tuple(map(_read_due, rows))


def followed(panel: str, limit: int) -> Work[Sequence[Due]]:
    rows = yield _FOLLOWED, (panel, limit)
    return tuple(map(_read_due, rows))


def postpone(attempts: Sequence[int], next_ms: int | None) -> Work[None]:
    yield _POSTPONE, (next_ms, listed(attempts))


def cancel_asked(order: int, evidence: str, now_ms: int) -> Work[None]:
    known = yield from live([order])
    if order not in known:
        raise WrongState(f"order {order}: no panel took it")
    yield from events.append(order, known[order].attempt, "cancel_asked", evidence, now_ms)


def observe(attempt: int, told: Status, next_ms: int | None, now_ms: int) -> Work[Order]:
    kept = yield from lives.of_attempt(attempt)
    word = Observed(attempt=attempt, status=told, late=True)
    after = life.after(kept.life, word)
    one = kept.attempt(attempt)
    spent = yield from _spent(attempt)
    then = _then(spent, one.units, told)
    if isinstance(after, Unclear):
        yield from events.append_once(kept.order, attempt, "unclear", _evidence(told, None, after.why), now_ms)
        then, after = spent, kept.life
    lost = next(other.lost for other in after.tries if other.id == attempt)
    if lost != one.lost:
        yield _LOST, (lost, attempt)
    if after != kept.life or then.remote_charge != spent.remote_charge:
        refund = after.refunded - kept.life.refunded
        yield from lives.change(kept, after, now_ms)
        yield from events.append(kept.order, attempt, "status", _evidence(told, refund, None), now_ms, word)
    if kept.life.status in _NOT_BEGUN and after.status not in {OrderStatus.CANCELED, *_NOT_BEGUN}:
        seconds = max(now_ms - spent.created_ms, 0) / 1000
        yield from delivered.started(spent.panel, spent.remote_service, seconds, now_ms)
    ended_ms = _ended(one, after, told, spent, now_ms)
    yield from _write(attempt, spent, msgspec.structs.replace(then, ended_ms=ended_ms), next_ms)
    if ended_ms is not None and spent.ended_ms is None:
        yield from _learn(kept.order, then, one.units, told, now_ms)
    found = yield from reading.order(kept.order)
    if found is None:
        raise WrongState(f"order {kept.order}: not there")
    return found


def pass_on(  # noqa: PLR0917 - what the ledger adds to its caller's
    attempt: int, told: Status, then: Next | Wait, epoch: int, next_ms: int | None, now_ms: int
) -> Work[int | None]:
    kept = yield from lives.of_attempt(attempt)
    yield from nodes.may_send(kept.order, epoch)
    yield from wishes.still_wanted(kept.order)
    if isinstance(then, Wait):
        next_attempt, word = None, PassedOn(attempt=attempt, status=told, following=None)
    else:
        next_attempt = yield from lives.next_attempt()
        word = PassedOn(attempt=attempt, status=told, following=next_attempt, panel=then.panel, part=then.part)
    after = life.after(kept.life, word)
    if isinstance(after, Unclear):
        raise WrongState(f"attempt {attempt}: {after.why}")
    one = kept.attempt(attempt)
    spent = yield from _spent(attempt)
    yield _PASSED_ON, (attempt,)
    yield from lives.change(kept, after, now_ms)
    yield from events.append(kept.order, attempt, "passed_on", _evidence(told, None, None), now_ms, word)
    ended_ms = now_ms if spent.ended_ms is None else spent.ended_ms
    taken = msgspec.structs.replace(_then(spent, one.units, told), ended_ms=ended_ms)
    yield from _write(attempt, spent, taken, next_ms)
    if spent.ended_ms is None:
        yield from _learn(kept.order, taken, one.units, told, now_ms)
    if isinstance(then, Wait):
        yield from waiting.begin(kept.order, then, now_ms)
    else:
        yield from orders.send(kept.order, after.tries[-1], then, epoch, now_ms)
    return next_attempt


def _write(attempt: int, spent: _Spent, then: _Spent, next_ms: int | None) -> Work[None]:
    """What an attempt takes of us now, and what that teaches of its panel."""
    yield _CHECKED, (next_ms, _text(then.remote_charge), _text(then.taken), then.ended_ms, attempt)
    yield from learned.took(spent.panel, (then.taken or Decimal(0)) - (spent.taken or Decimal(0)))


def _ended(one: Try, after: Life, told: Status, spent: _Spent, now_ms: int) -> int | None:
    """When the order ended at its panel: now, if this is the first that is heard of it."""
    if spent.ended_ms is not None:
        return spent.ended_ms
    ended = told.status in FINISHED if one.passed_on or one.later else after.status in FINISHED
    return now_ms if ended else None


def _learn(order: int, spent: _Spent, units: int, told: Status, now_ms: int) -> Work[None]:
    """How an order ended teaches of its route; one that was to be canceled ended short for no fault of the panel."""
    end = _end(spent, units, told, now_ms)
    if end.got < 1 and (yield _TO_CANCEL, (order,)):
        return
    yield from delivered.ended(spent.panel, spent.remote_service, end, now_ms)


def _end(spent: _Spent, units: int, told: Status, now_ms: int) -> End:
    """How an order ended at its panel: what was delivered by its last word, and what it has taken for that.

    That it took less than its list says is a panel's own word, which nothing proves: it makes none cheaper.
    """
    remains = told.remains or 0
    if told.status is OrderStatus.CANCELED and not 0 < remains < units:
        remains = units
    got = 1 - min(max(remains, 0), units) / units if units else float(told.status is not OrderStatus.CANCELED)
    cost, taken = spent.remote_cost, spent.taken
    whole = told.status is OrderStatus.COMPLETED
    return End(
        paid=got if taken is None or not cost else max(float(taken / cost), got),
        got=got,
        seconds=max(now_ms - spent.created_ms, 0) // 1000 if whole else None,
    )


def _then(spent: _Spent, units: int, told: Status) -> _Spent:
    """What the attempt takes of us after its panel said `told`.

    Of an order that a panel gave money back for, some tell what is left of the charge and some go on telling all of
    it; what remains tells them apart.
    """
    if told.status is None:
        return spent
    before = [known for known in (spent.remote_charge, spent.remote_cost) if known is not None]
    charge = told.charge if told.charge is not None else spent.remote_charge
    if told.status not in {OrderStatus.CANCELED, OrderStatus.PARTIAL}:
        taken = charge if charge is not None else spent.taken
        return msgspec.structs.replace(spent, remote_charge=charge, taken=taken)
    gross = max(before) if before else told.charge
    net = told.charge is not None and gross is not None and told.charge < gross
    if net:
        taken = told.charge
    elif gross is None:
        taken = None
    else:
        remains = units if told.remains is None and told.status is OrderStatus.CANCELED else told.remains or 0
        if told.status is OrderStatus.CANCELED and not 0 < remains < units:
            remains = units
        left = max(units - remains, 0)
        taken = gross * left / units if units else Decimal(0)
    return msgspec.structs.replace(spent, remote_charge=charge, taken=taken)


def _spent(attempt: int) -> Work[_Spent]:
    [(charge, taken, cost, service, created_ms, ended_ms, panel)] = yield _SPENT, (attempt,)
    return _Spent(_decimal(charge), _decimal(taken), _decimal(cost), service, created_ms, ended_ms, panel)


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


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _read_due(row: Row) -> Due:
    attempt, order, remote_id, remote_service, type, created_ms, ended_ms, usual_s, remote_cost, later = row
    return Due(
        attempt=attempt,
        order=order,
        remote_id=remote_id,
        remote_service=remote_service,
        type=type,
        created_ms=created_ms,
        ended_ms=ended_ms,
        usual_s=int(usual_s) if usual_s else None,
        remote_cost=_decimal(remote_cost),
        later=later,
    )
