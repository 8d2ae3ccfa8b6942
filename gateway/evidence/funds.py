"""What our money at a panel tells of orders whose outcome is unknown.

The worth of a reading is the balance and all that our orders took: it stays the same while everything is explained.
What it fell by since the last agreed reading is what orders took that we know nothing of. Every set of suspects is
tried; a verdict is given for those only on which all sets agree that explain the fall.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from typing import Final

import msgspec

from gateway.ledger.learned import Reading
from gateway.ledger.records import AttemptState, Suspicion

MOST: Final = 12
"""Suspects whose sets are tried: four thousand sets."""

FINE: Final = Decimal("0.0001")
"""A balance that shows steps coarser than this proves nothing alone."""

_FINEST: Final = Decimal("0.00001")
_FEW: Final = 2  # suspects, for money to prove something alone
_FEW_BY_THE_FINEST: Final = 4  # the same, where a balance shows five decimals: sums hardly ever meet by chance
_CHANCE: Final = Decimal("0.0005")  # that a set with money that came back may meet by chance what is gone
_STEPS: Final = 20  # of the balance, that an order must cost for that


class Funds(StrEnum):
    CHARGED = "charged"
    NOT_CHARGED = "not charged"
    PROVED = "proved not charged"  # enough to stand alone
    UNAVAILABLE = "unavailable"


class Weighed(msgspec.Struct, frozen=True):
    """A word for each suspect by attempt; `explained`: some set of them explains what is gone; `gone`: the only one."""

    words: Mapping[int, Funds]
    explained: bool
    why: str
    gone: tuple[int, ...] | None = None


def gone(anchor: Reading, now: Reading) -> Decimal:
    """The money that left the panel's books since `anchor` and that no order of ours explains; negative: it came."""
    return (anchor.balance + anchor.taken) - (now.balance + now.taken)


def unit_of(balances: Iterable[Decimal]) -> Decimal:
    """The finest step that balances show.

    >>> unit_of([Decimal("99.73"), Decimal("100")])
    Decimal('0.01')
    """
    return Decimal(1).scaleb(min((int(one.as_tuple().exponent) for one in balances), default=0))


def tolerance(unit: Decimal, orders: int) -> Decimal:
    """What rounding alone can make of a balance, and of the charges of so many orders."""
    return unit * (2 + min(max(orders, 0), 2)) / 2


def weigh(gone: Decimal, suspects: Sequence[Suspicion], *, unit: Decimal, strict: bool) -> Weighed:
    """What the money says of each suspect. `strict`: the panel's money has always been explained before.

    Money may also come back for orders that were bought under an id that is not known, and whose status therefore is
    not: each of those is a term that may be missing again.
    """
    unknown = {one.attempt.id: one.attempt.remote_cost for one in suspects if not _is_untracked(one)}
    back = {one.attempt.id: one.attempt.taken for one in suspects if _is_untracked(one) and one.attempt.taken}
    if any(cost is None for cost in unknown.values()):
        return _nothing(unknown, "what one of them would take is not known")
    costs = {attempt: cost for attempt, cost in unknown.items() if cost is not None}
    terms = costs | {attempt: -taken for attempt, taken in back.items() if taken is not None}
    if len(terms) > MOST:
        return _nothing(costs, f"{len(terms)} orders may explain it, at most {MOST} can be weighed")
    sets = [chosen for chosen in _sets(terms) if abs(sum((terms[one] for one in chosen), Decimal(0)) - gone) <= unit]
    sums = f"{gone} gone; open: {', '.join(f'{cost}' for cost in terms.values()) or 'nothing'}"
    if sets and all(back.keys() & set(chosen) for chosen in sets) and _by_chance(terms, unit) > _CHANCE:
        return _nothing(costs, f"{sums}; a set that explains it may do so by chance", explained=False)
    if not sets:
        return _nothing(costs, f"{sums}; no set of them explains it", explained=False)
    words = {attempt: _word(attempt, sets) for attempt in costs}
    alone = strict and unit <= FINE and len(costs) <= (_FEW_BY_THE_FINEST if unit <= _FINEST else _FEW)
    for attempt, cost in costs.items():
        if alone and words[attempt] is Funds.NOT_CHARGED and cost >= _STEPS * unit:
            words[attempt] = Funds.PROVED
    why = f"{sums}; {'1 set explains' if len(sets) == 1 else f'{len(sets)} sets explain'} it"
    return Weighed(words, explained=True, why=why, gone=sets[0] if len(sets) == 1 else None)


def _by_chance(terms: Mapping[int, Decimal], unit: Decimal) -> Decimal:
    """How likely some set meets an amount that has nothing to do with any: sets, each two steps wide, over their span.

    A part that came back of an order whose id is not known is such an amount.
    """
    span = sum(map(abs, terms.values()), Decimal(0))
    return 2 ** len(terms) * 2 * unit / span if span else Decimal(1)


def _is_untracked(one: Suspicion) -> bool:
    return one.attempt.state is AttemptState.UNTRACKED


def _sets(costs: Mapping[int, Decimal]) -> Iterable[tuple[int, ...]]:
    for number in range(len(costs) + 1):
        yield from combinations(costs, number)


def _word(attempt: int, sets: Sequence[tuple[int, ...]]) -> Funds:
    among = sum(attempt in chosen for chosen in sets)
    if among == len(sets):
        return Funds.CHARGED
    return Funds.UNAVAILABLE if among else Funds.NOT_CHARGED


def _nothing(terms: Iterable[int], why: str, *, explained: bool = True) -> Weighed:
    return Weighed(dict.fromkeys(terms, Funds.UNAVAILABLE), explained=explained, why=why)
