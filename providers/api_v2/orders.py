"""A panel's own list of our orders, where it has one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from providers.api_v2.values import count, identifier, words
from providers.base import Listed

_PLACES: Final = ("orders", "data", "list", "items")
_SECONDS: Final = 100_000_000_000  # a moment below this is in seconds, above it in milliseconds


def listing(document: object) -> Sequence[Listed] | None:
    """The rows that name an order; None where the document is no list.

    >>> listing([{"order": 7, "service": "3", "quantity": "100", "created": 1700000000}, "noise"])
    (Listed(remote_id='7', remote_service='3', link=None, quantity=100, created_ms=1700000000000, request_id=None),)
    """
    found: object = document
    if isinstance(document, Mapping):
        found = next((document[place] for place in _PLACES if isinstance(document.get(place), list)), None)
    if not isinstance(found, list):
        return None
    return tuple(row for row in map(_row, found) if row is not None)


def _row(row: object) -> Listed | None:
    if not isinstance(row, Mapping):
        return None
    remote_id = identifier(row.get("order", row.get("id")))
    if remote_id is None:
        return None
    return Listed(
        remote_id=remote_id,
        remote_service=words(row.get("service"), at_most=64) or None,
        link=words(row.get("link"), at_most=2048) or None,
        quantity=count(row.get("quantity")),
        created_ms=_moment(row.get("created", row.get("date"))),
        request_id=words(row.get("request_id"), at_most=64) or None,
    )


def _moment(raw: object) -> int | None:
    number = count(raw)
    if number is not None:
        return number * 1000 if 0 <= number < _SECONDS else number
    try:
        moment = datetime.fromisoformat(raw) if isinstance(raw, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
