"""A server that is killed, stopped, or says nothing, in the middle of many writes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest

from gateway.ledger.postgres import connection, database, transactions
from gateway.ledger.postgres.database import WRITERS, Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Account, LedgerBusy, WrongState
from gateway.ledger.sql.ledger import SQLLedger
from tests.running import until
from tests.servers import PostgreSQL
from tests.test_ledger.samples import Clock, funded, placement, sent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

GUARD_S: Final = 60.0


class Shop:
    """Customers who place orders, one after the other, and know what they were answered."""

    def __init__(self, ledger: Ledger, account: Account, name: str) -> None:
        self._ledger = ledger
        self._account = account
        self._name = name
        self._links = (f"{name}/{number}" for number in itertools.count())
        self.ids = itertools.count()
        self.answered: dict[str, int] = {}  # order by link
        self.accepted: dict[int, str] = {}  # id at the panel by order
        self.busy = 0
        self.closed = False

    async def customer(self) -> None:
        while not self.closed:
            link = next(self._links)
            try:
                placed = await self._ledger.place(placement(self._account, link=link))
            except LedgerBusy:
                self.busy += 1
                continue
            self.answered[link] = placed.order
            remote_id = f"{self._name}{next(self.ids)}"
            try:
                await self._ledger.settle(sent(placed), Accepted(remote_id=remote_id))
            except LedgerBusy:
                self.busy += 1
            else:
                self.accepted[placed.order] = remote_id

    async def sold(self, more: int) -> None:
        """Until so many more orders were accepted."""
        enough = len(self.accepted) + more

        async def is_enough() -> bool:
            return len(self.accepted) >= enough

        await until(is_enough, for_s=GUARD_S)

    async def check(self) -> None:
        """All that was answered is there, and nothing twice."""
        orders = {order.id: order for order in await self._ledger.list_orders(account=self._account.id, limit=10**6)}
        links = [order.link for order in orders.values()]
        assert len(set(links)) == len(links), "an order was written twice"
        assert {link: orders[id].link for link, id in self.answered.items() if id in orders} == {
            link: link for link in self.answered
        }, "an answer was lost, or belongs to another order"
        assert len(orders) - len(self.answered) <= self.busy, "an order of nobody"
        for order, remote_id in self.accepted.items():
            assert await self._ledger.bound("alpha", remote_id) == order
        totals, replay = await self._ledger.totals(), await self._ledger.replayed()
        assert (totals.wrong, replay.wrong) == ((), ())
        assert totals.sum == 0


@pytest.fixture
async def opened(crashing: PostgreSQL) -> AsyncIterator[Ledger]:
    ledger = SQLLedger(Postgres(crashing.url(), patience_s=GUARD_S), Clock())
    await ledger.open()
    yield ledger
    await ledger.close()


async def shop(ledger: Ledger, name: str) -> tuple[Shop, "asyncio.Task[Any]"]:
    """With twice as many customers as connections that write."""
    opened = Shop(ledger, await funded(ledger, "1000000", name), name)
    selling = asyncio.gather(*(opened.customer() for _ in range(2 * WRITERS)))
    await opened.sold(30)
    return opened, selling  # type: ignore[return-value]


async def test_what_was_answered_outlives_a_server_that_is_killed_in_the_middle(
    opened: Ledger, crashing: PostgreSQL
) -> None:
    selling, customers = await shop(opened, "killed")
    for _ in range(3):
        await asyncio.to_thread(crashing.kill)
        await asyncio.to_thread(crashing.start)
        await selling.sold(40)
    selling.closed = True
    await customers
    assert selling.busy == 0, "the server was back before anybody was tired of waiting"
    await selling.check()


async def test_a_server_that_is_stopped_and_started_is_waited_for(opened: Ledger, crashing: PostgreSQL) -> None:
    selling, customers = await shop(opened, "stopped")
    asking = asyncio.create_task(questions(opened, selling))
    for _ in range(2):
        await asyncio.to_thread(crashing.stop)
        await asyncio.to_thread(crashing.start)
        await selling.sold(40)
    selling.closed = True
    await customers
    assert await asking > 10
    assert selling.busy == 0
    await selling.check()


async def test_a_server_that_takes_no_writes_for_a_while_is_waited_for(opened: Ledger, crashing: PostgreSQL) -> None:
    """As one does from which another takes over: on the connections of before nothing will be written any more."""
    account = await funded(opened, name="switch")
    raw = await asyncpg.connect(crashing.url())

    async def switched(to: str) -> None:
        await raw.execute(f"ALTER SYSTEM SET default_transaction_read_only = {to}")
        await raw.execute("SELECT pg_reload_conf()")

        async def is_so() -> bool:
            return bool(await raw.fetchval("SHOW default_transaction_read_only") == to)

        await until(is_so)

    await switched("on")
    placing = asyncio.gather(*(opened.place(placement(account, link=f"switch/{number}")) for number in range(20)))
    await asyncio.wait({placing}, timeout=0.2)  # long enough for some to be refused; if not, nothing is proven
    assert not placing.done()
    await switched("off")
    placed = await placing
    assert len({one.order for one in placed}) == 20
    await raw.close()


async def questions(ledger: Ledger, selling: Shop) -> int:
    """Ask for balances all the while; gives how many were told. One that fails fails the test."""
    told = 0
    while not selling.closed:
        await asyncio.gather(*(ledger.account("stopped") for _ in range(6)))
        told += 6
    return told


async def test_a_server_that_says_nothing_keeps_nobody_for_ever(
    crashing: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.3)
    monkeypatch.setattr(transactions, "WORK_S", 0.5)
    monkeypatch.setattr(transactions, "COMMIT_S", 0.5)
    opened = SQLLedger(Postgres(crashing.url(), patience_s=0.5), Clock())
    await opened.open()
    selling, customers = await shop(opened, "paused")
    account = await opened.account("paused")
    assert account is not None
    crashing.pause()
    try:
        async with asyncio.timeout(GUARD_S):
            asked = [opened.balance(account.id) for _ in range(100)]
            placing = [opened.place(placement(account, link=f"silence/{number}")) for number in range(400)]
            ends = await asyncio.gather(*asked, *placing, return_exceptions=True)
            selling.closed = True
            await customers
    finally:
        crashing.resume()
    assert all(isinstance(end, LedgerBusy) for end in ends)
    assert [str(end) for end in ends if str(end).endswith(": ")] == [], "each says why"
    [balance] = await asyncio.gather(opened.balance(account.id))
    assert balance > 0, "it is asked again as soon as it answers"
    unheard = [order for order in await opened.list_orders(limit=10**6) if order.link.startswith("silence/")]
    assert len({order.link for order in unheard}) == len(unheard) <= WRITERS
    selling.busy += len(unheard)
    await selling.check()
    await opened.close()


async def test_works_that_wait_are_turned_away_together_once_they_waited_long_enough(
    crashing: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that waits tries to connect only if those before it did not find out already: counted, not timed."""
    opened = SQLLedger(Postgres(crashing.url(), patience_s=0.3), Clock())
    await opened.open()
    account = await funded(opened, name="waits")
    tried = 0
    connect = connection.connect

    async def counted(url: str) -> Any:
        nonlocal tried
        tried += 1
        return await connect(url)

    monkeypatch.setattr(database, "connect", counted)
    crashing.kill()
    try:
        placing = [opened.place(placement(account, link=f"waits/{number}")) for number in range(1000)]
        ends = await asyncio.gather(*placing, return_exceptions=True)
    finally:
        crashing.start()
    assert all(isinstance(end, LedgerBusy) for end in ends)
    assert tried < 300, "not each for itself"
    assert await opened.balance(account.id) == 100
    await opened.close()


async def test_an_outcome_told_twice_because_the_first_word_was_not_heard_counts_once(opened: Ledger) -> None:
    account = await funded(opened, name="twice")
    placed = await opened.place(placement(account))
    await opened.settle(sent(placed), Accepted(remote_id="twice1"))
    with pytest.raises(WrongState):
        await opened.settle(sent(placed), Accepted(remote_id="twice1"))
    [attempt] = await opened.attempts(placed.order)
    assert attempt.remote_id == "twice1"
