"""Panels of the rules file: address, key, currency and limits, each checked."""

from decimal import Decimal
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from gateway.rules.keys import NoKey, resolve
from gateway.rules.model import Panel
from gateway.rules.reading import Reading
from gateway.rules.report import Path, nearest, shown
from gateway.rules.scopes import share
from gateway.rules.shapes import PanelShape

FIELD_CURRENCIES: Final = frozenset({"IRT", "USDT"})
"""What panels bill in beside ISO 4217: the toman, and a coin."""


def panel(shape: PanelShape, path: Path, reading: Reading) -> Panel | None:
    """The panel; None when its key is not to be had."""
    if (why := _wrong_address(shape.url, private=shape.private)) is not None:
        reading.mistake((*path, "url"), why)
    check_currency(shape.currency, (*path, "currency"), reading)
    if shape.dialect not in reading.dialects:
        known = nearest(shape.dialect, reading.dialects, plural="dialects")
        reading.mistake((*path, "dialect"), f"{shown(shape.dialect)} is not a dialect{known}")
    try:
        key = resolve(shape.key, reading.environ)
    except NoKey as wrong:
        reading.mistake((*path, "key"), str(wrong))
        return None
    return Panel(
        url=shape.url,
        key=key,
        dialect=shape.dialect,
        currency=shape.currency,
        rate_limit=shape.rate_limit,
        in_flight=shape.in_flight,
        low_balance=None if shape.low_balance is None else Decimal(shape.low_balance),
        settle_s=shape.settle_s,
        open_unknowns=shape.open_unknowns,
        evidence_ids=shape.evidence_ids,
        evidence_balance=shape.evidence_balance,
        features=shape.features,
        hold_moves=share(shape.hold_moves, (*path, "hold_moves"), reading),
        private=shape.private,
    )


def is_currency(code: str) -> bool:
    return code in _currencies()


def check_currency(code: str, path: Path, reading: Reading) -> bool:
    if is_currency(code):
        return True
    reading.mistake(path, f"{shown(code)} is not a currency{nearest(code, _currencies())}")
    return False


@cache
def _currencies() -> tuple[str, ...]:
    from iso4217 import Currency  # noqa: PLC0415 - 50 ms, which a start without rules need not wait for

    return tuple(sorted({currency.code for currency in Currency} | FIELD_CURRENCIES))


def _wrong_address(url: str, *, private: bool) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if parts.username is not None or parts.password is not None:
        return "has a name or password in it; a panel knows you by its key alone"
    if parts.scheme not in {"http", "https"}:
        return f"{shown(url)} is not an address that starts with https://"
    if not host or port == 0 or not url.isprintable() or any(c.isspace() for c in url):
        return f"{shown(url)} is not an address"
    if parts.fragment:
        return f"{shown(url)} has a # part, which no server sees"
    if private:
        return None
    if parts.scheme == "http":
        return "http shows your key to everyone on the way; write https, or private: true for your own network"
    if _is_private(parts):
        return f"{shown(url)} is in a private network; say private: true if it is yours"
    return None


def _is_private(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
