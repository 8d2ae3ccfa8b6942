"""What a second process that sells adds, on one PostgreSQL: in turn, several rounds; the median of the ratios counts.

    python -m tests.benchmarks.nodes
    python -m tests.benchmarks.nodes --share 0.25

All of it runs on this machine: the database, the panel, the customers, and one gateway or two. Where these have to
share too few cores, two gateways take from one another what they are to add: so it also tells what of the processors'
time each part took, and what an order cost in it with one gateway and with two. With `--share` each gateway is held to
that part of a core by the kernel (a control group; root), so that there is room for what the second one adds.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Final

from tests.benchmarks import __main__ as bench
from tests.benchmarks.processes import started, stopped
from tests.servers import PostgreSQL

_ROUNDS: Final = 5
_CONNECTIONS: Final = 32
_GROUPS: Final = Path("/sys/fs/cgroup/cpu")
_PERIOD_US: Final = 20_000
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def spent(pids: Sequence[int]) -> float:
    """Seconds of processors that these and their children have taken."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(stat.parent.name) in pids or int(fields[1]) in pids:
            total += (int(fields[11]) + int(fields[12])) * _TICK_S
    return total


async def sold(urls: Sequence[str], form: dict[str, object]) -> tuple[float, list[float]]:
    """Orders a second at all of them together, and each one's seconds, sorted."""
    each = _CONNECTIONS // len(urls)
    found = await asyncio.gather(*(bench.load(url, form, connections=each) for url in urls))
    return sum(rate for rate, _ in found), sorted(took for _, all_took in found for took in all_took)


@contextlib.contextmanager
def held(pids: Sequence[int], share: float) -> Iterator[None]:
    """Each of these has that share of one core, no more; 0 = as much as there is.

    Raises:
        OSError: there are no control groups here, or not for who runs this.
    """
    groups = []
    for pid in pids if share else ():
        group = _GROUPS / f"panelmux-{pid}"
        group.mkdir()
        groups.append(group)
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(int(_PERIOD_US * share)))
        (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        for group in groups:
            for line in (group / "cgroup.procs").read_text().split():
                (_GROUPS / "cgroup.procs").write_text(line)
            group.rmdir()


def main(share: float) -> None:
    with PostgreSQL(fsync=True) as server, tempfile.TemporaryDirectory() as folder, stopped() as processes:
        stub, (panel,) = started("tests.benchmarks.stub")
        processes.append(stub)
        urls, sellers = [], []
        for number in (1, 2):
            own = Path(folder) / str(number)
            own.mkdir()
            seller, (url, key, _) = started("tests.benchmarks.seller", str(own), server.url(), panel)
            processes.append(seller)
            urls.append(url)
            sellers.append(seller.pid)
        assert server.process is not None
        parts = {
            "gateways": sellers,
            "PostgreSQL": [server.process.pid],
            "panel": [stub.pid],
            "customers": [os.getpid()],
        }
        add: dict[str, object] = {
            "key": key,
            "action": "add",
            "service": 1,
            "link": "https://x.example/p",
            "quantity": 10,
        }
        rates: dict[int, list[float]] = {1: [], 2: []}
        p99s: dict[int, list[float]] = {1: [], 2: []}
        costs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        for _, count in product(range(_ROUNDS), (1, 2)):
            with held(sellers, share):
                before = {name: spent(pids) for name, pids in parts.items()}
                rate, took = asyncio.run(sold(urls[:count], add))
                rates[count].append(rate)
                p99s[count].append(took[len(took) * 99 // 100] * 1000)
                costs[count].append({name: (spent(pids) - before[name]) / len(took) for name, pids in parts.items()})
        ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))
        for count in (1, 2):
            rate, p99 = statistics.median(rates[count]), statistics.median(p99s[count])
            cost = {name: statistics.median(one[name] for one in costs[count]) * 1000 for name in parts}
            told = ", ".join(f"{name} {ms:.2f}" for name, ms in cost.items())
            print(
                f"{count} process{'es'[: 2 * count - 2]}  {rate:.0f}/s  p99 {p99:.0f} ms  ms of a core an order: {told}"
            )
        print(f"two sell {ratio:.2f} x what one does (goal 1.60 x); {os.cpu_count()} cores for all of it")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--share", type=float, default=0.0, help="of a core, for each gateway; 0 = what there is")
    main(words.parse_args().share)
