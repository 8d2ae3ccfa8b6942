"""What is learned of a route: little of little, the truth of much, and less as it grows old."""

from decimal import Decimal

import pytest

from gateway.routing import delivered
from gateway.routing.delivered import HALF_LIFE_S, Delivered, End

NEW = Delivered(panel="alpha", remote_service="7")
NOBODY = Delivered(panel="alpha", remote_service="")
DAY_MS = 86_400_000


def after(ends: list[End], *, known: Delivered = NEW, at_ms: int = 1000) -> Delivered:
    for end in ends:
        known = delivered.ended(known, end, at_ms)
    return known


def truth(known: Delivered, panel: Delivered = NOBODY, now_ms: int = 1000) -> Decimal:
    return delivered.truth(known, panel, now_ms)


WHOLE = End(paid=1.0, got=1.0)
SHORT = End(paid=1.0, got=0.6)
GIVEN_BACK = End(paid=0.0, got=0.0)


def test_nothing_known_is_thought_to_be_as_listed() -> None:
    assert truth(NEW) == 1
    assert delivered.kept(NEW, 0) == 1


@pytest.mark.parametrize("orders", [1, 2, 3])
def test_little_evidence_says_nothing(orders: int) -> None:
    assert truth(after([SHORT] * orders)) == 1


def test_more_of_it_says_more_up_to_what_is_so() -> None:
    told = [truth(after([SHORT] * orders)) for orders in (4, 10, 30, 200)]
    assert told == sorted(told)
    assert told[0] > Decimal("1.1")
    assert Decimal("1.6") < told[-1] < Decimal("1.85"), "1 / 0.6, and the trouble of it"


def test_whole_orders_cost_what_is_listed() -> None:
    assert truth(after([WHOLE] * 50)) == 1
    assert delivered.kept(after([WHOLE] * 50), 1000) == 1


def test_a_panel_that_takes_more_than_it_lists_is_as_dear_as_it_is() -> None:
    assert truth(after([End(paid=1.3, got=1.0)] * 200)) == pytest.approx(Decimal("1.27"), abs=Decimal("0.04"))


def test_what_is_canceled_and_given_back_is_trouble_and_no_loss() -> None:
    told = truth(after([WHOLE, GIVEN_BACK] * 40))
    assert Decimal("1.03") < told < Decimal("1.07"), "half of the orders end short: half of the trouble"
    assert delivered.kept(after([GIVEN_BACK] * 50), 1000) < 0.15


def test_refills_and_waiting_are_trouble() -> None:
    known = after([End(paid=1.0, got=1.0, seconds=7 * 86_400.0)] * 30)
    assert truth(known) == pytest.approx(Decimal("1.03"), abs=Decimal("0.001")), "a week: three doublings of a day"
    for _ in range(10):
        known = delivered.refilled(known, 1000)
    assert truth(known) > Decimal("1.04")


def test_a_route_of_little_evidence_is_thought_to_be_like_its_panel() -> None:
    panel = delivered.together([after([SHORT] * 40), after([SHORT] * 40)], "alpha", 1000)
    assert truth(NEW, panel) > Decimal("1.5")
    assert truth(after([WHOLE] * 30), panel) < truth(after([WHOLE] * 4), panel) < truth(NEW, panel)


def test_what_was_bad_is_given_another_chance_as_it_grows_old() -> None:
    known = after([SHORT] * 30)
    later = [truth(known, now_ms=1000 + int(HALF_LIFE_S * 1000 * lives)) for lives in (0, 1, 2, 5)]
    assert later == sorted(later, reverse=True)
    assert later[-1] == 1


def test_what_ends_now_outweighs_what_ended_before() -> None:
    mended = after([SHORT] * 100 + [WHOLE] * 100)
    assert truth(mended) < Decimal("1.05")


def test_nonsense_of_a_panel_stays_within_bounds() -> None:
    known = after([End(paid=1e9, got=-5.0)] * 50)
    assert truth(known) == Decimal(20)
    assert truth(after([End(paid=-3.0, got=7.0)] * 50)) <= 1
    assert 0 <= delivered.kept(known, 1000) < 0.2


def test_time_that_goes_backwards_changes_no_weight() -> None:
    known = after([WHOLE] * 5, at_ms=DAY_MS)
    assert delivered.ended(known, WHOLE, 0).orders == pytest.approx(known.orders * delivered.FADING + 1)
    assert delivered.ended(known, WHOLE, 0).at_ms == DAY_MS


def test_the_usual_time_follows_slowly() -> None:
    known = after([End(paid=1, got=1, seconds=100)])
    assert known.seconds == 100
    assert after([End(paid=1, got=1, seconds=180)], known=known).seconds == 110
    assert after([SHORT], known=known).seconds == 100
