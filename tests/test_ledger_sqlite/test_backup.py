"""A backup that is put back: nothing given since is given again, and nothing that was open is bought again."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger import ledger
from gateway.ledger.learned import Reading
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    LedgerError,
    LedgerUnusable,
    NewPlacement,
    Next,
    NotPlaced,
    Placed,
    Unknown,
    Wait,
    WrongState,
)
from gateway.ledger.sqlite import backup as copies
from providers.base import RefillStatus

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000_000


class Books:
    """A ledger in a folder, opened anew for each piece of work as a process would."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "panelmux.db"
        self.kept = folder / "kept.db"

    def open(self) -> Ledger:
        return ledger(f"sqlite:///{self.path}", now_ms=lambda: NOW)

    async def placed(self, opened: Ledger, link: str) -> tuple[int, int]:
        first = Next(panel="alpha", remote_service="1", cost=Decimal(1), remote_cost=Decimal(1))
        placed = await self.written(opened, link, first)
        assert placed.attempt is not None
        return placed.order, placed.attempt

    async def written(self, opened: Ledger, link: str, first: Next | Wait) -> Placed:
        account = await opened.account("shop") or await opened.create_account("shop", unlimited=True)
        return await opened.place(
            NewPlacement(
                account=account.id,
                service=1,
                type="Default",
                link=link,
                fields="{}",
                quantity=100,
                units=100,
                charge=Decimal(2),
                refill=True,
                cancel=True,
                decision="{}",
                first=first,
            )
        )


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


async def sold(books: Books) -> dict[str, tuple[int, int]]:
    """A ledger with one order of each kind that a backup may catch."""
    opened = books.open()
    await opened.open()
    await opened.recover()
    made = {"accepted": await books.placed(opened, "accepted")}
    await opened.settle(made["accepted"][1], Accepted(remote_id="500"))
    made |= {name: await books.placed(opened, name) for name in ("sending", "unknown")}
    await opened.settle(made["unknown"][1], Unknown())
    assert [one.floor for one in await opened.unknown_attempts()] == [500]
    await opened.learn("alpha", foreign=True, proven=5)
    reading = Reading(
        panel="alpha",
        at_ms=NOW,
        balance=Decimal(10),
        taken=Decimal(1),
        unit=Decimal("0.00001"),
        agreed=True,
        orders=1,
    )
    await opened.keep_reading(reading)
    await opened.wish(made["unknown"][0], "failover", by="x", reason="")
    await opened.close()
    return made


async def since(books: Books) -> tuple[list[int], int]:
    """What happens after the backup: further orders and a refill; the refill's id too."""
    opened = books.open()
    await opened.open()
    await opened.recover()
    orders = [(await books.placed(opened, f"later {number}")) for number in range(30)]
    await opened.settle(orders[0][1], Accepted(remote_id="501"))
    refill, _ = await opened.open_refill(orders[0][0], "alpha")
    await opened.settle_refill(refill.id, remote_id="9", status=RefillStatus.COMPLETED)
    await opened.stopped()
    await opened.close()
    return [order for order, _ in orders], refill.id


async def test_a_backup_that_is_put_back_gives_no_id_again_and_buys_nothing_again(books: Books) -> None:
    made = await sold(books)
    assert copies.backup(books.path, books.kept) == books.kept.stat().st_size
    assert books.kept.stat().st_mode & 0o777 == 0o600
    given, refill = await since(books)
    foreseen = copies.foreseen(books.kept, books.path, NOW)
    restored = copies.restore(books.kept, books.path, NOW)
    assert foreseen.aside == ""
    assert content(restored.aside).startswith(b"SQLite")
    assert (restored.orders, restored.reopened.unknown, restored.reopened.followed) == (3, 2, 1)
    assert restored.missing is not None
    assert (restored.missing.count, list(restored.missing.orders)) == (30, given[:20])
    opened = books.open()
    await opened.open()
    recovery = await opened.recover()
    assert not recovery.clean
    assert recovery.epoch > 2, "whoever sold from the other one is fenced off"
    for name in ("sending", "unknown"):
        order, attempt = made[name]
        [kept] = await opened.attempts(order)
        assert (kept.state, kept.floor) == (AttemptState.UNKNOWN, None)
        following = Next(panel="beta", remote_service="1", cost=Decimal(1), remote_cost=Decimal(1))
        with pytest.raises(WrongState, match="backup"):
            await opened.settle(attempt, NotPlaced(), following)
        assert "restored" in [event.what for event in await opened.events(order)]
    assert await opened.anchor("alpha") is None
    learned = await opened.learned("alpha")
    assert (learned.highest, learned.rising, learned.foreign, learned.proven) == (None, 0, None, 0)
    assert await opened.wishes() == ()
    order, attempt = await books.placed(opened, "fresh")
    assert order > max(given)
    assert attempt > 33
    assert (await opened.open_refill(made["accepted"][0], "alpha"))[0].id > refill
    await opened.settle(made["sending"][1], NotPlaced(), Fail(why="a person looked"))
    assert (await opened.totals()).wrong == ()
    assert (await opened.replayed()).wrong == ()
    await opened.close()


async def test_where_the_ledger_is_gone_or_broken_ids_jump_far_ahead(books: Books) -> None:
    await sold(books)
    copies.backup(books.path, books.kept)
    given, _ = await since(books)
    books.path.write_bytes(b"no ledger at all" * 1000)
    restored = copies.restore(books.kept, books.path, NOW)
    assert restored.missing is None
    assert content(restored.aside).startswith(b"no ledger")
    opened = books.open()
    await opened.open()
    await opened.recover()
    assert (await books.placed(opened, "fresh"))[0] > max(given)
    await opened.close()
    books.path.unlink()
    assert copies.restore(books.kept, books.path, NOW).aside == ""


