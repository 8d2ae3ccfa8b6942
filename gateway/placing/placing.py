"""Place: the one way an order takes to a panel.

An order is written before anything is sent: order, hold and attempt *sending* in one transaction. The task that buys
is not owned by the customer's request. Each attempt ends accepted, refused, not sent or unknown; unknown is the
default, is never sent again and never refunded by itself. Failover follows *not sent* and the refusals that
`gateway.failover` names, until one deadline. What becomes of an unknown attempt later, of an order's rest or next part,
and of one that waited, comes back here through `go_on`: it is bought like the first time. An order that only our money
at the panels keeps from being bought waits, where the rules let it.

An order that could not be sent within `send_s` of its intent is not sent any more: whoever was paused for so long, by
a debugger or a sleeping machine, may find that another process has taken over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
import structlog

from gateway import failover
from gateway.catalog import Catalog
from gateway.errors import Busy, GatewayError, NotEnoughFunds, Refused, RequestIdTaken
from gateway.ledger import records
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Fail, NewPlacement, Next, Outcome, Wait
from gateway.ledger.spill import Spill
from gateway.metrics import Metrics
from gateway.panels import Panel
from gateway.placing.choosing import Left, cost_of, following, partial
from gateway.placing.keeping import Kept
from gateway.placing.lessons import Lessons
from gateway.placing.outcomes import Sending, evidence, new_order, outcome_of, word
from gateway.routing import Choice
from gateway.turns import NoTurn
from providers import errors
from providers.errors import ProviderError, Reason
from providers.service_types import OrderFields

_log = structlog.get_logger()

_AGAIN_S: Final = 0.25  # before an outcome that the ledger could not take is written again; doubling
_AGAIN_AT_MOST_S: Final = 5.0
_FENCES: Final = 8  # times that a next attempt may not be written, before the order is given up
_LAST_WORD_S: Final = 5.0  # how long a stop waits for the ledger after it has cut what was being bought


class Stopping(Exception):
    """A stop has begun: what would be bought by itself is left to the next start."""


class Purchase:
    """One order on its way: what the task that buys and the request that waits for it share.

    Attributes:
        placed: the order's id, once it is written; or why it was not.
        refusal: what the customer is told, once every panel said no.
    """

    def __init__(self, new: NewPlacement, round: "Round") -> None:
        self.new = new
        self.round = round
        self.placed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.refusal: GatewayError | None = None


class Round(msgspec.Struct, frozen=True):
    """What is to be bought where: the choices, best first; no further one is asked after `deadline` of the clock.

    `wait_s`: how long it waits afterwards; `dry_wait_s`: where one of them says no for want of our money; `until_ms`:
    or until when, if it has waited before.
    """

    fields: OrderFields
    choices: tuple[Choice, ...]
    deadline: float
    wait_s: int = 0
    dry_wait_s: int = 0
    until_ms: int | None = None


class Placing:
    """Buys. Holds the tasks that do, so that a stop can wait for them.

    `may_send` gives a reason not to send anything any more, asked at the last moment before the first byte; what was
    written under another `epoch` is not sent either; `uptime`
    is a clock that goes on while the machine sleeps.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        metrics: Metrics,
        *,
        spill: Spill | None = None,
        send_s: float = 15.0,
        may_send: Callable[[], str | None] = lambda: None,
        epoch: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._metrics = metrics
        self._lessons = Lessons(ledger, catalog, metrics)
        self._spill = spill
        self._send_s = send_s
        self._may_send = may_send
        self._epoch = epoch
        self._clock = clock
        self._uptime = uptime
        self._stopping = False  # nothing begins by itself any more
        self._stopped = False
        self._buying: set[asyncio.Task[object]] = set()
        self._writing: set[asyncio.Task[int | None]] = set()
        self._attempts: set[int] = set()  # on their way, or their outcome on its way into the ledger

    async def buy(self, purchase: Purchase, *, wait_s: float) -> int:
        """Write the order and buy it; gives its id once a panel took it, or after `wait_s`.

        Raises:
            NotEnoughFunds, RequestIdTaken, Busy: nothing was written or sent.
            Refused, NotSold: every panel that was asked said no; the hold is given back.
        """
        if self._stopped or self._may_send() is not None:
            raise Busy
        task = self._begun(self._place(purchase))
        order = await asyncio.shield(purchase.placed)
        await asyncio.wait({task}, timeout=wait_s)
        if purchase.refusal is not None:
            raise purchase.refusal
        return order

    async def go_on(
        self,
        order: int,
        writing: Callable[[], Awaitable[int | None]],
        fields: OrderFields,
        left: Left,
        *,
        timeout_s: float = 0,
        until_ms: int | None = None,
    ) -> None:
        """Buy an order, or its rest, at the first of the choices, and on; by itself after `timeout_s`.

        One that has waited before waits until `until_ms` in all.

        `writing` writes its next attempt and gives that, if it is to be bought; what it raises is raised here.

        Raises:
            Stopping: nothing was written; nobody would wait for what begins now.
        """
        if self._stopping:
            raise Stopping
        by = self._clock() + self._send_s
        round = Round(fields, left.choices, by, left.wait_s, left.dry_wait_s, until_ms)
        written: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        task = self._begun(self._go_on(order, writing, round, written))
        await asyncio.shield(written)
        if timeout_s:
            await asyncio.wait({task}, timeout=timeout_s)

    async def _go_on(
        self,
        order: int,
        writing: Callable[[], Awaitable[int | None]],
        round: Round,
        written: asyncio.Future[int | None],
    ) -> None:
        try:
            attempt = await writing()
        except Exception as error:  # noqa: BLE001 - told to whoever asked for it
            written.set_exception(error)
            return
        except BaseException:
            written.cancel()
            raise
        written.set_result(attempt)
        if attempt is not None:
            await self._buy(order, attempt, round)

    def _begun(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = asyncio.create_task(work, name="place")
        self._buying.add(task)
        task.add_done_callback(self._buying.discard)
        return task

    async def drain(self, timeout_s: float, hurry: asyncio.Event) -> int:
        """Wait for what is being bought, until `timeout_s` or `hurry`; what is open then ends unknown.

        Gives how many did. Ends in any case: what the ledger cannot take by then is found *sending* at the next start,
        and is unknown.
        """
        self._stopping = True
        hurried = asyncio.create_task(hurry.wait())
        try:
            async with asyncio.timeout(timeout_s):
                while self._buying and not hurried.done():
                    await asyncio.wait({*self._buying, hurried}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            hurried.cancel()
        self._stopped = True
        late = set(self._buying)
        for task in late:
            task.cancel()
        rest: set[asyncio.Task[Any]] = {*late, *self._writing}
        if rest:
            _, unwritten = await asyncio.wait(rest, timeout=_LAST_WORD_S)
            for task in unwritten:
                _log.error("stop", outcome="not_written", task=task.get_name(), why="the ledger took too long")
        return len(late)

    @property
    def open(self) -> int:
        """How many orders are being bought."""
        return len(self._buying)

    def held(self) -> str | None:
        """Why nothing may be sent at this moment: what is ordered now is not to be written."""
        return self._may_send()

    @property
    def attempts(self) -> Sequence[int]:
        """Those under way."""
        return tuple(self._attempts)

    async def _place(self, purchase: Purchase) -> None:
        until, epoch = self._uptime() + self._send_s, self._epoch()
        try:
            placed = await self._ledger.place(purchase.new)
        except records.NotEnough:
            purchase.placed.set_exception(NotEnoughFunds())
        except records.LinkBusy:
            purchase.placed.set_exception(Refused(failover.WORDS[Reason.DUPLICATE] or ""))
        except records.OverBudget as over:
            _log.warning("place", outcome="over_budget", why=str(over))
            purchase.placed.set_exception(NotEnoughFunds())
        except records.RequestTaken:
            purchase.placed.set_exception(RequestIdTaken())
        except Exception as broken:  # noqa: BLE001 - whatever it was, nothing is sent without a written intent
            self._metrics.busy.inc()
            _log.error("place", outcome="not_written", why=repr(broken))
            purchase.placed.set_exception(Busy())
        except BaseException:
            purchase.placed.cancel()
            raise
        else:
            purchase.placed.set_result(placed.order)
            if placed.attempt is not None:
                account = purchase.new.account
                purchase.refusal = await self._buy(
                    placed.order, placed.attempt, purchase.round, until=until, account=account, epoch=epoch
                )
            elif isinstance(purchase.new.first, Wait):
                _log.info("wait", order=placed.order, why=purchase.new.first.why)

    async def _buy(
        self,
        order: int,
        attempt: int,
        round: Round,
        *,
        until: float | None = None,
        account: int = 0,
        epoch: int | None = None,
    ) -> GatewayError | None:
        """Ask the choices, best first, until one takes the order, one may have, or none is left: then, why."""
        wait_s = round.wait_s
        for position, choice in enumerate(round.choices):
            by = self._uptime() + self._send_s if until is None else until
            fields, cost = partial(round.fields, choice.part), cost_of(choice, round.fields)
            sent_by = self._epoch() if epoch is None else epoch
            sending = Sending(order, attempt, choice, fields, cost, by, account, sent_by)
            outcome, error = await self._try(sending)
            if isinstance(error, errors.Refused) and error.reason is Reason.FUNDS:
                wait_s = round.dry_wait_s
            then = None if error is None else self._then(error, round, position, wait_s)
            next_attempt = await self._settled(sending, outcome, then)
            if next_attempt is None:
                return failover.refusal(error) if error and isinstance(then, Fail) else None
            attempt, until, epoch = next_attempt, None, None
        return None

    async def _try(self, sending: Sending) -> tuple[Outcome, ProviderError | None]:
        """One attempt at one panel: exactly one `add`, and what became of it."""
        self._attempts.add(sending.attempt)
        choice = sending.choice
        panel = self._catalog.panel(choice.panel)
        if panel is None or panel.stopped:
            why = "the rules name it no more" if panel is None else f"it takes no orders: {panel.stopped}"
            held = errors.Unsent(why, panel=choice.panel, action="add")
            return outcome_of(held), held
        if not panel.turns.begin(sending.account):
            try:
                await panel.turns.wait(sending.account)
            except NoTurn:
                held = errors.Full(f"{panel.rules.in_flight} orders under way", panel=panel.name, action="add")
                panel.noted("add", held, 0.0, remote_service=choice.remote_service)
                return outcome_of(held), held
        try:
            return await self._send(panel, sending)
        finally:
            panel.turns.end(sending.account)

    async def _send(self, panel: Panel, sending: Sending) -> tuple[Outcome, ProviderError | None]:
        choice = sending.choice
        error: ProviderError
        await panel.quieted()
        began = self._clock()
        with panel.sending():
            try:
                added = await panel.provider.add(new_order(panel, sending), last_check=lambda: self._late(sending))
            except ProviderError as known:
                error = known
            except asyncio.CancelledError:
                await self._settled(sending, records.Unknown(evidence=evidence({"cut": "stopped while sending"})), None)
                raise
            except Exception as unforeseen:  # noqa: BLE001 - it may have been sent; its words may hold a key
                error = errors.Unanswered(type(unforeseen).__name__, panel=choice.panel, action="add")
            else:
                panel.noted("add", None, self._clock() - began, remote_service=choice.remote_service)
                panel.spent(sending.cost)
                return Accepted(remote_id=added.remote_id, charge=added.charge), None
        panel.noted("add", error, self._clock() - began, remote_service=choice.remote_service)
        return outcome_of(error), error

    def _late(self, sending: Sending) -> str | None:
        """Why an attempt may not be sent any more."""
        if self._uptime() > sending.until:
            return "it could not be sent in time"
        if self._epoch() != sending.epoch:
            return "this node was taken for dead since it was written"
        return self._may_send()

    def _then(self, error: ProviderError, round: Round, position: int, wait_s: int) -> Next | Fail | Wait | None:
        """What follows an attempt that bought nothing; None where that is not certain."""
        if not failover.bought_nothing(error):
            return None
        others = round.choices[position + 1 :]
        if not failover.may_go_on(error):
            return Fail(why=error.what)
        if others and self._clock() < round.deadline:
            return following(self._catalog, others[0], round.fields)
        if not wait_s:
            return Fail(why=error.what)
        wait = self.wait(wait_s, error.what)
        return wait if round.until_ms is None else msgspec.structs.replace(wait, until_ms=round.until_ms)

    def wait(self, wait_s: int, why: str) -> Wait:
        """Wait for `wait_s` from now."""
        return Wait(until_ms=self._catalog.now_ms() + wait_s * 1000, why=why)

    async def _settled(self, sending: Sending, outcome: Outcome, then: Next | Fail | Wait | None) -> int | None:
        """Write the outcome in a task of its own, which a stop that cuts this one waits for all the same."""
        self._attempts.add(sending.attempt)
        name = f"settle order {sending.order} attempt {sending.attempt}: {word(outcome)}"
        task = asyncio.create_task(self._settle(sending, outcome, then), name=name)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        task.add_done_callback(lambda _: self._attempts.discard(sending.attempt))
        return await asyncio.shield(task)

    async def _settle(self, sending: Sending, outcome: Outcome, then: Next | Fail | Wait | None) -> int | None:
        """Write the outcome, however long the ledger takes; an id once read is not let go of."""
        pause_s, fences = _AGAIN_S, 0
        kept = Kept(self._spill, sending.attempt, outcome)
        while True:
            try:
                next_attempt = await kept.within(self._ledger.settle(sending.attempt, outcome, then))
            except records.RemoteIdTaken as taken:
                _log.error("attempt", **sending.told(), outcome="unknown", why=str(taken))
                await self._lessons.conflict(sending, str(taken))
                outcome, then = records.Unknown(evidence=evidence({"conflict": str(taken)})), None
            except records.Fenced as fenced:
                _log.error("attempt", **sending.told(), outcome=word(outcome), why=str(fenced))
                fences += 1
                if fences == _FENCES:
                    then = Fail(why="another process sells from the ledger now")
                else:  # a node that was taken for dead goes on under a new epoch in a moment
                    await asyncio.sleep(_AGAIN_S)
            except (records.WrongState, ValueError) as wrong:
                _log.error("attempt", **sending.told(), outcome="not_written", was=repr(outcome), why=str(wrong))
                await self._lessons.contradicted(sending, outcome, str(wrong))
                await kept.let_go()
                return None
            except Exception as broken:  # noqa: BLE001 - LedgerBusy, or worse: the next try may be luckier
                await kept.spill()
                if pause_s == _AGAIN_S:
                    _log.error("attempt", **sending.told(), outcome="not_written", was=repr(outcome), why=repr(broken))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_AT_MOST_S)
            else:
                await kept.let_go()
                await self._lessons.learn(sending, outcome)
                return next_attempt
