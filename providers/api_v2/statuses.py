"""The field's status words, of orders and of refills, and what they mean."""

from collections.abc import Mapping
from typing import Final

from providers.base import OrderStatus, RefillStatus

_ORDERS: Final[Mapping[OrderStatus, tuple[str, ...]]] = {
    OrderStatus.PENDING: ("pending", "awaiting", "waiting", "queued", "available", "0"),
    OrderStatus.PROCESSING: ("processing", "1"),
    OrderStatus.IN_PROGRESS: ("inprogress", "progress", "running", "holding", "suspended"),
    OrderStatus.COMPLETED: ("completed", "complete", "done", "finished", "success", "refill", "2"),
    OrderStatus.PARTIAL: ("partial", "partiallycompleted", "3"),
    OrderStatus.CANCELED: ("canceled", "cancelled", "refunded", "fail", "4", "5"),
    OrderStatus.ACTIVE: ("active",),
    OrderStatus.PAUSED: ("paused",),
    OrderStatus.EXPIRED: ("expired",),
}
"""Not here: "Error", "Failed" and "Rejected", which some panels write of an order that a person will look at."""

_REFILLS: Final[Mapping[RefillStatus, tuple[str, ...]]] = {
    RefillStatus.PENDING: ("pending",),
    RefillStatus.IN_PROGRESS: ("inprogress", "approved"),
    RefillStatus.COMPLETED: ("completed",),
    RefillStatus.REJECTED: ("rejected",),
    RefillStatus.CANCELED: ("canceled", "cancelled"),
}

ENVELOPE: Final = frozenset({"success", "error", "fail", "failed", "ok", "true", "false"})
"""Words that stand for the call as often as for the order: alone, they say nothing of the order."""


def folded(word: str) -> str:
    """One spelling for "In progress", "in_progress", "In-Progress"."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


_ORDER_BY_WORD: Final = {word: status for status, words in _ORDERS.items() for word in words}
_REFILL_BY_WORD: Final = {word: status for status, words in _REFILLS.items() for word in words}


def order_status(word: str) -> OrderStatus | None:
    """What `word` says of an order; None for one that no table knows.

    >>> order_status("in_progress"), order_status("Cancelled"), order_status("Error")
    (<OrderStatus.IN_PROGRESS: 'In progress'>, <OrderStatus.CANCELED: 'Canceled'>, None)
    """
    return _ORDER_BY_WORD.get(folded(word))


def refill_status(word: str) -> RefillStatus | None:
    """What `word` says of a refill; None for one that no table knows.

    >>> refill_status("Cancelled"), refill_status("Error")
    (<RefillStatus.CANCELED: 'Canceled'>, None)
    """
    return _REFILL_BY_WORD.get(folded(word))
