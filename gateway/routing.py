"""Put offers in order, and say why the others were left out. Pure: facts come in, a decision goes out."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from math import log
from operator import itemgetter
from typing import Final

import msgspec

from gateway.conditions import Condition, failing
from gateway.money import price, wire
from providers.service_types import PER_ORDER, OrderFields


class Policy(StrEnum):
    """How offers are put in order."""

    CHEAPEST = "cheapest"
    PRIORITY = "priority"  # as the routes are written
    WEIGHTED = "weighted"  # by chance, in proportion to weight
    HEALTHIEST = "healthiest"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A route with today's facts.

    Attributes:
        position: where it stands among its service's routes, from 0.
        listed: whether the panel's last good list has it; the fields after it are None or empty where it has not.
        rate: what the panel takes, in our currency, of 1000 units or of one order; None = no price known.
        dripfeed: None where the panel does not say.
        closed: the panel's circuit lets orders through.
        stopped: why the panel takes no orders at all; empty = it does.
        score: health from 0 (never works) to 1.
        funds: our money at the panel, in our currency; None = not known.
    """

    panel: str
    remote_service: str
    position: int
    weight: int = 1
    condition: Condition | None = None
    listed: bool = True
    type: str = "Default"
    rate: Decimal | None = None
    min: int = 1
    max: int = 1
    refill: bool = False
    cancel: bool = False
    dripfeed: bool | None = None
    closed: bool = True
    stopped: str = ""
    score: float = 1.0
    funds: Decimal | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be bought.

    Attributes:
        charge: what the customer pays for it.
        refill, cancel: whether the customer was promised them.
        min_margin: share of the cost that must be left over, 0.10 = 10 %.
        draw: text from which `weighted` draws; the same text draws the same.
    """

    fields: OrderFields
    charge: Decimal
    refill: bool = False
    cancel: bool = False
    min_margin: Decimal = Decimal(0)
    draw: str = ""


class LeftOut(msgspec.Struct, frozen=True):
    """An offer that cannot take the order, and why, in words for people."""

    panel: str
    remote_service: str
    why: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that can take the order. `cost` is what this order would take of us there."""

    panel: str
    remote_service: str
    cost: Decimal
    score: float


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Best first, and the rest with reasons: what an order keeps of how it was routed."""

    policy: Policy
    choices: tuple[Choice, ...]
    left_out: tuple[LeftOut, ...]


def decide(offers: Sequence[Offer], wanted: Wanted, policy: Policy) -> Decision:
    """Choose among the offers of one service, whatever order they come in.

    Every offer ends up once: among the choices, or left out for the first reason found. Equal choices stand by panel,
    then by its service. Conditions and limits see the quantity of one run; costs are of the whole order.
    """
    asked, rank, draw = _asked(wanted), _RANKS[policy], wanted.draw
    able: list[tuple[_Rank, Choice]] = []
    left_out: list[tuple[int, str, str, str]] = []
    for offer in offers:
        cost = _cost(offer, asked)
        if isinstance(cost, str):
            left_out.append((offer.position, offer.panel, offer.remote_service, cost))
        else:
            choice = Choice(panel=offer.panel, remote_service=offer.remote_service, cost=cost, score=offer.score)
            able.append((rank(offer, cost, draw), choice))
    able.sort(key=itemgetter(0))
    left_out.sort()
    return Decision(
        policy=policy,
        choices=tuple([choice for _, choice in able]),
        left_out=tuple([LeftOut(panel, service, why) for _, panel, service, why in left_out]),
    )


class _Asked(msgspec.Struct, frozen=True):
    """What offers are held against, worked out once for all of them."""

    type: str
    link: str
    size: int
    units: int
    per_order: bool
    dripfeed: bool
    refill: bool
    cancel: bool
    charge: Decimal
    share: Decimal  # of the cost, that the charge has to reach


def _asked(wanted: Wanted) -> _Asked:
    fields = wanted.fields
    return _Asked(
        type=fields.type,
        link=fields.link,
        size=fields.size(),
        units=fields.units(),
        per_order=fields.type in PER_ORDER,
        dripfeed=getattr(fields, "runs", None) is not None,
        refill=wanted.refill,
        cancel=wanted.cancel,
        charge=wanted.charge,
        share=1 + wanted.min_margin,
    )


def _cost(offer: Offer, asked: _Asked) -> Decimal | str:
    """What the order would take of us there, or the first reason why it cannot be bought there."""
    if not offer.listed:
        return "not listed by the panel any more"
    if offer.rate is None:
        return "no price known"
    if offer.type != asked.type:
        return f'its type is "{offer.type}", not "{asked.type}"'
    if offer.condition is not None and (clause := failing(offer.condition, asked.size, asked.link)) is not None:
        return f"does not hold: {clause}"
    if asked.size < offer.min:
        return f"quantity {asked.size} is below its min {offer.min}"
    if asked.size > offer.max:
        return f"quantity {asked.size} is above its max {offer.max}"
    if asked.dripfeed and offer.dripfeed is False:
        return "drip-feed is not offered there"
    if asked.refill and not offer.refill:
        return "refill is promised and not offered there"
    if asked.cancel and not offer.cancel:
        return "cancel is promised and not offered there"
    cost = price(offer.rate, asked.units, per_order=asked.per_order)
    if cost * asked.share > asked.charge:
        return _too_dear(cost, asked)
    if offer.stopped:
        return f"takes no orders: {offer.stopped}"
    if not offer.closed:
        return "circuit open: the panel fails at present"
    if offer.funds is not None and offer.funds < cost:
        return f"would cost {wire(cost)} of {wire(offer.funds)} that we have there"
    return cost


def _too_dear(cost: Decimal, asked: _Asked) -> str:
    words = f"would cost {wire(cost)} of {wire(asked.charge)} paid"
    if cost > asked.charge:
        return words
    return f"{words}, which leaves less than {((asked.share - 1) * 100).normalize():f} %"


_Rank = tuple[Decimal | float | str, ...]


def _cheapest(offer: Offer, cost: Decimal, _draw: str) -> _Rank:
    return cost, offer.panel, offer.remote_service, offer.position


def _by_priority(offer: Offer, _cost: Decimal, _draw: str) -> _Rank:
    return offer.position, offer.panel, offer.remote_service


def _healthiest(offer: Offer, cost: Decimal, _draw: str) -> _Rank:
    """Two decimals of health: below that, the difference is chance, and money decides."""
    return -round(offer.score, 2), cost, offer.panel, offer.remote_service, offer.position


def _drawn(offer: Offer, _cost: Decimal, draw: str) -> _Rank:
    """An exponential draw at the pace of the weight: the smallest of them is each offer's with the odds of its weight.

    Drawn from a hash, so that the same order draws the same, and a new offer leaves the draws of the others alone.
    """
    lot = f"{draw}\0{offer.panel}\0{offer.remote_service}".encode()
    number = int.from_bytes(blake2b(lot, digest_size=8).digest())
    return -log((number + 1) / 2**64) / offer.weight, offer.panel, offer.remote_service, offer.position


_RANKS: Final[Mapping[Policy, Callable[[Offer, Decimal, str], _Rank]]] = {
    Policy.CHEAPEST: _cheapest,
    Policy.PRIORITY: _by_priority,
    Policy.WEIGHTED: _drawn,
    Policy.HEALTHIEST: _healthiest,
}
