"""An order and its attempts, as far as what they are depends on what they were."""

from decimal import Decimal
from typing import Final

import msgspec

from gateway.ledger.delivery import Standing
from gateway.ledger.records import AttemptState
from gateway.money import amount
from providers.base import FINISHED

OPEN: Final = frozenset({AttemptState.SENDING, AttemptState.UNKNOWN})
"""The panel may have taken it, and nobody knows."""

BOUGHT: Final = frozenset({AttemptState.ACCEPTED, AttemptState.UNTRACKED})


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt, as far as its order depends on it: `units` to deliver, and `later` ones that come after them.

    Attributes:
        lost: units that counted as delivered when the order went on, and that its panel gave back after that: nobody
            makes them any more.
    """

    id: int
    panel: str
    units: int
    later: int = 0
    state: AttemptState = AttemptState.SENDING
    remote_id: str | None = None
    passed_on: bool = False
    lost: int = 0

    @property
    def live(self) -> bool:
        return self.state in OPEN or (self.state in BOUGHT and not self.passed_on)

    @property
    def due(self) -> int:
        """Units of the order that were not delivered when it began."""
        return self.units + self.later


class Life(Standing, frozen=True, kw_only=True):
    """An order and its attempts. `sold`: its charge was taken, and is no longer only held."""

    sold: bool = False
    tries: tuple[Try, ...] = ()

    @property
    def live(self) -> Try | None:
        """The attempt that may have bought, or bought and still counts."""
        return next((one for one in self.tries if one.live), None)

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self.tries)

    @property
    def held(self) -> Decimal:
        return amount(0) if self.sold else self.charge

    @property
    def waits(self) -> int:
        """Units that nobody makes and that are still to be bought; 0 where somebody does, or the order has ended."""
        if self.status in FINISHED or self.live is not None:
            return 0
        last = self.tries[-1] if self.tries else None
        if last is None or last.passed_on:
            return self.remains - self.lost
        return last.due
