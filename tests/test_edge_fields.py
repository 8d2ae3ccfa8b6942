"""Each field's rules, and each service type's fields."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.api_v2.fields import MAX_LINE, MAX_LINES, MAX_NUMBER, MAX_TEXT, order_fields, whole
from gateway.api_v2.form import Form
from gateway.catalog.services import Service
from gateway.errors import BadForm
from gateway.routing import Policy
from providers import service_types
from providers.service_types import (
    SUBSCRIPTION_DELAYS,
    TYPES,
    CommentReplies,
    CustomComments,
    Default,
    Mentions,
    MentionsCustomList,
    OrderFields,
    Package,
    Subscriptions,
    WebTraffic,
)

LINK = "https://x.example/p/1"


def service(type: str = "Default", **other: Any) -> Service:
    values: dict[str, Any] = {
        "id": 1,
        "name": "n",
        "category": "c",
        "rate": Decimal(1),
        "min": 1,
        "max": MAX_NUMBER,
        "refill": False,
        "cancel": False,
        "dripfeed": None,
        "description": "",
        "policy": (Policy.CHEAPEST,),
        "routes": (),
        **other,
    }
    return Service(type=type, **values)


def order(sold: Service | None = None, /, **sent: str) -> OrderFields:
    return order_fields(Form({name: [text] for name, text in sent.items()}), sold or service())


def refused(sold: Service | None = None, /, **sent: str) -> str:
    with pytest.raises(BadForm) as refusal:
        order(sold, **sent)
    return refusal.value.words


def default(**sent: str) -> OrderFields:
    return order(link=LINK, **{"quantity": "100", **sent})


COMPLETE: dict[str, dict[str, str]] = {
    "Default": {"link": LINK, "quantity": "10"},
    "Package": {"link": LINK},
    "SEO": {"link": LINK, "quantity": "10", "keywords": "a\nb"},
    "Custom Comments": {"link": LINK, "comments": "one\ntwo"},
    "Custom Comments Package": {"link": LINK, "comments": "one\ntwo"},
    "Comment Replies": {"link": LINK, "username": "u", "comments": "one\ntwo"},
    "Comment Likes": {"link": LINK, "quantity": "10", "username": "u"},
    "Mentions": {"link": LINK, "quantity": "10", "usernames": "a\nb"},
    "Mentions with Hashtags": {"link": LINK, "quantity": "10", "usernames": "a\nb", "hashtags": "#a\n#b"},
    "Mentions Custom List": {"link": LINK, "usernames": "a\nb"},
    "Mentions Hashtag": {"link": LINK, "quantity": "10", "hashtag": "#a"},
    "Mentions User Followers": {"link": LINK, "quantity": "10", "username": "https://x.example/u"},
    "Mentions Media Likers": {"link": LINK, "quantity": "10", "media": "https://x.example/m"},
    "Poll": {"link": LINK, "quantity": "10", "answer_number": "2"},
    "Invites from Groups": {"link": LINK, "quantity": "10", "groups": "a\nb"},
    "Web Traffic": {"link": LINK, "quantity": "10", "country": "US", "device": "5", "type_of_traffic": "3"},
    "Subscriptions": {"username": "u", "min": "10", "max": "20", "delay": "0"},
}
"""What each type needs, and nothing that it does not."""


def test_every_type_is_tried_here() -> None:
    assert set(COMPLETE) == set(TYPES)


@pytest.mark.parametrize("type", TYPES)
def test_a_type_takes_its_own_fields_and_hands_them_on_unchanged(type: str) -> None:
    fields = order(service(type), **COMPLETE[type])
    assert isinstance(fields, TYPES[type])
    assert service_types.form(fields) == COMPLETE[type]


@pytest.mark.parametrize(("type", "missing"), [(type, name) for type, sent in COMPLETE.items() for name in sent])
@pytest.mark.parametrize("empty", [True, False])
def test_a_field_that_is_missing_or_empty_is_named(type: str, missing: str, empty: bool) -> None:
    sent = {name: text for name, text in COMPLETE[type].items() if name != missing}
    if empty:
        sent[missing] = "  "
    assert refused(service(type), **sent) == f"Incorrect {missing}"


@pytest.mark.parametrize("type", TYPES)
def test_fields_that_a_type_does_not_know_are_ignored(type: str) -> None:
    other = {"rate": "0", "charge": "0", "api_key": "x", "type": "Package", "ref": "7", "dripfeed": "yes"}
    assert order(service(type), **COMPLETE[type], **other) == order(service(type), **COMPLETE[type])


def test_a_catalogue_that_spells_types_its_own_way_is_understood() -> None:
    assert isinstance(order(service("custom_comments"), link=LINK, comments="a"), CustomComments)
    assert isinstance(order(service("High Quality"), link=LINK, quantity="5"), Default)


# Numbers


@pytest.mark.parametrize("text", ["1", "100", "0100", " 100 ", "\t7\r\n", str(MAX_NUMBER), "0" * 40 + "5"])
def test_a_quantity_is_ascii_digits(text: str) -> None:
    assert order(link=LINK, quantity=text).size() == int(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-1", "+1", "1e3", "1.0", "1,000", "1 000", "0x10", "1_000", "abc", "undefined"),
        *("٣", "\uff11\uff10", "²"),  # digits of other scripts, wide digits, a power: all of them isdigit()
        *(str(2**31), str(2**63), "9" * 11, "9" * 200_000),
    ],
)
def test_anything_else_is_no_quantity(text: str) -> None:
    assert refused(link=LINK, quantity=text) == "Incorrect quantity"


def test_whole_reads_zero_and_stops_at_32_bits() -> None:
    assert (whole("0"), whole("000"), whole(str(MAX_NUMBER)), whole(str(MAX_NUMBER + 1))) == (0, 0, MAX_NUMBER, None)


# Links and other texts


def test_a_link_is_trimmed_and_may_be_a_mere_username() -> None:
    assert order(link=f" \t{LINK}\r\n", quantity="1").link == LINK
    assert order(link="@some.user", quantity="1").link == "@some.user"


def test_a_link_has_up_to_2048_characters() -> None:
    assert len(order(link="ü" * MAX_TEXT, quantity="1").link) == MAX_TEXT
    assert refused(link="ü" * (MAX_TEXT + 1), quantity="1") == "Incorrect link"


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\t", "\x1b[31m", "\x7f", "\x85", "\x9f", "\u2028"])
def test_a_link_with_a_control_character_in_it_is_refused(inside: str) -> None:
    assert refused(link=f"https://x.example/{inside}p", quantity="1") == "Incorrect link"


# Lists


def test_comments_are_non_empty_trimmed_lines_with_either_line_end() -> None:
    fields = order(
        service("Custom Comments"), link=LINK, comments="\r\n one \r\n\n  \ntwo, and more | x\n\rthree\rfour\n\n"
    )
    assert fields == CustomComments(link=LINK, comments=("one", "two, and more | x", "three", "four"))
    assert fields.units() == 4


def test_a_single_comment_is_never_split_at_its_commas() -> None:
    assert order(service("Custom Comments"), link=LINK, comments="a, b, c").units() == 1


def test_a_comment_may_hold_a_tab() -> None:
    assert order(service("Custom Comments"), link=LINK, comments="a\tand b").units() == 1


LINE_ENDS = [*"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"]
"""Where some programs end a line and others do not."""


@pytest.mark.parametrize("inside", LINE_ENDS)
@pytest.mark.parametrize("name", ["comments", "usernames", "hashtags", "keywords", "groups"])
def test_no_line_end_that_only_some_panels_see_is_inside_a_line(name: str, inside: str) -> None:
    assert len(f"a{inside}b".splitlines()) == 2
    type = next(type for type, sent in COMPLETE.items() if name in sent)
    sent = {**COMPLETE[type], name: f"a{inside}b\nc"}
    assert refused(service(type), **sent) == f"Incorrect {name}"


def test_all_of_unicodes_line_ends_are_tried() -> None:
    ends = {char for char in map(chr, range(0x11_0000)) if len(f"a{char}b".splitlines()) == 2}
    assert ends == {"\n", "\r", *LINE_ENDS}


@pytest.mark.parametrize("outside", LINE_ENDS)
def test_around_a_line_they_are_trimmed(outside: str) -> None:
    fields = order(service("Custom Comments"), link=LINK, comments=f"{outside}a{outside}\n{outside}\nb")
    assert fields == CustomComments(link=LINK, comments=("a", "b"))


def test_comments_sent_as_an_array_are_lines() -> None:
    form = Form({"link": [LINK], "comments": ["one", "two\nthree"]})
    assert order_fields(form, service("Custom Comments")) == CustomComments(link=LINK, comments=("one", "two", "three"))


@pytest.mark.parametrize("name", ["usernames", "hashtags", "keywords", "groups"])
def test_official_php_example_sends_these_lists_with_commas(name: str) -> None:
    type = next(type for type, sent in COMPLETE.items() if name in sent)
    kind = service(type)
    rest = {field: text for field, text in COMPLETE[type].items() if field != name}
    assert getattr(order(kind, **rest, **{name: "a, b ,,c"}), name) == ("a", "b", "c")
    assert getattr(order(kind, **rest, **{name: "a,b\r\nc"}), name) == ("a", "b", "c")


def test_a_list_on_two_lines_with_commas_is_paid_for_word_by_word() -> None:
    fields = order(service("Mentions Custom List"), link=LINK, usernames="a,b,c,d\ne,f,g,h")
    assert fields.units() == 8


def test_a_keyword_may_hold_blanks() -> None:
    sent = {**COMPLETE["SEO"], "keywords": "red shoes, blue  shoes\nhats"}
    assert getattr(order(service("SEO"), **sent), "keywords", ()) == ("red shoes", "blue  shoes", "hats")


@pytest.mark.parametrize("sent", ["", " \r\n \n", ",", " , ,"])
def test_a_list_of_nothing_is_refused(sent: str) -> None:
    assert refused(service("Mentions Custom List"), link=LINK, usernames=sent) == "Incorrect usernames"


def test_a_list_has_up_to_ten_thousand_lines_of_a_thousand_characters() -> None:
    comments = service("Custom Comments")
    assert order(comments, link=LINK, comments="\n".join(["a"] * MAX_LINES)).units() == MAX_LINES
    assert order(comments, link=LINK, comments="ü" * MAX_LINE).units() == 1
    assert refused(comments, link=LINK, comments="\n".join(["a"] * (MAX_LINES + 1))) == "Incorrect comments"
    assert refused(comments, link=LINK, comments="ü" * (MAX_LINE + 1)) == "Incorrect comments"


@pytest.mark.parametrize("inside", ["\x1b[2J", "\x0b", "\x0c", "\x85", "\x7f"])
def test_a_comment_with_a_control_character_in_it_is_refused(inside: str) -> None:
    assert refused(service("Custom Comments"), link=LINK, comments=f"a{inside}b\nc") == "Incorrect comments"


@pytest.mark.parametrize("beside", ["0", "", "abc", "-5", "999999999999", "2"])
def test_a_quantity_beside_comments_is_ignored(beside: str) -> None:
    for kind, needed in (
        ("Custom Comments", {}),
        ("Comment Replies", {"username": "u"}),
        ("Custom Comments Package", {}),
    ):
        fields = order(service(kind), link=LINK, comments="one\ntwo\nthree", quantity=beside, **needed)
        assert fields.size() == (1 if kind == "Custom Comments Package" else 3)


def test_a_quantity_beside_a_package_is_ignored() -> None:
    assert order(service("Package", max=1), link=LINK, quantity="50") == Package(link=LINK)


# Drip-feed


def test_runs_and_interval_make_a_drip_feed_whose_quantity_is_per_run() -> None:
    fields = default(runs="5", interval="30")
    assert fields == Default(link=LINK, quantity=100, runs=5, interval=30)
    assert (fields.size(), fields.units()) == (100, 500)


@pytest.mark.parametrize("runs", ["", "0", "undefined", "null", " "])
@pytest.mark.parametrize("interval", ["", "0", "undefined", "null"])
def test_javascript_clients_that_send_undefined_runs_order_without_drip_feed(runs: str, interval: str) -> None:
    assert default(runs=runs, interval=interval) == Default(link=LINK, quantity=100)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"runs": "5"}, "Incorrect interval"),
        ({"runs": "5", "interval": "0"}, "Incorrect interval"),
        ({"interval": "5"}, "Incorrect runs"),
        ({"interval": "5", "runs": "undefined"}, "Incorrect runs"),
        ({"runs": "-1", "interval": "5"}, "Incorrect runs"),
        ({"runs": "2.0", "interval": "5"}, "Incorrect runs"),
        ({"runs": "5", "interval": "half"}, "Incorrect interval"),
    ],
)
def test_half_a_drip_feed_is_refused(sent: dict[str, str], words: str) -> None:
    assert refused(link=LINK, quantity="100", **sent) == words


@pytest.mark.parametrize("sold", [service(dripfeed=False), service("Custom Comments", dripfeed=True), service("SEO")])
def test_drip_feed_is_refused_where_it_cannot_be_bought_and_never_dropped(sold: Service) -> None:
    sent = {**COMPLETE[sold.type], "runs": "2", "interval": "5"}
    assert refused(sold, **sent) == "Dripfeed is not supported by this service"


@pytest.mark.parametrize("dripfeed", [True, None])
def test_drip_feed_is_taken_where_the_panel_offers_it_or_does_not_say(dripfeed: bool | None) -> None:
    assert order(service(dripfeed=dripfeed), link=LINK, quantity="7", runs="2", interval="5").units() == 14


def test_quantity_times_runs_stays_within_32_bits() -> None:
    assert default(quantity=str(MAX_NUMBER // 2), runs="2", interval="1").units() == MAX_NUMBER - 1
    assert refused(link=LINK, quantity=str(MAX_NUMBER // 2 + 1), runs="2", interval="1") == "Incorrect runs"


# The service's own bounds


def test_min_and_max_bound_the_quantity() -> None:
    sold = service(min=10, max=20)
    assert [order(sold, link=LINK, quantity=text).size() for text in ("10", "20")] == [10, 20]
    assert refused(sold, link=LINK, quantity="9") == "Quantity less than minimal 10"
    assert refused(sold, link=LINK, quantity="21") == "Quantity more than maximum 20"


def test_min_and_max_bound_one_run_of_a_drip_feed() -> None:
    sold = service(min=10, max=20)
    assert order(sold, link=LINK, quantity="20", runs="10", interval="5").units() == 200
    assert refused(sold, link=LINK, quantity="5", runs="10", interval="5") == "Quantity less than minimal 10"


def test_min_and_max_bound_the_length_of_a_list() -> None:
    sold = service("Mentions Custom List", min=2, max=3)
    assert order(sold, link=LINK, usernames="a,b") == MentionsCustomList(link=LINK, usernames=("a", "b"))
    assert refused(sold, link=LINK, usernames="a") == "Quantity less than minimal 2"
    assert refused(sold, link=LINK, usernames="a,b,c,d") == "Quantity more than maximum 3"


def test_mentions_are_bound_by_quantity_and_not_by_their_list() -> None:
    fields = order(service("Mentions", min=5, max=50), link=LINK, quantity="50", usernames="a,b")
    assert fields == Mentions(link=LINK, quantity=50, usernames=("a", "b"))


def test_comment_replies_count_their_comments() -> None:
    fields = order(service("Comment Replies", max=2), link=LINK, username="u", comments="a\nb")
    assert fields == CommentReplies(link=LINK, username="u", comments=("a", "b"))


# Web traffic


def traffic(**sent: str) -> OrderFields:
    return order(service("Web Traffic"), **{**COMPLETE["Web Traffic"], **sent})


@pytest.mark.parametrize("field", ["device", "type_of_traffic"])
@pytest.mark.parametrize("text", ["0", "6", "4.0", "desktop", "-1"])
def test_a_device_or_kind_of_traffic_that_is_none_is_refused(field: str, text: str) -> None:
    assert refused(service("Web Traffic"), **{**COMPLETE["Web Traffic"], field: text}) == f"Incorrect {field}"


def test_traffic_has_three_kinds_and_five_devices() -> None:
    assert refused(service("Web Traffic"), **{**COMPLETE["Web Traffic"], "type_of_traffic": "4"}) == (
        "Incorrect type_of_traffic"
    )
    assert [getattr(traffic(device=str(device)), "device", 0) for device in range(1, 6)] == [1, 2, 3, 4, 5]


def test_traffic_keeps_what_its_kind_needs_and_drops_the_rest() -> None:
    both = {"google_keyword": "shoes", "referring_url": "https://r.example"}

    def kept(kind: str) -> tuple[str | None, str | None]:
        fields = traffic(type_of_traffic=kind, **both)
        assert isinstance(fields, WebTraffic)
        return fields.google_keyword, fields.referring_url

    assert kept("1") == ("shoes", None)
    assert kept("2") == (None, "https://r.example")
    assert kept("3") == (None, None)


@pytest.mark.parametrize(("kind", "needs"), [("1", "google_keyword"), ("2", "referring_url")])
def test_traffic_from_somewhere_says_from_where(kind: str, needs: str) -> None:
    sent = {**COMPLETE["Web Traffic"], "type_of_traffic": kind}
    assert refused(service("Web Traffic"), **sent) == f"Incorrect {needs}"
    assert refused(service("Web Traffic"), **sent, **{needs: " "}) == f"Incorrect {needs}"


def test_traffic_can_be_dripped() -> None:
    assert traffic(runs="3", interval="60").units() == 30


# Subscriptions


def subscription(**sent: str) -> Subscriptions:
    fields = order(service("Subscriptions"), **{**COMPLETE["Subscriptions"], **sent})
    assert isinstance(fields, Subscriptions)
    return fields


def subscription_refused(sold: Service | None = None, /, **sent: str) -> str:
    return refused(sold or service("Subscriptions"), **{**COMPLETE["Subscriptions"], **sent})


def test_every_documented_delay_is_taken_and_no_other() -> None:
    assert {subscription(delay=str(delay)).delay for delay in SUBSCRIPTION_DELAYS} == SUBSCRIPTION_DELAYS
    assert subscription_refused(delay="7") == "Incorrect delay"
    assert subscription_refused(delay="1200") == "Incorrect delay"


@pytest.mark.parametrize("none", ["", "0", "undefined"])
def test_smartpanel_sends_posts_0_for_a_subscription_without_limit(none: str) -> None:
    fields = subscription(posts=none, old_posts=none, expiry="")
    assert (fields.posts, fields.old_posts, fields.expiry) == (None, None, None)


def test_posts_0_beside_old_posts_means_old_posts_only() -> None:
    fields = subscription(posts="0", old_posts="5")
    assert (fields.posts, fields.old_posts, fields.units()) == (0, 5, 100)
    assert subscription(old_posts="5").posts is None
    assert subscription(posts="2", old_posts="5").units() == 140


@pytest.mark.parametrize("field", ["posts", "old_posts"])
@pytest.mark.parametrize("text", ["-1", "1.5", "many", str(2**31)])
def test_posts_that_are_no_count_are_refused(field: str, text: str) -> None:
    assert subscription_refused(**{field: text}) == f"Incorrect {field}"


def test_a_subscriptions_min_is_not_above_its_max() -> None:
    assert subscription(min="20", max="20").size() == 20
    assert subscription_refused(min="21", max="20") == "Incorrect min"


def test_both_ends_of_a_subscription_are_within_the_services() -> None:
    sold = service("Subscriptions", min=10, max=20)
    assert order(sold, **COMPLETE["Subscriptions"]).size() == 20
    assert subscription_refused(sold, min="9") == "Quantity less than minimal 10"
    assert subscription_refused(sold, max="21") == "Quantity more than maximum 20"


def test_a_subscription_of_more_than_32_bits_is_refused() -> None:
    assert subscription_refused(max="2000000", posts="2000000") == "Incorrect posts"


@pytest.mark.parametrize("text", ["31/12/2030", "1/2/2030", "29/02/2028"])
def test_an_expiry_is_a_day_of_the_calendar(text: str) -> None:
    assert subscription(expiry=text).expiry == text


@pytest.mark.parametrize("text", ["2030-12-31", "12/31/2030", "29/02/2030", "1/1/30", "0/0/0000", "٣١/12/2030", "soon"])
def test_an_expiry_that_is_no_day_is_refused(text: str) -> None:
    assert subscription_refused(expiry=text) == "Incorrect expiry"


def test_a_subscription_needs_no_link_and_keeps_one() -> None:
    assert subscription().link == ""
    assert subscription(link=LINK).link == LINK
    assert subscription_refused(link="a\nb") == "Incorrect link"
