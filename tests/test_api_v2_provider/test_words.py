"""What a panel's words mean."""

import json
import re
from typing import Any

import pytest

from gateway.errors import Busy, NotEnoughFunds, NotSold, WrongKey
from providers.api_v2 import words
from providers.api_v2.words import known
from providers.errors import Reason
from tests.test_api_v2_provider.canned import FACTS

pytestmark = pytest.mark.anyio


REASONS = {
    "auth": Reason.KEY,
    "order_lookup": Reason.ORDER,
    "server": Reason.OTHER,
    "warning": Reason.OTHER,
} | {why.value: why for why in Reason}
FILLED = {r" N$": " 50", "A and B": "10 and 20", "<field>": "keywords", r"refill_\*": "refill_pending"}


@pytest.mark.skipif(not FACTS.exists(), reason="the collection of the field's words is not on this machine")
def test_every_word_of_the_field_has_its_meaning() -> None:
    facts = json.loads(FACTS.read_text())["errors"]
    assert len(facts) > 100
    for fact in facts:
        text = fact["string"]
        for hole, filling in FILLED.items():
            text = re.sub(hole, filling, text)
        settles = fact["definitive"] is True and fact["scope"] in {"any", "add"}
        word = known(text)
        assert word is not None, text
        assert (word.reason, word.settles_add) == (REASONS[fact["kind"]], settles), text


def test_no_word_of_the_table_has_two_meanings() -> None:
    told = [
        words._folded(text)
        for table in (words._BEFORE_ORDERS, words._ABOUT_OTHER_ACTIONS)
        for texts in table.values()
        for text in texts
    ]
    assert len(told) == len(set(told))


@pytest.mark.parametrize("ours", [WrongKey(), NotEnoughFunds(), NotSold(), Busy()], ids=lambda ours: ours.words)
def test_what_a_gateway_like_ours_says_is_known_to_have_bought_nothing(ours: Any) -> None:
    word = known(ours.words)
    assert word is not None
    assert word.settles_add


@pytest.mark.parametrize(
    "text",
    ["", "Incorrect", "Invalid API key provided", "no money left", "Sorry: Not enough funds on balance", "Incorrect x"],
)
def test_words_are_not_guessed_from_their_parts(text: str) -> None:
    assert known(text) is None
