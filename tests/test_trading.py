"""What the gateway's choices come to in markets that mislead: held against an oracle that knows the truth."""

import re
from pathlib import Path
from statistics import mean

import pytest

from tests import trading

SEEDS = range(20)
pytestmark = pytest.mark.timeout(600)

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.fixture(scope="module")
def markets() -> list[dict[str, trading.Bill]]:
    return [dict(trading.traded(seed)) for seed in SEEDS]


def test_effective_pays_hardly_more_than_who_knows_the_truth(markets: list[dict[str, trading.Bill]]) -> None:
    ratios = [bills["effective"].unit / bills["oracle"].unit for bills in markets]
    assert mean(ratios) <= 1.05
    assert max(ratios) <= 1.05, "in no market"


def test_nobody_goes_without_while_a_panel_is_up(markets: list[dict[str, trading.Bill]]) -> None:
    for bills in markets:
        assert bills["effective"].not_sold == bills["oracle"].not_sold


def test_the_table_of_the_readme_is_what_the_markets_come_to(markets: list[dict[str, trading.Bill]]) -> None:
    for line in trading.rows(markets):
        told = re.sub(r"\s+", " ", line)
        assert told in re.sub(r"[ ]+", " ", README), line


def test_a_seed_makes_a_market() -> None:
    assert trading.market(7) == trading.market(7) != trading.market(8)
