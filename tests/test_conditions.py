"""Matchers of the rules: what they let through, how they name what they did not, and what cannot be written."""

import pytest

from gateway.conditions import Condition, failing, joined

POST = "https://www.Instagram.com/p/AbC"


@pytest.mark.parametrize(
    ("written", "let_through", "kept_out"),
    [
        (">= 1000", [1000, 10**9], [999, 1]),
        (">1000", [1001], [1000]),
        ("<= 50", [1, 50], [51]),
        ("< 50", [49], [50, 1000]),
        ("100..5000", [100, 5000], [99, 5001]),
        ("100 .. 100", [100], [99, 101]),
        ("= 10", [10], [9, 11]),
        ("10", [10], [9, 11]),
        (10, [10], [9, 11]),
    ],
)
def test_a_quantity_is_held_against_its_bound(written: str | int, let_through: list[int], kept_out: list[int]) -> None:
    condition = Condition(quantity=written)
    assert [failing(condition, quantity, "") for quantity in let_through] == [None] * len(let_through)
    assert all(failing(condition, quantity, "") for quantity in kept_out)


@pytest.mark.parametrize(
    "written", ["=> 1000", "", "many", "1,000", "1_000", "-5", ">= 1.5", "5...9", "100..", ">=", "9" * 11, "٣"]
)
def test_a_bound_that_cannot_be_read_is_refused_with_how_to_write_one(written: str) -> None:
    with pytest.raises(ValueError, match=r'is not a bound on quantity like ">= 1000", "< 50", "100\.\.5000" or 10'):
        Condition(quantity=written)


@pytest.mark.parametrize("written", ["< 1", "<= 0", "= 0", 0, "5000..100", "0..0"])
def test_a_bound_that_no_order_meets_is_refused(written: str | int) -> None:
    with pytest.raises(ValueError, match=f'no quantity is "{written}"'):
        Condition(quantity=written)


@pytest.mark.parametrize(
    ("glob", "holds"),
    [
        ("*instagram.com*", True),
        ("*INSTAGRAM.COM/P/*", True),
        ("https://www.instagram.com/?/abc", True),
        ("https://www.instagram.com/[pq]/*", True),
        ("instagram.com", False),
        ("*instagramxcom*", False),
        ("*/reel/*", False),
        ("*.com/p/ab", False),
    ],
)
def test_a_glob_is_held_against_the_whole_link_whatever_its_case(glob: str, holds: bool) -> None:
    assert (failing(Condition(link=glob), 1, POST) is None) is holds


def test_a_glob_takes_dots_and_brackets_of_patterns_as_they_are() -> None:
    assert failing(Condition(link="*a.b+c(d)*"), 1, "https://x.example/a.b+c(d)") is None
    assert failing(Condition(link="*a.b*"), 1, "https://x.example/aXb") is not None


def test_of_several_globs_one_is_enough() -> None:
    condition = Condition(link=("*tiktok.com*", "*instagram.com*"))
    assert failing(condition, 1, POST) is None
    assert failing(condition, 1, "https://x.example/1") == "link *tiktok.com* or *instagram.com*"


@pytest.mark.parametrize("written", ["", "  ", (), ("*a*", "")])
def test_an_empty_glob_is_refused(written: str | tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="an empty glob matches no link"):
        Condition(link=written)


def test_the_first_clause_that_fails_is_named_as_people_write_it() -> None:
    condition = Condition(quantity=">=1000", link="*instagram.com*")
    assert failing(condition, 1000, POST) is None
    assert failing(condition, 999, POST) == "quantity >= 1000"
    assert failing(condition, 999, "https://x.example") == "quantity >= 1000"
    assert failing(condition, 1000, "https://x.example") == "link *instagram.com*"
    assert failing(Condition(quantity=7), 8, "") == "quantity = 7"


def test_a_condition_without_clauses_always_holds() -> None:
    assert failing(Condition(), 1, "") is None


def test_joined_conditions_hold_when_all_do() -> None:
    both = joined(Condition(quantity=">= 10"), None, Condition(link="*instagram.com*", quantity="< 100"))
    assert both is not None
    assert failing(both, 50, POST) is None
    assert failing(both, 5, POST) == "quantity >= 10"
    assert failing(both, 100, POST) == "quantity < 100"
    assert failing(both, 50, "https://x.example") == "link *instagram.com*"
    assert joined(None, None) is None
    assert joined(Condition()) is None


def test_equal_matchers_are_equal_however_they_are_spaced() -> None:
    assert Condition(quantity=">= 5").clauses == Condition(quantity=">=5").clauses
    assert Condition(link="*a*") == Condition(link="*a*")
    assert Condition(link="*a*") != Condition(link="*b*")
