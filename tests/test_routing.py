"""Decisions: what is left out and why, what comes first, and that nothing else has a say in it."""

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conditions import Facts, condition, failing
from gateway.money import price
from gateway.routing import Canary, Decision, Offer, Policy, Wanted, decide
from providers.service_types import (
    PER_ORDER,
    CustomComments,
    CustomCommentsPackage,
    Default,
    OrderFields,
    Package,
    Subscriptions,
    WebTraffic,
)

LINK = "https://www.instagram.com/p/abc"
CHEAPEST = (Policy.CHEAPEST,)


def offer(panel: str = "alpha", **facts: object) -> Offer:
    given: dict[str, object] = {
        "remote_service": "101",
        "position": 0,
        "rate": Decimal("0.90"),
        "min": 10,
        "max": 10_000,
        "refill": True,
        "cancel": True,
        "dripfeed": True,
        "funds": Decimal(100),
    }
    return Offer(panel=panel, **(given | facts))  # type: ignore[arg-type]


def wanted(fields: OrderFields | None = None, **more: object) -> Wanted:
    given: dict[str, object] = {"charge": Decimal("1.20")}
    return Wanted(fields=fields or Default(link=LINK, quantity=1000), **(given | more))  # type: ignore[arg-type]


def why(one: Offer, order: Wanted | None = None) -> str | None:
    decision = decide([one], order or wanted(), CHEAPEST)
    assert len(decision.choices) + len(decision.left_out) == 1
    return decision.left_out[0].why if decision.left_out else None


def panels(decision: Decision) -> list[str]:
    return [choice.panel for choice in decision.choices]


@pytest.mark.parametrize(
    ("one", "order", "reason"),
    [
        (offer(), wanted(), None),
        (offer(listed=False), wanted(), "not listed by the panel any more"),
        (offer(rate=None), wanted(), "no price known"),
        (offer(type="Package"), wanted(), 'its type is "Package", not "Default"'),
        (offer(condition=condition(quantity=">= 5000")), wanted(), "does not hold: quantity >= 5000"),
        (offer(condition=condition(link="*tiktok*")), wanted(), "does not hold: link *tiktok*"),
        (offer(min=1001), wanted(), "quantity 1000 is below its min 1001"),
        (offer(max=999), wanted(), "quantity 1000 is above its max 999"),
        (offer(min=1000, max=1000), wanted(), None),
        (offer(refill=False), wanted(refill=True), "refill is promised and not offered there"),
        (offer(refill=False), wanted(refill=False), None),
        (offer(cancel=False), wanted(cancel=True), "cancel is promised and not offered there"),
        (offer(cancel=False), wanted(cancel=False), None),
        (offer(rate=Decimal("1.30")), wanted(), "would cost 1.30 of 1.20 paid"),
        (offer(rate=Decimal("1.20")), wanted(), None),
        (offer(rate=Decimal("1.200001")), wanted(), "would cost 1.200001 of 1.20 paid"),
        (
            offer(rate=Decimal("1.10")),
            wanted(min_margin=Decimal("0.10")),
            "would cost 1.10 of 1.20 paid, which leaves less than 10 %",
        ),
        (offer(rate=Decimal("1.00")), wanted(min_margin=Decimal("0.2")), None),
        (offer(funds=Decimal("0.899999")), wanted(), "would cost 0.90 of 0.899999 that we have there"),
        (offer(funds=Decimal("0.90")), wanted(), None),
        (offer(funds=None), wanted(), None),
    ],
)
def test_an_offer_is_left_out_for_a_reason_in_words(one: Offer, order: Wanted, reason: str | None) -> None:
    assert why(one, order) == reason


@pytest.mark.parametrize(
    ("fields", "dripfeed", "fits"),
    [
        (Default(link=LINK, quantity=100, runs=5, interval=60), False, False),
        (Default(link=LINK, quantity=100, runs=5, interval=60), None, True),
        (Default(link=LINK, quantity=100, runs=5, interval=60), True, True),
        (Default(link=LINK, quantity=100), False, True),
        (
            WebTraffic(link=LINK, quantity=100, runs=2, interval=9, country="WW", device=1, type_of_traffic=3),
            False,
            False,
        ),
        (CustomComments(link=LINK, comments=("a",) * 20), False, True),
    ],
)
def test_dripfeed_is_left_to_panels_that_do_not_say_no(fields: OrderFields, dripfeed: bool | None, fits: bool) -> None:
    reason = why(offer(type=fields.type, dripfeed=dripfeed), wanted(fields))
    assert reason == (None if fits else "drip-feed is not offered there")


