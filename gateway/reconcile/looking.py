"""What became of the orders at a panel whose outcome is unknown: evidence is gathered, weighed, and acted upon.

Nothing is ever sent a second time to find out. What is asked only reads: the statuses of ids between our own, the list
of our orders where a panel has one, our balance. What it all means is decided in `gateway.evidence`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec
import structlog

from gateway.catalog import Catalog
from gateway.evidence import funds, schedule, trace, verdicts
from gateway.evidence.funds import Funds
from gateway.evidence.trace import Found, Gap, Ids
from gateway.evidence.verdicts import NotPlaced, Placed, Untracked, Verdict
from gateway.ledger import records
from gateway.ledger.learned import Learned, Reading
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Attempt, AttemptState, Fail, LedgerError, Next, Outcome, Suspicion, Wait
from gateway.metrics import Metrics
from gateway.panels import Panel
from gateway.placing import Left, Placing, following, left, resized
from gateway.reconcile.reading import Readings, Spoiled
from gateway.rules.model import Feature, Tells
from providers.base import BATCH, Status
from providers.errors import ProviderError, Reason

_log = structlog.get_logger()

_CALLS: Final = 20  # for statuses of ids, a look
_TRUSTED_AFTER: Final = 2  # agreed readings in a row, orders between each


class Evidence(msgspec.Struct, frozen=True):
    """What a look found: of each suspect's id, with what the panel says of it, and of its money."""

    ids: Mapping[int, Ids]
    weighing: "Weighing"
    statuses: Mapping[str, Status]


class Weighing(msgspec.Struct, frozen=True):
    """What our money there says of each suspect, and in one line for people.

    Attributes:
        gone: attempts of the only set that explains what is gone; None where there are several, or none.
        reading: the balance that was weighed.
        proven: how often in a row the panel's money was explained before, counting this one if orders came between.
    """

    arithmetic: str
    words: Mapping[int, Funds] = {}
    gone: tuple[int, ...] | None = None
    reading: Reading | None = None
    proven: int = 0


