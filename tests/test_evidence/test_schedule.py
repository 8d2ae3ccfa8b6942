"""When evidence is sought: soon, then hourly, then never more."""

from itertools import pairwise

from gateway.evidence.schedule import next_look_ms

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def test_all_looks_of_an_outcome_that_stays_unknown() -> None:
    assert next_look_ms(0, 5 * MINUTE, 0, 0) == 5 * MINUTE, "not before all that was sent has arrived"
    looks = [5 * MINUTE]
    while (following := next_look_ms(0, 5 * MINUTE, len(looks) - 1, looks[-1])) is not None:
        looks.append(following)
    apart = [later - earlier for earlier, later in pairwise(looks)]
    assert apart[:7] == [MINUTE, *[5 * MINUTE] * 5, 60 * MINUTE]
    assert set(apart[7:]) == {60 * MINUTE}
    assert 10 * DAY <= looks[-1] < 10 * DAY + 60 * MINUTE


def test_the_first_look_after_the_window_is_followed_by_one_a_minute_later() -> None:
    assert next_look_ms(0, 5 * MINUTE, 0, 5 * MINUTE) == 6 * MINUTE


def test_an_old_one_that_is_found_late_is_not_looked_at_for_ever() -> None:
    assert next_look_ms(0, 5 * MINUTE, 3, 11 * DAY) is None
