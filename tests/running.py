"""A gateway that really listens, for tests that talk to it as its customers do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from gateway import server
from gateway.app import Gateway
from gateway.nodes import USUAL, Rhythm
from gateway.rules.model import Panel, Rules
from gateway.settings import Settings


class Selling:
    """A gateway at `url`, and a customer of it with `key`."""

    def __init__(self, gateway: Gateway, url: str, key: str, session: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.url = url
        self.key = key
        self.session = session

    async def call(self, action: str, **fields: object) -> Any:
        """POST a form, as most clients do; gives the JSON of the answer."""
        form = {"key": self.key, "action": action, **{name: str(value) for name, value in fields.items()}}
        async with self.session.post(self.url, data=form) as answer:
            body = await answer.read()
            assert answer.status == 200, (answer.status, body)
            assert answer.headers["content-type"] == "application/json"
            return msgspec.json.decode(body)


def panel(url: str, *, key: str = "panel-key", currency: str = "USD", **other: Any) -> Panel:
    """A panel on loopback as the rules would have it."""
    return Panel(url=url, key=key, currency=currency, private=True, **other)


def settings(folder: Path, ledger: str = "", **other: Any) -> Settings:
    """With a ledger in the folder, or at a URL; what else is kept is kept there in any case."""
    own = {"ledger": ledger or f"sqlite:///{folder}/panelmux.db", "state": str(folder), "pepper": "pepper of a test"}
    quick = {"sync_wait_s": 5.0, "catalogue_s": 300.0, "balance_s": 300.0, "status_s": 0.05, "drain_s": 10.0}
    return Settings(port=0, **{**own, **quick, **other})


@contextlib.asynccontextmanager
async def selling(
    rules: Rules,
    folder: Path,
    *,
    balance: Decimal | None = Decimal(1_000_000),
    overrides: Mapping[str, Any] = {},
    rhythm: Rhythm = USUAL,
) -> AsyncIterator[Selling]:
    """Open a gateway with one account; `balance` None = without limit."""
    async with Gateway(settings(folder, **overrides), rules, rhythm=rhythm) as gateway:
        account = await gateway.ledger.account("shop")
        if account is None:
            account = await gateway.ledger.create_account("shop", unlimited=balance is None)
            if balance:
                await gateway.ledger.topup(account.id, balance, "test")
        key, _ = await gateway.accounts.create_key(account.id)
        listening = server.listen("127.0.0.1", 0)
        running = server.Server(gateway)
        task = asyncio.create_task(running.serve(sockets=[listening]))
        async with aiohttp.ClientSession() as session:
            try:
                yield Selling(gateway, server.url(listening) + "/api/v2", key, session)
            finally:
                running.should_exit = True
                await task


async def until(what: Any, *, for_s: float = 20.0) -> Any:
    """Ask `what()` again until it gives something true; fails, with its last answer, when it never does."""
    end = asyncio.get_running_loop().time() + for_s
    while not (answer := await what()):
        assert asyncio.get_running_loop().time() < end, f"never came: {what} gave {answer!r}"
        await asyncio.sleep(0.02)
    return answer
