"""A ledger in SQLite that is copied into PostgreSQL: whole, the same, and sold from as before."""

import asyncio
from pathlib import Path

import pytest

import gateway.ledger
from gateway.ledger import copying
from gateway.ledger.records import Accepted, Fail, LedgerError, LedgerUnusable, Refused
from tests.databases import drop, postgres
from tests.test_ledger.samples import Clock, funded, placement

pytestmark = pytest.mark.anyio


async def filled(path: Path) -> None:
    ledger = gateway.ledger.ledger(f"sqlite:///{path}", now_ms=Clock())
    await ledger.open()
    await ledger.bind_currency("USD")
    await ledger.recover()
    account = await funded(ledger)
    for number in range(30):
        placed = await ledger.place(placement(account))
        assert placed.attempt is not None
        if number % 3:
            await ledger.settle(placed.attempt, Accepted(remote_id=str(number)))
        elif number % 2:
            await ledger.settle(placed.attempt, Refused(reason="other"), Fail(why="no"))
    await ledger.close()


async def test_a_copy_says_the_same_and_goes_on(tmp_path: Path) -> None:
    path, url = tmp_path / "l.db", await asyncio.to_thread(postgres, tmp_path)
    await filled(path)
    seen: list[tuple[int, int]] = []
    copied = await copying.copy(path, url, 1, lambda left, total: seen.append((left, total)))
    assert seen[-1][0] == 0
    before, after = gateway.ledger.ledger(f"sqlite:///{path}"), gateway.ledger.ledger(url)
    await before.open()
    await after.open()
    assert copied.rows["orders"] == 30
    assert await after.totals() == await before.totals()
    assert await after.replayed() == await before.replayed()
    assert await after.list_orders(limit=100) == await before.list_orders(limit=100)
    assert await after.learned("alpha") == await before.learned("alpha")
    last, account = (await after.list_orders(limit=1))[0], await after.account("shop")
    assert account is not None
    recovery = await after.recover()
    assert recovery.unknown == 5
    placed = await after.place(placement(account))
    assert placed.order > last.id
    assert placed.attempt is not None
    await after.settle(placed.attempt, Accepted(remote_id="31"))
    assert (await after.totals()).wrong == ()
    await before.close()
    await after.close()
    await asyncio.to_thread(drop, url)


async def test_what_was_copied_is_not_sold_from_again_and_may_be_copied_again(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    await filled(path)
    for _ in range(2):  # the first database was lost, before anything was sold
        url = await asyncio.to_thread(postgres, tmp_path)
        await copying.copy(path, url, 1)
        before, after = gateway.ledger.ledger(f"sqlite:///{path}"), gateway.ledger.ledger(url)
        await before.open()
        with pytest.raises(LedgerUnusable, match="it was copied into postgresql:///postgres, and is sold from there"):
            await before.recover()
        await before.close()
        await after.open()
        assert await after.join("node") > 0
        await after.close()
        await asyncio.to_thread(drop, url)


async def test_a_ledger_that_is_sold_from_is_not_copied_into(tmp_path: Path) -> None:
    path, url = tmp_path / "l.db", await asyncio.to_thread(postgres, tmp_path)
    await filled(path)
    await copying.copy(path, url, 1)
    with pytest.raises(copying.NotEmpty, match="not empty"):
        await copying.copy(path, url, 1)
    await asyncio.to_thread(drop, url)


async def test_a_copy_that_comes_out_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, url = tmp_path / "l.db", await asyncio.to_thread(postgres, tmp_path)
    await filled(path)
    pages = copying._pages
    monkeypatch.setattr(copying, "_pages", lambda db, table, names: [] if table == "entry" else pages(db, table, names))
    with pytest.raises(LedgerError, match="entry: "):
        await copying.copy(path, url, 1)
    monkeypatch.undo()
    assert (await copying.copy(path, url, 1)).rows["orders"] == 30
    await asyncio.to_thread(drop, url)
