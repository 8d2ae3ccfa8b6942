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
from types import MappingProxyType

import msgspec

from gateway.ledger.repeated import Twin
from providers.base import OrderStatus, RefillStatus


class LedgerError(Exception):
    """The ledger refused, and changed nothing."""


class LedgerBusy(LedgerError):
    """It cannot write now: locked, disk full, away. Nothing was kept, unless it says that this is not known."""


class LedgerUnusable(LedgerError):
    """It cannot be opened by this program: newer than it, altered, or no ledger. Waiting does not help."""


class AccountExists(LedgerError):
    pass


class NotEnough(LedgerError):
    """The account's available balance does not carry the amount."""


class OverBudget(LedgerError):
    """The account's budget of the day or the month does not carry the amount."""


class LinkBusy(LedgerError):
    """An order of the same service for the same link has not ended."""


class RemoteIdTaken(LedgerError):
    """Another attempt already holds this panel's id: one of the two answers is wrong."""


class Rewound(LedgerError):
    """The ledger is older than it was: what was answered since is not in it."""


class Fenced(LedgerError):
    """Another process sells from this ledger now: this one may send nothing more."""


class RequestTaken(LedgerError):
    """The account used this request id for another order."""


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
    """A customer's key; the key itself is nowhere, `hash` is its HMAC. `hint` is its last characters, for people.

    Attributes:
        get_add: whether `add` by GET is accepted.
        actions: what it may do; empty = everything.
        shows_route: whether answers to its orders tell which panel took them.
        revoked_ms: from when on it opens nothing; it may lie ahead.
        repeats: what an identical order means: join, allow, refuse, or a number of seconds to collapse it for.
    """

    id: int
    account: int
    hash: bytes
    hint: str
    get_add: bool
    repeats: str = "join"
    actions: tuple[str, ...] = ()
    shows_route: bool = False
    created_ms: int
    revoked_ms: int | None = None


class AttemptState(StrEnum):
    """Outcome of an attempt; *sending* is one that may still be on its way."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    UNTRACKED = "untracked"  # bought, and its id at the panel is not known
    NOT_PLACED = "not_placed"  # sent, and shown to have bought nothing


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to place an order at one panel.

    Attributes:
        units: what it was to deliver; less than the order's where another panel made a part before, or will after.
        later: units of the order that are bought only once these are delivered.
        cost: what we expect it to take, in our currency; `remote_cost` the same in the panel's.
        remote_charge: what the panel said, last, that it took, in its own currency.
        taken: what it takes of our money there, net, by all that is known, in the panel's currency.
        floor: the highest id of ours known there when it was written, where its ids are numbers.
        epoch: whose it is: each process that sells from the ledger has a higher one.
        settle_ms: by then whatever was sent has arrived, or never will.
        passed_on: the order went on from it: its rest, or the next part, is made by another attempt, or waits.
        looks: how often evidence was sought; `next_ms` when to ask the panel, or to look, again.
        why: of an unknown one, why the last look settled nothing, in words for people.
        settled_ms: None as long as the outcome is open, unknown included.
    """

    id: int
    order: int
    panel: str
    remote_service: str
    state: AttemptState
    units: int
    later: int = 0
    cost: Decimal
    remote_cost: Decimal | None = None
    remote_id: str | None = None
    remote_charge: Decimal | None = None
    taken: Decimal | None = None
    floor: int | None = None
    epoch: int = 0
    passed_on: bool = False
    duplicate_seen: bool = False
    reason: str | None = None
    looks: int = 0
    why: str = ""
    created_ms: int
    settle_ms: int = 0
    settled_ms: int | None = None
    next_ms: int | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer placed.

    Attributes:
        fields: JSON of the order's own fields.
        quantity: units of one run; `units` of the whole order.
        charge: what it took or holds, before refunds; 0 when no panel took it. `refunded` is what was given back.
        sold: the charge was taken, and is no longer only held.
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
    sold: bool = False
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


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """An offer to buy at: of the first attempt, and what follows one that bought nothing.

    Attributes:
        cost: what it would take, in our currency; `remote_cost` in the panel's.
        settle_s: how long after it was written an order may still arrive there, seconds.
        part: how many units are bought there now, the others later; None = all that are left.
        left_out: who could not take it, by route, and why; empty where the order's own decision says so.
    """

    panel: str
    remote_service: str
    cost: Decimal
    remote_cost: Decimal | None = None
    settle_s: int = 300
    part: int | None = None
    left_out: Mapping[str, str] = MappingProxyType({})


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """What follows an attempt that bought nothing when no offer is left: nobody makes the order, or its rest."""

    why: str


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What follows when nobody can be asked now, and somebody may be later: the order waits until `until_ms`."""

    until_ms: int
    why: str


class NewPlacement(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its first attempt, as written before anything is sent; or, without one, that waits.

    Attributes:
        fingerprint: hash of the account and all that was ordered: equal for a repeated request.
        budget_day, budget_month: what the account's orders may come to in a day, or month, of UTC.
        one_active: only if no other such order of the service for the link is open, whoever placed it.
        request: hash of the customer's own name for the request; None where it gave none.
        twin: which identical order of another node it stands for; None = for none.
    """

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
    first: Next | Wait
    fingerprint: bytes = b""
    request: bytes | None = None
    budget_day: Decimal | None = None
    budget_month: Decimal | None = None
    one_active: bool = False
    twin: Twin | None = None


