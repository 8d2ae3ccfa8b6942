"""What an order is after a word, given what it was before it."""

from typing import Final

import msgspec

from gateway.ledger.delivery import Unclear, lessened, observed, of_whole
from gateway.ledger.life.order import BOUGHT, OPEN, Life, Try
from gateway.ledger.life.words import (
    Begun,
    GivenBack,
    GivenUp,
    Observed,
    PassedOn,
    Recovered,
    Sent,
    Settled,
    Word,
)
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    NotPlaced,
    NotSent,
    Outcome,
    Refused,
    Unknown,
    Untracked,
    WrongState,
)
from gateway.money import amount, steps
from providers.base import FINISHED, OrderStatus, Status

_ENDS: Final = frozenset({OrderStatus.COMPLETED, OrderStatus.PARTIAL, OrderStatus.CANCELED})

_FROM: Final = {
    AttemptState.ACCEPTED: frozenset({AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.UNTRACKED}),
    AttemptState.REFUSED: OPEN,
    AttemptState.NOT_SENT: OPEN,
    AttemptState.NOT_PLACED: frozenset({AttemptState.UNKNOWN}),
    AttemptState.UNKNOWN: frozenset({AttemptState.SENDING}),
    AttemptState.UNTRACKED: frozenset({AttemptState.UNKNOWN}),
}
"""Which states an attempt may come from, by the state it comes to."""


def begun(word: Begun) -> Life:
    tries = () if word.attempt is None else (_next(word.attempt, word.panel, word.units, word.part),)
    return Life(
        type=word.type,
        quantity=word.quantity,
        units=word.units,
        charge=word.charge,
        remains=word.units,
        tries=tries,
    )


def after(life: Life, word: Word) -> Life | Unclear:
    """The order after `word`; Unclear where a panel said what cannot be followed: then nothing has changed.

    Raises:
        WrongState: the order is past what this word starts from.
        ValueError: what follows an outcome is missing or too much.
    """
    match word:
        case Settled():
            return _settled(life, word)
        case Sent():
            return _sent(life, word)
        case GivenUp():
            return _given_up(life, word)
        case Recovered():
            return _changed(life, _try(life, word.attempt), state=_to(life, word.attempt, AttemptState.UNKNOWN))
        case Observed():
            return _observed(life, word)
        case PassedOn():
            return _passed_on(life, word)
        case GivenBack():
            return _given_back(life, word)
        case Begun():
            raise WrongState("the order has begun before")


def state_of(outcome: Outcome) -> AttemptState:
    match outcome:
        case Accepted():
            return AttemptState.ACCEPTED
        case Refused():
            return AttemptState.REFUSED
        case NotSent():
            return AttemptState.NOT_SENT
        case NotPlaced():
            return AttemptState.NOT_PLACED
        case Unknown():
            return AttemptState.UNKNOWN
        case Untracked():
            return AttemptState.UNTRACKED


def _settled(life: Life, word: Settled) -> Life:
    bought_nothing = isinstance(word.outcome, Refused | NotSent | NotPlaced)
    if [word.following is not None, word.fail is not None, word.waits].count(True) != bought_nothing:
        raise ValueError("what follows is said for what bought nothing, one thing, and only for that")
    one = _try(life, word.attempt)
    state = _to(life, word.attempt, state_of(word.outcome))
    remote_id = word.outcome.remote_id if isinstance(word.outcome, Accepted) else None
    life = _changed(life, one, state=state, remote_id=remote_id)
    if state in BOUGHT:
        return msgspec.structs.replace(life, sold=True)
    if life.status in FINISHED:
        if bought_nothing and word.fail is None:
            raise WrongState("the order has ended: nothing of it is bought any more")
        return life
    if word.following is not None:
        following = _next(word.following, word.panel, one.due, word.part)
        return msgspec.structs.replace(life, tries=(*life.tries, following))
    return _failed(life, one.due) if word.fail is not None else life


def _next(id: int, panel: str, due: int, part: int | None) -> Try:
    """The attempt that makes `part` of the units that are due, or all of them."""
    units = due if part is None else part
    if part is not None and not 0 < units <= due:
        raise ValueError(f"attempt {id}: {units} of {due} units that are due")
    return Try(id=id, panel=panel, units=units, later=due - units)


def _sent(life: Life, word: Sent) -> Life:
    if life.live is not None or life.status in FINISHED:
        raise WrongState("it does not wait")
    following = _next(word.following, word.panel, life.waits, word.part)
    return msgspec.structs.replace(life, tries=(*life.tries, following))


def _given_up(life: Life, word: GivenUp) -> Life:
    if life.status in FINISHED:
        raise WrongState("the order has ended")
    if word.attempt is None:
        if life.live is not None:
            raise WrongState("it does not wait")
        return _failed(life, life.waits)
    one = _taken(life, word.attempt)
    rest = 0 if one.passed_on or word.status is None else rest_of(one, word.status)
    if not rest:
        raise WrongState(f"attempt {one.id}: nothing of its order is left to be bought")
    return _failed(life, rest)


