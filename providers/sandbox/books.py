"""A panel's books: orders, what they took and gave back, and what is due when.

Nothing runs in the background: whoever looks brings the time, and what was due by then happens first, in its order.
So the books of a time do not depend on who looked before.
"""

import heapq
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from providers.sandbox import progress
from providers.sandbox.catalogue import Listing
from providers.sandbox.chance import draw
from providers.sandbox.progress import Plan, State, Tempo
from providers.service_types import PER_ORDER, OrderFields

_ONE: Final = Decimal(1)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of the buyer, or a child of one.

    Attributes:
        charge: its price, what status tells until something is given back.
        taken: what it took from the balance: 0 for the runs of a drip-feed, which the first order paid.
        refunded: what came back so far.
        parent: the drip-feed or subscription that placed it.
        cancel_asked: whether a cancel was taken note of.
    """

    remote_id: int
    listing: Listing
    fields: OrderFields
    units: int
    charge: Decimal
    taken: Decimal
    created: float
    plan: Plan
    refunded: Decimal = Decimal(0)
    parent: int | None = None
    children: tuple[int, ...] = ()
    cancel_asked: bool = False

    def state(self, now: float) -> State:
        return progress.state(self.plan, self.units, self.fields.size(), now)


class Refill(msgspec.Struct, frozen=True, kw_only=True):
    """A refill moves through Pending and In progress to its end."""

    refill_id: int
    remote_id: int
    created: float
    begins: float
    ends: float
    outcome: str

    def status(self, now: float) -> str:
        if now >= self.ends:
            return self.outcome
        return "In progress" if now >= self.begins else "Pending"


class Books:
    """Orders and money. `crowd`: up to so many orders of other buyers take an id between two of ours."""

    def __init__(self, *, opening: Decimal, seed: int, tempo: Tempo, first_order: int, crowd: int) -> None:
        self.opening = opening
        self.charged = Decimal(0)
        self.refunded = Decimal(0)
        self.orders: dict[int, Order] = {}
        self.refills: dict[int, Refill] = {}
        self.seed, self.tempo = seed, tempo
        self.next_id = first_order
        self._crowd = crowd
        self._due: list[tuple[float, int, Callable[[float, int], None], int]] = []
        self._dues = 0

    @property
    def balance(self) -> Decimal:
        return self.opening - self.charged + self.refunded

    def settle(self, now: float) -> None:
        """Let everything happen that is due by `now`."""
        while self._due and self._due[0][0] <= now:
            at, _, happen, remote_id = heapq.heappop(self._due)
            happen(at, remote_id)

    def call(self, at: float, happen: Callable[[float, int], None], remote_id: int) -> None:
        """Let `happen(at, remote_id)` be due at `at`."""
        self._dues += 1
        heapq.heappush(self._due, (at, self._dues, happen, remote_id))

    def take_id(self) -> int:
        remote_id = self.next_id
        self.next_id += 1 + int(draw(self.seed, "crowd", remote_id) * (self._crowd + 1))
        return remote_id

    def place(self, order: Order) -> Order:
        """Write a new order down, and take what it costs."""
        self.orders[order.remote_id] = order
        self.charged += order.taken
        if order.taken and order.plan.outcome != "Completed":
            self.call(order.plan.ends, self.end, order.remote_id)
        return order

    def adopt(self, parent: Order, child: Order) -> None:
        """Place a child and name it in its parent."""
        self.place(child)
        self.change(parent, children=(*parent.children, child.remote_id))

    def change(self, order: Order, **fields: object) -> None:
        self.orders[order.remote_id] = msgspec.structs.replace(order, **fields)

    def plan(self, remote_id: int, **fields: object) -> None:
        """Change what will become of an order."""
        order = self.orders[remote_id]
        self.change(order, plan=msgspec.structs.replace(order.plan, **fields))

    def end(self, at: float, remote_id: int) -> None:
        """Give back what the order's state at `at` leaves over, or take back what it no longer does."""
        order = self.orders[remote_id]
        state = order.state(at)
        back = progress.refund(order.taken, state.status, state.remains, order.units)
        self.refunded += back - order.refunded
        self.change(order, refunded=back)


def price(listing: Listing, units: int, factor: Decimal = _ONE) -> Decimal:
    """What a listing charges for `units`, times `factor`, to the sandbox's finest amount."""
    exact = listing.rate if listing.type in PER_ORDER else listing.rate * units / 1000
    return (exact * factor).quantize(progress.STEP, ROUND_HALF_UP)
