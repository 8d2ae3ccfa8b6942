"""Place: the one way an order takes to a panel.

An order is written before anything is sent: order, hold and attempt *sending* in one transaction. The task that buys
is not owned by the customer's request. Each attempt ends accepted, refused, not sent or unknown; unknown is the
default, is never sent again and never refunded by itself. Failover follows *not sent* and the refusals that
`gateway.failover` names, until one deadline.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

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
from providers.errors import ProviderError
from providers.service_types import OrderFields

_log = structlog.get_logger()

_AGAIN_S: Final = 0.25  # between two tries to write an outcome that the ledger could not take


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
        self._tasks: set[asyncio.Task[None]] = set()

    async def buy(self, purchase: Purchase, *, wait_s: float) -> int:
        """Write the order and buy it; gives its id once a panel took it, or after `wait_s`.

        Raises:
            NotEnoughFunds, Busy: nothing was written or sent.
            Refused, NotSold: every panel that was asked said no; the hold is given back.
        """
        task = asyncio.create_task(self._place(purchase), name="place")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        order = await asyncio.shield(purchase.placed)
        await asyncio.wait({task}, timeout=wait_s)
        if purchase.refusal is not None:
            raise purchase.refusal
        return order

    async def drain(self, timeout_s: float) -> int:
        """Wait for what is being bought; what is still open after `timeout_s` ends unknown. Gives how many did."""
        late = self._tasks.copy()
        if late:
            _, late = await asyncio.wait(late, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)

    async def _place(self, purchase: Purchase) -> None:
        try:
            placed = await self._ledger.place(purchase.new)
        except records.NotEnough:
            purchase.placed.set_exception(NotEnoughFunds())
        except Exception as broken:  # noqa: BLE001 - whatever it was, nothing is sent without a written intent
            _log.error("place", outcome="not_written", why=repr(broken))
            purchase.placed.set_exception(Busy())
        else:
            purchase.placed.set_result(placed.order)
            await self._buy(placed, purchase)

    async def _buy(self, placed: Placed, purchase: Purchase) -> None:
        """Ask the choices, best first, until one takes the order, one may have, or none is left."""
        attempt = placed.attempt
        for position, choice in enumerate(purchase.choices):
            outcome, error = await self._try(placed.order, attempt, choice, purchase.fields)
            self._metrics.attempts.labels(choice.panel, _word(outcome)).inc()
            then = None if error is None else self._then(error, purchase, position)
            following = await asyncio.shield(self._settle(placed.order, attempt, outcome, then))
            if following is None:
                purchase.refusal = failover.refusal(error) if error and isinstance(then, Fail) else None
                return
            attempt = following

    async def _try(
        self, order: int, attempt: int, choice: Choice, fields: OrderFields
    ) -> tuple[Outcome, ProviderError | None]:
        """One attempt at one panel: exactly one `add`, and what became of it."""
        panel = self._catalog.panel(choice.panel)
        if panel is None:
            gone = errors.Unsent("the rules name it no more", panel=choice.panel, action="add")
            return _outcome(gone), gone
        began = self._clock()
        try:
            added = await panel.provider.add(NewOrder(choice.remote_service, fields))
        except ProviderError as error:
            panel.noted(error, self._clock() - began)
            return _outcome(error), error
        except BaseException as cut:
            # Cancelled by a stop, or broken in a way nobody foresaw: it may have been sent.
            await self._settle(order, attempt, records.Unknown(evidence=_evidence({"cut": repr(cut)})), None)
            raise
        panel.noted(None, self._clock() - began)
        panel.spent(choice.cost)
        charge = added.charge
        return records.Accepted(remote_id=added.remote_id, charge=charge, evidence="{}"), None

    def _then(self, error: ProviderError, purchase: Purchase, position: int) -> Next | Fail | None:
        """What follows an attempt that bought nothing; None where that is not certain."""
        if not failover.bought_nothing(error):
            return None
        left = purchase.choices[position + 1 :]
        if failover.may_go_on(error) and left and self._clock() < purchase.deadline:
            return Next(panel=left[0].panel, remote_service=left[0].remote_service, cost=left[0].cost)
        return Fail(why=error.what)

    async def _settle(self, order: int, attempt: int, outcome: Outcome, then: Next | Fail | None) -> int | None:
        """Write the outcome, however long the ledger takes; an id once read is not let go of."""
        while True:
            try:
                following = await self._ledger.settle(attempt, outcome, then)
            except records.RemoteIdTaken as taken:
                _log.error("attempt", order=order, attempt=attempt, outcome="unknown", why=str(taken))
                outcome, then = records.Unknown(evidence=_evidence({"conflict": str(taken)})), None
            except records.LedgerBusy as busy:
                _log.error("attempt", order=order, attempt=attempt, outcome=repr(outcome), ledger=str(busy))
                await asyncio.sleep(_AGAIN_S)
            else:
                _log.info("attempt", order=order, attempt=attempt, outcome=_word(outcome))
                return following


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
