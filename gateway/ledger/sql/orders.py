"""Place and settle: what is written before an order is sent, and after its panel answered or did not."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from gateway.ledger import life
from gateway.ledger.delivery import Unclear
from gateway.ledger.life import BOUGHT, Begun, GivenBack, GivenUp, Life, Recovered, Sent, Settled, Try, Word
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    LinkBusy,
    NewPlacement,
    Next,
    Outcome,
    Placed,
    Refused,
    RemoteIdTaken,
    Wait,
    WrongState,
)
from gateway.ledger.reports import Recovery
from gateway.ledger.sql import books, events, ids, learned, lives, nodes, requests, spending, waiting, wishes
from gateway.ledger.sql.work import ALONE, FREE, LOCKED, Row, Taken, Work, json
from gateway.money import steps
from providers.base import FINISHED, Status

ORDER: Final = """
    INSERT INTO orders (id, account, service, type, link, fields, quantity, units, charge, remains, refill, cancel,
                        decision, created_ms, updated_ms, fingerprint, status)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'Pending')"""
_ACTIVE = """
    SELECT o.id, o.status FROM active AS a JOIN orders AS o ON o.id = a.order_id WHERE a.link = ? AND a.service = ?"""
IS_ACTIVE: Final = """
    INSERT INTO active (link, service, order_id) VALUES (?, ?, ?)
    ON CONFLICT (link, service) DO UPDATE SET order_id = excluded.order_id"""
_ENDED: Final = frozenset(status.value for status in FINISHED)
ATTEMPT: Final = """
    INSERT INTO attempt (id, order_id, panel, remote_service, state, units, later, cost, remote_cost, floor, epoch,
                         created_ms, settle_ms)
    VALUES (?, ?, ?, ?, 'sending', ?, ?, ?, ?, (
        SELECT MAX(number) FROM (
            SELECT highest AS number FROM panel WHERE name = ?
            UNION ALL SELECT MAX(number) FROM learning WHERE panel = ? AND number >= 0
        ) AS seen), ?, ?, ?)"""
_END = """
    UPDATE attempt SET state = ?, remote_id = ?, remote_charge = ?, taken = ?, reason = ?, settled_ms = ?, next_ms = ?
    WHERE id = ?"""
_OFFER = "SELECT panel, remote_cost, settle_ms, floor, taken FROM attempt WHERE id = ?"

_OPEN: Final = "SELECT id, order_id, created_ms FROM attempt WHERE settled_ms IS NULL AND state = 'sending' "
_ALL_OPEN = _OPEN + "ORDER BY id" + LOCKED
_OPEN_OF = _OPEN + "AND epoch = ? ORDER BY id" + LOCKED
_FREE_OF = _OPEN + "AND epoch = ? AND created_ms < ? ORDER BY id" + FREE
_RECOVER = "UPDATE attempt SET state = 'unknown', next_ms = settle_ms WHERE id = ?"
_UNTRACKED_AGAIN_MS: Final = 3_600_000


def place(new: NewPlacement, epoch: int, now_ms: int) -> Work[Placed]:
    yield from nodes.mine(epoch)
    if new.request is not None:
        yield ALONE, (f"request {new.account} {new.request.hex()}",)
        known = yield from requests.heard(new.account, new.request, new.fingerprint, now_ms)
        if known is not None:
            return Placed(known, None)
    if new.twin is not None:
        yield ALONE, (f"twin {new.fingerprint.hex()}",)
        same = yield from requests.twin(new.fingerprint, new.twin, epoch, now_ms)
        if same is not None:
            return Placed(same, None)
        if new.twin.refuses and (open := (yield from requests.unfinished(new.fingerprint))) is not None:
            raise LinkBusy(f"order {open} asks for the same, and has not ended")
    if new.one_active:
        yield ALONE, (f"active {new.service} {new.link}",)
        for known_order, status in (yield _ACTIVE, (new.link, new.service)):
            if status not in _ENDED:
                raise LinkBusy(f"order {known_order} of the same service for the same link has not ended")
    charge = steps(new.charge)
    yield from books.move(new.account, charge, source="available", target="held")
    yield from spending.spend(new.account, new.charge, new.budget_day, new.budget_month, now_ms)
    order = yield from ids.following("order")
    what = (new.account, new.service, new.type, new.link, new.fields, new.quantity, new.units, charge)
    rest = (new.units, new.refill, new.cancel, new.decision, now_ms, now_ms, new.fingerprint)
    yield ORDER, (order, *what, *rest)
    if new.one_active:
        yield IS_ACTIVE, (new.link, new.service, order)
    yield from books.record(
        new.account, charge, source="available", target="held", what="hold", now_ms=now_ms, order=order
    )
    if new.request is not None:
        yield from requests.keep(new.account, new.request, new.fingerprint, order, now_ms)
    first = new.first
    attempt = None if isinstance(first, Wait) else (yield from lives.next_attempt())
    word = Begun(
        type=new.type,
        quantity=new.quantity,
        units=new.units,
        charge=new.charge,
        attempt=attempt,
        panel="" if isinstance(first, Wait) else first.panel,
        part=None if isinstance(first, Wait) else first.part,
    )
    if isinstance(first, Wait):
        yield from waiting.begin(order, first, now_ms, word)
    elif attempt is not None:
        yield from send(order, life.begun(word).tries[-1], first, epoch, now_ms, word)
    return Placed(order, attempt)


def send(  # noqa: PLR0917 - the columns of its row
    order: int, one: Try, offer: Next, epoch: int, now_ms: int, word: Word | None = None
) -> Work[None]:
    """An attempt *sending*, and the line of history that says so."""
    cost = None if offer.remote_cost is None else str(offer.remote_cost)
    where = (one.id, order, offer.panel, offer.remote_service, one.units, one.later, steps(offer.cost), cost)
    yield ATTEMPT, (*where, offer.panel, offer.panel, epoch, now_ms, now_ms + offer.settle_s * 1000)
    said = {"panel": offer.panel} | ({"left_out": dict(offer.left_out)} if offer.left_out else {})
    yield from events.append(order, one.id, "sending", json(said), now_ms, word)


def send_waiting(order: int, offer: Next, epoch: int, now_ms: int) -> Work[int]:
    """The next attempt of an order that waits, and that nobody wants canceled."""
    kept = yield from lives.of_order(order)
    yield from nodes.may_send(order, epoch)
    yield from wishes.still_wanted(order)
    attempt = yield from lives.next_attempt()
    word = Sent(following=attempt, panel=offer.panel, part=offer.part)
    after = _clear(life.after(kept.life, word), f"order {order}")
    yield from waiting.end(order)
    yield from lives.change(kept, after, now_ms)
    yield from send(order, after.tries[-1], offer, epoch, now_ms, word)
    return attempt


def give_up(order: int, why: str, attempt: int | None, told: Status | None, now_ms: int) -> Work[None]:
    kept = yield from lives.of_order(order)
    word = GivenUp(attempt=attempt, status=told)
    after = _clear(life.after(kept.life, word), f"order {order}")
    yield from waiting.end(order)
    yield from lives.change(kept, after, now_ms)
    yield from events.append(order, attempt, "given_up", json({"why": why}), now_ms, word)
    if not after.sold:
        yield from requests.forget(order)


def _clear(after: Life | Unclear, who: str) -> Life:
    if isinstance(after, Unclear):
        raise WrongState(f"{who}: {after.why}")
    return after


def settle(
    attempt: int, outcome: Outcome, then: Next | Fail | Wait | None, epoch: int, now_ms: int
) -> Work[int | None]:
    kept = yield from lives.of_attempt(attempt)
    following = None
    if isinstance(then, Next | Wait):
        then = yield from _still(kept, then)
    if isinstance(then, Next):
        yield from nodes.may_send(kept.order, epoch)
        following = yield from lives.next_attempt()
    word = Settled(
        attempt=attempt,
        outcome=outcome,
        following=following,
        panel=then.panel if isinstance(then, Next) else "",
        fail=then if isinstance(then, Fail) else None,
        waits=isinstance(then, Wait),
        part=then.part if isinstance(then, Next) else None,
    )
    after = _clear(life.after(kept.life, word), f"attempt {attempt}")
    state = life.state_of(outcome)
    yield from _end(attempt, state, kept.attempt(attempt).state, outcome, now_ms)
    yield from lives.change(kept, after, now_ms)
    yield from events.append(kept.order, attempt, state.value, outcome.evidence, now_ms, word)
    if isinstance(then, Next):
        yield from send(kept.order, after.tries[-1], then, epoch, now_ms)
    elif isinstance(then, Wait):
        yield from waiting.begin(kept.order, then, now_ms)
    elif isinstance(then, Fail):
        if not after.sold:
            yield from requests.forget(kept.order)
        evidence = json({"why": then.why, "charge": str(kept.life.charge)})
        yield from events.append(kept.order, None, "failed", evidence, now_ms)
    return following


def _still(kept: lives.Kept, then: Next | Wait) -> Work[Next | Wait | Fail]:
    """What follows, unless nobody wants it any more."""
    if kept.life.status in FINISHED:
        return Fail(why="the order has ended")
    unwanted = yield from wishes.of_order(kept.order, "cancel")
    return then if unwanted is None else Fail(why=wishes.UNWANTED)


def recover(name: str, now_ms: int) -> Work[Recovery]:
    """A node that is to be the only one: all others end here, and what they had *sending* is unknown."""
    clean = yield from nodes.was_clean()
    last_ms = yield from events.latest_ms()
    for other in (yield from nodes.living()):
        yield from nodes.end(other, now_ms, clean=False)
    epoch = yield from nodes.join(name, now_ms)
    rows = yield _ALL_OPEN, ()
    yield from _unknown(rows, now_ms)
    return Recovery(epoch=epoch, unknown=len(rows), clean=clean, last_ms=last_ms)


def take_over(epoch: int, now_ms: int) -> Work[int | None]:
    """End a node that is taken for dead; gives how many attempts it had *sending*, or None where it had ended."""
    if not (yield from nodes.end(epoch, now_ms, clean=False)):
        return None
    rows = yield _OPEN_OF, (epoch,)
    yield from _unknown(rows, now_ms)
    return len(rows)


def strays(epoch: int, known: Sequence[int], older_ms: int, now_ms: int) -> Work[int]:
    """This node's *sending* attempts, older than that, which are none of those it knows of, are unknown."""
    rows = yield _FREE_OF, (epoch, now_ms - older_ms)  # one that is being written at this moment is no stray
    known_ids = frozenset(known)
    lost = [row for row in rows if row[0] not in known_ids]
    yield from _unknown(lost, now_ms)
    return len(lost)


