"""A ledger in SQLite that is copied into PostgreSQL: whole, the same, and sold from as before."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
        with pytest.raises(
            LedgerUnusable, match=r"it was copied into postgresql:///postgres.*, and is sold from there"
        ):
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


Change = Mapping[str, int | str | None]
"""To a row: numbers are added, all else takes the place of what stood there."""


@pytest.mark.parametrize(
    ("table", "changes", "question"),
    [
        ("orders", [{"charge": 1}], "SUM(charge)"),
        ("orders", [{"refunded": 1}], "SUM(refunded)"),
        ("attempt", [{"state": "untracked", "remote_id": None}], "remote_id IS NOT NULL"),
        ("entry", [{"amount": -1}], "SUM(amount), 0) FROM entry"),
        ("entry", [{"amount": 1}, {"amount": -1}], "WHERE amount > 0"),
        ("account", [{"available": 1, "topups": -1}], "SUM(available)"),
        ("account", [{"held": 1, "topups": -1}], "SUM(held)"),
    ],
)
async def test_a_copy_whose_sums_differ_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, changes: Sequence[Change], question: str
) -> None:
    """There are as many rows, and some of them say something else."""
    path, url = tmp_path / "l.db", await asyncio.to_thread(postgres, tmp_path)
    await filled(path)
    pages = copying._pages

    def altered(db: sqlite3.Connection, name: str, names: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        left = list(changes) if name == table else []
        for rows in pages(db, name, names):
            yield [_changed(dict(zip(names, row, strict=True)), left) for row in rows]

    monkeypatch.setattr(copying, "_pages", altered)
    with pytest.raises(LedgerError, match=f"{re.escape(question)}.*: .*, and .* in the copy"):
        await copying.copy(path, url, 1)
    monkeypatch.undo()
    assert (await copying.copy(path, url, 1)).rows["orders"] == 30
    await asyncio.to_thread(drop, url)


def _changed(row: dict[str, Any], left: list[Change]) -> tuple[Any, ...]:
    """The row after the next of the changes, if that is one for it: nothing is removed where there is nothing."""
    if left and all(row[name] is not None for name in left[0]) and row.get("amount", 0) * _added(left[0]) >= 0:
        for name, change in left.pop(0).items():
            row[name] = row[name] + change if isinstance(change, int) else change
    return tuple(row.values())


def _added(change: Change) -> int:
    amount = change.get("amount", 0)
    assert isinstance(amount, int)
    return amount
