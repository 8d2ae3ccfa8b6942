"""A house with a catalogue in it, and what is logged there."""

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.test_catalog.fakes import House, Logs


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    for catalog in house.opened:
        await catalog.stop()
