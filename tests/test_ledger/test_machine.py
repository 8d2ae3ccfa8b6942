"""Any order of calls, against a model that keeps plain numbers."""

import asyncio
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import gateway.ledger
from gateway.ledger.records import (
    Accepted,
    Fail,
    Next,
    NotEnough,
    NotPlaced,
    NotSent,
    Refused,
    RemoteIdTaken,
    Unknown,
    Untracked,
    Wait,
    WrongState,
)
from gateway.money import amount, steps
from providers.base import OrderStatus
from tests.databases import LEDGERS
from tests.test_ledger.samples import Clock, placement, sent, told

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of random name is made in it; nothing here asks what outlives a power cut
OFFER: dict[str, Any] = {"panel": "alpha", "remote_service": "1", "cost": amount(1)}
FINISHED = {OrderStatus.COMPLETED, OrderStatus.PARTIAL, OrderStatus.CANCELED}


@dataclasses.dataclass
class _Order:
    """What the model knows of an order; money in steps. `part` is what its newest attempt is to deliver."""

    account: int
    charge: int
    units: int
    attempt: int
    panel: str
    remains: int
    part: int
    later: int = 0
    state: str = "sending"
    sold: bool = False
    status: OrderStatus = OrderStatus.PENDING
    refunded: int = 0

    @property
    def open(self) -> bool:
        return self.state in {"sending", "unknown"}

    @property
    def held(self) -> int:
        return 0 if self.sold else self.charge

    def see(self, status: OrderStatus | None, remains: int | None) -> None:
        if status is None or (self.status is OrderStatus.CANCELED and status is not OrderStatus.CANCELED):
            return
        if self.part < self.units:  # another attempt makes the beginning, or the end
            remains = None if remains is None else max(0, min(remains, self.part))
            begun = self.part + self.later < self.units
            if status is OrderStatus.CANCELED:
                status, remains = OrderStatus.PARTIAL if begun else status, remains or self.part
            elif status is OrderStatus.COMPLETED and self.later:
                status, remains = OrderStatus.IN_PROGRESS, 0
            elif status in {OrderStatus.PARTIAL, OrderStatus.EXPIRED} and self.later:
                status, remains = OrderStatus.PARTIAL, remains or 0
            remains = None if remains is None else remains + self.later
        if remains is not None:
            remains = max(0, min(remains, self.units))
        back = 0
        if status is OrderStatus.CANCELED:
            some = remains is not None and 0 < remains < self.units
            back = self._worth(remains) if some and remains is not None else self.charge
        elif status is OrderStatus.PARTIAL:
            if remains is None:
                if self.status is not OrderStatus.PARTIAL:
                    return
            else:
                back = self._worth(remains)
        if self.status in FINISHED and (status is OrderStatus.COMPLETED or back <= self.refunded):
            return
        if self.status in FINISHED and status is OrderStatus.IN_PROGRESS:
            return
        self.refunded = max(back, self.refunded)
        self.status = status
        if remains is not None:
            self.remains = remains
        elif status is OrderStatus.COMPLETED:
            self.remains = 0

    def nobody(self) -> None:
        """No panel makes it, or its rest."""
        self.state = "failed"
        if not self.sold:
            self.status, self.charge = OrderStatus.CANCELED, 0
            return
        rest = self.part + self.later
        self.remains = rest
        whole = rest == self.units
        self.status = OrderStatus.CANCELED if whole else OrderStatus.PARTIAL
        self.refunded = max(self.refunded, self.charge if whole else self._worth(rest))

    def _worth(self, units: int) -> int:
        return self.charge * units // self.units