async def test_a_backup_is_of_one_moment_while_orders_are_written(books: Books) -> None:
    opened = books.open()
    await opened.open()
    await opened.recover()
    for number in range(200):
        await books.placed(opened, f"https://x.example/{number}/" + "x" * 2000)
    steps: list[int] = []
    copying = asyncio.create_task(asyncio.to_thread(_in_small_steps, books, steps))
    written = 0
    while not copying.done():
        await books.placed(opened, f"meanwhile {written}")
        written += 1
    await copying
    assert written > 0
    assert len(steps) > 5
    await opened.close()
    with sqlite3.connect(books.kept) as copy:
        [(orders,)] = copy.execute("SELECT COUNT(*) FROM orders").fetchall()
        [(sum_,)] = copy.execute("SELECT SUM(amount) FROM entry").fetchall()
    copy.close()
    assert 200 <= orders <= 200 + written
    assert sum_ == 0


def _in_small_steps(books: Books, steps: list[int]) -> None:
    pages = copies.PAGES
    copies.PAGES = 8  # type: ignore[misc]
    try:
        copies.backup(books.path, books.kept, lambda left, _all: steps.append(left))
    finally:
        copies.PAGES = pages  # type: ignore[misc]


async def test_a_backup_replaces_nothing(books: Books, tmp_path: Path) -> None:
    await sold(books)
    books.kept.write_text("mine")
    with pytest.raises(LedgerError, match="it is there already"):
        copies.backup(books.path, books.kept)
    assert books.kept.read_text() == "mine"
    with pytest.raises(LedgerError, match="no such folder"):
        copies.backup(books.path, tmp_path / "nowhere" / "kept.db")
    with pytest.raises(LedgerUnusable, match="no such file"):
        copies.backup(tmp_path / "none.db", tmp_path / "kept2.db")
    assert hidden(tmp_path) == []


async def test_a_disk_without_links_carries_a_backup_too(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    await sold(books)

    def refused(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refused)
    assert copies.backup(books.path, books.kept) > 0
    assert hidden(books.path.parent) == []


async def test_the_log_of_a_ledger_that_is_replaced_is_moved_into_it(books: Books) -> None:
    """A process that was killed left its log behind: what stood there is in the ledger that is kept aside."""
    await sold(books)
    copies.backup(books.path, books.kept)
    with contextlib.closing(sqlite3.connect(books.path, isolation_level=None)) as killed:
        killed.execute("PRAGMA wal_autocheckpoint = 0")
        killed.execute("INSERT INTO meta VALUES ('late', '1')")
        restored = copies.restore(books.kept, books.path, NOW)
    with contextlib.closing(sqlite3.connect(restored.aside)) as aside:
        assert aside.execute("SELECT value FROM meta WHERE name = 'late'").fetchall() == [("1",)]


@pytest.mark.parametrize("what", ["missing", "foreign", "newer", "cut"])
async def test_what_is_no_sound_backup_of_ours_changes_nothing(books: Books, what: str) -> None:
    await sold(books)
    copies.backup(books.path, books.kept)
    before = books.path.read_bytes()
    match what:
        case "missing":
            books.kept.unlink()
        case "foreign":
            books.kept.unlink()
            with sqlite3.connect(books.kept) as other:
                other.execute("CREATE TABLE t (a)")
            other.close()
        case "newer":
            with sqlite3.connect(books.kept) as other:
                other.execute("INSERT INTO schema VALUES (99, 'x', 'y', 0)")
            other.close()
        case "cut":
            os.truncate(books.kept, books.kept.stat().st_size // 2 // 4096 * 4096)
    with pytest.raises(LedgerUnusable):
        copies.restore(books.kept, books.path, NOW)
    assert books.path.read_bytes() == before
    assert hidden(books.path.parent) == []


async def test_no_ids_are_left_for_a_restored_ledger(books: Books) -> None:
    await sold(books)
    shutil.copy(books.path, books.kept)
    with sqlite3.connect(books.kept) as db:
        db.execute("UPDATE counter SET value = 2147000000 WHERE name = 'order'")
    db.close()
    books.path.unlink()
    with pytest.raises(LedgerError, match="no ids are left"):
        copies.restore(books.kept, books.path, NOW)
    assert not books.path.exists()


async def test_an_order_that_waited_in_a_backup_waits_for_people_and_is_neither_bought_nor_given_up(
    books: Books,
) -> None:
    opened = books.open()
    await opened.open()
    await opened.recover()
    order = (await books.written(opened, "waits", Wait(until_ms=NOW + 1, why="dry"))).order
    await opened.close()
    copies.backup(books.path, books.kept)
    copies.restore(books.kept, books.path, NOW)
    opened = books.open()
    await opened.open()
    await opened.recover()
    [waiting] = await opened.waiting()
    assert (waiting.order, waiting.until_ms) == (order, None)
    with pytest.raises(WrongState, match="backup"):
        await opened.send(order, Next(panel="alpha", remote_service="1", cost=Decimal(1)))
    assert [event.what for event in await opened.events(order)] == ["waiting", "restored"]
    await opened.give_up(order, "people looked")
    assert await opened.waiting() == ()
    assert (await opened.totals()).wrong == ()
    await opened.close()
