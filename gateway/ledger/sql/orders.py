"""Place and settle: what is written before an order is sent, and after its panel answered or did not."""

from typing import Final

from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    NewPlacement,
    Next,
    NotSent,
    Outcome,
    Placed,
    Refused,
    RemoteIdTaken,
    Unknown,
    WrongState,
)
from gateway.ledger.sql import books, events, ids
from gateway.ledger.sql.work import Taken, Value, Work, json
from gateway.money import amount, steps
from providers.base import OrderStatus

_ORDER = """
    INSERT INTO orders (id, account, service, type, link, fields, quantity, units, charge, remains, refill, cancel,
                        decision, created_ms, updated_ms, status)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'Pending')"""
_ATTEMPT = """
    INSERT INTO attempt (order_id, panel, remote_service, state, cost, evidence, created_ms)
    VALUES (?, ?, ?, 'sending', ?, '{}', ?) RETURNING id"""
_SETTLE = """
    UPDATE attempt SET state = ?, remote_id = ?, remote_charge = ?, reason = ?, evidence = ?, settled_ms = ?,
                       next_check_ms = ?
    WHERE id = ? AND state IN ('sending', ?) RETURNING order_id"""
_STATE = "SELECT state FROM attempt WHERE id = ?"
_CHARGED = "SELECT account, charge FROM orders WHERE id = ?"
_FAIL = "UPDATE orders SET status = ?, charge = 0, updated_ms = ? WHERE id = ?"

_SENDING: Final = "settled_ms IS NULL AND state = 'sending'"  # settled_ms, so that the index of open ones serves
_RECOVERED = f"""
    INSERT INTO event (order_id, attempt, at_ms, what, evidence)
    SELECT order_id, id, ?, 'recovered', '{{}}' FROM attempt WHERE {_SENDING}"""  # noqa: S608 - a constant of this file
_RECOVER = f"UPDATE attempt SET state = 'unknown' WHERE {_SENDING} RETURNING id"  # noqa: S608 - the same


def place(new: NewPlacement, now_ms: int) -> Work[Placed]:
    charge = steps(new.charge)
    yield from books.move(new.account, charge, source="available", target="held")
    order = yield from ids.following("order")
    what = (new.account, new.service, new.type, new.link, new.fields, new.quantity, new.units, charge)
    yield _ORDER, (order, *what, new.units, new.refill, new.cancel, new.decision, now_ms, now_ms)
    yield from books.record(
        new.account, charge, source="available", target="held", what="hold", now_ms=now_ms, order=order
    )
    first = Next(panel=new.panel, remote_service=new.remote_service, cost=new.cost)
    attempt = yield from _send(order, first, now_ms)
    return Placed(order, attempt)


def settle(attempt: int, outcome: Outcome, then: Next | Fail | None, now_ms: int) -> Work[int | None]:
    if isinstance(outcome, Refused | NotSent) != (then is not None):
        raise ValueError("what follows is said for Refused and NotSent, and only for these")
    order = yield from _end(attempt, outcome, now_ms)
    match outcome, then:
        case Accepted(), _:
            account, charge = yield from _charged(order)
            yield from books.move(account, charge, source="held", target="sales")
            yield from books.record(
                account, charge, source="held", target="sales", what="sale", now_ms=now_ms, order=order
            )
        case _, Next():
            return (yield from _send(order, then, now_ms))
        case _, Fail():
            yield from _fail(order, then, now_ms)
    return None


def recover(now_ms: int) -> Work[int]:
    yield _RECOVERED, (now_ms,)
    rows = yield _RECOVER, ()
    return len(rows)


def _send(order: int, offer: Next, now_ms: int) -> Work[int]:
    """An attempt *sending*, and the line of history that says so."""
    cost = steps(offer.cost)
    [(attempt,)] = yield _ATTEMPT, (order, offer.panel, offer.remote_service, cost, now_ms)
    yield from events.append(order, attempt, "sending", json({"panel": offer.panel}), now_ms)
    return int(attempt)


def _end(attempt: int, outcome: Outcome, now_ms: int) -> Work[int]:
    """Write the outcome; gives the order. Only *sending* becomes unknown; unknown may become all else."""
    state, remote_id, charge, reason, check = _written(outcome, now_ms)
    settled = None if state is AttemptState.UNKNOWN else now_ms
    also_from = AttemptState.SENDING if state is AttemptState.UNKNOWN else AttemptState.UNKNOWN
    values = (state.value, remote_id, charge, reason, outcome.evidence, settled, check, attempt, also_from.value)
    try:
        rows = yield _SETTLE, values
    except Taken:
        raise RemoteIdTaken(f'attempt {attempt}: another one at its panel has remote id "{remote_id}"') from None
    if not rows:
        [(now,)] = (yield _STATE, (attempt,)) or [("not there",)]
        raise WrongState(f"attempt {attempt}: it is {now}, and cannot become {state.value}")
    order = int(rows[0][0])
    yield from events.append(order, attempt, state.value, outcome.evidence, now_ms)
    return order


def _written(outcome: Outcome, now_ms: int) -> tuple[AttemptState, str | None, Value, str | None, int | None]:
    """State, remote id, the panel's charge, reason, and when to ask about the order: at once, if the panel took it."""
    match outcome:
        case Accepted(remote_id=remote_id, charge=charge):
            return AttemptState.ACCEPTED, remote_id, None if charge is None else str(charge), None, now_ms
        case Refused(reason=reason):
            return AttemptState.REFUSED, None, None, reason, None
        case NotSent():
            return AttemptState.NOT_SENT, None, None, None, None
        case Unknown():
            return AttemptState.UNKNOWN, None, None, None, None


def _charged(order: int) -> Work[tuple[int, int]]:
    [(account, charge)] = yield _CHARGED, (order,)
    return account, charge


def _fail(order: int, fail: Fail, now_ms: int) -> Work[None]:
    """Nobody took it: the customer reads Canceled and a charge of 0; the history keeps what it would have been."""
    account, charge = yield from _charged(order)
    yield _FAIL, (OrderStatus.CANCELED.value, now_ms, order)
    yield from books.move(account, charge, source="held", target="available")
    yield from books.record(
        account, charge, source="held", target="available", what="release", now_ms=now_ms, order=order
    )
    evidence = json({"why": fail.why, "charge": str(amount(charge))})
    yield from events.append(order, None, "failed", evidence, now_ms)