def test_of_several_reasons_the_first_in_order_is_given() -> None:
    order = wanted(Default(link=LINK, quantity=100, runs=20, interval=9), refill=True, cancel=True)
    one = offer(
        listed=False,
        rate=None,
        type="SEO",
        condition=condition(quantity="< 5"),
        min=101,
        max=99,
        dripfeed=False,
        refill=False,
        cancel=False,
        funds=Decimal(0),
        closed=False,
    )
    repairs: list[tuple[str, object]] = [
        ("listed", True),
        ("rate", Decimal(5)),
        ("type", "Default"),
        ("condition", None),
        ("min", 1),
        ("max", 100),
        ("dripfeed", True),
        ("refill", True),
        ("cancel", True),
        ("rate", Decimal("0.1")),
        ("funds", None),
        ("closed", True),
    ]
    reasons = [why(one, order)]
    for fact, right in repairs:
        one = msgspec.structs.replace(one, **{fact: right})
        reasons.append(why(one, order))
    assert [reason and reason[:12] for reason in reasons] == [
        "not listed b",
        "no price kno",
        "its type is ",
        "does not hol",
        "quantity 100",
        "quantity 100",
        "drip-feed is",
        "refill is pr",
        "cancel is pr",
        "would cost 1",
        "would cost 0",
        None,
        None,
    ]


def test_limits_and_conditions_see_one_run_and_the_cost_all_of_them() -> None:
    dripped = wanted(Default(link=LINK, quantity=100, runs=10, interval=60))
    (choice,) = decide([offer(max=100, condition=condition(quantity="100"))], dripped, CHEAPEST).choices
    assert choice.cost == Decimal("0.90")


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        (Package(link=LINK), "2.50"),
        (CustomCommentsPackage(link=LINK, comments=("a", "b")), "2.50"),
        (CustomComments(link=LINK, comments=("a",) * 40), "0.10"),
        (Subscriptions(username="u", min=10, max=100, delay=0, posts=3), "0.75"),
    ],
)
def test_costs_go_by_the_order_or_by_its_units_as_its_type_says(fields: OrderFields, cost: str) -> None:
    one = offer(type=fields.type, rate=Decimal("2.50"), min=1)
    (choice,) = decide([one], wanted(fields, charge=Decimal(3)), CHEAPEST).choices
    assert choice.cost == Decimal(cost)


def test_cheapest_takes_the_lowest_cost_and_of_equal_ones_the_first_name() -> None:
    offers = [
        offer("delta", rate=Decimal("0.80"), score=0.5),
        offer("gamma", rate=Decimal("0.80"), score=0.9),
        offer("beta", rate=Decimal("0.90")),
        offer("alpha", rate=Decimal("0.90")),
        offer("omega", rate=Decimal("0.70"), score=0.1),
    ]
    assert panels(decide(offers, wanted(), CHEAPEST)) == ["omega", "delta", "gamma", "alpha", "beta"]


def test_priority_takes_routes_as_they_are_written() -> None:
    offers = [offer("alpha", position=2, rate=Decimal("0.1")), offer("beta", position=0), offer("gamma", position=1)]
    assert panels(decide(offers, wanted(), (Policy.PRIORITY,))) == ["beta", "gamma", "alpha"]


def test_healthiest_takes_the_better_score_and_small_differences_leave_it_to_the_cost() -> None:
    offers = [
        offer("alpha", score=0.80, rate=Decimal("0.1")),
        offer("beta", score=0.981, rate=Decimal("0.9")),
        offer("gamma", score=0.984, rate=Decimal("0.8")),
        offer("delta", score=0.979, rate=Decimal("0.8")),
    ]
    assert panels(decide(offers, wanted(), (Policy.HEALTHIEST,))) == ["delta", "gamma", "beta", "alpha"]


@pytest.mark.parametrize("policy", [Policy.CHEAPEST, Policy.HEALTHIEST])
def test_equal_offers_of_one_panel_stand_by_its_service(policy: Policy) -> None:
    offers = [offer(remote_service="9", position=0), offer(remote_service="10", position=1)]
    assert [choice.remote_service for choice in decide(offers, wanted(), (policy,)).choices] == ["10", "9"]


