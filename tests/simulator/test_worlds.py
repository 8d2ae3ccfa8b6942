"""Two thousand worlds in every run of the tests, a few on PostgreSQL; `make simulate` runs any number, longer ones."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.simulator.database import Server
from tests.simulator.oracle import Findings
from tests.simulator.scenario import scenario
from tests.simulator.world import World, silenced

pytestmark = pytest.mark.timeout(600)

WORLDS = 2_000
TOGETHER = 100
ON_POSTGRES = 8
ORDERS = 12
REST_S = 3_600.0
TROUBLE = 2.0


@pytest.fixture(autouse=True)
def _unmeasured() -> Iterator[None]:
    """Which lines a world runs is not counted: that would take longer than the worlds."""
    tracing = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracing)


def simulated(seeds: range, orders: int, rest_s: float, trouble: float = 1.0) -> Findings:
    total = Findings()
    with silenced():
        for seed in seeds:
            total.add(World(scenario(seed, orders, rest_s, trouble)).run())
    return total


@pytest.mark.parametrize("first", range(1, WORLDS, TOGETHER))
def test_nothing_is_bought_twice_or_lost_or_judged_wrong(first: int) -> None:
    total = simulated(range(first, first + TOGETHER), ORDERS, REST_S, TROUBLE)
    assert total.wrong == []
    assert total.faults * 20 >= total.adds, "so little trouble proves little"
    assert total.unknown > 0
    assert total.crashes > 0
    assert total.waited > 0
    assert total.parts > 0


@pytest.mark.parametrize(
    ("evidence", "worlds", "promised"), [("both", 16, 0.95), ("balance", 40, 0.85), ("balance, parts", 20, 0.75)]
)
def test_unknown_outcomes_end_without_a_person(evidence: str, worlds: int, promised: float) -> None:
    """The shares that are promised, on a few longer worlds; the figures of a long run stand in the change log."""
    drawn = (scenario(seed, 130, 2.5 * 3600) for seed in itertools.count(1_000))
    total = Findings()
    with silenced():
        for one in itertools.islice((one for one in drawn if one.evidence == evidence), worlds):
            total.add(World(one).run())
    assert total.wrong == []
    settled, unknown = total.by_evidence[evidence]
    assert unknown >= 50
    assert settled >= promised * unknown, f"{settled} of {unknown}"


def test_a_seed_gives_the_same_world_again() -> None:
    first, second = (simulated(range(7, 9), 40, REST_S) for _ in range(2))
    assert first == second
    assert first.orders > 0


def test_on_postgresql_nothing_is_bought_twice_or_lost_or_judged_wrong_either(tmp_path: Path) -> None:
    total = Findings()
    for seed in range(1, 1 + ON_POSTGRES):
        url = databases.postgres(tmp_path)
        with silenced():
            total.add(World(scenario(seed, ORDERS, REST_S, TROUBLE), Server(url)).run())
        databases.drop(url)
    assert total.wrong == []
    assert total.unknown > 0
    assert total.crashes > 0
    assert total.waited > 0
