"""What an account's orders come to in a day and in a month, and the budget that they must stay within.

It is held in the transaction that writes the order, so that no two orders are placed on the last of it. Money that goes
back to the customer goes back to the budget of the day and month in which its order was placed.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from gateway.ledger.records import OverBudget
from gateway.ledger.sql.work import Work
from gateway.money import steps

_BEGIN: Final = """
    INSERT INTO spent (account, period, amount)
    SELECT ?, ?, COALESCE(SUM(charge - refunded), 0) FROM orders WHERE account = ? AND id >= ? AND created_ms >= ?
    ON CONFLICT (account, period) DO NOTHING"""
_HIGHEST: Final = "SELECT COALESCE(MAX(id), 0) FROM orders"
_FROM = "SELECT id, created_ms FROM orders WHERE id >= ? ORDER BY id LIMIT 1"
_KNOWN = "SELECT amount FROM spent WHERE account = ? AND period = ?"
_SPEND = "UPDATE spent SET amount = amount + ? WHERE account = ? AND period = ? AND amount + ? <= ? RETURNING amount"
BACK: Final = """
    UPDATE spent SET amount = CASE WHEN amount < ? THEN 0 ELSE amount - ? END
    WHERE account = ? AND (period = ? OR period = ?)"""
FORGET: Final = "DELETE FROM spent WHERE account = ? AND (period = ? OR period = ?)"
PLACED: Final = "SELECT created_ms FROM orders WHERE id = ?"
_DAY_MS: Final = 86_400_000


def day(now_ms: int) -> int:
    """The period of a day.

    >>> day(86_400_000)
    1
    """
    return now_ms // _DAY_MS


def month(now_ms: int) -> int:
    """The period of a month.

    >>> month(0), month(32 * 86_400_000)
    (-23640, -23641)
    """
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return -(at.year * 12 + at.month - 1)


def spend(account: int, charge: Decimal, by_day: Decimal | None, by_month: Decimal | None, now_ms: int) -> Work[None]:
    """Take a charge from the budgets that there are; OverBudget where one does not carry it.

    Of a period without a budget nothing is kept: should there be one again, all of its orders are added up anew.
    """
    if by_day is None or by_month is None:
        unheld = (None if by_day is not None else day(now_ms), None if by_month is not None else month(now_ms))
        yield FORGET, (account, *unheld)
    if by_day is None and by_month is None:
        return
    first_of_month = int(datetime.fromtimestamp(now_ms / 1000, UTC).replace(day=1).timestamp()) // 86_400 * _DAY_MS
    for budget, period, since_ms, word in (
        (by_day, day(now_ms), day(now_ms) * _DAY_MS, "day"),
        (by_month, month(now_ms), first_of_month, "month"),
    ):
        if budget is None:
            continue
        if not (yield _KNOWN, (account, period)):
            yield _BEGIN, (account, period, account, (yield from _first_since(since_ms)), since_ms)
        amount = steps(charge)
        if not (yield _SPEND, (amount, account, period, amount, int(budget * 10**6))):
            raise OverBudget(f"account {account}: its budget of {budget} a {word} does not carry {charge}")


def _first_since(since_ms: int) -> Work[int]:
    """An id below which all orders were placed before: ids rise with time, and no index on time is paid for."""
    [(highest,)] = yield _HIGHEST, ()
    low, high = 0, highest + 1
    while low < high:
        middle = (low + high) // 2
        rows = yield _FROM, (middle,)
        if rows and rows[0][1] < since_ms:
            low = rows[0][0] + 1
        else:
            high = middle
    return low


def back(account: int, order: int, amount: int) -> Work[None]:
    """Money of an order went back to its account."""
    [(placed_ms,)] = yield PLACED, (order,)
    yield BACK, (amount, amount, account, day(placed_ms), month(placed_ms))
