"""What a panel's word means for an order: its status, its counts, and the money it gives back. Pure.

Silence gives nothing back: a word no table knows, a Partial that does not say what remains. A finished order is
changed by a refund alone, so Completed may still become Partial or Canceled, and nothing else. An order of one unit,
as those priced per order are, is undelivered as a whole as soon as anything remains of it. Canceled gives all back,
unless the panel says that a part was delivered: most say that 0, nothing or all remains of what they cancel. Of a
subscription each child order is one post delivered; one that ends with nothing known of its posts gives nothing back by
itself, or its customer could have all posts but the last for nothing.
"""

from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from gateway.money import amount, steps
from providers.base import FINISHED, OrderStatus, Status
from providers.service_types import Subscriptions

_GIVING_BACK: Final = frozenset({OrderStatus.PARTIAL, OrderStatus.CANCELED})
_ENDING: Final = frozenset({OrderStatus.PARTIAL, OrderStatus.CANCELED, OrderStatus.EXPIRED})
_SUBSCRIPTION: Final = Subscriptions.type
_MOST: Final = 2**63  # no count of a panel's is too long for a database


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands: fields as in `records.Order`."""

    type: str
    quantity: int
    units: int
    charge: Decimal
    refunded: Decimal = Decimal(0)
    status: OrderStatus = OrderStatus.PENDING
    start_count: int | None = None
    remains: int = 0
    runs: int | None = None
    posts: int | None = None
    expiry: str | None = None
    children: tuple[str, ...] = ()


S = TypeVar("S", bound=Standing)


class Unclear(msgspec.Struct, frozen=True):
    """The panel said something that cannot be followed, for people to look at."""

    why: str


def of_whole(units: int, part: int, later: int, told: Status) -> Status:
    """What a panel that makes `part` of an order's `units` says, as if it were said of the whole order.

    What comes before the part is delivered; `later` units are to be made after it.
    """
    if part == units:
        return told
    before = units - part - later
    status, remains = told.status, None if told.remains is None else min(max(told.remains, 0), part)
    if status is OrderStatus.CANCELED:
        status, remains = OrderStatus.PARTIAL if before else status, remains or part
    elif status is OrderStatus.COMPLETED and later:
        status, remains = OrderStatus.IN_PROGRESS, 0
    elif status in _ENDING and later:  # what comes later is not bought, whatever is not said of this part
        status, remains = OrderStatus.PARTIAL, remains or 0
    elif status is OrderStatus.PENDING and before:
        status = OrderStatus.IN_PROGRESS
    return msgspec.structs.replace(
        told,
        status=status,
        remains=None if remains is None else remains + later,
        start_count=None if before else told.start_count,
    )


def lessened(told: Status, lost: int, units: int) -> Status:
    """What is said of a whole order of `units`, with `lost` ones of it that nobody makes any more."""
    if not lost or told.status is None:
        return told
    if told.status is OrderStatus.COMPLETED:
        return msgspec.structs.replace(told, status=OrderStatus.PARTIAL, remains=lost)
    remains = None if told.remains is None else min(told.remains + lost, units)
    return msgspec.structs.replace(told, remains=remains)


def observed(order: S, told: Status) -> S | Unclear:
    """The order after the panel said `told` of it: the very same if nothing follows."""
    if told.status is None or (order.status is OrderStatus.CANCELED and told.status is not OrderStatus.CANCELED):
        return order
    remains = _remains(order, told)
    if told.status is OrderStatus.PARTIAL and order.status is not OrderStatus.PARTIAL:
        if remains is None:
            return Unclear("Partial without remains")
        if order.units == 0:
            return Unclear("Partial of an order without a number of units")
    back = _unposted(order, told) if order.type == _SUBSCRIPTION else _undelivered(order, told.status, remains)
    if back is None:
        return Unclear(f"{told.status} without its posts")
    refunded = max(order.refunded, back)
    if order.status in FINISHED and (told.status not in _GIVING_BACK or refunded == order.refunded):
        return order
    return msgspec.structs.replace(
        order,
        status=told.status,
        refunded=refunded,
        start_count=_counted(told.start_count, order.start_count),
        remains=order.remains if remains is None else remains,
        runs=_counted(told.runs, order.runs),
        posts=_counted(told.posts, order.posts),
        expiry=told.expiry if told.expiry is not None else order.expiry,
        children=told.orders or order.children,
    )


def _undelivered(order: Standing, status: OrderStatus, remains: int | None) -> Decimal:
    """What the charge was for and did not come, rounded down to a step."""
    if status not in _GIVING_BACK:
        return amount(0)
    if status is OrderStatus.CANCELED and not (remains and remains < order.units):
        return order.charge
    if remains is None or not order.units:
        return amount(0)
    return amount(steps(order.charge) * remains // order.units)


def _unposted(order: Standing, told: Status) -> Decimal | None:
    """What a subscription's charge was for and was not posted when it ended; None where the panel does not say."""
    if told.status not in _ENDING or not order.units:
        return amount(0)
    known = told.posts is not None or told.expiry is not None or told.orders or order.children
    posts = order.units // order.quantity
    if known:
        left = max(posts - len(told.orders or order.children), 0)
        return amount(steps(order.charge) * left // posts)
    if not told.remains or told.remains < 0:
        return None
    return amount(steps(order.charge) * min(told.remains, order.units) // order.units)


def _remains(order: Standing, told: Status) -> int | None:
    """What remains, between 0 and all; None where the panel does not say. Completed leaves nothing, unless told."""
    if told.remains is None:
        return 0 if told.status is OrderStatus.COMPLETED else None
    return min(max(told.remains, 0), order.units or _MOST - 1)


def _counted(told: int | None, known: int | None) -> int | None:
    return told if told is not None and 0 <= told < _MOST else known