def test_weighted_goes_first_as_often_as_the_weights_say() -> None:
    offers = [offer("alpha", weight=6), offer("beta", weight=3), offer("gamma", weight=1)]
    firsts = Counter(
        panels(decide(offers, wanted(draw=f"order {number}"), (Policy.WEIGHTED,)))[0] for number in range(4000)
    )
    assert firsts["alpha"] / 4000 == pytest.approx(0.6, abs=0.03)
    assert firsts["beta"] / 4000 == pytest.approx(0.3, abs=0.03)
    assert firsts["gamma"] / 4000 == pytest.approx(0.1, abs=0.02)


def test_weighted_draws_the_second_by_weight_as_well() -> None:
    offers = [offer("alpha", weight=1000), offer("beta", weight=3), offer("gamma", weight=1)]
    decisions = [panels(decide(offers, wanted(draw=str(number)), (Policy.WEIGHTED,))) for number in range(2000)]
    seconds = Counter(order[1] for order in decisions if order[0] == "alpha")
    assert seconds["beta"] / seconds.total() == pytest.approx(0.75, abs=0.04)


def test_the_same_draw_draws_the_same_and_a_further_offer_moves_no_other() -> None:
    offers = [offer(name, position=place) for place, name in enumerate("abcdef")]
    for number in range(50):
        order = wanted(draw=str(number))
        before = panels(decide(offers, order, (Policy.WEIGHTED,)))
        assert panels(decide(offers, order, (Policy.WEIGHTED,))) == before
        more = panels(decide([*offers, offer("new", position=6, weight=5)], order, (Policy.WEIGHTED,)))
        assert [name for name in more if name != "new"] == before


def test_a_draw_is_of_panel_and_service_and_not_of_their_letters_in_a_row() -> None:
    offers = [offer("a", remote_service="11", position=0), offer("a1", remote_service="1", position=1)]
    firsts = {panels(decide(offers, wanted(draw=str(number)), (Policy.WEIGHTED,)))[0] for number in range(40)}
    assert firsts == {"a", "a1"}


def test_an_open_circuit_leaves_an_offer_out_while_another_can_take_the_order() -> None:
    decision = decide([offer("alpha", closed=False), offer("beta", rate=Decimal("1.1"))], wanted(), CHEAPEST)
    assert panels(decision) == ["beta"]
    assert [(out.panel, out.why) for out in decision.left_out] == [("alpha", "circuit open: it fails at present")]
    assert not decision.panic


def test_circuits_never_leave_nobody_and_then_the_healthiest_is_asked_first() -> None:
    offers = [
        offer("alpha", closed=False, score=0.2, rate=Decimal("0.1")),
        offer("beta", closed=False, score=0.4, rate=Decimal("0.9")),
        offer("gamma", closed=False, score=0.9, funds=Decimal(0)),
    ]
    decision = decide(offers, wanted(), CHEAPEST)
    assert (panels(decision), decision.panic) == (["beta", "alpha"], True)
    assert [out.panel for out in decision.left_out] == ["gamma"]


def test_a_panel_that_is_just_back_comes_first_for_a_share_of_the_orders() -> None:
    offers = [offer("alpha", rate=Decimal("0.5"), ramp=0.25), offer("beta"), offer("gamma", rate=Decimal("1.1"))]
    decisions = [panels(decide(offers, wanted(draw=str(number)), CHEAPEST)) for number in range(2000)]
    assert set(map(tuple, decisions)) == {("alpha", "beta", "gamma"), ("beta", "gamma", "alpha")}
    assert sum(order[0] == "alpha" for order in decisions) / 2000 == pytest.approx(0.25, abs=0.04)


def test_effective_goes_by_what_was_really_delivered() -> None:
    offers = [offer("alpha", rate=Decimal("0.60"), truth=Decimal("1.6667")), offer("beta", rate=Decimal("0.90"))]
    decision = decide(offers, wanted(), (Policy.EFFECTIVE,))
    assert [(choice.panel, choice.cost, choice.effective) for choice in decision.choices] == [
        ("beta", Decimal("0.90"), Decimal("0.90")),
        ("alpha", Decimal("0.60"), Decimal("1.00002")),
    ]
    assert panels(decide(offers, wanted(), CHEAPEST)) == ["alpha", "beta"]


def test_fastest_goes_by_the_usual_time_and_what_nobody_knows_comes_last() -> None:
    offers = [
        offer("alpha"),
        offer("beta", seconds=90),
        offer("gamma", seconds=30),
        offer("delta", rate=Decimal("0.1")),
    ]
    assert panels(decide(offers, wanted(), (Policy.FASTEST,))) == ["gamma", "beta", "delta", "alpha"]


