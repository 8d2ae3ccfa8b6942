"""The ledger over any SQL database: each method hands one piece of work to the database, and waits for its answer."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

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
from gateway.ledger.sql import accounts, audit, catalogue, events, ids, orders, reading, refills, tracking
from gateway.ledger.sql.work import Database
from providers.base import OrderStatus, RefillStatus, Status


class SQLLedger:
    """What `Ledger` promises, kept by the transactions of this folder."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def open(self) -> None:
        await self._database.open(self._now_ms())
        try:
            await self._database.write(ids.begin())
        except BaseException:
            await self._database.close()
            raise

    async def close(self) -> None:
        await self._database.close()

    async def bind_currency(self, currency: str) -> None:
        await self._database.write(accounts.bind_currency(currency))

    async def bind_pepper(self, fingerprint: str) -> None:
        await self._database.write(accounts.bind_pepper(fingerprint))

    async def currency(self) -> str | None:
        return await self._database.read(accounts.currency())

    # Accounts, keys, money.

    async def create_account(self, name: str, *, unlimited: bool = False) -> Account:
        return await self._database.write(accounts.create(name, self._now_ms(), unlimited=unlimited))

    async def open_account(
        self, name: str, *, unlimited: bool, balance: Decimal, note: str, hash: bytes, hint: str
    ) -> tuple[Account, Key]:
        return await self._database.write(
            accounts.open_account(name, balance, note, (hash, hint), self._now_ms(), unlimited=unlimited)
        )

    async def account(self, name: str) -> Account | None:
        return await self._database.read(accounts.by_name(name))

    async def accounts(self) -> Sequence[Account]:
        return await self._database.read(accounts.everyone())

    async def balance(self, account: int) -> Decimal:
        return await self._database.read(accounts.balance(account))

    async def topup(self, account: int, amount: Decimal, note: str) -> Decimal:
        return await self._database.write(accounts.topup(account, amount, note, self._now_ms()))

    async def create_key(self, account: int, *, hash: bytes, hint: str, get_add: bool = True) -> Key:
        return await self._database.write(accounts.create_key(account, hash, hint, self._now_ms(), get_add=get_add))

    async def revoke_key(self, key: int) -> Key | None:
        return await self._database.write(accounts.revoke_key(key, self._now_ms()))

    async def keys(self, account: int) -> Sequence[Key]:
        return await self._database.read(accounts.keys(account))

    async def find_key(self, hash: bytes) -> tuple[Key, Account] | None:
        return await self._database.read(accounts.find_key(hash))

    # Orders and their attempts.

    async def place(self, new: NewPlacement) -> Placed:
        return await self._database.write(orders.place(new, self._now_ms()))

    async def settle(self, attempt: int, outcome: Outcome, then: Next | Fail | None = None) -> int | None:
        return await self._database.write(orders.settle(attempt, outcome, then, self._now_ms()))

    async def recover(self) -> int:
        return await self._database.write(orders.recover(self._now_ms()))

    async def order(self, order: int) -> Order | None:
        return await self._database.read(reading.order(order))

    async def orders(self, account: int, ids: Sequence[int]) -> Mapping[int, Order]:
        return await self._database.read(reading.orders(account, ids))

    async def list_orders(
        self,
        *,
        account: int | None = None,
        status: OrderStatus | None = None,
        unknown: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Order]:
        return await self._database.read(
            reading.list_orders(account=account, status=status, unknown=unknown, before=before, limit=limit)
        )

    async def attempts(self, order: int) -> Sequence[Attempt]:
        return await self._database.read(reading.attempts(order))

    async def bound(self, panel: str, remote_id: str) -> int | None:
        return await self._database.read(reading.bound(panel, remote_id))

    async def unknown_attempts(self, panel: str | None = None, *, limit: int = 100) -> Sequence[Attempt]:
        return await self._database.read(reading.unknown_attempts(panel, limit))

    async def unknown_count(self) -> int:
        return await self._database.read(reading.unknown_count())

    async def open_orders(self) -> Mapping[str, int]:
        return await self._database.read(reading.open_orders())

    async def events(self, order: int) -> Sequence[Event]:
        return await self._database.read(events.of_order(order))

    # Orders at the panels that took them.

    async def live(self, orders: Sequence[int]) -> Mapping[int, Live]:
        return await self._database.read(tracking.live(orders))

    async def due(self, panel: str, *, limit: int = 100) -> Sequence[Due]:
        return await self._database.read(tracking.due(panel, limit, self._now_ms()))

    async def observe(self, order: int, status: Status, *, next_ms: int | None) -> Order:
        return await self._database.write(tracking.observe(order, status, next_ms, self._now_ms()))

    async def postpone(self, orders: Sequence[int], next_ms: int) -> None:
        await self._database.write(tracking.postpone(orders, next_ms))

    async def cancel_asked(self, order: int, evidence: str) -> None:
        await self._database.write(tracking.cancel_asked(order, evidence, self._now_ms()))

    async def open_refill(self, order: int, panel: str) -> tuple[Refill, bool]:
        return await self._database.write(refills.open_refill(order, panel, self._now_ms()))

    async def settle_refill(self, refill: int, *, remote_id: str | None, status: RefillStatus) -> Refill:
        return await self._database.write(refills.settle(refill, remote_id, status, self._now_ms()))

    async def refills(self, account: int, ids: Sequence[int]) -> Mapping[int, Refill]:
        return await self._database.read(refills.of_account(account, ids))

    async def stale_refills(self, panel: str, *, limit: int = 100) -> Sequence[Refill]:
        return await self._database.read(refills.stale(panel, limit))

    # The catalogue's memory.

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None:
        await self._database.write(catalogue.keep_snapshot(panel, snapshot, fetched_ms))

    async def snapshot(self, panel: str) -> bytes | None:
        return await self._database.read(catalogue.snapshot(panel))

    async def service_ids(
        self, panel: str, remote_services: Sequence[str], *, first: int, keep: bool = True
    ) -> Mapping[str, int]:
        known = await self._database.read(catalogue.known_ids(panel, remote_services))
        if known.keys() >= set(remote_services):
            return known
        if not keep:
            return await self._database.read(catalogue.give_ids(panel, remote_services, first, keep=False))
        return await self._database.write(catalogue.give_ids(panel, remote_services, first))

    async def totals(self) -> Totals:
        return await self._database.read(audit.totals())
