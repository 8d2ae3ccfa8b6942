"""What really happened, by the panels' journals, held against what the ledger says."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Attempt, AttemptState, Order
from gateway.money import STEP
from providers.base import FINISHED, OrderStatus
from providers.sandbox import Entry, Sandbox

_NEVER = frozenset({AttemptState.NOT_PLACED, AttemptState.NOT_SENT, AttemptState.REFUSED})


class Findings(msgspec.Struct):
    """What one world, or many, came to.

    Attributes:
        wrong: what must never be, in words.
        unknown: attempts that were ever unknown; `settled` without a person, `listed` still on the short list.
        void: orders found not placed that their panel had taken, canceled and given back whole.
        swapped: ids of orders that could not be told apart, given the other way round.
        waited, parts: orders that ever waited, or were bought in parts.
    """

    orders: int = 0
    adds: int = 0
    faults: int = 0
    crashes: int = 0
    unknown: int = 0
    settled: int = 0
    listed: int = 0
    swapped: int = 0
    passed_on: int = 0
    void: int = 0
    waited: int = 0
    parts: int = 0
    by_evidence: dict[str, list[int]] = msgspec.field(default_factory=dict)
    verdicts: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    wrong: list[str] = msgspec.field(default_factory=list)

    def add(self, other: "Findings") -> None:
        for name in (
            "orders",
            "adds",
            "faults",
            "crashes",
            "unknown",
            "settled",
            "listed",
            "swapped",
            "passed_on",
            "void",
            "waited",
            "parts",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, (settled, unknown) in other.by_evidence.items():
            mine = self.by_evidence.setdefault(kind, [0, 0])
            mine[0] += settled
            mine[1] += unknown
        self.verdicts.update(other.verdicts)
        self.reasons.update(other.reasons)
        self.wrong += other.wrong


async def judged(
    ledger: Ledger, sandboxes: Sequence[Sandbox], given: Mapping[str, int], *, now: float | None
) -> Findings:
    """Compare, after all has come to rest. `given`: the id that each link's customer was answered.

    `now`: what panels delivered by then is counted, unless people at the panels have changed it by hand.
    """
    found = Findings()
    bought = _bought(sandboxes)
    everything = await ledger.list_orders(limit=10**6)
    orders = _of_links(everything, found)
    for link, id in given.items():
        if link not in orders or orders[link].id != id:
            found.wrong.append(f"lost: {link} was answered with {id}, which is not in the ledger")
    for link in bought:
        if link not in orders:
            found.wrong.append(f"lost: {link} was bought and is not in the ledger")
    found.orders = len(everything)
    for order in everything:
        theirs = bought.get(order.link, {}) if orders[order.link].id == order.id else {}
        made = await _order(ledger, order, theirs, sandboxes, found)
        if now is not None and made is not None and order.status in FINISHED:
            delivered = sum(_delivered(panel, entry, sandboxes, now) for panel, entry in made)
            if order.status is OrderStatus.COMPLETED and delivered != order.units:
                found.wrong.append(f"order {order.id}: completed, and {delivered} of {order.units} were delivered")
            paid = order.charge - order.refunded
            if (paid - STEP) * order.units > order.charge * delivered:
                found.wrong.append(f"order {order.id}: paid {paid} of {order.charge} for {delivered} of {order.units}")
    totals, replay = await ledger.totals(), await ledger.replayed()
    found.wrong += [*totals.wrong, *replay.wrong]
    if totals.sum != 0:
        found.wrong.append(f"the entries sum to {totals.sum}")
    return found


def _of_links(orders: Sequence[Order], found: Findings) -> Mapping[str, Order]:
    """The order of each link, whose customer may have asked for it more than once: none but one may cost anything."""
    by_link: dict[str, Order] = {}
    for order in orders:  # newest first
        other = by_link.get(order.link)
        if other is not None and other.charge and order.charge:
            found.wrong.append(f"duplicate: {order.link} is order {order.id} and order {other.id}")
        if other is None or not other.charge:
            by_link[order.link] = order
    return by_link


def _bought(sandboxes: Sequence[Sandbox]) -> Mapping[str, Mapping[str, Sequence[Entry]]]:
    """Purchases by link and panel.

    One that its panel canceled, all of its money given back, is a purchase only for as long as that had not happened:
    see `_void`.
    """
    bought: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for box in sandboxes:
        for entry in box.journal:
            if entry.action == "add" and not entry.fields["link"].startswith("https://owner."):
                bought[entry.fields["link"]][box.name].append(entry)
    return bought


def _void(one: Attempt, entry: Entry, sandboxes: Sequence[Sandbox]) -> bool:
    """The panel had canceled it and given all of it back before it was judged: as good as never bought."""
    [box] = [box for box in sandboxes if box.name == one.panel]
    if one.state is not AttemptState.NOT_PLACED or one.settled_ms is None:
        return False
    order = box.orders[entry.remote_id]
    return order.refunded == order.taken and order.plan.ends <= one.settled_ms / 1000


async def _order(
    ledger: Ledger,
    order: Order,
    bought: Mapping[str, Sequence[Entry]],
    sandboxes: Sequence[Sandbox],
    found: Findings,
) -> Sequence[tuple[str, Entry]] | None:
    """What the panels made of it, after it was held against what the ledger says; None where its ids are swapped."""
    attempts = await ledger.attempts(order.id)
    made: dict[int, Entry] = {}
    for panel, entries in bought.items():
        there = [one for one in attempts if one.panel == panel]
        if not there:
            found.wrong.append(f"order {order.id} was bought at {panel}, where it has no attempt")
        for entry in entries:
            one = _attempt_of(entry, [one for one in there if one.id not in made])
            if one is None:
                found.wrong.append(f"duplicate: order {order.id} was bought {len(entries)} times at {panel}")
            elif _void(one, entry, sandboxes):
                found.void += 1
            else:
                made[one.id] = entry
    if sum(one.id in made and not one.passed_on for one in attempts) > 1:
        found.wrong.append(f"duplicate: order {order.id} was bought at {', '.join(bought)}")
    for one in attempts:
        _attempt(order, one, made.get(one.id), found)
    events = await ledger.events(order.id)
    doubted = {event.attempt for event in events if event.what in {"unknown", "recovered"}}
    for one in attempts:
        if one.id in doubted:
            found.unknown += 1
            settled = one.state is not AttemptState.UNKNOWN
            found.settled += settled
            found.listed += one.state in {AttemptState.UNKNOWN, AttemptState.UNTRACKED}
            found.verdicts[one.state.value] += 1
            if not settled:
                found.reasons[re.sub(r"[0-9.]{2,}", "N", one.why)[:230]] += 1
        found.passed_on += one.passed_on
    waits = bool(await ledger.waiting_of([order.id]))
    found.waited += any(event.what == "waiting" for event in events)
    found.parts += any(one.later for one in attempts)
    _money(order, attempts, bool(made) or waits, found)
    if any(one.id in made and one.remote_id not in {None, str(made[one.id].remote_id)} for one in attempts):
        return None  # how another one stood was told of it
    return [(one.panel, made[one.id]) for one in attempts if one.id in made]


def _delivered(panel: str, entry: Entry, sandboxes: Sequence[Sandbox], now: float) -> int:
    [box] = [box for box in sandboxes if box.name == panel]
    order = box.orders[entry.remote_id]
    return order.units - order.state(now).remains


def _attempt_of(entry: Entry, attempts: Sequence[Attempt]) -> Attempt | None:
    """Which of the attempts at its panel a purchase was: by its id, else the last one written before it."""
    named = [one for one in attempts if one.remote_id == str(entry.remote_id)]
    before = [one for one in attempts if one.created_ms <= entry.time * 1000]
    return named[0] if named else before[-1] if before else None


def _attempt(order: Order, one: Attempt, entry: Entry | None, found: Findings) -> None:
    who = f"order {order.id}, attempt {one.id} at {one.panel}"
    if one.state is AttemptState.SENDING:
        found.wrong.append(f"{who}: still sending")
    if one.state in _NEVER and entry is not None:
        found.wrong.append(f"wrong: {who}: it is {one.state.value}, and was bought as {entry.remote_id}: {one.why}")
    if one.state in {AttemptState.ACCEPTED, AttemptState.UNTRACKED} and entry is None:
        found.wrong.append(f"wrong: {who}: it is {one.state.value}, and was never bought")
    if one.state is AttemptState.ACCEPTED and entry is not None:
        if str(entry.remote_id) != one.remote_id:
            found.swapped += 1
        if int(entry.fields["quantity"]) != one.units:
            found.wrong.append(f"{who}: {entry.fields['quantity']} were bought where {one.units} were due")


def _money(order: Order, attempts: Sequence[Attempt], due: bool, found: Findings) -> None:
    """`due`: somebody made it, or it waits to be made."""
    live = [one for one in attempts if one.state in {AttemptState.UNKNOWN, AttemptState.SENDING}]
    if order.status in FINISHED and live:
        found.wrong.append(f"order {order.id}: {order.status} with an outcome open")
    if not live and not due and order.charge != Decimal(0):
        found.wrong.append(f"order {order.id}: nobody made it, and it costs {order.charge}")
