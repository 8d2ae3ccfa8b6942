"""The seven actions in the standard dialect."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from providers.api_v2 import replies
from providers.api_v2.catalogue import listed, rows
from providers.api_v2.document import NotJSON, document, failure
from providers.api_v2.words import known
from providers.base import (
    BATCH,
    READS,
    Action,
    Added,
    Balance,
    NewOrder,
    RefillStatus,
    Refusal,
    RemoteService,
    Requested,
    Services,
    Skipped,
    Status,
)
from providers.errors import ProviderError, Reason, Refused, Unsent
from providers.service_types import form
from providers.transport import Reply, Transport, Verdict, reason, verdict

_OF_ONE: Final = frozenset({Reason.ORDER, Reason.REFILL, Reason.CANCEL})
"""What a panel says no to is then the order asked for."""

_OF_US: Final = frozenset(
    {Reason.KEY, Reason.ACCOUNT, Reason.REQUEST, Reason.RATE_LIMIT, Reason.MAINTENANCE, Reason.EDGE}
)
"""What a panel says no to is then us, whatever order we ask for."""

_AT_A_TIME: Final = 250  # rows of a list between two turns of the event loop

T = TypeVar("T")


class APIv2:
    """Speaks API v2 to one panel."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def services(self) -> Services:
        answer = await self._transport.send("services", {})
        found = listed(self._read("services", answer))
        if found is None:
            raise self._transport.unanswered("services", "no list", answer)
        sold: list[RemoteService] = []
        skipped: list[Skipped] = []
        for place, row in enumerate(rows(found)):
            if place % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            if isinstance(row, Skipped):
                skipped.append(row)
            else:
                sold.append(row)
        return Services(tuple(sold), tuple(skipped))

    async def add(self, order: NewOrder) -> Added:
        """Buy. An id in a 2xx wins over an error beside it; in any other answer it makes the outcome unknown."""
        answer = await self._transport.send("add", {**form(order.fields), "service": order.remote_service})
        placed = _placed(answer)
        if placed is None:
            self._read("add", answer)
            raise self._transport.unanswered("add", "no order id", answer)
        if verdict(answer) is not Verdict.READ:
            raise self._transport.unanswered("add", f"HTTP {answer.status} with an order id", answer)
        return placed

    async def status(self, orders: Sequence[str]) -> Mapping[str, Status | Refusal]:
        return await self._each("status", "order", orders, replies.statuses)

    async def refill(self, orders: Sequence[str]) -> Mapping[str, str | Refusal]:
        return await self._each("refill", "order", orders, replies.refills)

    async def refill_status(self, refills: Sequence[str]) -> Mapping[str, RefillStatus | Refusal | None]:
        return await self._each("refill_status", "refill", refills, replies.refill_statuses)

    async def cancel(self, orders: Sequence[str]) -> Mapping[str, Requested | Refusal]:
        return await self._each("cancel", "order", orders, replies.cancels)

    async def balance(self) -> Balance:
        answer = await self._transport.send("balance", {})
        money = replies.balance(self._read("balance", answer))
        if money is None:
            raise self._transport.unanswered("balance", "no amount", answer)
        return money

    async def _each(
        self,
        action: Action,
        field: str,
        ids: Sequence[str],
        told: Callable[[object, Sequence[str]], dict[str, T | Refusal]],
    ) -> Mapping[str, T | Refusal]:
        """Ask about one id as `order`, about many as `orders`; a cancel is always asked in the plural."""
        asked = tuple(dict.fromkeys(ids))
        if not asked:
            return {}
        if len(asked) > BATCH:
            what = f"{len(asked)} ids in one call, at most {BATCH}"
            raise Unsent(what, panel=self._transport.panel, action=action)
        plural = len(asked) > 1 or action == "cancel"
        answer = await self._transport.send(action, {f"{field}s" if plural else field: ",".join(asked)})
        try:
            found = self._read(action, answer)
        except Refused as no:
            of_one = no.reason in _OF_ONE or (action not in READS and no.reason not in _OF_US)
            if len(asked) > 1 or not of_one:
                raise
            return {asked[0]: Refusal(no.reason, no.text)}
        return told(found, asked)

    def _read(self, action: Action, answer: Reply) -> object:
        """Give the document that a panel answered, or raise the no that it holds."""
        refused = verdict(answer) is Verdict.REFUSED
        try:
            found = document(answer.body)
        except NotJSON as wrong:
            what = f"HTTP {answer.status}"
            if refused:
                raise self._transport.refused(action, what, reason(answer.status, worded=False), answer) from None
            raise self._transport.unanswered(action, f"{what}: not JSON: {wrong}", answer) from None
        usable = verdict(answer) is Verdict.READ
        text = failure(found, http_ok=usable)
        if text is None and usable:
            return found
        raise self._no(action, text, answer, refused=refused)

    def _no(self, action: Action, text: str | None, answer: Reply, *, refused: bool) -> ProviderError:
        """Decide what a no proves: of an `add`, words that no table knows prove nothing."""
        word = known(text) if text is not None else None
        said = text or f"HTTP {answer.status}"
        if word is not None and (refused or word.settles_add or action != "add"):
            return self._transport.refused(action, said, word.reason, answer)
        if refused:
            return self._transport.refused(action, said, reason(answer.status, worded=text is not None), answer)
        if text is not None and action != "add":
            return self._transport.refused(action, said, Reason.OTHER, answer)
        return self._transport.unanswered(action, said, answer)


def _placed(answer: Reply) -> Added | None:
    try:
        found = document(answer.body)
    except NotJSON:
        return None
    return replies.added(found, http_ok=verdict(answer) is Verdict.READ, whole=answer.whole)
