"""What the ledger keeps of panels: what our own orders there taught, and readings of our money."""

from decimal import Decimal

import msgspec


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What our own orders have taught us of a panel.

    Attributes:
        taken: what all orders of ours have taken there, net, in its currency; `orders` is how many they are.
        highest: the highest id of ours there, where its ids are numbers.
        rising: how many ids in a row were above every one known when they were sent.
        foreign: whether it answers an error for ids that are not ours; None = not tried.
        proven: how many times in a row its balance was as our orders explain it, orders between each.
        stopped: why it takes no orders until people have looked; empty = it does.
    """

    panel: str
    taken: Decimal = Decimal(0)
    orders: int = 0
    highest: int | None = None
    rising: int = 0
    foreign: bool | None = None
    proven: int = 0
    stopped: str = ""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Our money at a panel at a moment when nothing of ours moved there.

    Attributes:
        taken: what our orders have taken there by then, net; `balance` + `taken` stays the same while all is explained.
        unit: the finest step that its balance shows.
        agreed: whether all that moved since the last agreed one is explained.
        orders: orders of ours that it had taken by then.
    """

    panel: str
    at_ms: int
    balance: Decimal
    taken: Decimal
    unit: Decimal
    agreed: bool
    orders: int
    why: str = ""
