"""panelmux catalog held|approve|diff|history|rollback: what of panels' lists waits, and how they changed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import click
import msgspec

from gateway.cli import output
from gateway.cli.failure import Exit, Failure, confirmed
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option, yes_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import shortened
from gateway.ledger.protocol import Ledger
from gateway.ledger.reports import RowChange
from gateway.money import wire
from gateway.panels import Snapshot, pack, unpack
from providers.base import RemoteService

_MOST: Final = 100_000
_TAKEN = "the gateway takes it with the panel's next list, within PANELMUX_CATALOGUE_S"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A row that waits until people have looked, as --json writes it; rates are the panel's own."""

    panel: str
    service: str
    name: str
    was: str
    now: str
    why: str


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one row, as --json writes it: `fields` are those that changed, before and after."""

    panel: str
    version: int
    service: str
    name: str
    what: str
    fields: Mapping[str, tuple[str, str]]
    at: str


class Approved(msgspec.Struct, frozen=True):
    panel: str
    services: tuple[str, ...]
    done: bool


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """A list put back as it was, as --json writes it; `rows` of it differ from those in use before."""

    panel: str
    version: int
    rows: int
    done: bool


@click.command(cls=Leaf, examples=("panelmux catalog held", "panelmux catalog held alpha --json"))
@click.argument("panel", required=False)
@ledger_option
@json_option
def held(*, panel: str | None, ledger: str | None, as_json: bool) -> None:
    """Services of panels that are not bought until you have looked: their price, name, type or limits moved too far."""
    lines = asyncio.run(_held(settled(ledger=ledger).ledger, panel))
    if as_json:
        output.document(lines)
        return
    rows = [
        (one.panel, one.service, shortened(one.name, 40), one.was, one.now, shortened(one.why, 90)) for one in lines
    ]
    heads = output.columns("panel", "its id", "name", ">rate was", ">is", "why it waits")
    output.table(heads, rows, empty="nothing waits")


@click.command(
    cls=Leaf, examples=("panelmux catalog approve alpha 101 102", "panelmux catalog approve alpha --all --dry-run")
)
@click.argument("panel")
@click.argument("services", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that waits there.")
@dry_run_option
@ledger_option
@json_option
def approve(
    *, panel: str, services: tuple[str, ...], everything: bool, dry_run: bool, ledger: str | None, as_json: bool
) -> None:
    """Say yes to services as they are now. What moves again after that waits again."""
    if bool(services) == everything:
        raise click.UsageError("say which services, or --all")
    done = asyncio.run(_approve(settled(ledger=ledger).ledger, panel, services, dry_run=dry_run))
    if as_json:
        output.document(done)
    else:
        told = "would be approved" if dry_run else f"approved; {_TAKEN}"
        output.say(f"{panel}: {', '.join(done.services) or 'nothing'} {told}")


@click.command(cls=Leaf, examples=("panelmux catalog diff alpha", "panelmux catalog diff alpha --after 12 --json"))
@click.argument("panel")
@click.option(
    "--after", type=click.IntRange(min=0), help="All that changed after this version; left out: the last one."
)
@click.option("--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="So many, newest first.")
@ledger_option
@json_option
def diff(*, panel: str, after: int | None, limit: int, ledger: str | None, as_json: bool) -> None:
    """How a panel's list changed: services that came, went, or became others."""
    _changes(settled(ledger=ledger).ledger, panel, None, after, limit, as_json=as_json)


