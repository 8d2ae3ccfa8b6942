"""The seven actions, from the fields of a form to what is answered; what is done stands in the journal before."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from providers.sandbox import forms
from providers.sandbox.books import Order
from providers.sandbox.catalogue import Catalogue, Listing
from providers.sandbox.forms import Denied
from providers.sandbox.journal import Entry, Journal
from providers.sandbox.market import NO_ORDER, NO_REFILL, Market
from providers.service_types import Subscriptions

BATCH: Final = 100
"""Ids in one call; a call with more of them is refused whole."""

Reply = dict[str, object]


class Bend(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault changes in what is done.

    Attributes:
        fault: its name, for the journal.
        factor: how many times as high prices are.
        heed: whether cancels are acted on.
    """

    fault: str = ""
    factor: Decimal = Decimal(1)
    heed: bool = True


class Actions:
    """What each action does with one panel's market."""

    def __init__(self, market: Market, catalogue: Catalogue, journal: Journal, *, currency: str, decimals: int) -> None:
        self.market, self.catalogue, self.journal = market, catalogue, journal
        self._currency = currency
        self._step = Decimal(1).scaleb(-decimals)
        self._actions: Mapping[str, Callable[[Mapping[str, str], float, Bend], object]] = {
            "services": self._services,
            "add": self._add,
            "status": self._status,
            "refill": self._refill,
            "refill_status": self._refill_status,
            "cancel": self._cancel,
            "balance": self._balance,
        }

    def reply(self, action: str, fields: Mapping[str, str], now: float, bend: Bend) -> object:
        """What is answered, before it is written as JSON."""
        act = self._actions.get(action)
        try:
            if act is None:
                raise Denied("Incorrect request")
            return act(fields, now, bend)
        except Denied as no:
            return {"error": no.words}

    def replay(self, entries: Iterable[Entry]) -> None:
        """Do again what a journal says was done."""
        market = self.market
        for entry in entries:
            if entry.action == "add":
                market.books.settle(entry.time)
                market.books.next_id = entry.remote_id
                fields = forms.read(entry.type, entry.fields)
                market.add(self._listing_of(entry), fields, entry.time, entry.charge)
            else:
                with suppress(Denied):  # the row of its service is gone, or was another then
                    (market.refill if entry.action == "refill" else market.cancel)(entry.remote_id, entry.time)

    def _listing_of(self, entry: Entry) -> Listing:
        listing = self.catalogue.listings.get(entry.service)
        if listing is not None and listing.type == entry.type:
            return listing
        return Listing(
            service=entry.service,
            type=entry.type,
            rate=Decimal(0),
            min=1,
            max=1,
            refill=False,
            cancel=False,
            dripfeed=False,
        )

    def _services(self, _: Mapping[str, str], __: float, bend: Bend) -> object:
        if bend.fault == "empty":
            return []
        catalogue = self.catalogue
        if bend.fault == "halve":
            catalogue = catalogue.halved()
        elif bend.fault == "price":
            catalogue = catalogue.priced(bend.factor)
        return msgspec.Raw(catalogue.body)

    def _add(self, fields: Mapping[str, str], now: float, bend: Bend) -> object:
        listing = self.catalogue.listings.get(fields.get("service", "").strip())
        if listing is None:
            raise Denied("Incorrect service ID")
        wanted = forms.read(listing.type, fields)
        forms.check(wanted, listing, now)
        charge = self.market.quote(listing, wanted, now, bend.factor)
        order = self.market.add(listing, wanted, now, charge)
        self.journal.append(
            Entry(
                seq=len(self.journal.entries) + 1,
                time=now,
                action="add",
                remote_id=order.remote_id,
                service=listing.service,
                type=listing.type,
                fields=forms.written(wanted),
                charge=charge,
                fault=bend.fault,
            )
        )
        return {"order": order.remote_id}

    def _status(self, fields: Mapping[str, str], now: float, _: Bend) -> object:
        if "orders" not in fields:
            return self._told(_id(fields.get("order", "")), now)
        return dict(_each(fields["orders"], lambda text: self._told(_id(text), now)))

    def _told(self, remote_id: int, now: float) -> Reply:
        state, order = self.market.state(remote_id, now), self.market.order(remote_id, now)
        told: Reply = {
            "charge": _money(self.market.charge(remote_id, now)),
            "start_count": str(state.start_count),
            "status": state.status,
            "remains": str(state.remains),
            "currency": self._currency,
        }
        return told | _children(order, state.runs)

    def _refill(self, fields: Mapping[str, str], now: float, bend: Bend) -> object:
        if "orders" not in fields:
            return {"refill": str(self._refilled(fields.get("order", ""), now, bend))}
        refilled = _each(fields["orders"], lambda text: self._refilled(text, now, bend))
        return [{"order": _shown(text), "refill": refill} for text, refill in refilled]

    def _refilled(self, text: str, now: float, bend: Bend) -> int:
        refill = self.market.refill(_id(text), now)
        self._note("refill", refill.remote_id, now, bend, refill=refill.refill_id)
        return refill.refill_id

    def _refill_status(self, fields: Mapping[str, str], now: float, _: Bend) -> object:
        if "refills" not in fields:
            return {"status": self._refill_told(fields.get("refill", ""), now)}
        told = _each(fields["refills"], lambda text: self._refill_told(text, now))
        return [{"refill": _shown(text), "status": status} for text, status in told]

    def _refill_told(self, text: str, now: float) -> str:
        refill = self.market.books.refills.get(int(text)) if _is_id(text) else None
        if refill is None:
            raise Denied(NO_REFILL)
        return refill.status(now)

    def _cancel(self, fields: Mapping[str, str], now: float, bend: Bend) -> object:
        canceled = _each(fields.get("orders", fields.get("order", "")), lambda text: self._canceled(text, now, bend))
        return [{"order": _shown(text), "cancel": cancel} for text, cancel in canceled]

    def _canceled(self, text: str, now: float, bend: Bend) -> int:
        remote_id = _id(text)
        if self.market.cancel(remote_id, now, heed=bend.heed):
            self._note("cancel", remote_id, now, bend)
        return 1

    def _balance(self, _: Mapping[str, str], now: float, __: Bend) -> object:
        self.market.books.settle(now)
        amount = self.market.books.balance.quantize(self._step, ROUND_HALF_UP)
        return {"balance": f"{amount:f}", "currency": self._currency}

    def _note(self, action: str, remote_id: int, now: float, bend: Bend, *, refill: int = 0) -> None:
        self.journal.append(
            Entry(
                seq=len(self.journal.entries) + 1,
                time=now,
                action="refill" if action == "refill" else "cancel",
                remote_id=remote_id,
                refill=refill,
                fault=bend.fault,
            )
        )


