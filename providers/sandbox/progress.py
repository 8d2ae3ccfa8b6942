"""How an order moves: a plan drawn once, and its state at any time as a pure function of the clock."""

from decimal import ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from providers.sandbox.chance import between, draw
from providers.service_types import OrderFields

STEP: Final = Decimal("0.00001")
"""The finest amount the sandbox keeps."""

OPEN: Final = frozenset({"Pending", "In progress", "Processing", "Active", "Paused", "Awaiting"})
"""Words of orders that still move; every other one ends an order."""

_GIVEN_BACK: Final = frozenset({"Canceled", "Cancelled", "Refunded", "Fail"})


class Tempo(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a panel works: spans in seconds of its clock, from which each order draws its own.

    Attributes:
        pending: from the order to its first unit.
        work: from the first unit to the last.
        cancel: from a request to cancel to the end of the order.
        refill: each of the two steps of a refill.
        post: between two posts of an account that a subscription follows.
        minute: seconds in a minute of `interval` and `delay`.
    """

    pending: tuple[float, float] = (2, 20)
    work: tuple[float, float] = (20, 120)
    cancel: tuple[float, float] = (1, 5)
    refill: tuple[float, float] = (5, 30)
    post: tuple[float, float] = (60, 600)
    minute: float = 60


class Temper(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong after a panel has taken an order: shares from 0 to 1."""

    partial: float = 0
    canceled: float = 0
    refill_rejected: float = 0


FIELD: Final = Temper(partial=0.018, canceled=0.057, refill_rejected=0.2)
"""The shares seen in the field."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will become of an order; times are of the panel's clock.

    Attributes:
        starts: the first unit.
        until: the last unit: `delivered` units by then, evenly.
        ends: when the status becomes `outcome`.
        runs: how many runs of a drip-feed will be made, `step` seconds apart; 0 for other orders.
        is_subscription: Active until it ends; `runs` are its posts.
    """

    starts: float
    until: float
    ends: float
    outcome: str
    delivered: int
    start_count: int = 0
    runs: int = 0
    step: float = 0
    is_subscription: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An order now."""

    status: str
    start_count: int
    remains: int
    runs: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


def plan(order: OrderFields, now: float, tempo: Tempo, temper: Temper, *, seed: int, remote_id: int) -> Plan:
    """What will become of an order placed `now`."""
    starts = now + between(tempo.pending, seed, remote_id, "pending")
    work = between(tempo.work, seed, remote_id, "work")
    units, runs = order.units(), getattr(order, "runs", None) or 0
    step = (getattr(order, "interval", None) or 0) * tempo.minute
    outcome, made = _fate(max(runs, 1) if runs else units, temper, seed, remote_id)
    ends = starts + work + step * max(made - 1, 0) if runs else starts + work
    return Plan(
        starts=starts,
        until=ends,
        ends=ends,
        outcome=outcome,
        delivered=made * order.size() if runs else made,
        start_count=int(draw(seed, order.link, "start") * 5000) + 1,
        runs=made if runs else 0,
        step=step,
    )


def _fate(parts: int, temper: Temper, seed: int, remote_id: int) -> tuple[str, int]:
    """The word an order ends with, and how many of its parts are delivered."""
    luck = draw(seed, remote_id, "fate")
    if luck < temper.canceled:
        return "Canceled", 0
    if luck < temper.canceled + temper.partial and parts > 1:
        return "Partial", 1 + int(draw(seed, remote_id, "part") * (parts - 1))
    return "Completed", parts


def delivered(plan: Plan, size: int, now: float) -> int:
    """Units delivered by `now`; `size` is the units of one run."""
    if now >= plan.until:
        return plan.delivered
    if now < plan.starts:
        return 0
    if plan.runs:
        return size * min(_begun(plan, now) - 1, plan.runs)
    return int(plan.delivered * (now - plan.starts) / (plan.until - plan.starts))


def _begun(plan: Plan, now: float) -> int:
    if now < plan.starts:
        return 0
    return min(plan.runs, 1 + int((now - plan.starts) / plan.step)) if plan.step else plan.runs


def state(plan: Plan, units: int, size: int, now: float) -> State:
    """The order of `plan` at `now`."""
    if now >= plan.ends:
        status = plan.outcome
    elif plan.is_subscription:
        status = "Active"
    else:
        status = "Pending" if now < plan.starts else "In progress"
    return State(
        status=status,
        start_count=0 if now < plan.starts else plan.start_count,
        remains=units - delivered(plan, size, now),
        runs=_begun(plan, now),
    )


def stopped(plan: Plan, units: int, size: int, now: float, within: float) -> Plan:
    """The plan of an order that is asked to stop at `now` and ends soon after, before its natural end.

    A run of a drip-feed that has begun is made to its end.
    """
    if plan.is_subscription:
        return msgspec.structs.replace(plan, until=now, ends=now + within, outcome="Canceled")
    runs = _begun(plan, now)
    made = runs * size if plan.runs else delivered(plan, size, now)
    if plan.runs and runs == plan.runs:
        return plan
    return msgspec.structs.replace(
        plan,
        until=now,
        ends=now + min(within, (plan.ends - now) / 2),
        outcome=("Partial" if made < units else "Completed") if made else "Canceled",
        delivered=made,
        runs=runs,
    )


def refund(charge: Decimal, status: str, remains: int, units: int) -> Decimal:
    """What is given back of `charge` for an order that ended so; rounded down.

    >>> refund(Decimal("0.90"), "Partial", 157, 1000), refund(Decimal("0.90"), "Canceled", 0, 1000)
    (Decimal('0.14130'), Decimal('0.90'))
    """
    if status in _GIVEN_BACK:
        return charge
    if status != "Partial":
        return Decimal(0)
    share = Decimal(min(max(remains, 0), units)) / max(units, 1)
    return (charge * share).quantize(STEP, ROUND_FLOOR)
