"""Suspects as the rooms of evidence get them."""

from decimal import Decimal
from typing import Any

from gateway.ledger.learned import Reading
from gateway.ledger.records import Attempt, AttemptState, Suspicion


def suspect(
    id: int,
    cost: str | None = "1.00000",
    *,
    state: AttemptState = AttemptState.UNKNOWN,
    link: str = "https://x.example/p",
    fields: str = '{"link":"https://x.example/p","quantity":100}',
    **other: Any,
) -> Suspicion:
    """Attempt `id`, sent `id` seconds after the beginning of time, for 100 units at `cost`."""
    untracked = state is AttemptState.UNTRACKED
    values: dict[str, Any] = {
        "order": 1000 + id,
        "panel": "alpha",
        "remote_service": "7",
        "units": 100,
        "cost": Decimal(1),
        "remote_cost": None if cost is None else Decimal(cost),
        "taken": Decimal(cost) if untracked and cost is not None else None,
        "created_ms": id * 1000,
        "settle_ms": id * 1000 + 300_000,
        **other,
    }
    return Suspicion(attempt=Attempt(id=id, state=state, **values), type="Default", link=link, fields=fields)


def untracked(id: int, cost: str) -> Suspicion:
    return suspect(id, cost, state=AttemptState.UNTRACKED)


def reading(balance: str, taken: str) -> Reading:
    return Reading(
        panel="alpha",
        at_ms=0,
        balance=Decimal(balance),
        taken=Decimal(taken),
        unit=Decimal("0.01"),
        agreed=True,
        orders=0,
    )
