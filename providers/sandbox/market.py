"""What a buyer may wish of a panel, and what becomes of it: orders, refills, cancels, all in one set of books."""

from decimal import Decimal
from typing import Final

import msgspec

from providers.sandbox import progress
from providers.sandbox.books import Books, Order, Refill, price
from providers.sandbox.catalogue import Listing
from providers.sandbox.chance import between, draw
from providers.sandbox.children import DripFeed, Following
from providers.sandbox.forms import Denied
from providers.sandbox.progress import Plan, State, Temper
from providers.service_types import OrderFields, Subscriptions

ACTIVE: Final = "You have active order with this link. Please wait until order being completed."
NO_FUNDS: Final = "Not enough funds on balance"
NO_ORDER: Final = "Incorrect order ID"
NO_REFILL: Final = "Refill not found"


class Market:
    """Every method brings the books up to `now` first; the clock must not run backwards."""

    def __init__(self, books: Books, *, temper: Temper, duplicate_links: bool) -> None:
        self.books, self.duplicate_links = books, duplicate_links
        self._temper = temper
        self._drip_feed, self._following = DripFeed(books), Following(books, temper)
        self._linked: dict[tuple[str, str], int] = {}
        self._refilled: dict[int, int] = {}

    def order(self, remote_id: int, now: float) -> Order:
        """Raises: Denied: no such order."""
        self.books.settle(now)
        order = self.books.orders.get(remote_id)
        if order is None:
            raise Denied(NO_ORDER)
        return order

    def state(self, remote_id: int, now: float) -> State:
        """The order now; what remains of a subscription is what its outstanding posts may take at most."""
        order = self.order(remote_id, now)
        state = order.state(now)
        if order.plan.is_subscription and isinstance(order.fields, Subscriptions):
            left = order.plan.runs - len(order.children) if state.is_open and order.fields.posts is not None else 0
            return msgspec.structs.replace(state, remains=left * order.fields.max, runs=0)
        return state

    def charge(self, remote_id: int, now: float) -> Decimal:
        """What an order costs after all that came back; of a subscription, all its posts together."""
        order = self.order(remote_id, now)
        if isinstance(order.fields, Subscriptions):
            return sum((self.charge(child, now) for child in order.children), Decimal(0))
        return order.charge - order.refunded

    def quote(self, listing: Listing, fields: OrderFields, now: float, factor: Decimal) -> Decimal:
        """What `add` would charge now.

        Raises:
            Denied: it would refuse: an active order on the link, or too little money.
        """
        self.books.settle(now)
        last = self._linked.get((listing.service, fields.link)) if self.duplicate_links else None
        if last is not None and self.state(last, now).is_open:
            raise Denied(ACTIVE)
        charge = Decimal(0) if isinstance(fields, Subscriptions) else price(listing, fields.units(), factor)
        if charge > self.books.balance:
            raise Denied(NO_FUNDS)
        return charge

    def add(self, listing: Listing, fields: OrderFields, now: float, charge: Decimal) -> Order:
        books = self.books
        books.settle(now)
        remote_id = books.take_id()
        order = Order(
            remote_id=remote_id,
            listing=listing,
            fields=fields,
            units=fields.units(),
            charge=charge,
            taken=charge,
            created=now,
            plan=progress.plan(fields, now, books.tempo, self._temper, seed=books.seed, remote_id=remote_id),
        )
        books.place(order)
        if fields.link:
            self._linked[listing.service, fields.link] = remote_id
        if isinstance(fields, Subscriptions):
            self._following.begin(order, fields)
        elif order.plan.runs:
            self._drip_feed.begin(order)
        return order

    def refill(self, remote_id: int, now: float) -> Refill:
        """Take note of a wish to refill a completed order.

        Raises:
            Denied: no such order, not sold with refill, not completed, or one is under way.
        """
        order, books = self.order(remote_id, now), self.books
        if not order.listing.refill:
            raise Denied("Refill is disabled for this service")
        if self.state(remote_id, now).status != "Completed":
            raise Denied("The order is not completed")
        last = books.refills.get(self._refilled.get(remote_id, 0))
        if last is not None and now < last.ends:
            raise Denied("The order was completed or refill was requested less than 24 hours ago")
        refill_id = len(books.refills) + 1
        begins = now + between(books.tempo.refill, books.seed, "refill", refill_id, "begins")
        rejected = draw(books.seed, "refill", refill_id, "fate") < self._temper.refill_rejected
        refill = Refill(
            refill_id=refill_id,
            remote_id=remote_id,
            created=now,
            begins=begins,
            ends=begins + between(books.tempo.refill, books.seed, "refill", refill_id, "ends"),
            outcome="Rejected" if rejected else "Completed",
        )
        books.refills[refill_id] = refill
        self._refilled[remote_id] = refill_id
        return refill

    def cancel(self, remote_id: int, now: float, *, heed: bool = True) -> bool:
        """Take note of a wish to cancel; `heed`: and act on it. Whether it is a new one that is acted on.

        Raises:
            Denied: no such order, not sold with cancel, or it has ended.
        """
        order, books = self.order(remote_id, now), self.books
        if not order.listing.cancel:
            raise Denied("Order cannot be canceled")
        if not order.state(now).is_open:
            raise Denied("Order is already completed")
        if order.cancel_asked or not heed:
            return False
        within = between(books.tempo.cancel, books.seed, remote_id, "cancel")
        plan = progress.stopped(order.plan, order.units, order.fields.size(), now, within)
        books.change(order, plan=plan, cancel_asked=True)
        books.call(plan.ends, books.end, remote_id)
        return True

    def override(self, remote_id: int, status: str, remains: int | None, start_count: int | None, now: float) -> None:
        """Say by hand what an order is from `now` on; what that gives back, or takes back, moves at once."""
        state, order = self.state(remote_id, now), self.order(remote_id, now)
        if remains is None:
            remains = {"Completed": 0, "Canceled": order.units}.get(status, state.remains)
        plan = Plan(
            starts=now,
            until=now,
            ends=now,
            outcome=status,
            delivered=order.units - remains,
            start_count=state.start_count if start_count is None else start_count,
        )
        self.books.change(order, plan=plan)
        self.books.end(now, remote_id)
