"""The ledger as a whole: check, backup, restore, reopen, archive."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

import gateway.ledger
from gateway.cli.failure import Exit
from gateway.ledger.lock import Lock
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState
from tests import databases
from tests.test_cli.shell import Shell, placed
from tests.test_ledger.samples import funded, placement


def test_a_ledger_that_is_right_says_so(shell: Shell) -> None:
    shell.keep(placed)
    checked = shell.json("ledger", "check")
    assert (checked["orders"], checked["attempts"], checked["sum"], checked["replayed"], checked["wrong"]) == (
        1,
        {"unknown": 1},
        "0.00",
        1,
        [],
    )
    assert Decimal(checked["books"]["held:1"]) == Decimal("1.5")
    shown = shell.run("ledger", "check")
    assert (shown.exit_code, shown.stderr) == (Exit.GOOD, "all of it agrees\n")
    assert "1 orders told anew" in shown.stdout


def test_a_ledger_that_was_tampered_with_is_found_out(shell: Shell) -> None:
    order = shell.keep(placed)
    with sqlite3.connect(shell.folder / "panelmux.db") as db:
        db.execute("UPDATE account SET available = available + 1, topups = topups - 1")
        db.execute("UPDATE orders SET status = 'Completed' WHERE id = ?", (order,))
    db.close()
    found = shell.run("ledger", "check")
    assert found.exit_code == Exit.FINDINGS
    assert "wrong: account 1: available is" in found.stderr
    assert f"wrong: order {order}: its history tells" in found.stderr
    assert len(shell.json("ledger", "check", code=Exit.FINDINGS)["wrong"]) >= 3


def test_a_backup_is_put_back_after_a_yes(shell: Shell) -> None:
    first = shell.keep(placed)
    kept = shell.folder / "kept.db"
    made = shell.json("ledger", "backup", str(kept))
    assert made == {"file": str(kept), "bytes": kept.stat().st_size, "pepper": f"{shell.folder}/panelmux.db.pepper"}
    assert shell.run("ledger", "backup", str(kept)).exit_code == Exit.FAILED

    async def more(opened: Ledger) -> int:
        await opened.topup(1, Decimal(5), "more")
        return await placed(opened, link="https://x.example/later")

    second = shell.keep(more)
    looked = shell.run("ledger", "restore", str(kept), "--dry-run")
    assert looked.exit_code == Exit.GOOD
    assert f"not in it: orders placed since: 1 ({second}); top-ups since: 1" in looked.stderr
    asked = shell.run("ledger", "restore", str(kept))
    assert asked.exit_code == Exit.MISUSE
    assert "nobody to ask; say --yes, or --dry-run" in asked.stderr
    assert len(shell.json("order", "list")) == 2
    done = shell.json("ledger", "restore", str(kept), "--yes")
    assert (done["orders"], done["unknown"], done["missing_orders"], done["done"]) == (1, 1, [second], True)
    assert Path(done["aside"]).exists()
    assert [line["id"] for line in shell.json("order", "list", "--unknown")] == [first]
    assert "people have to look" in shell.run("order", "list", "--unknown").stdout
    assert shell.json("ledger", "check")["wrong"] == []


def test_a_ledger_that_is_sold_from_is_not_replaced(shell: Shell) -> None:
    shell.keep(placed)
    kept = shell.folder / "kept.db"
    shell.run("ledger", "backup", str(kept))
    lock = Lock(shell.ledger)
    lock.take()
    try:
        refused = shell.run("ledger", "restore", str(kept), "--yes")
        assert refused.exit_code == Exit.UNREACHABLE
        assert "sells from this ledger already" in refused.stderr
        assert shell.run("ledger", "restore", str(kept), "--dry-run").exit_code == Exit.GOOD
    finally:
        lock.give_back()


def test_a_backup_that_is_none_is_told(shell: Shell) -> None:
    shell.keep(placed)
    refused = shell.run("ledger", "restore", "nowhere.db", "--yes")
    assert (refused.exit_code, refused.stderr) == (Exit.UNREACHABLE, "ledger: nowhere.db: no such file\n")


def test_a_restore_where_there_is_no_ledger(shell: Shell) -> None:
    shell.keep(placed)
    kept = shell.folder / "kept.db"
    shell.run("ledger", "backup", str(kept))
    (shell.folder / "panelmux.db").unlink()
    restored = shell.run("ledger", "restore", str(kept), "--yes")
    assert "what was placed since cannot be read" in restored.stderr
    assert "there was none" in restored.stdout


@contextlib.contextmanager
def beating(url: str) -> Iterator[None]:
    """A gateway of another host lives, and tells so many times a second."""
    begun, ending = threading.Event(), threading.Event()

    async def lives() -> None:
        opened = gateway.ledger.ledger(url)
        await opened.open()
        await opened.join("far")
        try:
            while not ending.is_set():
                await opened.beat("")
                begun.set()
                await asyncio.sleep(0.02)
        finally:
            await opened.close()

    thread = threading.Thread(target=asyncio.run, args=(lives(),))
    thread.start()
    try:
        assert begun.wait(20)
        yield
    finally:
        ending.set()
        thread.join()


def test_a_ledger_is_reopened_once_no_gateway_beats(shell: Shell) -> None:
    shell.ledger = databases.postgres(shell.folder)
    shell.environ |= {"PANELMUX_LEDGER": shell.ledger, "PANELMUX_PEPPER": "pepper of a test"}

    async def sending(opened: Ledger) -> None:
        await opened.join("far")
        await opened.place(placement(await funded(opened)))

    async def states(opened: Ledger) -> list[AttemptState]:
        [order] = await opened.list_orders()
        return [attempt.state for attempt in await opened.attempts(order.id)]

    shell.keep(sending)
    with beating(shell.ledger):
        refused = shell.run("ledger", "reopen", "--yes")
        assert refused.exit_code == Exit.UNREACHABLE, refused.output
        assert "gateways sell from it: far; stop them first" in refused.stderr
        assert shell.keep(states) == [AttemptState.SENDING]
    asked = shell.run("ledger", "reopen")
    assert asked.exit_code == Exit.MISUSE
    assert "nobody to ask; say --yes\n" in asked.stderr, "it has no --dry-run"
    assert shell.json("ledger", "reopen", "--yes") == {"unknown": 1, "followed": 0}
    assert shell.keep(states) == [AttemptState.UNKNOWN]
    databases.drop(shell.ledger)


def test_a_range_of_old_orders_is_taken_out_or_said_to_be_in_use(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.postgres.archive._TRIES", 2)
    shell.ledger = databases.postgres(shell.folder)
    shell.environ |= {"PANELMUX_LEDGER": shell.ledger, "PANELMUX_PEPPER": "pepper of a test"}
    archive = ("ledger", "archive", "--older-than", "1")

    async def old(opened: Ledger) -> None:
        raw = await asyncpg.connect(shell.ledger)
        await raw.execute("SELECT setval('order_ids', 200000)")
        await opened.place(placement(await funded(opened)))
        await raw.execute("UPDATE orders SET status = 'Completed', updated_ms = 0")
        await raw.execute("UPDATE attempt SET state = 'not_sent', settled_ms = 0")
        await raw.execute("SELECT setval('order_ids', 20000000)")
        await raw.close()

    async def in_use() -> None:
        raw = await asyncpg.connect(shell.ledger)
        async with raw.transaction():
            await raw.execute("LOCK TABLE orders_0 IN SHARE MODE")
            refused = await asyncio.to_thread(shell.run, *archive, "--yes")
            assert refused.exit_code == Exit.UNREACHABLE, refused.output
            assert "range 0; run it again" in refused.stderr
        await raw.close()

    shell.keep(old)
    assert shell.json(*archive, "--dry-run") == [{"number": 0, "orders": 1}]
    asyncio.run(in_use())
    taken = shell.run(*archive, "--yes")
    assert (taken.exit_code, taken.stderr.splitlines()[0]) == (Exit.GOOD, "range 0: 1 orders, all ended")
    assert "archived_orders_0, archived_attempt_0, archived_event_0" in taken.stderr
    assert shell.json(*archive, "--yes") == []
    databases.drop(shell.ledger)
