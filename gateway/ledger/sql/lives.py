"""The life of an order between the database and `life`: loaded, changed by one word, written back with that word.

The money that moves follows from the two lives, the one before and the one after; nothing else moves any.
"""

from decimal import Decimal
from typing import Final

import msgspec

from gateway.ledger import life
from gateway.ledger.delivery import Unclear
from gateway.ledger.life import Life, Try, Word
from gateway.ledger.records import AttemptState, WrongState
from gateway.ledger.sql import books, spending
from gateway.ledger.sql.work import LOCKED, Row, Work, json
from gateway.money import amount, steps
from providers.base import OrderStatus

_LIFE: Final = """
    SELECT o.id, o.account, o.type, o.quantity, o.units, o.charge, o.refunded, o.status, o.start_count, o.remains,
           o.runs, o.posts, o.expiry, o.children, o.sold
    FROM orders AS o """
_OF_ORDER = _LIFE + "WHERE o.id = ?" + LOCKED
OF_ATTEMPT: Final = _LIFE + "JOIN attempt AS a ON a.order_id = o.id WHERE a.id = ?" + LOCKED
_TRIES = "SELECT id, panel, units, later, state, remote_id, passed_on, lost FROM attempt WHERE order_id = ? ORDER BY id"
CHANGE: Final = """
    UPDATE orders SET status = ?, charge = ?, refunded = ?, sold = ?, start_count = ?, remains = ?, runs = ?,
                      posts = ?, expiry = ?, children = ?, updated_ms = ?
    WHERE id = ?"""
LAST: Final = """
    SELECT MAX(COALESCE((SELECT MAX(id) FROM attempt), 0),
               COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'last_attempt'), 0))"""

_STATUSES: Final = {status.value: status for status in OrderStatus}
_STATES: Final = {state.value: state for state in AttemptState}
_WORDS: Final[msgspec.json.Decoder[Word]] = msgspec.json.Decoder(Word)


class Kept(msgspec.Struct, frozen=True):
    """An order's life as the ledger has it, and whose it is."""

    order: int
    account: int
    life: Life

    def attempt(self, id: int) -> Try:
        return next(one for one in self.life.tries if one.id == id)


def of_order(order: int) -> Work[Kept]:
    rows = yield _OF_ORDER, (order,)
    if not rows:
        raise WrongState(f"order {order}: not there")
    return (yield from _kept(rows[0]))


def of_attempt(attempt: int) -> Work[Kept]:
    rows = yield OF_ATTEMPT, (attempt,)
    if not rows:
        raise WrongState(f"attempt {attempt}: not there")
    return (yield from _kept(rows[0]))


def next_attempt() -> Work[int]:
    """The id of the attempt that is written next, for the word that comes before it."""
    [(last,)] = yield LAST, ()
    return int(last) + 1


def change(before: Kept, after: Life, now_ms: int) -> Work[None]:
    """Write an order as it is after a word, and move its money. Its attempts are written by who knows more of them."""
    old = before.life
    if _standing(old) != _standing(after):
        values = (
            after.status.value,
            steps(after.charge),
            steps(after.refunded),
            after.sold,
            after.start_count,
            after.remains,
            after.runs,
            after.posts,
            after.expiry,
            json(after.children),
            now_ms,
            before.order,
        )
        yield CHANGE, values
    if after.sold and not old.sold:
        yield from _moved(before, after.charge, ("held", "sales", "sale"), now_ms)
    elif not after.sold and after.charge != old.charge:
        yield from _moved(before, old.charge - after.charge, ("held", "available", "release"), now_ms)
    if after.refunded != old.refunded:
        yield from _moved(before, after.refunded - old.refunded, ("sales", "available", "refund"), now_ms)


def _moved(kept: Kept, moved: Decimal, way: tuple[books.Book, books.Book, books.What], now_ms: int) -> Work[None]:
    source, target, what = way
    number = steps(moved)
    yield from books.move(kept.account, number, source=source, target=target)
    if target == "available":
        yield from spending.back(kept.account, kept.order, number)
    yield from books.record(
        kept.account, number, source=source, target=target, what=what, now_ms=now_ms, order=kept.order
    )


def written(word: Word) -> str:
    return json(word)


def read(word: str) -> Word:
    return _WORDS.decode(word)


def told_anew(words: list[str]) -> Life:
    """The life that an order's words make of it, from the first."""
    first, *rest = map(read, words)
    if not isinstance(first, life.Begun):
        raise WrongState("its history does not begin with its beginning")
    now = life.begun(first)
    for word in rest:
        then = life.after(now, word)
        now = now if isinstance(then, Unclear) else then
    return now


def difference(told: Life, kept: Life) -> str:
    """Where two lives differ, in words."""
    return "; ".join(
        f"{name} {getattr(told, name)!r}, not {getattr(kept, name)!r}"
        for name in told.__struct_fields__
        if getattr(told, name) != getattr(kept, name)
    )


def _standing(one: Life) -> Life:
    return msgspec.structs.replace(one, tries=())


def _kept(row: Row) -> Work[Kept]:
    tries = yield _TRIES, (row[0],)
    children = row[13]
    return Kept(
        row[0],
        row[1],
        Life(
            type=row[2],
            quantity=row[3],
            units=row[4],
            charge=amount(row[5]),
            refunded=amount(row[6]),
            status=_STATUSES[row[7]],
            start_count=row[8],
            remains=row[9],
            runs=row[10],
            posts=row[11],
            expiry=row[12],
            children=() if children == "[]" else tuple(msgspec.json.decode(children, type=list[str])),
            sold=bool(row[14]),
            tries=tuple([_try(row) for row in tries]),
        ),
    )


def _try(row: Row) -> Try:
    id, panel, units, later, state, remote_id, passed_on, lost = row
    return Try(
        id=id,
        panel=panel,
        units=units,
        later=later,
        state=_STATES[state],
        remote_id=remote_id,
        passed_on=bool(passed_on),
        lost=lost,
    )
