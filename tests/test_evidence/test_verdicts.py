"""The table that weighs evidence, held against what may follow from what."""

from itertools import product
from typing import Literal

import pytest

from gateway.evidence.funds import Funds
from gateway.evidence.trace import Ids
from gateway.evidence.verdicts import TABLE, NotPlaced, Placed, Untracked, Verdict, Wait, verdict

Word = Literal["one", "several", "none", "unavailable"]
WORDS: tuple[Word, ...] = ("one", "several", "none", "unavailable")
CANDIDATES = {"one": ("41",), "several": ("41", "42"), "none": (), "unavailable": ()}


def of(word: Word, funds: Funds, *, duplicate_seen: bool = False, untracked: bool = False) -> Verdict:
    ids = Ids(word=word, candidates=CANDIDATES[word])
    return verdict(ids, funds, duplicate_seen=duplicate_seen, untracked=untracked)


@pytest.mark.parametrize(
    ("word", "funds", "expected"),
    [
        ("one", Funds.CHARGED, Placed),
        ("one", Funds.UNAVAILABLE, Placed),
        ("one", Funds.NOT_CHARGED, Wait),
        ("one", Funds.PROVED, Wait),
        ("several", Funds.CHARGED, Wait),
        ("several", Funds.NOT_CHARGED, Wait),
        ("several", Funds.PROVED, Wait),
        ("several", Funds.UNAVAILABLE, Wait),
        ("none", Funds.CHARGED, Untracked),
        ("none", Funds.NOT_CHARGED, NotPlaced),
        ("none", Funds.PROVED, NotPlaced),
        ("none", Funds.UNAVAILABLE, Wait),
        ("unavailable", Funds.CHARGED, Untracked),
        ("unavailable", Funds.NOT_CHARGED, Wait),
        ("unavailable", Funds.PROVED, NotPlaced),
        ("unavailable", Funds.UNAVAILABLE, Wait),
    ],
)
def test_the_table(word: Word, funds: Funds, expected: type[Verdict]) -> None:
    assert isinstance(of(word, funds), expected)


def test_every_row_decides_something() -> None:
    """A row that no evidence meets first would only seem to be a rule."""
    met = set()
    for word, funds in product(WORDS, Funds):
        row = next((row for row in TABLE if row[0] == word and funds in row[1]), None)
        met.add(row)
    assert set(TABLE) <= met


@pytest.mark.parametrize(("word", "funds"), list(product(WORDS, Funds)))
def test_what_was_refused_as_a_duplicate_is_never_not_placed(word: Word, funds: Funds) -> None:
    assert not isinstance(of(word, funds, duplicate_seen=True), NotPlaced)


def test_a_duplicate_that_nothing_contradicts_was_placed() -> None:
    assert isinstance(of("unavailable", Funds.UNAVAILABLE, duplicate_seen=True), Untracked)
    assert isinstance(of("none", Funds.UNAVAILABLE, duplicate_seen=True), Untracked)
    assert isinstance(of("several", Funds.UNAVAILABLE, duplicate_seen=True), Wait)
    assert isinstance(of("unavailable", Funds.NOT_CHARGED, duplicate_seen=True), Wait)


@pytest.mark.parametrize(("word", "funds"), list(product(WORDS, Funds)))
def test_what_is_known_to_be_bought_is_found_or_goes_on_waiting(word: Word, funds: Funds) -> None:
    assert isinstance(of(word, funds, untracked=True), Placed | Wait)


def test_a_verdict_says_why() -> None:
    found = verdict(Ids(word="one", candidates=("41",), why="by time"), Funds.CHARGED, duplicate_seen=False)
    assert found == Placed("41", "an id there is ours, and fits it alone (by time)")
    nothing = verdict(Ids(word="unavailable", why="switched off"), Funds.UNAVAILABLE, duplicate_seen=False)
    assert nothing == Wait("ids: switched off; money: nothing known")
