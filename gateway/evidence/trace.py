"""Traces of an order among the ids of its panel.

Panels give ids in order, to all their customers. An order whose answer was lost has an id between the last one of ours
before it and the first one of ours that was sent when it could arrive no more; and of the ids in between only ours
answer at all. One that does, and is bound to nothing, is it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Final, Literal

import msgspec

from gateway.ledger.learned import Learned
from gateway.ledger.records import Suspicion
from gateway.rules.model import Tells
from providers.base import BATCH, Listed, OrderStatus, Status

RISING: Final = 200
"""So many ids in a row above all before them, and a panel's ids are taken to rise."""

AHEAD: Final = 300
"""Ids asked about after the last one of ours, as long as none of ours comes later."""

_MOST: Final = 2**62
_WAYS: Final = 5_000  # to give ids to suspects, that are tried
_SHARE: Final = Decimal("0.02")  # of a price, that a charge may differ by
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class Gap(msgspec.Struct, frozen=True):
    """Where an order's id may be, both ends included. `whole`: it is nowhere else."""

    first: int
    last: int
    whole: bool


class Found(msgspec.Struct, frozen=True):
    """An id that answered as ours and is bound to no attempt."""

    remote_id: str
    status: Status


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """What the ids tell of one suspect; `why` in words for people."""

    word: Literal["one", "several", "none", "unavailable"]
    candidates: tuple[str, ...] = ()
    why: str = ""


