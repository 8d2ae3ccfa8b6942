"""The seven actions in the standard dialect."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from providers.api_v2 import replies
from providers.api_v2.catalogue import KEPT, MOST, crowd, listed, rows
from providers.api_v2.document import NotJSON, document, failure
from providers.api_v2.orders import listing
from providers.api_v2.placed import added, ordered, ordered_in
from providers.api_v2.words import known
from providers.base import (
    BATCH,
    READS,
    Action,
    Added,
    Balance,
    LastCheck,
    Listed,
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

_OF_SOME: Final = frozenset({Reason.ORDER, Reason.REFILL})
"""What a panel says no to is then perhaps one id of the many asked about."""

_OF_US: Final = frozenset(
    {Reason.KEY, Reason.ACCOUNT, Reason.REQUEST, Reason.RATE_LIMIT, Reason.MAINTENANCE, Reason.EDGE}
)
"""What a panel says no to is then us, whatever order we ask for."""

_AT_A_TIME: Final = 250  # rows of a list between two turns of the event loop

_ESCAPE: Final = b"\\"  # only where JSON holds one can its texts say what its bytes do not

T = TypeVar("T")


class APIv2:
    """Speaks API v2 to one panel."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def services(self) -> Services:
        answer = await self._transport.send("services", {})
        with self._reading("services", answer):
            entries = crowd(answer.body)
            found = None if entries else listed(self._read("services", answer))
            if found is not None and len(found) > MOST:
                entries = len(found)
            if entries:
                raise self._transport.unanswered("services", f"a list of {entries} entries", answer)
            if found is None:
                raise self._transport.unanswered("services", "no list", answer)
            return await self._sorted(found, escaped=_ESCAPE in answer.body)

    async def _sorted(self, found: Sequence[object], *, escaped: bool) -> Services:
        """Tell what can be sold from what cannot, others taking their turn meanwhile."""
        sold: list[RemoteService] = []
        skipped: list[Skipped] = []
        more = 0
        for place, row in enumerate(rows(map(self._transport.struck, found) if escaped else found)):
            if place % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            if not isinstance(row, Skipped):
                sold.append(row)
            elif len(skipped) < KEPT:
                skipped.append(row)
            else:
                more += 1
        return Services(tuple(sold), tuple(skipped), more)

    async def add(self, order: NewOrder, *, last_check: LastCheck | None = None) -> Added:
        """Buy. An id in a 2xx wins over an error beside it; in any other answer it makes the outcome unknown."""
        params = {**form(order.fields), "service": order.remote_service}
        if order.request_id is not None:
            params["request_id"] = order.request_id
        answer = await self._transport.send("add", params, acted=_acted, last_check=last_check)
        with self._reading("add", answer):
            placed = self._placed(answer) if verdict(answer) is Verdict.READ else None
            if placed is not None:
                return placed
            if _acted(answer):
                raise self._transport.unanswered("add", "an order id where none belongs", answer)
            self._read("add", answer)
            raise self._transport.unanswered("add", "no order id", answer)

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
        with self._reading("balance", answer):
            money = replies.balance(self._read("balance", answer))
            if money is None:
                raise self._transport.unanswered("balance", "no amount", answer)
            return money

    async def orders(self, *, limit: int = BATCH) -> Sequence[Listed]:
        answer = await self._transport.send("orders", {"limit": str(limit)})
        with self._reading("orders", answer):
            found = listing(self._read("orders", answer))
            if found is None:
                raise self._transport.unanswered("orders", "no list", answer)
            return found

    async def _each(
        self,
        action: Action,
        field: str,
        ids: Sequence[str],
        told: Callable[[object, Sequence[str]], dict[str, T | Refusal]],
    ) -> Mapping[str, T | Refusal]:
        """Ask about all; where a panel refuses many for the sake of one, a read asks again about halves of them.

        An error that comes when something has been told already ends the asking, no more.
        """
        asked = tuple(dict.fromkeys(ids))
        if not asked:
            return {}
        if len(asked) > BATCH:
            what = f"{len(asked)} ids in one call, at most {BATCH}"
            raise Unsent(what, panel=self._transport.panel, action=action)
        found: dict[str, T | Refusal] = {}
        parts = [asked]
        while parts:
            part = parts.pop()
            try:
                found |= await self._asked(action, field, part, told)
            except ProviderError as error:
                of_some = isinstance(error, Refused) and error.reason in _OF_SOME and action in READS
                if of_some and len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                elif found:
                    break
                else:
                    raise
        return found

    async def _asked(
        self,
        action: Action,
        field: str,
        asked: Sequence[str],
        told: Callable[[object, Sequence[str]], dict[str, T | Refusal]],
    ) -> dict[str, T | Refusal]:
        """Ask about one id as `order`, about many as `orders`; a cancel is always asked in the plural."""
        plural = len(asked) > 1 or action == "cancel"
        answer = await self._transport.send(action, {f"{field}s" if plural else field: ",".join(asked)})
        with self._reading(action, answer):
            try:
                found = self._read(action, answer)
            except Refused as no:
                of_one = no.reason in _OF_ONE or (action not in READS and no.reason not in _OF_US)
                if len(asked) > 1 or not of_one:
                    raise
                return {asked[0]: Refusal(no.reason, no.text)}
            return told(found, asked)

    @contextmanager
    def _reading(self, action: Action, answer: Reply) -> Iterator[None]:
        """Let nothing but our own errors out of what reads an answer; what breaks the reader proves nothing."""
        try:
            yield
        except ProviderError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it was, an answer came and nobody could read it
            raise self._transport.unanswered(action, f"unreadable: {type(fault).__name__}", answer) from None

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
        if action != "services" and _ESCAPE in answer.body:  # a list is freed of the key row by row
            found = self._transport.struck(found)
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

    def _placed(self, answer: Reply) -> Added | None:
        try:
            found = self._transport.struck(document(answer.body))
        except NotJSON:
            return None
        return added(found, whole=answer.whole)


def _acted(answer: Reply) -> bool:
    """Whether an answer to an `add` holds an order's id where nobody would look for it."""
    try:
        return ordered(document(answer.body))
    except NotJSON:
        return ordered_in(answer.body)