def _children(order: Order, runs: int) -> Reply:
    """What status tells beside the usual of an order that places orders."""
    if isinstance(order.fields, Subscriptions):
        told: Reply = {"posts": len(order.children), "orders": list(order.children)}
        return told | ({"expiry": order.fields.expiry} if order.fields.expiry else {})
    if getattr(order.fields, "runs", None):
        return {"runs": runs, "orders": list(order.children)}
    return {}


def _money(amount: Decimal) -> str:
    """Plain digits, two decimals or as many as it takes.

    >>> _money(Decimal("0.27819")), _money(Decimal("1.50000"))
    ('0.27819', '1.50')
    """
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _ids(text: str) -> list[str]:
    """Ids apart by commas or spaces, each once."""
    ids = list(dict.fromkeys(text.replace(",", " ").split()))
    if not ids or len(ids) > BATCH:
        raise Denied("Incorrect request")
    return ids


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _id(text: str) -> int:
    if not _is_id(text.strip()):
        raise Denied(NO_ORDER)
    return int(text)


def _shown(text: str) -> int | str:
    """An id as the lists show it."""
    return int(text) if _is_id(text) else text


def _each(asked: str, act: Callable[[str], object]) -> list[tuple[str, object]]:
    """What `act` gives for each id of a list, or the error that it ends in."""
    replies: list[tuple[str, object]] = []
    for text in _ids(asked):
        try:
            replies.append((text, act(text)))
        except Denied as no:
            replies.append((text, {"error": no.words}))
    return replies