def _failed(life: Life, rest: int) -> Life:
    """Nobody makes it, or the rest of it: what was held is free again, what was sold is given back for that rest."""
    if not life.sold:
        return msgspec.structs.replace(life, status=OrderStatus.CANCELED, charge=amount(0))
    rest = min(rest + life.lost, life.units)
    delivered = life.units - rest
    status = OrderStatus.PARTIAL if delivered > 0 else OrderStatus.CANCELED
    back = life.charge if delivered <= 0 else amount(steps(life.charge) * rest // life.units)
    return msgspec.structs.replace(life, status=status, remains=rest, refunded=max(life.refunded, back))


def _observed(life: Life, word: Observed) -> Life | Unclear:
    one = _taken(life, word.attempt)
    if one.passed_on:
        return _given_back_late(life, one, word.status) if word.late else life
    told = of_whole(life.units, one.units, one.later, word.status)
    return observed(life, lessened(told, life.lost, life.units))


def _given_back_late(life: Life, one: Try, told: Status) -> Life | Unclear:
    """The order has gone on from this attempt. What its panel says now changes our costs there, and nothing else,
    unless it gives back more than was passed on.
    """
    if told.status not in {OrderStatus.PARTIAL, OrderStatus.CANCELED}:
        return life
    went_on = next((other.due for other in life.tries if other.id > one.id), life.remains - life.lost)
    lost = rest_of(one, told) - went_on
    if lost <= one.lost:
        return life
    more = lost - one.lost
    life = _changed(life, one, lost=lost)
    if life.status not in FINISHED:
        return msgspec.structs.replace(life, remains=min(life.remains + more, life.units))
    remains = life.lost if life.status is OrderStatus.COMPLETED else life.remains + more
    return observed(life, Status(status=OrderStatus.PARTIAL, word=told.word, remains=min(remains, life.units)))


def _passed_on(life: Life, word: PassedOn) -> Life:
    one = _taken(life, word.attempt)
    if one.passed_on or life.status in FINISHED:
        raise WrongState(f"attempt {one.id}: its order has ended or gone on")
    if word.status.status not in _ENDS:
        raise WrongState(f"attempt {one.id}: its panel has not ended it")
    rest = rest_of(one, word.status)
    if rest <= 0:
        raise WrongState(f"attempt {one.id}: nothing remains of it")
    life = _changed(life, one, passed_on=True)
    following = () if word.following is None else (_next(word.following, word.panel, rest, word.part),)
    start = word.status.start_count if life.start_count is None else life.start_count
    return msgspec.structs.replace(
        life,
        status=OrderStatus.IN_PROGRESS,
        remains=min(rest + life.lost, life.units),
        start_count=start,
        tries=(*life.tries, *following),
    )


def rest_of(one: Try, told: Status) -> int:
    """Units of its order that are still to be made when a panel ended an attempt: its own that it did not deliver, all
    of a cancel that says nothing else, and the later ones.
    """
    if told.status is OrderStatus.COMPLETED:
        return one.later
    if told.remains is not None and 0 < told.remains <= one.units:
        return told.remains + one.later
    return one.due if told.status is OrderStatus.CANCELED else 0


def _given_back(life: Life, word: GivenBack) -> Life:
    if not life.sold:
        raise WrongState("nothing was sold yet; the hold is free again when the attempt is settled")
    refunded = life.refunded + word.amount
    if word.amount < 0 or refunded > life.charge:
        raise WrongState(f"{word.amount} cannot be given back of {life.charge - life.refunded}")
    if word.ends and refunded != life.charge:
        raise WrongState(f"an order that ends gives all back, and {life.charge - refunded} would stay")
    status = OrderStatus.CANCELED if word.ends else life.status
    return msgspec.structs.replace(life, refunded=refunded, status=status)


def _try(life: Life, attempt: int) -> Try:
    for one in life.tries:
        if one.id == attempt:
            return one
    raise WrongState(f"attempt {attempt}: not there")


def _taken(life: Life, attempt: int) -> Try:
    one = _try(life, attempt)
    if one.state is not AttemptState.ACCEPTED:
        raise WrongState(f"attempt {attempt}: it is {one.state.value}; no panel took it")
    return one


def _to(life: Life, attempt: int, state: AttemptState) -> AttemptState:
    one = _try(life, attempt)
    if one.state not in _FROM[state]:
        raise WrongState(f"attempt {attempt}: it is {one.state.value}, and cannot become {state.value}")
    return state


def _changed(life: Life, one: Try, **fields: object) -> Life:
    changed = msgspec.structs.replace(one, **fields)
    return msgspec.structs.replace(life, tries=tuple(changed if other.id == one.id else other for other in life.tries))
