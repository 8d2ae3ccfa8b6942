"""The one interface every ledger has: each method one transaction; a method that raises has changed nothing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from gateway.ledger.learned import Learned, Reading
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
    Recent,
    Refill,
    Suspicion,
    Wish,
)
from gateway.ledger.reports import Recovery, Replay, RowChange, RulesFile, Totals
from gateway.routing import Delivered
from providers.base import OrderStatus, RefillStatus, Status


class Ledger(Protocol):
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
        """Order, hold and attempt *sending*; or, for a request id heard within a day, the order that it placed then.

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

    async def settle(self, attempt: int, outcome: Outcome, then: Next | Fail | None = None) -> int | None:
        """Write an attempt's outcome, and do what follows.

        Accepted and Untracked post the hold to sales. `then` must follow Refused, NotSent and NotPlaced, and nothing
        else: Next writes the next attempt *sending* and its id is given; Fail gives the money back: all of it, or, for
        the rest of an order, what that rest cost.

        Raises:
            RemoteIdTaken: another attempt at that panel has this remote id; nothing was changed.
            WrongState: the attempt is past that (`gateway.ledger.life`), or, for Next, its order is out of a backup.
            Fenced: for Next: another process sells from this ledger now.
            ValueError: `then` is missing or too much: an order never stays with a hold and no attempt.
        """
        ...

    async def recover(self) -> Recovery:
        """At a start: this process sells from now on, no other; every attempt *sending* is *unknown*."""
        ...

    async def stopped(self) -> None:
        """At the end of a stop in good order: every answer reached its customer."""

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
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Order]:
        """Newest first; `unknown` = only those of the short list: outcome unknown, or bought under an id not known."""
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

    async def pass_on(self, attempt: int, status: Status, following: Next, *, next_ms: int | None) -> int:
        """A panel ended an order early, and another one is to make the rest: gives the new attempt, *sending*.

        Raises:
            WrongState: the order has ended, nothing remains, or it is out of a backup.
            Fenced: another process sells from this ledger now.
        """
        ...

    async def postpone(self, attempts: Sequence[int], next_ms: int | None) -> None:
        """Nothing was learned of these: ask again at `next_ms`, or never."""
        ...

    # What is known of panels, and evidence.

    async def suspicions(self, panel: str, *, limit: int = 200) -> Sequence[Suspicion]:
        """Attempts at a panel that are *sending*, *unknown* or *untracked*, oldest first."""
        ...

    async def looked(self, attempt: int, *, why: str, next_ms: int | None, evidence: str) -> None:
        """Evidence was sought and settled nothing, because of `why`; look again at `next_ms`, or never by itself."""

    async def gave_back(self, attempt: int, arithmetic: str) -> None:
        """The panel gave back the money of an attempt whose id there is not known: it takes nothing of ours now.

        The customer's money stays where it is until people have looked.
        """

    async def duplicate_seen(self, panel: str, remote_service: str, link: str, *, by: int) -> int:
        """Attempt `by` was refused there as a duplicate: mark the unknown ones it may be one of. Gives how many."""
        ...

    async def learned(self, panel: str) -> Learned: ...

    async def panels(self) -> Sequence[Learned]:
        """All panels that orders went to, by name."""
        ...

    async def learn(
        self,
        panel: str,
        *,
        foreign: bool | None = None,
        proven: int | None = None,
        stopped: str | None = None,
    ) -> Learned:
        """Change what is known of a panel; None leaves a field as it is."""
        ...

    async def delivered(self, since_ms: int = 0) -> Sequence[Delivered]:
        """What the routes have really done of which an order ended, or was refilled, since then; oldest first."""
        ...

    async def keep_reading(self, reading: Reading) -> None: ...

    async def anchor(self, panel: str) -> Reading | None:
        """The last agreed reading."""
        ...

    async def readings(self, panel: str, *, limit: int = 20) -> Sequence[Reading]:
        """Newest first."""
        ...

    async def ours(self, panel: str, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids belong to attempts of ours."""
        ...

    async def latest_ids(self, panel: str, *, limit: int = 200) -> Sequence[int]:
        """The ids of the last orders there, newest first, those that are numbers."""
        ...

    async def ceiling(self, panel: str, attempt: int, *, after_ms: int) -> int | None:
        """The lowest id of the orders written after `attempt` and not before `after_ms`; None = none yet."""
        ...

    # Wishes, refills.

    async def wish(self, order: int, what: str, *, by: str, reason: str) -> Wish:
        """Keep what is wanted of an order (cancel, failover) until it is done; the open wish, if there is one."""
        ...

    async def wishes(self, *, limit: int = 100) -> Sequence[Wish]:
        """Open ones, oldest first."""
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

    async def keep_rules(self, version: str, text: str, *, why: str = "") -> None:
        """A gateway took this rules file or, because of `why`, would not; what was written last is not repeated."""

    async def rules_files(self, *, limit: int = 50) -> Sequence[RulesFile]:
        """Newest first."""
        ...

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None:
        """The panel's last good list; an older one does not replace a newer."""
        ...

    async def snapshot(self, panel: str) -> bytes | None: ...

    async def snapshots(self) -> Sequence[str]:
        """The panels that there is a list of, by name."""
        ...

    async def keep_changes(self, panel: str, changes: Sequence[tuple[str, str | None, str | None]]) -> int:
        """Rows of a panel's list that changed at once: id, JSON before and after. Gives the version that it is."""
        ...

    async def row_changes(
        self, panel: str, *, remote_service: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[RowChange]:
        """Newest first: of one service, or of the whole list after a version."""
        ...

    async def approved(self, panel: str) -> Mapping[str, str]:
        """The rows, JSON by id, that people said yes to."""
        ...

    async def approve(self, panel: str, rows: Mapping[str, str]) -> None: ...

    async def forget_approved(self, panel: str) -> None: ...

    async def service_ids(
        self, panel: str, remote_services: Sequence[str], *, first: int, keep: bool = True
    ) -> Mapping[str, int]:
        """Our ids for a panel's services under `publish … ids: new`: given once, never changed or given again.

        Without `keep` nothing is given: the ids are those that would be, now.
        """
        ...

    async def totals(self) -> Totals:
        """Add everything up from the entries; reads all of the ledger."""
        ...

    async def replayed(self) -> Replay:
        """Tell every order anew from its history, and hold it against what the ledger says; reads all of it."""
        ...
