"""panelmux ledger: the durable record as a whole."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import msgspec

from gateway import ledger as ledgers
from gateway.cli import output
from gateway.cli.beats import watched
from gateway.cli.failure import Exit, Failure, confirmed
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option, yes_option
from gateway.cli.opened import ledger_at, settled
from gateway.ledger import copying
from gateway.ledger.lock import Lock
from gateway.ledger.postgres import archive as archiving
from gateway.ledger.postgres.database import Postgres
from gateway.ledger.reports import Replay, Totals
from gateway.ledger.sql.ledger import SQLLedger
from gateway.ledger.sql.restoring import Reopened
from gateway.ledger.sqlite import backup as copies
from gateway.money import wire
from gateway.redis_url import shown
from gateway.settings import Settings, beside_ledger, is_postgres, spill_path, sqlite_path


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger added up and told anew, as --json writes it.

    Attributes:
        attempts: by state.
        books: balances, in the ledger's currency.
        replayed: orders told anew from their history; `older` began before histories kept enough to do so.
        wrong: what does not agree, in words.
    """

    currency: str | None
    orders: int
    attempts: Mapping[str, int]
    entries: int
    sum: str
    books: Mapping[str, str]
    replayed: int
    older: int
    wrong: tuple[str, ...]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A backup, as --json writes it. `pepper` is what must be kept with it: without it no key is known."""

    file: str
    bytes: int
    pepper: str


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did, or would, as --json writes it.

    Attributes:
        unknown: attempts that people have to look at.
        followed: open orders whose panels are asked how they stand.
        missing_orders: ids that customers hold and the backup lacks, the first 20; None = nobody knows.
        aside: where the ledger that was replaced is now.
    """

    orders: int
    unknown: int
    followed: int
    missing: int | None
    missing_orders: tuple[int, ...] | None
    missing_topups: int | None
    aside: str
    done: bool


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """A copy in PostgreSQL, as --json writes it: rows by table, and whether it says the same as the first."""

    rows: Mapping[str, int]
    same: bool
    wrong: tuple[str, ...]


_COPIED_AT_ONCE = 2_000


@click.group()
def command() -> None:
    """The durable record: is it right, a copy of it, and the way back."""


@command.command(cls=Leaf, examples=("panelmux ledger check", "panelmux ledger check --json"))
@ledger_option
@json_option
def check(*, ledger: str | None, as_json: bool) -> None:
    """Add everything up, and tell every order anew from its history; the gateway may run. Ends with 5 if it is wrong.

    Every transfer sums to zero, every balance is the sum of its entries, every hold belongs to an open order, nothing
    is given back above its charge, and each order and its attempts are what their history says.
    """
    checked = asyncio.run(_check(settled(ledger=ledger).ledger))
    if as_json:
        output.document(checked)
    else:
        _print(checked)
    if checked.wrong:
        raise click.exceptions.Exit(Exit.FINDINGS)


async def _check(url: str) -> Checked:
    async with ledger_at(url) as opened:
        with output.progress("adding up, telling anew", 2) as step:
            totals: Totals = await opened.totals()
            step()
            replay: Replay = await opened.replayed()
            step()
        currency = await opened.currency()
    return Checked(
        currency=currency,
        orders=totals.orders,
        attempts=totals.attempts,
        entries=totals.entries,
        sum=wire(totals.sum),
        books={name: wire(balance) for name, balance in totals.books.items()},
        replayed=replay.orders,
        older=replay.older,
        wrong=(*totals.wrong, *replay.wrong),
    )


def _print(checked: Checked) -> None:
    attempts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(checked.attempts.items()))
    older = f"; {checked.older} began before histories kept enough" if checked.older else ""
    output.facts(
        [
            ("orders", str(checked.orders)),
            ("attempts", attempts or "none"),
            ("entries", f"{checked.entries}, their sum is {checked.sum}"),
            ("histories", f"{checked.replayed} orders told anew{older}"),
            *(
                (name, f"{balance} {checked.currency or ''}".rstrip())
                for name, balance in sorted(checked.books.items())
            ),
        ]
    )
    for line in checked.wrong:
        output.say(f"wrong: {line}")
    output.say(f"{len(checked.wrong)} things are wrong" if checked.wrong else "all of it agrees")


@command.command(
    cls=Leaf, examples=("panelmux ledger backup /backups/monday.db", "panelmux ledger backup monday.db --json")
)
@click.argument("file", type=click.Path(path_type=Path))
@ledger_option
@json_option
def backup(*, file: Path, ledger: str | None, as_json: bool) -> None:
    """Copy the ledger into one FILE, whole and checked; the gateway may run. No file is replaced."""
    url = settled(ledger=ledger).ledger
    _in_a_file(url)
    with _bar("copying") as watch:
        size = copies.backup(sqlite_path(url), file, watch)
    kept = Kept(file=str(file), bytes=size, pepper=str(beside_ledger(url, ".pepper")))
    if as_json:
        output.document(kept)
        return
    output.facts([("backup", kept.file), ("size", f"{size} bytes")])
    output.say(f"keep {kept.pepper} with it, where that is what keys are hashed with: without it no key is known")


