"""A database that became older under a node, and a shop without money among others: each is seen for what it is."""

import asyncio
from typing import Any

import pytest

from gateway.ledger.postgres import groups
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import NotEnough, Placed, Rewound
from tests.test_ledger.samples import funded, placement

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("older", ["UPDATE node SET beat = 1", "DELETE FROM node"])
async def test_a_node_sees_that_its_ledger_is_older_than_it_was(kept: Ledger, raw: Any, older: str) -> None:
    await kept.join("here")
    for _ in range(3):
        await kept.beat("r1")
    await raw.execute(older)
    with pytest.raises(Rewound, match="panelmux ledger reopen"):
        await kept.beat("r1")


async def test_a_shop_without_money_is_left_out_of_the_group_and_no_other_is(
    kept: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich, poor = await funded(kept, "1000", "rich"), await funded(kept, "0.3", "poor")
    together: list[list[bool]] = []
    write = groups.write

    async def seen(connection: Any, works: Any) -> Any:
        outcomes = await write(connection, works)
        together.append([isinstance(failure, groups.OneByOne) for _, failure in outcomes])
        return outcomes

    monkeypatch.setattr(groups, "write", seen)
    accounts = [rich, poor, rich, rich, poor, rich]
    calls = (kept.place(placement(account, link=str(number))) for number, account in enumerate(accounts))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Placed, NotEnough, Placed, Placed, NotEnough, Placed]
    assert [False, True, False, False, True, False] in together
