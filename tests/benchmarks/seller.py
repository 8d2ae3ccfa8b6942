"""A gateway to be measured: service 1 is bought at one panel, service 2 at another.

Run as a program with a folder, the ledger's URL (empty: a file in the folder) and the panels' URLs; prints its URL, a
key and an order id.
"""

import asyncio
import logging
import sys
from decimal import Decimal
from pathlib import Path

from gateway import logs, server
from gateway.app import Gateway
from gateway.rules.model import Route, Rules, Service
from providers.service_types import Default
from tests.running import panel, settings, until


async def main(folder: str, ledger: str, *urls: str) -> None:
    logs.configure("console", [], level=logging.CRITICAL)
    panels = {f"stub{number}": panel(url, in_flight=256) for number, url in enumerate(urls, 1)}
    routes = {number: (Route(panel=name, service="1"),) for number, name in enumerate(panels, 1)}
    rules = Rules(panels=panels, services={number: Service(routes=route) for number, route in routes.items()})
    own = {"ledger": ledger, "pepper": "p" * 32, "state": folder, "node": folder} if ledger else {}
    async with Gateway(settings(Path(folder), status_s=3600.0, **own), rules) as gateway:
        account = await gateway.ledger.account("shop")
        if account is None:
            account = await gateway.ledger.create_account("shop")
            await gateway.ledger.topup(account.id, Decimal(10**6), "benchmark")
        key, _ = await gateway.accounts.create_key(account.id, repeats="allow")

        async def listed() -> object:
            return gateway.catalog.service(1)

        service = await until(listed)
        order = await gateway.orders.add(account, service, Default(link="https://x.example/p", quantity=10))

        def started(base: str) -> None:
            print(base + "/api/v2", key, order, flush=True)

        await server.serve(gateway, server.listen("127.0.0.1", 0), started=started)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
