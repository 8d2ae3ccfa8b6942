"""A form's texts as values: one reader a kind of field, and the few rules that bind fields together.

What a service type asks for stands in `providers.service_types` as annotations; a reader belongs to an annotation, or
to the name of a field whose rule is its own. Fields that a type does not know are ignored, drip-feed apart: an order
that asks for runs is never bought as one without.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any, Final

import msgspec

from gateway.api_v2.form import Form, wrong
from gateway.catalog.services import Service
from gateway.errors import BadForm
from providers.service_types import (
    SUBSCRIPTION_DELAYS,
    TYPES,
    Default,
    OrderFields,
    Subscriptions,
    WebTraffic,
    folded,
)

MAX_NUMBER: Final = 2**31 - 1
"""Customers' shops keep ids and quantities in 32 bits."""

MAX_TEXT: Final = 2048
MAX_LINES: Final = 10_000
MAX_LINE: Final = 1000

_ABSENT: Final = frozenset({"", "undefined", "null"})
"""What JavaScript and Python clients write for a field they have nothing for."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_LINE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""Every other line end of Unicode is among them: panels that split there would see more lines than were paid for."""

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_NAME: Final = re.compile(r"[\x20-\x7e]{1,255}")
_DATE: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")

Reader = Callable[[Form, str], Any]


def whole(text: str) -> int | None:
    """The number that ASCII digits say, up to `MAX_NUMBER`; None for anything else.

    >>> whole("0100"), whole("0"), whole("+1"), whole("1e3"), whole("٣"), whole("2147483648")
    (100, 0, None, None, None, None)
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > len(str(MAX_NUMBER)):  # before int(), whose work grows with the square of the digits
        return None
    number = int(digits or "0")
    return number if number <= MAX_NUMBER else None


def number(form: Form, name: str) -> int:
    value = whole(form.one(name))
    if not value:
        raise wrong(name)
    return value


def optional_number(form: Form, name: str) -> int | None:
    """None where the field is absent or 0."""
    text = form.one(name)
    if text in _ABSENT:
        return None
    value = whole(text)
    if value is None:
        raise wrong(name)
    return value or None


def text(form: Form, name: str) -> str:
    value = form.one(name)
    if not 0 < len(value) <= MAX_TEXT or _CONTROL.search(value):
        raise wrong(name)
    return value


def optional_text(form: Form, name: str) -> str | None:
    return text(form, name) if form.one(name) else None


def _link_or_none(form: Form, name: str) -> str:
    return optional_text(form, name) or ""


def lines(form: Form, name: str) -> tuple[str, ...]:
    """The non-empty lines, trimmed; a comma inside a line is the customer's own."""
    return _listed(_split(form, name), name)


def words(form: Form, name: str) -> tuple[str, ...]:
    """Like `lines`, and split at commas: panels split there too, whichever of the two parts the list."""
    return _listed([word for line in _split(form, name) for word in line.split(",")], name)


def _split(form: Form, name: str) -> list[str]:
    return _LINE_END.split("\n".join(form.many(name)))


def _listed(found: list[str], name: str) -> tuple[str, ...]:
    kept = tuple(line for line in map(str.strip, found) if line)
    if not 0 < len(kept) <= MAX_LINES:
        raise wrong(name)
    if any(len(line) > MAX_LINE or _CONTROL_IN_LINE.search(line) for line in kept):
        raise wrong(name)
    return kept


def _one_of(allowed: frozenset[int]) -> Reader:
    def read(form: Form, name: str) -> int:
        value = whole(form.one(name))
        if value not in allowed:
            raise wrong(name)
        return value

    return read


def _expiry(form: Form, name: str) -> str | None:
    """Day/month/year; whether the day is still to come is for the panel to say."""
    value = form.one(name)
    if value in _ABSENT:
        return None
    parts = _DATE.fullmatch(value)
    if parts is None:
        raise wrong(name)
    day, month, year = map(int, parts.groups())
    try:
        date(year, month, day)
    except ValueError:
        raise wrong(name) from None
    return value


