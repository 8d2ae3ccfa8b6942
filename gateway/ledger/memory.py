"""What a ledger remembers besides orders and money: what panels were found to do, and what they listed."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.ledger.learned import Learned, Reading
from gateway.ledger.records import Suspicion
from gateway.ledger.reports import RouteOutcomes, RowChange, RulesFile
from gateway.routing import Delivered


class Memory(Protocol):
    """Each method one transaction, as of `Ledger`."""

    # Evidence, and what it taught of panels.

    async def suspicions(self, panel: str, *, limit: int = 200) -> Sequence[Suspicion]:
        """Attempts at a panel that are *sending*, *unknown* or *untracked*, oldest first."""
        ...

    async def looked(self, attempt: int, *, why: str, next_ms: int | None, evidence: str) -> None:
        """Evidence was sought and settled nothing, because of `why`; look again at `next_ms`, or never by itself."""

    async def gave_back(self, attempt: int, arithmetic: str) -> None:
        """The panel gave back the money of an attempt whose id there is not known: it takes nothing of ours now.

        The customer's money stays where it is until people have looked.
        """

    async def duplicate_seen(self, panel: str, remote_service: str, link: str, *, by: int) -> int:
        """Attempt `by` was refused there as a duplicate: mark the unknown ones it may be one of. Gives how many."""
        ...

    async def learned(self, panel: str) -> Learned: ...

    async def fold(self) -> None:
        """Keep what was learned of panels small: changes nothing that anybody can see."""

    async def panels(self) -> Sequence[Learned]:
        """All panels that orders went to, by name."""
        ...

    async def learn(
        self,
        panel: str,
        *,
        foreign: bool | None = None,
        proven: int | None = None,
        stopped: str | None = None,
    ) -> Learned:
        """Change what is known of a panel; None leaves a field as it is."""
        ...

    async def delivered(self, since_ms: int = 0) -> Sequence[Delivered]:
        """What the routes have really done of which an order ended, or was refilled, since then; oldest first."""
        ...

    async def outcomes(self, since_ms: int) -> Sequence[RouteOutcomes]:
        """What became of the attempts that were begun since then, by panel and route."""
        ...

    async def keep_reading(self, reading: Reading) -> None: ...

    async def anchor(self, panel: str) -> Reading | None:
        """The last agreed reading."""
        ...

    async def readings(self, panel: str, *, limit: int = 20) -> Sequence[Reading]:
        """Newest first."""
        ...

    async def ours(self, panel: str, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids belong to attempts of ours."""
        ...

    async def latest_ids(self, panel: str, *, limit: int = 200) -> Sequence[int]:
        """The ids of the last orders there, newest first, those that are numbers."""
        ...

    async def ceiling(self, panel: str, attempt: int, *, after_ms: int) -> int | None:
        """The lowest id of the orders written after `attempt` and not before `after_ms`; None = none yet."""
        ...

    # Rules files, lists, ids.

    async def keep_rules(self, version: str, text: str, *, why: str = "") -> None:
        """A gateway took this rules file or, because of `why`, would not; what was written last is not repeated."""

    async def rules_files(self, *, limit: int = 50) -> Sequence[RulesFile]:
        """Newest first."""
        ...

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None:
        """The panel's last good list; an older one does not replace a newer."""
        ...

    async def snapshot(self, panel: str) -> bytes | None: ...

    async def snapshots(self) -> Sequence[str]:
        """The panels that there is a list of, by name."""
        ...

    async def keep_changes(self, panel: str, changes: Sequence[tuple[str, str | None, str | None]]) -> int:
        """Rows of a panel's list that changed at once: id, JSON before and after. Gives the version that it is."""
        ...

    async def row_changes(
        self, panel: str, *, remote_service: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[RowChange]:
        """Newest first: of one service, or of the whole list after a version."""
        ...

    async def approved(self, panel: str) -> Mapping[str, str]:
        """The rows, JSON by id, that people said yes to."""
        ...

    async def approve(self, panel: str, rows: Mapping[str, str]) -> None: ...

    async def forget_approved(self, panel: str) -> None: ...

    async def service_ids(
        self, panel: str, remote_services: Sequence[str], *, first: int, keep: bool = True
    ) -> Mapping[str, int]:
        """Our ids for a panel's services under `publish … ids: new`: given once, never changed or given again.

        Without `keep` nothing is given: the ids are those that would be, now.
        """
        ...
