"""Which offers can take an order, or the rest of one, at this moment."""

import random
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway import money
from gateway.catalog import Catalog, Service
from gateway.conditions import Facts, minute_of_week
from gateway.errors import BadForm
from gateway.ledger.records import Attempt, AttemptState, Next, Order
from gateway.routing import Choice, Decision, Wanted, decide
from gateway.rules.model import Rules
from providers.errors import Reason
from providers.service_types import DIVISIBLE, PER_ORDER, TYPES, OrderFields, Subscriptions

DRY: Final = "our money at the panels does not carry it"
_NOT_AGAIN: Final = "it is not asked again for this order, or left alone for a while"
_ROUNDED: Final = 2  # steps


def routed(catalog: Catalog, service: Service, fields: OrderFields, *, now: float, account: str = "") -> Decision:
    """How an order is routed at this moment of the clock: `add` goes by it, and `route explain` prints it.

    `service` is what the catalogue sells to `account`.
    """
    return _decided(catalog, service, fields, charged(service, fields), now, account)


def expected(
    catalog: Catalog,
    service: Service,
    fields: OrderFields,
    *,
    account: str = "",
    minute: int | None = None,
    draw: str | None = None,
) -> Decision:
    """How an order would be routed with all panels well and in funds, at a minute of the week: rules are tested so."""
    return _decided(catalog, service, fields, charged(service, fields), None, account, minute, draw)


class Left(msgspec.Struct, frozen=True):
    """Who can take what is left of an order now.

    Where nobody does, it waits for `wait_s`; where one of them says no for want of our money, for `dry_wait_s`. Who is
    left out, and why, is told by route: "alpha/7".
    """

    choices: tuple[Choice, ...] = ()
    wait_s: int = 0
    dry_wait_s: int = 0
    left_out: Mapping[str, str] = MappingProxyType({})


def left(
    catalog: Catalog,
    order: Order,
    fields: OrderFields,
    *,
    account: str,
    attempts: Sequence[Attempt],
    now: float,
    made: int | None = None,
    without: Collection[str] = (),
) -> Left:
    """The offers that can take an order, or its rest, for what its customer pays for that.

    `fields` order what is left of it after `attempts`, of which `made` has delivered its part just now. No panel of
    `without`, or of those that are not asked again, is among them.
    """
    service = catalog.sold_to(account, order.service)
    if service is None or service.type != order.type:
        return Left()
    not_again = {*avoided(attempts, made=made), *without}
    parts = service.split - sum(one.remote_id is not None for one in attempts)
    promised = msgspec.structs.replace(
        service, refill=order.refill, cancel=order.cancel, never=service.never | not_again, split=max(parts, 1)
    )
    decision = _decided(catalog, promised, fields, _share(order, fields.units()), now, account)
    wait_s = service.wait_s if decision.dry else 0
    if decision.panic:  # money that is still ours is not risked at panels that fail
        return Left((), wait_s)
    left_out = {
        f"{out.panel}/{out.remote_service}": _NOT_AGAIN if out.panel in not_again else out.why
        for out in decision.left_out
    }
    return Left(decision.choices, wait_s, service.wait_s, left_out)


def _share(order: Order, units: int) -> Decimal:
    """What its customer pays for `units` of an order; a little generous, so that no rounding keeps a rest from being
    bought.
    """
    share = money.steps(order.charge) * units // order.units + _ROUNDED
    return order.charge if units == order.units else min(money.amount(share), order.charge)


def avoided(attempts: Sequence[Attempt], *, made: int | None = None) -> frozenset[str]:
    """The panels that are not asked again for what is left of an order.

    Those that refused, but for want of our money, that fell short, or of which nobody knew what they did. One that
    delivered its part may make another one. `made`: the attempt that has delivered its part just now.
    """
    panels = set()
    for one, after in zip_longest(attempts, attempts[1:]):
        match one.state:
            case AttemptState.ACCEPTED:
                due = one.later if after is None else after.units + after.later
                whole = one.id == made or (one.passed_on and due == one.later)
            case AttemptState.REFUSED:
                whole = one.reason == Reason.FUNDS.value
            case state:
                whole = state is AttemptState.NOT_SENT
        if not whole:
            panels.add(one.panel)
    return frozenset(panels)