_BY_NAME: Final[Mapping[str, Reader]] = {
    "keywords": words,
    "usernames": words,
    "hashtags": words,
    "groups": words,
    "device": _one_of(frozenset(range(1, 6))),
    "type_of_traffic": _one_of(frozenset(range(1, 4))),
    "delay": _one_of(SUBSCRIPTION_DELAYS),
    "expiry": _expiry,
}

_BY_ANNOTATION: Final[Mapping[object, Reader]] = {
    int: number,
    int | None: optional_number,
    str: text,
    str | None: optional_text,
    tuple[str, ...]: lines,
}


@cache
def _readers(kind: type[OrderFields]) -> tuple[tuple[str, Reader], ...]:
    return tuple(
        (
            field.name,
            _link_or_none if field.default == "" else _BY_NAME.get(field.name) or _BY_ANNOTATION[field.type],
        )
        for field in msgspec.structs.fields(kind)
    )


def request_id(form: Form, header: bytes) -> str | None:
    """The customer's own name for a request: the field `request_id`, or the header Idempotency-Key; None without one.

    1 to 255 printable ASCII characters, with or without the quotes that the header's draft standard asks for.

    Raises:
        BadForm: it cannot be such a name, or the two differ.
    """
    told = form.one("request_id")
    if told in _ABSENT:
        told = ""
    elif not _NAME.fullmatch(told):
        raise wrong("request_id")
    headed = header.decode("latin-1").strip()
    if len(headed) >= 2 and headed[0] == headed[-1] == '"':
        headed = headed[1:-1]
    if header and not _NAME.fullmatch(headed):
        raise BadForm("Incorrect Idempotency-Key")
    if told and headed and told != headed:
        raise wrong("request_id")
    return told or headed or None


def order_fields(form: Form, service: Service) -> OrderFields:
    """What the form orders of `service`.

    Raises:
        BadForm: a field is missing or wrong, or the service does not take so few, so many, or drip-feed.
    """
    kind = TYPES.get(service.type) or TYPES[folded(service.type)]
    fields = kind(**{name: read(form, name) for name, read in _readers(kind)})
    _check_dripfeed(form, fields, service)
    if isinstance(fields, WebTraffic):
        fields = _traffic(fields)
    elif isinstance(fields, Subscriptions):
        fields = _subscription(form, fields)
    _check_size(fields, service)
    return fields


def _check_dripfeed(form: Form, fields: OrderFields, service: Service) -> None:
    runs, interval = optional_number(form, "runs"), optional_number(form, "interval")
    if runs is None and interval is None:
        return
    if runs is None:
        raise wrong("runs")
    if interval is None:
        raise wrong("interval")
    if service.dripfeed is False or not isinstance(fields, Default | WebTraffic):
        raise BadForm("Dripfeed is not supported by this service")


def _traffic(fields: WebTraffic) -> WebTraffic:
    """Keeps only what its kind of traffic needs, so that no panel reads two kinds into one order."""
    if fields.type_of_traffic == 1 and not fields.google_keyword:
        raise wrong("google_keyword")
    if fields.type_of_traffic == 2 and not fields.referring_url:
        raise wrong("referring_url")
    return msgspec.structs.replace(
        fields,
        google_keyword=fields.google_keyword if fields.type_of_traffic == 1 else None,
        referring_url=fields.referring_url if fields.type_of_traffic == 2 else None,
    )


def _subscription(form: Form, fields: Subscriptions) -> Subscriptions:
    """`posts` 0 beside `old_posts` means old posts only; alone it is how shops in the field write "no limit"."""
    if fields.min > fields.max:
        raise wrong("min")
    if fields.old_posts and whole(form.one("posts")) == 0:
        return msgspec.structs.replace(fields, posts=0)
    return fields


def _check_size(fields: OrderFields, service: Service) -> None:
    least = fields.min if isinstance(fields, Subscriptions) else fields.size()
    if least < service.min:
        raise BadForm(f"Quantity less than minimal {service.min}")
    if fields.size() > service.max:
        raise BadForm(f"Quantity more than maximum {service.max}")
    if fields.units() > MAX_NUMBER:
        raise wrong("posts" if isinstance(fields, Subscriptions) else "runs")
