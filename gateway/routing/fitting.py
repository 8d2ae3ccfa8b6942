"""What an order would take of us at an offer, or the first reason why it cannot be bought there."""

from decimal import ROUND_CEILING, Decimal
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.conditions import Facts, failing
from gateway.money import STEP, up, wire
from gateway.routing.offers import Offer, Wanted
from providers.service_types import PER_ORDER

CIRCUIT: Final = "circuit open: it fails at present"


class Dry(str):
    """Only our money at the panel does not carry it."""

    __slots__ = ()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What offers are held against, worked out once for all of them.

    Attributes:
        size: units of one run.
        parts: in how many orders it may be bought, one after the other.
        thousands: how many times a rate is paid.
        most: what a cost may be at most, for the charge to leave the margin.
        seed, link_seed: what chance draws from, for this order and for its link.
    """

    type: str
    facts: Facts
    size: int
    parts: int
    thousands: Decimal
    dripfeed: bool
    refill: bool
    cancel: bool
    charge: Decimal
    margin: Decimal
    most: Decimal
    max_rate: Decimal | None
    only: frozenset[str] | None
    never: frozenset[str]
    seed: int
    link_seed: int


def asked(wanted: Wanted) -> Asked:
    fields = wanted.fields
    size = fields.size()
    return Asked(
        type=fields.type,
        facts=replace(wanted.facts, quantity=size, link=fields.link, type=fields.type, charge=wanted.charge),
        size=size,
        parts=wanted.parts,
        thousands=Decimal(1) if fields.type in PER_ORDER else Decimal(fields.units()) / 1000,
        dripfeed=getattr(fields, "runs", None) is not None,
        refill=wanted.refill,
        cancel=wanted.cancel,
        charge=wanted.charge,
        margin=wanted.min_margin,
        most=wanted.charge / (1 + wanted.min_margin),
        max_rate=wanted.max_rate,
        only=wanted.only,
        never=wanted.never,
        seed=seed(wanted.draw),
        link_seed=seed(fields.link),
    )


def seed(text: str) -> int:
    """64 bits of a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def cost_at(offer: Offer, asked: Asked) -> Decimal | str:
    """The cost; or why not, the circuit left aside: that is looked at last, and may be overruled."""
    rate, size = offer.rate, asked.size
    if (
        rate is None
        or not offer.listed
        or offer.type != asked.type
        or not (offer.min <= size <= offer.max or part_of(offer, asked))
        or offer.stopped
        or offer.held
        or offer.condition is not None
        or (asked.dripfeed and offer.dripfeed is False)
        or asked.refill > offer.refill
        or asked.cancel > offer.cancel
        or asked.max_rate is not None
        or asked.only is not None
        or asked.never
    ):
        why = _hindrance(offer, asked)
        if why is not None or rate is None:
            return why or "no price known"
    cost = (rate * asked.thousands).quantize(STEP, ROUND_CEILING)
    if not cost:
        cost = STEP
    if cost > asked.most:
        return _too_dear(cost, asked)
    if offer.stopped:
        return f"takes no orders: {offer.stopped}"
    if offer.funds is not None and offer.funds < cost:
        now = cost if size <= offer.max else up(cost * part_of(offer, asked) / size)
        if offer.funds < now:
            return Dry(f"would cost {wire(now)} of {wire(offer.funds)} that we have there")
    return cost


def part_of(offer: Offer, asked: Asked) -> int:
    """How much of an order above an offer's max is bought there first; 0 where it takes too many parts, or too small.

    >>> asked_for = lambda size, parts: type("Asked", (), {"size": size, "parts": parts})
    >>> offer = Offer(panel="alpha", remote_service="1", position=0, min=10, max=1000)
    >>> [part_of(offer, asked_for(size, 3)) for size in (1001, 2000, 3001)]
    [501, 1000, 0]
    """
    if asked.size <= offer.max or offer.max < 1:
        return 0
    parts = -(-asked.size // offer.max)
    part = -(-asked.size // parts)
    return part if parts <= asked.parts and asked.size - part * (parts - 1) >= offer.min else 0


def _hindrance(offer: Offer, asked: Asked) -> str | None:
    if not offer.listed:
        return "not listed by the panel any more"
    if offer.rate is None:
        return "no price known"
    if offer.type != asked.type:
        return f'its type is "{offer.type}", not "{asked.type}"'
    if offer.panel in asked.never or (asked.only is not None and offer.panel not in asked.only):
        return "the rules keep this order away from the panel"
    if offer.condition is not None:
        facts = replace(asked.facts, panel=offer.panel, rate=offer.rate, health=offer.score)
        if (clause := failing(offer.condition, facts)) is not None:
            return f"does not hold: {clause}"
    if asked.size < offer.min:
        return f"quantity {asked.size} is below its min {offer.min}"
    if asked.size > offer.max and not part_of(offer, asked):
        most = f"{asked.parts} times " if asked.parts > 1 else ""
        return f"quantity {asked.size} is above {most}its max {offer.max}"
    if asked.dripfeed and offer.dripfeed is False:
        return "drip-feed is not offered there"
    if asked.refill and not offer.refill:
        return "refill is promised and not offered there"
    if asked.cancel and not offer.cancel:
        return "cancel is promised and not offered there"
    if offer.held:
        return f"held until people have looked: {offer.held}"
    if asked.max_rate is not None and offer.rate > asked.max_rate:
        return f"its rate {wire(offer.rate)} is above max_rate {wire(asked.max_rate)}"
    return None


def _too_dear(cost: Decimal, asked: Asked) -> str:
    words = f"would cost {wire(cost)} of {wire(asked.charge)} paid"
    if cost > asked.charge:
        return words
    return f"{words}, which leaves less than {(asked.margin * 100).normalize():f} %"