class Placed(msgspec.Struct, frozen=True):
    """`attempt` is None where the order waits; or the request was heard before, and `order` is what it placed then."""

    order: int
    attempt: int | None


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """The panel took it."""

    remote_id: str
    charge: Decimal | None = None  # the panel's own word, in its currency
    evidence: str = "{}"


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    reason: str
    evidence: str = "{}"


class NotSent(msgspec.Struct, frozen=True, kw_only=True, tag="not_sent"):
    evidence: str = "{}"


class NotPlaced(msgspec.Struct, frozen=True, kw_only=True, tag="not_placed"):
    """It was unknown, and evidence shows that the panel has no such order."""

    evidence: str = "{}"


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag="unknown"):
    evidence: str = "{}"


class Untracked(msgspec.Struct, frozen=True, kw_only=True, tag="untracked"):
    """It was unknown, and evidence shows that the panel took it; its id there is not known."""

    evidence: str = "{}"


Outcome = Accepted | Refused | NotSent | NotPlaced | Unknown | Untracked


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """An order to ask its panel about.

    Attributes:
        created_ms: when it was sent there; `ended_ms` when it ended there, None while it is open.
        remote_cost: what we expected it to take, in the panel's currency.
        usual_s: how long orders of that service usually take there, seconds.
        later: units of the order that are to be bought once these are delivered; 0 once it has ended or went on.
    """

    attempt: int
    order: int
    remote_id: str
    remote_service: str
    type: str
    created_ms: int
    ended_ms: int | None
    usual_s: int | None = None
    remote_cost: Decimal | None = None
    later: int = 0


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An order that nobody was asked for, or that all said no to, and that waits to be bought.

    Attributes:
        units: how many are to be bought.
        until_ms: then it is given up; None = people have to look, and nothing is done by itself.
    """

    order: int
    units: int
    until_ms: int | None
    why: str
    since_ms: int


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt whose outcome waits for evidence, with what its order says of it."""

    attempt: Attempt
    type: str
    link: str
    fields: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer or an operator wants of an order, kept until it is done: cancel, or failover.

    `told`: how often its panel was told of it.
    """

    id: int
    order: int
    what: str
    by: str
    reason: str
    at_ms: int
    told: int = 0


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt of an order that a panel took; `later` units of the order are bought after it."""

    order: int
    attempt: int
    panel: str
    remote_id: str
    later: int = 0
