"""What can be said of an order: each word changes it, and is kept in its history as JSON."""

from decimal import Decimal

import msgspec

from gateway.ledger.records import Fail, Outcome
from providers.base import Status


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="begun"):
    """The order was written, with its first attempt *sending*; without one it waits.

    `part`, here and below: units of the attempt that begins; None = all that are left.
    """

    type: str
    quantity: int
    units: int
    charge: Decimal
    attempt: int | None
    panel: str
    part: int | None = None


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="settled"):
    """An attempt's outcome; where it bought nothing, the next attempt (`following`, *sending*), `fail` or `waits`."""

    attempt: int
    outcome: Outcome
    following: int | None = None
    panel: str = ""
    fail: Fail | None = None
    waits: bool = False
    part: int | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="sent"):
    """An order that waited is bought: attempt `following`, *sending*."""

    following: int
    panel: str
    part: int | None = None


class GivenUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="given_up"):
    """What is still to be bought of an order is bought no more: one that waits, or that made a part, says its panel."""

    attempt: int | None = None
    status: Status | None = None


class Recovered(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="recovered"):
    """Whoever sent it is gone: it may have been sent."""

    attempt: int


class Observed(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="observed"):
    """A panel said how an order of ours stands.

    `late`: what it gives back counts after the order went on, too; older programs let it be.
    """

    attempt: int
    status: Status
    late: bool = False


class PassedOn(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="passed_on"):
    """A panel delivered its part of an order, or ended it early, and what is left begins: `following`, *sending*.

    Without one it waits.
    """

    attempt: int
    status: Status
    following: int | None
    panel: str = ""
    part: int | None = None


class GivenBack(msgspec.Struct, frozen=True, kw_only=True, tag_field="word", tag="given_back"):
    """People gave money back. `ends`: all of it, and the order counts as canceled from now on."""

    amount: Decimal
    ends: bool = False


Word = Begun | Settled | Sent | GivenUp | Recovered | Observed | PassedOn | GivenBack