def _unknown(rows: Sequence[Row], now_ms: int) -> Work[None]:
    for attempt, order, _ in rows:
        yield _RECOVER, (attempt,)
        yield from events.append(order, attempt, "recovered", "{}", now_ms, Recovered(attempt=attempt))


def give_back(order: int, back: Decimal, *, ends: bool, evidence: str, now_ms: int) -> Work[None]:
    kept = yield from lives.of_order(order)
    word = GivenBack(amount=back, ends=ends)
    after = _clear(life.after(kept.life, word), f"order {order}")
    if after.status in FINISHED:
        yield from waiting.end(order)
    yield from lives.change(kept, after, now_ms)
    yield from events.append(order, None, "given_back", evidence, now_ms, word)


def _end(attempt: int, state: AttemptState, was: AttemptState, outcome: Outcome, now_ms: int) -> Work[None]:
    """Write the outcome, and what it teaches of the panel. An accepted order is asked about at once."""
    [(panel, remote_cost, settle_ms, floor, before)] = yield _OFFER, (attempt,)
    remote_id = charge = reason = taken = None
    next_ms: int | None = None
    match outcome:
        case Accepted():
            remote_id, next_ms = outcome.remote_id, now_ms
            charge = outcome.charge
            taken = charge if charge is not None else _decimal(remote_cost)
        case Refused():
            reason = outcome.reason
    if state is AttemptState.UNKNOWN:
        next_ms = settle_ms
    elif state is AttemptState.UNTRACKED:
        next_ms, taken = now_ms + _UNTRACKED_AGAIN_MS, _decimal(remote_cost)
    settled = None if state is AttemptState.UNKNOWN else now_ms
    values = (state.value, remote_id, _text(charge), _text(taken), reason, settled, next_ms, attempt)
    try:
        yield _END, values
    except Taken:
        raise RemoteIdTaken(f'attempt {attempt}: another one at its panel has remote id "{remote_id}"') from None
    if state in BOUGHT:
        more = (taken or Decimal(0)) - (_decimal(before) or Decimal(0))
        yield from learned.bought(panel, remote_id, floor, more, was)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
