"""A request, however it was sent, as one flat form.

Customers send urlencoded bodies, JSON, multipart, or everything in the query; query and body are merged, and the body
wins. `orders[]`, `orders[0]`, repeated `orders` and JSON arrays are the same list. What no form can hold (JSON's
fractions, truth values and objects; a NUL) is kept as None: it is that field's error where the field is read, and
nothing where it is not. The same goes for a field that was sent twice with different values.
"""

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.api_v2.asgi import MAX_BODY, TooLarge
from gateway.api_v2.multipart import boundary, multipart
from gateway.errors import BadForm

MAX_FIELDS: Final = 64
"""Fields of a body, and of a query; ids in a list are no fields."""

MAX_PAIRS: Final = MAX_FIELDS + 1024
"""Pairs of a urlencoded text, parts of a multipart one: fields, and a list of the most ids any action takes."""

_LISTS: Final = frozenset({"orders", "refills"})
_PLURAL: Final = {"order": "orders", "refill": "refills"}
_BLANK_OR_BOM: Final = b" \t\r\n\xef\xbb\xbf"

_WORDS: Final = {
    "action": "Incorrect request",
    "key": "Invalid API key",
    "service": "Incorrect service ID",
    "order": "Incorrect order ID",
    "orders": "Incorrect order ID",
    "refill": "Refill not found",
    "refills": "Refill not found",
}

Pair = tuple[str, str | None]


class TooManyFields(BadForm):
    def __init__(self) -> None:
        super().__init__(f"Incorrect request: more than {MAX_FIELDS} fields")


def wrong(field: str) -> BadForm:
    """The field's own words for a mistake in one field."""
    return BadForm(_WORDS.get(field, f"Incorrect {field}"))


class Form(msgspec.Struct, frozen=True):
    """What was sent, by folded name."""

    fields: dict[str, list[str | None]]

    def one(self, name: str) -> str:
        """The field's text without blanks around it; empty where it is absent."""
        texts = self.fields.get(name)
        if texts is None:
            return ""
        first = texts[0]
        if first is None:
            raise wrong(name)
        first = first.strip()
        if len(texts) > 1 and any(text is None or text.strip() != first for text in texts):
            raise wrong(name)
        return first

    def many(self, name: str) -> list[str]:
        """Every text the field was given; empty where it is absent."""
        texts: list[str] = []
        for text in self.fields.get(name, ()):
            if text is None:
                raise wrong(name)
            texts.append(text)
        return texts


def read_form(query: bytes, body: bytes, content_type: bytes) -> Form:
    """Read a request; raises BadForm where it cannot be read at all."""
    if len(query) > MAX_BODY:
        raise TooLarge
    asked = _folded(_urlencoded(query)) if query else {}
    if not body:
        return Form(asked)
    divider = boundary(content_type)
    if divider is not None:
        if body.count(b"\r\n--" + divider) > MAX_PAIRS:  # it stands after each part; parsing them is what costs
            raise TooManyFields
        sent = _folded(multipart(body, divider))
    elif body.lstrip(_BLANK_OR_BOM).startswith(b"{"):
        sent = _folded(_json(body))
    else:
        sent = _folded(_urlencoded(body))
    return Form({**asked, **sent} if asked else sent)


def _folded(pairs: Iterable[Pair]) -> dict[str, list[str | None]]:
    fields: dict[str, list[str | None]] = {}
    count = 0
    for name, value in pairs:
        if "[" in name:
            name = name.partition("[")[0]
            name = _PLURAL.get(name, name)
        if name not in _LISTS:
            count += 1
            if count > MAX_FIELDS:
                raise TooManyFields
        if value is not None and "\0" in value:
            value = None
        fields.setdefault(name, []).append(value)
    return fields


def _urlencoded(raw: bytes) -> list[Pair]:
    if raw.count(b"&") >= MAX_PAIRS:
        raise TooManyFields
    raw = raw.replace(b"+", b" ")
    pairs: list[Pair] = []
    try:
        if b"%" not in raw:  # most calls: nothing to unquote
            for part in raw.decode().split("&"):
                name, _, value = part.partition("=")
                pairs.append((name.strip(), value))
            return pairs
        for piece in raw.split(b"&"):
            quoted, _, rest = piece.partition(b"=")
            pairs.append((unquote_to_bytes(quoted).decode().strip(), unquote_to_bytes(rest).decode()))
    except UnicodeDecodeError:
        raise BadForm("Incorrect request: not UTF-8") from None
    return pairs


def _no_text(_: str) -> tuple[()]:
    return ()


_DECODER: Final = json.JSONDecoder(  # not msgspec: it keeps the last of two equal keys and knows 1.0 only as a number
    object_pairs_hook=tuple, parse_int=str, parse_float=_no_text, parse_constant=_no_text
)


def _json(raw: bytes) -> list[Pair]:
    """Objects come out of the decoder as tuples, integers as their digits: a number costs nothing, however long."""
    try:
        members: tuple[tuple[str, object], ...] = _DECODER.decode(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadForm("Incorrect request: not UTF-8") from None
    except (ValueError, RecursionError):
        raise BadForm("Incorrect request: not JSON") from None
    pairs: list[Pair] = []
    for name, value in members:
        if isinstance(value, list):
            listed = _PLURAL.get(name, name)
            pairs.extend((listed, _text(element)) for element in value if element is not None)
        elif value is not None:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no UTF-8 can say it
        return None
    return value
