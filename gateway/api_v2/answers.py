"""Values as the bytes of an answer, in the shapes of the seed document.

Amounts, counts and rates are strings; order ids are integers in lists and texts as keys. Two decisions of ours:

- A `cancel` of one order by `order`, which the seed document does not know, is answered by the seed's row without the
  list around it: those who send it (VexBoost's and BEAST8's manner) read no lists, and BEAST8 takes the field `order`
  for success. Nothing calls it "status", which would read as the order's.
- Drip-feed orders and subscriptions list no child orders: the ids panels give theirs would be polled here as orders
  of ours, and would name somebody else's.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias, TypeVar

import msgspec

from gateway.api_v2.ids import Ids
from gateway.ledger.records import Order
from gateway.money import wire
from providers.base import RefillStatus
from providers.service_types import Subscriptions

NO_ORDER: Final = "Incorrect order ID"
NO_REFILL: Final = "Refill not found"

V = TypeVar("V")

_encode = msgspec.json.Encoder().encode


class _Error(msgspec.Struct):
    error: str


class _Status(msgspec.Struct, gc=False):
    charge: str
    start_count: str
    status: str
    remains: str
    currency: str


class _DripfeedStatus(_Status):
    runs: int
    orders: tuple[int, ...] = ()


class _SubscriptionStatus(msgspec.Struct):
    status: str
    expiry: str
    posts: int
    orders: tuple[int, ...] = ()


Stand: TypeAlias = _Status | _SubscriptionStatus


def error(words: str) -> bytes:
    return _encode(_Error(words))


def added(order: int) -> bytes:
    return b'{"order":%d}' % order


def balance(amount: Decimal, currency: str) -> bytes:
    return _encode({"balance": wire(amount), "currency": currency})


def status(ids: Ids, stand: Mapping[int, Stand]) -> bytes:
    """One order's own shape, or many keyed by id."""
    if not ids.many:
        return _encode(_of(stand, ids.asked[0]) or _Error(NO_ORDER))
    return _encode({str(id): _of(stand, id) or _Error(NO_ORDER) for id in ids.asked})


def stand(order: Order, currency: str) -> Stand:
    """How an order stands.

    `charge` is what it has taken until now: refunds are gone from it. What is not known yet counts as 0.
    """
    if order.type == Subscriptions.type:
        return _SubscriptionStatus(order.status, order.expiry or "", order.posts or 0)
    charge, start_count = wire(order.charge - order.refunded), str(order.start_count or 0)
    if order.runs is None and order.units == order.quantity:
        return _Status(charge, start_count, order.status, str(order.remains), currency)
    return _DripfeedStatus(charge, start_count, order.status, str(order.remains), currency, order.runs or 0)


def refill(ids: Ids, refills: Mapping[int, int | str]) -> bytes:
    """The seed writes a refill's id as text for one order, as an integer for many."""
    if ids.many:
        return _encode([{"order": id, "refill": _number_or_error(_of(refills, id))} for id in ids.asked])
    given = _number_or_error(_of(refills, ids.asked[0]))
    return _encode(given if isinstance(given, _Error) else {"refill": str(given)})


def _number_or_error(given: int | str | None) -> int | _Error:
    return given if isinstance(given, int) else _Error(NO_ORDER if given is None else given)


def refill_status(ids: Ids, statuses: Mapping[int, RefillStatus]) -> bytes:
    if ids.many:
        return _encode([{"refill": id, "status": _of(statuses, id) or _Error(NO_REFILL)} for id in ids.asked])
    found = _of(statuses, ids.asked[0])
    return _encode({"status": found} if found else _Error(NO_REFILL))


def cancel(ids: Ids, cancels: Mapping[int, str | None]) -> bytes:
    """1 says that the cancel was asked for, no more."""
    rows: list[dict[str, object]] = []
    for id in ids.asked:
        words = cancels[id] if isinstance(id, int) and id in cancels else NO_ORDER
        rows.append({"order": id, "cancel": 1 if words is None else _Error(words)})
    if ids.many:
        return _encode(rows)
    outcome = rows[0]["cancel"]
    return _encode(outcome if isinstance(outcome, _Error) else rows[0])


def _of(values: Mapping[int, V], id: int | str) -> V | None:
    return values.get(id) if isinstance(id, int) else None
