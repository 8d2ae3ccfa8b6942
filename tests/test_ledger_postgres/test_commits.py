"""A commit whose answer is lost, works that are done anew, and what is done though nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from gateway.ledger.postgres.database import Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Account, AttemptState, LedgerBusy
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sql.work import Work
from tests import databases
from tests.running import until
from tests.servers import PostgreSQL
from tests.test_ledger.samples import Clock, funded, placement, sent
from tests.test_ledger_postgres.wire import Wire

pytestmark = pytest.mark.anyio


@pytest.fixture
def wire() -> Wire:
    return Wire(databases.server().folder)


@pytest.fixture
async def wired(wire: Wire, url: str) -> AsyncIterator[Ledger]:
    """A ledger at the end of the wire; right whatever happened there."""
    async with wire.open() as folder:
        database = Postgres(url.replace(str(databases.server().folder), folder))
        opened = SQLLedger(database, Clock())
        await opened.open()
        yield opened
        wire.cuts.clear()
        totals, replay = await opened.totals(), await opened.replayed()
        await database.close()
    assert (totals.wrong, replay.wrong) == ((), ())


async def orders(ledger: Ledger) -> list[int]:
    return [order.id for order in await ledger.list_orders(limit=1000)]


# The answer to a commit is lost.


@pytest.mark.parametrize("cut", ["before", "with", "after"])
async def test_an_order_is_written_once_wherever_its_commit_is_cut(wired: Ledger, wire: Wire, cut: Any) -> None:
    account = await funded(wired)
    wire.cuts.append(cut)
    placed = await wired.place(placement(account))
    assert not wire.cuts
    assert await orders(wired) == [placed.order]
    assert await wired.balance(account.id) == Decimal("99.5")
    [attempt] = await wired.attempts(placed.order)
    assert (attempt.id, attempt.state) == (placed.attempt, AttemptState.SENDING)


@pytest.mark.parametrize("cut", ["before", "with", "after"])
async def test_an_outcome_is_written_once_wherever_its_commit_is_cut(wired: Ledger, wire: Wire, cut: Any) -> None:
    placed = await wired.place(placement(await funded(wired)))
    wire.cuts.append(cut)
    assert await wired.settle(sent(placed), Accepted(remote_id="r1")) is None
    assert (await wired.learned("alpha")).orders == 1
    assert [event.what for event in await wired.events(placed.order)] == ["sending", "accepted"]


async def test_many_commits_that_are_cut_one_after_the_other_are_decided_each_for_itself(
    wired: Ledger, wire: Wire
) -> None:
    account = await funded(wired)
    wire.cuts.extend(["after", None, "before", "with", None] * 8)
    placed = await asyncio.gather(*(wired.place(placement(account, link=str(number))) for number in range(30)))
    assert sorted(await orders(wired)) == sorted(one.order for one in placed)
    for number, one in enumerate(placed):
        order = await wired.order(one.order)
        assert order is not None
        assert order.link == str(number), "each was told of its own"


async def test_a_commit_that_is_still_under_way_is_waited_for(wired: Ledger, wire: Wire, raw: Any) -> None:
    """Its transaction waits, in its commit, for a lock that is held until it was asked about twice."""
    account = await funded(wired)
    await raw.execute("""
        CREATE FUNCTION wait() RETURNS TRIGGER LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(1, 1); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON transfer DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION wait()""")
    await raw.execute("SELECT pg_advisory_lock(1, 1)")
    wire.cuts.append("with")
    placing = asyncio.ensure_future(wired.place(placement(account)))

    async def asked_twice() -> bool:
        asked = [query for query in wire.seen if b"pg_xact_status" in query]
        return len(asked) >= 1 and len(wire.seen) - wire.seen.index(asked[0]) > 12

    await until(asked_twice)
    assert not placing.done()
    await raw.execute("SELECT pg_advisory_unlock(1, 1)")
    placed = await placing
    assert await orders(wired) == [placed.order]


async def test_an_id_that_a_crash_gave_to_another_transaction_proves_nothing(crashing: PostgreSQL) -> None:
    """The server crashes at a commit, and gives the id of the transaction that it lost to one that it commits."""
    wire = Wire(crashing.folder)
    async with wire.open() as folder:
        opened = SQLLedger(Postgres(crashing.url().replace(str(crashing.folder), folder)), Clock())
        await opened.open()
        account = await funded(opened)
        given: list[str] = []

        async def crash() -> None:
            crashing.kill()
            crashing.start()
            raw = await asyncpg.connect(crashing.url())
            await raw.execute("CREATE TABLE taken (id TEXT)")  # more than one id is given to others
            taking = "INSERT INTO taken VALUES ('') RETURNING pg_current_xact_id()::TEXT"
            given.extend([await raw.fetchval(taking) for _ in range(20)])
            await raw.close()

        wire.cut = crash
        wire.cuts.append("before")
        placed = await opened.place(placement(account))
        assert given
        assert await orders(opened) == [placed.order], "what is told must be there"
        totals = await opened.totals()
        assert (totals.wrong, totals.orders) == ((), 1)
        await opened.close()


async def test_of_what_has_no_history_it_is_said_that_nobody_knows(wired: Ledger, wire: Wire) -> None:
    account = await funded(wired)
    wire.cuts.append("after")
    with pytest.raises(LedgerBusy, match="whether it was kept is not known"):
        await wired.topup(account.id, Decimal(7), "again")
    assert await wired.balance(account.id) == 107, "done once, and not again by itself"


async def test_a_way_that_is_cut_in_the_middle_of_a_work_has_it_done_anew(wire: Wire, url: str) -> None:
    wire = Wire(databases.server().folder, words=b"INSERT INTO event")
    async with wire.open() as folder:
        opened = SQLLedger(Postgres(url.replace(str(databases.server().folder), folder)), Clock())
        await opened.open()
        account: Account = await funded(opened)
        wire.cuts.extend(["before", "with"])
        placed = await opened.place(placement(account))
        assert await orders(opened) == [placed.order]
        assert not wire.cuts
        await opened.close()


async def test_a_question_whose_answer_is_lost_is_asked_again(wire: Wire, url: str) -> None:
    wire = Wire(databases.server().folder, words=b"FROM account")
    async with wire.open() as folder:
        opened = SQLLedger(Postgres(url.replace(str(databases.server().folder), folder)), Clock())
        await opened.open()
        account = await funded(opened)
        wire.cuts.extend(["before", "with"])
        assert await opened.balance(account.id) == 100
        await opened.close()


# Works in each other's way.


def crosswise(first: int, second: int, runs: list[int]) -> Work[list[int]]:
    """Takes a step from the first account, one from the third, and one from the second; gives what they had."""
    seen = []
    for account in (first, 3, second):
        runs.append(account)
        rows = yield (
            "UPDATE account SET available = available - 1, topups = topups + 1 WHERE id = ? RETURNING available",
            (account,),
        )
        seen.append(rows[0][0])
    return seen


async def test_two_that_wait_for_each_other_both_end_and_neither_counts_twice(
    kept: Ledger, database: Postgres, raw: Any
) -> None:
    for name in "abc":
        await funded(kept, "1", name)
    runs: list[int] = []
    async with raw.transaction():
        await raw.execute("SELECT 1 FROM account WHERE id = 3 FOR UPDATE")
        works = [database.write(crosswise, 1, 2, runs), database.write(crosswise, 2, 1, runs)]

        async def both_wait() -> bool:
            return bool(await raw.fetchval("SELECT COUNT(*) = 2 FROM pg_locks WHERE NOT granted"))

        await until(both_wait)
    first, second = await asyncio.gather(*works)
    assert len(runs) > 6, "one of them was begun anew"
    assert [await kept.balance(account) for account in (1, 2, 3)] == [Decimal("0.999998")] * 3
    assert sorted([first[0], second[2]]) == [999_998, 999_999], "of a run that was taken back nothing was seen"
    assert sorted([first[1], second[1]]) == [999_998, 999_999]


async def test_beats_wait_for_no_order_and_no_order_for_strays(kept: Ledger, raw: Any) -> None:
    """Somebody holds the account and an attempt, as a node does that was paused in the middle of its writing."""
    account = await funded(kept)
    epoch = await kept.join("here")
    placed = await kept.place(placement(account))
    async with raw.transaction():
        await raw.execute("SELECT 1 FROM account FOR UPDATE")
        await raw.execute("SELECT 1 FROM attempt FOR UPDATE")
        waiting = [asyncio.ensure_future(kept.place(placement(account, link=str(number)))) for number in range(30)]

        async def all_wait() -> bool:
            return bool(await raw.fetchval("SELECT COUNT(*) >= 1 FROM pg_locks WHERE NOT granted"))

        await until(all_wait)
        assert [node.epoch for node in await kept.beat("r1")] == [epoch]
        assert not any(placing.done() for placing in waiting)
    await asyncio.gather(*waiting)
    async with raw.transaction():
        await raw.execute("SELECT 1 FROM attempt WHERE id = $1 FOR UPDATE", placed.attempt)
        assert await kept.strays([], older_ms=-1) == 30, "what is being written at this moment is none"
    assert await kept.strays([], older_ms=-1) == 1


async def test_what_was_submitted_is_done_whoever_waits_for_it(kept: Ledger, database: Postgres) -> None:
    account = await funded(kept)
    calls = [asyncio.ensure_future(kept.place(placement(account, link=str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert all(call.cancelled() for call in calls)
    await database.close()
    again = SQLLedger(Postgres(database._url), Clock())
    await again.open()
    totals = await again.totals()
    assert (totals.orders, totals.wrong) == (20, ())
    await again.close()


async def test_after_it_was_closed_a_ledger_is_busy(kept: Ledger) -> None:
    await kept.close()
    await kept.close()
    with pytest.raises(LedgerBusy, match="closed"):
        await kept.accounts()
    with pytest.raises(LedgerBusy, match="closed"):
        await kept.create_account("shop")
