"""How long one decision over 50 offers takes, by policy: the best of several rounds, microseconds of this machine."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from gateway.routing import Offer, Policy, Wanted, decide
from providers.service_types import Default

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
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(TIMES):
                decide(made, wanted, (policy,))
            took.append((time.perf_counter() - began) / TIMES)
        yield f"decide {OFFERS:<7}{policy.value:<14}{min(took) * 1e6:5.0f} us      (goal {GOAL_US} us)"
