"""Refill, refill_status and cancel: passed on to the panel that took the order, many ids in one call a panel."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from gateway.catalog import Catalog
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, LedgerBusy, Live, Order, Refill
from gateway.panels import Panel
from providers.base import BATCH, OrderStatus, RefillStatus
from providers.errors import ProviderError, Unanswered

_log = structlog.get_logger()

FINISHED: Final = frozenset({OrderStatus.COMPLETED, OrderStatus.PARTIAL, OrderStatus.CANCELED, OrderStatus.EXPIRED})
REFILL_ENDED: Final = frozenset({RefillStatus.COMPLETED, RefillStatus.REJECTED, RefillStatus.CANCELED})

_NO_REFILL: Final = "Refill is disabled for this service"
_NOT_COMPLETED: Final = "The order is not completed"
_REFILL_REFUSED: Final = "Refill is not available for this order"
_NO_CANCEL: Final = "Order cannot be canceled"
_LATER: Final = "There was an error processing your request. Please try again later"

_FRESH_MS: Final = 10_000  # a refill's status this young is answered without asking the panel
_ASK_S: Final = 5.0  # how long a customer waits for panels to be asked about refills


async def refill(ledger: Ledger, catalog: Catalog, account: Account, ids: Sequence[int]) -> Mapping[int, int | str]:
    """Ask the panels to refill; gives our refill id, or the words of the refusal, for each id that is the account's."""
    orders = await ledger.orders(account.id, ids)
    answers: dict[int, int | str] = {}
    able = []
    for order in orders.values():
        if not order.refill:
            answers[order.id] = _NO_REFILL
        elif order.status not in {OrderStatus.COMPLETED, OrderStatus.PARTIAL}:
            answers[order.id] = _NOT_COMPLETED
        else:
            able.append(order)
    for panel, group in await _by_panel(ledger, catalog, able):
        answers |= await _refill_at(ledger, panel, group)
    return answers


async def _refill_at(ledger: Ledger, panel: Panel, group: Sequence[Live]) -> Mapping[int, int | str]:
    """One call to one panel. A refill whose answer is lost is not asked for twice: it stays Pending under our id."""
    opened: dict[str, Refill] = {}
    answers: dict[int, int | str] = {}
    for live in group:
        intent, fresh = await ledger.open_refill(live.order, panel.name)
        answers[live.order] = intent.id
        if fresh:
            opened[live.remote_id] = intent
    if not opened:
        return answers
    try:
        replies = await panel.provider.refill(list(opened))
    except Unanswered as lost:
        _log.warning("refill", panel=panel.name, outcome="unknown", why=lost.what)
        return answers
    except ProviderError as error:
        _log.warning("refill", panel=panel.name, outcome="refused", why=error.what)
        for intent in opened.values():
            await ledger.settle_refill(intent.id, remote_id=None, status=RefillStatus.REJECTED)
            answers[intent.order] = _LATER
        return answers
    for remote_id, intent in opened.items():
        reply = replies.get(remote_id)
        if isinstance(reply, str):
            await ledger.settle_refill(intent.id, remote_id=reply, status=RefillStatus.PENDING)
        elif reply is not None:
            await ledger.settle_refill(intent.id, remote_id=None, status=RefillStatus.REJECTED)
            answers[intent.order] = _REFILL_REFUSED
    return answers


async def refill_status(
    ledger: Ledger, catalog: Catalog, account: Account, ids: Sequence[int], *, now_ms: Callable[[], int]
) -> Mapping[int, RefillStatus]:
    """How refills stand: fresh from the panels where they answer in time, else as last known."""
    known = dict(await ledger.refills(account.id, ids))
    stale: dict[str, list[Refill]] = defaultdict(list)
    for one in known.values():
        old = now_ms() - one.checked_ms >= _FRESH_MS
        if one.remote_id is not None and one.status not in REFILL_ENDED and old and catalog.panel(one.panel):
            stale[one.panel].append(one)
    if stale:
        asked = [asyncio.create_task(_refills_at(ledger, catalog, name, group)) for name, group in stale.items()]
        await asyncio.wait(asked, timeout=_ASK_S)
        known = dict(await ledger.refills(account.id, ids))
    return {id: one.status for id, one in known.items()}


async def _refills_at(ledger: Ledger, catalog: Catalog, name: str, group: Sequence[Refill]) -> None:
    panel = catalog.panel(name)
    if panel is None:
        return
    for start in range(0, len(group), BATCH):
        part = {one.remote_id: one for one in group[start : start + BATCH] if one.remote_id is not None}
        try:
            replies = await panel.provider.refill_status(list(part))
            for remote_id, one in part.items():
                reply = replies.get(remote_id)
                if isinstance(reply, RefillStatus):
                    await ledger.settle_refill(one.id, remote_id=remote_id, status=reply)
        except (ProviderError, LedgerBusy) as error:
            _log.warning("refill_status", panel=name, outcome="failed", why=str(error))


async def cancel(ledger: Ledger, catalog: Catalog, account: Account, ids: Sequence[int]) -> Mapping[int, str | None]:
    """Ask the panels to cancel; None = requested. Only a later status says that it came to pass, and refunds."""
    orders = await ledger.orders(account.id, ids)
    answers: dict[int, str | None] = dict.fromkeys(orders, _NO_CANCEL)
    able = [order for order in orders.values() if order.cancel and order.status not in FINISHED]
    for panel, group in await _by_panel(ledger, catalog, able):
        remote = {live.remote_id: live.order for live in group}
        try:
            replies = await panel.provider.cancel(list(remote))
        except ProviderError as error:
            _log.warning("cancel", panel=panel.name, outcome="failed", why=error.what)
            answers |= dict.fromkeys(remote.values(), _LATER)
            continue
        for remote_id, order in remote.items():
            reply = replies.get(remote_id)
            if reply is None:
                answers[order] = _LATER
            elif not hasattr(reply, "reason"):
                await ledger.cancel_asked(order, "{}")
                answers[order] = None
    return answers


async def _by_panel(
    ledger: Ledger, catalog: Catalog, orders: Iterable[Order]
) -> Sequence[tuple[Panel, Sequence[Live]]]:
    """The orders that a panel of the rules took, in calls of at most `BATCH`."""
    live = await ledger.live([order.id for order in orders])
    groups: dict[str, list[Live]] = defaultdict(list)
    for one in live.values():
        groups[one.panel].append(one)
    calls = []
    for name, group in groups.items():
        panel = catalog.panel(name)
        if panel is not None:
            calls += [(panel, group[start : start + BATCH]) for start in range(0, len(group), BATCH)]
    return calls
