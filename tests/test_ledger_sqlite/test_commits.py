"""Shared commits, and what is left when one fails."""

import asyncio
import contextlib
import resource
import sqlite3
import threading
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy, LedgerError, NotEnough, Placed
from gateway.ledger.sql.work import Work
from gateway.ledger.sqlite.database import SQLite
from gateway.ledger.sqlite.lane import Lane, Outcome
from tests.test_ledger.samples import funded, placement
from tests.test_ledger_sqlite.files import another

pytestmark = pytest.mark.anyio


async def _gathered(database: SQLite, calls: Sequence[Awaitable[object]]) -> Sequence[object]:
    """Make the calls while the writer is held up, so that they wait for it together; and what came of each."""
    begun, go = threading.Event(), threading.Event()

    def hold_up() -> Work[None]:
        begun.set()
        go.wait()
        yield "SELECT 1", ()

    held_up = database.write(hold_up)
    await asyncio.to_thread(begun.wait)
    outcomes = asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0)  # each has handed its work over
    go.set()
    await held_up
    return await outcomes


async def test_what_gathers_while_a_commit_runs_shares_the_next(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept, "1000")
    statements: list[str] = []
    database._connections[0].set_trace_callback(statements.append)
    outcomes = await _gathered(database, [kept.place(placement(account)) for _ in range(300)])
    database._connections[0].set_trace_callback(None)
    assert all(isinstance(outcome, Placed) for outcome in outcomes)
    assert statements.count("SAVEPOINT alone") == 301
    assert statements.count("COMMIT") == 3  # what they waited for, 256 of them, and the rest


async def test_one_that_raises_falls_alone(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept, "1")
    statements: list[str] = []
    database._connections[0].set_trace_callback(statements.append)

    def late() -> Work[None]:
        """Fails after it wrote."""
        yield "UPDATE account SET name = 'spoilt' WHERE id = ?", (account.id,)
        raise LookupError("mine alone")

    async def spoilt() -> None:
        await database.write(late)

    async def wrong() -> None:
        await database.write(iter_of, "SELECT nothing FROM nowhere")

    async def against_the_rules() -> None:
        await database.write(iter_of, "UPDATE account SET held = -1")

    first, second, third = (kept.place(placement(account)) for _ in range(3))
    outcomes = await _gathered(database, [first, spoilt(), wrong(), against_the_rules(), second, third])
    database._connections[0].set_trace_callback(None)
    kinds = [Placed, LookupError, sqlite3.OperationalError, LedgerError, Placed, NotEnough]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert statements.count("COMMIT") == 2
    found = await kept.account("shop")
    assert found is not None
    assert found.held == 1


def iter_of(statement: str) -> Work[None]:
    yield statement, ()


async def test_while_another_process_writes_the_ledger_is_busy_and_keeps_nothing(kept: Ledger, path: Path) -> None:
    account = await funded(kept)
    with another(path) as other:
        other.execute("BEGIN IMMEDIATE")
        calls = (kept.place(placement(account)) for _ in range(5))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["ledger: database is locked"] * 5
        assert all(isinstance(outcome, LedgerBusy) for outcome in outcomes)
        assert await kept.balance(account.id) == 100  # reading goes on
        other.execute("ROLLBACK")
    await kept.place(placement(account))
    assert (await kept.totals()).orders == 1


async def test_on_a_full_disk_the_ledger_is_busy_and_keeps_nothing(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept)
    writer = database._connections[0]
    [pages] = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    placed: list[Placed] = []

    async def fill() -> None:
        while True:
            placed.append(await kept.place(placement(account, fields="x" * 2000)))

    with pytest.raises(LedgerBusy, match="full"):
        await fill()
    assert {order.id for order in await kept.list_orders(limit=1000)} == {one.order for one in placed}
    assert (await kept.totals()).wrong == ()
    writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    await kept.place(placement(account))
    assert (await kept.totals()).orders == len(placed) + 1


@contextlib.contextmanager
def no_file_longer(than: int) -> Iterator[None]:
    """What stands in a file can be written anew, and none becomes longer, as where the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (than, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_touch_tells_of_a_disk_without_room_and_an_empty_transaction_does_not(
    kept: Ledger, database: SQLite, path: Path
) -> None:
    account = await funded(kept)
    database._connections[0].execute("PRAGMA wal_checkpoint(TRUNCATE)")  # of a log that begins anew, some may be left
    await kept.touch()
    log = path.with_name(f"{path.name}-wal")
    with no_file_longer(log.stat().st_size):
        await kept.postpone([], 0)
        for call in (kept.touch(), kept.place(placement(account)), kept.touch()):
            with pytest.raises(LedgerBusy):
                await call
    await kept.touch()
    await kept.place(placement(account))
    assert (await kept.totals()).wrong == ()


async def test_a_group_that_a_fault_breaks_is_lost_whole(kept: Ledger, database: SQLite) -> None:
    account = await funded(kept)
    writer = database._connections[0]
    [pages] = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    calls = [kept.place(placement(account, fields=fields)) for fields in ("{}", "{}", "x" * 50_000, "{}")]
    outcomes = await _gathered(database, calls)
    writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert [type(outcome) for outcome in outcomes] == [LedgerBusy] * 4
    assert await kept.list_orders() == ()
    assert await kept.balance(account.id) == 100


async def test_a_read_that_the_file_fails_is_busy_and_no_read_ever_writes(kept: Ledger, database: SQLite) -> None:
    def broken() -> Work[None]:
        yield "SELECT id FROM account", ()
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    with pytest.raises(LedgerBusy, match="disk I/O error"):
        await database.read(broken)
    with pytest.raises(LedgerBusy, match="readonly"):
        await database.read(iter_of, "DELETE FROM account")
    assert await kept.accounts() == ()


async def test_a_thread_that_a_fault_reaches_answers_and_works_on() -> None:
    def broken(db: sqlite3.Connection, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
        if db.in_transaction:
            raise MemoryError
        db.execute("BEGIN")
        return [("done", None) for _ in works]

    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as db:
        lane = Lane("test", [db], broken, most=1)
        outcomes: list[object] = []
        for _ in range(2):
            outcomes += await asyncio.gather(lane.submit(iter_of("SELECT 1")), return_exceptions=True)
        await lane.close()
    assert outcomes[0] == "done"
    assert isinstance(outcomes[1], MemoryError)


def test_work_is_done_though_its_loop_is_gone(path: Path) -> None:
    database, go = SQLite(path), threading.Event()

    def late() -> Work[None]:
        go.wait()
        yield "INSERT INTO meta (name, value) VALUES ('late', 'written')", ()

    async def ask_and_leave() -> None:
        await database.open(1)
        database.write(late)

    asyncio.run(ask_and_leave())
    go.set()
    asyncio.run(database.close())
    with another(path) as other:
        assert other.execute("SELECT value FROM meta WHERE name = 'late'").fetchall() == [("written",)]
