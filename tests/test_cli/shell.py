"""A folder and an environment to run commands in, and two panels for them to ask."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner, Result

from gateway.__main__ import panelmux
from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, NewPlacement, Next, Unknown
from providers.sandbox import Catalogue, Sandbox

T = TypeVar("T")
COMMAND = [str(Path(sys.executable).with_name("panelmux"))]

ROWS: list[dict[str, object]] = [
    {
        "service": id,
        "name": name,
        "type": type,
        "category": category,
        "rate": rate,
        "min": least,
        "max": 10_000,
        "refill": False,
        "cancel": True,
        "dripfeed": True,
    }
    for id, name, type, category, rate, least in (
        (101, "Instagram Followers", "Default", "Instagram", "1.00", 100),
        (102, "Instagram Likes \x1b[31m[red]\x9b", "Default", "Instagram", "0.20", 10),
        (103, "Telegram Members", "Default", "Telegram", "0.80", 10),
        (104, "YouTube Comments", "Custom Comments", "YouTube", "9.00", 1),
        (105, "▬▬▬▬▬", "Default", "none", "0.00", 1),
        (106, "Poster", "Package", "Other", "2.50", 1),
    )
]

RULES = """\
exchange: {{EUR: "2"}}
margin: 50%
panels:
  alpha: {{url: "{alpha}", key: "${{ALPHA_KEY}}", private: true, low_balance: "5"}}
  beta: {{url: "{beta}", key: "${{BETA_KEY}}", currency: EUR, private: true}}
services:
  1: {{name: Followers, routes: [alpha/101, beta/101]}}
  2: {{routes: [beta/104]}}
  3: {{routes: [alpha/999, alpha/103]}}
  4: {{routes: [alpha/888]}}
publish:
  - {{panel: alpha, ids: same}}
"""


class Site:
    """Two panels on a loop of their own, since commands run loops themselves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.alpha = Sandbox("alpha", key="alpha-key", catalogue=Catalogue.of(ROWS), balance=Decimal("12.5"))
        self.beta = Sandbox("beta", key="beta-key", catalogue=Catalogue.of(ROWS), currency="EUR")
        self.urls: dict[str, str] = {}

    async def live(self, opened: threading.Event, closing: asyncio.Event) -> None:
        async with self.alpha.serve() as alpha, self.beta.serve() as beta:
            self.urls = {"alpha": alpha, "beta": beta}
            opened.set()
            await closing.wait()

    def do(self, act: Callable[[], T]) -> T:
        """Do something to a panel, on its own loop."""

        async def done() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(10)


class Shell:
    """A folder and an environment in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = folder / "routing_rules.yaml"
        self.ledger = f"sqlite:///{folder}/panelmux.db"
        self.environ = {"PANELMUX_RULES": str(self.rules), "PANELMUX_LEDGER": self.ledger}

    def run(self, *args: str, **environ: str) -> Result:
        return CliRunner().invoke(panelmux, args, env={**self.environ, **environ})

    def json(self, *args: str, code: int = 0) -> Any:
        """The document that the command writes on stdout."""
        result = self.run(*args, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """The real command, in a process of its own."""
        return subprocess.Popen(
            [*COMMAND, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.environ},
        )

    def keep(self, work: Callable[[Ledger], Any]) -> Any:
        """Do something with the ledger itself."""

        async def kept() -> Any:
            opened = ledger(self.ledger)
            await opened.open()
            try:
                return await work(opened)
            finally:
                await opened.close()

        return asyncio.run(kept())


async def placed(
    opened: Ledger,
    *,
    panel: str = "alpha",
    link: str = "https://x.example/p",
    unknown: bool = True,
    runs: int | None = None,
) -> int:
    """An order of the account "shop" with one attempt, unknown or accepted."""
    account = await opened.account("shop")
    if account is None:
        account = await opened.create_account("shop")
        await opened.topup(account.id, Decimal(100), "test")
    new = NewPlacement(
        account=account.id,
        service=1,
        type="Default",
        link=link,
        fields=json.dumps({"link": link, "quantity": 1000} | ({"runs": runs} if runs else {})),
        quantity=1000,
        units=1000 * (runs or 1),
        charge=Decimal("1.5"),
        refill=False,
        cancel=False,
        decision='{"policy":"cheapest","choices":[{"panel":"alpha","remote_service":"101","cost":"1","score":0.5}],'
        '"left_out":[{"panel":"beta","remote_service":"101","why":"circuit open"}]}',
        first=Next(panel=panel, remote_service="101", cost=Decimal(1), remote_cost=Decimal(1)),
    )
    made = await opened.place(new)
    assert made.attempt is not None
    assert made.attempt is not None
    outcome = Unknown(evidence='{"phase":"sent","http":502}') if unknown else Accepted(remote_id=f"7{made.attempt}")
    await opened.settle(made.attempt, outcome)
    return made.order
