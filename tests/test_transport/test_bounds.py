"""How much a panel may say and how long it may take."""

import tracemalloc
import zlib

import pytest

from providers.base import Action
from providers.errors import Unanswered
from providers.transport import Limits
from tests.raw_panel import RawPanel, answer
from tests.test_transport.calling import failure, transport

pytestmark = pytest.mark.anyio


async def test_a_bomb_is_cut_at_the_cap_and_takes_no_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * 1_000_000) for _ in range(300)) + packer.flush()
    async with RawPanel(answer(bomb, headers="Content-Encoding: gzip\r\n")) as panel:
        tracemalloc.start()
        try:
            fault = await failure(panel.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert type(fault) is Unanswered
    assert "an answer of more than 65536 bytes" in str(fault)
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("action", "cap"),
    [("add", 64), ("balance", 64), ("refill", 64), ("cancel", 64), ("status", 1024), ("services", 32 * 1024)],
)
async def test_an_answer_may_be_as_long_as_its_action_needs(action: Action, cap: int) -> None:
    assert Limits().size(action) == cap * 1024
    small = Limits(small=64, many=64, catalogue=64)
    async with RawPanel(answer(b"x" * 64), answer(b"x" * 65)) as panel:
        async with transport(panel.url, limits=small) as line:
            assert len((await line.send(action, {})).body) == 64
        assert type(await failure(panel.url, action, limits=small)) is Unanswered


def test_an_add_has_longer_to_answer_than_a_read() -> None:
    limits = Limits()
    assert [limits.answer_s(action) for action in ("add", "services", "status", "cancel")] == [120, 120, 20, 20]
    assert [limits.silence_s(action) for action in ("add", "services", "status")] == [120, 20, 20]