@command.command(
    cls=Leaf,
    examples=("panelmux ledger restore /backups/monday.db --dry-run", "panelmux ledger restore /backups/monday.db"),
)
@click.argument("file", type=click.Path(path_type=Path))
@yes_option
@dry_run_option
@ledger_option
@json_option
def restore(*, file: Path, yes: bool, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    """Put a backup in the ledger's place, and open again what cannot be known since. The gateway must be stopped.

    The ledger that was there is kept beside it. Ids given since the backup are not given again. Attempts that were open
    then wait for people: none is bought again. What is done is shown first, and asked about.
    """
    url = settled(ledger=ledger).ledger
    _in_a_file(url)
    path = sqlite_path(url).resolve()
    lock = Lock(url)
    if not dry_run:
        lock.take()  # also while a person thinks: a gateway that starts meanwhile would sell from what is replaced
    try:
        restored = copies.foreseen(file, path, ledgers.now_ms())
        _tell(restored)
        if not dry_run:
            confirmed("ledger restore", yes=yes)
            with _bar("restoring") as watch:
                restored = copies.restore(file, path, ledgers.now_ms(), watch)
    finally:
        lock.give_back()
    missing = restored.missing
    if as_json:
        output.document(
            Restored(
                orders=restored.orders,
                unknown=restored.reopened.unknown,
                followed=restored.reopened.followed,
                missing=None if missing is None else missing.count,
                missing_orders=None if missing is None else missing.orders,
                missing_topups=None if missing is None else missing.topups,
                aside=restored.aside,
                done=not dry_run,
            )
        )
    elif not dry_run:
        output.facts([("restored", str(path)), ("kept aside", restored.aside or "there was none")])
        output.say("start the gateway, then panelmux order list --unknown")


def _spilled(settings: Settings) -> bool:
    """Whether ids are kept beside the ledger that it does not have."""
    path = spill_path(settings)
    return path.exists() and any(path.read_bytes())


def _in_a_file(url: str) -> None:
    if is_postgres(url):
        raise Failure("a ledger in PostgreSQL is backed up by its own means: see deploy/README.md", Exit.MISUSE)


def _tell(foreseen: copies.Restored) -> None:
    again = foreseen.reopened
    output.say(f"the backup has {foreseen.orders} orders; it takes the ledger's place, which is kept beside it")
    output.say(
        f"→ {again.followed} open orders are followed; {again.unknown} attempts are unknown, and wait for people"
    )
    missing = foreseen.missing
    if missing is None:
        output.say("→ what was placed since cannot be read: those ids are unknown here, and are not given again")
        return
    some = ", ".join(map(str, missing.orders)) + (" …" if missing.count > len(missing.orders) else "")
    placed = f"{missing.count} ({some})" if some else str(missing.count)
    output.say(f"→ not in it: orders placed since: {placed}; top-ups since: {missing.topups}")


@command.command(
    cls=Leaf,
    examples=("panelmux ledger archive --older-than 400 --dry-run", "panelmux ledger archive --older-than 730 --yes"),
)
@click.option("--older-than", type=click.IntRange(1), required=True, metavar="DAYS", help="Last changed so long ago.")
@yes_option
@dry_run_option
@ledger_option
@json_option
def archive(*, older_than: int, yes: bool, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    """Take ranges of old orders, all of which have ended, out of a ledger in PostgreSQL; the gateways may run.

    Their tables stay in the database, as archived_orders_0 and so on, to be dumped and dropped by whoever runs it.
    Customers who ask about such an order are told that there is none. All money and every entry stay.
    """
    url = settled(ledger=ledger).ledger
    if not is_postgres(url):
        raise Failure("a ledger in SQLite has no ranges to take out", Exit.MISUSE)
    before_ms = ledgers.now_ms() - older_than * 86_400_000
    found = asyncio.run(archiving.archive(url, before_ms, ledgers.now_ms(), dry_run=True))
    taken = found
    for one in found:
        output.say(f"range {one.number}: {one.orders} orders, all ended")
    if found and not dry_run:
        confirmed("ledger archive", yes=yes)
        taken = asyncio.run(archiving.archive(url, before_ms, ledgers.now_ms(), dry_run=False))
    if as_json:
        output.document(taken)
    elif not found:
        output.say("no range of ids is that old, and ended")
    elif taken and not dry_run:
        tables = ", ".join(f"archived_{name}_{one.number}" for one in taken for name in ("orders", "attempt", "event"))
        output.say(f"taken out: {tables}")
    in_use = sorted({one.number for one in found} - {one.number for one in taken})
    if in_use:
        numbers = ", ".join(map(str, in_use))
        raise Failure(f"still there, and in use at this moment: range {numbers}; run it again", Exit.UNREACHABLE)


@command.command(cls=Leaf, examples=("panelmux ledger reopen", "panelmux ledger reopen --yes --json"))
@yes_option
@ledger_option
@json_option
def reopen(*, yes: bool, ledger: str | None, as_json: bool) -> None:
    """After a database in PostgreSQL was restored from a backup: open again what cannot be known since.

    A million ids are left out, for those that were given since. Attempts that were open then wait for people, and
    nothing is bought for them again; what was learned of panels is forgotten. The gateways must be stopped.
    """
    url = settled(ledger=ledger).ledger
    if not is_postgres(url):
        raise Failure("a ledger in SQLite is restored and reopened at once: panelmux ledger restore", Exit.MISUSE)
    living = asyncio.run(_living(url))
    if living:
        raise Failure(f"gateways sell from it: {', '.join(living)}; stop them first", Exit.UNREACHABLE)
    output.say("what was open in the backup is laid before people, and a million ids are left out")
    confirmed("ledger reopen", yes=yes)
    again = asyncio.run(_reopened(url))
    if as_json:
        output.document(again)
        return
    output.facts([("unknown", str(again.unknown)), ("followed", str(again.followed))])
    output.say("start the gateways, then panelmux order list --unknown")


async def _living(url: str) -> tuple[str, ...]:
    async with ledger_at(url) as opened:
        nodes, beating = await watched(opened)
    return tuple(node.name for node in nodes if node.epoch in beating)


async def _reopened(url: str) -> Reopened:
    opened = SQLLedger(Postgres(url), ledgers.now_ms)
    await opened.open()
    try:
        return await opened.reopen()
    finally:
        await opened.close()


@command.command(
    cls=Leaf,
    examples=(
        "panelmux ledger copy postgresql://panelmux@db.example/panelmux",
        "panelmux ledger copy postgresql:///panelmux?host=/run/postgresql --yes",
    ),
)
@click.argument("to")
@yes_option
@ledger_option
@json_option
def copy(*, to: str, yes: bool, ledger: str | None, as_json: bool) -> None:
    """Copy a ledger in SQLite into an empty database in PostgreSQL, for several gateways. The gateway must be stopped.

    All of it or nothing; counts, sums, entries and every history of the copy are held against the first. A password
    is best in PGPASSWORD or ~/.pgpass, where nobody sees it. Ends with 5 if the copy is wrong.
    """
    settings = settled(ledger=ledger)
    if is_postgres(settings.ledger):
        raise Failure("PANELMUX_LEDGER names the copy already; --ledger sqlite:///… names what is copied", Exit.MISUSE)
    source = sqlite_path(settings.ledger).resolve()
    if not is_postgres(to):
        raise Failure(f"{shown(to)}: not postgresql://USER@HOST/DATABASE", Exit.MISUSE)
    if not source.is_file():
        raise Failure(f"{source}: no such file; PANELMUX_LEDGER names what is copied", Exit.UNREACHABLE)
    if _spilled(settings):
        raise Failure("ids are kept beside this ledger: start the gateway once, and stop it", Exit.FAILED)
    lock = Lock(settings.ledger)
    lock.take()
    try:
        output.say(f"{source} is copied into {shown(to)}; it stays as it is, and no gateway may sell from it again")
        confirmed("ledger copy", yes=yes)
        with _bar("copying", _COPIED_AT_ONCE) as watch:
            copied = asyncio.run(copying.copy(source, to, ledgers.now_ms(), watch))
        before, after = asyncio.run(_check(settings.ledger)), asyncio.run(_check(to))
    finally:
        lock.give_back()
    same = (before.orders, before.attempts, before.entries, before.books, before.replayed) == (
        (after.orders, after.attempts, after.entries, after.books, after.replayed)
    )
    if as_json:
        output.document(Copied(rows=copied.rows, same=same, wrong=after.wrong))
    else:
        _print(after)
        beside = beside_ledger(settings.ledger, ".pepper")
        if settings.pepper is None and beside.exists():
            output.say(f"every gateway needs the pepper that keys are hashed with: PANELMUX_PEPPER=hex:$(cat {beside})")
    if not same or after.wrong:
        raise click.exceptions.Exit(Exit.FINDINGS)


@contextlib.contextmanager
def _bar(what: str, at_once: int = copies.PAGES) -> Iterator[Callable[[int, int], None]]:
    """A bar that is as long as the work turns out to be."""
    with contextlib.ExitStack() as shown:
        step: Callable[[], None] | None = None

        def watch(left: int, pages: int) -> None:
            nonlocal step
            if step is None:
                step = shown.enter_context(output.progress(what, -(-pages // at_once)))
            step()
            del left

        yield watch
