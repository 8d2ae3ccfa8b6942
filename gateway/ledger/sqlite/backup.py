"""A copy of the ledger's file, taken while it is sold from, and the way back.

All calls are synchronous. A copy appears under its name whole and checked, or not at all; so does a restored ledger.
"""

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from gateway.ledger.records import LedgerError, LedgerUnusable
from gateway.ledger.sql import restoring
from gateway.ledger.sql.restoring import Given, Reopened
from gateway.ledger.sqlite import groups, schema
from gateway.ledger.sqlite.connection import connect

PAGES: Final = 4096
"""Pages copied a step, 16 MiB."""

_BUSY_MS: Final = 5000
_SIDES: Final = ("-wal", "-shm")
_SHOWN: Final = 20

Watch = Callable[[int, int], None]
"""Called after each step with the pages that remain, and all of them."""

_SINCE = "SELECT id FROM orders WHERE id > ? ORDER BY id"
_TOPUPS = "SELECT COUNT(*) FROM transfer WHERE what = 'topup' AND id > ?"
_LAST_TRANSFER = "SELECT COALESCE(MAX(id), 0) FROM transfer"


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger that is replaced has and the backup has not; `orders` are the first few ids of so many."""

    orders: tuple[int, ...]
    count: int
    topups: int


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore does, or did.

    Attributes:
        orders: in the backup.
        missing: None where the ledger that is replaced is not there, or cannot be read.
        aside: where the ledger that was replaced is now; empty where there was none, or nothing was done yet.
    """

    orders: int
    reopened: Reopened
    missing: Missing | None
    aside: str = ""


def backup(source: Path, target: Path, watch: Watch = lambda _left, _all: None) -> int:
    """Copy the ledger; gives the copy's size, bytes.

    Raises:
        LedgerError: there is a file of that name, or the copy is not right.
    """
    if target.exists():
        raise LedgerError(f"{target}: it is there already; a backup replaces nothing")
    if not source.is_file():
        raise LedgerUnusable(f"{source}: no such file")
    if not target.parent.is_dir():
        raise LedgerError(f"{target.parent}: no such folder")
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _copy(source, made, watch)
        _named(made, target)
    except FileExistsError:
        raise LedgerError(f"{target}: it is there already; a backup replaces nothing") from None
    finally:
        made.unlink(missing_ok=True)
    _sync(target.parent)
    return target.stat().st_size


def _named(made: Path, target: Path) -> None:
    """Give the file its name, replacing nothing."""
    try:
        os.link(made, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as on a stick
        made.rename(target)


def foreseen(kept: Path, ledger: Path, now_ms: int) -> Restored:
    """What `restore` would do. Changes nothing."""
    with _prepared(kept, ledger, now_ms, lambda _left, _all: None) as (_, restored):
        return restored


def restore(kept: Path, ledger: Path, now_ms: int, watch: Watch = lambda _left, _all: None) -> Restored:
    """Put a backup in the ledger's place; the ledger that was there is kept aside. Who calls holds the ledger's lock.

    Raises:
        LedgerUnusable: the backup is no ledger of ours, damaged, or of a newer program; nothing was changed.
    """
    with _prepared(kept, ledger, now_ms, watch) as (made, restored):
        aside = _aside(ledger)
        made.replace(ledger)  # at once: there is no moment without a ledger
        _sync(ledger.parent)
    return msgspec.structs.replace(restored, aside=aside)


@contextlib.contextmanager
def _prepared(kept: Path, ledger: Path, now_ms: int, watch: Watch) -> Iterator[tuple[Path, Restored]]:
    """A file beside the ledger that is fit to stand in its place; gone at the end unless it does."""
    if not kept.is_file():
        raise LedgerUnusable(f"{kept}: no such file")
    ledger.parent.mkdir(parents=True, exist_ok=True)
    made = ledger.with_name(f".{ledger.name}.{secrets.token_hex(4)}")
    try:
        _copy(kept, made, watch)
        yield made, _fitted(made, kept, ledger, now_ms)
    finally:
        for path in (made, *(made.with_name(made.name + side) for side in _SIDES)):
            path.unlink(missing_ok=True)


def _fitted(made: Path, kept: Path, ledger: Path, now_ms: int) -> Restored:
    db = connect(made, busy_ms=_BUSY_MS, writes=True)
    try:
        try:
            schema.migrate(db, kept, schema.migrations(), now_ms)
        except sqlite3.Error as error:
            raise LedgerUnusable(f"{kept}: {error}") from error
        mine = groups.drive(db, restoring.given())
        [(last_transfer,)] = db.execute(_LAST_TRANSFER).fetchall()
        replaced, missing = _replaced(ledger, mine, last_transfer)
        db.execute("BEGIN IMMEDIATE")
        reopened = groups.drive(db, restoring.reopen(replaced, now_ms))
        db.execute("COMMIT")
        [(orders,)] = db.execute("SELECT COUNT(*) FROM orders").fetchall()
        _whole(db, made)
    finally:
        db.close()
    _sync(made)
    return Restored(orders=orders, reopened=reopened, missing=missing)


def _replaced(ledger: Path, mine: Given, last_transfer: int) -> tuple[Given | None, Missing | None]:
    """What the ledger in whose place the backup comes had given, and what of it is lost; None = it cannot be read."""
    if not ledger.exists():
        return None, None
    try:
        with contextlib.closing(connect(ledger, busy_ms=_BUSY_MS, writes=False)) as db:
            given = groups.drive(db, restoring.given())
            lost = [id for (id,) in db.execute(_SINCE, (mine.order,))]
            [(topups,)] = db.execute(_TOPUPS, (last_transfer,)).fetchall()
    except (sqlite3.Error, LedgerError):
        return None, None
    return given, Missing(orders=tuple(lost[:_SHOWN]), count=len(lost), topups=topups)


def _aside(ledger: Path) -> str:
    """Give the ledger a second name, under which it stays when another file takes its place; gives that name.

    What still stands in its log is moved into it first; a log that cannot be read goes with it.
    """
    stem = f"{ledger.name}.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    there = ledger.exists()
    if there:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(ledger)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.link(ledger, ledger.with_name(stem))
    for side in _SIDES:
        path = ledger.with_name(ledger.name + side)
        if path.exists():
            path.rename(ledger.with_name(stem + side))
    return str(ledger.with_name(stem)) if there else ""


def _copy(source: Path, made: Path, watch: Watch) -> None:
    """One moment of the source, whatever is written there meanwhile, as one file for its owner alone."""
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=_BUSY_MS / 1000, isolation_level=None)) as there,
            contextlib.closing(sqlite3.connect(made, isolation_level=None)) as copy,
        ):
            there.execute("BEGIN")
            there.execute("SELECT COUNT(*) FROM sqlite_schema").fetchall()  # from here on it is one moment
            there.backup(copy, pages=PAGES, progress=lambda _status, left, pages: watch(left, pages))
            there.execute("ROLLBACK")
            _whole(copy, source)
    except sqlite3.Error as error:
        raise LedgerUnusable(f"{source}: {error}") from error
    _sync(made)


def _whole(db: sqlite3.Connection, path: Path) -> None:
    """Make it a single file without a log, and see that it is sound."""
    db.execute("PRAGMA journal_mode = DELETE").fetchall()
    found = [text for (text,) in db.execute("PRAGMA integrity_check(5)")]
    if found != ["ok"]:
        raise LedgerUnusable(f"{path}: damaged: {'; '.join(found)}")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
