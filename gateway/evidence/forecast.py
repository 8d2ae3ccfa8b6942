"""How long our money at a panel lasts, by what our orders took there of late. Pure."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.learned import Reading

_LOOK_BACK_MS: Final = 7 * 86_400_000
_LEAST_MS: Final = 3_600_000  # less than an hour says nothing of a day
_DAY_MS: Final = 86_400_000


def days_left(readings: Sequence[Reading], now_ms: int) -> float | None:
    """Days until nothing is left, at the pace of the last week; None where too little is known, or nothing is spent.

    `readings` are newest first.
    """
    of_late = [one for one in readings if one.at_ms >= now_ms - _LOOK_BACK_MS]
    if not of_late:
        return None
    newest, oldest = of_late[0], of_late[-1]
    took, over_ms = newest.taken - oldest.taken, newest.at_ms - oldest.at_ms
    if took <= 0 or over_ms < _LEAST_MS:
        return None
    left = newest.balance - took * (now_ms - newest.at_ms) / over_ms
    return max(float(left * over_ms / took), 0.0) / _DAY_MS
