"""Amounts: `Decimal` everywhere, whole steps of 10⁻⁶ in the ledger, plain digits on the wire."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

STEP: Final = Decimal("0.000001")
"""The finest amount the ledger keeps."""

RATE_STEP: Final = Decimal("0.0001")
"""The finest rate customers are shown; shops in the field store no finer one."""

LIMIT: Final = Decimal(10) ** 12
"""No amount reaches this: it keeps every sum of the ledger inside 64 bits."""


def steps(amount: Decimal) -> int:
    """Whole ledger steps of `amount`; an amount between two steps is an error, not a rounding.

    >>> steps(Decimal("0.27819"))
    278190
    """
    scaled = amount / STEP
    if scaled != int(scaled) or abs(amount) >= LIMIT:
        raise ValueError(f"{amount} is not a whole number of steps of {STEP} below {LIMIT}")
    return int(scaled)


def amount(steps: int) -> Decimal:
    """The amount of so many ledger steps.

    >>> amount(278190)
    Decimal('0.278190')
    """
    return steps * STEP


def up(amount: Decimal, step: Decimal = STEP) -> Decimal:
    """Round up to a whole step, so that rounding never sells below cost."""
    return amount.quantize(step, ROUND_CEILING)


def down(amount: Decimal, step: Decimal = STEP) -> Decimal:
    """Round down to a whole step, so that rounding never gives back more than was taken."""
    return amount.quantize(step, ROUND_FLOOR)


def price(rate: Decimal, units: int, *, per_order: bool) -> Decimal:
    """Price `units` at `rate`, money per 1000 units or, `per_order`, per order; never less than one step.

    >>> price(Decimal("0.90"), 157, per_order=False)
    Decimal('0.141300')
    >>> price(Decimal("2.5"), 1, per_order=True)
    Decimal('2.500000')
    """
    exact = rate if per_order else rate * units / 1000
    rounded = exact.quantize(STEP, ROUND_CEILING)
    return max(rounded, STEP)


def wire(amount: Decimal) -> str:
    """Write an amount as the field does: plain digits, at least two decimals, no needless zeros.

    >>> wire(Decimal("0.278190")), wire(Decimal("100")), wire(Decimal("1E-6"))
    ('0.27819', '100.00', '0.000001')
    """
    text = f"{amount:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
