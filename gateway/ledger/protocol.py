"""The one interface every ledger has: each method one transaction; a method that raises has changed nothing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from gateway.ledger.memory import Memory
from gateway.ledger.records import (
    Account,
    Attempt,
    Due,
    Event,
    Fail,
    Key,
    Live,
    NewPlacement,
    Next,
    Order,
    Outcome,
    Placed,
    Refill,
    Wait,
    Waiting,
    Wish,
)
from gateway.ledger.repeated import Recent
from gateway.ledger.reports import Node, Recovery, Replay, Totals
from providers.base import OrderStatus, RefillStatus, Status


class Ledger(Memory, Protocol):
    """The durable record. Raises `LedgerBusy` from any method that writes, when it cannot."""

    async def open(self) -> None:
        """Connect and migrate.

        Raises:
            LedgerUnusable: newer than this program, altered, or no ledger of ours.
        """

    async def close(self) -> None:
        """Finish what was begun, and let go. A call after it raises LedgerBusy."""

    async def bind_currency(self, currency: str) -> None:
        """Fix the currency of all amounts at first use; a later, different one raises WrongState."""

    async def bind_pepper(self, fingerprint: str) -> None:
        """Fix what keys are hashed with at first use; a later, different one raises WrongState: it knows no key."""

    async def currency(self) -> str | None:
        """The currency that was fixed; None before the first use."""
        ...

    async def create_account(self, name: str, *, unlimited: bool = False) -> Account: ...

    async def open_account(
        self, name: str, *, unlimited: bool, balance: Decimal, note: str, hash: bytes, hint: str
    ) -> tuple[Account, Key]:
        """An account with its first key and, by a topup, what it may spend at once; or AccountExists, or NotEnough."""
        ...

    async def account(self, name: str) -> Account | None: ...

    async def accounts(self) -> Sequence[Account]: ...

    async def balance(self, account: int) -> Decimal:
        """What the account may spend now."""
        ...

    async def topup(self, account: int, amount: Decimal, note: str) -> Decimal:
        """Add to (or, negative, take from) what an account may spend; gives the new available balance, or NotEnough."""
        ...

    async def create_key(
        self,
        account: int,
        *,
        hash: bytes,
        hint: str,
        get_add: bool = True,
        repeats: str = "join",
        actions: tuple[str, ...] = (),
        shows_route: bool = False,
    ) -> Key: ...

    async def revoke_key(self, key: int, *, in_ms: int = 0) -> Key | None:
        """Let a key open nothing, `in_ms` from now; a moment said before that lies earlier stays. None: no such key."""
        ...

    async def keys(self, account: int) -> Sequence[Key]: ...

    async def find_key(self, hash: bytes) -> tuple[Key, Account] | None:
        """The key by its hash, if it is not revoked, and whose it is."""
        ...

    async def place(self, new: NewPlacement) -> Placed:
        """Order, hold and attempt *sending*, or none; or, for a request id of a day ago, the order that it placed then.

        Raises:
            NotEnough: the account's balance does not carry the charge.
            LinkBusy: the link is to have one order at a time, and has one.
            OverBudget: its budget of the day or month does not.
            RequestTaken: the request id was used for something else.
            Fenced: another process sells from this ledger now.
        """
        ...

    async def heard(self, account: int, request: bytes, fingerprint: bytes) -> int | None:
        """The order that a request of this name placed within a day; RequestTaken where it was another request."""
        ...

    async def settle(self, attempt: int, outcome: Outcome, then: Next | Fail | Wait | None = None) -> int | None:
        """Write an attempt's outcome, and do what follows.

        Accepted and Untracked post the hold to sales. `then` must follow Refused, NotSent and NotPlaced, and nothing
        else: Next writes the next attempt *sending* and its id is given; Fail gives the money back: all of it, or, for
        the rest of an order, what that rest cost; Wait leaves the order to be sent later.

        Raises:
            RemoteIdTaken: another attempt at that panel has this remote id; nothing was changed.
            WrongState: the attempt is past that (`gateway.ledger.life`), or, for Next, its order is out of a backup.
            Fenced: for Next: another process sells from this ledger now.
            ValueError: `then` is missing or too much: an order never stays with a hold and no attempt.
        """
        ...

    async def waiting(self, *, after: int = 0, limit: int = 100) -> Sequence[Waiting]:
        """Orders that wait to be bought, of a higher id than `after`, oldest first."""
        ...

    async def waiting_of(self, orders: Sequence[int]) -> Sequence[Waiting]:
        """Those of these orders that wait."""
        ...

    async def waiting_count(self) -> int: ...

    async def send(self, order: int, first: Next) -> int:
        """An order that waits is bought: gives its new attempt, *sending*.

        Raises:
            WrongState: it does not wait, it is out of a backup, or a cancel was asked for.
            Fenced: another process sells from this ledger now.
        """
        ...

    async def still_waits(self, order: int, why: str) -> None:
        """An order waits for another reason than before."""

    async def give_up(self, order: int, why: str, *, attempt: int | None = None, status: Status | None = None) -> None:
        """What is still to be bought of an order is bought no more, and its money goes back.

        Either it waits, or `attempt` made a part of it and has ended there, as `status` says; else WrongState.
        """

    async def recover(self, name: str = "") -> Recovery:
        """At a start: this process sells from now on, no other; every attempt *sending* is *unknown*."""
        ...

    async def join(self, name: str) -> int:
        """At a start: this process sells from now on, as others do; gives its epoch."""
        ...

    async def beat(self, rules: str) -> Sequence[Node]:
        """This process lives, and goes by that version of the rules; gives what `nodes` does.

        Raises:
            Fenced: this one was.
            Rewound: the ledger is older than it was.
        """
        ...

    async def nodes(self) -> Sequence[Node]:
        """Those that live, and those of the last minutes that others took for dead, by epoch."""
        ...

    async def take_over(self, epoch: int) -> int | None:
        """That node is dead: it writes no intent any more, and its attempts *sending* are *unknown*; gives how many.

        None where it had ended before.
        """
        ...

    async def make_room(self) -> None:
        """See to it that there is room for the orders to come."""

    async def touch(self) -> None:
        """Write something that tells nothing, in a few bytes: it raises where not even they can be written."""

    async def strays(self, known: Sequence[int], *, older_ms: int) -> int:
        """Attempts of this node that are *sending*, older than that, and none of those `known` to be on their way: they
        were written, and nobody heard of it. They are *unknown* now; gives how many.
        """
        ...

    async def answered(self, orders: Sequence[int]) -> None:
        """Customers heard the answers that named these orders: for other nodes, that are asked the same."""

    async def sending_elsewhere(self, panel: str) -> int:
        """How many attempts of other nodes are on their way to a panel."""
        ...

    async def stopped(self) -> None:
        """At the end of a stop in good order: this node sells no more, and every answer reached its customer."""

    async def give_back(self, order: int, amount: Decimal, *, ends: bool, evidence: str) -> None:
        """People give a customer money back; `ends` = all, and the order counts as Canceled; else WrongState."""

    async def note(self, order: int, attempt: int | None, what: str, evidence: str) -> None:
        """A line of the order's history that changes nothing."""

    async def recent(self, since_ms: int) -> Sequence[Recent]:
        """Orders placed since then that were not turned down, newest first; of the last 10 000 at least."""
        ...

    async def order(self, order: int) -> Order | None: ...

    async def orders(self, account: int, ids: Sequence[int]) -> Mapping[int, Order]:
        """The account's orders among `ids`; a foreign one is as absent as a missing one."""
        ...

    async def list_orders(
        self,
        *,
        account: int | None = None,
        status: OrderStatus | None = None,
        unknown: bool = False,
        waiting: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Order]:
        """Newest first; `unknown` = only those of the short list: outcome unknown, or bought under an id not known;
        `waiting` = only those that nobody can take yet.
        """
        ...

    async def attempts(self, order: int) -> Sequence[Attempt]: ...

    async def account_of(self, order: int) -> str:
        """The name of the account whose order it is; empty where there is no such order."""
        ...

    async def order_of(self, attempt: int) -> int | None: ...

    async def bound(self, panel: str, remote_id: str) -> int | None:
        """The order of ours that is `remote_id` at the panel, if there is one."""
        ...

    async def unknown_attempts(self, panel: str | None = None, *, limit: int = 100) -> Sequence[Attempt]:
        """Attempts that wait for evidence, oldest first, at one panel or all."""
        ...

    async def untracked_attempts(self, *, limit: int = 100) -> Sequence[Attempt]:
        """Attempts that bought, and whose id at the panel is not known; oldest first."""
        ...

    async def unknown_counts(self) -> Mapping[str, int]:
        """By panel: how many attempts wait for evidence."""
        ...

    async def open_orders(self) -> Mapping[str, int]:
        """By panel: orders that it may have and that have not ended, the unknown ones among them."""
        ...

    async def events(self, order: int) -> Sequence[Event]: ...

    async def live(self, orders: Sequence[int]) -> Mapping[int, Live]:
        """For each order that a panel took: where, and its id there."""
        ...

    async def due(self, panel: str, *, limit: int = 100) -> Sequence[Due]:
        """Orders at a panel whose time to be asked about has come, longest waiting first; finished ones among them."""
        ...

    async def followed(self, panel: str, *, limit: int) -> Sequence[Due]:
        """All orders at a panel that may still move money there."""
        ...

    async def observe(self, attempt: int, status: Status, *, next_ms: int | None) -> Order:
        """Take in what a panel says of an attempt: status, counts, and the refund that follows, in one transaction.

        A word no table knows changes nothing, and gives the order as it is. A finished order changes only by a refund.
        Refunds are cumulative: by `remains`, all of the charge for a Canceled that says nothing else, given once,
        never above the charge. What the panel says it took changes what is known of our money there. `next_ms` is when
        to ask again.

        Raises:
            WrongState: no panel took this attempt.
        """
        ...

    async def pass_on(self, attempt: int, status: Status, then: Next | Wait, *, next_ms: int | None) -> int | None:
        """A panel ended an order early, or made its part of it, and what is left begins: gives that attempt, *sending*;
        or waits.

        Raises:
            WrongState: the order has ended, nothing remains, it is out of a backup, or a cancel was asked for.
            Fenced: another process sells from this ledger now.
        """
        ...

    async def postpone(self, attempts: Sequence[int], next_ms: int | None) -> None:
        """Nothing was learned of these: ask again at `next_ms`, or never."""
        ...

    # Wishes, refills.

    async def wish(self, order: int, what: str, *, by: str, reason: str) -> Wish:
        """Keep what is wanted of an order (cancel, failover) until it is done; the open wish, if there is one."""
        ...

    async def wishes(self, *, after: int = 0, limit: int = 100) -> Sequence[Wish]:
        """Open ones that were made after the one with this id, oldest first."""
        ...

    async def wished(self, order: int, what: str) -> Wish | None: ...

    async def wish_told(self, wish: int) -> None: ...

    async def wish_done(self, wish: int) -> None: ...

    async def cancel_asked(self, order: int, evidence: str) -> None:
        """An event: the panel took note of a cancel. WrongState if no panel took the order."""
        ...

    async def open_refill(self, order: int, panel: str) -> tuple[Refill, bool]:
        """A refill's intent, before anything is sent, and True; or an earlier one still open, and False."""
        ...

    async def settle_refill(self, refill: int, *, remote_id: str | None, status: RefillStatus) -> Refill:
        """Take in what a panel says of a refill; one that ended stays as it ended. No `remote_id` keeps the known."""
        ...

    async def refills(self, account: int, ids: Sequence[int]) -> Mapping[int, Refill]: ...

    async def stale_refills(self, panel: str, *, limit: int = 100) -> Sequence[Refill]:
        """Refills still open that the panel gave an id, longest unchecked first."""
        ...

    async def totals(self) -> Totals:
        """Add everything up from the entries; reads all of the ledger."""
        ...

    async def replayed(self) -> Replay:
        """Tell every order anew from its history, and hold it against what the ledger says; reads all of it."""
        ...
