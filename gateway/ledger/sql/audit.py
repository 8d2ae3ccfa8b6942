"""The ledger added up from its entries, and everything that does not agree with them, in words."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.ledger.records import LedgerError
from gateway.ledger.reports import Replay, Totals
from gateway.ledger.sql import lives
from gateway.ledger.sql.work import Work
from gateway.money import amount

_SHOWN: Final = 20  # findings of one kind that are told; a ledger this wrong needs no longer list

_COUNTS = (
    "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM entry), (SELECT COALESCE(SUM(amount), 0) FROM entry)"
)
_ATTEMPTS = "SELECT state, COUNT(*) FROM attempt GROUP BY state"
_BOOKS = """
    SELECT t.account, e.book, SUM(e.amount) FROM entry AS e JOIN transfer AS t ON t.id = e.transfer
    GROUP BY t.account, e.book ORDER BY t.account"""
_ACCOUNTS = "SELECT id, unlimited, available, held, sales, topups FROM account ORDER BY id"

_UNEVEN = """
    SELECT t.id, COUNT(e.amount), COALESCE(SUM(e.amount), 0)
    FROM transfer AS t LEFT JOIN entry AS e ON e.transfer = t.id
    GROUP BY t.id HAVING COUNT(e.amount) <> 2 OR SUM(e.amount) <> 0 ORDER BY t.id LIMIT ?"""
_ASTRAY = """
    SELECT t.id, t.order_id FROM transfer AS t JOIN orders AS o ON o.id = t.order_id
    WHERE t.account <> o.account ORDER BY t.id LIMIT ?"""
_REFUNDED = "SELECT id, charge, refunded FROM orders WHERE refunded < 0 OR refunded > charge ORDER BY id LIMIT ?"
_STATES = """
    SELECT o.id, o.status, a.state FROM orders AS o LEFT JOIN attempt AS a ON a.order_id = o.id AND
    (a.state IN ('sending', 'unknown', 'untracked') OR (a.state = 'accepted' AND a.passed_on = 0))
    LEFT JOIN waiting AS w ON w.order_id = o.id
    WHERE (a.state IS NULL AND o.status NOT IN ('Canceled', 'Partial') AND w.order_id IS NULL)
       OR (w.order_id IS NOT NULL AND (a.state IS NOT NULL OR o.status NOT IN ('Pending', 'In progress')))
       OR (a.state IN ('sending', 'unknown') AND o.status NOT IN ('Pending', 'In progress', 'Canceled'))
    ORDER BY o.id LIMIT ?"""
_SOLD = """
    SELECT o.id, o.sold FROM orders AS o WHERE o.sold <> CASE WHEN EXISTS (
        SELECT 1 FROM attempt AS a WHERE a.order_id = o.id AND a.state IN ('accepted', 'untracked')
    ) THEN 1 ELSE 0 END ORDER BY o.id LIMIT ?"""
_MONEY = """
    SELECT o.id, o.status, COALESCE(m.held, 0), COALESCE(m.sales, 0),
           CASE WHEN o.sold = 1 THEN 0 ELSE o.charge END, CASE WHEN o.sold = 1 THEN o.charge - o.refunded ELSE 0 END
    FROM orders AS o
    LEFT JOIN (
        SELECT t.order_id, SUM(CASE WHEN e.book = 'held' THEN e.amount ELSE 0 END) AS held,
               SUM(CASE WHEN e.book = 'sales' THEN e.amount ELSE 0 END) AS sales
        FROM entry AS e JOIN transfer AS t ON t.id = e.transfer WHERE t.order_id IS NOT NULL GROUP BY t.order_id
    ) AS m ON m.order_id = o.id
    WHERE COALESCE(m.held, 0) <> CASE WHEN o.sold = 1 THEN 0 ELSE o.charge END
       OR COALESCE(m.sales, 0) <> CASE WHEN o.sold = 1 THEN o.charge - o.refunded ELSE 0 END
       OR (o.status = 'Canceled' AND o.charge > 0 AND o.charge >= o.units AND o.refunded = 0)
    ORDER BY o.id LIMIT ?"""
_HISTORIES = """
    SELECT e.order_id, e.word FROM event AS e
    WHERE e.word IS NOT NULL AND e.order_id > ? ORDER BY e.order_id, e.id LIMIT ?"""
_ALL = "SELECT COUNT(*) FROM orders"
_PAGE: Final = 5_000


def replayed() -> Work[Replay]:
    """Every order told anew from the words of its history, held against what stands in its row."""
    wrong: list[str] = []
    orders, last = 0, 0
    while True:
        rows = yield _HISTORIES, (last, _PAGE)
        histories: dict[int, list[str]] = {}
        for order, word in rows:
            histories.setdefault(order, []).append(word)
        if len(rows) == _PAGE and len(histories) > 1:
            histories.popitem()  # the page may end in the middle of it
        for order, words in histories.items():
            last = order
            if not words[0].startswith('{"word":"begun"'):
                continue  # begun before histories kept enough
            orders += 1
            kept = yield from lives.of_order(order)
            try:
                anew = lives.told_anew(words)
            except (LedgerError, msgspec.MsgspecError, ValueError) as error:
                wrong.append(f"order {order}: its history cannot be told: {error}")
                continue
            if anew != kept.life:
                wrong.append(f"order {order}: its history tells {lives.difference(anew, kept.life)}")
        if not histories:
            [(all_orders,)] = yield _ALL, ()
            return Replay(orders=orders, older=all_orders - orders, wrong=tuple(wrong))


def totals() -> Work[Totals]:
    [(orders, entries, total)] = yield _COUNTS, ()
    attempts = yield _ATTEMPTS, ()
    books = {(account, book): int(balance) for account, book, balance in (yield _BOOKS, ())}
    wrong = [*(yield from _balances(books)), *(yield from _transfers()), *(yield from _orders())]
    if total:
        wrong.insert(0, f"entries: their sum is {amount(int(total))}")
    return Totals(
        orders=orders,
        attempts=dict(attempts),
        entries=entries,
        sum=amount(int(total)),
        books={name: amount(balance) for name, balance in _named(books).items()},
        wrong=tuple(wrong),
    )


def _named(books: Mapping[tuple[int, str], int]) -> Mapping[str, int]:
    """Books under their names; sales and topups are one for all accounts."""
    named: dict[str, int] = {"sales": 0, "topups": 0}
    for (account, book), balance in books.items():
        name = book if book in named else f"{book}:{account}"
        named[name] = named.get(name, 0) + balance
    return named


def _balances(books: Mapping[tuple[int, str], int]) -> Work[Sequence[str]]:
    """Every balance that is kept, held against the sum of its entries."""
    wrong = []
    for account, unlimited, *kept in (yield _ACCOUNTS, ()):
        for book, balance in zip(("available", "held", "sales", "topups"), kept, strict=True):
            entries = books.get((account, book), 0)
            if balance != entries:
                wrong.append(f"account {account}: {book} is {amount(balance)}, its entries say {amount(entries)}")
        available, held = kept[0], kept[1]
        if held < 0 or (available < 0 and not unlimited):
            wrong.append(f"account {account}: below zero")
    return wrong


def _transfers() -> Work[Sequence[str]]:
    uneven = yield _UNEVEN, (_SHOWN,)
    astray = yield _ASTRAY, (_SHOWN,)
    return [
        *(f"transfer {id}: its {entries} entries sum to {amount(int(total))}" for id, entries, total in uneven),
        *(f"transfer {id}: not of the account of order {order}" for id, order in astray),
    ]


def _orders() -> Work[Sequence[str]]:
    refunded = yield _REFUNDED, (_SHOWN,)
    states = yield _STATES, (_SHOWN,)
    money = yield _MONEY, (_SHOWN,)
    sold = yield _SOLD, (_SHOWN,)
    return [
        *(f"order {id}: {'sold' if was else 'not sold'}, and its attempts say otherwise" for id, was in sold),
        *(f"order {id}: {amount(back)} refunded of {amount(charge)}" for id, charge, back in refunded),
        *(f"order {id}: {status} with {state or 'no'} attempt open" for id, status, state in states),
        *(
            f"order {id}: {status}, holds {amount(int(held))} for {amount(hold)}, "
            f"sold for {amount(int(sales))} where {amount(sale)} is right"
            for id, status, held, sales, hold, sale in money
        ),
    ]
