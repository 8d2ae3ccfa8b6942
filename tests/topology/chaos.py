"""Minutes of mixed load on the whole topology while its parts are killed, paused, emptied and changed, one by one.

    python -m tests.topology.chaos --minutes 5

Two gateways on one PostgreSQL and one Valkey behind nginx, sandboxes that lose answers, refuse and dawdle. Customers
buy links that nobody else buys, ask how their orders stand, and ask again, with the same words, where they heard
nothing. In the end the sandboxes' journals, what customers were told, and the ledger have to tell the same.
"""

import argparse
import asyncio
import collections
import contextlib
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec

from tests.topology.programs import Gateway
from tests.topology.topology import Topology

_FAULTS: Final = (
    "add:reset_after@0.01,add:maintenance@0.03,add:delay=0.3@0.1,status:delay=0.2@0.05,status:error_after@0.005"
)
PANEL: Final = "settle_s: 20, open_unknowns: 500, evidence_ids: trusted, evidence_balance: trusted"
_ANSWER_S: Final = 20.0
_QUIET_S: Final = 150.0  # how long unknown outcomes may take to be settled, after the load


class Customer:
    """Buys and asks, one call after the other, and keeps what it was told."""

    def __init__(self, world: "World", number: int, draw: random.Random) -> None:
        self._world = world
        self._number = number
        self._draw = draw
        self._bought = 0
        self.orders: dict[str, int] = {}  # by link

    async def shop(self, until: float) -> None:
        while time.monotonic() < until:
            luck = self._draw.random()
            if luck < 0.6 or not self.orders:
                await self._buy()
            elif luck < 0.9:
                known = self._draw.choice(list(self.orders.values()))
                await self._world.call("status", order=known)
            elif luck < 0.97:
                some = self._draw.sample(list(self.orders.values()), min(20, len(self.orders)))
                await self._world.call("status", orders=",".join(map(str, some)))
            else:
                await self._world.call("balance")
            await asyncio.sleep(self._draw.uniform(0, self._world.pause_s))

    async def _buy(self) -> None:
        """One order, asked for again with the same words until something is heard."""
        self._bought += 1
        link, quantity = f"https://link.example/{self._number}-{self._bought}", self._draw.randrange(100, 10_000)
        for _ in range(8):
            answer = await self._world.call("add", service=1, link=link, quantity=quantity)
            if answer is None:
                await asyncio.sleep(self._draw.uniform(0.2, 1.0))
                continue
            if "order" in answer:
                self.orders[link] = answer["order"]
            return


class World:
    """What all customers share: the way to the endpoint, and the counts."""

    def __init__(self, topology: Topology, session: aiohttp.ClientSession, pause_s: float) -> None:
        self._topology = topology
        self._session = session
        self.pause_s = pause_s
        self.took: dict[str, list[float]] = collections.defaultdict(list)
        self.errors: collections.Counter[str] = collections.Counter()
        self.phase = "calm"

    async def call(self, action: str, **fields: object) -> dict[str, Any] | None:
        """The answer; None where none was heard."""
        form = {"key": self._topology.key, "action": action, **{name: str(value) for name, value in fields.items()}}
        began = time.monotonic()
        try:
            async with self._session.post(self._topology.url, data=form, ssl=self._topology.tls) as response:
                body = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            self.errors[f"{self.phase}: {action}: no answer: {type(error).__name__}"] += 1
            return None
        self.took[action].append(time.monotonic() - began)
        if status != 200:
            self.errors[f"{self.phase}: {action}: HTTP {status}"] += 1
            return None
        answer: dict[str, Any] = msgspec.json.decode(body)
        if "error" in answer:
            self.errors[f"{self.phase}: {action}: {answer['error']}"] += 1
            return None if action == "add" else answer
        return answer


