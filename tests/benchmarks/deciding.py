"""How long one decision over 50 offers takes, by policy: the best of several rounds, microseconds of this machine.

And how long it takes to look up the facts that it goes by.
"""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from gateway.catalog import Catalog, Service
from gateway.catalog.services import Listed, written
from gateway.panels import Panel, Snapshot
from gateway.routing import Offer, Policy, Wanted, decide
from gateway.rules import model
from gateway.shared import InProcess
from providers.base import RemoteService
from providers.service_types import Default
from tests.running import panel

OFFERS: Final = 50
GOAL_US: Final = 50
ROUNDS: Final = 7
TIMES: Final = 300


def offers() -> list[Offer]:
    """All of them can take the order, so that all are put in order."""
    return [
        Offer(
            panel=f"p{number % 10}",
            remote_service=str(number),
            position=number,
            rate=Decimal("0.5") + Decimal(number) / 100,
            min=10,
            max=100_000,
            truth=Decimal(1) + Decimal(number % 7) / 100,
            score=1 - number % 5 / 10,
            seconds=60 * (number % 9),
            refill=True,
            cancel=True,
            dripfeed=True,
            funds=Decimal(100),
        )
        for number in range(OFFERS)
    ]


def rows() -> Iterator[str]:
    made = offers()
    wanted = Wanted(fields=Default(link="https://x.example/p", quantity=1000), charge=Decimal(2), draw="x")
    for policy in Policy:
        took = _best(lambda policy=policy: decide(made, wanted, (policy,)))  # type: ignore[misc]
        yield f"decide {OFFERS:<7}{policy.value:<14}{took:5.0f} us      (goal {GOAL_US} us)"
    catalog, service = _selling(made)
    now = time.monotonic()
    assert len(decide(catalog.offers(service, now), wanted, (Policy.CHEAPEST,)).choices) == OFFERS
    yield f"facts  {OFFERS:<21}{_best(lambda: catalog.offers(service, now)):5.0f} us"


def _best(work: Callable[[], object]) -> float:
    """Microseconds."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TIMES):
            work()
        took.append((time.perf_counter() - began) / TIMES)
    return min(took) * 1e6


def _selling(offers: list[Offer]) -> tuple[Catalog, Service]:
    """A catalogue, and a service with these offers."""
    panels = {offer.panel: panel("http://127.0.0.1:1/api/v2") for offer in offers}
    routes = tuple(model.Route(panel=offer.panel, service=offer.remote_service) for offer in offers)
    rules = model.Rules(panels=panels, services={1: model.Service(routes=routes, rate=Decimal(9))})
    provider: Any = None  # nobody is asked
    made = {name: Panel(name, one, provider) for name, one in panels.items()}
    for name, one in made.items():
        rows = tuple(
            RemoteService(
                remote_service=offer.remote_service,
                name="Likes",
                type="Default",
                category="C",
                rate=offer.rate or Decimal(1),
                min=offer.min,
                max=offer.max,
            )
            for offer in offers
            if offer.panel == name
        )
        snapshot = Snapshot(panel=name, source=one.source, fetched_ms=0, rows=rows)
        one.took(snapshot, {row.remote_service: row for row in rows})
        one.balance = Decimal(100)
    lists = {name: Listed(one.rows, Decimal(1)) for name, one in made.items()}
    unused: Any = None
    return Catalog(rules, made, unused, InProcess()), written(rules, lists).services[0]
