"""The circuit of one panel, by a clock that tests set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health import (
    CALM,
    FIRST_PAUSE_S,
    IN_A_ROW,
    LONGEST_PAUSE_S,
    RAMP_S,
    Health,
    closed,
    counts_as_failure,
    observed,
    observed_route,
    probe_due,
    ramp,
    score,
)
from providers.errors import Full, ProviderError, Reason, Refused, Throttled, Unanswered, Unsent

DOWN = Unsent("connection refused", panel="alpha", action="add")
CUT = Unanswered("connection reset", panel="alpha", action="add")


def refused(reason: Reason) -> Refused:
    return Refused("no", reason, panel="alpha", action="add")


def throttled(retry_after_s: float | None) -> Throttled:
    return Throttled("slow down", panel="alpha", action="add", retry_after_s=retry_after_s)


def after(health: Health, outcomes: str, now: float = 0.0) -> Health:
    """`+` a success, `-` a failure, all at `now`."""
    for outcome in outcomes:
        health = observed(health, None if outcome == "+" else DOWN, 0.1, now)
    return health


def reopened(health: Health) -> tuple[Health, float]:
    """Fail the probe the moment it is due; gives the new pause too."""
    assert health.probe_s is not None
    now = health.probe_s
    health = after(health, "-", now)
    assert health.probe_s is not None
    return health, health.probe_s - now


def test_a_new_panel_is_closed_and_as_good_as_any() -> None:
    assert closed(Health(), 0.0)
    assert not probe_due(Health(), 0.0)
    assert score(Health(), 0.0) == 1.0


def test_failures_in_a_row_open_the_circuit_and_one_fewer_does_not() -> None:
    almost = after(Health(), "-" * (IN_A_ROW - 1))
    assert closed(almost, 0.0)
    assert not closed(after(almost, "-"), 0.0)


def test_a_success_in_between_starts_the_count_again() -> None:
    assert closed(after(Health(), "+" * 20 + "----" + "+" + "----"), 0.0)


def test_half_of_lately_failing_opens_the_circuit_though_never_in_a_row() -> None:
    health = Health()
    for _ in range(4):
        health = after(health, "+-")
    assert closed(health, 0.0), "eight outcomes are too few to judge by"
    for _ in range(3):
        health = after(health, "+-")
    assert not closed(health, 0.0)


def test_one_failure_in_three_leaves_the_circuit_closed() -> None:
    assert closed(after(Health(), "++-" * 50), 0.0)


def test_a_long_good_past_does_not_hide_a_bad_present() -> None:
    health = after(Health(), "+" * 1000)
    assert closed(after(health, "--+" * 3), 0.0)
    assert not closed(after(health, "--+" * 10), 0.0)


NO_SERVICE = Refused("Incorrect service ID", Reason.SERVICE, panel="alpha", action="add")


def test_refusals_that_name_the_service_open_its_circuit_and_an_order_tries_it_after_the_pause() -> None:
    health = observed_route(Health(), NO_SERVICE, 0.0)
    assert health.probe_s is None
    health = observed_route(health, NO_SERVICE, 0.0)
    assert health.probe_s == FIRST_PAUSE_S
    again = observed_route(health, NO_SERVICE, FIRST_PAUSE_S)
    assert again.probe_s == FIRST_PAUSE_S + 2 * FIRST_PAUSE_S
    assert observed_route(health, None, FIRST_PAUSE_S).probe_s is None


@pytest.mark.parametrize("error", [CUT, Refused("x", Reason.FUNDS, panel="alpha", action="add")])
def test_what_does_not_name_the_service_says_nothing_of_it(error: ProviderError) -> None:
    assert observed_route(Health(), error, 0.0) == Health()


def test_a_circuit_that_closed_lets_orders_through_by_and_by() -> None:
    assert ramp(Health(), 5.0) == 1
    health = after(after(Health(), "-" * IN_A_ROW), "+", now=FIRST_PAUSE_S)
    shares = [ramp(health, FIRST_PAUSE_S + seconds) for seconds in (0, RAMP_S / 2, RAMP_S, 2 * RAMP_S)]
    assert shares == pytest.approx([0.1, 0.55, 1.0, 1.0])


def test_only_a_failure_opens() -> None:
    health = Health(good=4.0, bad=20.0)
    assert closed(after(health, "+"), 0.0)
    assert not closed(after(health, "-"), 0.0)


def test_an_open_circuit_wants_a_probe_when_its_pause_is_over_and_not_before() -> None:
    health = after(Health(), "-" * IN_A_ROW, now=100.0)
    assert not probe_due(health, 100.0 + FIRST_PAUSE_S - 0.01)
    assert probe_due(health, 100.0 + FIRST_PAUSE_S)
    assert not closed(health, 100.0 + FIRST_PAUSE_S), "half-open lets no order through"


def test_a_probe_that_succeeds_closes() -> None:
    health = after(after(Health(), "-" * IN_A_ROW), "+", now=FIRST_PAUSE_S)
    assert closed(health, FIRST_PAUSE_S)
    assert not probe_due(health, FIRST_PAUSE_S)


def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    health = after(Health(), "-" * IN_A_ROW)
    pauses = []
    for _ in range(8):
        health, pause = reopened(health)
        pauses.append(pause)
    assert pauses == pytest.approx([10, 20, 40, 80, 160, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S])


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 4.0), (0.5, 5.0), (1.0, 6.0)])
def test_jitter_spreads_the_pause(jitter: float, pause: float) -> None:
    health = after(Health(), "-" * (IN_A_ROW - 1))
    assert observed(health, DOWN, 0.1, 0.0, jitter=jitter).probe_s == pytest.approx(pause)


@pytest.mark.parametrize("outcome", ["+", "-"])
def test_an_answer_that_was_on_its_way_neither_closes_nor_lengthens(outcome: str) -> None:
    opened = after(Health(), "-" * IN_A_ROW)
    late = after(opened, outcome, now=1.0)
    assert late.probe_s == opened.probe_s
    assert late.pause_s == opened.pause_s
    assert late.good + late.bad > opened.good + opened.bad, "but it counts"


def test_after_closing_it_takes_failures_in_a_row_again() -> None:
    health = after(after(Health(), "-" * 20), "+", now=1000.0)
    assert closed(after(health, "-" * (IN_A_ROW - 1), now=1000.0), 1000.0)
    assert not closed(after(health, "-" * IN_A_ROW, now=1000.0), 1000.0)


def test_a_circuit_that_soon_opens_again_pauses_longer() -> None:
    health = after(after(Health(), "-" * IN_A_ROW), "+", now=5.0)
    again = after(health, "+" * (CALM - 5) + "-" * IN_A_ROW, now=6.0)
    assert again.probe_s == pytest.approx(6.0 + 2 * FIRST_PAUSE_S)


def test_after_many_successes_the_pause_is_a_first_one_again() -> None:
    health = after(after(Health(), "-" * IN_A_ROW), "+", now=5.0)
    again = after(health, "+" * CALM + "-" * IN_A_ROW, now=6.0)
    assert again.probe_s == pytest.approx(6.0 + FIRST_PAUSE_S)


def test_a_panel_that_asks_to_come_later_is_left_alone_so_long() -> None:
    later = throttled(60.0)
    health = observed(Health(), later, 0.1, 10.0)
    assert not closed(health, 69.9)
    assert closed(health, 70.0)
    assert not probe_due(health, 70.0)


def test_a_panel_cannot_ask_to_be_left_alone_for_a_day() -> None:
    health = observed(Health(), throttled(86400.0), 0.1, 0.0)
    assert closed(health, LONGEST_PAUSE_S)


def test_a_shorter_wish_does_not_end_a_longer_one() -> None:
    health = observed(Health(), throttled(60.0), 0.1, 0.0)
    health = observed(health, throttled(1.0), 0.1, 0.0)
    assert not closed(health, 59.0)


def test_a_probe_waits_as_long_as_the_panel_asked() -> None:
    health = after(Health(), "-" * (IN_A_ROW - 1))
    health = observed(health, throttled(60.0), 0.1, 0.0)
    assert not probe_due(health, 59.0)
    assert probe_due(health, 60.0)


def test_the_score_tells_good_panels_from_bad_ones() -> None:
    good, mixed, bad = (score(after(Health(), outcomes * 10), 0.0) for outcomes in ("+++", "++-", "+--"))
    assert good > 0.99
    assert good > mixed > bad
    assert 0.6 < mixed < 0.8


def test_one_failure_does_not_ruin_a_new_panel() -> None:
    assert score(after(Health(), "-"), 0.0) == pytest.approx(2 / 3)


def test_the_score_fades_towards_one_while_nothing_is_heard() -> None:
    health = after(Health(), "-" * 20)
    scores = [score(health, now) for now in (0.0, 600.0, 6000.0)]
    assert scores == sorted(scores)
    assert scores[0] < 0.2
    assert scores[2] > 0.95


def test_a_slow_panel_scores_a_little_less_than_a_quick_one() -> None:
    quick, slow, slowest = (observed(Health(), None, latency_s, 0.0) for latency_s in (0.2, 10.0, 1000.0))
    assert round(score(quick, 0.0), 2) == 1.0
    assert score(slow, 0.0) == pytest.approx(0.95)
    assert score(slowest, 0.0) == pytest.approx(0.9)


def test_the_latency_of_failures_is_not_the_panels() -> None:
    health = observed(observed(Health(), None, 0.5, 0.0), DOWN, 100.0, 0.0)
    assert health.latency_s == 0.5


@pytest.mark.parametrize(
    ("error", "speaks_against_it"),
    [
        (DOWN, True),
        (CUT, True),
        (throttled(None), True),
        *((refused(reason), True) for reason in (Reason.KEY, Reason.ACCOUNT)),
        *((refused(reason), True) for reason in (Reason.MAINTENANCE, Reason.RATE_LIMIT)),
        (refused(Reason.EDGE), False),  # of an add: perhaps of its link, and its customer pays nothing for it
        (Refused("blocked", Reason.EDGE, panel="alpha", action="status"), True),
        (Full("16 calls in flight", panel="alpha", action="add"), False),
        *((refused(reason), False) for reason in (Reason.LINK, Reason.QUANTITY, Reason.DUPLICATE)),
        *((refused(reason), False) for reason in (Reason.FUNDS, Reason.ORDER, Reason.OTHER)),
    ],
)
def test_a_refusal_for_the_orders_own_sake_is_a_good_answer(error: ProviderError, speaks_against_it: bool) -> None:
    assert counts_as_failure(error) is speaks_against_it
    health = Health()
    for _ in range(IN_A_ROW):
        health = observed(health, error, 0.1, 0.0)
    assert closed(health, 0.0) is not speaks_against_it


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e4), st.floats(0, 1)), max_size=60))
def test_whatever_happens_a_score_is_a_share_and_a_circuit_finds_its_way_back(
    steps: list[tuple[bool, float, float]],
) -> None:
    health, now = Health(), 0.0
    for failed, passed_s, jitter in steps:
        now += passed_s
        health = observed(health, DOWN if failed else None, passed_s, now, jitter=jitter)
        assert 0.0 < score(health, now) <= 1.0
        assert not (closed(health, now) and probe_due(health, now))
    if not closed(health, now):
        now += LONGEST_PAUSE_S * 1.2
        assert probe_due(health, now)
        assert closed(observed(health, None, 0.1, now), now)