class Trouble:
    """What happens to the topology, in turn. Each method comes back once the part is there again."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def _leader(self) -> Gateway:
        return next((one for one in self._topology.gateways if one.runs and one.leads()), self._topology.gateways[0])

    async def a_node_is_killed(self) -> None:
        node = self._topology.gateways[1]
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(6)
        await asyncio.to_thread(node.start)

    async def the_leader_is_paused(self) -> None:
        node = await asyncio.to_thread(self._leader)
        node.pause()
        await asyncio.sleep(9)
        node.resume()

    async def valkey_is_killed(self) -> None:
        await asyncio.to_thread(self._topology.valkey.kill)
        await asyncio.sleep(5)
        await asyncio.to_thread(self._topology.valkey.start)

    async def valkey_is_flushed(self) -> None:
        await asyncio.to_thread(self._topology.valkey.flush)

    async def postgresql_is_restarted(self) -> None:
        await asyncio.to_thread(self._topology.postgresql.stop)
        await asyncio.sleep(1)
        await asyncio.to_thread(self._topology.postgresql.start)

    async def postgresql_is_killed(self) -> None:
        await asyncio.to_thread(self._topology.postgresql.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(self._topology.postgresql.start)

    async def the_rules_are_reloaded(self) -> None:
        rules = self._topology.rules
        text = rules.read_text()
        rules.write_text(text.replace("margin: 20%", "margin: 25%"))
        await asyncio.sleep(3)
        rules.write_text(text)

    async def a_panel_is_drained(self) -> None:
        await asyncio.to_thread(self._topology.cli, "panel", "drain", "one", "--reason", "chaos")
        await asyncio.sleep(6)
        await asyncio.to_thread(self._topology.cli, "panel", "resume", "one")

    async def a_node_is_stopped(self) -> None:
        node = self._topology.gateways[0]
        await asyncio.to_thread(node.stop)
        await asyncio.sleep(1)
        await asyncio.to_thread(node.start)

    def all(self) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        parts = (
            self.a_node_is_killed,
            self.the_leader_is_paused,
            self.valkey_is_killed,
            self.valkey_is_flushed,
            self.postgresql_is_restarted,
            self.the_rules_are_reloaded,
            self.a_panel_is_drained,
            self.postgresql_is_killed,
            self.a_node_is_stopped,
        )
        return [(part.__name__.replace("_", " "), part) for part in parts]


async def compared(topology: Topology, customers: Sequence[Customer]) -> list[str]:
    """What is wrong, in words: bought twice, lost, or not as the ledger says."""
    wrong = []
    sold: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)  # by link: panel and remote id
    for sandbox in topology.sandboxes:
        for line in sandbox.journal.read_text().splitlines():
            entry = msgspec.json.decode(line)
            if "fields" in entry and "link" in entry["fields"]:
                sold[entry["fields"]["link"]].append((sandbox.name, str(entry["remote_id"])))
    wrong += [f"{link}: bought {len(there)} times: {there}" for link, there in sold.items() if len(there) > 1]
    connection = await asyncpg.connect(topology.postgresql.url)
    try:
        orders = {
            id: (link, status) for id, link, status in await connection.fetch("SELECT id, link, status FROM orders")
        }
        links = collections.Counter(link for link, _ in orders.values())
        attempts = await connection.fetch(
            "SELECT o.link, a.panel, a.remote_id, a.state FROM attempt AS a JOIN orders AS o ON o.id = a.order_id"
        )
    finally:
        await connection.close()
    wrong += [f"{link}: bought, and the ledger does not know it" for link in sold if link not in links]
    bound = {(f"sandbox-{panel}", remote_id): link for link, panel, remote_id, _ in attempts if remote_id is not None}
    for (panel, remote_id), link in bound.items():
        if (panel, remote_id) not in sold[link]:
            wrong.append(f"{link}: {panel} has no order {remote_id} for it")
    open_links = {link for link, _, _, state in attempts if state in {"unknown", "untracked", "sending"}}
    for link, there in sold.items():
        if link in links and link not in open_links and not any(one in bound for one in there):
            wrong.append(f"{link}: bought as {there}, and the ledger says it was not")
    for customer in customers:
        for link, order in customer.orders.items():
            if order not in orders or orders[order][0] != link:
                wrong.append(f"{link}: the customer holds order {order}, the ledger has {orders.get(order)}")
    twice = [link for link, count in links.items() if count > 1 and len(sold.get(link, ())) > 1]
    wrong += [f"{link}: two orders that were both bought" for link in twice]
    return wrong


async def open_attempts(topology: Topology) -> Mapping[str, int]:
    connection = await asyncpg.connect(topology.postgresql.url)
    try:
        rows = await connection.fetch(
            "SELECT state, COUNT(*) FROM attempt WHERE state IN ('sending', 'unknown', 'untracked') GROUP BY state"
        )
    finally:
        await connection.close()
    return {state: count for state, count in rows}  # noqa: C416 - records are no pairs


async def run(*, minutes: float, customers: int, pause_s: float, told: Callable[[str], None]) -> list[str]:
    """Run it; gives what is wrong in the end."""
    sandboxes = ["--seed", "1", "--faults", _FAULTS, "--tempo", "instant"]
    with Topology(ledger="postgresql", overrides={"PANELMUX_ANCHOR_S": "10"}, sandboxes=sandboxes) as topology:
        rules = topology.rules.read_text().replace('low_balance: "25"', PANEL)
        topology.rules.write_text(rules)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            world = World(topology, session, pause_s)
            everyone = [Customer(world, number, random.Random(number)) for number in range(customers)]
            until = time.monotonic() + minutes * 60
            shopping = [asyncio.create_task(customer.shop(until)) for customer in everyone]
            await _in_turn(topology, world, until, told)
            await asyncio.gather(*shopping)
        return await _judged(topology, world, everyone, told)


async def _in_turn(topology: Topology, world: World, until: float, told: Callable[[str], None]) -> None:
    parts = Trouble(topology).all()
    each_s = (until - time.monotonic()) / (len(parts) + 1)
    for name, part in parts:
        world.phase = "calm"
        await asyncio.sleep(each_s * 0.3)
        world.phase = name
        began, before = time.monotonic(), sum(world.errors.values())
        await part()
        await asyncio.sleep(max(each_s * 0.7 - (time.monotonic() - began), 0))
        bad = sum(world.errors.values()) - before
        told(f"{name}: {time.monotonic() - began:.0f} s, {bad} calls without a good answer")
    world.phase = "calm"


async def _judged(
    topology: Topology, world: World, customers: Sequence[Customer], told: Callable[[str], None]
) -> list[str]:
    end = time.monotonic() + _QUIET_S
    there = await open_attempts(topology)
    while there and time.monotonic() < end:
        await asyncio.sleep(2)
        there = await open_attempts(topology)
    told(f"open in the end: {dict(there) or 'nothing'}")
    for action, took in sorted(world.took.items()):
        took.sort()
        p50, p99 = statistics.median(took) * 1000, took[len(took) * 99 // 100] * 1000
        told(f"{action}: {len(took)} answers, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    for error, count in world.errors.most_common():
        told(f"{count:5} x {error}")
    wrong = await compared(topology, customers)
    checked = await asyncio.to_thread(topology.cli, "ledger", "check")
    told(f"ledger: {checked['orders']} orders, {checked['attempts']}, sum {checked['sum']}")
    wrong += checked["wrong"]
    if checked["sum"] != "0.00":
        wrong.append(f"entries sum to {checked['sum']}")
    why = collections.Counter(one["why"] for one in await asyncio.to_thread(topology.cli, "order", "list", "--unknown"))
    for reason, count in why.most_common(5):
        told(f"{count} unknown: {reason}")
    for gateway in topology.gateways:
        with contextlib.suppress(OSError):
            lines = gateway.log.read_text(errors="replace").splitlines()
            bad = [line for line in lines if '"broken"' in line or "Traceback" in line]
            for line in [line for line in lines if '"error"' in line or '"turned_away"' in line][:12]:
                told(line[:300])
            told(f"{gateway.name}: {len(lines)} lines of log, {len(bad)} of something unforeseen")
            for line in bad[:5]:
                told(line[:300])
    return wrong


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=5.0)
    words.add_argument("--customers", type=int, default=12)
    words.add_argument("--pause", type=float, default=0.2, help="seconds between two calls of a customer, at most")
    given = words.parse_args()
    wrong = asyncio.run(
        run(
            minutes=given.minutes,
            customers=given.customers,
            pause_s=given.pause,
            told=lambda line: print(line, flush=True),
        )
    )
    for line in wrong[:50]:
        print("wrong:", line)
    print(f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
