"""Numbers, ids and texts as panels write them: `50`, `"50"`, `" 2 147 483 647"`, `"Unknown"`, null."""

import re
from decimal import Decimal
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_ID: Final = re.compile(r"-?0+|-[0-9]+|[_-]+")
_WORDS: Final = frozenset(
    {"null", "none", "nil", "nan", "undefined", "true", "false", "ok", "success", "error", "fail", "failed"}
)
_LARGEST: Final = 10**18
_POWERS: Final = range(-29, 18)  # of ten, of a number's first digit
_JOINERS: Final = "\u200c\u200d"  # invisible, but Persian words and families of emoji need them


def number(raw: object) -> Decimal | None:
    """Read a number of a size that money or units can have, or None.

    >>> number("0.27819"), number(" 2 147 483 647"), number("Unknown"), number("1e999")
    (Decimal('0.27819'), Decimal('2147483647'), None, None)
    """
    if isinstance(raw, str):
        text = "".join(raw.split())
        if _NUMBER.fullmatch(text) is None:
            return None
        raw = Decimal(text)
    elif type(raw) is int:
        raw = Decimal(raw) if -_LARGEST < raw < _LARGEST else None
    elif isinstance(raw, Decimal) and len(raw.as_tuple().digits) > 60:
        return None
    if not isinstance(raw, Decimal):
        return None
    return raw if raw.is_finite() and raw.adjusted() in _POWERS else None  # no arithmetic: 1e1000000 overflows


def count(raw: object) -> int | None:
    """Read a whole number, or None.

    >>> count("3572"), count("50.5"), count("100.0"), count(True)
    (3572, None, 100, None)
    """
    if type(raw) is int:
        return raw if -_LARGEST < raw < _LARGEST else None
    amount = number(raw)
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def charge(raw: object) -> Decimal | None:
    """Read an amount that a panel takes of us, or None."""
    amount = number(raw)
    return amount if amount is not None and amount >= 0 else None


def identifier(raw: object) -> str | None:
    """Read a panel's id as text, or None: at most 64 letters, digits, `_`, `-`; not zero, negative, a word
    such as `null`, nor mere dashes.

    >>> identifier(23501), identifier("ord_01H"), identifier(0), identifier("1 2"), identifier(True), identifier("-5")
    ('23501', 'ord_01H', None, None, None, None)
    """
    text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if not isinstance(text, str) or _ID.fullmatch(text) is None:
        return None
    return None if _NO_ID.fullmatch(text) or text.lower() in _WORDS else text


def words(raw: object, *, at_most: int) -> str:
    r"""Read a text, or a number that stands for one, without the white space around it; else nothing.

    Blanks stand for tabs and new lines; what cannot be printed, or turns the text around it, is left out.

    >>> words("\t Followers ", at_most=50), words(393, at_most=50), words(None, at_most=50)
    ('Followers', '393', '')
    >>> words("Real\nViews \x1b\u202e[HQ]\0", at_most=50)
    'Real Views [HQ]'
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)[:at_most]
    if not isinstance(raw, str):
        return ""
    text = raw.strip()[: 4 * at_most]
    if not text.isprintable():
        text = "".join(map(_printed, text)).strip()
    return text[:at_most].rstrip()


def _printed(letter: str) -> str:
    if letter.isspace():
        return " "
    return letter if letter.isprintable() or letter in _JOINERS else ""


def flag(raw: object) -> bool | None:
    """Read a yes or no, or None where nothing is said.

    >>> flag(True), flag("1"), flag("false"), flag(0), flag(None), flag("maybe")
    (True, True, False, False, None, None)
    """
    if isinstance(raw, str):
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(raw.strip().lower())
    return bool(raw) if isinstance(raw, int) else None


_SIGNS: Final = {
    "$": "USD",
    "US$": "USD",
    "€": "EUR",
    "£": "GBP",
    "₽": "RUB",
    "₹": "INR",
    "₺": "TRY",
    "₦": "NGN",
    "₫": "VND",
    "₴": "UAH",
    "₸": "KZT",
    "₩": "KRW",
    "R$": "BRL",
    "RP": "IDR",
}


def currency(raw: object) -> str | None:
    """Read a currency code, or the sign of a currency that has one of its own.

    >>> currency("usd"), currency("₹"), currency("points"), currency(None)
    ('USD', 'INR', None, None)
    """
    if not isinstance(raw, str):
        return None
    text = raw.strip().upper()
    return _SIGNS.get(text) or (text if re.fullmatch("[A-Z]{3}", text) else None)
