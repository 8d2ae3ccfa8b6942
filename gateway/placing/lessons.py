"""What an outcome says besides what became of its order: of the panel, of other orders there, to people."""

from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger import records
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Outcome
from gateway.metrics import Metrics
from gateway.placing.outcomes import Sending, evidence, word
from providers.errors import Reason

_log = structlog.get_logger()

_TELLING: Final = frozenset({Reason.FUNDS, Reason.KEY, Reason.ACCOUNT})  # refusals that people have to mend


class Lessons:
    def __init__(self, ledger: Ledger, catalog: Catalog, metrics: Metrics) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._metrics = metrics

    async def conflict(self, sending: Sending, why: str) -> None:
        """A panel gave an id that another order of ours has: one of the two is wrong, so it takes no more orders."""
        panel = self._catalog.panel(sending.choice.panel)
        if panel is not None:
            panel.stop_for, panel.stop_kept = f"it gave one id to two orders; order {sending.order}: {why}", False
        try:
            await self._ledger.learn(sending.choice.panel, stopped=why)
            if panel is not None:
                panel.stop_kept = True
        except records.LedgerError as error:
            _log.error("panel", panel=sending.choice.panel, outcome="not_written", why=str(error))

    async def contradicted(self, sending: Sending, outcome: Outcome, why: str) -> None:
        """An answer that comes after the attempt was settled otherwise: kept where people look."""
        if not isinstance(outcome, Accepted):
            return
        seen = evidence({"remote_id": outcome.remote_id, "why": why})
        try:
            await self._ledger.note(sending.order, sending.attempt, "late_id", seen)
        except records.LedgerError as error:
            _log.error("attempt", **sending.told(), outcome="not_written", was=repr(outcome), why=str(error))

    async def learn(self, sending: Sending, outcome: Outcome) -> None:
        """Take note of what an outcome says of other orders there."""
        choice = sending.choice
        panel = self._catalog.panel(choice.panel)
        if isinstance(outcome, records.Unknown) and panel is not None:
            panel.unknown += 1
        if isinstance(outcome, records.Refused) and outcome.reason == Reason.DUPLICATE.value:
            link = sending.fields.link
            try:
                await self._ledger.duplicate_seen(choice.panel, choice.remote_service, link, by=sending.attempt)
            except records.LedgerError as error:
                _log.error("attempt", **sending.told(), outcome="duplicate_not_written", why=str(error))
        self._tell(sending, outcome)

    def _tell(self, sending: Sending, outcome: Outcome) -> None:
        name = word(outcome)
        self._metrics.attempts.labels(sending.choice.panel, name).inc()
        if isinstance(outcome, records.Refused):
            self._metrics.refusals.labels(sending.choice.panel, outcome.reason).inc()
        match outcome:
            case Accepted(remote_id=remote_id):
                _log.info("attempt", **sending.told(), outcome=name, remote_id=remote_id)
            case records.Unknown(evidence=seen):
                then = "never sent again; evidence is sought once it can arrive no more; panelmux order list --unknown"
                _log.warning("attempt", **sending.told(), outcome=name, seen=seen, then=then)
            case records.Refused(reason=reason, evidence=seen) if reason in _TELLING:
                _log.warning("attempt", **sending.told(), outcome=name, reason=reason, seen=seen)
            case records.Refused(reason=reason):
                _log.info("attempt", **sending.told(), outcome=name, reason=reason)
            case records.NotSent(evidence=seen):
                _log.info("attempt", **sending.told(), outcome=name, seen=seen)