@click.command(cls=Leaf, examples=("panelmux catalog history alpha 101", "panelmux catalog history alpha 101 --json"))
@click.argument("panel")
@click.argument("service")
@click.option("--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="So many, newest first.")
@ledger_option
@json_option
def history(*, panel: str, service: str, limit: int, ledger: str | None, as_json: bool) -> None:
    """How one of a panel's services changed: its price, its name, its limits. Kept for 90 days."""
    _changes(settled(ledger=ledger).ledger, panel, service, 0, limit, as_json=as_json)


@click.command(
    cls=Leaf, examples=("panelmux catalog rollback alpha 12", "panelmux catalog rollback alpha 12 --dry-run")
)
@click.argument("panel")
@click.argument("version", type=click.IntRange(min=0))
@dry_run_option
@yes_option
@ledger_option
@json_option
def rollback(*, panel: str, version: int, dry_run: bool, yes: bool, ledger: str | None, as_json: bool) -> None:
    """Put a panel's list back as it was at a version. What has moved too far since then waits again."""
    url = settled(ledger=ledger).ledger
    looked = asyncio.run(_roll_back(url, panel, version, keep=False))
    if not dry_run:
        if not as_json:
            output.say(f"{panel}: {looked.rows} rows would be as they were at version {version}")
        confirmed("catalog rollback", yes=yes or as_json)
        looked = asyncio.run(_roll_back(url, panel, version, keep=True))
    if as_json:
        output.document(looked)
    else:
        told = f"put back; {_TAKEN}" if looked.done else "would be put back"
        output.say(f"{panel}: {looked.rows} rows {told}")


async def _held(url: str, only: str | None) -> Sequence[Waiting]:
    async with ledger_at(url) as ledger:
        names = [only] if only else await ledger.snapshots()
        lines = []
        for name in names:
            snapshot = await _snapshot(ledger, name)
            rows = {row.remote_service: row for row in snapshot.rows}
            for one in snapshot.held:
                was, id = rows.get(one.row.remote_service), one.row.remote_service
                before = "" if was is None else wire(was.rate)
                line = Waiting(
                    panel=name, service=id, name=one.row.name, was=before, now=wire(one.row.rate), why=one.why
                )
                lines.append(line)
        return lines


async def _approve(url: str, panel: str, services: Sequence[str], *, dry_run: bool) -> Approved:
    async with ledger_at(url) as ledger:
        waiting = {held.row.remote_service: held.row for held in (await _snapshot(ledger, panel)).held}
        for id in services:
            if id not in waiting:
                raise Failure(f"{panel}/{id}: it does not wait; panelmux catalog held {panel}", Exit.MISUSE)
        rows = {id: row for id, row in waiting.items() if not services or id in services}
        if rows and not dry_run:
            await ledger.approve(panel, {id: msgspec.json.encode(row).decode() for id, row in rows.items()})
        return Approved(panel, tuple(rows), done=bool(rows) and not dry_run)


async def _roll_back(url: str, panel: str, version: int, *, keep: bool) -> RolledBack:
    async with ledger_at(url) as ledger:
        snapshot = await _snapshot(ledger, panel)
        changes = await ledger.row_changes(panel, after=version, limit=_MOST)
        latest = max((change.version for change in await ledger.row_changes(panel, limit=1)), default=0)
        if version > latest:
            raise Failure(f"{panel}: its list is at version {latest}; panelmux catalog diff {panel}", Exit.MISUSE)
        before = {row.remote_service: row for row in snapshot.rows}
        rows = dict(before)
        for change in changes:  # newest first
            was = _row(change.was)
            if was is None:
                rows.pop(change.remote_service, None)
            else:
                rows[change.remote_service] = was
        different = sum(before.get(id) != rows.get(id) for id in before.keys() | rows.keys())
        if keep and different:
            now_ms = max(time.time_ns() // 1_000_000, snapshot.fetched_ms + 1)
            put = msgspec.structs.replace(snapshot, rows=tuple(rows.values()), held=(), fetched_ms=now_ms)
            await ledger.forget_approved(panel)
            await ledger.keep_snapshot(panel, pack(put), now_ms)
        return RolledBack(panel=panel, version=version, rows=different, done=keep and bool(different))


async def _snapshot(ledger: Ledger, panel: str) -> Snapshot:
    packed = await ledger.snapshot(panel)
    if packed is None:
        raise Failure(f"{panel}: no list of it was fetched yet; panelmux catalog sync {panel}")
    return unpack(packed)


def _changes(url: str, panel: str, service: str | None, after: int | None, limit: int, *, as_json: bool) -> None:
    lines = [_moved(change) for change in asyncio.run(_found(url, panel, service, after, limit))]
    if as_json:
        output.document(lines)
        return
    rows = [
        (str(one.version), one.at, one.service, shortened(one.name, 40), one.what, shortened(_told(one), 100))
        for one in lines
    ]
    output.table(output.columns(">version", "at", "its id", "name", "", "what changed"), rows, empty="nothing changed")


async def _found(url: str, panel: str, service: str | None, after: int | None, limit: int) -> Sequence[RowChange]:
    async with ledger_at(url) as ledger:
        if after is None:
            last = await ledger.row_changes(panel, limit=1)
            after = last[0].version - 1 if last else 0
        return await ledger.row_changes(panel, remote_service=service, after=after, limit=limit)


def _moved(change: RowChange) -> Moved:
    was, now = _row(change.was), _row(change.now)
    fields = {}
    if was is not None and now is not None:
        for name in RemoteService.__struct_fields__:
            before, after = getattr(was, name), getattr(now, name)
            if before != after:
                fields[name] = (str(before), str(after))
    known = now or was
    return Moved(
        panel=change.panel,
        version=change.version,
        service=change.remote_service,
        name="" if known is None else known.name,
        what="came" if was is None else "went" if now is None else "changed",
        fields=fields,
        at=datetime.fromtimestamp(change.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    )


def _told(one: Moved) -> str:
    return "; ".join(f"{name} {before} → {after}" for name, (before, after) in one.fields.items())


def _row(text: str | None) -> RemoteService | None:
    return None if text is None else msgspec.json.decode(text, type=RemoteService)
