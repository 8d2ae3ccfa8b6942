"""Put offers in order, and say why the others were left out. Pure: facts come in, a decision goes out."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from gateway.conditions import Condition
from providers.service_types import OrderFields


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
