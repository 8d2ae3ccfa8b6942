"""Place: the one way an order takes to a panel.

An order is written before anything is sent: order, hold and attempt *sending* in one transaction. The task that buys
is not owned by the customer's request. Each attempt ends accepted, refused, not sent or unknown; unknown is the
default, is never sent again and never refunded by itself. Failover follows *not sent* and the refusals that
`gateway.failover` names, until one deadline.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from gateway import failover
from gateway.catalog import Catalog
from gateway.errors import Busy, GatewayError, NotEnoughFunds
from gateway.ledger import records
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Fail, NewPlacement, Next, Outcome, Placed
from gateway.metrics import Metrics
from gateway.routing import Choice
from providers import errors
from providers.base import NewOrder
from providers.errors import ProviderError, Reason
from providers.service_types import OrderFields

_log = structlog.get_logger()

_AGAIN_S: Final = 0.25  # before an outcome that the ledger could not take is written again; doubling
_AGAIN_AT_MOST_S: Final = 5.0
_LAST_WORD_S: Final = 5.0  # how long a stop waits for the ledger after it has cut what was being bought
_TELLING: Final = frozenset({Reason.FUNDS, Reason.KEY, Reason.ACCOUNT})  # refusals that people have to mend


class Purchase:
    """One order on its way: what the task that buys and the request that waits for it share.

    Attributes:
        placed: the order's id, once it is written; or why it was not.
        refusal: what the customer is told, once every panel said no.
        deadline: no further panel is asked after this moment of the clock.
    """

    def __init__(self, new: NewPlacement, fields: OrderFields, choices: tuple[Choice, ...], deadline: float) -> None:
        self.new = new
        self.fields = fields
        self.choices = choices
        self.deadline = deadline
        self.placed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.refusal: GatewayError | None = None


class Placing:
    """Buys. Holds the tasks that do, so that a stop can wait for them."""

    def __init__(
        self, ledger: Ledger, catalog: Catalog, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._metrics = metrics
        self._clock = clock
        self._stopped = False
        self._buying: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[int | None]] = set()

    async def buy(self, purchase: Purchase, *, wait_s: float) -> int:
        """Write the order and buy it; gives its id once a panel took it, or after `wait_s`.

        Raises:
            NotEnoughFunds, Busy: nothing was written or sent.
            Refused, NotSold: every panel that was asked said no; the hold is given back.
        """
        if self._stopped:
            raise Busy
        task = asyncio.create_task(self._place(purchase), name="place")
        self._buying.add(task)
        task.add_done_callback(self._buying.discard)
        order = await asyncio.shield(purchase.placed)
        await asyncio.wait({task}, timeout=wait_s)
        if purchase.refusal is not None:
            raise purchase.refusal
        return order

    async def drain(self, timeout_s: float, hurry: asyncio.Event) -> int:
        """Wait for what is being bought, until `timeout_s` or `hurry`; what is open then ends unknown.

        Gives how many did. Ends in any case: what the ledger cannot take by then is found *sending* at the next start,
        and is unknown.
        """
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

    async def _place(self, purchase: Purchase) -> None:
        try:
            placed = await self._ledger.place(purchase.new)
        except records.NotEnough:
            purchase.placed.set_exception(NotEnoughFunds())
        except Exception as broken:  # noqa: BLE001 - whatever it was, nothing is sent without a written intent
            _log.error("place", outcome="not_written", why=repr(broken))
            purchase.placed.set_exception(Busy())
        except BaseException:
            purchase.placed.cancel()
            raise
        else:
            purchase.placed.set_result(placed.order)
            await self._buy(placed, purchase)

    async def _buy(self, placed: Placed, purchase: Purchase) -> None:
        """Ask the choices, best first, until one takes the order, one may have, or none is left."""
        attempt = placed.attempt
        for position, choice in enumerate(purchase.choices):
            record = _Record(placed.order, attempt, choice)
            outcome, error = await self._try(record, purchase.fields)
            then = None if error is None else self._then(error, purchase, position)
            following = await self._settled(record, outcome, then)
            if following is None:
                purchase.refusal = failover.refusal(error) if error and isinstance(then, Fail) else None
                return
            attempt = following

    async def _try(self, record: "_Record", fields: OrderFields) -> tuple[Outcome, ProviderError | None]:
        """One attempt at one panel: exactly one `add`, and what became of it."""
        choice = record.choice
        panel = self._catalog.panel(choice.panel)
        if panel is None:
            gone = errors.Unsent("the rules name it no more", panel=choice.panel, action="add")
            return _outcome(gone), gone
        began = self._clock()
        error: ProviderError
        try:
            added = await panel.provider.add(NewOrder(choice.remote_service, fields))
        except ProviderError as known:
            error = known
        except asyncio.CancelledError:
            await self._settled(record, records.Unknown(evidence=_evidence({"cut": "stopped while sending"})), None)
            raise
        except Exception as unforeseen:  # noqa: BLE001 - it may have been sent; its words may hold a key
            error = errors.Unanswered(type(unforeseen).__name__, panel=choice.panel, action="add")
        else:
            panel.noted("add", None, self._clock() - began)
            panel.spent(choice.cost)
            return records.Accepted(remote_id=added.remote_id, charge=added.charge), None
        panel.noted("add", error, self._clock() - began)
        return _outcome(error), error

    def _then(self, error: ProviderError, purchase: Purchase, position: int) -> Next | Fail | None:
        """What follows an attempt that bought nothing; None where that is not certain."""
        if not failover.bought_nothing(error):
            return None
        left = purchase.choices[position + 1 :]
        if failover.may_go_on(error) and left and self._clock() < purchase.deadline:
            return Next(panel=left[0].panel, remote_service=left[0].remote_service, cost=left[0].cost)
        return Fail(why=error.what)

    async def _settled(self, record: "_Record", outcome: Outcome, then: Next | Fail | None) -> int | None:
        """Write the outcome in a task of its own, which a stop that cuts this one waits for all the same."""
        name = f"settle order {record.order} attempt {record.attempt}: {_word(outcome)}"
        task = asyncio.create_task(self._settle(record, outcome, then), name=name)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)

    async def _settle(self, record: "_Record", outcome: Outcome, then: Next | Fail | None) -> int | None:
        """Write the outcome, however long the ledger takes; an id once read is not let go of."""
        pause_s = _AGAIN_S
        while True:
            try:
                following = await self._ledger.settle(record.attempt, outcome, then)
            except records.RemoteIdTaken as taken:
                _log.error("attempt", **record.told(), outcome="unknown", why=str(taken))
                outcome, then = records.Unknown(evidence=_evidence({"conflict": str(taken)})), None
            except (records.WrongState, ValueError) as wrong:
                _log.error("attempt", **record.told(), outcome="not_written", was=repr(outcome), why=str(wrong))
                return None
            except Exception as broken:  # noqa: BLE001 - LedgerBusy, or worse: the next try may be luckier
                if pause_s == _AGAIN_S:
                    _log.error("attempt", **record.told(), outcome="not_written", was=repr(outcome), why=repr(broken))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_AT_MOST_S)
            else:
                self._tell(record, outcome)
                return following

    def _tell(self, record: "_Record", outcome: Outcome) -> None:
        word = _word(outcome)
        self._metrics.attempts.labels(record.choice.panel, word).inc()
        match outcome:
            case records.Accepted(remote_id=remote_id):
                _log.info("attempt", **record.told(), outcome=word, remote_id=remote_id)
            case records.Unknown(evidence=seen):
                way_out = "it is never sent again; panelmux order list --unknown"
                _log.warning("attempt", **record.told(), outcome=word, seen=seen, then=way_out)
            case records.Refused(reason=reason, evidence=seen) if reason in _TELLING:
                _log.warning("attempt", **record.told(), outcome=word, reason=reason, seen=seen)
            case records.Refused(reason=reason):
                _log.info("attempt", **record.told(), outcome=word, reason=reason)
            case records.NotSent(evidence=seen):
                _log.info("attempt", **record.told(), outcome=word, seen=seen)


class _Record(msgspec.Struct, frozen=True):
    """One attempt, as the ledger has it, and where it goes."""

    order: int
    attempt: int
    choice: Choice

    def told(self) -> dict[str, str | int]:
        """Who, for a log line."""
        choice = self.choice
        return {"order": self.order, "attempt": self.attempt, "panel": choice.panel, "service": choice.remote_service}


def _outcome(error: ProviderError) -> Outcome:
    """The outcome an error proves; whatever proves nothing is unknown."""
    evidence = _evidence({"what": error.what, **error.evidence})
    match error:
        case errors.Unsent():
            return records.NotSent(evidence=evidence)
        case errors.Refused():
            return records.Refused(reason=error.reason.value, evidence=evidence)
        case _:
            return records.Unknown(evidence=evidence)


def _word(outcome: Outcome) -> str:
    """The outcome as logs and metrics name it: accepted, refused, not_sent, unknown."""
    return "not_sent" if isinstance(outcome, records.NotSent) else type(outcome).__name__.lower()


def _evidence(seen: dict[str, str | int]) -> str:
    return msgspec.json.encode(seen).decode()
