"""Other processes at the same file, and a process that is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger import ledger
from gateway.ledger.records import AttemptState
from gateway.ledger.sqlite import schema
from tests.test_ledger.samples import funded, placement
from tests.test_ledger_sqlite.files import another

pytestmark = pytest.mark.anyio


def _child(what: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ledger_child", what, f"sqlite:///{path}"]
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


async def test_what_was_answered_before_a_kill_is_there_after_it(path: Path) -> None:
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    await funded(opened, "1000000")
    await opened.close()
    with _child("place", path) as child:
        assert child.stdout is not None
        told_ids = [int(child.stdout.readline()) for _ in range(200)]
        os.kill(child.pid, signal.SIGKILL)
        told_ids += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    totals = await opened.totals()
    orders = await opened.list_orders(limit=10**6)
    assert {order.id for order in orders} >= set(told_ids)
    assert len(set(told_ids)) == len(told_ids)
    assert (totals.wrong, totals.attempts) == ((), {"sending": len(orders)})
    assert (await opened.recover()).unknown == len(orders)
    [attempt] = await opened.attempts(told_ids[0])
    assert attempt.state is AttemptState.UNKNOWN
    account = await opened.account("shop")
    assert account is not None
    assert (await opened.place(placement(account))).order > max(order.id for order in orders)
    await opened.close()


def test_processes_that_open_a_new_ledger_at_once_all_succeed(path: Path) -> None:
    children = [_child("open", path) for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        with child:
            assert child.wait(30) == 0
    with another(path) as other:
        assert other.execute("SELECT name, available FROM account").fetchall() == [("shop", 3_000_000)]
        assert other.execute("SELECT COUNT(*) FROM schema").fetchone() == (len(schema.migrations()),)


async def test_a_command_line_writes_beside_a_process_that_sells(path: Path) -> None:
    opened = ledger(f"sqlite:///{path}")
    await opened.open()
    account = await funded(opened, "50")
    with _child("open", path) as child:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        placed = 0
        while child.poll() is None or placed < 50:
            await opened.place(placement(account))
            placed += 1
            if placed == 100:
                break
        assert await asyncio.to_thread(child.wait, 30) == 0
    assert await opened.balance(account.id) == 51 - placed * Decimal("0.5")
    await opened.close()
