"""How an order is placed in a ledger that holds millions of them, beside an empty one; and how soon it is open.

    python -m tests.benchmarks.full --orders 10000000 --folder /var/tmp/full

Two databases in one PostgreSQL: one empty, one filled by the server itself with orders as they end in the field, each
with its attempt, three lines of history, two transfers and four entries. Then orders are placed and settled in both, in
turn, several rounds; the medians of the ratios count. At last whole gateways are started on the filled one, one after a
`kill -9` of the one before: from the start of the process until /readyz says yes.
"""

import argparse
import asyncio
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import asyncpg

import gateway.ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted
from tests.house import busy, house
from tests.servers import PostgreSQL
from tests.test_ledger.samples import funded, placement

_ROUNDS: Final = 5
_PLACED: Final = 2_000  # a round: 20 of them are slower than its p99
_TOGETHER: Final = 8
_PIECE: Final = 500_000
_FIRST: Final = 100_000
_RUN: Final = time.time_ns()  # a database that is used again knows the ids of the runs before

_ORDERS: Final = """
    INSERT INTO orders (id, account, service, type, link, fields, quantity, units, charge, status, remains, refill,
                        cancel, decision, created_ms, updated_ms, sold, fingerprint)
    SELECT $1 + 8 * n, 1, 1 + n % 500, 'Default', 'https://instagram.example/p/' || md5(n::TEXT),
           '{"link":"https://instagram.example/p/' || md5(n::TEXT) || '","quantity":1000}', 1000, 1000, 500000,
           'Completed', 0, 1, 1, repeat('{"policy":"cheapest","choices":[]}', 6), $3 + n, $3 + n, 1,
           decode(md5('f' || n::TEXT), 'hex')
    FROM generate_series($2::BIGINT, $2 + $4 - 1) AS n"""
_ATTEMPTS: Final = """
    INSERT INTO attempt (id, order_id, panel, remote_service, state, units, cost, remote_cost, remote_id, remote_charge,
                         taken, floor, epoch, created_ms, settle_ms, settled_ms, ended_ms)
    SELECT n, $1 + 8 * n, 'panel' || n % 5, '101', 'accepted', 1000, 400000, '0.40', (1000000 + n * 3)::TEXT, '0.40',
           '0.40', 1000000 + n * 3 - 15, 1, $3 + n, $3 + n + 300000, $3 + n + 200, $3 + n + 86400000
    FROM generate_series($2::BIGINT, $2 + $4 - 1) AS n"""
_REMOTE: Final = """
    INSERT INTO remote (panel, remote_id, order_id)
    SELECT 'panel' || n % 5, (1000000 + n * 3)::TEXT, $1 + 8 * n FROM generate_series($2::BIGINT, $2 + $4 - 1) AS n
    WHERE $3::BIGINT > 0"""
_EVENTS: Final = """
    INSERT INTO event (order_id, attempt, at_ms, what, evidence, word)
    SELECT $1 + 8 * n, n, $3 + n, kind.what, kind.evidence, kind.word
    FROM generate_series($2::BIGINT, $2 + $4 - 1) AS n CROSS JOIN (VALUES
        ('sending', '{"panel":"alpha"}',
         '{"word":"begun","type":"Default","quantity":1000,"units":1000,"charge":"0.5"}'),
        ('accepted', '{}', '{"word":"settled","outcome":{"outcome":"accepted","remote_id":"1","charge":"0.40"}}'),
        ('status', '{"word":"Completed","remains":0}', '{"word":"observed","status":{"status":"Completed"}}')
    ) AS kind (what, evidence, word)"""
_TRANSFERS: Final = """
    INSERT INTO transfer (id, account, order_id, what, note, at_ms)
    SELECT 10 + 2 * n + way.step, 1, $1 + 8 * n, way.what, '', $3 + n
    FROM generate_series($2::BIGINT, $2 + $4 - 1) AS n
    CROSS JOIN (VALUES (0, 'hold'), (1, 'sale')) AS way (step, what)"""
_ENTRIES: Final = """
    INSERT INTO entry (transfer, book, amount)
    SELECT 10 + 2 * n + way.step, way.book, way.amount
    FROM generate_series($2::BIGINT, $2 + $4 - 1) AS n CROSS JOIN (VALUES
        (0, 'available', -500000), (0, 'held', 500000), (1, 'held', -500000), (1, 'sales', 500000)
    ) AS way (step, book, amount) WHERE $1::BIGINT > 0 AND $3::BIGINT > 0"""
_BOOKS: Final = """
    UPDATE account SET available = available - $1::BIGINT * 500000, sales = sales + $1::BIGINT * 500000 WHERE id = 1"""
_NEXT: Final = """
    SELECT setval('order_ids', $1), setval('attempt_ids', $2), setval(pg_get_serial_sequence('transfer', 'id'), $3)"""

_RUNS_BEFORE: Final = (  # on the same databases: they killed their gateways, and their panels gave the same ids
    "UPDATE node SET ended_ms = 0 WHERE ended_ms IS NULL",
    "DELETE FROM remote WHERE panel IN ('p0', 'p1')",
    "DELETE FROM panel WHERE name IN ('p0', 'p1')",
)


