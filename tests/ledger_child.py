"""A process of its own at a ledger, for tests that kill it or race it.

python -m tests.ledger_child place URL     place orders for ever, printing each id once it was given
python -m tests.ledger_child open URL      wait for a line of input, open the ledger, add 1 to the account "shop", close
"""

import asyncio
import sys
from contextlib import suppress
from decimal import Decimal

from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, AccountExists
from tests.test_ledger.samples import placement


async def _place(opened: Ledger, account: Account) -> None:
    while True:
        placed = await opened.place(placement(account))
        print(placed.order, flush=True)


async def main(what: str, url: str) -> None:
    opened = ledger(url)
    if what == "open":
        sys.stdin.readline()
    await opened.open()
    with suppress(AccountExists):
        await opened.create_account("shop")
    account = await opened.account("shop")
    if account is None:
        raise AssertionError("shop")
    if what == "place":
        await asyncio.gather(*(_place(opened, account) for _ in range(8)))
    await opened.topup(account.id, Decimal(1), "from a process of its own")
    await opened.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
