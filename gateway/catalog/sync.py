"""Keeps one panel's list: fetched by one node at a time, guarded, shared with the other nodes, kept over restarts."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

import msgspec
import structlog

from gateway.catalog import deliveries
from gateway.catalog.aside import Aside
from gateway.catalog.guard import held_back
from gateway.catalog.moves import Weighed, is_off, weighed
from gateway.panels import Panel, Snapshot, Stamp, pack, stamp, unpack
from gateway.shared import Shared
from providers.base import RemoteService
from providers.errors import ProviderError, Throttled

_log = structlog.get_logger()

NEWS: Final = "catalogue"
"""The topic under which nodes tell each other the stamps of lists that they fetched."""

_SHARED_S: Final = 86_400.0  # a list older than a day is of no use to another node
_FIRST_PAUSE_S: Final = 5.0
_SINCE_S: Final = 86_400.0  # rates may not move further in so long than at once


class Ledger(deliveries.Ledger, Protocol):
    """What of the ledger the catalogue needs."""

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None: ...

    async def snapshot(self, panel: str) -> bytes | None: ...

    async def approved(self, panel: str) -> Mapping[str, str]: ...

    async def keep_changes(self, panel: str, changes: Sequence[tuple[str, str | None, str | None]]) -> int: ...

    async def service_ids(self, panel: str, remote_services: Sequence[str], *, first: int) -> Mapping[str, int]: ...


class Outcome(StrEnum):
    """What became of a sync."""

    NEW = "new"  # fetched, and not as before
    SAME = "same"  # fetched, and as before
    TAKEN = "taken"  # another node has just fetched it
    ELSEWHERE = "elsewhere"  # another node is at it, and ours is young enough
    HELD_BACK = "held_back"  # the guard did not let it pass
    FAILED = "failed"


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """One sync. `rows` is the size of the list in use after it; `later_s` is how long the panel asked us to wait."""

    panel: str
    outcome: Outcome
    rows: int
    why: str = ""
    later_s: float | None = None

    @property
    def good(self) -> bool:
        return self.outcome not in {Outcome.HELD_BACK, Outcome.FAILED}


def pause_s(every_s: float, failures: int, later_s: float | None, draw: float) -> float:
    """Seconds until the next sync, spread by `draw` (0 … 1): soon after a first failure, doubling up to `every_s`.

    >>> [pause_s(300, failures, None, 0.5) for failures in (0, 1, 2, 9)]
    [300.0, 5.0, 10.0, 300.0]
    """
    pause = every_s if failures == 0 else min(every_s, _FIRST_PAUSE_S * 2 ** min(failures - 1, 30))
    return max(pause * (0.9 + 0.2 * draw), later_s or 0)


class Sync:
    """One panel's list. What takes milliseconds of computing is done in a thread, in pieces."""

    def __init__(
        self,
        panel: Panel,
        ledger: Ledger,
        shared: Shared,
        *,
        every_s: float,
        aside: Aside,
        together: asyncio.Semaphore,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`together` bounds how many lists are fetched at once."""
        self._panel = panel
        self._ledger = ledger
        self._shared = shared
        self._every_s = every_s
        self._aside = aside
        self._together = together
        self._clock = clock
        self._now_ms = now_ms
        self._key = f"catalogue:{panel.name}:{panel.source}"
        self._one = asyncio.Lock()
        self._last: Synced | None = None
        self._unkept = False
        self._since: dict[str, RemoteService] = {}  # rows as they were some time ago, those that went among them
        self._since_until = 0.0
        self._stamp: Stamp | None = None  # of the last list that was told, or taken from another node
        self._asked_ledger = float("-inf")

    async def load(self) -> None:
        """Take the last good list from the ledger, unless there is one already."""
        if self._panel.snapshot is not None:
            return
        try:
            packed = await self._ledger.snapshot(self._panel.name)
            snapshot = None if packed is None else await self._aside(unpack, packed)
        except Exception as error:  # noqa: BLE001 - without the last list the panel's own is waited for
            _log.warning("catalogue", panel=self._panel.name, outcome="not_loaded", why=_words(error))
            return
        if snapshot is not None and snapshot.source == self._panel.source:
            await self._adopt(snapshot)

    async def once(self, *, forced: bool = False, accept: bool = False) -> Synced:
        """Bring the list up to date, and never raise; calls while one is running wait for it and share its outcome.

        `forced` fetches also where another node has just done so; `accept` takes also a list that the guard would
        hold back for having shrunk.
        """
        before = self._last
        async with self._one:
            if self._last is not None and self._last is not before and not accept:
                return self._last
            try:
                synced = await self._sync(forced=forced, accept=accept)
            except Exception as error:  # noqa: BLE001 - whatever was wrong with one list, the next may be right
                await self._shared.release(self._key)
                later_s = (error.retry_after_s or self._every_s) if isinstance(error, Throttled) else None
                synced = self._synced(Outcome.FAILED, why=_words(error), later_s=later_s)
            self._last = synced
            self._tell(synced)
            return synced

    async def look(self) -> None:
        """Take what another node fetched since: from the store, or, now and then, from the ledger. Never raises."""
        async with self._one:
            try:
                if not await self._stamped() and self._clock() >= self._asked_ledger + self._every_s:
                    self._asked_ledger = self._clock()
                    await (self.load() if self._panel.snapshot is None else self._accepted())
            except Exception as error:  # noqa: BLE001 - the next look may be luckier
                _log.warning("catalogue", panel=self._panel.name, outcome="not_looked", why=_words(error))

    async def _stamped(self) -> bool:
        """Take the list in the store, if its stamp is newer than ours; gives whether ours is the newest then."""
        mine = self._panel.snapshot
        said = _stamp(await self._shared.get(self._key + ":stamp"))
        if said is None or said.source != self._panel.source:
            return False
        if mine is not None and said.fetched_ms <= mine.fetched_ms:
            return said.fetched_ms == mine.fetched_ms
        if mine is not None and self._stamp is not None and said.rows == self._stamp.rows:
            self._panel.took(msgspec.structs.replace(mine, fetched_ms=said.fetched_ms), self._panel.rows)
        elif (await self._others()) is None or self._panel.snapshot is mine:
            return False
        self._stamp = said
        return True

    async def _sync(self, *, forced: bool, accept: bool) -> Synced:
        # Not given back after a good fetch: it tells the other nodes that there is a fresh list to take.
        claimed = await self._shared.claim(self._key, self._every_s * 0.8)
        if not claimed and not forced:
            taken = await self._others()
            if taken is not None:
                return taken
        async with self._together:
            return await self._fetch(accept=accept)

    async def _others(self) -> Synced | None:
        """Another node claimed the fetch: take its list if it is there; None where ours is too old to wait for it."""
        mine = self._panel.snapshot
        packed = await self._shared.get(self._key, large=True)
        theirs = None if packed is None else await self._aside(_unpacked, packed)
        if theirs is not None and (mine is None or theirs.fetched_ms > mine.fetched_ms):
            await self._adopt(theirs)
            return self._synced(Outcome.TAKEN)
        if mine is None or self._now_ms() - mine.fetched_ms > 2000 * self._every_s:
            return None
        return self._synced(Outcome.ELSEWHERE)

    async def _fetch(self, *, accept: bool) -> Synced:
        panel, began = self._panel, self._clock()
        try:
            services = await panel.provider.services()
        except ProviderError as error:
            panel.noted("services", error, self._clock() - began)
            raise
        panel.noted("services", None, self._clock() - began)
        await self._accepted()
        why = held_back(() if accept else panel.rows, services)
        if why is not None:
            await self._shared.release(self._key)
            return self._synced(Outcome.HELD_BACK, why=why)
        move = Decimal("Infinity") if accept else panel.rules.hold_moves
        approved = await self._approved() if panel.rows else {}
        if panel.rows and self._clock() >= self._since_until:
            self._since |= {id: row for id, row in panel.rows.items() if not is_off(row)}
            self._since_until = self._clock() + _SINCE_S
        found = await self._aside(weighed, panel.rows, services.rows, move=move, approved=approved, since=self._since)
        for one in found.changes:
            id, now = one.remote_service, one.now
            if now is not None and not is_off(now) and (accept or id not in self._since or approved.get(id) == now):
                self._since[id] = now  # from where it may move again
        snapshot = Snapshot(
            panel=panel.name,
            source=panel.source,
            fetched_ms=self._now_ms(),
            rows=found.rows,
            skipped=services.skipped,
            held=found.held,
        )
        self._tell_held(found)
        changed = await self._adopt(snapshot)
        await self._keep(snapshot, changed=changed)
        await self._remember(found)
        return self._synced(Outcome.NEW if changed else Outcome.SAME)

    async def _accepted(self) -> None:
        """Take a list that people put in place from the command line: it stands in the ledger, newer than ours."""
        mine = self._panel.snapshot
        if mine is None:
            return
        try:
            packed = await self._ledger.snapshot(self._panel.name)
        except Exception as error:  # noqa: BLE001 - the next sync looks again
            _log.warning("catalogue", panel=self._panel.name, outcome="not_looked", why=_words(error))
            return
        theirs = None if packed is None else await self._aside(_unpacked, packed)
        if theirs is not None and theirs.source == mine.source and theirs.fetched_ms > mine.fetched_ms:
            await self._adopt(theirs)
            self._since_until = 0.0

    async def _approved(self) -> Mapping[str, RemoteService]:
        """The rows that people said yes to; none while they cannot be read."""
        try:
            rows = await self._ledger.approved(self._panel.name)
            return {id: msgspec.json.decode(row, type=RemoteService) for id, row in rows.items()}
        except Exception as error:  # noqa: BLE001 - what is held stays so until the next sync
            _log.warning("catalogue", panel=self._panel.name, outcome="approved_not_read", why=_words(error))
            return {}

    async def _remember(self, found: Weighed) -> None:
        """Keep how the list changed, for people who ask."""
        if not found.changes:
            return
        changes = await self._aside(
            lambda: [(one.remote_service, _json(one.was), _json(one.now)) for one in found.changes]
        )
        try:
            await self._ledger.keep_changes(self._panel.name, changes)
        except Exception as error:  # noqa: BLE001 - the list is in use all the same
            _log.warning("catalogue", panel=self._panel.name, outcome="changes_not_kept", why=_words(error))

    def _tell_held(self, found: Weighed) -> None:
        """Name what is held for the first time."""
        fresh = [held for held in found.held if self._panel.held.get(held.row.remote_service) != held.why]
        if fresh:
            first = f"{fresh[0].row.remote_service}: {fresh[0].why}"
            then = f"panelmux catalog held {self._panel.name}"
            _log.warning(
                "catalogue", panel=self._panel.name, outcome="rows_held", rows=len(fresh), first=first, then=then
            )

    async def _adopt(self, snapshot: Snapshot) -> bool:
        """Make it the panel's list; gives whether its rows changed. Rows that did not stay the same objects."""
        mine = self._panel.snapshot
        rows = await self._aside(_changed, None if mine is None else mine.rows, snapshot.rows)
        if rows is None and mine is not None:
            was = mine.held
            same = msgspec.structs.replace(
                mine, fetched_ms=snapshot.fetched_ms, skipped=snapshot.skipped, held=snapshot.held
            )
            self._panel.took(same, self._panel.rows)
            return was != snapshot.held
        self._panel.took(snapshot, rows or {})
        return True

    async def _keep(self, snapshot: Snapshot, *, changed: bool) -> None:
        packed = await self._aside(pack, snapshot)
        self._stamp = await self._aside(stamp, packed)
        told = msgspec.msgpack.encode(self._stamp)
        await self._shared.put(self._key, packed, _SHARED_S, large=True)
        await self._shared.put(self._key + ":stamp", told, _SHARED_S)
        await self._shared.publish(NEWS, told)
        self._unkept = self._unkept or changed
        if not self._unkept:
            return
        try:
            await self._ledger.keep_snapshot(snapshot.panel, packed, snapshot.fetched_ms)
        except Exception as error:  # noqa: BLE001 - the list is in use all the same; the next sync keeps it
            _log.warning("catalogue", panel=snapshot.panel, outcome="not_kept", why=_words(error))
        else:
            self._unkept = False

    def _synced(self, outcome: Outcome, *, why: str = "", later_s: float | None = None) -> Synced:
        rows = len(self._panel.rows)
        return Synced(panel=self._panel.name, outcome=outcome, rows=rows, why=why, later_s=later_s)

    def _tell(self, synced: Synced) -> None:
        event = {"panel": synced.panel, "outcome": synced.outcome.value, "rows": synced.rows}
        match synced.outcome:
            case Outcome.HELD_BACK:
                _log.error("catalogue", **event, why=synced.why, then=f"panelmux catalog sync {synced.panel} --accept")
            case Outcome.FAILED:
                _log.warning("catalogue", **event, why=synced.why)
            case Outcome.NEW:
                skipped = len(self._panel.snapshot.skipped) if self._panel.snapshot is not None else 0
                _log.info("catalogue", **event, skipped=skipped)
            case _:
                _log.debug("catalogue", **event)


def _changed(
    old: tuple[RemoteService, ...] | None, new: tuple[RemoteService, ...]
) -> Mapping[str, RemoteService] | None:
    """The new rows by id, as they stand, the first of two with one id; None where they are as before."""
    if old == new:
        return None
    rows: dict[str, RemoteService] = {}
    for row in new:
        rows.setdefault(row.remote_service, row)
    return rows


def _json(row: RemoteService | None) -> str | None:
    return None if row is None else msgspec.json.encode(row).decode()


def _stamp(packed: bytes | None) -> Stamp | None:
    """None for what another version of this program may have put there."""
    try:
        return None if packed is None else msgspec.msgpack.decode(packed, type=Stamp)
    except msgspec.MsgspecError:
        return None


def _unpacked(packed: bytes) -> Snapshot | None:
    """None for what another version of this program may have put there."""
    try:
        return unpack(packed)
    except ValueError:
        return None


def _words(error: Exception) -> str:
    return error.what if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}"
