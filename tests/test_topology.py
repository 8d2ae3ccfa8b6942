"""The topology of deploy/compose.yaml, running: one customer, two gateways, and what ends or hangs under them."""

import urllib.error
from collections.abc import Iterator

import pytest

from tests.topology import Topology
from tests.topology.programs import nginx


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    try:
        nginx()
    except FileNotFoundError as none:
        pytest.skip(str(none))
    with Topology() as running:
        yield running


def buy(topology: Topology, name: str) -> int:
    """An order of a link of that name. Each gateway has a ledger of its own here, so two may give the same id."""
    order: int = topology.call("add", service=1, link=f"https://link.example/{name}", quantity=1000)["order"]
    return order


def test_customers_reach_every_gateway(topology: Topology) -> None:
    assert all(buy(topology, f"each-{number}") for number in range(6))
    for gateway in topology.gateways:
        assert gateway.metrics()['panelmux_attempts_total{outcome="accepted",panel="one"}'] > 0


def test_the_panel_sold_what_customers_hold(topology: Topology) -> None:
    before = [len(sandbox.journal.read_text().splitlines()) for sandbox in topology.sandboxes]
    orders = [buy(topology, f"sold-{number}") for number in range(4)]
    after = [len(sandbox.journal.read_text().splitlines()) for sandbox in topology.sandboxes]
    assert sum(after) - sum(before) == len(orders)


def test_one_gateway_is_killed_and_customers_buy_on(topology: Topology) -> None:
    first, second = topology.gateways
    first.kill()
    assert not first.alive()
    assert all(buy(topology, f"killed-{number}") for number in range(6))
    first.start()
    topology.wait_balanced()
    assert first.alive()
    assert second.runs


def test_one_gateway_is_stopped_and_customers_buy_on(topology: Topology) -> None:
    second = topology.gateways[1]
    assert second.stop() == 0
    assert all(buy(topology, f"stopped-{number}") for number in range(6))
    second.start()
    topology.wait_balanced()


def test_a_paused_gateway_answers_once_it_goes_on(topology: Topology) -> None:
    first = topology.gateways[0]
    first.pause()
    assert first.runs
    first.resume()
    first.wait_ready()
    topology.wait_balanced()


def test_valkey_is_lost_and_customers_buy_on(topology: Topology) -> None:
    topology.valkey.kill()
    assert buy(topology, "without")
    topology.valkey.start()
    topology.valkey.flush()
    assert buy(topology, "flushed")


def test_postgresql_keeps_what_it_has(topology: Topology) -> None:
    database = topology.postgresql
    database.client("psql", "--dbname=panelmux", "-c", "CREATE TABLE kept AS SELECT 1 AS what")
    database.kill()
    database.start()
    assert database.client("psql", "--dbname=panelmux", "-tAc", "SELECT what FROM kept").stdout.strip() == "1"
    assert database.stop() == 0
    database.start()


def test_a_panel_is_drained_by_the_command_line(topology: Topology) -> None:
    assert topology.cli("panel", "drain", "two")
    panels = {panel["panel"]: panel for panel in topology.cli("panel", "list", "--offline")}
    assert "drained" in str(panels["two"])
    topology.cli("panel", "resume", "two")


def test_the_machines_paths_are_not_for_customers(topology: Topology) -> None:
    url = topology.url
    try:
        topology.url = url.replace("/api/v2", "/metrics")
        with pytest.raises(urllib.error.HTTPError) as refused:
            topology.call("balance")
        assert refused.value.code == 404
        refused.value.close()
    finally:
        topology.url = url