def test_spread_draws_by_the_inverse_square_of_the_effective_cost() -> None:
    offers = [
        offer("alpha", rate=Decimal("0.50"), truth=Decimal(1)),
        offer("beta", rate=Decimal("0.50"), truth=Decimal(2)),
    ]
    firsts = Counter(panels(decide(offers, wanted(draw=str(n)), (Policy.SPREAD,)))[0] for n in range(4000))
    assert firsts["alpha"] / 4000 == pytest.approx(0.8, abs=0.03)


def test_sticky_takes_the_same_panel_for_the_same_link_and_all_of_them_for_all_links() -> None:
    offers = [offer(name) for name in "abc"]
    firsts: Counter[str] = Counter()
    for number in range(300):
        order = Default(link=f"https://x.example/{number}", quantity=1000)
        drawn = {panels(decide(offers, wanted(order, draw=draw), (Policy.STICKY,)))[0] for draw in "pqrs"}
        assert len(drawn) == 1
        firsts.update(drawn)
    assert all(count > 60 for count in firsts.values()), firsts


CANARY = Canary(panel="beta", remote_service="101", share=0.1, floor=0.9)


def _first_of_canary(**facts: object) -> Counter[str]:
    offers = [offer("alpha", rate=Decimal("0.9")), offer("beta", rate=Decimal("0.1"), **facts)]
    return Counter(
        panels(decide(offers, wanted(Default(link=f"l{n}", quantity=1000), draw="x"), (CANARY, Policy.CHEAPEST)))[0]
        for n in range(2000)
    )


def test_a_canary_comes_first_for_its_share_of_the_links_and_last_for_all_others() -> None:
    assert _first_of_canary()["beta"] / 2000 == pytest.approx(0.1, abs=0.025)


@pytest.mark.parametrize("facts", [{"score": 0.8}, {"kept": 0.8}])
def test_a_canary_below_its_floor_is_tried_no_more(facts: dict[str, object]) -> None:
    assert _first_of_canary(**facts) == {"alpha": 2000}


def test_a_later_step_decides_only_what_the_ones_before_it_left_alike() -> None:
    offers = [offer("alpha", seconds=30), offer("beta", seconds=30, score=0.5), offer("gamma", seconds=60)]
    assert panels(decide(offers, wanted(), (Policy.FASTEST, Policy.HEALTHIEST))) == ["alpha", "beta", "gamma"]
    assert panels(decide(offers, wanted(), (Policy.HEALTHIEST, Policy.FASTEST))) == ["alpha", "gamma", "beta"]
    after = decide(offers, wanted(), (Policy.CHEAPEST, Policy.FASTEST))
    assert panels(after) == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"only": frozenset({"alpha", "beta"})}, None),
        ({"only": frozenset({"beta"})}, "the rules keep this order away from the panel"),
        ({"never": frozenset({"alpha"})}, "the rules keep this order away from the panel"),
        ({"max_rate": Decimal("0.89")}, "its rate 0.90 is above max_rate 0.89"),
        ({"max_rate": Decimal("0.90")}, None),
    ],
)
def test_limits_of_the_rules_leave_offers_out(limits: dict[str, object], reason: str | None) -> None:
    assert why(offer(), wanted(None, **limits)) == reason


def test_no_offers_is_a_decision_too() -> None:
    decision = decide([], wanted(), CHEAPEST)
    assert decision == Decision(policy="cheapest", choices=(), left_out=())


FIELDS = st.one_of(
    st.builds(
        Default,
        link=st.sampled_from([LINK, "https://x.example/1"]),
        quantity=st.integers(1, 3000),
        runs=st.none() | st.integers(1, 5),
    ),
    st.builds(Package, link=st.just(LINK)),
    st.builds(CustomComments, link=st.just(LINK), comments=st.just(("nice", "great"))),
)
OFFERS = st.builds(
    Offer,
    panel=st.sampled_from(["alpha", "beta", "gamma"]),
    remote_service=st.sampled_from(["1", "2", "3"]),
    position=st.just(0),
    weight=st.integers(1, 5),
    condition=st.sampled_from([None, condition(quantity=">= 500"), condition(link="*instagram*")]),
    listed=st.sampled_from([True, True, True, False]),
    type=st.sampled_from(["Default", "Default", "Package", "Custom Comments"]),
    rate=st.none() | st.decimals("0", "3", places=4),
    min=st.sampled_from([1, 1, 100]),
    max=st.sampled_from([1, 2000, 10**6]),
    refill=st.booleans(),
    cancel=st.booleans(),
    dripfeed=st.sampled_from([None, True, False]),
    closed=st.sampled_from([True, True, False]),
    score=st.floats(0, 1),
    funds=st.none() | st.decimals("0", "3", places=2),
)
ORDERS = st.builds(
    Wanted,
    fields=FIELDS,
    charge=st.decimals("0.000001", "5", places=4),
    refill=st.booleans(),
    cancel=st.booleans(),
    min_margin=st.decimals("0", "1", places=2),
    draw=st.text(max_size=4),
)


