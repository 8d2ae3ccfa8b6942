"""The one-line language of faults."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.sandbox import FAULTS, STORM, Fault, Faults, FaultsError, Rule, parse
from providers.sandbox.fault_table import ACTIONS


def test_nothing_is_no_rule() -> None:
    assert parse("") == parse(" , ;\n") == Faults()
    assert Faults().choose("add", 1, 0) is None


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("add:reset_after@0.05", "add:reset_after@0.05"),
        ("add:reset", "add:reset_before"),
        ("add:after:reset", "add:reset_after"),
        ("add:before:html", "add:html_before"),
        ("add:3:refuse", "add:3-3:refuse"),
        ("add:2-4:refuse; add:5-:after:fin", "add:2-4:refuse, add:5-:fin_after"),
        ("*:delay=0.20@0.1", "*:delay_before=0.20@0.1"),
        ("services:price=\u00d7100", "services:price=100"),
        ("services:price=x0.01", "services:price=0.01"),
        ("add:http=502", "add:http_before=502"),
        ("add:http", "add:http_before=502"),
        ("add:truncate=1e1", "add:truncate=10"),
        ('status:word="On hold, see mail"', 'status:word="On hold, see mail"'),
        ('status:word="Holding"', "status:word=Holding"),
        ('add:error="a=b@c:d;e"@0.5', 'add:error_before="a=b@c:d;e"@0.5'),
        ("connect:reset@1", "connect:reset_before"),
        (" add : refuse \n balance:refuse ", "add:refuse, balance:refuse"),
    ],
)
def test_a_rule_is_read_and_written_back(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("add", "wanted action[:when]:fault[=value][@probability]"),
        ("add:error=a=b", "wanted action[:when]:fault[=value][@probability]"),
        ("add:refuse@0.1@0.2", "wanted action[:when]:fault[=value][@probability]"),
        ("ad:refuse", '"ad" is not an action; did you mean "add"?'),
        ("zzzzz:refuse", '"zzzzz" is not an action; known: services, add, status'),
        ("add:rset_after", '"rset_after" is not a fault; did you mean "reset_after"?'),
        ("add:after:refuse", '"refuse_after" is not a fault'),
        ("add:omit", '"omit" is not for add; it is for status'),
        ("connect:html", '"html_before" is not for connect; it is for services, add'),
        ("add:soon:reset", '"soon" is not a time; wanted before, after, 3, 2-4 or 5-'),
        ("add:0:reset", '"0" holds for no call; the first call is 1'),
        ("add:4-2:reset", '"4-2" holds for no call'),
        ("add:refuse@often", '"often" is not a probability from 0 to 1'),
        ("add:refuse@1.5", '"1.5" is not a probability from 0 to 1'),
        ("add:refuse@nan", '"nan" is not a probability from 0 to 1'),
        ("add:refuse=1", '"refuse" takes no value'),
        ("add:delay=soon", '"soon" is not a number of seconds up to 3600'),
        ("add:delay=-1", '"-1" is not a number of seconds up to 3600'),
        ("add:truncate=1.5", '"1.5" is not a whole number up to 1000000'),
        ("add:http=200", '"200" is not an HTTP status from 300 to 599'),
        ("add:price=dear", '"dear" is not a factor such as x100'),
        ("add:price=NaN", '"NaN" is not a factor such as x100'),
        ("add:error=", '"" is not a text'),
        ("add:wrong_id=negativ", '"negativ" is not a value of "wrong_id"; did you mean "negative"?'),
        ('add:error="never ends', "a quote is not closed"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_with_the_way_out(text: str, words: str) -> None:
    with pytest.raises(FaultsError) as refused:
        parse(f"balance:refuse, {text}")
    assert words in str(refused.value)
    assert text in str(refused.value)


def test_the_first_rule_that_comes_true_is_followed() -> None:
    faults = parse("add:2:fin, *:2-3:silence, add:reset@0")
    names = [rule.fault.name if (rule := faults.choose("add", number, 0)) else "" for number in range(1, 5)]
    assert names == ["", "fin_before", "silence_before", ""]


def test_a_star_means_where_it_fits_and_no_connection() -> None:
    faults = parse("*:omit, *:reset")
    assert [str(faults.choose(action, 1, 0)) for action in ("status", "add")] == ["*:omit", "*:reset_before"]
    assert faults.choose("connect", 1, 0) is None


def test_probability_is_a_share_of_calls_and_other_actions_do_not_shift_it() -> None:
    faults = parse("add:refuse@0.25")
    met = [number for number in range(1, 4001) if faults.choose("add", number, 9)]
    assert 900 < len(met) < 1100
    more = parse("add:refuse@0.25, status:omit@0.5")
    assert met == [number for number in range(1, 4001) if more.choose("add", number, 9)]


def test_the_storm_can_be_read() -> None:
    assert parse(str(parse(STORM))) == parse(STORM)
    assert {rule.action for rule in parse(STORM).rules} >= {"add", "status", "services", "connect", "*"}


def _values(fault: Fault) -> st.SearchStrategy[str]:
    plain = st.text(st.characters(min_codepoint=32, exclude_characters='"'), min_size=1).filter(
        lambda x: x.strip() == x
    )
    return {
        "nothing": st.just(""),
        "seconds": st.decimals(0, 3600, places=2).map(str),
        "count": st.integers(0, 1_000_000).map(str),
        "code": st.integers(300, 599).map(str),
        "factor": st.decimals(0, 1_000_000, places=3).map(str),
        "text": plain,
        "choice": st.sampled_from(fault.choices or ("",)),
    }[fault.value]


@st.composite
def _rules(draw: st.DrawFn) -> Rule:
    fault = draw(st.sampled_from(tuple(FAULTS.values())))
    first = draw(st.integers(1, 50))
    return Rule(
        action=draw(st.sampled_from([*sorted(fault.actions), "*"])),
        fault=fault,
        value=draw(_values(fault)),
        probability=draw(st.integers(0, 1000)) / 1000,
        first=first,
        last=draw(st.none() | st.integers(first, 60)),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(_rules(), max_size=4))
def test_every_rule_can_be_written_and_read_again(rules: list[Rule]) -> None:
    faults = Faults.of(rules)
    assert parse(str(faults)) == faults


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet='ad:*=@",;-0159 reset\n', max_size=40))
def test_no_text_ends_in_anything_but_rules_or_an_error(text: str) -> None:
    try:
        faults = parse(text)
    except FaultsError:
        return
    assert all(rule.action in {*ACTIONS, "connect", "*"} for rule in faults.rules)