class Machine(RuleBasedStateMachine):
    """Two accounts, the second without limit; two panels that draw their ids from a small urn, so that they collide."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        self.url = LEDGERS[kind](Path(self.folder.name))
        self.runner = asyncio.Runner()
        self.available: dict[int, int] = {}
        self.orders: dict[int, _Order] = {}
        self.taken: set[tuple[str, str]] = set()
        self.sales = self.topups = 0
        self._open()
        for name, unlimited in (("shop", False), ("house", True)):
            self.available[self.runner.run(self.ledger.create_account(name, unlimited=unlimited)).id] = 0

    def _open(self) -> None:
        self.ledger = gateway.ledger.ledger(self.url, now_ms=Clock())
        self.runner.run(self.ledger.open())

    def teardown(self) -> None:
        self.runner.run(self.ledger.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(account=st.sampled_from([1, 2]), given=st.integers(-30, 90))
    def topup(self, account: int, given: int) -> None:
        call = self.ledger.topup(account, amount(given), "")
        if account == 1 and self.available[1] + given < 0:
            with pytest.raises(NotEnough):
                self.runner.run(call)
            return
        self.available[account] += given
        self.topups -= given
        assert steps(self.runner.run(call)) == self.available[account]

    @rule(account=st.sampled_from([1, 2]), charge=st.integers(0, 40), units=st.integers(1, 7))
    def place(self, account: int, charge: int, units: int) -> None:
        owner = self.runner.run(self.ledger.accounts())[2 - account]  # by name: house, shop
        call = self.ledger.place(placement(owner, charge=amount(charge), units=units))
        if account == 1 and self.available[1] < charge:
            with pytest.raises(NotEnough):
                self.runner.run(call)
            return
        placed = self.runner.run(call)
        assert placed.order not in self.orders
        self.available[account] -= charge
        self.orders[placed.order] = _Order(account, charge, units, sent(placed), "alpha", units, units)

    @rule(charge=st.integers(0, 40), units=st.integers(2, 7), part=st.integers(0, 6))
    def begin(self, charge: int, units: int, part: int) -> None:
        """One that waits (`part` 0), or is bought in parts."""
        owner = self.runner.run(self.ledger.accounts())[0]  # by name: house, without limit
        first = Wait(until_ms=1, why="dry") if not part else Next(**OFFER, part=min(part, units))
        placed = self.runner.run(self.ledger.place(placement(owner, charge=amount(charge), units=units, first=first)))
        self.available[2] -= charge
        order = self.orders[placed.order] = _Order(2, charge, units, placed.attempt or 0, "alpha", units, units)
        order.state = "sending" if part else "waiting"
        if part:
            order.part = min(part, units)
            order.later = units - order.part

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99), part=st.integers(0, 6))
    def send(self, which: int, part: int) -> None:
        order = self._pick(which, "waiting")
        rest = order.part + order.later
        following = Next(**OFFER, part=min(part, rest) or None)
        call = self.ledger.send(self._id(order), following)
        if order.state != "waiting":
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        order.attempt, order.panel, order.state = self.runner.run(call), "alpha", "sending"
        order.part = min(part, rest) or rest
        order.later = rest - order.part

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99))
    def give_up(self, which: int) -> None:
        order = self._pick(which, "waiting")
        call = self.ledger.give_up(self._id(order), "tired")
        if order.state != "waiting":
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        self.runner.run(call)
        self._nobody(order)

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99))
    def give_up_the_next_part(self, which: int) -> None:
        order = self._pick(which, "accepted")
        done = told(OrderStatus.COMPLETED, remains=0)
        call = self.ledger.give_up(self._id(order), "tired", attempt=order.attempt, status=done)
        if order.state != "accepted" or order.status in FINISHED or not order.later:
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        self.runner.run(call)
        order.part, part, later = 0, order.part, order.later
        self._nobody(order)
        order.part, order.later, order.state = part, later, "accepted"

    @rule(charge=st.integers(0, 40), units=st.integers(1, 7), remote_id=st.sampled_from("abcdefghij"))
    def buy(self, charge: int, units: int, remote_id: str) -> None:
        self.place(2, charge, units)
        newest = 4 * (len(self.orders) - 1)  # a multiple of four: of all orders, the last
        self.accept(newest, remote_id, unknown_first=False)

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99), remote_id=st.sampled_from("abcdefghij"), unknown_first=st.booleans())
    def accept(self, which: int, remote_id: str, *, unknown_first: bool) -> None:
        order = self._pick(which, "open")
        if unknown_first and order.state == "sending":
            self._settle(order, Unknown())
            order.state = "unknown"
        call = self.ledger.settle(order.attempt, Accepted(remote_id=remote_id))
        if not order.open and order.state != "untracked":
            with pytest.raises(WrongState):
                self.runner.run(call)
        elif (order.panel, remote_id) in self.taken:
            with pytest.raises(RemoteIdTaken):
                self.runner.run(call)
        else:
            self.runner.run(call)
            self._sold(order, "accepted")
            self.taken.add((order.panel, remote_id))

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99), look=st.booleans())
    def find_untracked(self, which: int, look: bool) -> None:
        order = self._pick(which, "unknown")
        if order.state != "unknown":
            with pytest.raises(WrongState):
                self._settle(order, Untracked())
            return
        if look:
            self.runner.run(self.ledger.looked(order.attempt, why="w", next_ms=1, evidence="{}"))
        self._settle(order, Untracked())
        self._sold(order, "untracked")

    @precondition(lambda self: self.orders)
    @rule(
        which=st.integers(0, 99),
        outcome=st.sampled_from([Refused(reason="link"), NotSent(), NotPlaced()]),
        more=st.sampled_from(["goes on", "waits", "fails"]),
    )
    def refuse(self, which: int, outcome: Refused | NotSent | NotPlaced, more: str) -> None:
        order = self._pick(which, "open")
        then: Next | Wait | Fail = {  # type: ignore[assignment]
            "goes on": Next(panel="beta", remote_service="1", cost=amount(1)),
            "waits": Wait(until_ms=1, why="dry"),
            "fails": Fail(why="none left"),
        }[more]
        if not order.open or (isinstance(outcome, NotPlaced) and order.state == "sending"):
            with pytest.raises(WrongState):
                self.runner.run(self.ledger.settle(order.attempt, outcome, then))
            return
        following = self.runner.run(self.ledger.settle(order.attempt, outcome, then))
        if order.status in FINISHED:  # people gave it back meanwhile: nothing follows
            assert following is None
            order.state = "failed"
        elif following is not None:
            order.attempt, order.panel, order.state = following, "beta", "sending"
            order.part, order.later = order.part + order.later, 0
        elif more == "waits":
            order.state = "waiting"
        else:
            self._nobody(order)

    def _nobody(self, order: _Order) -> None:
        before, held = order.refunded, order.held
        order.nobody()
        self.available[order.account] += held + order.refunded - before
        self.sales -= order.refunded - before

    @precondition(lambda self: self.orders)
    @rule(
        which=st.integers(0, 99),
        status=st.sampled_from([None, OrderStatus.IN_PROGRESS, *sorted(FINISHED)]),
        remains=st.none() | st.integers(-2, 9),
    )
    def observe(self, which: int, status: OrderStatus | None, remains: int | None) -> None:
        order = self._pick(which, "accepted")
        call = self.ledger.observe(order.attempt, told(status, remains=remains), next_ms=None)
        if order.state != "accepted":
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        before = order.refunded
        order.see(status, remains)
        self.available[order.account] += order.refunded - before
        self.sales -= order.refunded - before
        self.runner.run(call)

    @precondition(lambda self: self.orders)
    @rule(
        which=st.integers(0, 99),
        remains=st.integers(0, 9),
        status=st.sampled_from(sorted(FINISHED)),
        part=st.integers(0, 6),
        waits=st.booleans(),
    )
    def pass_on(self, which: int, remains: int, status: OrderStatus, part: int, waits: bool) -> None:
        order = self._pick(which, "accepted")
        rest = remains if 0 < remains <= order.part else order.part if status is OrderStatus.CANCELED else 0
        rest = order.later if status is OrderStatus.COMPLETED else rest + order.later if rest else 0
        following = Next(panel="beta", remote_service="1", cost=amount(1), part=min(part, rest) or None)
        then = Wait(until_ms=1, why="dry") if waits else following
        call = self.ledger.pass_on(order.attempt, told(status, remains=remains), then, next_ms=None)
        if order.state != "accepted" or order.status in FINISHED or not rest:
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        attempt = self.runner.run(call)
        order.status, order.remains = OrderStatus.IN_PROGRESS, rest
        if attempt is None:
            order.attempt, order.state, order.part, order.later = 0, "waiting", rest, 0
        else:
            order.attempt, order.panel, order.state = attempt, "beta", "sending"
            order.part = min(part, rest) or rest
            order.later = rest - order.part

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99), back=st.integers(0, 40), ends=st.booleans())
    def give_back(self, which: int, back: int, ends: bool) -> None:
        order = self._pick(which, "sold")
        call = self.ledger.give_back(self._id(order), amount(back), ends=ends, evidence="{}")
        if not order.sold or order.refunded + back > order.charge or (ends and order.refunded + back < order.charge):
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        self.runner.run(call)
        order.refunded += back
        self.available[order.account] += back
        self.sales -= back
        if ends:
            order.status = OrderStatus.CANCELED
            order.state = "failed" if order.state == "waiting" else order.state

    def _id(self, order: _Order) -> int:
        return next(id for id, one in self.orders.items() if one is order)

    def _settle(self, order: _Order, outcome: Unknown | Untracked) -> None:
        self.runner.run(self.ledger.settle(order.attempt, outcome))

    def _sold(self, order: _Order, state: str) -> None:
        if not order.sold:
            self.sales += order.charge
        order.sold, order.state = True, state

    @rule()
    def restart(self) -> None:
        self.runner.run(self.ledger.close())
        self._open()
        cut = [order for order in self.orders.values() if order.state == "sending"]
        assert self.runner.run(self.ledger.recover()).unknown == len(cut)
        for order in cut:
            order.state = "unknown"

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        totals = self.runner.run(self.ledger.totals())
        assert totals.wrong == ()
        assert totals.sum == 0
        assert self.runner.run(self.ledger.replayed()).wrong == ()
        assert totals.orders == len(self.orders)
        books = {name: steps(balance) for name, balance in totals.books.items()}
        assert (books["sales"], books["topups"]) == (self.sales, self.topups)
        for account, available in self.available.items():
            held = sum(o.held for o in self.orders.values() if o.account == account)
            assert (books.get(f"available:{account}", 0), books.get(f"held:{account}", 0)) == (available, held)
        waiting = {one.order: one.units for one in self.runner.run(self.ledger.waiting())}
        assert waiting == {id: one.part + one.later for id, one in self.orders.items() if one.state == "waiting"}
        for listed in self.runner.run(self.ledger.list_orders(limit=1000)):
            order = self.orders[listed.id]
            assert (listed.status, listed.remains) == (order.status, order.remains)
            assert (steps(listed.charge), steps(listed.refunded)) == (order.charge, order.refunded)

    def _pick(self, which: int, state: str) -> _Order:
        """One of the orders in that state, three times in four, if there are any; else any."""
        fitting = [one for one in self.orders.values() if one.state == state or getattr(one, state, False)]
        among = fitting if fitting and which % 4 else list(self.orders.values())
        return among[which // 4 % len(among)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", LEDGERS)
def test_any_order_of_calls_leaves_what_the_model_has(kind: str) -> None:
    class Here(Machine):
        def __init__(self) -> None:
            super().__init__(kind)

    few = settings(max_examples=200 if kind == "sqlite" else 60, stateful_step_count=30, deadline=None, database=None)
    run_state_machine_as_test(Here, settings=few)
