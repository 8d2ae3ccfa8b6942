"""Real `panelmux serve` processes on one ledger in PostgreSQL, two panels, customers who ask until they are told."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg

from gateway.accounts import Accounts, pepper
from gateway.ledger import ledger
from gateway.ledger.records import AttemptState
from gateway.settings import Settings
from providers.sandbox import Sandbox
from tests.running import until

COMMAND: Final = str(Path(sys.executable).with_name("panelmux"))
PATIENCE_S: Final = 40.0
ROW: Final = {"service": 1, "name": "Likes", "type": "Default", "category": "C", "rate": "1.00", "min": 1, "max": 1000}
RULES: Final = """\
panels:
  p0: {{url: "{}", key: "${{PANEL_KEY}}", private: true, open_unknowns: 1000}}
  p1: {{url: "{}", key: "${{PANEL_KEY}}", private: true, open_unknowns: 1000}}
policy: priority
services:
  1: {{routes: [p0/1, p1/1]}}
"""


class Node:
    """One process that was started with `panelmux serve`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def children(self) -> list[int]:
        """Processes that it started."""
        return [pid for pid, parent in _parents() if parent == self.process.pid]


class House:
    """All of it. `told`: the order that the customer of each link was answered."""

    def __init__(self, folder: Path, ledger_url: str, boxes: list[Sandbox]) -> None:
        self.boxes = boxes
        self.told: dict[str, int] = {}
        self.nodes: list[Node] = []
        self.asking = True
        self._folder = folder
        self._ledger = ledger_url
        self._links = (f"https://x.example/{number}" for number in itertools.count())
        self._settings = Settings(ledger=ledger_url, pepper="pepper of a test")
        self._key = ""

    async def account(self, name: str) -> None:
        opened = ledger(self._ledger)
        await opened.open()
        made = await opened.create_account(name, unlimited=True)
        accounts = Accounts(opened, pepper(self._settings))
        await accounts.bind()
        self._key, _ = await accounts.create_key(made.id)
        await opened.close()

    async def serve(self, name: str, **more: str) -> Node:
        """A process of that name, once it may take orders."""
        own = {
            "RULES": str(self._folder / "rules.yaml"),
            "LEDGER": self._ledger,
            "PEPPER": "pepper of a test",
            "STATE": str(self._folder),
            "NODE": name,
            "STATUS_S": "0.2",
            **more,
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(COMMAND, "serve", "--port", "0", "--json"),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=os.environ
                | {"PANEL_KEY": "panel-key", "TMPDIR": str(self._folder)}
                | {f"PANELMUX_{word}": value for word, value in own.items()},
            )
        assert process.stdout is not None
        node = Node(process, json.loads(await process.stdout.readline())["url"])
        self.nodes.append(node)
        await until(lambda: self.is_ready(node), for_s=PATIENCE_S)
        return node

    async def is_ready(self, node: Node) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"{node.url}/readyz") as answer:
                return answer.status == 200
        return False

    async def customer(self, nodes: list[Node]) -> None:
        """Orders, one after the other, each asked for at one node after the other until somebody answers."""
        ways = itertools.cycle(nodes)
        timeout = aiohttp.ClientTimeout(total=3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while self.asking:
                link = next(self._links)
                await until(lambda link=link: self.asked(session, next(ways), link), for_s=PATIENCE_S)

    async def asked(self, session: aiohttp.ClientSession, node: Node, link: str) -> bool:
        """Whether an order was answered, which is what is remembered of that link."""
        form = {"key": self._key, "action": "add", "service": "1", "link": link, "quantity": "10"}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(f"{node.url}/api/v2", data=form) as answer:
                told = await answer.json()
                if "order" in told:
                    self.told[link] = told["order"]
                return "order" in told
        return False

    async def sold(self, more: int) -> None:
        """Until so many more orders were answered."""
        enough = len(self.told) + more

        async def is_enough() -> bool:
            return len(self.told) >= enough

        await until(is_enough, for_s=PATIENCE_S)

    async def known(self) -> list[tuple[str, bool, bool]]:
        """Each node that ever was, oldest first: its name, whether it lives, whether it stopped in good order."""
        raw = await asyncpg.connect(self._ledger)
        try:
            rows = await raw.fetch("SELECT name, ended_ms IS NULL, clean = 1 FROM node ORDER BY epoch")
            return [(name, lives, clean) for name, lives, clean in rows]
        finally:
            await raw.close()

    async def stop(self, *nodes: Node) -> None:
        """In good order."""
        for node in nodes:
            node.send(signal.SIGTERM)
        assert [await node.process.wait() for node in nodes] == [0] * len(nodes)

    async def check(self) -> Counter[AttemptState]:
        """Hold what the panels did against what the ledger says; gives how many attempts are in which state."""
        bought = [(box.name, entry) for box in self.boxes for entry in box.journal if entry.action == "add"]
        opened = ledger(self._ledger)  # read after the panels: what they were sent was written before
        await opened.open()
        try:
            cost = [order for order in await opened.list_orders(limit=10**6) if order.charge]
            orders = {order.link: order for order in cost}
            totals, replay = await opened.totals(), await opened.replayed()
            attempts = {link: await opened.attempts(order.id) for link, order in orders.items()}
            free = {
                order.link: await opened.events(order.id)
                for order in await opened.list_orders(limit=10**6)
                if not order.charge
            }
        finally:
            await opened.close()
        assert (totals.wrong, replay.wrong) == ((), ())
        assert totals.sum == 0
        assert len(cost) == len(orders), "a customer pays for two orders"
        assert {link: orders[link].id for link in self.told} == self.told, "an order was forgotten"
        links = Counter(entry.fields["link"] for _, entry in bought)
        assert [link for link, times in links.items() if times > 1] == [], "bought twice"
        lost = [(panel, entry) for panel, entry in bought if entry.fields["link"] not in attempts]
        assert lost == [], [(link, free.get(link)) for link in {entry.fields["link"] for _, entry in lost}]
        for panel, entry in bought:
            [there] = [one for one in attempts[entry.fields["link"]] if one.panel == panel]
            assert there.state in {AttemptState.ACCEPTED, AttemptState.UNKNOWN}, there
            assert there.remote_id in {None, str(entry.remote_id)}
        states = Counter(one.state for tries in attempts.values() for one in tries)
        assert states[AttemptState.ACCEPTED] <= len(bought)
        assert states[AttemptState.SENDING] == 0
        return states

    def end(self) -> None:
        for node in self.nodes:
            for pid in (*node.children, node.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def house(folder: Path, ledger_url: str, *, faults: str = "", account: str = "shop") -> AsyncIterator[House]:
    """Open, with an account of that name and no process yet. What was started is gone at the end."""
    boxes = [Sandbox(name, key="panel-key", catalogue=[ROW], faults=faults, balance=10**6) for name in ("p0", "p1")]  # type: ignore[arg-type]
    async with boxes[0].serve() as first, boxes[1].serve() as second:
        (folder / "rules.yaml").write_text(RULES.format(first, second))
        made = House(folder, ledger_url, boxes)
        await made.account(account)
        try:
            yield made
        finally:
            made.asking = False
            made.end()
            for node in made.nodes:
                await node.process.communicate()


@contextlib.asynccontextmanager
async def busy(made: House, nodes: list[Node], customers: int = 12) -> AsyncIterator[None]:
    """Customers order all the while, at any of the nodes."""
    ways = [nodes[number % len(nodes) :] + nodes[: number % len(nodes)] for number in range(customers)]
    asking = [asyncio.create_task(made.customer(way)) for way in ways]
    await made.sold(2 * customers)
    yield
    made.asking = False
    await asyncio.wait_for(asyncio.gather(*asking), PATIENCE_S)


def _parents() -> Iterator[tuple[int, int]]:
    """Every process there is, with the one that started it."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])


def is_there(pid: int) -> bool:
    """Whether a process runs, and is not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
