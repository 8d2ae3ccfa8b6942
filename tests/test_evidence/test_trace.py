"""Traces of an order among ids: what is bound is its own, and of nothing more is said than is seen."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.evidence import trace
from gateway.evidence.trace import AHEAD, Found, Gap, Ids, match
from gateway.ledger.learned import Learned
from gateway.rules.model import Tells
from providers.base import Listed, OrderStatus, Status
from tests.test_evidence.suspects import suspect


def found(id: int, charge: str | None = "1.00000", **other: Any) -> Found:
    values: dict[str, Any] = {"status": OrderStatus.PENDING, "word": "Pending", "remains": 100, **other}
    return Found(str(id), Status(charge=None if charge is None else Decimal(charge), **values))


WHOLE = Gap(101, 109, whole=True)


@pytest.mark.parametrize(
    ("learned", "tells", "words"),
    [
        (Learned(panel="a", rising=200, foreign=True), Tells.LEARNED, None),
        (Learned(panel="a", rising=199, foreign=True), Tells.LEARNED, "rose 199 times"),
        (Learned(panel="a", rising=200), Tells.LEARNED, "was not tried"),
        (Learned(panel="a", rising=900, foreign=False), Tells.LEARNED, "not ours"),
        (Learned(panel="a"), Tells.TRUSTED, None),
        (Learned(panel="a", foreign=False), Tells.TRUSTED, "not ours"),
        (Learned(panel="a", rising=900, foreign=True), Tells.NEVER, "the rules say not"),
    ],
)
def test_ids_tell_something_only_where_that_was_learned(learned: Learned, tells: Tells, words: str | None) -> None:
    why = trace.unusable(learned, tells)
    assert why == words if words is None else words in (why or "")


def test_a_gap_lies_between_our_ids() -> None:
    assert trace.gap(100, 110) == WHOLE
    assert trace.gap(100, None) == Gap(101, 100 + AHEAD, whole=False)
    assert not trace.gap(None, 110).whole
    assert trace.gap(100, 101) == Gap(101, 100, whole=True), "nothing lies between neighbours"


def test_ids_are_asked_about_once_and_ours_not_at_all() -> None:
    assert trace.ids([Gap(1, 3, whole=True), Gap(2, 5, whole=True)], {4}) == ["1", "2", "3", "5"]


def test_too_many_ids_are_not_asked_about() -> None:
    assert trace.ids([Gap(1, 2000, whole=True)], frozenset()) is not None
    assert trace.ids([Gap(1, 2001, whole=True)], frozenset()) is None
    assert trace.ids([Gap(1, 2**60, whole=True)], frozenset()) is None
    assert trace.ids([Gap(1, 2001, whole=True)], {7}) is not None


def test_an_id_of_which_nothing_certain_was_said_leaves_the_gap_open() -> None:
    assert not trace.heard(WHOLE, frozenset({105})).whole
    assert trace.heard(WHOLE, frozenset({99})).whole


def test_the_only_id_that_fits_is_it() -> None:
    told = match([suspect(1)], [found(105)], {1: WHOLE})
    assert told == {1: Ids(word="one", candidates=("105",))}


@pytest.mark.parametrize(
    "other",
    [
        found(99),  # outside
        found(105, "1.03"),  # another price
        found(105, remains=99),  # another quantity
        found(105, remains=101, status=OrderStatus.IN_PROGRESS, word="In progress"),  # more than was ordered
        found(105, "2.6", status=OrderStatus.PARTIAL, word="Partial", remains=39),  # more than it was to take
        found(105, "0.5", status=OrderStatus.PARTIAL, word="Partial", remains=39),  # neither all nor what is left
        found(105, "1.5", status=OrderStatus.CANCELED, word="Canceled", remains=None),
    ],
)
def test_an_id_that_does_not_fit_is_not_it(other: Found) -> None:
    assert match([suspect(1)], [other], {1: WHOLE})[1].word == "none"


@pytest.mark.parametrize(
    "it",
    [
        found(105, None),
        found(105, "1.02"),  # two of a hundred
        found(105, "0", status=OrderStatus.CANCELED, word="Canceled"),  # its money came back
        found(105, "0", status=OrderStatus.CANCELED, word="Canceled", remains=0),
        found(105, "0.4", status=OrderStatus.PARTIAL, word="Partial", remains=60),
        found(105, "1", status=OrderStatus.PARTIAL, word="Partial", remains=60),  # it tells all of the charge
        found(105, "0.4", status=OrderStatus.CANCELED, word="Canceled", remains=60),
        found(105, "0.4", status=OrderStatus.PARTIAL, word="Partial", remains=None),
        found(105, status=OrderStatus.IN_PROGRESS, word="In progress", remains=40),
        found(105, remains=None),
    ],
)
def test_an_order_that_has_gone_on_still_fits(it: Found) -> None:
    assert match([suspect(1)], [it], {1: WHOLE})[1].word == "one"


def test_where_the_gap_is_open_nothing_is_proved_absent() -> None:
    open_ = Gap(101, 400, whole=False)
    assert match([suspect(1)], [], {1: open_})[1].word == "unavailable"
    assert match([suspect(1)], [found(105)], {1: open_})[1].word == "one"


def test_while_an_order_was_sent_an_open_gap_tells_nothing() -> None:
    open_ = Gap(101, 400, whole=False)
    assert match([suspect(1)], [found(105)], {1: open_}, still=False)[1].word == "unavailable"
    assert match([suspect(1)], [found(105)], {1: WHOLE}, still=False)[1].word == "one"


def test_without_an_id_from_before_nothing_is_told() -> None:
    assert match([suspect(1)], [found(105)], {1: trace.gap(None, 110)})[1].word == "unavailable"


def test_two_ids_for_one_are_for_people() -> None:
    told = match([suspect(1)], [found(105), found(106)], {1: WHOLE})
    assert told[1] == Ids(word="several", candidates=("105", "106"))


def test_one_id_for_two_is_for_people() -> None:
    told = match([suspect(1), suspect(2)], [found(105)], {1: WHOLE, 2: WHOLE})
    assert {told[1].word, told[2].word} == {"several"}


def test_what_fits_two_goes_to_the_one_that_nothing_else_fits() -> None:
    """105 is either's by its price; 108 is in the gap of the second alone, so 105 is the first one's."""
    told = match(
        [suspect(1), suspect(2)], [found(105), found(108)], {1: Gap(101, 106, whole=True), 2: Gap(103, 109, whole=True)}
    )
    assert (told[1].candidates, told[2].candidates) == (("105",), ("108",))


def test_two_that_cannot_be_told_apart_get_two_ids_by_time() -> None:
    told = match([suspect(2), suspect(1)], [found(106), found(105)], {1: WHOLE, 2: WHOLE})
    assert (told[1].candidates, told[2].candidates) == (("105",), ("106",))
    assert "indistinguishable" in told[1].why


def test_more_ways_than_can_be_tried_tell_nothing_alone() -> None:
    many = [suspect(number) for number in range(1, 9)]
    told = match(many, [found(100 + number) for number in range(1, 8)], {one.attempt.id: WHOLE for one in many})
    assert {ids.word for ids in told.values()} == {"several"}


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_no_id_is_ever_bound_to_another_order(seed: int, suspects: int) -> None:
    """A panel's ids go to many customers; ours among them are those that answer. Prices are all different."""
    luck = random.Random(seed)
    there = [suspect(number, f"{number}.{luck.randrange(10)}") for number in range(1, suspects + 1)]
    truth: dict[int, str] = {}
    answering = []
    at = 100
    gaps = {}
    for one in there:
        floor = at
        at += luck.randrange(1, 6)
        if luck.random() < 0.7:
            truth[one.attempt.id] = str(at)
            answering.append(found(at, str(one.attempt.remote_cost)))
        at += luck.randrange(1, 6)
        gaps[one.attempt.id] = trace.gap(floor, at if luck.random() < 0.8 else None)
    told = match(there, answering, gaps)
    for one in there:
        ids, id = told[one.attempt.id], truth.get(one.attempt.id)
        if ids.word == "one":
            assert ids.candidates == (id,)
        if ids.word == "none":
            assert id is None