def request_id(attempt: int) -> str:
    """Our name for an attempt at panels that keep names.

    >>> request_id(1), request_id(100_000)
    ('pm-1', 'pm-255s')
    """
    digits = ""
    while attempt:
        attempt, digit = divmod(attempt, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"pm-{digits or '0'}"


def unusable(learned: Learned, tells: Tells) -> str | None:
    """Why the ids of a panel tell nothing; None = they do."""
    if tells is Tells.NEVER:
        return "the rules say not to ask about ids between ours"
    if learned.foreign is False:
        return "it answers for orders that are not ours"
    if tells is Tells.TRUSTED:
        return None
    if learned.rising < RISING:
        return f"its ids rose {learned.rising} times in a row, {RISING} are needed"
    return None if learned.foreign else "it was not tried yet whether it answers for orders that are not ours"


def gap(floor: int | None, ceiling: int | None, *, ahead: int = AHEAD) -> Gap:
    """Between the ids of ours before and after; anywhere, from 0, where none is known from before."""
    if floor is None:
        return Gap(0, _MOST, whole=False)
    if ceiling is None:
        return Gap(floor + 1, floor + ahead, whole=False)
    return Gap(floor + 1, max(ceiling - 1, floor), whole=True)


def heard(gap: Gap, unheard: AbstractSet[int]) -> Gap:
    """The gap after its ids were asked about: one that nothing certain was said of may be it."""
    silent = any(gap.first <= id <= gap.last for id in unheard)
    return Gap(gap.first, gap.last, whole=gap.whole and not silent)


def ids(gaps: Collection[Gap], bound: AbstractSet[int], *, calls: int = 20, batch: int = BATCH) -> list[str] | None:
    """The ids to ask about, rising, each once, without those that are bound; None where there are too many."""
    asked: set[int] = set()
    for one in gaps:
        if one.last - one.first >= 2 * calls * batch:
            return None
        asked.update(range(one.first, one.last + 1))
    asked -= bound
    return None if len(asked) > calls * batch else [str(id) for id in sorted(asked)]


def match(
    suspects: Sequence[Suspicion], found: Sequence[Found], gaps: Mapping[int, Gap], *, still: bool = True
) -> Mapping[int, Ids]:
    """What the ids tell of each suspect, by attempt. Every suspect has a gap, or could not be told from another.

    `still`: no order of ours was sent there while the ids were asked about; else only whole gaps tell.

    Suspects of one service and one price cannot be told apart: where as many ids fit them as they are, they get them
    in the order in which they were sent.
    """
    ordered = sorted(found, key=lambda each: int(each.remote_id))
    fitting = {
        one.attempt.id: tuple(each.remote_id for each in ordered if _fits(one, each, gaps[one.attempt.id]))
        for one in suspects
    }
    ways = _ways(fitting)
    told = {one.attempt.id: _told(one, fitting[one.attempt.id], ways, gaps, still=still) for one in suspects}
    return told | _by_time(suspects, fitting, gaps)


def listed(suspects: Sequence[Suspicion], rows: Sequence[Listed], *, reaches_ms: int | None) -> Mapping[int, Ids]:
    """The same, by the panel's own list of our orders, those bound to attempts left out.

    `reaches_ms`: how far back the list goes; None = it does not say.
    """
    named = {row.request_id: row for row in rows if row.request_id is not None}
    told: dict[int, Ids] = {}
    taken: set[str] = set()
    for one in suspects:
        row = named.get(request_id(one.attempt.id))
        if row is not None:
            told[one.attempt.id] = Ids(word="one", candidates=(row.remote_id,), why="it bears our name")
            taken.add(row.remote_id)
    free = [row for row in rows if row.remote_id not in taken and row.request_id is None]
    alike: dict[tuple[str, str, int | None], list[Suspicion]] = defaultdict(list)
    for one in suspects:
        if one.attempt.id not in told:
            alike[one.attempt.remote_service, one.link, _quantity(one)].append(one)
    for (service, link, quantity), group in alike.items():
        same = [
            row.remote_id
            for row in free
            if row.remote_service == service and row.link == link and row.quantity in {None, quantity}
        ]
        complete = reaches_ms is not None and all(reaches_ms <= one.attempt.created_ms for one in group)
        for number, one in enumerate(group):
            told[one.attempt.id] = _of_group(number, len(group), tuple(sorted(same)), whole=complete)
    return told


def _fits(one: Suspicion, found: Found, within: Gap) -> bool:
    """Whether an id that answers as ours can be this order, by all that the panel says of it."""
    if not within.first <= int(found.remote_id) <= within.last:
        return False
    told, units = found.status, one.attempt.units
    if told.remains is not None and told.remains > units:
        return False
    if told.status is OrderStatus.PENDING and told.remains is not None and 0 < told.remains < units:
        return False
    return _costs(told, one.attempt.remote_cost, units)


def _costs(told: Status, expected: Decimal | None, units: int) -> bool:
    """Whether the charge that a panel tells is that of an order of so many units that was to take `expected`.

    Of an order that it gave money back for, it may tell all of the charge, or what is left of it.
    """
    if told.charge is None or expected is None:
        return True
    finest = Decimal(1).scaleb(min(int(told.charge.as_tuple().exponent), 0))
    near = max(finest, expected * _SHARE)
    if told.status not in {OrderStatus.CANCELED, OrderStatus.PARTIAL}:
        return abs(told.charge - expected) <= near
    if told.remains is None:
        return told.charge <= expected + near
    left = expected * (units - told.remains) / units if units else expected
    may_be = [expected, left] if told.status is OrderStatus.PARTIAL else [expected, left, Decimal(0)]
    return any(abs(told.charge - cost) <= near for cost in may_be)


def _ways(fitting: Mapping[int, tuple[str, ...]]) -> Sequence[Mapping[int, str]] | None:
    """Every way to give each id to one suspect that it fits, no suspect two; None where there are too many.

    An id that answers as ours is some order's, so none of them is left over; where no way gives all, none is certain.
    """
    wanted: dict[str, list[int]] = defaultdict(list)
    for attempt, candidates in fitting.items():
        for remote_id in candidates:
            wanted[remote_id].append(attempt)
    ways: list[dict[int, str]] = [{}]
    for remote_id, attempts in sorted(wanted.items(), key=lambda one: len(one[1])):
        ways = [{**way, attempt: remote_id} for way in ways for attempt in attempts if attempt not in way]
        if not ways or len(ways) > _WAYS:
            return None
    return ways


def _told(
    one: Suspicion,
    fitting: tuple[str, ...],
    ways: Sequence[Mapping[int, str]] | None,
    gaps: Mapping[int, Gap],
    *,
    still: bool,
) -> Ids:
    within = gaps[one.attempt.id]
    if not within.first:
        return Ids(word="unavailable", why="no id of ours is known from before it")
    if not (within.whole or still):
        return Ids(word="unavailable", why="an order was sent there while its ids were asked about")
    theirs = None if ways is None else {way.get(one.attempt.id) for way in ways}
    if theirs is not None and len(theirs) == 1 and (sole := next(iter(theirs))) is not None:
        return Ids(word="one", candidates=(sole,))
    if fitting and theirs != {None}:
        return Ids(word="several", candidates=fitting)
    if within.whole:
        return Ids(word="none", why=f"none of the ids {within.first} to {within.last} is ours and free for it")
    return Ids(word="unavailable", why="no id of ours is known from after it yet")


def _by_time(
    suspects: Sequence[Suspicion], fitting: Mapping[int, tuple[str, ...]], gaps: Mapping[int, Gap]
) -> dict[int, Ids]:
    """Ids for those that cannot be told apart, where all of them are there and nobody else's."""
    alike: dict[tuple[str, Decimal | None, tuple[str, ...]], list[Suspicion]] = defaultdict(list)
    for one in suspects:
        alike[one.attempt.remote_service, one.attempt.remote_cost, fitting[one.attempt.id]].append(one)
    told: dict[int, Ids] = {}
    for (_, _, candidates), group in alike.items():
        members = {one.attempt.id for one in group}
        others = {id for attempt, theirs in fitting.items() if attempt not in members for id in theirs}
        if len(group) < 2 or len(candidates) != len(group) or others & set(candidates):
            continue
        if not all(gaps[one.attempt.id].whole for one in group):
            continue
        for one, remote_id in zip(sorted(group, key=lambda one: one.attempt.created_ms), candidates, strict=True):
            told[one.attempt.id] = Ids(word="one", candidates=(remote_id,), why="indistinguishable, by time")
    return told


def _of_group(number: int, group: int, same: tuple[str, ...], *, whole: bool) -> Ids:
    if len(same) == group:
        why = "" if group == 1 else "indistinguishable, by time"
        return Ids(word="one", candidates=(same[number],), why=why)
    if same:
        return Ids(word="several", candidates=same)
    if whole:
        return Ids(word="none", why="the panel's list of our orders does not have it")
    return Ids(word="unavailable", why="the panel's list of our orders does not reach back to it")


def _quantity(one: Suspicion) -> int | None:
    fields = msgspec.json.decode(one.fields, type=dict[str, object])
    quantity = fields.get("quantity")
    if not isinstance(quantity, int):
        return None
    runs = fields.get("runs")
    whole = quantity * runs if isinstance(runs, int) else quantity
    return quantity if one.attempt.units == whole else one.attempt.units
