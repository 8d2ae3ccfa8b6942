"""What a route has really done with our orders, and what a unit delivered there therefore costs. Pure.

An order that ended counts less as it ages, and less with every one that ends after it. What is known of a route is
held against what is known of its panel, as if that had been a few orders more: of little evidence little is made.

    truth = paid / got       what our money bought there: 1 = what is listed is what is got
          * (1 + trouble)    an order that ended short, a refill or a long wait costs work and customers besides

A canceled order whose money came back changes paid and got alike: it is trouble, and no loss.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import exp2, log2
from typing import Final

import msgspec

HALF_LIFE_S: Final = 14 * 86_400.0
"""After so many seconds an order counts half."""

FADING: Final = 0.97
"""What an order counts after each further one: some 33 count."""

ENOUGH: Final = 3.0
"""Weight of orders below which nothing is said of a route by itself."""

PRIOR: Final = 3.0
"""So many orders is what is known of the panel worth, beside the route's own."""

SHORT: Final = 0.10
"""Part of an order's cost that it is worse to have it end short, the money for the rest given back."""

REFILLED: Final = 0.05
"""Part of an order's cost that a refill is trouble."""

SLOW: Final = 0.01
"""Part of an order's cost that each doubling of a day's waiting is trouble."""

MOST: Final = 20.0
"""No route is thought to be worse than so many times its price: something else is wrong there."""

_DAY_S: Final = 86_400.0


class Delivered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Orders of one route that ended, each with its weight; numbers are sums of shares, not money.

    Attributes:
        orders: weight of the orders that ended.
        paid: of them, what they took of us as a share of what they were to cost.
        got: of them, what was delivered as a share of what was ordered.
        short: of them, those that were not delivered whole; `canceled` those of which nothing was.
        refills: refills asked for.
        seconds: how long completed orders take, on average; `start_s` how long any takes to begin; 0 = none yet.
        at_ms: when the last one ended, milliseconds since 1970.
    """

    panel: str
    remote_service: str
    orders: float = 0.0
    paid: float = 0.0
    got: float = 0.0
    short: float = 0.0
    refills: float = 0.0
    seconds: float = 0.0
    start_s: float = 0.0
    canceled: float = 0.0
    at_ms: int = 0


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How one order ended at its panel.

    Attributes:
        paid: what it took of us as a share of what it was to cost; `got`: what was delivered, of what was ordered.
        seconds: how long it took to be completed; None = it was not.
    """

    paid: float
    got: float
    seconds: float | None = None


def ended(known: Delivered, end: End, now_ms: int) -> Delivered:
    """Take in how one order ended."""
    faded = _faded(known, now_ms, FADING)
    return msgspec.structs.replace(
        faded,
        orders=faded.orders + 1,
        paid=faded.paid + min(max(end.paid, 0.0), MOST),
        got=faded.got + min(max(end.got, 0.0), 1.0),
        short=faded.short + (end.got < 1),
        canceled=faded.canceled + (end.got <= 0),
        seconds=faded.seconds if end.seconds is None else _averaged(faded.seconds, end.seconds),
    )


def started(known: Delivered, seconds: float, now_ms: int) -> Delivered:
    """Take in how long an order took to begin."""
    faded = _faded(known, now_ms, 1.0)
    return msgspec.structs.replace(faded, start_s=_averaged(faded.start_s, max(seconds, 1.0)))


def refilled(known: Delivered, now_ms: int) -> Delivered:
    """Take in that a refill was asked for."""
    faded = _faded(known, now_ms, 1.0)
    return msgspec.structs.replace(faded, refills=faded.refills + 1)


def together(known: Iterable[Delivered], panel: str, now_ms: int) -> Delivered:
    """What is known of a panel by all its routes, as of one route."""
    sums = Delivered(panel=panel, remote_service="", at_ms=now_ms)
    for one in known:
        faded = _faded(one, now_ms, 1.0)
        sums = msgspec.structs.replace(
            sums,
            orders=sums.orders + faded.orders,
            paid=sums.paid + faded.paid,
            got=sums.got + faded.got,
            short=sums.short + faded.short,
            refills=sums.refills + faded.refills,
            canceled=sums.canceled + faded.canceled,
        )
    return sums


def truth(known: Delivered, panel: Delivered, now_ms: int) -> Decimal:
    """What a delivered unit really costs, as a multiple of its listed price; four decimals.

    `panel` is what is known of the panel as a whole; a route with too few orders of its own is thought to be like it.
    """
    panel = _faded(panel, now_ms, 1.0)
    worth, trouble = 1.0, 0.0
    if panel.orders >= ENOUGH:
        worth, trouble = _ratio(panel.paid + PRIOR, panel.got + PRIOR), _trouble(panel)
    known = _faded(known, now_ms, 1.0)
    if known.orders >= ENOUGH:
        share = known.orders / (known.orders + PRIOR)
        worth = _ratio(known.paid + PRIOR * worth, known.got + PRIOR)
        trouble = share * _trouble(known) + (1 - share) * trouble
        trouble += SLOW * log2(1 + known.seconds / _DAY_S)
    return round(Decimal(min(worth * (1 + trouble), MOST)), 4)


def kept(known: Delivered, now_ms: int) -> float:
    """Share of the orders there that were delivered whole, three good ones thought to have gone before; 0 to 1."""
    known = _faded(known, now_ms, 1.0)
    return (known.orders - known.short + PRIOR) / (known.orders + PRIOR)


def _averaged(before: float, now: float) -> float:
    return now if not before else before + (now - before) / 8


def _ratio(paid: float, got: float) -> float:
    return min(paid / got, MOST) if got > 0 else MOST


def _trouble(known: Delivered) -> float:
    return (SHORT * known.short + REFILLED * min(known.refills, known.orders)) / known.orders


def faded(known: Delivered, now_ms: int) -> Delivered:
    """What is known of a route as it counts now."""
    return _faded(known, now_ms, 1.0)


def _faded(known: Delivered, now_ms: int, once: float) -> Delivered:
    by = once * exp2(-max(now_ms - known.at_ms, 0) / 1000 / HALF_LIFE_S)
    return msgspec.structs.replace(
        known,
        orders=known.orders * by,
        paid=known.paid * by,
        got=known.got * by,
        short=known.short * by,
        refills=known.refills * by,
        canceled=known.canceled * by,
        at_ms=max(now_ms, known.at_ms),
    )
