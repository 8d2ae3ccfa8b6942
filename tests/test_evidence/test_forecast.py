"""How long our money lasts, by the readings that there are."""

from decimal import Decimal

import pytest

from gateway.evidence.forecast import days_left
from gateway.ledger.learned import Reading

DAY = 86_400_000
NOW = 100 * DAY


def reading(days_ago: float, balance: int, taken: int) -> Reading:
    return Reading(
        panel="alpha",
        at_ms=int(NOW - days_ago * DAY),
        balance=Decimal(balance),
        taken=Decimal(taken),
        unit=Decimal("0.01"),
        agreed=True,
        orders=1,
    )


def test_money_lasts_as_long_as_the_pace_of_the_last_week_says() -> None:
    assert days_left([reading(0, 50, 100), reading(2, 70, 80), reading(4, 110, 60)], NOW) == pytest.approx(5.0)


def test_what_was_spent_since_the_last_reading_is_taken_off() -> None:
    assert days_left([reading(1, 50, 100), reading(3, 70, 80)], NOW) == pytest.approx(4.0)


def test_a_top_up_between_two_readings_changes_no_pace() -> None:
    assert days_left([reading(0, 500, 100), reading(2, 20, 80)], NOW) == pytest.approx(50.0)


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [reading(0, 50, 100)],
        [reading(0, 50, 100), reading(0.01, 70, 80)],
        [reading(0, 50, 80), reading(2, 50, 80)],
        [reading(20, 50, 100), reading(30, 70, 80)],
    ],
)
def test_too_little_says_nothing(readings: list[Reading]) -> None:
    assert days_left(readings, NOW) is None


def test_what_is_spent_already_lasts_no_more() -> None:
    assert days_left([reading(2, 5, 100), reading(3, 70, 50)], NOW) == 0.0
