"""A ledger of the first schema, with orders of every kind in it, brought up to date."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger.records import Accepted, AttemptState, Fail, NotPlaced
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sqlite import schema
from gateway.ledger.sqlite.database import SQLite
from providers.base import OrderStatus
from tests.test_ledger.samples import Clock, told

pytestmark = pytest.mark.anyio

OLD_MS = 1_690_000_000_000

KINDS: list[tuple[str, int, str, int, list[tuple[str, str | None]]]] = [
    # status, charge, refunded in steps; attempts: state, remote id
    ("Pending", 500_000, "0", 1, [("unknown", None)]),
    ("Pending", 500_000, "0", 1, [("sending", None)]),
    ("In progress", 500_000, "0", 0, [("refused", None), ("accepted", "r3")]),
    ("Completed", 500_000, "0", 0, [("accepted", "r4")]),
    ("Partial", 500_000, "200000", 0, [("accepted", "r5")]),
    ("Canceled", 0, "0", 0, [("not_sent", None), ("refused", None)]),
]


def old_ledger(path: Path) -> None:
    """What the program before this one left behind."""
    db = sqlite3.connect(path, isolation_level=None)
    schema.migrate(db, path, schema.migrations()[:1], OLD_MS)
    db.execute("INSERT INTO counter VALUES ('order', 1000), ('refill', 1000)")
    db.execute("INSERT INTO meta VALUES ('currency', 'USD')")
    held = sum(charge for _, charge, _, is_held, _ in KINDS if is_held)
    sales = sum(charge - int(refunded) for _, charge, refunded, is_held, _ in KINDS if not is_held)
    db.execute(
        "INSERT INTO account (id, name, unlimited, available, held, sales, topups, created_ms)"
        " VALUES (1, 'shop', 0, ?, ?, ?, ?, ?)",
        (10_000_000 - held - sales, held, sales, -10_000_000, OLD_MS),
    )
    _moved(db, None, "topup", {"available": 10_000_000, "topups": -10_000_000})
    attempt = 0
    for number, (status, charge, refunded, is_held, attempts) in enumerate(KINDS, 1):
        db.execute(
            "INSERT INTO orders (id, account, service, type, link, fields, quantity, units, charge, refunded, status,"
            " remains, children, refill, cancel, decision, created_ms, updated_ms)"
            " VALUES (?, 1, 1, 'Default', 'l', '{}', 100, 100, ?, ?, ?, 40, '[]', 0, 1, '{}', ?, ?)",
            (number, charge, int(refunded), status, OLD_MS, OLD_MS + 60_000),
        )
        for state, remote_id in attempts:
            attempt += 1
            db.execute(
                "INSERT INTO attempt (id, order_id, panel, remote_service, state, cost, remote_id, remote_charge,"
                " reason, evidence, created_ms, settled_ms, next_check_ms)"
                " VALUES (?, ?, 'alpha', '7', ?, 400000, ?, ?, NULL, '{}', ?, ?, ?)",
                (
                    attempt,
                    number,
                    state,
                    remote_id,
                    "0.4" if remote_id else None,
                    OLD_MS,
                    None if state in {"unknown", "sending"} else OLD_MS + 1000,
                    OLD_MS + 5000 if remote_id and status == "In progress" else None,
                ),
            )
            db.execute(
                "INSERT INTO event (order_id, attempt, at_ms, what, evidence) VALUES (?, ?, ?, ?, '{\"old\":1}')",
                (number, attempt, OLD_MS, state),
            )
        if charge:
            _moved(db, number, "hold", {"available": -charge, "held": charge})
            if not is_held:
                _moved(db, number, "sale", {"held": -charge, "sales": charge})
            if int(refunded):
                _moved(db, number, "refund", {"sales": -int(refunded), "available": int(refunded)})
    db.close()


def _moved(db: sqlite3.Connection, order: int | None, what: str, books: dict[str, int]) -> None:
    [(id,)] = db.execute(
        "INSERT INTO transfer (account, order_id, what, note, at_ms) VALUES (1, ?, ?, '', ?) RETURNING id",
        (order, what, OLD_MS),
    ).fetchall()
    db.executemany("INSERT INTO entry VALUES (?, ?, ?)", [(id, book, moved) for book, moved in books.items()])


async def test_orders_of_every_kind_go_on_after_the_tables_were_made_anew(path: Path) -> None:
    old_ledger(path)
    clock = Clock()
    ledger = SQLLedger(SQLite(path, busy_ms=50), clock)
    await ledger.open()
    try:
        assert (await ledger.totals()).wrong == ()
        assert await ledger.delivered() == ()
        replay = await ledger.replayed()
        assert (replay.orders, replay.older, replay.wrong) == (0, len(KINDS), ())
        assert (await ledger.recover()).unknown == 1
        unknown = await ledger.unknown_attempts()
        assert [(one.order, one.settle_ms) for one in unknown] == [(1, OLD_MS + 300_000), (2, OLD_MS + 300_000)]
        assert all(one.next_ms is not None and one.next_ms <= clock.ms for one in unknown), "evidence is sought"
        assert [(one.order, one.remote_id) for one in await ledger.due("alpha")] == [(3, "r3")]
        orders = {order.id: order for order in await ledger.list_orders()}
        assert {id for id, order in orders.items() if order.sold} == {3, 4, 5}
        await ledger.settle(unknown[0].id, NotPlaced(), Fail(why="looked"))
        await ledger.settle(unknown[1].id, Accepted(remote_id="r9"))
        [third] = [one for one in await ledger.attempts(3) if one.state is AttemptState.ACCEPTED]
        assert third.taken == Decimal("0.4")
        done = await ledger.observe(third.id, told(OrderStatus.PARTIAL, remains=50), next_ms=None)
        assert done.refunded == Decimal("0.25")
        assert [event.evidence for event in await ledger.events(4)] == ['{"old":1}']
        assert (await ledger.totals()).wrong == ()
        assert (await ledger.replayed()).wrong == ()
    finally:
        await ledger.close()


async def test_how_long_orders_take_is_still_known_after_the_tables_were_made_anew(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    schema.migrate(db, path, schema.migrations()[:2], OLD_MS)
    db.execute("INSERT INTO usual (panel, remote_service, orders, seconds) VALUES ('alpha', '7', 3, 600)")
    db.close()
    ledger = SQLLedger(SQLite(path, busy_ms=50), Clock())
    await ledger.open()
    try:
        [known] = await ledger.delivered()
        assert (known.panel, known.remote_service, known.orders, known.seconds) == ("alpha", "7", 0, 600)
    finally:
        await ledger.close()