class Looking:
    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        placing: Placing,
        readings: Readings,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._placing = placing
        self._uptime = uptime
        self._since: dict[str, dict[int, float]] = {}  # by panel and suspect: when it was first seen
        self._readings = readings
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self._alarmed: set[int] = set()

    async def look(self, panel: Panel) -> bool:
        """Seek evidence for those suspects whose time has come; whether any was settled."""
        all_there = await self._ledger.suspicions(panel.name)
        panel.unknown = sum(one.attempt.state is AttemptState.UNKNOWN for one in all_there)
        now = self._now_ms()
        self._see(panel.name, all_there)
        due = [
            one
            for one in all_there
            if one.attempt.next_ms is not None and one.attempt.next_ms <= now and self.arrived(one.attempt)
        ]
        if not due or not panel.readable(self._clock()):
            return False
        learned = await self._ledger.learned(panel.name)
        seen = await self._evidence(panel, all_there, learned)
        settled = [one.attempt for one in due if await self._judge(panel, one, seen)]
        await self._anchored(seen.weighing, {one.attempt.id: one.attempt for one in all_there}, settled)
        if settled:
            panel.unknown = (await self._ledger.unknown_counts()).get(panel.name, 0)
        return bool(settled)

    def _see(self, panel: str, there: Sequence[Suspicion]) -> None:
        before, now = self._since.get(panel, {}), self._uptime()
        self._since[panel] = {one.attempt.id: before.get(one.attempt.id, now) for one in there}

    def arrived(self, attempt: Attempt) -> bool:
        """Whether what was sent has arrived by now, or never will: by a clock that nobody can put forward.

        A process that found the attempt at its start waits for the whole window again.
        """
        since = self._since.get(attempt.panel, {}).get(attempt.id)
        window_ms = attempt.settle_ms - attempt.created_ms
        return since is not None and (self._uptime() - since) * 1000 >= window_ms

    async def _anchored(self, weighing: Weighing, there: Mapping[int, Attempt], settled: Sequence[Attempt]) -> None:
        """Where one set alone explains what is gone, and all of it is settled now, the reading is agreed.

        A suspect that is not in that set goes on being one: what it may yet take will be gone since this reading.
        """
        reading = weighing.reading
        if reading is None or weighing.gone is None:
            return
        members = [there[attempt] for attempt in weighing.gone]
        came_back = [one for one in members if one.state is AttemptState.UNTRACKED]
        if not all(one in settled or one in came_back for one in members):
            return
        taken = reading.taken
        for one in members:
            if one in came_back:
                taken -= one.taken or Decimal(0)
                await self._ledger.gave_back(one.id, weighing.arithmetic)
            else:
                taken += one.remote_cost or Decimal(0)
        await self._ledger.keep_reading(msgspec.structs.replace(reading, taken=taken, agreed=True))
        await self._ledger.learn(reading.panel, proven=weighing.proven)

    async def _evidence(self, panel: Panel, suspects: Sequence[Suspicion], learned: Learned) -> Evidence:
        ids, statuses = await self._ids(panel, suspects, learned)
        weighing = await self._funds(panel, suspects)
        return Evidence(ids, weighing, statuses)

    async def _ids(
        self, panel: Panel, suspects: Sequence[Suspicion], learned: Learned
    ) -> tuple[Mapping[int, Ids], Mapping[str, Status]]:
        """What the ids there tell: by the panel's own list of our orders, or by asking about those between ours."""
        if Feature.ORDERS in panel.rules.features:
            listed = await self._listed(panel, suspects)
            if listed is not None:
                return listed, {}
        moves, before = panel.moves, await self._there(panel)
        learned = await self._foreign(panel, learned)
        why = trace.unusable(learned, panel.rules.evidence_ids)
        if why is not None:
            return _nothing(suspects, why), {}
        gaps: dict[int, Gap] = {}
        for one in suspects:
            attempt = one.attempt
            ceiling = await self._ledger.ceiling(panel.name, attempt.id, after_ms=attempt.settle_ms)
            gaps[attempt.id] = trace.gap(attempt.floor, ceiling)
        known = [gap for gap in gaps.values() if gap.first]
        wide = trace.ids(known, frozenset(), calls=2 * _CALLS)
        if wide is None:
            return _nothing(suspects, "too many ids lie between ours"), {}
        ours = await self._ledger.ours(panel.name, wide)
        asked = trace.ids(known, {int(id) for id in ours}, calls=_CALLS)
        if asked is None:
            return _nothing(suspects, "too many ids lie between ours"), {}
        try:
            statuses, unheard = await self._statuses(panel, asked)
        except ProviderError as error:
            return _nothing(suspects, f"its ids cannot be asked about: {error.what}"), {}
        gaps = {attempt: trace.heard(gap, unheard) for attempt, gap in gaps.items()}
        found = [Found(remote_id=id, status=status) for id, status in statuses.items()]
        # An order that was sent meanwhile has an id that nobody knows of yet: only what lies between tells then.
        still = panel.moves == moves and before is not None and await self._there(panel) == before
        return trace.match(suspects, found, gaps, still=still), statuses

    async def _there(self, panel: Panel) -> tuple[int, frozenset[int]] | None:
        """How many orders we have there, and the attempts in doubt; None while another node has one on its way."""
        if await self._ledger.sending_elsewhere(panel.name):
            return None
        doubted = await self._ledger.suspicions(panel.name)
        orders = (await self._ledger.learned(panel.name)).orders
        mine = {one.attempt.id for one in doubted if one.attempt.state is not AttemptState.SENDING}
        return orders, frozenset(mine)

    async def _listed(self, panel: Panel, ready: Sequence[Suspicion]) -> Mapping[int, Ids] | None:
        began = self._clock()
        try:
            rows = await panel.provider.orders(limit=BATCH)
        except ProviderError as error:
            panel.noted("orders", error, self._clock() - began)
            _log.warning("look", panel=panel.name, outcome="no_listing", why=error.what)
            return None
        panel.noted("orders", None, self._clock() - began)
        ours = await self._ledger.ours(panel.name, [row.remote_id for row in rows])
        free = [row for row in rows if row.remote_id not in ours]
        oldest = min((row.created_ms for row in rows if row.created_ms is not None), default=None)
        return trace.listed(ready, free, reaches_ms=0 if len(rows) < BATCH else oldest)

    async def _foreign(self, panel: Panel, learned: Learned) -> Learned:
        """Find out, once, whether ids that are not ours answer an error: by those that lie between our own."""
        if learned.foreign is not None or panel.rules.evidence_ids is Tells.NEVER:
            return learned
        ours = sorted(await self._ledger.latest_ids(panel.name))
        between = [id for low, high in pairwise(ours) for id in range(low + 1, min(high, low + 6))]
        asked = [str(id) for id in between[-BATCH // 2 :]]
        if len(ours) < 2:
            return learned
        unknown = await self._ledger.suspicions(panel.name)
        if len(asked) <= len(unknown):  # all of them may be ours
            return learned
        try:
            answers, unheard = await self._statuses(panel, asked)
        except ProviderError:
            return learned
        if unheard:
            return learned
        # An order of ours whose answer was lost is among them, at most as many as there are such.
        return await self._ledger.learn(panel.name, foreign=len(answers) <= len(unknown))

    async def _statuses(self, panel: Panel, ids: Sequence[str]) -> tuple[Mapping[str, Status], frozenset[int]]:
        """Those of the ids that answer as an order of ours, and those that nothing certain was said of."""
        found: dict[str, Status] = {}
        unheard: set[int] = set()
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            began = self._clock()
            try:
                told = await panel.provider.status(part)
            except ProviderError as error:
                panel.noted("status", error, self._clock() - began)
                raise
            panel.noted("status", None, self._clock() - began)
            for id in part:
                answer = told.get(id)
                if isinstance(answer, Status):
                    found[id] = answer
                elif answer is None or answer.reason is not Reason.ORDER:
                    unheard.add(int(id))
        return found, frozenset(unheard)

    async def _funds(self, panel: Panel, suspects: Sequence[Suspicion]) -> Weighing:
        """What our money there tells, since the last reading that was agreed."""
        if panel.rules.evidence_balance is Tells.NEVER:
            return Weighing("the rules say not to go by the balance")
        anchor = await self._ledger.anchor(panel.name)
        if anchor is None:
            return Weighing("the balance was never read while all was explained")
        try:
            reading = await self._readings.take(panel, hold=True)
        except Spoiled as spoiled:
            return Weighing(str(spoiled))
        learned = await self._ledger.learned(panel.name)
        still = {one.attempt.id for one in await self._ledger.suspicions(panel.name)}
        if still != {one.attempt.id for one in suspects}:
            return Weighing("an order was sent or settled there meanwhile")
        gone = funds.gone(anchor, reading)
        weighed = funds.weigh(
            gone,
            suspects,
            unit=min(anchor.unit, reading.unit),
            strict=learned.proven >= _TRUSTED_AFTER or panel.rules.evidence_balance is Tells.TRUSTED,
        )
        arithmetic = (
            f"balance {anchor.balance} + taken {anchor.taken} at the last agreed reading; "
            f"{reading.balance} + {reading.taken} now: {gone} gone; {weighed.why}"
        )
        proven = learned.proven + (reading.orders > anchor.orders)
        return Weighing(arithmetic, weighed.words, weighed.gone, reading, proven)

    async def _judge(self, panel: Panel, one: Suspicion, seen: Evidence) -> bool:
        attempt = one.attempt
        now = self._now_ms()
        nothing = Ids(word="unavailable", candidates=(), why="")
        verdict = verdicts.verdict(
            seen.ids.get(attempt.id, nothing),
            seen.weighing.words.get(attempt.id, Funds.UNAVAILABLE),
            duplicate_seen=attempt.duplicate_seen,
            untracked=attempt.state is AttemptState.UNTRACKED,
        )
        evidence = self._told(one, seen, verdict)
        outcome: Outcome | None = None
        match verdict:
            case Placed():
                status = seen.statuses.get(verdict.remote_id)
                charge = None if status is None else status.charge
                outcome = Accepted(remote_id=verdict.remote_id, charge=charge, evidence=evidence)
            case Untracked():
                outcome = records.Untracked(evidence=evidence)
            case NotPlaced():
                outcome = records.NotPlaced(evidence=evidence)
        if outcome is not None and await self.settle(panel, one, outcome):
            return True
        next_ms = schedule.next_look_ms(attempt.created_ms, attempt.settle_ms, attempt.looks, now)
        blind = seen.weighing.words.get(attempt.id, Funds.UNAVAILABLE) is Funds.UNAVAILABLE
        why = f"{verdict.why} ({seen.weighing.arithmetic})" if blind else verdict.why
        why = why if next_ms is not None else f"{schedule.UNRESOLVED}: {why}"
        await self._ledger.looked(attempt.id, why=why, next_ms=next_ms, evidence=evidence)
        if now - attempt.created_ms >= schedule.ALERT_MS and attempt.id not in self._alarmed:
            self._alarmed.add(attempt.id)
            then = f"panelmux order show {attempt.order}; panelmux order resolve {attempt.order}"
            _log.error("unknown", order=attempt.order, panel=panel.name, cost=str(attempt.cost), why=why, then=then)
        return False

    async def settle(self, panel: Panel, one: Suspicion, outcome: Outcome) -> bool:
        """Write what became of a suspect, and buy its order at the next offer if it was not placed; whether it held."""
        attempt = one.attempt
        then: Next | Fail | Wait | None = None
        now = Left()
        fields = None
        if isinstance(outcome, records.NotPlaced):
            order = await self._ledger.order(attempt.order)
            if order is None:
                return False
            fields = resized(order, attempt.units + attempt.later)
            if fields is not None and await self._ledger.wished(order.id, "cancel") is None:
                account = await self._ledger.account_of(order.id)
                now = left(
                    self._catalog,
                    order,
                    fields,
                    account=account,
                    attempts=await self._ledger.attempts(order.id),
                    now=self._clock(),
                )
            if now.choices and fields is not None:
                then = following(self._catalog, now.choices[0], fields, now.left_out)
            else:
                why = "not placed"
                then = self._placing.wait(now.wait_s, why) if now.wait_s else Fail(why=why)

        async def write() -> int | None:
            return await self._ledger.settle(attempt.id, outcome, then)

        try:
            if fields is None or not isinstance(then, Next):
                await write()
            else:
                await self._placing.go_on(attempt.order, write, fields, now)
        except (LedgerError, ValueError) as error:
            _log.error("look", order=attempt.order, attempt=attempt.id, outcome="not_written", why=str(error))
            return False
        word = type(outcome).__name__
        self._metrics.verdicts.labels(panel.name, word).inc()
        _log.info("look", order=attempt.order, attempt=attempt.id, panel=panel.name, outcome=word)
        return True

    @staticmethod
    def _told(one: Suspicion, seen: Evidence, verdict: Verdict) -> str:
        """The evidence as people read it later."""
        ids = seen.ids.get(one.attempt.id)
        facts = {
            "verdict": type(verdict).__name__,
            "why": verdict.why,
            "ids": None if ids is None else f"{ids.word}: {', '.join(ids.candidates[:10]) or ids.why}",
            "balance": seen.weighing.words.get(one.attempt.id, Funds.UNAVAILABLE).value,
            "arithmetic": seen.weighing.arithmetic,
            "expected": None if one.attempt.remote_cost is None else str(one.attempt.remote_cost),
            "duplicate_seen": one.attempt.duplicate_seen or None,
        }
        return msgspec.json.encode({name: fact for name, fact in facts.items() if fact is not None}).decode()


def _nothing(suspects: Sequence[Suspicion], why: str) -> Mapping[int, Ids]:
    return {one.attempt.id: Ids(word="unavailable", candidates=(), why=why) for one in suspects}
