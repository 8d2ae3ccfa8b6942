"""A database that its owner restored: what was open in it waits for people, and no id is given a second time."""

from pathlib import Path

import pytest

import gateway.ledger
from gateway.ledger.postgres.database import Postgres
from gateway.ledger.records import Accepted, AttemptState, Fenced, Next, NotPlaced, WrongState
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sql.restoring import JUMP, WHY
from tests.test_cli.shell import Shell
from tests.test_ledger.samples import Clock, funded, placement

pytestmark = pytest.mark.anyio


async def test_what_was_open_waits_for_people_and_ids_go_on_above(url: str) -> None:
    kept = SQLLedger(Postgres(url), Clock())
    await kept.open()
    await kept.join("before")
    account = await funded(kept)
    bought, open = [await kept.place(placement(account)) for _ in range(2)]
    assert bought.attempt is not None
    assert open.attempt is not None
    await kept.settle(bought.attempt, Accepted(remote_id="100"))
    again = await kept.reopen()
    assert (again.unknown, again.followed) == (1, 1)
    [left] = await kept.unknown_attempts()
    assert (left.id, left.state, left.why, left.floor) == (open.attempt, AttemptState.UNKNOWN, WHY, None)
    assert (await kept.learned("alpha")).highest is None
    assert (await kept.learned("alpha")).orders == 1
    with pytest.raises(Fenced):
        await kept.beat("r1")
    await kept.close()
    opened = gateway.ledger.ledger(url)
    await opened.open()
    await opened.join("after")
    first = placement(account).first
    assert isinstance(first, Next)
    later = await opened.place(placement(account))
    assert later.order > open.order + JUMP
    assert later.attempt is not None
    assert later.attempt > open.attempt + JUMP
    with pytest.raises(WrongState, match="comes out of a restored backup"):
        await opened.settle(open.attempt, NotPlaced(), first)
    assert (await opened.totals()).wrong == ()
    assert (await opened.replayed()).wrong == ()
    await opened.close()


def test_a_file_is_reopened_by_its_restore(tmp_path: Path) -> None:
    result = Shell(tmp_path).run("ledger", "reopen", "--yes")
    assert result.exit_code == 2
    assert "panelmux ledger restore" in result.stderr
