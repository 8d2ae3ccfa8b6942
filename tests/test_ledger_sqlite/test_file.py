"""A ledger whose file is taken away from under it writes nothing more, and says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy

pytestmark = pytest.mark.anyio


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    other = path.with_name("backup.db")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def moved(path: Path, to: Path) -> None:
    path.rename(to)


@pytest.mark.parametrize("lose", [removed, replaced])
async def test_a_file_that_was_removed_or_replaced_takes_no_order(
    kept: Ledger, path: Path, lose: Callable[[Path], None]
) -> None:
    await kept.create_account("before")
    lose(path)
    with pytest.raises(LedgerBusy, match="removed or replaced"):
        await kept.create_account("after")


async def test_a_file_that_is_put_back_is_written_again(kept: Ledger, path: Path) -> None:
    aside = path.with_name("aside.db")
    moved(path, aside)
    with pytest.raises(LedgerBusy):
        await kept.create_account("shop")
    moved(aside, path)
    assert (await kept.create_account("shop")).name == "shop"
