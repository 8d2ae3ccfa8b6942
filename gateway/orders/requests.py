"""Refill, refill_status and cancel: passed on to the panel that took the order, many ids in one call a panel."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import structlog

from gateway.catalog import Catalog
from gateway.errors import Busy
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, LedgerBusy, LedgerError, Live, Order, Refill, Wish
from gateway.panels import Panel
from providers.base import BATCH, FINISHED, REFILL_ENDED, OrderStatus, RefillStatus, Requested
from providers.errors import ProviderError, Unanswered

_log = structlog.get_logger()
_T = TypeVar("_T")
_Canceling: TypeAlias = asyncio.Task[Mapping[int, str | None]]

_NO_REFILL: Final = "Refill is disabled for this service"
_NOT_COMPLETED: Final = "The order is not completed"
_REFILL_REFUSED: Final = "Refill is not available for this order"
_NO_CANCEL: Final = "Order cannot be canceled"
_LATER: Final = "There was an error processing your request. Please try again later"

_FRESH_S: Final = 10.0  # a refill's status this young is answered without asking the panel
_ASK_S: Final = 5.0  # how long a customer waits for panels to be asked about refills
_CANCELING_S: Final = 60.0  # a cancel asked for so lately is not passed on a second time
_CANCELING_MOST: Final = 10_000
_AGAIN_S: Final = 0.25  # before what a panel said is written again, where the ledger could not take it


class Requests:
    """What customers ask of orders that were bought. A panel's answer is written down also for a customer who left."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._clock = clock
        self._now_ms = now_ms
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looking: dict[str, asyncio.Task[None]] = {}  # by panel: who asks it about refills now
        self._silent: dict[str, float] = {}  # by panel: until when it is not asked, for it did not answer
        self._canceling: dict[int, tuple[float, _Canceling]] = {}  # by order: since when, and who
        self._stopped = False

    async def stop(self) -> None:
        """Give what is under way a moment, then end it; nothing is begun after that."""
        self._stopped = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_ASK_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begun(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task that no customer's request owns."""
        if self._stopped:
            work.close()
            raise Busy
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def refill(self, account: Account, ids: Sequence[int]) -> Mapping[int, int | str]:
        """Ask the panels to refill; our refill id, or the words of the refusal, for each id that is the account's."""
        orders = await self._ledger.orders(account.id, ids)
        answers: dict[int, int | str] = {}
        able = []
        for order in orders.values():
            if not order.refill:
                answers[order.id] = _NO_REFILL
            elif order.status not in {OrderStatus.COMPLETED, OrderStatus.PARTIAL}:
                answers[order.id] = _NOT_COMPLETED
            else:
                answers[order.id] = _LATER  # unless a panel says better
                able.append(order)
        for panel, group in await self._by_panel(able):
            answers |= await asyncio.shield(self._begun(self._refill_at(panel, group)))
        return answers

    async def _refill_at(self, panel: Panel, group: Sequence[Live]) -> Mapping[int, int | str]:
        """One call to one panel. A refill whose answer is lost is not asked for twice: it stays Pending as ours."""
        intents = await asyncio.gather(
            *(self._ledger.open_refill(live.order, panel.name) for live in group), return_exceptions=True
        )
        opened: dict[str, Refill] = {}
        answers: dict[int, int | str] = {}
        for live, intent in zip(group, intents, strict=True):
            if isinstance(intent, BaseException):
                answers[live.order] = _LATER
                continue
            refill, fresh = intent
            answers[live.order] = refill.id
            if fresh:
                opened[live.remote_id] = refill
        if not opened:
            return answers
        began = self._clock()
        try:
            replies = await panel.provider.refill(list(opened))
        except Unanswered as lost:
            panel.noted("refill", lost, self._clock() - began)
            refills = [refill.id for refill in opened.values()]
            _log.warning("refill", panel=panel.name, refills=refills, outcome="unknown", why=lost.what)
            return answers
        except ProviderError as error:
            panel.noted("refill", error, self._clock() - began)
            _log.warning("refill", panel=panel.name, outcome="refused", why=error.what)
            for refill in opened.values():
                await self._kept(refill, None, RefillStatus.REJECTED)
                answers[refill.order] = _LATER
            return answers
        panel.noted("refill", None, self._clock() - began)
        for remote_id, refill in opened.items():
            reply = replies.get(remote_id)
            if isinstance(reply, str):
                await self._kept(refill, reply, RefillStatus.PENDING)
            elif reply is not None:
                await self._kept(refill, None, RefillStatus.REJECTED)
                answers[refill.order] = _REFILL_REFUSED
        return answers

    async def _kept(self, refill: Refill, remote_id: str | None, status: RefillStatus) -> None:
        """Write what the panel said of a refill, however long the ledger takes."""
        while True:
            try:
                await self._ledger.settle_refill(refill.id, remote_id=remote_id, status=status)
            except LedgerBusy as busy:
                _log.error("refill", refill=refill.id, remote_id=remote_id, outcome="not_written", why=str(busy))
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def refill_status(self, account: Account, ids: Sequence[int]) -> Mapping[int, RefillStatus]:
        """How refills stand: fresh from the panels where they answer in time, else as last known."""
        known = await self._ledger.refills(account.id, ids)
        stale: dict[str, list[Refill]] = defaultdict(list)
        for one in known.values():
            old = self._now_ms() - one.checked_ms >= _FRESH_S * 1000
            if one.remote_id is not None and one.status not in REFILL_ENDED and old:
                stale[one.panel].append(one)
        asked = [task for name, group in stale.items() if (task := self._look(name, group)) is not None]
        if asked:
            await asyncio.wait(asked, timeout=_ASK_S)
            known = await self._ledger.refills(account.id, ids)
        return {id: one.status for id, one in known.items()}

    def _look(self, name: str, group: Sequence[Refill]) -> asyncio.Task[None] | None:
        """Ask a panel about refills, unless it failed to answer a moment ago; who comes meanwhile waits as well."""
        running = self._looking.get(name)
        if running is not None and not running.done():
            return running
        panel, now = self._catalog.panel(name), self._clock()
        if panel is None or not panel.readable(now) or now < self._silent.get(name, now):
            return None
        self._looking[name] = self._begun(self._refills_at(panel, group))
        return self._looking[name]

    async def _refills_at(self, panel: Panel, group: Sequence[Refill]) -> None:
        for start in range(0, len(group), BATCH):
            part = {one.remote_id: one for one in group[start : start + BATCH] if one.remote_id is not None}
            began = self._clock()
            try:
                replies = await panel.provider.refill_status(list(part))
            except ProviderError as error:
                panel.noted("refill_status", error, self._clock() - began)
                self._silent[panel.name] = self._clock() + _FRESH_S
                _log.warning("refill_status", panel=panel.name, outcome="failed", why=error.what)
                return
            panel.noted("refill_status", None, self._clock() - began)
            try:
                for remote_id, one in part.items():
                    reply = replies.get(remote_id)
                    if isinstance(reply, RefillStatus):
                        await self._ledger.settle_refill(one.id, remote_id=remote_id, status=reply)
            except LedgerError as error:
                _log.warning("refill_status", panel=panel.name, outcome="not_written", why=str(error))
                return

    async def cancel(self, account: Account, ids: Sequence[int]) -> Mapping[int, str | None]:
        """Keep the wish, and tell the panels; None = requested. Only a later status says that it came to pass.

        A panel that cannot be asked now, or is not known yet to have the order, is told of it later. What nobody makes
        yet can be canceled whatever its service promises.
        """
        orders = await self._ledger.orders(account.id, ids)
        waiting = {one.order for one in await self._ledger.waiting_of(list(orders)) if one.until_ms is not None}
        answers: dict[int, str | None] = {}
        asked: dict[int, _Canceling] = {}
        able = []
        for order in orders.values():
            if order.status in FINISHED or not (order.cancel or order.id in waiting):
                answers[order.id] = _NO_CANCEL
            else:
                able.append(order)
        groups = await self._by_panel(able)
        wishes = await self._wished(account, able)
        answers |= {order.id: None if order.id in wishes else _LATER for order in able}
        for panel, group in groups:
            asked |= {live.order: known for live in group if (known := self._asked_lately(live.order)) is not None}
            fresh = [live for live in group if live.order not in asked and live.order in wishes]
            if fresh:
                task = self._begun(self._cancel_at(panel, {live: wishes[live.order] for live in fresh}))
                asked |= dict.fromkeys([live.order for live in fresh], task)
                self._canceling |= {live.order: (self._clock(), task) for live in fresh}
        for order_id, task in asked.items():
            answers[order_id] = (await asyncio.shield(task)).get(order_id, _LATER)
        return answers

    async def _wished(self, account: Account, orders: Iterable[Order]) -> Mapping[int, Wish]:
        """The wishes to cancel that could be kept, by order."""
        by = f"account {account.name}"
        wishes = {}
        for order in orders:
            try:
                wishes[order.id] = await self._ledger.wish(order.id, "cancel", by=by, reason="")
            except LedgerError as error:
                _log.warning("cancel", order=order.id, outcome="not_written", why=str(error))
        return wishes

    def _asked_lately(self, order: int) -> _Canceling | None:
        """Who passes a cancel of this order on, or did so a moment ago and was heard: it is not passed on twice."""
        if len(self._canceling) > _CANCELING_MOST:
            self._canceling.clear()
        since, task = self._canceling.get(order, (0.0, None))
        if task is None or self._clock() - since >= _CANCELING_S:
            return None
        if task.done() and (task.cancelled() or task.exception() is not None or task.result().get(order) is not None):
            return None
        return task

    async def _cancel_at(self, panel: Panel, group: Mapping[Live, Wish]) -> Mapping[int, str | None]:
        began = self._clock()
        try:
            replies = await panel.provider.cancel([live.remote_id for live in group])
        except ProviderError as error:
            panel.noted("cancel", error, self._clock() - began)
            _log.warning("cancel", panel=panel.name, outcome="failed", why=error.what, then="it is told again later")
            return dict.fromkeys([live.order for live in group])
        panel.noted("cancel", None, self._clock() - began)
        answers: dict[int, str | None] = {}
        for live, wish in group.items():
            reply = replies.get(live.remote_id)
            kept = isinstance(reply, Requested) or live.later > 0  # what it would make later is not bought
            answers[live.order] = None if reply is None or kept else _NO_CANCEL
            try:
                if isinstance(reply, Requested):
                    await self._ledger.cancel_asked(live.order, "{}")
                if reply is not None and kept:
                    await self._ledger.wish_told(wish.id)
                elif reply is not None:
                    await self._ledger.wish_done(wish.id)
            except LedgerError as error:
                _log.warning("cancel", order=live.order, outcome="not_written", why=str(error))
        return answers

    async def _by_panel(self, orders: Iterable[Order]) -> Sequence[tuple[Panel, Sequence[Live]]]:
        """The orders that a panel of the rules took, in calls of at most `BATCH`."""
        live = await self._ledger.live([order.id for order in orders])
        groups: dict[str, list[Live]] = defaultdict(list)
        for one in live.values():
            groups[one.panel].append(one)
        calls = []
        for name, group in groups.items():
            panel = self._catalog.panel(name)
            if panel is None:
                then = "put it back into the rules until its orders have ended"
                _log.warning("requests", panel=name, orders=len(group), outcome="not_in_the_rules", then=then)
            else:
                calls += [(panel, group[start : start + BATCH]) for start in range(0, len(group), BATCH)]
        return calls
