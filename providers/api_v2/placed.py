"""What an answer to an `add` says of the order: its id, or a sign that there is one."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from providers.api_v2.document import failure
from providers.api_v2.values import charge, identifier
from providers.api_v2.words import known
from providers.base import Added

BARE: Final = 1000
"""The smallest number that is an order's id when it is the whole answer: a bare 1 is a yes, a bare 404 a code."""

_ORDER_NAMES: Final = frozenset({"order", "orderid", "orders"})
_ORDER_WRITTEN: Final = re.compile(
    rb"""(?:["'\[<]|&quot;)order_?(?:id)?s?(?:\\{0,4}["'\]>]|&quot;)"""
    rb"""\s{0,20}[:=>]{0,3}[\s"'\\\[{]{0,20}(?:&quot;)?[a-z_-]{0,64}[0-9]"""
    rb"""|\border(?:[ _-]?id\s{0,9}[:=]|\s{0,9}\#)\s{0,9}\#?[0-9]""",
    re.IGNORECASE,
)
"""In quotes or brackets, or as "Order ID: 5": pages are full of `border:1px`. Bounded: a hostile page takes no time."""

_DEEPEST: Final = 32


def added(document: object, *, whole: bool = True) -> Added | None:
    """Find the id of a new order, or None. One under an order's own name counts beside an error too.

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
    told = _called(places, "order", "orderid")
    if told is None and failure(document) is None:
        several = document.get("orders")
        alone = several[0] if isinstance(several, list) and len(several) == 1 else None
        told = _called(places, "id") or alone
    remote_id = order_id(told)
    return Added(remote_id, _charge_beside(places)) if remote_id is not None else None


def _charge_beside(places: Sequence[Mapping[str, object]]) -> Decimal | None:
    try:
        return next((found for place in places if (found := charge(place.get("charge"))) is not None), None)
    except Exception:  # noqa: BLE001 - the id has been read, and nothing beside it may lose it
        return None


def ordered(document: object, *, deep: int = _DEEPEST) -> bool:
    """Whether an order's id stands anywhere in an answer that should have none: the panel may have acted.

    >>> ordered({"error": "x", "result": [{"order": 5}]}), ordered({"id": 5}), ordered({"msg": "Bad", "id": 7})
    (True, True, False)
    """
    if deep == _DEEPEST and isinstance(document, dict) and failure(document, http_ok=False) is None:
        inner = document.get("data")
        if order_id(document.get("id")) or (isinstance(inner, dict) and order_id(inner.get("id"))):
            return True
    if not isinstance(document, dict | list):
        return False
    if not deep:
        return True
    if isinstance(document, list):
        return any(ordered(inner, deep=deep - 1) for inner in document)
    return any(
        (name.replace("_", "").lower() in _ORDER_NAMES and _names_order(value)) or ordered(value, deep=deep - 1)
        for name, value in document.items()
    )


def _names_order(value: object) -> bool:
    """A lone word counts, since ids may be words; of several, as in a list of complaints, only those with a digit."""
    if isinstance(value, list | dict):
        ids = map(order_id, value)
        return any(found is not None and any(map(str.isdecimal, found)) for found in ids)
    return order_id(value) is not None


def ordered_in(body: bytes) -> bool:
    """Whether a text that is no JSON may hold an order's id, or is JSON that was cut before it.

    >>> ordered_in(b'<b>Warning</b>{"order": 5}'), ordered_in(b'{"status": 1, "or'), ordered_in(b"<p>in order to</p>")
    (True, True, False)
    >>> ordered_in(b"td{border:1px;order:2}"), ordered_in(b"<order>5</order>"), ordered_in(b"Order ID: 5")
    (False, True, True)
    """
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["} or _ORDER_WRITTEN.search(body) is not None


def _called(places: Sequence[Mapping[str, object]], *names: str) -> object:
    """The first value by one of the names, whatever their case: order_id, orderId, OrderID."""
    every = ((key.replace("_", "").lower(), value) for place in places for key, value in place.items())
    return next((value for key, value in every if key in names and value is not None), None)


def order_id(raw: object) -> str | None:
    return None if isinstance(raw, str) and known(raw) is not None else identifier(raw)
