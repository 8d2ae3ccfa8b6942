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
_NO_PRICE: Final = "no price known"


class Dry(str):
    """Only our money at the panel does not carry it."""

    __slots__ = ()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What offers are held against, worked out once for all of them.

    Attributes:
        size: units of one run.
        parts: in how many orders it may be bought, one after the other.
        thousands: how many times a rate is paid.
        particular: an offer has to have something, or to keep to something, that not every one does.
        most: what a cost may be at most, for the charge to leave the margin.
        seed, link_seed: what chance draws from, for this order and for its link; odd.
    """

    type: str
    facts: Facts
    size: int
    parts: int
    thousands: Decimal
    particular: bool
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
    dripfeed = getattr(fields, "runs", None) is not None
    limited = wanted.max_rate is not None or wanted.only is not None or bool(wanted.never)
    return Asked(
        type=fields.type,
        facts=replace(wanted.facts, quantity=size, link=fields.link, type=fields.type, charge=wanted.charge),
        size=size,
        parts=wanted.parts,
        thousands=Decimal(1) if fields.type in PER_ORDER else Decimal(fields.units()) / 1000,
        particular=limited or dripfeed or wanted.refill or wanted.cancel,
        dripfeed=dripfeed,
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
    """An odd number of 30 bits for a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) >> 2 | 1


def cost_at(offer: Offer, asked: Asked) -> Decimal | str:
    """The cost; or why not, the circuit left aside: that is looked at last, and may be overruled."""
    if (
        (rate := offer.rate) is not None
        and offer.listed
        and offer.min <= asked.size <= offer.max
        and offer.type == asked.type
        and not (asked.particular or offer.condition or offer.held or offer.stopped)
    ):  # the usual case, fast
        cost = (rate * asked.thousands).quantize(STEP, ROUND_CEILING)
        if cost and cost <= asked.most and ((funds := offer.funds) is None or cost <= funds):
            return cost
    return _looked_at(offer, asked)


def _looked_at(offer: Offer, asked: Asked) -> Decimal | str:
    why = _hindrance(offer, asked)
    if why is not None or offer.rate is None:
        return why or _NO_PRICE
    cost = (offer.rate * asked.thousands).quantize(STEP, ROUND_CEILING) or STEP
    if cost > asked.most:
        return _too_dear(cost, asked)
    if offer.stopped:
        return f"takes no orders: {offer.stopped}"
    if offer.funds is not None and offer.funds < cost:
        now = cost if asked.size <= offer.max else up(cost * part_of(offer, asked) / asked.size)
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
        return _NO_PRICE
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
        if offer.max > 0 and -(-asked.size // offer.max) <= asked.parts:
            return f"quantity {asked.size} in parts of at most {offer.max} is below its min {offer.min}"
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
