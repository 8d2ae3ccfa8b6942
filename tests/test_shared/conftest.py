"""A real server for all tests of a file, emptied before each, and what is logged."""

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from gateway.shared import InProcess, Shared
from tests.servers import Valkey
from tests.test_shared.nodes import Clock, Logs, opened


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    assert server.ask("FLUSHALL") == b"+OK\r\n"
    return server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture(params=["in_process", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Shared]:
    if request.param == "in_process":
        twin = InProcess()
        await twin.open()
        yield twin
        await twin.close()
    else:
        async with opened(request.getfixturevalue("valkey").url) as real:
            yield real