# A panel's own list of our orders.


def row(id: int, *, link: str = "https://x.example/p", **other: Any) -> Listed:
    values: dict[str, Any] = {"remote_service": "7", "quantity": 100, "created_ms": None, "request_id": None, **other}
    return Listed(remote_id=str(id), link=link, **values)


def test_our_own_name_decides_alone() -> None:
    rows = [row(5, request_id=trace.request_id(1), link="else"), row(6)]
    told = trace.listed([suspect(1)], rows, reaches_ms=0)
    assert told[1] == Ids(word="one", candidates=("5",), why="it bears our name")


def test_a_listed_order_is_known_by_service_link_and_quantity() -> None:
    assert trace.listed([suspect(1)], [row(5)], reaches_ms=0)[1].candidates == ("5",)
    for other in (row(5, link="else"), row(5, quantity=99), row(5, remote_service="8"), row(5, request_id="pm-zz")):
        assert trace.listed([suspect(1)], [other], reaches_ms=0)[1].word == "none"


def test_a_list_that_does_not_reach_back_proves_no_absence() -> None:
    assert trace.listed([suspect(1)], [], reaches_ms=1_001)[1].word == "unavailable"
    assert trace.listed([suspect(1)], [], reaches_ms=1_000)[1].word == "none"
    assert trace.listed([suspect(1)], [], reaches_ms=None)[1].word == "unavailable"


def test_listed_twins_are_given_by_time_and_too_many_are_for_people() -> None:
    twins = [suspect(1), suspect(2)]
    told = trace.listed(twins, [row(6), row(5)], reaches_ms=0)
    assert (told[1].candidates, told[2].candidates) == (("5",), ("6",))
    assert trace.listed(twins, [row(5)], reaches_ms=0)[1].word == "several"


def test_a_drip_feed_is_listed_by_a_run_or_by_all() -> None:
    fields = '{"link":"https://x.example/p","quantity":100,"runs":3}'
    dripping = suspect(1, fields=fields, units=300)
    assert trace.listed([dripping], [row(5)], reaches_ms=0)[1].word == "one"
    rest = suspect(1, fields=fields, units=120)
    assert trace.listed([rest], [row(5, quantity=120)], reaches_ms=0)[1].word == "one"
    odd = suspect(1, fields='{"link":"https://x.example/p","comments":["a"]}')
    assert trace.listed([odd], [row(5, quantity=None)], reaches_ms=0)[1].word == "one"
