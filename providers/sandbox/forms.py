"""Read what a buyer wants to order, and say no in the field's own words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from providers.sandbox.catalogue import Listing
from providers.service_types import PER_ORDER, SUBSCRIPTION_DELAYS, TYPES, OrderFields, Subscriptions, WebTraffic

_NO_LINK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_DIGITS: Final = 10
"""A number with more of them is nobody's quantity."""

_COMMA_LISTS: Final = frozenset({"usernames", "hashtags", "keywords", "groups"})
"""Lists that buyers also send in one line."""


class Denied(Exception):
    """The panel says no and does nothing. `words` is what it answers."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class _Field(msgspec.Struct, frozen=True):
    name: str
    kind: Literal["number", "lines", "text"]
    required: bool


def _fields(kind: type[OrderFields]) -> tuple[_Field, ...]:
    kinds: Mapping[object, Literal["number", "lines"]] = {int: "number", tuple[str, ...]: "lines"}
    found = [
        _Field(
            field.name,
            next((kinds[part] for part in (field.type, *get_args(field.type)) if part in kinds), "text"),
            field.required,
        )
        for field in msgspec.structs.fields(kind)
        if field.required or field.name != "link"
    ]
    first = {"link": 0, "quantity": 1}  # what panels look at before all else
    return tuple(sorted(found, key=lambda field: first.get(field.name, 2)))


_TABLE: Final = {name: _fields(kind) for name, kind in TYPES.items()}


def read(type: str, given: Mapping[str, str]) -> OrderFields:
    """The fields of one order, whatever the limits of the service.

    Raises:
        Denied: a field is missing or says what cannot be.
    """
    values: dict[str, object] = {}
    for field in _TABLE[type]:
        text = given.get(field.name, "").strip()
        value = _value(field, text) if text else None
        if value is None and (text or field.required):
            raise Denied(f"Incorrect {field.name}")
        if value is not None:
            values[field.name] = value
    return msgspec.convert(values, TYPES[type])


def written(order: OrderFields) -> dict[str, str]:
    """The fields that `read` reads so, for the journal."""
    fields: dict[str, str] = {}
    for field in _TABLE[order.type]:
        value = getattr(order, field.name)
        if value is not None:
            fields[field.name] = "\n".join(value) if isinstance(value, tuple) else str(value)
    return fields


def check(order: OrderFields, listing: Listing, now: float) -> None:
    """Whether this service takes this order at all.

    Raises:
        Denied: it does not.
    """
    if isinstance(order, Subscriptions):
        _check_subscription(order, listing, now)
    elif listing.type not in PER_ORDER:
        _check_size(order.size(), order.size(), listing)
    if isinstance(order, WebTraffic):
        _check_traffic(order)
    runs, interval = getattr(order, "runs", None), getattr(order, "interval", None)
    if runs is not None or interval is not None:
        if not listing.dripfeed:
            raise Denied("Dripfeed is not supported by this service")
        if runs is None or interval is None:
            raise Denied("Incorrect runs" if runs is None else "Incorrect interval")


def _check_size(smallest: int, largest: int, listing: Listing) -> None:
    if smallest < listing.min:
        raise Denied(f"Quantity less than minimal {listing.min}")
    if largest > listing.max:
        raise Denied(f"Quantity more than maximum {listing.max}")


def _check_traffic(order: WebTraffic) -> None:
    wrong = (
        ("device", order.device > 5),
        ("type_of_traffic", order.type_of_traffic > 3),
        ("google_keyword", order.type_of_traffic == 1 and not order.google_keyword),
        ("referring_url", order.type_of_traffic == 2 and not order.referring_url),
    )
    for name, is_wrong in wrong:
        if is_wrong:
            raise Denied(f"Incorrect {name}")


def _check_subscription(order: Subscriptions, listing: Listing, now: float) -> None:
    if order.min > order.max:
        raise Denied("Incorrect min")
    _check_size(order.min, order.max, listing)
    if order.delay not in SUBSCRIPTION_DELAYS:
        raise Denied("Incorrect delay")
    if order.posts == 0 and not order.old_posts:
        raise Denied("Incorrect posts")
    if order.expiry is not None:
        end = expires(order.expiry)
        if end is None or end <= now:
            raise Denied("Incorrect expiry")


def expires(date: str) -> float | None:
    """When a day written d/m/Y is over (UTC), in seconds; None when it is no day.

    >>> expires("31/12/1969"), expires("2/1/1970"), expires("1970-01-02")
    (0.0, 172800.0, None)
    """
    try:
        day = datetime.strptime(date, "%d/%m/%Y").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (day + timedelta(days=1)).timestamp()


def _value(field: _Field, text: str) -> object | None:
    """What `text` says, or None when it says nothing that fits."""
    if field.kind == "number":
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            return None
        number = int(text)
        return number if number or field.name in {"delay", "posts", "old_posts"} else None
    if field.kind == "lines":
        lines = text.splitlines()
        if len(lines) == 1 and field.name in _COMMA_LISTS:
            lines = text.split(",")
        return tuple(line.strip() for line in lines if line.strip()) or None
    return None if field.name == "link" and _NO_LINK.search(text) else text