def following(
    catalog: Catalog, choice: Choice, fields: OrderFields, left_out: Mapping[str, str] = MappingProxyType({})
) -> Next:
    """A choice as the ledger keeps it, with what it takes now, in our currency and in the panel's own."""
    panel = catalog.panel(choice.panel)
    row = None if panel is None else panel.rows.get(choice.remote_service)
    part = choice.part
    remote_cost = None
    if row is not None:
        remote_cost = row.rate if fields.type in PER_ORDER else row.rate * (part or fields.units()) / 1000
    return Next(
        panel=choice.panel,
        remote_service=choice.remote_service,
        cost=cost_of(choice, fields),
        remote_cost=remote_cost,
        settle_s=300 if panel is None else panel.rules.settle_s,
        part=part,
        left_out=left_out,
    )


def cost_of(choice: Choice, fields: OrderFields) -> Decimal:
    """What is bought now takes of us: all that `fields` order, or the part of it that the choice begins with."""
    return choice.cost if choice.part is None else money.up(choice.cost * choice.part / fields.units())


def partial(fields: OrderFields, units: int | None) -> OrderFields:
    """The fields that order `units` of what others order; None = all of it."""
    return fields if units is None else msgspec.structs.replace(fields, quantity=units)


def bounded(fields: OrderFields, rules: Rules) -> OrderFields:
    """A subscription without a limit is bought as one of so many posts: a prepaid balance carries no open end.

    `posts` left out means no limit, and so does 0 alone; 0 beside `old_posts` means old posts only.
    """
    no_limit = isinstance(fields, Subscriptions) and (fields.posts is None or not (fields.posts or fields.old_posts))
    if no_limit:
        return msgspec.structs.replace(fields, posts=rules.subscription_posts)
    return fields


def charged(service: Service, fields: OrderFields) -> Decimal:
    """What an order takes from its account, in our currency; BadForm where no account could pay so much."""
    charge = money.price(service.rate, fields.units(), per_order=service.type in PER_ORDER)
    if charge >= money.LIMIT:
        raise BadForm("Incorrect quantity")
    return charge


def resized(order: Order, units: int) -> OrderFields | None:
    """The fields that order `units` of it: all of it, or a rest; None where a rest cannot be ordered by itself."""
    fields = msgspec.json.decode(order.fields, type=TYPES[order.type])
    if units == order.units:
        return fields
    if getattr(fields, "quantity", None) is None or getattr(fields, "runs", None) is not None or units <= 0:
        return None
    return msgspec.structs.replace(fields, quantity=units)


def _decided(  # noqa: PLR0917 - what a decision goes by
    catalog: Catalog,
    service: Service,
    fields: OrderFields,
    charge: Decimal,
    now: float | None,
    account: str,
    minute: int | None = None,
    draw: str | None = None,
) -> Decision:
    """`now` None: as if all panels were well."""
    offers = catalog.offers(service, 0.0 if now is None else now)
    if now is None:
        offers = [replace(offer, closed=True, ramp=1.0, stopped="", score=1.0, funds=None) for offer in offers]
    divisible = service.type in DIVISIBLE and getattr(fields, "runs", None) is None
    wanted = Wanted(
        fields=fields,
        charge=charge,
        parts=service.split if divisible else 1,
        refill=service.refill,
        cancel=service.cancel,
        min_margin=service.min_margin,
        max_rate=service.max_rate,
        only=service.only,
        never=service.never,
        facts=Facts(
            account=account,
            service=service.id,
            category=service.category,
            name=service.name,
            minute=minute_of_week(catalog.now_ms()) if minute is None else minute,
        ),
        draw=f"{random.getrandbits(64):x}" if draw is None else draw,
    )
    return decide(offers, wanted, service.policy, rules=catalog.rules.version)
