"""python -m tests.simulator: many worlds, and what they came to.

--seeds N        so many worlds (default 200); --first the seed of the first
--orders N       orders in each (default 200)
--processes N    side by side (default 2)
--ledger KIND    sqlite (default), or postgres: a server of each process, some thirty times as slow
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from tests import databases
from tests.simulator.database import Server
from tests.simulator.oracle import Findings
from tests.simulator.scenario import scenario
from tests.simulator.world import World, silenced


def simulated(seed: int, orders: int, ledger: str) -> Findings:
    """One world, from its seed to its findings."""
    if ledger == "sqlite":
        with silenced():
            return World(scenario(seed, orders)).run()
    url = databases.postgres(Path())
    try:
        with silenced():
            return World(scenario(seed, orders), Server(url)).run()
    finally:
        databases.drop(url)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--ledger", choices=tuple(databases.LEDGERS), default="sqlite")
    asked = parser.parse_args()
    began, told, total = time.monotonic(), time.monotonic(), Findings()
    seeds = range(asked.first, asked.first + asked.seeds)
    with ProcessPoolExecutor(asked.processes) as pool:
        for number, findings in enumerate(
            pool.map(simulated, seeds, repeat(asked.orders), repeat(asked.ledger), chunksize=4), 1
        ):
            total.add(findings)
            for wrong in findings.wrong:
                print(wrong, flush=True)
            if time.monotonic() - told > 10 or number == asked.seeds:
                told = time.monotonic()
                print(f"{number} of {asked.seeds} worlds, {total.orders} orders, {len(total.wrong)} wrong", flush=True)
    print(report(total, time.monotonic() - began))
    return 1 if total.wrong else 0


def report(total: Findings, took_s: float) -> str:
    def share(part: int, whole: int) -> str:
        return f"{part} of {whole} ({100 * part / whole:.2f} %)" if whole else "none"

    lines = [
        f"orders             {total.orders} in {took_s:.0f} s; {total.crashes} crashes",
        f"faults             {share(total.faults, total.adds)} of adds",
        f"wrong              {len(total.wrong)}",
        f"unknown settled    {share(total.settled, total.unknown)} without a person; {total.listed} on the short list",
        *(f"  evidence {kind:16}{share(*pair)}" for kind, pair in sorted(total.by_evidence.items())),
        f"verdicts           {dict(total.verdicts)}",
        f"rests elsewhere    {total.passed_on}; orders that waited {total.waited}, bought in parts {total.parts}",
        f"alike, the other way round: {total.swapped}; taken, canceled, given back unseen: {total.void}",
        *(f"  left unknown     {count:6} {why}" for why, count in total.reasons.most_common(60)),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
