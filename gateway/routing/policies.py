"""What comes first: small values, joined in the rules. Each step looks only where all before it found two alike.

    policy: effective
    policy: [sticky]
    policy: [{canary: beta/77, share: 5%}, healthiest, cheapest]

Offers that no step tells apart stand by cost, then by panel, then by the panel's service.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile
from math import inf, log
from typing import Any, Final, TypeAlias

import msgspec

from gateway.routing.fitting import Asked, seed
from gateway.routing.offers import Choice, Offer


class Policy(StrEnum):
    """How offers are put in order."""

    CHEAPEST = "cheapest"
    EFFECTIVE = "effective"  # by what a delivered unit has really cost
    HEALTHIEST = "healthiest"
    FASTEST = "fastest"  # by how long orders usually took
    PRIORITY = "priority"  # as the routes are written
    WEIGHTED = "weighted"  # by chance, in proportion to weight
    SPREAD = "spread"  # by chance, in proportion to the inverse square of the effective cost
    STICKY = "sticky"  # by weight, and for one link always the same


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A route on trial: it comes first for a share of the links, and last for the others.

    Attributes:
        share: 0.05 = one link in twenty.
        floor: below this health, or this share of orders delivered whole, the trial stands still.
    """

    panel: str
    remote_service: str
    share: float
    floor: float = 0.9


Step: TypeAlias = Policy | Canary
Place: TypeAlias = tuple[Any, ...]

_BITS: Final = 2**64 - 1
_ALL: Final = 2.0**64


def policy_text(steps: Sequence[Step]) -> str:
    """Steps as people write them.

    >>> policy_text((Canary(panel="beta", remote_service="77", share=0.05), Policy.CHEAPEST))
    'canary beta/77 5 %, cheapest'
    """
    return ", ".join(
        step.value if isinstance(step, Policy) else f"canary {step.panel}/{step.remote_service} {100 * step.share:g} %"
        for step in steps
    )


def placed(steps: Sequence[Step]) -> Callable[[Offer, Choice, Asked], Place]:
    """What to sort offers by: the smallest comes first. No two are alike, and each ends with its choice."""
    kinds = tuple(takewhile(lambda step: step is not Policy.CHEAPEST, steps))  # cheapest leaves no two alike
    if not kinds:
        return _by_cost
    functions = tuple(_canary(step) if isinstance(step, Canary) else _STEPS[step] for step in kinds)
    if len(functions) == 1:
        [only] = functions
        return lambda offer, choice, asked: (
            only(offer, choice, asked),
            choice.cost,
            offer.panel,
            offer.remote_service,
            offer.position,
            choice,
        )
    return lambda offer, choice, asked: (
        *(step(offer, choice, asked) for step in functions),
        choice.cost,
        offer.panel,
        offer.remote_service,
        offer.position,
        choice,
    )


def _by_cost(offer: Offer, choice: Choice, _asked: Asked) -> Place:
    return choice.cost, offer.panel, offer.remote_service, offer.position, choice


def _effective(_offer: Offer, choice: Choice, _asked: Asked) -> object:
    return choice.effective


def _healthiest(offer: Offer, _choice: Choice, _asked: Asked) -> object:
    """Two decimals of health: below that, the difference is chance."""
    return -int(100 * offer.score + 0.5)


def _fastest(offer: Offer, _choice: Choice, _asked: Asked) -> object:
    return inf if offer.seconds is None else offer.seconds


def _priority(offer: Offer, _choice: Choice, _asked: Asked) -> object:
    return offer.position


def _weighted(offer: Offer, _choice: Choice, asked: Asked) -> object:
    return _lot(offer, asked.seed, offer.weight)


def _spread(offer: Offer, choice: Choice, asked: Asked) -> object:
    cost = float(choice.cost if choice.effective is None else choice.effective)
    return _lot(offer, asked.seed, 1 / (cost * cost))


def _sticky(offer: Offer, _choice: Choice, asked: Asked) -> object:
    return _lot(offer, asked.link_seed, offer.weight)


def _canary(canary: Canary) -> Callable[[Offer, Choice, Asked], object]:
    def step(offer: Offer, _choice: Choice, asked: Asked) -> object:
        if (offer.panel, offer.remote_service) != (canary.panel, canary.remote_service):
            return 1
        sings = offer.score >= canary.floor and offer.kept >= canary.floor
        return 0 if sings and drawn(offer, asked.link_seed) < canary.share else 2

    return step


def drawn(offer: Offer, seed: int) -> float:
    """A number from 0 to 1, 0 excluded, for an offer and an odd seed: the same whatever other offers there are.

    Two odd numbers of 64 bits are multiplied, and the lower half of their product is taken: as the seeds go through
    all of theirs, so does the product, for each offer; and evenly in pairs and triples, for offers' numbers that are
    hashes.
    """
    return (_of_route(offer.panel, offer.remote_service) * seed & _BITS) / _ALL


@lru_cache(100_000)
def _of_route(panel: str, remote_service: str) -> int:
    return seed(f"{panel}\0{remote_service}")


def _lot(offer: Offer, seed: int, weight: float) -> float:
    """An exponential draw at the pace of the weight: the smallest of them is each offer's with the odds of its weight.

    Drawn from hashes, so that the same order draws the same, and a new offer leaves the draws of the others alone.
    """
    return -log(drawn(offer, seed)) / weight


_STEPS: Final[Mapping[Policy, Callable[[Offer, Choice, Asked], object]]] = {
    Policy.EFFECTIVE: _effective,
    Policy.HEALTHIEST: _healthiest,
    Policy.FASTEST: _fastest,
    Policy.PRIORITY: _priority,
    Policy.WEIGHTED: _weighted,
    Policy.SPREAD: _spread,
    Policy.STICKY: _sticky,
}
