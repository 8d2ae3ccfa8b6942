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
_FAILED: Final = frozenset({"error", "fail", "failed", "failure", "false", "0"})
_WENT_WELL: Final = frozenset({"ok", "success", "created", "accepted"})
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
    if not http_ok:
        return _first(document) or _text(document.get("title"))
    return _first(document) if says_no(document) else None


def coded(document: Mapping[str, object]) -> bool:
    """Whether a code says no: `"code": 429`, `"status": "403"`, `"code": "LIMITED"`."""
    code = document.get("code")
    if isinstance(code, str) and code.strip().lower() not in _WENT_WELL and any(map(str.isalpha, code)):
        return True
    return any(_of_http(document.get(name)) for name in ("code", "statusCode", "status"))


def _of_http(code: object) -> bool:
    text = str(code).strip() if isinstance(code, int | str) else ""
    return len(text) == len("404") and text.isascii() and text.isdecimal() and text[0] in "45"


def says_no(document: Mapping[str, object]) -> bool:
    """Whether the envelope says no, with or without words."""
    names = ["success", "result", "ok"]
    if not document.keys() & {"charge", "remains", "start_count"}:  # with them, the status is an order's
        names.append("status")
    said = [document.get(name) for name in names]
    if any(_of_http(document.get(name)) for name in ("code", "statusCode", *names[3:])):
        return True
    return any(word == 0 if isinstance(word, int) else _fails(word) for word in said)


def _fails(word: object) -> bool:
    return isinstance(word, str) and word.strip().lower() in _FAILED


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
