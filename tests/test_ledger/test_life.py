"""The life of an order as a function: every word from every state."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.ledger import life
from gateway.ledger.delivery import Unclear
from gateway.ledger.life import (
    Begun,
    GivenBack,
    GivenUp,
    Life,
    Observed,
    PassedOn,
    Recovered,
    Sent,
    Settled,
    Try,
    Word,
)
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    NotPlaced,
    NotSent,
    Outcome,
    Refused,
    Unknown,
    Untracked,
    WrongState,
)
from providers.base import OrderStatus, Status

SENDING, UNKNOWN, ACCEPTED = AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.ACCEPTED
UNTRACKED, NOT_PLACED, REFUSED = AttemptState.UNTRACKED, AttemptState.NOT_PLACED, AttemptState.REFUSED
NOT_SENT = AttemptState.NOT_SENT
CHARGE = Decimal("0.5")
FAIL = Fail(why="none left")


def order() -> Life:
    begun = Begun(type="Default", quantity=100, units=100, charge=CHARGE, attempt=1, panel="alpha")
    return life.begun(begun)


def changed(before: Life, *words: Word) -> Life:
    for word in words:
        following = life.after(before, word)
        assert not isinstance(following, Unclear)
        before = following
    return before


def settled(outcome: Outcome, *, attempt: int = 1, following: int | None = None) -> Settled:
    nothing = isinstance(outcome, Refused | NotSent | NotPlaced)
    fail = FAIL if nothing and following is None else None
    return Settled(attempt=attempt, outcome=outcome, following=following, panel="beta", fail=fail)


def status(word: OrderStatus, **more: Any) -> Status:
    return Status(status=word, word=word.value, **more)


WAYS: dict[AttemptState, tuple[Word, ...]] = {
    SENDING: (),
    UNKNOWN: (settled(Unknown()),),
    ACCEPTED: (settled(Accepted(remote_id="r1")),),
    UNTRACKED: (settled(Unknown()), settled(Untracked())),
    REFUSED: (settled(Refused(reason="link")),),
    NOT_SENT: (settled(NotSent()),),
    NOT_PLACED: (settled(Unknown()), settled(NotPlaced())),
}
"""How an attempt comes into each state."""

OUTCOMES: dict[AttemptState, Outcome] = {
    ACCEPTED: Accepted(remote_id="r1"),
    REFUSED: Refused(reason="link"),
    NOT_SENT: NotSent(),
    NOT_PLACED: NotPlaced(),
    UNKNOWN: Unknown(),
    UNTRACKED: Untracked(),
}

ALLOWED = {
    (SENDING, ACCEPTED),
    (SENDING, REFUSED),
    (SENDING, NOT_SENT),
    (SENDING, UNKNOWN),
    (UNKNOWN, ACCEPTED),
    (UNKNOWN, REFUSED),
    (UNKNOWN, NOT_SENT),
    (UNKNOWN, NOT_PLACED),
    (UNKNOWN, UNTRACKED),
    (UNTRACKED, ACCEPTED),
}


@pytest.mark.parametrize("was", WAYS)
@pytest.mark.parametrize("then", OUTCOMES)
def test_an_attempt_changes_only_forward(was: AttemptState, then: AttemptState) -> None:
    before = changed(order(), *WAYS[was])
    assert before.tries[0].state is was
    if (was, then) not in ALLOWED:
        with pytest.raises(WrongState):
            life.after(before, settled(OUTCOMES[then]))
        return
    assert changed(before, settled(OUTCOMES[then])).tries[0].state is then


@pytest.mark.parametrize("was", WAYS)
def test_money_is_held_until_somebody_bought_and_free_when_nobody_did(was: AttemptState) -> None:
    after = changed(order(), *WAYS[was])
    held, sold, charge = {
        SENDING: (CHARGE, False, CHARGE),
        UNKNOWN: (CHARGE, False, CHARGE),
        ACCEPTED: (0, True, CHARGE),
        UNTRACKED: (0, True, CHARGE),
    }.get(was, (0, False, 0))
    assert (after.held, after.sold, after.charge) == (held, sold, charge)
    assert (after.live is not None) is (charge > 0)


@pytest.mark.parametrize("was", WAYS)
def test_only_what_is_being_sent_is_recovered(was: AttemptState) -> None:
    before = changed(order(), *WAYS[was])
    if was is SENDING:
        assert changed(before, Recovered(attempt=1)).tries[0].state is UNKNOWN
        return
    with pytest.raises(WrongState):
        life.after(before, Recovered(attempt=1))


@pytest.mark.parametrize("was", WAYS)
def test_only_what_a_panel_took_is_observed_or_passed_on(was: AttemptState) -> None:
    before = changed(order(), *WAYS[was])
    observed = Observed(attempt=1, status=status(OrderStatus.COMPLETED))
    passed_on = PassedOn(attempt=1, status=status(OrderStatus.CANCELED), following=2, panel="beta")
    if was is ACCEPTED:
        assert changed(before, observed).status is OrderStatus.COMPLETED
        assert changed(before, passed_on).tries[1] == Try(id=2, panel="beta", units=100)
        return
    for word in (observed, passed_on):
        with pytest.raises(WrongState):
            life.after(before, word)


def test_what_follows_is_said_of_what_bought_nothing_and_of_nothing_else() -> None:
    for word in (
        Settled(attempt=1, outcome=Refused(reason="link")),
        Settled(attempt=1, outcome=Refused(reason="link"), following=2, panel="beta", fail=FAIL),
        Settled(attempt=1, outcome=Accepted(remote_id="r1"), fail=FAIL),
        Settled(attempt=1, outcome=Unknown(), following=2, panel="beta"),
    ):
        with pytest.raises(ValueError, match="what follows"):
            life.after(order(), word)


def test_words_of_an_attempt_that_is_not_there_and_of_a_second_beginning() -> None:
    with pytest.raises(WrongState, match="not there"):
        life.after(order(), Recovered(attempt=9))
    with pytest.raises(WrongState, match="begun before"):
        life.after(order(), Begun(type="Default", quantity=1, units=1, charge=CHARGE, attempt=1, panel="alpha"))


# One order outside, several attempts inside.


def partial(remains: int, *, attempt: int = 1, following: int = 2, panel: str = "beta", **more: Any) -> PassedOn:
    told = status(OrderStatus.PARTIAL, remains=remains, **more)
    return PassedOn(attempt=attempt, status=told, following=following, panel=panel)


def resting() -> Life:
    """An order of which alpha made 60 and beta is to make 40."""
    passed_on = partial(40, start_count=500)
    rest = Settled(attempt=2, outcome=Accepted(remote_id="r2"))
    return changed(order(), settled(Accepted(remote_id="r1")), passed_on, rest)


def test_a_rest_that_is_made_elsewhere_looks_like_one_order() -> None:
    before = resting()
    assert (before.status, before.remains, before.start_count) == (OrderStatus.IN_PROGRESS, 40, 500)
    told = status(OrderStatus.IN_PROGRESS, remains=15, start_count=560)
    after = changed(before, Observed(attempt=2, status=told))
    assert (after.status, after.remains, after.start_count) == (OrderStatus.IN_PROGRESS, 15, 500)
    done = changed(after, Observed(attempt=2, status=status(OrderStatus.COMPLETED, remains=0)))
    assert (done.status, done.remains, done.refunded) == (OrderStatus.COMPLETED, 0, Decimal(0))


def test_a_rest_that_is_canceled_gives_back_that_rest_alone() -> None:
    after = changed(resting(), Observed(attempt=2, status=status(OrderStatus.CANCELED)))
    assert (after.status, after.remains, after.refunded) == (OrderStatus.PARTIAL, 40, Decimal("0.2"))


def test_a_rest_goes_on_to_a_third_panel() -> None:
    third = changed(resting(), partial(10, attempt=2, following=3, panel="gamma"))
    assert third.tries[-1] == Try(id=3, panel="gamma", units=10)
    gone = changed(
        third, Settled(attempt=3, outcome=Unknown()), Settled(attempt=3, outcome=NotPlaced(), fail=Fail(why="no"))
    )
    assert (gone.status, gone.remains, gone.refunded) == (OrderStatus.PARTIAL, 10, Decimal("0.05"))
    assert gone.live is None


def test_a_rest_of_everything_that_nobody_makes_is_a_cancel() -> None:
    whole = PassedOn(attempt=1, status=status(OrderStatus.CANCELED), following=2, panel="beta")
    after = changed(
        order(),
        settled(Accepted(remote_id="r1")),
        whole,
        Settled(attempt=2, outcome=Refused(reason="link"), fail=FAIL),
    )
    assert (after.status, after.refunded, after.charge) == (OrderStatus.CANCELED, CHARGE, CHARGE)


def test_a_rest_that_nobody_makes_takes_back_nothing_that_people_gave() -> None:
    generous = changed(resting(), GivenBack(amount=Decimal("0.3")))
    after = changed(
        generous,
        partial(10, attempt=2, following=3, panel="gamma"),
        Settled(attempt=3, outcome=Refused(reason="link"), fail=FAIL),
    )
    assert after.refunded == Decimal("0.3")


def test_an_order_that_people_end_gives_all_back() -> None:
    with pytest.raises(WrongState, match="gives all back"):
        life.after(resting(), GivenBack(amount=Decimal("0.3"), ends=True))


def test_what_was_passed_on_is_heard_of_no_more() -> None:
    before = resting()
    assert changed(before, Observed(attempt=1, status=status(OrderStatus.COMPLETED, remains=0))) == before
    with pytest.raises(WrongState):
        life.after(before, partial(10))


@pytest.mark.parametrize(
    ("told", "rest"),
    [
        (status(OrderStatus.PARTIAL, remains=30), 30),
        (status(OrderStatus.PARTIAL, remains=0), 0),
        (status(OrderStatus.PARTIAL), 0),
        (status(OrderStatus.PARTIAL, remains=101), 0),
        (status(OrderStatus.CANCELED), 100),
        (status(OrderStatus.CANCELED, remains=0), 100),
        (status(OrderStatus.CANCELED, remains=30), 30),
    ],
)
def test_what_a_panel_left_undone(told: Status, rest: int) -> None:
    one = Try(id=1, panel="alpha", units=100, state=ACCEPTED)
    assert life.rest_of(one, told) == rest


def test_nothing_is_passed_on_while_the_panel_works_or_where_nothing_remains() -> None:
    before = changed(order(), settled(Accepted(remote_id="r1")))
    for told in (status(OrderStatus.IN_PROGRESS, remains=30), status(OrderStatus.PARTIAL, remains=0)):
        with pytest.raises(WrongState):
            life.after(before, PassedOn(attempt=1, status=told, following=2, panel="beta"))
    ended = changed(before, Observed(attempt=1, status=status(OrderStatus.COMPLETED)))
    with pytest.raises(WrongState):
        life.after(ended, partial(30))


def test_people_give_back_what_was_sold_and_no_more() -> None:
    with pytest.raises(WrongState, match="nothing was sold"):
        life.after(order(), GivenBack(amount=Decimal("0.1")))
    sold = changed(order(), settled(Accepted(remote_id="r1")))
    after = changed(sold, GivenBack(amount=Decimal("0.1")))
    assert (after.refunded, after.status) == (Decimal("0.1"), OrderStatus.PENDING)
    whole = changed(after, GivenBack(amount=Decimal("0.4"), ends=True))
    assert (whole.refunded, whole.status) == (CHARGE, OrderStatus.CANCELED)
    for amount in (Decimal("0.000001"), Decimal(-1)):
        with pytest.raises(WrongState, match="cannot be given back"):
            life.after(whole, GivenBack(amount=amount))
    assert changed(whole, Observed(attempt=1, status=status(OrderStatus.COMPLETED))) == whole


# Orders that wait, and parts.


def waits() -> Life:
    return life.begun(Begun(type="Default", quantity=100, units=100, charge=CHARGE, attempt=None, panel=""))


def first_part(part: int = 60) -> Life:
    begun = Begun(type="Default", quantity=100, units=100, charge=CHARGE, attempt=1, panel="alpha", part=part)
    return changed(life.begun(begun), settled(Accepted(remote_id="r1")))


COMPLETED = status(OrderStatus.COMPLETED, remains=0)


def test_an_order_that_waits_holds_its_charge_and_is_sent_later() -> None:
    before = waits()
    assert (before.waits, before.live, before.held, before.remains) == (100, None, CHARGE, 100)
    sent = changed(before, Sent(following=1, panel="beta"))
    assert sent.tries == (Try(id=1, panel="beta", units=100),)
    assert sent.waits == 0
    again = changed(sent, Settled(attempt=1, outcome=Refused(reason="funds"), waits=True))
    assert (again.waits, again.held, again.status) == (100, CHARGE, OrderStatus.PENDING)
    parted = changed(again, Sent(following=2, panel="beta", part=70))
    assert parted.tries[-1] == Try(id=2, panel="beta", units=70, later=30)


def test_an_order_that_is_given_up_while_it_waits_costs_nothing() -> None:
    gone = changed(waits(), GivenUp())
    assert (gone.status, gone.charge, gone.waits) == (OrderStatus.CANCELED, Decimal(0), 0)
    for word in (GivenUp(), Sent(following=1, panel="beta")):
        with pytest.raises(WrongState):
            life.after(gone, word)


@pytest.mark.parametrize("was", [SENDING, UNKNOWN, ACCEPTED, UNTRACKED])
def test_what_somebody_may_have_is_neither_sent_nor_given_up(was: AttemptState) -> None:
    before = changed(order(), *WAYS[was])
    for word in (GivenUp(), Sent(following=2, panel="beta"), GivenUp(attempt=1, status=COMPLETED)):
        with pytest.raises(WrongState):
            life.after(before, word)


def test_what_waits_is_one_of_three_things_that_may_follow() -> None:
    for more in ({"fail": FAIL}, {"following": 2, "panel": "beta"}):
        with pytest.raises(ValueError, match="what follows"):
            life.after(order(), Settled(attempt=1, outcome=NotSent(), waits=True, **more))
    with pytest.raises(ValueError, match="what follows"):
        life.after(order(), Settled(attempt=1, outcome=Unknown(), waits=True))


@pytest.mark.parametrize("part", [0, 101, -1])
def test_a_part_is_a_part_of_what_is_due(part: int) -> None:
    with pytest.raises(ValueError, match="of 100 units"):
        life.after(waits(), Sent(following=1, panel="beta", part=part))


@pytest.mark.parametrize(
    ("told", "seen", "remains", "refunded"),
    [
        (status(OrderStatus.PENDING, remains=60), OrderStatus.PENDING, 100, "0"),
        (status(OrderStatus.IN_PROGRESS, remains=25), OrderStatus.IN_PROGRESS, 65, "0"),
        (status(OrderStatus.IN_PROGRESS), OrderStatus.IN_PROGRESS, 100, "0"),
        (COMPLETED, OrderStatus.IN_PROGRESS, 40, "0"),
        (status(OrderStatus.PARTIAL, remains=20), OrderStatus.PARTIAL, 60, "0.3"),
        (status(OrderStatus.CANCELED), OrderStatus.CANCELED, 100, "0.5"),
        (status(OrderStatus.CANCELED, remains=20), OrderStatus.CANCELED, 60, "0.3"),
    ],
)
def test_what_is_said_of_the_first_part_is_told_of_the_whole(
    told: Status, seen: OrderStatus, remains: int, refunded: str
) -> None:
    after = changed(first_part(), Observed(attempt=1, status=told))
    assert (after.status, after.remains, after.refunded) == (seen, remains, Decimal(refunded))


def test_the_last_part_completes_the_order_and_one_that_is_canceled_gives_back_its_own() -> None:
    on = PassedOn(attempt=1, status=COMPLETED, following=2, panel="alpha")
    second = changed(first_part(), on, Settled(attempt=2, outcome=Accepted(remote_id="r2")))
    assert (second.status, second.remains, second.tries[1].units) == (OrderStatus.IN_PROGRESS, 40, 40)
    done = changed(second, Observed(attempt=2, status=COMPLETED))
    assert (done.status, done.remains, done.refunded) == (OrderStatus.COMPLETED, 0, Decimal(0))
    gone = changed(second, Observed(attempt=2, status=status(OrderStatus.CANCELED)))
    assert (gone.status, gone.remains, gone.refunded) == (OrderStatus.PARTIAL, 40, Decimal("0.2"))


def test_a_part_that_left_something_is_made_with_what_comes_later() -> None:
    on = PassedOn(attempt=1, status=status(OrderStatus.PARTIAL, remains=10), following=2, panel="beta", part=30)
    after = changed(first_part(), on)
    assert after.tries[1] == Try(id=2, panel="beta", units=30, later=20)
    assert after.remains == 50


def test_a_next_part_that_is_given_up_gives_back_what_it_would_have_cost() -> None:
    after = changed(first_part(), GivenUp(attempt=1, status=COMPLETED))
    assert (after.status, after.remains, after.refunded) == (OrderStatus.PARTIAL, 40, Decimal("0.2"))
    assert changed(after, Observed(attempt=1, status=COMPLETED)) == after
    less = changed(after, Observed(attempt=1, status=status(OrderStatus.PARTIAL, remains=20)))
    assert less.refunded == Decimal("0.3")
    for word in (
        GivenUp(attempt=1, status=COMPLETED),
        PassedOn(attempt=1, status=COMPLETED, following=2, panel="beta"),
    ):
        with pytest.raises(WrongState):
            life.after(after, word)


def test_a_next_part_that_waits_and_is_given_up_gives_back_its_own() -> None:
    on = PassedOn(attempt=1, status=COMPLETED, following=2, panel="beta")
    waiting = changed(first_part(), on, Settled(attempt=2, outcome=Refused(reason="funds"), waits=True))
    assert (waiting.waits, waiting.status) == (40, OrderStatus.IN_PROGRESS)
    gone = changed(waiting, GivenUp())
    assert (gone.status, gone.remains, gone.refunded) == (OrderStatus.PARTIAL, 40, Decimal("0.2"))