def able(one: Offer, order: Wanted) -> bool:
    """May it be bought there: the rules again, in other words than the code's."""
    fields, size = order.fields, order.fields.size()
    if one.rate is None or not one.listed or one.type != fields.type:
        return False
    cost = price(one.rate, fields.units(), per_order=fields.type in PER_ORDER)
    dripped = isinstance(fields, Default) and fields.runs is not None
    return (
        one.min <= size <= one.max
        and (one.condition is None or failing(one.condition, Facts(quantity=size, link=fields.link)) is None)
        and not (dripped and one.dripfeed is False)
        and one.refill >= order.refill
        and one.cancel >= order.cancel
        and cost + cost * order.min_margin <= order.charge
        and (one.funds is None or one.funds >= cost)
    )


@given(st.lists(OFFERS, max_size=12), ORDERS, st.sampled_from(Policy), st.randoms(use_true_random=False))
def test_every_offer_ends_up_once_where_it_belongs_in_whatever_order_they_come(
    drawn: list[Offer], order: Wanted, policy: Policy, chance: random.Random
) -> None:
    offers = [msgspec.structs.replace(one, position=place) for place, one in enumerate(drawn)]
    decision = decide(offers, order, (policy,))
    chosen = Counter((choice.panel, choice.remote_service) for choice in decision.choices)
    fit = [one for one in offers if able(one, order)]
    heeded = [one for one in fit if one.closed] or fit
    assert decision.panic == (bool(fit) and not any(one.closed for one in fit))
    out = Counter((left.panel, left.remote_service) for left in decision.left_out)
    assert chosen == Counter((one.panel, one.remote_service) for one in heeded)
    assert out == Counter((one.panel, one.remote_service) for one in offers if one not in heeded)
    assert all(left.why for left in decision.left_out)
    shuffled = chance.sample(offers, len(offers))
    assert decide(shuffled, order, (policy,)) == decision
    costs = [choice.cost for choice in decision.choices]
    assert policy is not Policy.CHEAPEST or decision.panic or costs == sorted(costs)


@pytest.mark.parametrize(
    ("size", "changes", "part"),
    [
        (1100, {"min": 600}, None),
        (1100, {"min": 500}, 550),
        (2000, {"funds": Decimal("0.50")}, None),
        (2000, {"funds": Decimal(1)}, 1000),
    ],
)
def test_a_part_keeps_to_the_min_and_needs_its_own_money_alone(
    size: int, changes: dict[str, Any], part: int | None
) -> None:
    one = msgspec.structs.replace(offer("alpha"), max=1000, **changes)
    decision = decide([one], wanted(Default(link=LINK, quantity=size), charge=Decimal(9), parts=3), CHEAPEST)
    assert [choice.part for choice in decision.choices] == ([] if part is None else [part])
    if "min" in changes and part is None:
        assert decision.left_out[0].why == "quantity 1100 in parts of at most 1000 is below its min 600"


@pytest.mark.parametrize("policy", [Policy.CHEAPEST, Policy.WEIGHTED, Policy.SPREAD])
def test_a_panel_that_is_back_comes_first_for_its_share_of_the_orders_whatever_the_policy(policy: Policy) -> None:
    back, well = offer("alpha"), offer("beta", rate=Decimal("0.9000001"))
    ramping = msgspec.structs.replace(back, ramp=0.5)
    first = [
        decide([ramping, well], wanted(charge=Decimal(9), draw=str(number)), (policy,)).choices[0].panel
        for number in range(2000)
    ]
    expected = 0.5 if policy is Policy.CHEAPEST else 0.25
    assert abs(first.count("alpha") / 2000 - expected) < 0.04
