"""Money from one book of an account to another: the account's row, the transfer, and its two entries.

The four balances of an account stand in its own row and are changed by one conditional statement, which no two
transactions can pass with the same money. The ledger's `sales` and `topups` are the sums over all accounts.
"""

from typing import Final, Literal

from gateway.ledger.records import NotEnough, WrongState
from gateway.ledger.sql.work import Work

Book = Literal["available", "held", "sales", "topups"]
What = Literal["topup", "hold", "sale", "release", "refund"]

MOVE: Final = """
    UPDATE account SET available = available + ?, held = held + ?, sales = sales + ?, topups = topups + ?
    WHERE id = ? AND (unlimited = 1 OR available + ? >= 0) RETURNING available"""
MOVEMENT: Final = """
    INSERT INTO movement (account, order_id, what, note, at_ms, source, target, amount)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
"""A transfer with its two entries."""
_EXISTS = "SELECT available FROM account WHERE id = ?"


def move(account: int, amount: int, *, source: Book, target: Book) -> Work[int]:
    """Change the balances by `amount` steps; gives what is available then. `record` must follow.

    Raises:
        NotEnough: the account has a limit, and its available balance does not carry it.
        WrongState: there is no such account.
    """
    change = {"available": 0, "held": 0, "sales": 0, "topups": 0}
    change[source] -= amount
    change[target] += amount
    rows = yield MOVE, (*change.values(), account, change["available"])
    if rows:
        return int(rows[0][0])
    if not (yield _EXISTS, (account,)):
        raise WrongState(f"account {account}: not there")
    raise NotEnough(f"account {account}: its balance does not carry the amount")


def record(
    account: int,
    amount: int,
    *,
    source: Book,
    target: Book,
    what: What,
    now_ms: int,
    order: int | None = None,
    note: str = "",
) -> Work[None]:
    """Write the transfer that a `move` of the same transaction made. Nothing moved, nothing written."""
    if amount:
        yield MOVEMENT, (account, order, what, note, now_ms, source, target, amount)
