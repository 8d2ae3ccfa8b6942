"""Matchers of the rules: what they let through, how they name what they did not, and what cannot be written."""

from decimal import Decimal

import pytest

from gateway.conditions import Condition, Facts, condition, failing, joined, minute_of_week, refuses_link

POST = "https://www.Instagram.com/p/AbC"


def holds(one: Condition, **facts: object) -> bool:
    return failing(one, Facts(**facts)) is None  # type: ignore[arg-type]


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
        (["< 5", "> 100", 50], [1, 101, 50], [5, 49, 100]),
    ],
)
def test_a_quantity_is_held_against_its_bound(written: object, let_through: list[int], kept_out: list[int]) -> None:
    one = condition(quantity=written)
    assert all(holds(one, quantity=quantity) for quantity in let_through)
    assert not any(holds(one, quantity=quantity) for quantity in kept_out)


@pytest.mark.parametrize(
    "written", ["=> 1000", "", "many", "1,000", "1_000", "-5", "5...9", "100..", ">=", "9" * 13, "٣", "1e3", "nan"]
)
def test_a_bound_that_cannot_be_read_is_refused_with_how_to_write_one(written: str) -> None:
    with pytest.raises(ValueError, match=r'is not a bound on quantity like ">= 1000", "< 50", "100\.\.5000" or 10'):
        condition(quantity=written)


@pytest.mark.parametrize("written", ["< 1", "<= 0", "= 0", 0, "5000..100", "0..0"])
def test_a_bound_that_no_order_meets_is_refused(written: str | int) -> None:
    with pytest.raises(ValueError, match=f'no quantity is "{written}"'):
        condition(quantity=written)


def test_an_empty_list_of_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="an empty list is no bound on quantity"):
        condition(quantity=())


def test_money_and_health_have_decimals() -> None:
    one = condition(rate="< 0.9", charge=">= 1.5", health=">= 0.75")
    assert holds(one, rate=Decimal("0.89"), charge=Decimal("1.5"), health=0.8)
    assert failing(one, Facts(rate=Decimal("0.9"), charge=Decimal(2))) == "rate < 0.9"
    assert failing(one, Facts(rate=Decimal("0.8"), charge=Decimal("1.49"))) == "charge >= 1.5"
    assert failing(one, Facts(rate=Decimal("0.8"), charge=Decimal(2), health=0.7)) == "health >= 0.75"


@pytest.mark.parametrize(
    ("glob", "matches"),
    [
        ("*instagram.com*", True),
        ("*INSTAGRAM.COM/P/*", True),
        ("https://www.instagram.com/?/abc", True),
        ("https://www.instagram.com/[pq]/*", True),
        ("instagram.com", False),
        ("*instagramxcom*", False),
        ("*/reel/*", False),
        ("*.com/p/ab", False),
        ("/instagram\\.com\\/p\\//", True),
        ("/^https:..www/", True),
        ("/^instagram/", False),
        ("/ABC$/", True),
    ],
)
def test_a_link_is_held_against_globs_and_expressions_whatever_its_case(glob: str, matches: bool) -> None:
    assert holds(condition(link=glob), link=POST) is matches


def test_a_glob_takes_dots_and_brackets_of_patterns_as_they_are() -> None:
    assert holds(condition(link="*a.b+c(d)*"), link="https://x.example/a.b+c(d)")
    assert not holds(condition(link="*a.b*"), link="https://x.example/aXb")


def test_of_several_globs_one_is_enough() -> None:
    one = condition(link=("*tiktok.com*", "*instagram.com*"))
    assert holds(one, link=POST)
    assert failing(one, Facts(link="https://x.example/1")) == "link *tiktok.com* or *instagram.com*"


@pytest.mark.parametrize("written", ["", "  ", (), ("*a*", "")])
def test_an_empty_glob_is_refused(written: str | tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="an empty glob matches no link"):
        condition(link=written)


@pytest.mark.parametrize(
    "written", ["/(a+)+$/", "/(a*)*b/", "/(x|y+)*z/", "/(a+){9}/", "/((ab)+c)+/", "/.*.*.*x/", "/((a|b)*?)+/"]
)
def test_an_expression_that_could_take_forever_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="repeats inside repeats"):
        condition(link=written)


def test_an_expression_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"/\(/ is not a regular expression"):
        condition(link="/(/")


def test_expressions_that_are_taken_are_done_with_for_any_link() -> None:
    one = condition(link=["/(insta|tik)[a-z]+\\.com.*x$/", "*a*a*a*b", "/\\+\\)+/", "/[)(+*]+(x)+/", "/a*a*b/"])
    assert not holds(one, link="a" * 100_000 + "instagram.com" + "x" * 1000 + "y")


