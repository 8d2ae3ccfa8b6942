"""The ledger over any SQL database: each method hands one piece of work to the database, and waits for its answer."""

from collections.abc import Mapping, Sequence
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
    Wait,
    Waiting,
    Wish,
)
from gateway.ledger.repeated import Recent
from gateway.ledger.reports import ENDED_MS, Node, Recovery, Replay, Totals
from gateway.ledger.sql import (
    accounts,
    audit,
    events,
    ids,
    nodes,
    orders,
    reading,
    refills,
    requests,
    restoring,
    suspects,
    tracking,
    waiting,
    wishes,
)
from gateway.ledger.sql.memory import SQLMemory
from gateway.ledger.sql.restoring import Reopened
from providers.base import OrderStatus, RefillStatus, Status


class SQLLedger(SQLMemory):
    """What `Ledger` promises, kept by the transactions of this folder."""

    async def open(self) -> None:
        await self._database.open(self._now_ms())
        try:
            await self._database.write(ids.begin)
        except BaseException:
            await self._database.close()
            raise

    async def close(self) -> None:
        await self._database.close()

    async def bind_currency(self, currency: str) -> None:
        await self._database.write(accounts.bind_currency, currency)

    async def bind_pepper(self, fingerprint: str) -> None:
        await self._database.write(accounts.bind_pepper, fingerprint)

    async def currency(self) -> str | None:
        return await self._database.read(accounts.currency)

    # Accounts, keys, money.

    async def create_account(self, name: str, *, unlimited: bool = False) -> Account:
        return await self._database.write(accounts.create, name, self._now_ms(), unlimited=unlimited)

    async def open_account(
        self, name: str, *, unlimited: bool, balance: Decimal, note: str, hash: bytes, hint: str
    ) -> tuple[Account, Key]:
        return await self._database.write(
            accounts.open_account, name, balance, note, (hash, hint), self._now_ms(), unlimited=unlimited
        )

    async def account(self, name: str) -> Account | None:
        return await self._database.read(accounts.by_name, name)

    async def accounts(self) -> Sequence[Account]:
        return await self._database.read(accounts.everyone)

    async def balance(self, account: int) -> Decimal:
        return await self._database.read(accounts.balance, account)

    async def topup(self, account: int, amount: Decimal, note: str) -> Decimal:
        return await self._database.write(accounts.topup, account, amount, note, self._now_ms())

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
    ) -> Key:
        return await self._database.write(
            accounts.create_key,
            account,
            hash,
            hint,
            self._now_ms(),
            get_add=get_add,
            repeats=repeats,
            actions=actions,
            shows_route=shows_route,
        )

    async def revoke_key(self, key: int, *, in_ms: int = 0) -> Key | None:
        return await self._database.write(accounts.revoke_key, key, self._now_ms() + in_ms)

    async def keys(self, account: int) -> Sequence[Key]:
        return await self._database.read(accounts.keys, account)

    async def find_key(self, hash: bytes) -> tuple[Key, Account] | None:
        return await self._database.read(accounts.find_key, hash, self._now_ms())

    # Orders and their attempts.

    async def place(self, new: NewPlacement) -> Placed:
        return await self._database.write(orders.place, new, self._epoch, self._now_ms())

    async def heard(self, account: int, request: bytes, fingerprint: bytes) -> int | None:
        return await self._database.read(requests.heard, account, request, fingerprint, self._now_ms())

    async def settle(self, attempt: int, outcome: Outcome, then: Next | Fail | Wait | None = None) -> int | None:
        return await self._database.write(orders.settle, attempt, outcome, then, self._epoch, self._now_ms())

    async def waiting(self, *, after: int = 0, limit: int = 100) -> Sequence[Waiting]:
        return await self._database.read(waiting.after, after, limit)

    async def waiting_of(self, orders: Sequence[int]) -> Sequence[Waiting]:
        return await self._database.read(waiting.of_orders, orders)

    async def waiting_count(self) -> int:
        return await self._database.read(waiting.count)

    async def send(self, order: int, first: Next) -> int:
        return await self._database.write(orders.send_waiting, order, first, self._epoch, self._now_ms())

    async def still_waits(self, order: int, why: str) -> None:
        await self._database.write(waiting.because, order, why)

    async def give_up(self, order: int, why: str, *, attempt: int | None = None, status: Status | None = None) -> None:
        await self._database.write(orders.give_up, order, why, attempt, status, self._now_ms())

    # Nodes.

    async def recover(self, name: str = "") -> Recovery:
        recovery = await self._database.write(orders.recover, name, self._now_ms())
        self._epoch = recovery.epoch
        return recovery

    async def join(self, name: str) -> int:
        self._epoch, self._beats = await self._database.write(nodes.join, name, self._now_ms()), 0
        return self._epoch

    async def beat(self, rules: str) -> Sequence[Node]:
        since_ms = self._now_ms() - ENDED_MS
        seen = await self._database.write(nodes.beat, self._epoch, self._beats, rules, since_ms)
        self._beats = next((node.beat for node in seen if node.epoch == self._epoch), self._beats)
        return seen

    async def nodes(self) -> Sequence[Node]:
        return await self._database.read(nodes.seen, self._now_ms() - ENDED_MS)

    async def take_over(self, epoch: int) -> int | None:
        return await self._database.write(orders.take_over, epoch, self._now_ms())

    async def reopen(self) -> Reopened:
        return await self._database.write(restoring.reopen, None, self._now_ms())

    async def make_room(self) -> None:
        await self._database.write(ids.room)

    async def touch(self) -> None:
        await self._database.write(nodes.touch, self._epoch)

    async def strays(self, known: Sequence[int], *, older_ms: int) -> int:
        return await self._database.write(orders.strays, self._epoch, known, older_ms, self._now_ms())

    async def answered(self, orders: Sequence[int]) -> None:
        await self._database.write(requests.answered, orders, self._now_ms())

    async def sending_elsewhere(self, panel: str) -> int:
        return await self._database.read(suspects.elsewhere, panel, self._epoch)

    async def stopped(self) -> None:
        await self._database.write(nodes.end, self._epoch, self._now_ms(), clean=True)

    # Orders again: people's words, and what is read.

    async def give_back(self, order: int, amount: Decimal, *, ends: bool, evidence: str) -> None:
        await self._database.write(orders.give_back, order, amount, ends=ends, evidence=evidence, now_ms=self._now_ms())

    async def note(self, order: int, attempt: int | None, what: str, evidence: str) -> None:
        await self._database.write(events.append, order, attempt, what, evidence, self._now_ms())

    async def recent(self, since_ms: int) -> Sequence[Recent]:
        return await self._database.read(requests.recent, since_ms)

    async def order(self, order: int) -> Order | None:
        return await self._database.read(reading.order, order)

    async def orders(self, account: int, ids: Sequence[int]) -> Mapping[int, Order]:
        return await self._database.read(reading.orders, account, ids)

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
        return await self._database.read(
            reading.list_orders,
            account=account,
            status=status,
            unknown=unknown,
            waiting=waiting,
            before=before,
            limit=limit,
        )

    async def attempts(self, order: int) -> Sequence[Attempt]:
        return await self._database.read(reading.attempts, order)

    async def account_of(self, order: int) -> str:
        return await self._database.read(reading.account_of, order)

    async def order_of(self, attempt: int) -> int | None:
        return await self._database.read(reading.order_of, attempt)

    async def bound(self, panel: str, remote_id: str) -> int | None:
        return await self._database.read(reading.bound, panel, remote_id)

    async def unknown_attempts(self, panel: str | None = None, *, limit: int = 100) -> Sequence[Attempt]:
        return await self._database.read(suspects.unknown, panel, limit)

    async def untracked_attempts(self, *, limit: int = 100) -> Sequence[Attempt]:
        return await self._database.read(suspects.untracked, limit)

    async def unknown_counts(self) -> Mapping[str, int]:
        return await self._database.read(suspects.counts)

    async def open_orders(self) -> Mapping[str, int]:
        return await self._database.read(reading.open_orders)

    async def events(self, order: int) -> Sequence[Event]:
        return await self._database.read(events.of_order, order)

    # Orders at the panels that took them.

    async def live(self, orders: Sequence[int]) -> Mapping[int, Live]:
        return await self._database.read(tracking.live, orders)

    async def due(self, panel: str, *, limit: int = 100) -> Sequence[Due]:
        return await self._database.read(tracking.due, panel, limit, self._now_ms())

    async def followed(self, panel: str, *, limit: int) -> Sequence[Due]:
        return await self._database.read(tracking.followed, panel, limit)

    async def observe(self, attempt: int, status: Status, *, next_ms: int | None) -> Order:
        return await self._database.write(tracking.observe, attempt, status, next_ms, self._now_ms())

    async def pass_on(self, attempt: int, status: Status, then: Next | Wait, *, next_ms: int | None) -> int | None:
        return await self._database.write(tracking.pass_on, attempt, status, then, self._epoch, next_ms, self._now_ms())

    async def postpone(self, attempts: Sequence[int], next_ms: int | None) -> None:
        await self._database.write(tracking.postpone, attempts, next_ms)

    # Wishes, refills.

    async def wish(self, order: int, what: str, *, by: str, reason: str) -> Wish:
        return await self._database.write(wishes.wish, order, what, by, reason, self._now_ms())

    async def wishes(self, *, after: int = 0, limit: int = 100) -> Sequence[Wish]:
        return await self._database.read(wishes.open_wishes, after, limit)

    async def wished(self, order: int, what: str) -> Wish | None:
        return await self._database.read(wishes.of_order, order, what)

    async def wish_told(self, wish: int) -> None:
        await self._database.write(wishes.told, wish)

    async def wish_done(self, wish: int) -> None:
        await self._database.write(wishes.done, wish, self._now_ms())

    async def cancel_asked(self, order: int, evidence: str) -> None:
        await self._database.write(tracking.cancel_asked, order, evidence, self._now_ms())

    async def open_refill(self, order: int, panel: str) -> tuple[Refill, bool]:
        return await self._database.write(refills.open_refill, order, panel, self._now_ms())

    async def settle_refill(self, refill: int, *, remote_id: str | None, status: RefillStatus) -> Refill:
        return await self._database.write(refills.settle, refill, remote_id, status, self._now_ms())

    async def refills(self, account: int, ids: Sequence[int]) -> Mapping[int, Refill]:
        return await self._database.read(refills.of_account, account, ids)

    async def stale_refills(self, panel: str, *, limit: int = 100) -> Sequence[Refill]:
        return await self._database.read(refills.stale, panel, limit)

    async def totals(self) -> Totals:
        return await self._database.read(audit.totals)

    async def replayed(self) -> Replay:
        return await self._database.read(audit.replayed)
