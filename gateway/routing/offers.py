"""What a decision is made of: offers and what is wanted go in, choices and reasons come out."""

from decimal import Decimal

import msgspec

from gateway.conditions import Condition, Facts
from providers.service_types import OrderFields


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A route with today's facts.

    Attributes:
        position: where it stands among its service's routes, from 0.
        listed: whether the panel's last good list has it; the fields after it are None or empty where it has not.
        held: why it is not bought until people have looked; empty = it may be.
        rate: what the panel takes, in our currency, of 1000 units or of one order; None = no price known.
        dripfeed: None where the panel does not say.
        closed: the circuits of panel and route let orders through.
        ramp: share of the orders that it may come first for, while it is only just back; 1 = all.
        stopped: why the panel takes no orders at all; empty = it does.
        score: health from 0 (never works) to 1.
        truth: what a delivered unit has really cost there, as a multiple of its listed price (`delivered.truth`).
        kept: share of our orders there that were delivered whole, from 0 to 1.
        seconds: how long its orders usually take; None = not known.
        funds: our money at the panel, in our currency; None = not known.
    """

    panel: str
    remote_service: str
    position: int
    weight: int = 1
    condition: Condition | None = None
    listed: bool = True
    held: str = ""
    type: str = "Default"
    rate: Decimal | None = None
    min: int = 1
    max: int = 1
    refill: bool = False
    cancel: bool = False
    dripfeed: bool | None = None
    closed: bool = True
    ramp: float = 1.0
    stopped: str = ""
    score: float = 1.0
    truth: Decimal = Decimal(1)
    kept: float = 1.0
    seconds: int | None = None
    funds: Decimal | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be bought.

    Attributes:
        charge: what the customer pays for it.
        parts: in how many orders at panels it may be bought, one after the other.
        refill, cancel: whether the customer was promised them.
        min_margin: share of the cost that must be left over, 0.10 = 10 %.
        max_rate: the dearest rate that may be paid, as `Offer.rate`; None = any.
        only, never: panels that alone, or never, may take it; `only` None = all.
        facts: what conditions look at, besides what the fields and offers say.
        draw: text from which chance draws; the same text draws the same.
    """

    fields: OrderFields
    charge: Decimal
    parts: int = 1
    refill: bool = False
    cancel: bool = False
    min_margin: Decimal = Decimal(0)
    max_rate: Decimal | None = None
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    facts: Facts = Facts()
    draw: str = ""


class LeftOut(msgspec.Struct, frozen=True, gc=False):
    """An offer that cannot take the order, and why, in words for people."""

    panel: str
    remote_service: str
    why: str


class Choice(msgspec.Struct, frozen=True, gc=False):
    """An offer that can take the order, or a part of it.

    Attributes:
        cost: what this order would take of us there, as a whole.
        score: health, from 0 to 1.
        truth: as of `Offer`; None in what older programs decided.
        part: how many units are bought there first, where it does not take all at once; None = all.
    """

    panel: str
    remote_service: str
    cost: Decimal
    score: float
    truth: Decimal | None = None
    part: int | None = None

    @property
    def effective(self) -> Decimal | None:
        """The cost corrected by what the route has really delivered."""
        return None if self.truth is None else self.cost * self.truth


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Best first, and the rest with reasons: what an order keeps of how it was routed.

    Attributes:
        policy: its steps, as people write them.
        panic: every circuit that could take it was open, so that circuits were not heeded.
        dry: an offer was left out for nothing but our money there.
        rules: version of the rules it was made by; empty where nobody said.
    """

    policy: str
    choices: tuple[Choice, ...]
    left_out: tuple[LeftOut, ...]
    panic: bool = False
    dry: bool = False
    rules: str = ""
