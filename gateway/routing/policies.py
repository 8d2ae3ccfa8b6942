"""What comes first: small values, joined in the rules. Each step looks only where all before it found two alike.

    policy: effective
    policy: [sticky]
    policy: [{canary: beta/77, share: 5%}, healthiest, cheapest]

Offers that no step tells apart stand by cost, then by panel, then by the panel's service.

Lots are exponential draws at the pace of the weight: the smallest of them is each offer's with the odds of its weight.
They are drawn from hashes, so that the same order draws the same, and a new offer leaves the draws of the others alone.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile
from math import inf, log
from typing import Final, TypeAlias

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
Key: TypeAlias = Callable[[Offer, Choice, Asked], object]

_BITS: Final = 2**30 - 1
_ALL: Final = 2.0**30


def policy_text(steps: Sequence[Step]) -> str:
    """Steps as people write them.

    >>> policy_text((Canary(panel="beta", remote_service="77", share=0.05), Policy.CHEAPEST))
    'canary beta/77 5 %, cheapest'
    """
    return ", ".join(
        step.value if isinstance(step, Policy) else f"canary {step.panel}/{step.remote_service} {100 * step.share:g} %"
        for step in steps
    )


def keyed(steps: Sequence[Step]) -> Key | None:
    """What to sort offers by, the smallest first, before their cost; None = by nothing."""
    kinds = tuple(takewhile(lambda step: step is not Policy.CHEAPEST, steps))  # cheapest leaves no two alike
    keys = tuple(_canary(step) if isinstance(step, Canary) else _KEYS[step] for step in kinds)
    if len(keys) < 2:
        return keys[0] if keys else None
    return lambda offer, choice, asked: [key(offer, choice, asked) for key in keys]


def _effective(offer: Offer, choice: Choice, _asked: Asked) -> object:
    """To fifteen digits, which sorts fast: offers that are as near as that stand by cost."""
    return float(choice.cost * offer.truth)


def _healthiest(offer: Offer, _choice: Choice, _asked: Asked) -> object:
    """Two decimals of health: below that, the difference is chance."""
    return -((100 * offer.score + 0.5) // 1)


def _fastest(offer: Offer, _choice: Choice, _asked: Asked) -> object:
    return inf if offer.seconds is None else offer.seconds


def _priority(offer: Offer, _choice: Choice, _asked: Asked) -> object:
    return offer.position


def _weighted(offer: Offer, _choice: Choice, asked: Asked) -> object:
    return -log(drawn(offer, asked.seed)) / offer.weight


def _spread(offer: Offer, choice: Choice, asked: Asked) -> object:
    cost = float(choice.cost * offer.truth)
    return -log(drawn(offer, asked.seed)) * cost * cost


def _sticky(offer: Offer, _choice: Choice, asked: Asked) -> object:
    return -log(drawn(offer, asked.link_seed)) / offer.weight


def _canary(canary: Canary) -> Key:
    def step(offer: Offer, _choice: Choice, asked: Asked) -> object:
        if (offer.panel, offer.remote_service) != (canary.panel, canary.remote_service):
            return 1
        sings = offer.score >= canary.floor and offer.kept >= canary.floor
        return 0 if sings and drawn(offer, asked.link_seed) < canary.share else 2

    return step


def drawn(offer: Offer, seed: int) -> float:
    """A number from 0 to 1, 0 excluded, for an offer and a seed: the same whatever other offers there are.

    Two odd numbers of 30 bits are multiplied, and the lower half of their product is taken: as the seeds go through
    all of theirs, so does the product, for each offer; and evenly in pairs and triples, for offers' numbers that are
    hashes.
    """
    return (_of_route(offer.panel, offer.remote_service) * seed & _BITS) / _ALL


@lru_cache(100_000)
def _of_route(panel: str, remote_service: str) -> int:
    return seed(f"{panel}\0{remote_service}")


_KEYS: Final[Mapping[Policy, Key]] = {
    Policy.EFFECTIVE: _effective,
    Policy.HEALTHIEST: _healthiest,
    Policy.FASTEST: _fastest,
    Policy.PRIORITY: _priority,
    Policy.WEIGHTED: _weighted,
    Policy.SPREAD: _spread,
    Policy.STICKY: _sticky,
}
