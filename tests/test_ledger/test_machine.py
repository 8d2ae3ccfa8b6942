"""Any order of calls, against a model that keeps plain numbers."""

import asyncio
import dataclasses
import tempfile
from pathlib import Path

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
    NotSent,
    Refused,
    RemoteIdTaken,
    Unknown,
    WrongState,
)
from gateway.money import amount, steps
from providers.base import OrderStatus
from tests.test_ledger.conftest import LEDGERS
from tests.test_ledger.samples import Clock, placement, sent, told

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of random name is made in it; nothing here asks what outlives a power cut
FINISHED = {OrderStatus.COMPLETED, OrderStatus.PARTIAL, OrderStatus.CANCELED}


@dataclasses.dataclass
class _Order:
    """What the model knows of an order; money in steps."""

    account: int
    charge: int
    units: int
    attempt: int
    panel: str
    remains: int
    state: str = "sending"
    status: OrderStatus = OrderStatus.PENDING
    refunded: int = 0

    def see(self, status: OrderStatus | None, remains: int | None) -> None:
        if status is None or self.status is OrderStatus.CANCELED:
            return
        back = 0
        if status is OrderStatus.CANCELED:
            back = self.charge
        elif status is OrderStatus.PARTIAL:
            if remains is None:
                return
            back = self.charge * max(0, min(remains, self.units)) // self.units
        if self.status in FINISHED and back <= self.refunded:
            return
        self.refunded = max(back, self.refunded)
        self.status = status
        if remains is not None:
            self.remains = max(0, min(remains, self.units))
        elif status is OrderStatus.COMPLETED:
            self.remains = 0


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
        self.orders[placed.order] = _Order(account, charge, units, sent(placed), "alpha", units)

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99), remote_id=st.sampled_from("abcdef"), unknown_first=st.booleans())
    def accept(self, which: int, remote_id: str, unknown_first: bool) -> None:
        order = self._pick(which)
        if unknown_first and order.state == "sending":
            self.runner.run(self.ledger.settle(order.attempt, Unknown()))
            order.state = "unknown"
        call = self.ledger.settle(order.attempt, Accepted(remote_id=remote_id))
        if order.state not in {"sending", "unknown"}:
            with pytest.raises(WrongState):
                self.runner.run(call)
        elif (order.panel, remote_id) in self.taken:
            with pytest.raises(RemoteIdTaken):
                self.runner.run(call)
        else:
            self.runner.run(call)
            order.state = "accepted"
            self.sales += order.charge
            self.taken.add((order.panel, remote_id))

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 99), sent=st.booleans(), more=st.booleans())
    def refuse(self, which: int, sent: bool, more: bool) -> None:
        order = self._pick(which)
        outcome = Refused(reason="link") if sent else NotSent()
        then = Next(panel="beta", remote_service="1", cost=amount(1)) if more else Fail(why="none left")
        call = self.ledger.settle(order.attempt, outcome, then)
        if order.state not in {"sending", "unknown"}:
            with pytest.raises(WrongState):
                self.runner.run(call)
            return
        following = self.runner.run(call)
        if following is not None:
            order.attempt, order.panel, order.state = following, "beta", "sending"
            return
        self.available[order.account] += order.charge
        order.state, order.status, order.charge = "failed", OrderStatus.CANCELED, 0

    @precondition(lambda self: self.orders)
    @rule(
        which=st.integers(0, 99),
        status=st.sampled_from([None, OrderStatus.IN_PROGRESS, *sorted(FINISHED)]),
        remains=st.none() | st.integers(-2, 9),
    )
    def observe(self, which: int, status: OrderStatus | None, remains: int | None) -> None:
        order = self._pick(which)
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
        assert totals.orders == len(self.orders)
        books = {name: steps(balance) for name, balance in totals.books.items()}
        assert (books["sales"], books["topups"]) == (self.sales, self.topups)
        for account, available in self.available.items():
            held = sum(
                o.charge for o in self.orders.values() if o.account == account and o.state in {"sending", "unknown"}
            )
            assert (books.get(f"available:{account}", 0), books.get(f"held:{account}", 0)) == (available, held)
        for listed in self.runner.run(self.ledger.list_orders(limit=1000)):
            order = self.orders[listed.id]
            assert (listed.status, listed.remains) == (order.status, order.remains)
            assert (steps(listed.charge), steps(listed.refunded)) == (order.charge, order.refunded)

    def _pick(self, which: int) -> _Order:
        return list(self.orders.values())[which % len(self.orders)]


@pytest.mark.parametrize("kind", LEDGERS)
def test_any_order_of_calls_leaves_what_the_model_has(kind: str) -> None:
    class Here(Machine):
        def __init__(self) -> None:
            super().__init__(kind)

    few = settings(max_examples=50, stateful_step_count=12, deadline=None, database=None)
    run_state_machine_as_test(Here, settings=few)
