"""A server whose tables are on a full disk: what a ledger there takes, and what it does not."""

import os
import pwd
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.ledger.postgres.database import Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy, Placed
from gateway.ledger.sql.ledger import SQLLedger
from tests.servers import PostgreSQL
from tests.test_ledger.samples import Clock, funded, placement
from tests.test_plugs import full_disk

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
def running() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def disk(running: PostgreSQL) -> Iterator[Path]:
    """A small disk that the server may write to, and that holds nothing but tables."""
    folder = running.folder / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as refused:
        pytest.skip(f"this machine mounts no small disk: {refused}")
    tables = folder / "tables"
    tables.mkdir()
    os.chown(tables, pwd.getpwnam("nobody").pw_uid, -1)
    yield tables
    running.kill()
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
async def kept(running: PostgreSQL, disk: Path) -> AsyncIterator[Ledger]:
    raw = await asyncpg.connect(running.url())
    await raw.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await raw.execute("CREATE DATABASE small TABLESPACE small")
    await raw.close()
    opened = SQLLedger(Postgres(running.url("small"), patience_s=0), Clock())
    await opened.open()
    yield opened
    await opened.close()


async def test_orders_that_need_room_are_refused_and_a_row_that_has_its_own_is_still_written(
    kept: Ledger, disk: Path
) -> None:
    """So a touch, which is such a row, tells nothing of it: see the guide."""
    account = await funded(kept, "1000")
    await kept.touch()
    placed: list[Placed] = []

    async def fill() -> None:
        while True:
            placed.append(await kept.place(placement(account, link=str(len(placed)), fields="x" * 1500)))

    with full_disk(disk.parent):
        with pytest.raises(LedgerBusy, match="No space left on device"):
            await fill()
        await kept.touch()
    await kept.place(placement(account, link="again"))
    assert len(await kept.list_orders(limit=1000)) == len(placed) + 1
    assert (await kept.totals()).wrong == ()
    assert (await kept.replayed()).wrong == ()
