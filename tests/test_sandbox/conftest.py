"""A panel in good order, and its buyer."""

from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest

from providers.sandbox import Sandbox
from tests.test_sandbox.shop import KEY, ROWS, TEMPO, Buyer, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def panel(clock: Clock) -> Sandbox:
    return Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=TEMPO, balance=Decimal(100))


@pytest.fixture
async def buyer(panel: Sandbox) -> AsyncIterator[Buyer]:
    async with panel.serve() as url, aiohttp.ClientSession() as session:
        yield Buyer(session, url)
