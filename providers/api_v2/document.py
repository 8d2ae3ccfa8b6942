"""A panel's answer as JSON, strictly, and the no that it may hold, in any of the field's envelopes."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

_BOM: Final = b"\xef\xbb\xbf"


def _decimal(text: str) -> Decimal:
    """One number that no `Decimal` holds is no reason to lose the rest of an answer."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


_decoder: Final = msgspec.json.Decoder(float_hook=_decimal)


class NotJSON(ValueError):
    """The bytes are no JSON document, or no sane one."""


def document(body: bytes) -> object:
    """Read `body` strictly: no NaN, nothing after the end, numbers with a fraction as `Decimal`.

    Raises:
        NotJSON: it is anything else: a page, a warning of PHP, half an answer, a bomb of brackets.
    """
    try:
        return _decoder.decode(body.removeprefix(_BOM))
    except (ValueError, ArithmeticError, RecursionError) as wrong:  # msgspec's own errors are ValueErrors
        raise NotJSON(type(wrong).__name__) from None


_NOTHING: Final = frozenset({"", "0", "false", "null", "none", "no"})
_FAILED: Final = frozenset({"error", "fail", "failed", "false"})
_TEXTS: Final = ("error", "message", "msg", "pesan", "detail", "text", "name", "data")


def failure(document: object, *, http_ok: bool = True) -> str | None:
    """The panel's own words where `document` says no; None where it does not.

    `{"status": "Fail"}` alone is no envelope but the status of an order; `{"status": "error", "msg": "…"}` is one.

    >>> failure({"error": "Incorrect order ID"}), failure({"status": False, "data": {"pesan": "Maintenance"}})
    ('Incorrect order ID', 'Maintenance')
    >>> failure({"order": 23501, "error": None}), failure({"status": "Fail", "remains": "0"})
    (None, None)
    """
    if isinstance(document, str):
        return document.strip() or None
    if not isinstance(document, dict):
        return None
    for name, value in document.items():
        if name.lower() in {"error", "errors"} and (text := _text(value, document)) is not None:
            return text
    if http_ok and not _says_no(document):
        return None
    return _first(document)


def _says_no(document: Mapping[str, object]) -> bool:
    names = ["success", "result", "ok"]
    if not document.keys() & {"charge", "remains", "start_count"}:  # with them, the status is an order's
        names.append("status")
    said = [document.get(name) for name in names]
    return any(word is False or (isinstance(word, str) and word.strip().lower() in _FAILED) for word in said)


def _text(value: object, around: Mapping[str, object] | None = None, *, deep: int = 3) -> str | None:
    """Words in whatever an `error` key holds; a bare `true` or code sends us to the words around it."""
    if isinstance(value, str):
        return None if value.strip().lower() in _NOTHING else value.strip()
    if isinstance(value, dict | list):
        if not deep:
            return None
        inner = list(value.values()) if isinstance(value, dict) else value
        named = _first(value, deep=deep - 1) if isinstance(value, dict) else None
        return named or next((text for part in inner if (text := _text(part, deep=deep - 1))), None)
    if not value or around is None:
        return None
    return _first(around) or "error"


def _first(document: Mapping[str, object], *, deep: int = 3) -> str | None:
    return next((text for name in _TEXTS if (text := _text(document.get(name), deep=deep))), None)
