"""What our money at a panel tells: never more than is true."""

from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.evidence import funds
from gateway.evidence.funds import Funds, weigh
from tests.test_evidence.suspects import reading, suspect, untracked

FIVE = Decimal("0.00001")


def test_the_worth_of_a_panel_falls_by_what_is_not_explained() -> None:
    assert funds.gone(reading("10", "5"), reading("8", "7")) == 0
    assert funds.gone(reading("10", "5"), reading("7", "7")) == 1
    assert funds.gone(reading("10", "5"), reading("20", "5")) == -10, "a top-up"


def test_nothing_gone_clears_all_and_proves_it_where_that_is_certain() -> None:
    one = suspect(1, "0.5")
    assert weigh(Decimal(0), [one], unit=FIVE, strict=True).words == {1: Funds.PROVED}
    assert weigh(Decimal(0), [one], unit=FIVE, strict=False).words == {1: Funds.NOT_CHARGED}
    assert weigh(Decimal(0), [one], unit=FIVE, strict=True).gone == ()


@pytest.mark.parametrize(
    ("unit", "cost", "suspects", "proved"),
    [
        ("0.0001", "0.5", 1, True),
        ("0.001", "0.5", 1, False),  # coarser than what can stand alone
        ("0.0001", "0.002", 1, True),  # twenty steps
        ("0.0001", "0.0019", 1, False),
        ("0.0001", "0.5", 2, True),
        ("0.0001", "0.5", 3, False),  # too many
        ("0.00001", "0.5", 4, True),
        ("0.00001", "0.5", 5, False),
    ],
)
def test_money_stands_alone_only_where_nothing_else_can_explain_it(
    unit: str, cost: str, suspects: int, *, proved: bool
) -> None:
    there = [suspect(number, str(Decimal(cost) + number * 10)) for number in range(1, suspects)]
    weighed = weigh(Decimal(0), [suspect(0, cost), *there], unit=Decimal(unit), strict=True)
    assert weighed.words[0] is (Funds.PROVED if proved else Funds.NOT_CHARGED)


def test_what_only_one_set_explains_is_charged() -> None:
    weighed = weigh(Decimal("0.7"), [suspect(1, "0.7"), suspect(2, "0.4")], unit=FIVE, strict=True)
    assert weighed.words == {1: Funds.CHARGED, 2: Funds.PROVED}
    assert weighed.gone == (1,)
    assert "0.7 gone; open: 0.7, 0.4; 1 set explains it" in weighed.why


def test_two_of_one_price_cannot_be_told_apart() -> None:
    weighed = weigh(Decimal("0.7"), [suspect(1, "0.7"), suspect(2, "0.7")], unit=FIVE, strict=True)
    assert weighed.words == {1: Funds.UNAVAILABLE, 2: Funds.UNAVAILABLE}
    assert weighed.gone is None
    assert weighed.explained


def test_what_no_set_explains_says_nothing_of_anybody() -> None:
    weighed = weigh(Decimal("0.3"), [suspect(1, "0.7")], unit=FIVE, strict=True)
    assert not weighed.explained
    assert weighed.words == {1: Funds.UNAVAILABLE}
    assert "no set of them explains it" in weighed.why


def test_a_suspect_of_no_known_price_silences_all() -> None:
    weighed = weigh(Decimal(0), [suspect(1, None), suspect(2)], unit=FIVE, strict=True)
    assert set(weighed.words.values()) == {Funds.UNAVAILABLE}


def test_more_than_can_be_weighed_says_nothing() -> None:
    many = [suspect(number, str(number)) for number in range(1, funds.MOST + 2)]
    assert set(weigh(Decimal(0), many, unit=FIVE, strict=True).words.values()) == {Funds.UNAVAILABLE}


def test_money_that_came_back_for_an_order_of_an_unknown_id_is_a_term_too() -> None:
    here = [suspect(1, "0.7"), untracked(2, "0.7")]
    assert weigh(Decimal(0), here, unit=FIVE, strict=True).words == {1: Funds.UNAVAILABLE}, "taken, and given back?"
    assert weigh(Decimal("-0.7"), here, unit=FIVE, strict=True).words == {1: Funds.PROVED}
    assert weigh(Decimal("-0.7"), here, unit=FIVE, strict=True).gone == (2,)


