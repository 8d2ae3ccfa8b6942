"""Refills, panels' last good lists, and our ids for their services."""

import asyncio

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import WrongState
from providers.base import RefillStatus
from tests.test_ledger.samples import Clock, bought, funded

pytestmark = pytest.mark.anyio


async def test_a_refill_is_asked_for_once_while_one_is_open(ledger: Ledger) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    asked = await asyncio.gather(*(ledger.open_refill(placed.order, "alpha") for _ in range(10)))
    assert [fresh for _, fresh in asked].count(True) == 1
    [refill] = {refill.id: refill for refill, _ in asked}.values()
    assert (refill.order, refill.panel, refill.remote_id) == (placed.order, "alpha", None)
    assert refill.status is RefillStatus.PENDING
    await ledger.settle_refill(refill.id, remote_id=None, status=RefillStatus.REJECTED)
    again, fresh = await ledger.open_refill(placed.order, "alpha")
    assert fresh
    assert again.id > refill.id


async def test_a_refill_keeps_its_remote_id_and_how_it_ended(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    placed = await bought(ledger, account)
    opened, _ = await ledger.open_refill(placed.order, "alpha")
    await ledger.settle_refill(opened.id, remote_id="f1", status=RefillStatus.PENDING)
    clock.ms += 1000
    done = await ledger.settle_refill(opened.id, remote_id=None, status=RefillStatus.COMPLETED)
    assert (done.remote_id, done.status, done.checked_ms) == ("f1", RefillStatus.COMPLETED, clock.ms)
    clock.ms += 1000
    assert await ledger.settle_refill(opened.id, remote_id="f2", status=RefillStatus.PENDING) == done
    assert await ledger.refills(account.id, [opened.id]) == {opened.id: done}


async def test_a_foreign_refill_is_as_absent_as_a_missing_one(ledger: Ledger) -> None:
    mine, theirs = await funded(ledger), await funded(ledger, name="rival")
    placed = await bought(ledger, mine)
    refill, _ = await ledger.open_refill(placed.order, "alpha")
    assert await ledger.refills(theirs.id, [refill.id, 1]) == {}
    with pytest.raises(WrongState, match="refill 1: not there"):
        await ledger.settle_refill(1, remote_id=None, status=RefillStatus.COMPLETED)
    with pytest.raises(WrongState, match="order 1: not there"):
        await ledger.open_refill(1, "alpha")


async def test_open_refills_are_looked_after_longest_unchecked_first(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    refills = []
    for number in range(4):
        placed = await bought(ledger, account, f"r{number}")
        refills.append((await ledger.open_refill(placed.order, "alpha"))[0])
    for number in (2, 1, 0):
        clock.ms += 1000
        await ledger.settle_refill(refills[number].id, remote_id=f"f{number}", status=RefillStatus.PENDING)
    await ledger.settle_refill(refills[2].id, remote_id=None, status=RefillStatus.COMPLETED)
    assert [refill.remote_id for refill in await ledger.stale_refills("alpha")] == ["f1", "f0"]
    assert len(await ledger.stale_refills("alpha", limit=1)) == 1
    assert await ledger.stale_refills("beta") == ()


async def test_a_panel_s_last_good_list_is_kept_and_an_older_one_does_not_replace_it(ledger: Ledger) -> None:
    assert await ledger.snapshot("alpha") is None
    await ledger.keep_snapshot("alpha", b"first", 1000)
    await ledger.keep_snapshot("alpha", b"second", 2000)
    await ledger.keep_snapshot("alpha", b"late", 1500)
    await ledger.keep_snapshot("beta", b"other", 1)
    assert await ledger.snapshot("alpha") == b"second"
    assert await ledger.snapshot("beta") == b"other"


async def test_our_ids_for_services_are_given_once_and_never_change(ledger: Ledger) -> None:
    first = await ledger.service_ids("alpha", ["10", "11", "10"], first=1000)
    assert first == {"10": 1000, "11": 1001}
    other = await ledger.service_ids("beta", ["10"], first=1000)
    assert other == {"10": 1002}
    assert await ledger.service_ids("alpha", ["12", "11"], first=5000) == {"12": 5000, "11": 1001}
    assert await ledger.service_ids("alpha", ["10", "11"], first=9000) == first
    assert await ledger.service_ids("alpha", [], first=1) == {}


async def test_ids_that_are_only_looked_at_are_given_to_nobody(ledger: Ledger) -> None:
    await ledger.service_ids("alpha", ["10"], first=1000)
    would = {"10": 1000, "11": 1001}
    assert await ledger.service_ids("alpha", ["10", "11"], first=1000, keep=False) == would
    assert await ledger.service_ids("beta", ["7"], first=1000) == {"7": 1001}


async def test_two_that_ask_for_the_same_service_get_the_same_id(ledger: Ledger) -> None:
    given = await asyncio.gather(*(ledger.service_ids("alpha", ["1", "2"], first=1) for _ in range(5)))
    assert given == [{"1": 1, "2": 2}] * 5
