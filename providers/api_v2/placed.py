"""What an answer to an `add` says of the order: its id, or a sign that there is one.

An answer that names an order is never a no; what is here decides what names one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from providers.api_v2.document import coded, failure, says_no
from providers.api_v2.values import charge, count, identifier
from providers.api_v2.words import known
from providers.base import Added

BARE: Final = 1000
"""The smallest number that is an order's id when it is the whole answer: a bare 1 is a yes, a bare 404 a code."""

_NAMES: Final = frozenset({"order", "orderid"})
_SIGNS: Final = _NAMES | {"orders", "orderids", "ordernumber", "orderno", "orderuuid"}
_WITHIN: Final = frozenset({"id", "number", "no", "uuid"})
"""Names of an id inside of what bears an order's name: `{"order": {"id": 5}}`."""

_ORDER_WRITTEN: Final = re.compile(
    rb"""(?:["'\[<]|&quot;)order[ _-]?(?:id|number|no)?s?(?:\\{0,4}["'\]>]|&quot;)"""
    rb"""\s{0,20}[:=>]{0,3}[\s"'\\\[{]{0,20}(?:&quot;)?[a-z_-]{0,64}[0-9]"""
    rb"""|\border(?:[ _-]?(?:id|number|no)\s{0,9}[:=.]|[ _-]?(?:id|number|no)?\s{0,9}\#)\s{0,9}\#?[0-9]""",
    re.IGNORECASE,
)
"""In quotes or brackets, or as "Order ID: 5": pages are full of `border:1px`. Bounded: a hostile page takes no time."""

_BROKEN: Final = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*(?:\{\s*(?:["'{\[\]}0-9\\&]|order|\Z)|\[\s*(?:["'{\[\]}\\&]|[0-9]+\s*(?:[,.]|\Z)|\Z))""",
    re.IGNORECASE,
)
"""How JSON begins that was cut or has something after it; `{error}` and `[429] Too many requests` are plain texts."""

_WORD: Final = re.compile(r"[A-Za-z]?[a-z_-]*")
_DEEPEST: Final = 32


def added(document: object, *, whole: bool = True) -> Added | None:
    """Find the id of a new order, or None. One with a digit under an order's own name counts beside an error too.

    A bare number counts only where it is `whole`: half an id is an id too, but somebody else's.

    >>> added({"order": 23501}), added({"order": "0"}), added({"id": "e7", "error": "Invalid link"}), added(404)
    (Added(remote_id='23501', charge=None), None, None, None)
    """
    if isinstance(document, int | str):
        bare = order_id(document) if whole else None
        return Added(bare) if bare is not None and bare.isdecimal() and int(bare) >= BARE else None
    if not isinstance(document, dict):
        return None
    inner = document.get("data")
    places = [document, inner] if isinstance(inner, dict) else [document]
    denied = any(map(_denied, places))
    told = _called(places, _NAMES)
    if told is None and not denied:
        several = document.get("orders")
        alone = several[0] if isinstance(several, list) and len(several) == 1 else None
        told = _called(places, frozenset({"id"})) or alone
    remote_id = order_id(told)
    if remote_id is None or (denied and not _with_digit(remote_id)):
        return None
    return Added(remote_id, _charge_beside(places))


def _denied(place: Mapping[str, object]) -> bool:
    """Whether a no stands beside an id, in an envelope or in well-known words."""
    text = failure(place, http_ok=False)
    return failure(place) is not None or says_no(place) or (text is not None and known(text) is not None)


def _charge_beside(places: Sequence[Mapping[str, object]]) -> Decimal | None:
    try:
        return next((found for place in places if (found := charge(place.get("charge"))) is not None), None)
    except Exception:  # noqa: BLE001 - the id has been read, and nothing beside it may lose it
        return None


def ordered(document: object) -> bool:
    """Whether an order's id stands anywhere in an answer that should have none: the panel may have acted.

    >>> ordered({"error": "x", "result": [{"order": 5}]}), ordered({"id": 5}), ordered({"msg": "Bad", "id": 7})
    (True, True, False)
    >>> ordered({"error": "Order #5 placed"}), ordered({"error": "x", "limits": {"orders": 100}})
    (True, False)
    """
    if isinstance(document, dict) and failure(document, http_ok=False) is None and not coded(document):
        inner = document.get("data")
        if order_id(document.get("id")) or (isinstance(inner, dict) and order_id(inner.get("id"))):
            return True
    if isinstance(document, dict) and any(
        _folded(name) == "orders" and _is_id(told) for name, told in document.items()
    ):
        return True
    return _ordered(document, _DEEPEST)


def _ordered(document: object, deep: int) -> bool:
    if isinstance(document, str):
        return _ORDER_WRITTEN.search(document.encode(errors="replace")) is not None
    if not isinstance(document, dict | list):
        return False
    if not deep:
        return True
    if isinstance(document, list):
        return any(_ordered(inner, deep - 1) for inner in document)
    return any(_names_order(_folded(name), told) or _ordered(told, deep - 1) for name, told in document.items())


def _names_order(name: str, told: object) -> bool:
    """A lone number of `orders` is a count; words are complaints, so an id needs a digit here."""
    return name in _SIGNS and any(_is_id(one) for one in _ids(told, alone=name != "orders"))


def _ids(told: object, *, alone: bool) -> Iterator[object]:
    if isinstance(told, dict):
        yield from told
        yield from (value for name, value in told.items() if _folded(name) in _WITHIN)
    elif isinstance(told, list):
        for entry in told:
            if isinstance(entry, dict):
                yield from (value for name, value in entry.items() if _folded(name) in _WITHIN)
            else:
                yield entry
    elif alone:
        yield told


def _is_id(raw: object) -> bool:
    """Whether it is an id with a digit; `55.0` and `"#55"` are good enough for a sign."""
    if isinstance(raw, Decimal):
        return (count(raw) or 0) > 0
    remote_id = order_id(raw.strip().removeprefix("#") if isinstance(raw, str) else raw)
    return remote_id is not None and _with_digit(remote_id)


def ordered_in(body: bytes) -> bool:
    """Whether a text that is no JSON may hold an order's id, or is JSON that was cut before it.

    >>> ordered_in(b'<b>Warning</b>{"order": 5}'), ordered_in(b'{"status": 1, "or'), ordered_in(b"<p>in order to</p>")
    (True, True, False)
    >>> ordered_in(b"td{border:1px;order:2}"), ordered_in(b"<order>5</order>"), ordered_in(b"Order ID: 5")
    (False, True, True)
    """
    return _BROKEN.match(body) is not None or _ORDER_WRITTEN.search(body) is not None


def _called(places: Sequence[Mapping[str, object]], names: frozenset[str]) -> object:
    """The first value by one of the names, however they are written: order_id, orderId, "Order ID"."""
    every = ((_folded(key), value) for place in places for key, value in place.items())
    return next((value for key, value in every if key in names and value is not None), None)


def _folded(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _with_digit(remote_id: str) -> bool:
    return any(map(str.isdecimal, remote_id))


def order_id(raw: object) -> str | None:
    """Read an order's id, or None: a lone word is none, and neither is a known no."""
    if isinstance(raw, str) and (known(raw) is not None or _WORD.fullmatch(raw)):
        return None
    return identifier(raw)
