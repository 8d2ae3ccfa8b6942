"""Every ledger there is, empty and open; and none leaves a test with sums, or histories, that are wrong."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import gateway.ledger
from gateway.ledger.protocol import Ledger
from tests.databases import LEDGERS, drop
from tests.test_ledger.samples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=LEDGERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    made = LEDGERS[request.param](tmp_path)
    yield made
    drop(made)


@pytest.fixture
async def other(ledger: Ledger, url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """Another program at the same ledger."""
    opened = gateway.ledger.ledger(url, now_ms=clock)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def ledger(url: str, clock: Clock) -> AsyncIterator[Ledger]:
    opened = gateway.ledger.ledger(url, now_ms=clock)
    await opened.open()
    yield opened
    totals, replay = await opened.totals(), await opened.replayed()
    await opened.close()
    assert totals.wrong == ()
    assert replay.wrong == (), "its history tells another story"
    assert totals.sum == 0
