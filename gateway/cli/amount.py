"""Amounts on the command line."""

from decimal import Decimal, InvalidOperation

import click

from gateway.money import steps


class Amount(click.ParamType[Decimal]):
    """Money in plain digits, at most six decimals; `signed` = may be below zero."""

    name = "amount"

    def __init__(self, *, signed: bool = False) -> None:
        self._signed = signed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
            steps(amount)
        except (InvalidOperation, ValueError, OverflowError):
            self.fail(f'"{value}" is not an amount like 100 or 12.50, with at most 6 decimals', param, ctx)
        if amount < 0 and not self._signed:
            self.fail(f'"{value}" is below zero', param, ctx)
        return amount
