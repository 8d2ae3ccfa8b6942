"""A panel's list of services: what can be sold of it, and why the rest cannot."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from providers.api_v2.values import count, flag, identifier, number, words
from providers.base import RemoteService, Skipped
from providers.service_types import folded

TOO_DEAR: Final = Decimal(10) ** 9
"""Panels switch a service off by a rate like 9999999999999.00."""

MOST: Final = 200_000
"""Entries of a list; the longest that panels have are a tenth of it."""

KEPT: Final = 1_000
"""Skipped rows that a list tells of one by one."""

_UNITS: Final = 2_147_483_647
"""The largest max: buyers keep it in 32 bits."""

_CONTAINERS: Final = ("data", "services", "value", "result", "items", "list")
_EMPTY: Final = "empty data"  # SmartPanel's way of saying []


def crowd(body: bytes) -> int | None:
    """How many entries an undecoded list seems to hold where that is more than memory is to hold, else None.

    A few megabytes of `{},{},{}` become gigabytes of objects.

    >>> crowd(b'[{"service": 1}]'), crowd(b"{}," * 500_000)
    (None, 500000)
    """
    entries = max(body.count(b"{"), body.count(b"["))
    if entries > 2 * MOST:  # some stand in descriptions
        return entries
    commas = body.count(b",")
    return commas if commas > 25 * MOST else None


class NotSellable(ValueError):
    """A row misses what an order needs; the text says what."""


def listed(document: object, *, inside: bool = False) -> list[object] | None:
    """Find the rows in any of the field's containers, or None where there is no list.

    >>> listed([1]), listed({"status": "success", "data": "Empty Data"}), listed({"error": "Invalid API key"})
    ([1], [], None)
    """
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return None
    for name in _CONTAINERS:
        held = document.get(name)
        if isinstance(held, str) and held.strip().lower() == _EMPTY:
            return []
        if isinstance(held, list) or (isinstance(held, dict) and not inside):
            found = listed(held, inside=True)
            if found is not None:
                return found
    if document and all(name.isdecimal() for name in document):
        return list(document.values())  # PHP writes a list with a gap as an object
    return None


def rows(document: Iterable[object]) -> Iterator[RemoteService | Skipped]:
    """Read row after row; of several rows with one id the first counts."""
    seen: set[str] = set()
    for place, raw in enumerate(document, start=1):
        try:
            service = _service(raw)
        except NotSellable as wrong:
            name = identifier(raw.get("service")) if isinstance(raw, dict) else None
            yield Skipped(name or f"#{place}", str(wrong))
            continue
        if service.remote_service in seen:
            yield Skipped(service.remote_service, "the id stands above already")
            continue
        seen.add(service.remote_service)
        yield service


def _service(raw: object) -> RemoteService:
    if not isinstance(raw, dict):
        raise NotSellable("not an object")
    service = next((found for name in ("service", "id", "service_id") if (found := _id(raw.get(name)))), None)
    if service is None:
        raise NotSellable("no id")
    name = words(raw.get("name"), at_most=500)
    if not name:
        raise NotSellable("no name")
    rate = number(raw.get("rate"))
    if rate is None or not 0 < rate < TOO_DEAR:
        raise NotSellable(f"rate {_shown(raw.get('rate'))}")
    low, high = count(raw.get("min")), count(raw.get("max"))
    high = min(high, _UNITS) if high is not None else None
    if low is None or high is None or high < 1 or not 0 <= low <= high:
        raise NotSellable(f"min {_shown(raw.get('min'))}, max {_shown(raw.get('max'))}")
    cancel = flag(raw.get("cancel"))
    return RemoteService(
        remote_service=service,
        name=name,
        type=folded(words(raw.get("type"), at_most=100)),
        category=words(raw.get("category"), at_most=500),
        rate=rate,
        min=max(low, 1),
        max=high,
        refill=flag(raw.get("refill")) is True,
        cancel=(flag(raw.get("canceling_is_available")) if cancel is None else cancel) is True,
        dripfeed=flag(raw.get("dripfeed")),
        description=words(raw.get("description") or raw.get("desc"), at_most=4096),
    )


def _id(raw: object) -> str | None:
    return identifier(raw.strip() if isinstance(raw, str) else raw)


def _shown(raw: object) -> str:
    if raw is None:
        return "missing"
    if isinstance(raw, bool | Decimal):
        raw = str(raw)
    return f'"{words(raw, at_most=40)}"' if isinstance(raw, str | int) else "unreadable"
