"""The journal outlives whoever is killed, and a panel that is started again knows its orders."""

import asyncio
import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from providers.sandbox import Sandbox, Temper, Tempo, read_journal
from tests.test_sandbox.shop import FIELDS, KEY, LINK, ROWS, SERVICES, Clock, exchange, until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SERVING = """
import asyncio, sys
from pathlib import Path
from providers.sandbox import Sandbox
from tests.test_sandbox.shop import KEY, ROWS

async def main():
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, journal=Path(sys.argv[1]), faults="add:2:silence_after")
    async with panel.serve() as url:
        print(url, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_what_was_done_is_in_the_file_when_the_panel_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    command = (sys.executable, "-c", SERVING, str(path))
    serving = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        assert serving.stdout is not None
        url = (await serving.stdout.readline()).decode().strip()
        form = {"key": KEY, "action": "add", "service": "1", **FIELDS["Default"]}
        first = json.loads((await exchange(url, form)).body)["order"]
        unanswered = asyncio.create_task(exchange(url, form))
        await until(lambda: len(read_journal(path)) == 2)
        assert not unanswered.done()
    finally:
        serving.kill()
        await serving.communicate()
    assert (await unanswered).raw == b""
    assert [entry.remote_id for entry in read_journal(path)] == [first, first + 1]
    again = Sandbox("alpha", key=KEY, catalogue=ROWS, journal=path)
    assert list(again.orders) == [first, first + 1]
    assert again.balance == 998
    again.close()


def _busy(path: Path | None, clock: Clock) -> Sandbox:
    return Sandbox(
        "alpha",
        key=KEY,
        catalogue=ROWS,
        clock=clock,
        journal=path,
        fsync=True,
        crowd=4,
        temper=Temper(partial=0.3, canceled=0.3, refill_rejected=0.5),
        tempo=Tempo(pending=(1, 5), work=(5, 50)),
    )


def test_a_panel_started_again_has_the_same_books(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "journal"
    panel = _busy(path, clock)
    for step in range(60):
        type = list(FIELDS)[step % len(FIELDS)]
        extra = {"runs": "3", "interval": "1"} if type == "Default" else {}
        reply: Any = panel.ask("add", service=SERVICES[type], **FIELDS[type], **extra)
        if step % 5 == 0:
            panel.ask("cancel", orders=str(reply["order"]))
        clock.now += 7
        panel.ask("refill", orders=",".join(map(str, list(panel.orders)[-20:])))
    panel.close()
    assert {entry.action for entry in panel.journal} == {"add", "refill", "cancel"}
    assert list(read_journal(path)) == panel.journal
    again = _busy(path, clock)
    assert again.journal == panel.journal
    for _ in range(3):
        assert dict(again.orders) == dict(panel.orders)
        assert (again.balance, again.refunded) == (panel.balance, panel.refunded)
        clock.now += 40
    before: Any = panel.ask("add", service="1", **FIELDS["Default"])
    assert again.ask("add", service="1", **FIELDS["Default"]) == before
    again.close()


def test_a_panel_started_again_knows_orders_of_services_that_are_gone(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "journal"
    first = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, journal=path)
    first.ask("add", service=SERVICES["Package"], link=LINK)
    first.ask("cancel", orders="23501")
    first.close()
    again = Sandbox("alpha", key=KEY, catalogue=[], clock=clock, journal=path)
    assert again.orders[23_501].listing.type == "Package"
    assert again.charged == 2
    clock.now += 10_000
    assert again.state(23_501).status == "Completed", "its row is gone, and with it the right to cancel"
    again.close()


def test_a_line_torn_by_a_kill_is_cut_off_and_the_next_is_whole(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "journal"
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, journal=path)
    panel.ask("add", service="1", **FIELDS["Default"])
    panel.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    assert len(read_journal(path)) == 1
    again = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, journal=path)
    again.ask("add", service="1", **FIELDS["Default"])
    again.close()
    entries = read_journal(path)
    assert [(entry.seq, entry.remote_id, entry.charge) for entry in entries] == [
        (1, 23_501, Decimal(1)),
        (2, 23_502, Decimal(1)),
    ]


async def test_the_line_is_written_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, journal=path, fsync=True)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    async with panel.serve() as url, aiohttp.ClientSession() as session:
        form = {"key": KEY, "action": "add", "service": "1", **FIELDS["Default"]}
        async with session.post(url, data=form) as response:
            assert len(read_journal(path)) == 1, "the answer's head is here, its body may not be"
            await response.read()
    assert synced == [path.stat().st_size]
    panel.close()
    panel.close()
