"""What a ledger remembers besides orders and money, over any SQL database."""

from collections.abc import Callable, Mapping, Sequence

from gateway.ledger.learned import Learned, Reading
from gateway.ledger.records import Suspicion
from gateway.ledger.reports import RouteOutcomes, RowChange, RulesFile
from gateway.ledger.sql import catalogue, delivered, learned, outcomes, rules, suspects
from gateway.ledger.sql import changes as rows
from gateway.ledger.sql.work import Database
from gateway.routing import Delivered


class SQLMemory:
    """What `Memory` promises."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._epoch = 0
        self._beats = 0  # of this epoch, that the ledger has answered

    # What is known of panels, and evidence.

    async def suspicions(self, panel: str, *, limit: int = 200) -> Sequence[Suspicion]:
        return await self._database.read(suspects.suspicions, panel, limit)

    async def looked(self, attempt: int, *, why: str, next_ms: int | None, evidence: str) -> None:
        await self._database.write(suspects.looked, attempt, why, next_ms, evidence, self._now_ms())

    async def gave_back(self, attempt: int, arithmetic: str) -> None:
        await self._database.write(suspects.gave_back, attempt, arithmetic, self._now_ms())

    async def duplicate_seen(self, panel: str, remote_service: str, link: str, *, by: int) -> int:
        return await self._database.write(suspects.duplicate_seen, panel, remote_service, link, by, self._now_ms())

    async def learned(self, panel: str) -> Learned:
        return await self._database.read(learned.of_panel, panel)

    async def fold(self) -> None:
        await self._database.write(learned.fold_all)

    async def panels(self) -> Sequence[Learned]:
        return await self._database.read(learned.everywhere)

    async def learn(
        self,
        panel: str,
        *,
        foreign: bool | None = None,
        proven: int | None = None,
        stopped: str | None = None,
    ) -> Learned:
        return await self._database.write(learned.change, panel, foreign=foreign, proven=proven, stopped=stopped)

    async def delivered(self, since_ms: int = 0) -> Sequence[Delivered]:
        return await self._database.read(delivered.since, since_ms)

    async def outcomes(self, since_ms: int) -> Sequence[RouteOutcomes]:
        return await self._database.read(outcomes.since, since_ms)

    async def keep_reading(self, reading: Reading) -> None:
        await self._database.write(learned.keep_reading, reading)

    async def anchor(self, panel: str) -> Reading | None:
        return await self._database.read(learned.anchor, panel)

    async def readings(self, panel: str, *, limit: int = 20) -> Sequence[Reading]:
        return await self._database.read(learned.readings, panel, limit)

    async def ours(self, panel: str, remote_ids: Sequence[str]) -> frozenset[str]:
        return await self._database.read(learned.ours, panel, remote_ids)

    async def latest_ids(self, panel: str, *, limit: int = 200) -> Sequence[int]:
        return await self._database.read(learned.latest_ids, panel, limit)

    async def ceiling(self, panel: str, attempt: int, *, after_ms: int) -> int | None:
        return await self._database.read(learned.ceiling, panel, attempt, after_ms)

    # The catalogue's memory.

    async def keep_rules(self, version: str, text: str, *, why: str = "") -> None:
        await self._database.write(rules.keep, version, text, why, self._now_ms())

    async def rules_files(self, *, limit: int = 50) -> Sequence[RulesFile]:
        return await self._database.read(rules.files, limit)

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None:
        await self._database.write(catalogue.keep_snapshot, panel, snapshot, fetched_ms)

    async def snapshot(self, panel: str) -> bytes | None:
        return await self._database.read(catalogue.snapshot, panel)

    async def keep_changes(self, panel: str, changes: Sequence[tuple[str, str | None, str | None]]) -> int:
        return await self._database.write(rows.keep, panel, changes, self._now_ms())

    async def row_changes(
        self, panel: str, *, remote_service: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[RowChange]:
        if remote_service is not None:
            return await self._database.read(rows.of_service, panel, remote_service, limit)
        return await self._database.read(rows.since, panel, after, limit)

    async def approved(self, panel: str) -> Mapping[str, str]:
        return await self._database.read(rows.approved, panel)

    async def approve(self, panel: str, approved: Mapping[str, str]) -> None:
        await self._database.write(rows.approve, panel, approved, self._now_ms())

    async def forget_approved(self, panel: str) -> None:
        await self._database.write(rows.forget, panel)

    async def snapshots(self) -> Sequence[str]:
        return await self._database.read(catalogue.snapshots)

    async def service_ids(
        self, panel: str, remote_services: Sequence[str], *, first: int, keep: bool = True
    ) -> Mapping[str, int]:
        known = await self._database.read(catalogue.known_ids, panel, remote_services)
        if known.keys() >= set(remote_services):
            return known
        if not keep:
            return await self._database.read(catalogue.give_ids, panel, remote_services, first, keep=False)
        return await self._database.write(catalogue.give_ids, panel, remote_services, first)
