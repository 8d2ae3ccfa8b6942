"""What a start finds beside the ledger: ids that it had already, ids that came too late, ids of nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, AttemptState, Fail, NotPlaced, Unknown
from gateway.ledger.spill import Spill
from gateway.placing import recovered
from tests.test_ledger.samples import bought, funded, placement, sent

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = ledger(f"sqlite:///{tmp_path}/panelmux.db")
    await opened.open()
    yield opened
    assert (await opened.totals()).wrong == ()
    assert (await opened.replayed()).wrong == ()
    await opened.close()


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    made = Spill(tmp_path / "panelmux.db.spill")
    made.open()
    return made


async def test_an_id_kept_beside_the_ledger_is_written_before_anything_is_called_unknown(
    kept: Ledger, spill: Spill
) -> None:
    placed = await kept.place(placement(await funded(kept)))
    spill.put(sent(placed), Accepted(remote_id="r1"))
    assert (await recovered(kept, spill)).unknown == 0
    [attempt] = await kept.attempts(placed.order)
    assert (attempt.state, attempt.remote_id) == (AttemptState.ACCEPTED, "r1")
    assert spill.left() == []


async def test_an_id_that_the_ledger_has_already_is_let_go(kept: Ledger, spill: Spill) -> None:
    placed = await bought(kept, await funded(kept), "r1")
    spill.put(sent(placed), Accepted(remote_id="r1"))
    await recovered(kept, spill)
    assert spill.left() == []
    assert "late_id" not in [event.what for event in await kept.events(placed.order)]


async def test_an_id_of_an_attempt_that_ended_otherwise_is_kept_where_people_look(kept: Ledger, spill: Spill) -> None:
    placed = await kept.place(placement(await funded(kept)))
    await kept.settle(sent(placed), Unknown())
    await kept.settle(sent(placed), NotPlaced(), Fail(why="an operator was sure"))
    spill.put(sent(placed), Accepted(remote_id="r1"))
    await recovered(kept, spill)
    [late] = [event for event in await kept.events(placed.order) if event.what == "late_id"]
    assert '"remote_id":"r1"' in late.evidence
    assert spill.left() == []


async def test_an_id_that_another_order_has_binds_nothing(kept: Ledger, spill: Spill) -> None:
    account = await funded(kept)
    await bought(kept, account, "r1")
    placed = await kept.place(placement(account))
    spill.put(sent(placed), Accepted(remote_id="r1"))
    assert (await recovered(kept, spill)).unknown == 1
    assert "late_id" in [event.what for event in await kept.events(placed.order)]


async def test_an_id_of_an_attempt_that_is_not_there_holds_up_nothing(kept: Ledger, spill: Spill) -> None:
    """As after an older ledger was put back."""
    await funded(kept)
    spill.put(4711, Accepted(remote_id="r1"))
    assert (await recovered(kept, spill)).unknown == 0
    assert spill.left() == []
