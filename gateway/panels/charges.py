"""What orders took at a panel, beside what its list said that they would.

A service that took more of us in three orders, none between them as listed, rests for an hour, or until the list has
another rate for it. One order alone proves nothing: an id may be another order's.
"""

from decimal import Decimal
from typing import Final

from gateway.money import wire

ORDERS: Final = 3
REST_S: Final = 3_600.0

_MUCH: Final = Decimal("1.05")  # so much more than listed is more than a rounding
_CENTS: Final = Decimal("0.02")  # panels round up to a cent or two


class Charges:
    """By service of one panel."""

    def __init__(self) -> None:
        self._dear: dict[str, set[int]] = {}  # the attempts that took too much, of late
        self._resting: dict[str, tuple[Decimal, float, str]] = {}  # the rate listed then, until when, why

    def told(
        self, remote_service: str, attempt: int, expected: Decimal, charge: Decimal, *, rate: Decimal, now: float
    ) -> str:
        """Take in what one attempt took; gives why the service rests, if that begins now."""
        if charge <= max(expected * _MUCH, expected + _CENTS):
            self._dear.pop(remote_service, None)
            return ""
        if self.resting(remote_service, rate, now):
            return ""
        dear = self._dear.setdefault(remote_service, set())
        dear.add(attempt)
        if len(dear) < ORDERS:
            return ""
        del self._dear[remote_service]
        why = f"{ORDERS} orders took more than its list says, the last {wire(charge)} for {wire(expected)}"
        self._resting[remote_service] = (rate, now + REST_S, why)
        return why

    def resting(self, remote_service: str, rate: Decimal | None, now: float) -> str:
        """Why the service rests, at its rate of now; empty where it does not."""
        known = self._resting.get(remote_service)
        if known is None:
            return ""
        if known[0] == rate and now < known[1]:
            return known[2]
        del self._resting[remote_service]
        return ""
