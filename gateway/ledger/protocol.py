"""The one interface every ledger has: each method one transaction; a method that raises has changed nothing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

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
    Totals,
)
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

    async def create_key(self, account: int, *, hash: bytes, hint: str, get_add: bool = True) -> Key: ...

    async def revoke_key(self, key: int) -> Key | None: ...

    async def keys(self, account: int) -> Sequence[Key]: ...

    async def find_key(self, hash: bytes) -> tuple[Key, Account] | None:
        """The key by its hash, if it is not revoked, and whose it is."""
        ...

    async def place(self, new: NewPlacement) -> Placed:
        """Order, hold and attempt *sending*, or NotEnough."""
        ...

    async def settle(self, attempt: int, outcome: Outcome, then: Next | Fail | None = None) -> int | None:
        """End an attempt that is *sending* (or *unknown*: a late answer, an operator's word) and do what follows.

        Accepted posts the hold to sales. `then` must follow Refused and NotSent, and nothing else: Next writes the next
        attempt *sending* and its id is given; Fail gives the hold back, and the order is Canceled with a charge of 0.
        Unknown keeps the hold.

        Raises:
            RemoteIdTaken: another attempt at that panel has this remote id; nothing was changed.
            WrongState: the attempt was settled before.
            ValueError: `then` is missing or too much: an order never stays with a hold and no attempt.
        """
        ...

    async def recover(self) -> int:
        """At a start: every attempt *sending* becomes *unknown*, never a second send. Gives how many."""
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
        """Newest first; `unknown` = only those with an attempt *unknown*; `before` = only older than that order."""
        ...

    async def attempts(self, order: int) -> Sequence[Attempt]: ...

    async def bound(self, panel: str, remote_id: str) -> int | None:
        """The order of ours that is `remote_id` at the panel, if there is one."""
        ...

    async def unknown_attempts(self, panel: str | None = None, *, limit: int = 100) -> Sequence[Attempt]:
        """Attempts that wait for evidence, oldest first, at one panel or all."""
        ...

    async def unknown_count(self) -> int:
        """How many attempts wait for evidence."""
        ...

    async def open_orders(self) -> Mapping[str, int]:
        """By panel: orders that it may have and that have not ended, the unknown ones among them."""
        ...

    async def events(self, order: int) -> Sequence[Event]: ...

    async def live(self, orders: Sequence[int]) -> Mapping[int, Live]:
        """For each order that a panel took: where, and its id there."""
        ...

    async def due(self, panel: str, *, limit: int = 100) -> Sequence[Due]:
        """Open orders at a panel whose time to be asked about has come, longest waiting first."""
        ...

    async def observe(self, order: int, status: Status, *, next_ms: int | None) -> Order:
        """Take in what a panel says of an order: status, counts, and the refund that follows, in one transaction.

        A word no table knows changes nothing, and gives the order as it is. A finished order changes only by a refund.
        Refunds are cumulative: by `remains`, all of the charge for a Canceled that says nothing else, given once,
        never above the charge. `next_ms` is when to ask again, should the order still be open.

        Raises:
            WrongState: no panel took this order.
        """
        ...

    async def postpone(self, orders: Sequence[int], next_ms: int) -> None:
        """Nothing was learned of these: ask again at `next_ms`."""
        ...

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

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None:
        """The panel's last good list; an older one does not replace a newer."""
        ...

    async def snapshot(self, panel: str) -> bytes | None: ...

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
