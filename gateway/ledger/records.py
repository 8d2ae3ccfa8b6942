"""What the ledger keeps.

Money is double entry: a transfer is a set of signed entries whose sum is zero, over books named

    available:ACCOUNT   what an account may spend
    held:ACCOUNT        set aside for orders whose outcome is open
    sales               what orders took
    topups              where top-ups come from (its balance is minus what was paid in)

The last two are kept for each account, and told as one. A hold resolves once: into sales when a panel takes the
order, or back when none does. Times are milliseconds since 1970, from the clock the ledger was given.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from providers.base import OrderStatus, RefillStatus


class LedgerError(Exception):
    """The ledger refused, and changed nothing."""


class LedgerBusy(LedgerError):
    """It cannot write now: locked, disk full. Nothing was kept."""


class LedgerUnusable(LedgerError):
    """It cannot be opened by this program: newer than it, altered, or no ledger. Waiting does not help."""


class AccountExists(LedgerError):
    pass


class NotEnough(LedgerError):
    """The account's available balance does not carry the amount."""


class RemoteIdTaken(LedgerError):
    """Another attempt already holds this panel's id: one of the two answers is wrong."""


class WrongState(LedgerError):
    """The record is past the state this step starts from; the text names both."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds keys and a balance. Without limit = the available balance may fall below zero."""

    id: int
    name: str
    unlimited: bool
    available: Decimal
    held: Decimal
    created_ms: int


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's key; the key itself is nowhere, `hash` is its HMAC. `hint` is its last characters, for people."""

    id: int
    account: int
    hash: bytes
    hint: str
    get_add: bool  # whether `add` by GET is accepted
    created_ms: int
    revoked_ms: int | None = None


class AttemptState(StrEnum):
    """Outcome of an attempt; *sending* is one that may still be on its way."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to place an order at one panel.

    Attributes:
        cost: what we expect it to take, in our currency; `remote_charge` what it said, last, that it took, in its own.
        settled_ms: None as long as the outcome is open, unknown included.
    """

    id: int
    order: int
    panel: str
    remote_service: str
    state: AttemptState
    cost: Decimal
    remote_id: str | None = None
    remote_charge: Decimal | None = None
    reason: str | None = None
    evidence: str = "{}"  # JSON: what was seen, without secrets
    created_ms: int
    settled_ms: int | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer placed.

    Attributes:
        fields: JSON of the order's own fields.
        quantity: units of one run; `units` of the whole order.
        charge: what it took or holds, before refunds; 0 when no panel took it. `refunded` is what was given back.
        status: the word the customer reads.
        decision: JSON: the offers, their order, why the others were left out.
    """

    id: int
    account: int
    service: int
    type: str
    link: str
    fields: str
    quantity: int
    units: int
    charge: Decimal
    refunded: Decimal
    status: OrderStatus
    start_count: int | None
    remains: int
    runs: int | None = None
    posts: int | None = None
    expiry: str | None = None
    children: tuple[str, ...] = ()
    refill: bool
    cancel: bool
    decision: str = "{}"
    created_ms: int
    updated_ms: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order's history: append-only. `what` is one word; `evidence` JSON."""

    order: int
    attempt: int | None
    at_ms: int
    what: str
    evidence: str


class Refill(msgspec.Struct, frozen=True, kw_only=True):
    """A refill asked for. `remote_id` is None until the panel gave one; `status` Pending until it said more."""

    id: int
    order: int
    panel: str
    remote_id: str | None
    status: RefillStatus
    created_ms: int
    checked_ms: int


class NewPlacement(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its first attempt, as written before anything is sent."""

    account: int
    service: int
    type: str
    link: str
    fields: str
    quantity: int
    units: int
    charge: Decimal
    refill: bool
    cancel: bool
    decision: str
    panel: str
    remote_service: str
    cost: Decimal


class Placed(msgspec.Struct, frozen=True):
    order: int
    attempt: int


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The panel took it."""

    remote_id: str
    charge: Decimal | None = None  # the panel's own word, in its currency
    evidence: str = "{}"


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    reason: str
    evidence: str = "{}"


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    evidence: str = "{}"


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    evidence: str = "{}"


Outcome = Accepted | Refused | NotSent | Unknown


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What follows an attempt that bought nothing: the next offer."""

    panel: str
    remote_service: str
    cost: Decimal


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """What follows an attempt that bought nothing when no offer is left: the hold goes back, the order is Canceled."""

    why: str


class Due(msgspec.Struct, frozen=True):
    """An order to ask its panel about. `created_ms` is when it was sent there."""

    order: int
    remote_id: str
    created_ms: int


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt of an order that a panel took."""

    order: int
    panel: str
    remote_id: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger added up. A ledger that is right has `sum` 0 and `wrong` empty."""

    orders: int
    attempts: Mapping[str, int]  # by state
    entries: int
    sum: Decimal
    books: Mapping[str, Decimal]
    wrong: tuple[str, ...]  # what does not add up, in words