@pytest.mark.parametrize(
    ("word", "value"), [("account", "shop"), ("type", "Package"), ("category", "Insta"), ("name", "N"), ("panel", "p")]
)
def test_every_text_can_be_asked_for(word: str, value: str) -> None:
    assert holds(condition(**{word: [value, "other"]}), **{word: value})
    assert failing(condition(**{word: value}), Facts()) == f"{word} {value}"


def test_a_service_is_asked_for_by_its_id() -> None:
    assert holds(condition(service=[7, "100..200"]), service=150)
    assert not holds(condition(service=[7, "100..200"]), service=8)


MONDAY_MS = 4 * 86_400_000


@pytest.mark.parametrize(
    ("written", "hour", "inside"),
    [
        ("08:00..18:00", 8, True),
        ("08:00..18:00", 18, False),
        ("22:00..06:00", 23, True),
        ("22:00..06:00", 5, True),
        ("22:00..06:00", 6, False),
        ("22:00..06:00", 12, False),
    ],
)
def test_a_time_of_day_goes_from_its_first_minute_to_before_its_last(written: str, hour: int, inside: bool) -> None:
    assert holds(condition(time=written), minute=minute_of_week(MONDAY_MS + hour * 3_600_000)) is inside


@pytest.mark.parametrize("written", ["8..18", "08:00-18:00", "24:00..25:00", "08:60..09:00", "always"])
def test_a_time_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a time of day like"):
        condition(time=written)


def test_a_time_that_begins_when_it_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="begins when it ends"):
        condition(time="08:00..08:00")


def test_days_are_days_of_the_week() -> None:
    one = condition(days=["mon", "sun"])
    told = [holds(one, minute=minute_of_week(MONDAY_MS + day * 86_400_000)) for day in range(7)]
    assert told == [True, False, False, False, False, False, True]
    assert failing(one, Facts(minute=minute_of_week(0))) == "days mon, sun"


def test_conditions_stand_in_conditions() -> None:
    one = condition(
        any=[condition(quantity=">= 1000"), condition(link="*vip*")],
        not_=condition(account="bad*"),
        all=[condition(type="Default"), condition(quantity="<= 5000")],
    )
    assert holds(one, quantity=2000, account="shop", type="Default")
    assert holds(one, quantity=5, link="/vip/", account="shop", type="Default")
    assert failing(one, Facts(quantity=5, type="Default")) == "any of (quantity >= 1000; link *vip*)"
    assert failing(one, Facts(quantity=2000, account="bad one", type="Default")) == "not (account bad*)"
    assert failing(one, Facts(quantity=6000, type="Default")) == "quantity <= 5000"


def test_the_first_clause_that_fails_is_named_as_people_write_it() -> None:
    one = condition(quantity=">=1000", link="*instagram.com*")
    assert holds(one, quantity=1000, link=POST)
    assert failing(one, Facts(quantity=999, link=POST)) == "quantity >= 1000"
    assert failing(one, Facts(quantity=999, link="https://x.example")) == "quantity >= 1000"
    assert failing(one, Facts(quantity=1000, link="https://x.example")) == "link *instagram.com*"
    assert failing(condition(quantity=7), Facts(quantity=8)) == "quantity = 7"


def test_a_condition_without_clauses_always_holds() -> None:
    assert holds(Condition())


def test_joined_conditions_hold_when_all_do() -> None:
    both = joined(condition(quantity=">= 10"), None, condition(link="*instagram.com*", quantity="< 100"))
    assert both is not None
    assert holds(both, quantity=50, link=POST)
    assert failing(both, Facts(quantity=5, link=POST)) == "quantity >= 10"
    assert failing(both, Facts(quantity=100, link=POST)) == "quantity < 100"
    assert failing(both, Facts(quantity=50, link="https://x.example")) == "link *instagram.com*"
    assert joined(None, None) is None
    assert joined(Condition()) is None


def test_only_a_clause_on_the_link_refuses_a_link() -> None:
    assert refuses_link(condition(link="*a*"), "b")
    assert not refuses_link(condition(link="*a*", quantity=5), "a")
    assert not refuses_link(None, "b")


def test_equal_matchers_are_equal_however_they_are_spaced() -> None:
    assert condition(quantity=">= 5") == condition(quantity=">=5")
    assert condition(link="*a*") == condition(link="*a*")
    assert condition(link="*a*") != condition(link="*b*")
