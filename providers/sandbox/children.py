"""Orders that place orders: the runs of a drip-feed, the posts that a subscription follows.

A drip-feed is paid whole when it is placed, its runs take nothing more. A subscription takes nothing at first, and
each post is an order of its own with its own charge; where the balance does not carry one, the subscription pauses.
"""

from decimal import Decimal
from math import inf
from typing import Final

import msgspec

from providers.sandbox import progress
from providers.sandbox.books import Books, Order, price
from providers.sandbox.chance import between, pick
from providers.sandbox.forms import expires
from providers.sandbox.progress import Plan, Temper
from providers.service_types import Default, Subscriptions

_POSTS: Final = range(5, 30)
"""How often an account followed without limit posts before it falls silent."""


class DripFeed:
    """Begins the runs of drip-feeds."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def begin(self, order: Order) -> None:
        self._books.call(order.plan.starts, self._run, order.remote_id)

    def _run(self, at: float, remote_id: int) -> None:
        books, order = self._books, self._books.orders[remote_id]
        made = len(order.children)
        if made >= order.plan.runs:  # stopped before its end
            return
        child, units = books.take_id(), order.fields.size()
        end = at + between(books.tempo.work, books.seed, child, "work")
        books.adopt(
            order,
            Order(
                remote_id=child,
                listing=msgspec.structs.replace(order.listing, type="Default"),
                fields=Default(link=order.fields.link, quantity=units),
                units=units,
                charge=price(order.listing, units),
                taken=Decimal(0),
                created=at,
                plan=Plan(starts=at, until=end, ends=end, outcome="Completed", delivered=units),
                parent=remote_id,
            ),
        )
        books.call(order.plan.starts + order.plan.step * (made + 1), self._run, remote_id)


class Following:
    """Orders for the posts of accounts that subscriptions follow: old ones first, new ones as they appear."""

    def __init__(self, books: Books, temper: Temper) -> None:
        self._books, self._temper = books, temper

    def begin(self, order: Order, fields: Subscriptions) -> None:
        books, remote_id, now = self._books, order.remote_id, order.created
        fresh = pick(_POSTS, books.seed, remote_id, "posts") if fields.posts is None else fields.posts
        posts = fresh + (fields.old_posts or 0)
        plan = Plan(starts=now, until=inf, ends=inf, outcome="Completed", delivered=0, runs=posts, is_subscription=True)
        books.change(order, plan=plan)
        books.call(self._next(remote_id, fields, now, 0), self._post, remote_id)
        end = expires(fields.expiry) if fields.expiry else None
        if end is not None:
            books.call(end, self._expire, remote_id)

    def _next(self, remote_id: int, fields: Subscriptions, at: float, made: int) -> float:
        """When the post after `made` is ordered for."""
        tempo = self._books.tempo
        wait = fields.delay * tempo.minute if made == 0 else 0
        if made >= (fields.old_posts or 0):
            wait += between(tempo.post, self._books.seed, remote_id, "post", made)
        return at + wait

    def _post(self, at: float, remote_id: int) -> None:
        books, order = self._books, self._books.orders[remote_id]
        fields = order.fields
        if not isinstance(fields, Subscriptions) or at >= order.plan.until:
            return
        made = len(order.children)
        units = pick(range(fields.min, fields.max + 1), books.seed, remote_id, "units", made)
        charge = price(order.listing, units)
        if charge > books.balance:
            self._stop(at, remote_id, "Paused")
            return
        child, post = books.take_id(), Default(link=f"{fields.username}/post/{made + 1}", quantity=units)
        books.adopt(
            order,
            Order(
                remote_id=child,
                listing=msgspec.structs.replace(order.listing, type="Default"),
                fields=post,
                units=units,
                charge=charge,
                taken=charge,
                created=at,
                plan=progress.plan(post, at, books.tempo, self._temper, seed=books.seed, remote_id=child),
                parent=remote_id,
            ),
        )
        if made + 1 < order.plan.runs:
            books.call(self._next(remote_id, fields, at, made + 1), self._post, remote_id)
        elif fields.posts is not None:
            self._stop(at, remote_id, "Completed")

    def _expire(self, at: float, remote_id: int) -> None:
        if at < self._books.orders[remote_id].plan.until:
            self._stop(at, remote_id, "Expired")

    def _stop(self, at: float, remote_id: int, status: str) -> None:
        self._books.plan(remote_id, until=at, ends=at, outcome=status)
