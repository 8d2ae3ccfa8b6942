"""The seven actions of a panel and the values they take and give.

A dialect is a class with these seven methods (`Provider`); what a panel cannot do is data, not a method.
Ids that panels give are opaque text; amounts are `Decimal` in the panel's own currency; counts are units.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, Protocol

import msgspec

from providers.errors import Reason
from providers.service_types import OrderFields

Action = Literal["services", "add", "status", "refill", "refill_status", "cancel", "balance", "orders"]

READS: Final[frozenset[str]] = frozenset({"services", "status", "refill_status", "balance", "orders"})
"""Actions that change nothing, and so may be sent again after any failure."""

BATCH: Final = 100
"""Ids a panel takes in one call (seed document)."""


class OrderStatus(StrEnum):
    """The field's status words, spelled as buyers compare them; the last three belong to subscriptions."""

    PENDING = "Pending"
    IN_PROGRESS = "In progress"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    PARTIAL = "Partial"
    CANCELED = "Canceled"
    ACTIVE = "Active"
    PAUSED = "Paused"
    EXPIRED = "Expired"


FINISHED: Final = frozenset({OrderStatus.COMPLETED, OrderStatus.PARTIAL, OrderStatus.CANCELED, OrderStatus.EXPIRED})
"""The words after which a panel delivers nothing more."""


class RefillStatus(StrEnum):
    """What a refill can be; `REFILL_ENDED` says which words end it."""

    PENDING = "Pending"
    IN_PROGRESS = "In progress"
    COMPLETED = "Completed"
    REJECTED = "Rejected"
    CANCELED = "Canceled"


REFILL_ENDED: Final = frozenset({RefillStatus.COMPLETED, RefillStatus.REJECTED, RefillStatus.CANCELED})


class RemoteService(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of a panel's list.

    Attributes:
        remote_service: the panel's id for it.
        type: one of `service_types.TYPES`.
        rate: price in the panel's currency, of 1000 units or, for the types in `PER_ORDER`, of one order.
        dripfeed: None where the panel does not say.

    A hundred thousand of these are kept for long; they hold nothing that could refer back, so the collector skips them.
    """

    remote_service: str
    name: str
    type: str
    category: str
    rate: Decimal
    min: int
    max: int
    refill: bool = False
    cancel: bool = False
    dripfeed: bool | None = None
    description: str = ""


class Skipped(msgspec.Struct, frozen=True):
    """A row of a panel's list that cannot be sold, and why."""

    row: str  # the id, or where it stood in the list: "#12"
    why: str


class Services(msgspec.Struct, frozen=True):
    """A panel's whole list. Of the rows that cannot be sold the first are kept; `skipped_more` counts the others."""

    rows: tuple[RemoteService, ...]
    skipped: tuple[Skipped, ...] = ()
    skipped_more: int = 0


class NewOrder(msgspec.Struct, frozen=True):
    """What to buy: the panel's service id and the fields of its type; `request_id` is our name for it."""

    remote_service: str
    fields: OrderFields
    request_id: str | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One order of ours as a panel's own list has it; what the list does not say is None."""

    remote_id: str
    remote_service: str | None = None
    link: str | None = None
    quantity: int | None = None
    created_ms: int | None = None
    request_id: str | None = None


LastCheck = Callable[[], str | None]
"""Asked at the last moment before an order's first byte leaves: a reason not to send it, or None."""


class Added(msgspec.Struct, frozen=True):
    """An order the panel took. `charge` only where the panel tells it at once."""

    remote_id: str
    charge: Decimal | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a panel says of one order now.

    Attributes:
        status: None for a word no table knows: it tells nothing, and changes nothing.
        word: the panel's own word.
        orders: ids of the child orders of a drip-feed or a subscription.
    """

    status: OrderStatus | None
    word: str
    charge: Decimal | None = None
    start_count: int | None = None
    remains: int | None = None
    currency: str | None = None
    runs: int | None = None
    posts: int | None = None
    expiry: str | None = None
    orders: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """One id of a call for many that the panel said no to."""

    reason: Reason
    text: str


class Requested(msgspec.Struct, frozen=True):
    """A cancel the panel took note of: only a status of Canceled or Partial says that it came to pass."""


class Balance(msgspec.Struct, frozen=True):
    """Our money at the panel. `currency` is None where the panel does not say."""

    amount: Decimal
    currency: str | None = None


class Provider(Protocol):
    """Speaks one dialect to one panel.

    Every method raises `Unsent`, `Refused` (with `Throttled`) or `Unanswered` of `providers.errors`, and nothing else.
    Calls for many ids take at most `BATCH`; an id that is absent from the answer is one the panel told nothing of.
    """

    async def services(self) -> Services: ...

    async def add(self, order: NewOrder, *, last_check: LastCheck | None = None) -> Added:
        """Buy. What `last_check` has a reason against is Unsent: not a byte of it has left."""
        ...

    async def status(self, orders: Sequence[str]) -> Mapping[str, Status | Refusal]: ...

    async def refill(self, orders: Sequence[str]) -> Mapping[str, str | Refusal]:
        """Ask to refill; gives the panel's refill ids by order."""
        ...

    async def refill_status(self, refills: Sequence[str]) -> Mapping[str, RefillStatus | Refusal | None]:
        """None for a word no table knows."""
        ...

    async def cancel(self, orders: Sequence[str]) -> Mapping[str, Requested | Refusal]: ...

    async def balance(self) -> Balance: ...

    async def orders(self, *, limit: int = BATCH) -> Sequence[Listed]:
        """Our last orders as the panel lists them, for those that have `action=orders`."""
        ...
