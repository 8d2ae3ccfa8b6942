"""A quarter of an hour of steady custom on the whole topology: memory, sockets and tasks of the gateways stay.

    python -m tests.topology.soak --minutes 15

Each gateway is looked at every ten seconds; of the second half the slope is told, by least squares.
"""

import argparse
import asyncio
import random
import time
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from tests.topology.chaos import PANEL, Customer, World, compared
from tests.topology.programs import Gateway
from tests.topology.topology import Topology

_LOOK_S: Final = 10.0
_SETTINGS: Final = {"PANELMUX_REMEMBERED": "2000"}  # full within minutes: what rises then is no memory that has a bound
_FAULTS: Final = "add:reset_after@0.002,add:maintenance@0.02,status:delay_after=0.2@0.05"


class Look(msgspec.Struct, frozen=True):
    """One gateway at a moment: seconds since the start, MB, open files, tasks."""

    at: float
    memory: float
    files: int
    tasks: float


def look(gateway: Gateway, began: float) -> Look:
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    files = sum(1 for _ in Path(f"/proc/{gateway.pid}/fd").iterdir())
    return Look(time.monotonic() - began, kilobytes / 1024, files, gateway.metrics()["panelmux_tasks"])


def slope(points: list[tuple[float, float]]) -> float:
    """By how much it rises in an hour."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def told(name: str, looks: list[Look]) -> list[str]:
    """One line for each thing: at first, in the middle, in the end, and the slope of the second half."""
    half = looks[len(looks) // 2 :]
    lines = []
    for what in ("memory", "files", "tasks"):
        first, middle, last = (getattr(one, what) for one in (looks[0], half[0], looks[-1]))
        rise = slope([(one.at, float(getattr(one, what))) for one in half])
        lines.append(f"{name} {what}: {first:.1f}, {middle:.1f}, {last:.1f}; {rise:+.1f} an hour in the second half")
    return lines


async def run(minutes: float, customers: int, pause_s: float) -> list[str]:
    """Run it; gives what is wrong with the orders in the end."""
    sandboxes = ["--seed", "1", "--faults", _FAULTS, "--tempo", "instant"]
    with Topology(ledger="postgresql", sandboxes=sandboxes, overrides=_SETTINGS) as topology:
        topology.rules.write_text(topology.rules.read_text().replace('low_balance: "25"', PANEL))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), connector=connector) as session:
            world = World(topology, session, pause_s)
            everyone = [Customer(world, number, random.Random(number)) for number in range(customers)]
            began = time.monotonic()
            shopping = [asyncio.create_task(customer.shop(began + minutes * 60)) for customer in everyone]
            looks: dict[str, list[Look]] = {gateway.name: [] for gateway in topology.gateways}
            while not all(task.done() for task in shopping):
                await asyncio.sleep(_LOOK_S)
                for gateway in topology.gateways:
                    looks[gateway.name].append(await asyncio.to_thread(look, gateway, began))
            await asyncio.gather(*shopping)
        for name, seen in looks.items():
            print(*told(name, seen), sep="\n", flush=True)
        took = sorted(world.took["add"])
        p50, p99 = took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000
        print(f"{len(took)} orders, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        print(f"without a good answer: {dict(world.errors) or 'none'}")
        return await compared(topology, everyone)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=15.0)
    words.add_argument("--customers", type=int, default=8)
    words.add_argument("--pause", type=float, default=0.5)
    given = words.parse_args()
    wrong = asyncio.run(run(given.minutes, given.customers, given.pause))
    print(*(f"wrong: {line}" for line in wrong), f"{len(wrong)} things are wrong", sep="\n")