def test_many_that_may_have_come_back_explain_nothing_that_chance_may() -> None:
    """Nine terms and four decimals: sums lie so close that one of them is near anything."""
    costs = ["0.691899813", "2.285366049", "1.367699418", "4.385732148"]
    taken = ["0.783333", "7.541930124", "5.104197828", "4.990065318", "3.080065356"]
    there = [suspect(number, cost) for number, cost in enumerate(costs)]
    back = [untracked(100 + number, cost) for number, cost in enumerate(taken)]
    gone = Decimal("-1.363610674")
    four = weigh(gone, [*there, *back], unit=Decimal("0.0001"), strict=True)
    assert not four.explained
    assert "by chance" in four.why
    assert four.gone is None
    few = weigh(Decimal("-0.783333"), [there[0], back[0]], unit=FIVE, strict=True)
    assert few.gone == (100,)
    plain = weigh(Decimal("4.385732"), [*there, *back], unit=Decimal("0.0001"), strict=True)
    assert plain.words[3] is Funds.CHARGED, "no money that came back is needed to explain it"


def test_rounding_is_half_a_step_for_each_of_two_readings_and_more_for_orders() -> None:
    assert funds.tolerance(Decimal("0.01"), 0) == Decimal("0.01")
    assert funds.tolerance(Decimal("0.01"), 9) == Decimal("0.02")
    assert funds.unit_of([]) == 1


amounts = st.integers(20, 400).map(lambda steps: str(steps * FIVE))


@given(st.lists(amounts, min_size=1, max_size=6), st.data())
@settings(max_examples=150, deadline=None)
def test_a_word_is_never_wrong_while_the_books_are_right(costs: list[str], data: st.DataObject) -> None:
    there = [suspect(number, cost) for number, cost in enumerate(costs, 1)]
    truth = data.draw(st.sets(st.sampled_from(range(1, len(costs) + 1))))
    back = [untracked(100 + number, cost) for number, cost in enumerate(data.draw(st.lists(amounts, max_size=2)))]
    came = data.draw(st.sets(st.sampled_from([one.attempt.id for one in back]))) if back else set()
    gone = sum((Decimal(costs[one - 1]) for one in truth), Decimal(0))
    gone -= sum((one.attempt.taken or Decimal(0) for one in back if one.attempt.id in came), Decimal(0))
    weighed = weigh(gone, [*there, *back], unit=FIVE, strict=data.draw(st.booleans()))
    assert weighed.explained or (came and "by chance" in weighed.why)
    for attempt, word in weighed.words.items():
        if word is Funds.CHARGED:
            assert attempt in truth
        elif word in {Funds.NOT_CHARGED, Funds.PROVED}:
            assert attempt not in truth
    if weighed.gone is not None:
        assert set(weighed.gone) == truth | came


@given(st.lists(amounts, min_size=1, max_size=4, unique=True), st.integers(1, 4000), st.data())
@settings(max_examples=150, deadline=None)
def test_one_movement_that_nobody_knows_of_proves_nothing_wrong_unless_it_looks_like_an_order(
    costs: list[str], steps: int, data: st.DataObject
) -> None:
    """Money that came from elsewhere hides an order only where it is as much as the orders differ by."""
    there = [suspect(number, cost) for number, cost in enumerate(costs, 1)]
    truth = data.draw(st.sets(st.sampled_from(range(1, len(costs) + 1)), min_size=1))
    came = steps * FIVE
    gone = sum((Decimal(costs[one - 1]) for one in truth), Decimal(0)) - came
    sums = [
        sum((Decimal(cost) for cost in chosen), Decimal(0))
        for number in range(len(costs) + 1)
        for chosen in combinations(costs, number)
    ]
    weighed = weigh(gone, there, unit=FIVE, strict=True)
    if all(abs(total - gone) > FIVE for total in sums):
        assert not weighed.explained
        assert set(weighed.words.values()) == {Funds.UNAVAILABLE}