async def fill(connection: Any, orders: int) -> None:
    """So many orders of the first account; tells how far it is."""
    await connection.execute("SET session_replication_role = replica")  # triggers would say each row anew
    await connection.execute("SELECT ledger_ranges($1)", _FIRST + 8 * orders + 16_777_216)
    begun_ms, began = time.time_ns() // 1_000_000 - 400 * 86_400_000, time.monotonic()
    for start in range(1, orders + 1, _PIECE):
        size = min(_PIECE, orders + 1 - start)
        for statement in (_ORDERS, _ATTEMPTS, _REMOTE, _EVENTS, _TRANSFERS, _ENTRIES):
            await connection.execute(statement, _FIRST, start, begun_ms, size)
        print(f"{start - 1 + size:,} orders after {time.monotonic() - began:.0f} s", flush=True)
    await connection.execute(_BOOKS, orders)
    await connection.fetch(_NEXT, _FIRST + 8 * orders + 8, orders + 1, 10 + 2 * orders + 10)
    await connection.execute("ANALYZE")


async def opened(url: str) -> tuple[Ledger, float]:
    began = time.perf_counter()
    ledger = gateway.ledger.ledger(url)
    await ledger.open()
    await ledger.join("benchmark")
    return ledger, time.perf_counter() - began


async def left(ledger: Ledger) -> None:
    """In good order: who comes next does not have to find out that nobody is there."""
    await ledger.stopped()
    await ledger.close()


async def placed(ledger: Ledger, account: Any, round: int) -> list[float]:
    """Place and settle `_PLACED` orders, `_TOGETHER` at a time; the seconds that each took, sorted."""
    took: list[float] = []

    async def shop(number: int) -> None:
        for turn in range(_PLACED // _TOGETHER):
            link = f"https://instagram.example/p/{round}-{number}-{turn}"
            began = time.perf_counter()
            done = await ledger.place(placement(account, link=link, fingerprint=link.encode()[-16:].rjust(16)))
            assert done.attempt is not None
            await ledger.settle(done.attempt, Accepted(remote_id=f"{_RUN}-{round}-{number}-{turn}"))
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(shop(number) for number in range(_TOGETHER)))
    return sorted(took)


async def compared(empty: str, full: str) -> list[str]:
    first, empty_s = await opened(empty)
    second, full_s = await opened(full)
    accounts = [await ledger.account("shop") for ledger in (first, second)]
    ratios: dict[str, list[float]] = {"p50": [], "p99": []}
    p99s: list[float] = []
    for round in range(_ROUNDS + 1):
        base = await placed(first, accounts[0], round)
        ours = await placed(second, accounts[1], round)
        if round == 0:
            continue  # pages are read for the first time
        ratios["p50"].append(ours[len(ours) // 2] / base[len(base) // 2])
        ratios["p99"].append(ours[len(ours) * 99 // 100] / base[len(base) * 99 // 100])
        p99s.append(ours[len(ours) * 99 // 100] * 1000)
    await left(first)
    await left(second)
    p50, p99 = (statistics.median(ratios[name]) for name in ("p50", "p99"))
    p99_ms = statistics.median(p99s)
    return [
        f"add     p50 {p50:.2f} x, p99 {p99:.2f} x of an empty ledger's (goal 1.20 x); p99 {p99_ms:.1f} ms",
        f"open    {full_s:.2f} s, empty {empty_s:.2f} s",
    ]


async def started(url: str) -> str:
    """How soon gateways are ready, sold from: one that starts, and one after a crash."""
    took = []
    connection = await asyncpg.connect(url)
    for forget in _RUNS_BEFORE:
        await connection.execute(forget)
    await connection.close()
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder), url, account=f"shop {_RUN}") as made:
            for name in ("first", "second"):
                began = time.perf_counter()
                node = await made.serve(name)
                took.append(time.perf_counter() - began)
                made.asking = True
                async with busy(made, [node]):
                    await made.sold(100)
                node.send(signal.SIGKILL)
                await node.process.wait()
    return f"ready   {took[0]:.2f} s after the start, {took[1]:.2f} s after a crash (goal: within 5 s)"


async def main(orders: int, folder: Path | None) -> None:
    with PostgreSQL(fsync=False, folder=folder, options={"max_wal_size": "8GB", "shared_buffers": "512MB"}) as server:
        connection = await asyncpg.connect(server.url())
        for name in ("empty", "filled"):
            if not await connection.fetchval("SELECT COUNT(*) FROM pg_database WHERE datname = $1", name):
                await connection.execute(f"CREATE DATABASE {name}")
                ledger, _ = await opened(server.url(name))
                await funded(ledger, "100000000")
                await left(ledger)
                if name == "filled":
                    filling = await asyncpg.connect(server.url(name))
                    await fill(filling, orders)
                    print("bytes", await filling.fetchval("SELECT pg_database_size('filled')"), flush=True)
                    await filling.close()
        await connection.execute("CHECKPOINT")
        await connection.close()
        server.stop()
        server.fsync = "on"
        server.start()
        for row in await compared(server.url("empty"), server.url("filled")):
            print(row, flush=True)
        print(await started(server.url("filled")), flush=True)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--orders", type=int, default=10_000_000)
    words.add_argument("--folder", type=Path, help="keep the databases there; one that is there is used again")
    given = words.parse_args()
    asyncio.run(main(given.orders, given.folder))
