"""The rules file: what it means, every mistake with its place, and no key in anything people read."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.conditions import Facts, condition, failing
from gateway.routing import Canary, Policy
from gateway.rules import SIZE, Ids, Panel, Publish, RateFrom, Route, Rules, RulesError, Service, load, parse, schema
from gateway.rules import shapes as written
from gateway.rules.marked import VALUES, Leaf, Listing, Table, place_of, read
from gateway.rules.report import Place, Report
from providers.pace import rate

EXAMPLE = Path(__file__).parent.parent / "routing_rules.yaml"
ENVIRON = {"ALPHA_KEY": "key-of-alpha", "BETA_KEY": "key-of-beta", "GAMMA_KEY": "key-of-gamma"}
PANELS = """\
panels:
  alpha: {url: https://alpha.example/api/v2, key: "${ALPHA_KEY}"}
  beta: {url: https://beta.example/api/v2, key: "${BETA_KEY}"}
"""
NUMBER = "a whole number from 1 to 2147483647"
POLICIES = "one of cheapest, effective, healthiest, fastest, priority, weighted, spread, sticky"
IN_THE_CLEAR = "http shows your key to everyone on the way; write https, or private: true for your own network"
PARSERS = [yaml.BaseLoader, *([yaml.CBaseLoader] if yaml.__with_libyaml__ else [])]


def rules(text: str, environ: Mapping[str, str] = ENVIRON) -> Rules:
    return parse(text.encode(), "rules.yaml", environ, {"api_v2", "other"})


def error(text: str, environ: Mapping[str, str] = ENVIRON) -> RulesError:
    with pytest.raises(RulesError) as caught:
        rules(text, environ)
    return caught.value


def mistakes(text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """Each mistake without the file's name."""
    return [str(mistake).removeprefix("rules.yaml:") for mistake in error(text, environ).mistakes]


def service(text: str) -> Service:
    """The one service that `text`, lines of a service, describes."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return rules(f"{PANELS}services:\n  1:\n{lines}").services[1]


# What a file means


def test_the_example_is_valid_and_nothing_in_it_looks_like_a_slip() -> None:
    example = load(EXAMPLE, ENVIRON)
    assert list(example.panels) == ["alpha", "beta", "gamma"]
    assert all(panel.url.startswith(f"https://{name}.example/") for name, panel in example.panels.items())
    assert example.panels["beta"].key == "key-of-beta"
    assert len(example.services) >= 3
    assert example.warnings == ()


def test_the_part_of_the_example_that_is_commented_out_is_valid_too() -> None:
    text = EXAMPLE.read_text().replace("# publish:", "publish:").replace("#   - {panel", "  - {panel")
    assert rules(text).publish == (Publish(panel="alpha", category="Instagram*", margin=Decimal("0.2")),)


def test_a_short_file_takes_its_defaults_from_the_model() -> None:
    found = rules(PANELS)
    assert found.panels["alpha"] == Panel(url="https://alpha.example/api/v2", key="key-of-alpha")
    assert msgspec.structs.replace(found, version="", warnings=()) == Rules(panels=found.panels)


@pytest.mark.parametrize(
    ("shape", "model"),
    [("PanelShape", Panel), ("RouteShape", Route), ("ServiceShape", Service), ("PublishShape", Publish)],
)
def test_what_is_written_and_what_it_becomes_have_the_same_fields_and_defaults(shape: str, model: type) -> None:
    def fields(of: type) -> dict[str, object]:
        fields = {field.name: field.default for field in msgspec.structs.fields(of)}
        written = {"never": ((), frozenset()), "hold_moves": ("100%", Decimal(1))}
        return {
            name: written[name][1] if name in written and default == written[name][0] else default
            for name, default in fields.items()
        }

    assert fields(getattr(written, shape)) == fields(model)


def test_everything_that_can_be_written_arrives() -> None:
    found = rules("""\
currency: EUR
exchange: {USD: "0.93", IRT: "0.0000221"}
panels:
  alpha:
    url: http://10.0.0.7:8080/api
    key: ${ALPHA_KEY}
    dialect: other
    currency: IRT
    rate_limit: 60/min
    in_flight: 4
    low_balance: "25.50"
    private: true
policy: priority
margin: 15%
min_margin: "2.5 %"
rate_from: cheapest
subscription_posts: 12
services:
  7:
    name: "Followers"
    category: NO
    type: Custom Comments
    description: fast
    rate: "0.8"
    min: 10
    max: 20
    refill: true
    cancel: false
    policy: weighted
    when: {quantity: ">= 10", link: ["*a*", "*b*"]}
    routes:
      - alpha/12/3
      - {panel: alpha, service: 77, weight: 3, when: {quantity: 15}}
      - {panel: alpha, service: "077"}
  8: {margin: 0%, routes: [alpha/1]}
publish:
  - {panel: alpha, ids: new, first: 5000, category: "Insta*", name: "*[HQ]*", margin: 1000%}
""")
    assert found.currency == "EUR"
    assert found.exchange == {"USD": Decimal("0.93"), "IRT": Decimal("0.0000221")}
    assert found.panels == {
        "alpha": Panel(
            url="http://10.0.0.7:8080/api",
            key="key-of-alpha",
            dialect="other",
            currency="IRT",
            rate_limit="60/min",
            in_flight=4,
            low_balance=Decimal("25.50"),
            private=True,
        )
    }
    assert (found.policy, found.margin, found.min_margin) == ((Policy.PRIORITY,), Decimal("0.15"), Decimal("0.025"))
    assert (found.rate_from, found.subscription_posts) == (RateFrom.CHEAPEST, 12)
    seven = found.services[7]
    assert seven.when is not None
    assert seven.when.clauses == condition(quantity=">= 10", link=("*a*", "*b*")).clauses
    assert [(route.panel, route.service, route.weight) for route in seven.routes] == [
        ("alpha", "12/3", 1),
        ("alpha", "77", 3),
        ("alpha", "077", 1),
    ]
    assert seven.routes[1].when is not None
    assert seven.routes[1].when.clauses == condition(quantity=15).clauses
    assert msgspec.structs.replace(seven, routes=(), when=None) == Service(
        routes=(),
        name="Followers",
        category="NO",
        type="Custom Comments",
        description="fast",
        rate=Decimal("0.8"),
        min=10,
        max=20,
        refill=True,
        cancel=False,
        policy=(Policy.WEIGHTED,),
    )
    assert found.services[8].margin == Decimal(0)
    assert found.publish == (
        Publish(panel="alpha", ids=Ids.NEW, first=5000, category="Insta*", name="*[HQ]*", margin=Decimal(10)),
    )


def test_the_version_is_of_the_content() -> None:
    first, same, other = rules(PANELS), rules(PANELS), rules(f"{PANELS}# more\n")
    assert first.version == same.version != other.version
    assert len(first.version) == 16


def test_an_empty_block_is_as_good_as_none() -> None:
    assert rules(f"{PANELS}services:\n  # 1: not yet\npublish:\nexchange:\n").services == {}


def test_an_empty_condition_is_none() -> None:
    assert service("routes: [alpha/1]\nwhen: {}").when is None


def test_what_may_be_left_out_may_be_left_empty() -> None:
    assert service("routes: [alpha/1]\npolicy:\nmargin: ~\nwhen:") == Service(
        routes=(Route(panel="alpha", service="1"),)
    )


@pytest.mark.parametrize("span", ["s", "sec", "min", "h", "hour", "day", "5min", " 10 minutes"])
def test_a_rate_limit_that_is_accepted_can_be_kept(span: str) -> None:
    limited = rules(f'panels:\n  alpha: {{url: https://a.example, key: "${{ALPHA_KEY}}", rate_limit: 5/{span}}}\n')
    assert rate(limited.panels["alpha"].rate_limit or "").amount == 5


@pytest.mark.parametrize(
    "calls", ["60/min", "100/5min", "2 / s", "60/week", "0/min", "60", "1/0s", "1/min, 2/s", "min"]
)
def test_a_rate_limit_is_read_alike_by_the_rules_the_schema_and_the_pace(calls: str) -> None:
    text = f'panels:\n  alpha: {{url: https://a.example, key: "${{ALPHA_KEY}}", rate_limit: "{calls}"}}\n'
    try:
        rate(calls)
    except ValueError:
        assert f'rate_limit: "{calls}" is not calls and a span, like 60/min' in str(error(text))
        assert not fits_schema(text)
    else:
        assert rules(text).panels["alpha"].rate_limit == calls
        assert fits_schema(text)


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("1.10", Decimal("1.10")),
        (".5", Decimal("0.5")),
        ("-1.5", Decimal("-1.5")),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("9" * 30, "9" * 30),
        ("15%", "15%"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("''", ""),
    ],
)
@pytest.mark.parametrize("parser", PARSERS)
def test_a_plain_word_means_what_it_looks_like(parser: object, plain: str, value: object) -> None:
    node = read(f"a: {plain}\n", Report("rules.yaml", ""), parser)
    assert isinstance(node, Table)
    leaf = node.entries["a"].node
    assert isinstance(leaf, Leaf)
    assert leaf.value == value
    assert type(leaf.value) is type(value)
    assert str(leaf.value) == str(value)


def test_anchors_and_merged_blocks_save_writing() -> None:
    found = rules("""\
panels:
  alpha: &first {url: https://alpha.example, key: "${ALPHA_KEY}", in_flight: 3, currency: USD}
  beta: {<<: *first, url: https://beta.example, key: "${BETA_KEY}"}
services:
  1: {name: &name One, routes: &routes [alpha/1, beta/1]}
  2: {<<: [{policy: priority}, {policy: cheapest, name: Two}], routes: *routes}
  3: {name: *name, routes: *routes}
""")
    assert found.panels["beta"].in_flight == 3
    assert found.panels["beta"].url == "https://beta.example"
    assert found.services[1].routes == found.services[2].routes == found.services[3].routes
    assert (found.services[2].policy, found.services[2].name) == ((Policy.PRIORITY,), "Two")
    assert found.services[3].name == "One"


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    assert parse(b"\xef\xbb\xbf" + PANELS.encode(), "rules.yaml", ENVIRON).panels


# Mistakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exchnge: {}", '4:1: exchnge: no such key here; did you mean "exchange"?'),
        ("zzz: 1", f"4:1: zzz: no such key here; keys: {', '.join(written.RulesShape.__struct_fields__)}"),
        ("currency: NO", '4:11: currency: "NO" is not a currency code, like USD'),
        ("currency: UDS", '4:11: currency: "UDS" is not a currency; did you mean "USD"?'),
        ("currency: [USD]", "4:11: currency: must be a currency code, like USD"),
        ("currency:", "4:10: currency: is left empty; write a currency code, like USD, or leave the key out"),
        ("exchange: {EUR: 1.08}", '4:17: exchange.EUR: 1.08 must be in quotes: "1.08"'),
        ("exchange: {EUR: 1}", '4:17: exchange.EUR: 1 must be in quotes: "1"'),
        ('exchange: {EUR: "1,08"}', '4:17: exchange.EUR: "1,08" is not an amount in quotes, like "1.08"'),
        ('exchange: {EUR: "-1"}', '4:17: exchange.EUR: "-1" is not an amount in quotes, like "1.08"'),
        ('exchange: {EUR: "NaN"}', '4:17: exchange.EUR: "NaN" is not an amount in quotes, like "1.08"'),
        ('exchange: {EUR: "0.00"}', '4:17: exchange.EUR: "0.00" is not above 0'),
        ('exchange: {GPB: "1.2"}', '4:17: exchange.GPB: "GPB" is not a currency; did you mean "GBP"?'),
        ('exchange: {euro: "1.2"}', '4:12: exchange.euro: "euro" is not a currency code, like USD'),
        ('exchange: {USD: "2"}', "4:17: exchange.USD: is the currency itself: one USD is one USD"),
        ("exchange: []", "4:11: exchange: must be keys and values"),
        ("policy: cheapst", f'4:9: policy: "cheapst" is not {POLICIES}; did you mean "cheapest"?'),
        ("policy: 5", f"4:9: policy: 5 is not {POLICIES}"),
        ("margin: 0.15", "4:9: margin: 0.15 is not a percentage, like 15%"),
        ("margin: 15", "4:9: margin: 15 is not a percentage, like 15%"),
        ('margin: "0.15"', '4:9: margin: "0.15" is not a percentage, like 15%'),
        ("margin: -5%", '4:9: margin: "-5%" is not a percentage, like 15%'),
        ("margin: 1001%", '4:9: margin: "1001%" is above 1000%'),
        ("rate_from: best", '4:12: rate_from: "best" is not one of dearest, cheapest'),
        ("subscription_posts: 0", "4:21: subscription_posts: 0 is not a whole number from 1 to 10000"),
        ("services: {0: {routes: [alpha/1]}}", f'4:12: services.0: "0" is not {NUMBER}'),
        ("services: {one: {routes: [alpha/1]}}", f'4:12: services.one: "one" is not {NUMBER}'),
        ("services: {007: {routes: [alpha/1]}}", f'4:12: services.007: "007" is not {NUMBER}'),
        ("services: {٣: {routes: [alpha/1]}}", f'4:12: services.٣: "٣" is not {NUMBER}'),
        ("services: {2147483648: {routes: [alpha/1]}}",
         f'4:12: services.2147483648: "2147483648" is not {NUMBER}'),
        ("services: {1: alpha/1}", "4:15: services.1: must be keys and values"),
        ("services: {1: {name: One}}", "4:15: services.1.routes: is missing"),
        ("services:\n  1:\n    name: One", "5:3: services.1.routes: is missing"),
        ("services: {1: {routes: alpha/1}}", "4:24: services.1.routes: must be a list, one - a line"),
        ("services: {1: {routes: []}}", "4:24: services.1.routes: is empty; a service needs a route, like alpha/101"),
        ("services: {1: {routes: [101]}}", "4:25: services.1.routes[0]: 101 is not a route, like alpha/101"),
        ("services: {1: {routes: [alpha]}}", '4:25: services.1.routes[0]: "alpha" is not a route, like alpha/101'),
        ("services: {1: {routes: [alpha/]}}", '4:25: services.1.routes[0]: "alpha/" is not a route, like alpha/101'),
        ("services: {1: {routes: [alhpa/1]}}",
         '4:25: services.1.routes[0].panel: "alhpa" is not a panel; did you mean "alpha"?'),
        ("services: {1: {routes: [smmgen/1]}}",
         '4:25: services.1.routes[0].panel: "smmgen" is not a panel; panels: alpha, beta'),
        ("services: {1: {routes: [{panel: alfa, service: 1}]}}",
         '4:33: services.1.routes[0].panel: "alfa" is not a panel; did you mean "alpha"?'),
        ("services: {1: {routes: [{panel: alpha}]}}", "4:25: services.1.routes[0].service: is missing"),
        ("services: {1: {routes: [{panel: alpha, service: 1.10}]}}",
         '4:49: services.1.routes[0].service: 1.10 must be in quotes: "1.10"'),
        ('services: {1: {routes: [{panel: alpha, service: ""}]}}',
         '4:49: services.1.routes[0].service: "" is not a panel\'s id of a service'),
        ('services: {1: {routes: ["alpha/ 1"]}}',
         '4:25: services.1.routes[0].service: " 1" is not a panel\'s id of a service'),
        ("services: {1: {routes: [{panel: alpha, service: 1, weight: 0}]}}",
         "4:60: services.1.routes[0].weight: 0 is not a whole number from 1 to 1000000"),
        ("services: {1: {routes: [{panel: alpha, service: 1, wieght: 2}]}}",
         '4:52: services.1.routes[0].wieght: no such key here; did you mean "weight"?'),
        ("services: {1: {routes: [alpha/1], type: default}}",
         '4:41: services.1.type: "default" is not a service type; did you mean "Default"?'),
        ("services: {1: {routes: [alpha/1], name: 12}}", '4:41: services.1.name: 12 must be in quotes: "12"'),
        ("services: {1: {routes: [alpha/1], refill: yes}}", '4:43: services.1.refill: "yes" is not true or false'),
        ("services: {1: {routes: [alpha/1], min: 1.5}}",
         f"4:40: services.1.min: 1.5 is not {NUMBER}"),
        ("services: {1: {routes: [alpha/1], min: true}}",
         f"4:40: services.1.min: true is not {NUMBER}"),
        ("services: {1: {routes: [alpha/1], min: 9, max: 8}}", "4:40: services.1.min: min 9 is above max 8"),
        ("services: {1: {routes: [alpha/1], rate: 0.8}}", '4:41: services.1.rate: 0.8 must be in quotes: "0.8"'),
        ('services: {1: {routes: [alpha/1], rate: "0"}}', '4:41: services.1.rate: "0" is not above 0'),
        ('services: {1: {routes: [alpha/1], rate: "0.00001"}}',
         '4:41: services.1.rate: "0.00001" is finer than 0.0001, the finest rate that is shown'),
        ("services: {1: {routes: [alpha/1], margin: 2000%}}", '4:43: services.1.margin: "2000%" is above 1000%'),
        ('services: {1: {routes: [alpha/1], when: {quantity: "=> 5"}}}',
         '4:52: services.1.when.quantity: "=> 5" is not a bound on quantity like ">= 1000", "< 50", "100..5000" or 10'),
        ('services: {1: {routes: [alpha/1], when: {quantity: "< 1"}}}',
         '4:52: services.1.when.quantity: no quantity is "< 1"'),
        ('services: {1: {routes: [alpha/1], when: {link: " "}}}',
         '4:48: services.1.when.link: an empty glob matches no link; write one like "*instagram.com*"'),
        ("services: {1: {routes: [alpha/1], when: {link: []}}}",
         '4:48: services.1.when.link: an empty glob matches no link; write one like "*instagram.com*"'),
        ("services: {1: {routes: [alpha/1], when: {link: [7]}}}",
         '4:49: services.1.when.link[0]: 7 must be in quotes: "7"'),
        ('services: {1: {routes: [alpha/1], when: {quantty: "1"}}}',
         '4:42: services.1.when.quantty: no such key here; did you mean "quantity"?'),
        ("publish: [{panel: betta}]", '4:19: publish[0].panel: "betta" is not a panel; did you mean "beta"?'),
        ("publish: [{panel: beta, ids: nwe}]",
         '4:30: publish[0].ids: "nwe" is not one of same, new; did you mean "new"?'),
        ("publish: [{panel: beta, first: -1}]", f"4:32: publish[0].first: -1 is not {NUMBER}"),
        ("publish: [beta]", "4:11: publish[0]: must be keys and values"),
        ("publish: {panel: beta}", "4:10: publish: must be a list, one - a line"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_its_path_and_the_way_out(text: str, expected: str) -> None:
    assert mistakes(f"{PANELS}{text}\n") == [expected]


@pytest.mark.parametrize(
    ("panel", "expected"),
    [
        ('{key: "${ALPHA_KEY}"}', "2:10: panels.alpha.url: is missing"),
        ("{url: https://a.example}", "2:10: panels.alpha.key: is missing"),
        ('{url: ftp://a.example, key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "ftp://a.example" is not an address that starts with https://'),
        ('{url: a.example/api, key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "a.example/api" is not an address that starts with https://'),
        ('{url: "https://", key: "${ALPHA_KEY}"}', '2:16: panels.alpha.url: "https://" is not an address'),
        ('{url: "https://a.example:99999/", key: "${ALPHA_KEY}"}', "2:16: panels.alpha.url: is not an address"),
        ('{url: "https://a.example/a b", key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "https://a.example/a b" is not an address'),
        ('{url: "https://a.example/#v2", key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "https://a.example/#v2" has a # part, which no server sees'),
        ('{url: "http://a.example", key: "${ALPHA_KEY}"}',
         f"2:16: panels.alpha.url: {IN_THE_CLEAR}"),
        ('{url: "https://192.168.1.9/", key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "https://192.168.1.9/" is in a private network; say private: true if it is yours'),
        ('{url: "https://[::1]/", key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "https://[::1]/" is in a private network; say private: true if it is yours'),
        ('{url: "https://localhost/", key: "${ALPHA_KEY}"}',
         '2:16: panels.alpha.url: "https://localhost/" is in a private network; say private: true if it is yours'),
        ('{url: https://a.example, key: "${NOT_SET}"}',
         "2:40: panels.alpha.key: environment variable NOT_SET is not set"),
        ('{url: https://a.example, key: "${EMPTY}"}', "2:40: panels.alpha.key: environment variable EMPTY is empty"),
        ('{url: https://a.example, key: "${BROKEN}"}',
         "2:40: panels.alpha.key: environment variable BROKEN holds a line break or another character that no key has"),
        ('{url: https://a.example, key: "${file:/no/such}"}',
         "2:40: panels.alpha.key: file /no/such cannot be read: No such file or directory"),
        ('{url: https://a.example, key: "${ALPHA_KEY}", currency: EUR}',
         "2:66: panels.alpha.currency: exchange does not say what one EUR is worth in USD"),
        ('{url: https://a.example, key: "${ALPHA_KEY}", currency: EURO}',
         '2:66: panels.alpha.currency: "EURO" is not a currency; did you mean "EUR"?'),
        ('{url: https://a.example, key: "${ALPHA_KEY}", dialect: othr}',
         '2:65: panels.alpha.dialect: "othr" is not a dialect; did you mean "other"?'),
        ('{url: https://a.example, key: "${ALPHA_KEY}", rate_limit: 60/week}',
         '2:68: panels.alpha.rate_limit: "60/week" is not calls and a span, like 60/min'),
        ('{url: https://a.example, key: "${ALPHA_KEY}", rate_limit: 60}',
         "2:68: panels.alpha.rate_limit: 60 is not calls and a span, like 60/min"),
        ('{url: https://a.example, key: "${ALPHA_KEY}", in_flight: 1001}',
         "2:67: panels.alpha.in_flight: 1001 is not a whole number from 1 to 1000"),
        ('{url: https://a.example, key: "${ALPHA_KEY}", low_balance: 25}',
         '2:69: panels.alpha.low_balance: 25 must be in quotes: "25"'),
        ('{url: https://a.example, key: "${ALPHA_KEY}", private: 1}',
         "2:65: panels.alpha.private: 1 is not true or false"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_panel_is_told_too(panel: str, expected: str) -> None:
    environ = {**ENVIRON, "EMPTY": "", "BROKEN": "a\nb"}
    assert mistakes(f"panels:\n  alpha: {panel}\n", environ) == [expected]


def test_a_panel_without_a_currency_of_its_own_bills_in_dollars() -> None:
    expected = "panels.alpha.currency: exchange does not say what one USD is worth in EUR"
    assert mistakes(f"currency: EUR\n{PANELS}") == [f"3:10: {expected}", f"4:9: {expected.replace('alpha', 'beta')}"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_a_file_without_panels_is_a_mistake(text: str) -> None:
    (found,) = mistakes(text)
    assert found.endswith("panels: is missing")


def test_panels_without_a_panel_is_a_mistake() -> None:
    assert mistakes("panels:\n") == ["1:8: panels: is empty; there is nobody to buy from"]


def test_a_name_that_no_route_could_hold_is_a_mistake() -> None:
    expected = '"a/b" is not a name of letters, digits, dots, dashes, underscores'
    assert mistakes('panels:\n  a/b: {url: https://a.example, key: "${ALPHA_KEY}"}\n') == [
        f"2:3: panels.a/b: {expected}"
    ]


def test_all_mistakes_are_told_at_once_as_they_stand_in_the_file() -> None:
    found = mistakes("""\
currency: UDS
panels:
  alpha:
    url: gopher://x
    in_flight: 0
    key: ${NOT_SET}
  gamma: {url: https://gamma.example}
services:
  1:
    type: Deflaut
    routes: [alhpa/1, 5, gamma/2]
  1: {}
policy: best
""")
    assert [line.split(" ")[0] for line in found] == [
        *("1:11:", "4:10:", "5:16:", "6:10:", "7:10:", "10:11:", "11:14:", "11:23:", "12:3:", "13:9:")
    ]


def test_a_panel_with_a_mistake_is_still_a_panel_for_the_routes() -> None:
    text = f"{PANELS}  gamma: {{url: https://gamma.example}}\nservices: {{1: {{routes: [gamma/1]}}}}\n"
    assert mistakes(text) == ["4:10: panels.gamma.key: is missing"]


def test_equal_keys_are_a_mistake_and_not_the_last_one() -> None:
    text = f"{PANELS}services:\n  1: {{routes: [alpha/1]}}\n  '1': {{routes: [alpha/2]}}\n"
    assert mistakes(text) == ["6:3: services.1: written twice in one block; first in line 5"]


def test_a_mistake_shows_its_line_with_a_caret() -> None:
    text = f"{PANELS}services:\n  1: {{routes: [alhpa/1]}}\n"
    assert str(error(text)) == (
        'rules.yaml:5:16: services.1.routes[0].panel: "alhpa" is not a panel; did you mean "alpha"?\n'
        "    5 |   1: {routes: [alhpa/1]}\n"
        "      |                ^"
    )


def test_of_a_long_line_the_part_around_the_caret_is_shown() -> None:
    routes = ", ".join(f"alpha/{number}" for number in range(100))
    (found,) = error(f"{PANELS}services: {{1: {{routes: [{routes}, alhpa/1, {routes}]}}}}\n").mistakes
    shown, caret = found.excerpt.split("\n")
    assert len(shown) < 120
    assert shown[caret.index("^") :].startswith("alhpa/1")


def test_a_value_is_shown_short_and_without_what_a_terminal_acts_upon() -> None:
    (found,) = mistakes(f'{PANELS}policy: "\\e[31m{"x" * 100}"\n')
    assert "\x1b" not in found
    assert f'"?[31m{"x" * 55}…"' in found


def test_places_count_characters_and_not_bytes() -> None:
    assert mistakes(f'{PANELS}services: {{1: {{name: "ключ 🔑", routes: [alhpa/1]}}}}\n')[0].startswith("4:41: ")


# What is no YAML, and YAML that is too much


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: b: c\n", Place(1, 5)),
        ("a: [1\n", Place(2, 1)),
        ("a:\n\t- b\n", Place(2, 1)),
        ('a: "x\nb: 1\n', Place(3, 1)),
        ("a: @b\n", Place(1, 4)),
        ("ö: \x01\n", Place(1, 4)),
        ("a: 1\nb: \x07\n", Place(2, 4)),
    ],
)
def test_what_is_no_yaml_is_one_mistake_with_its_place(parser: object, text: str, place: Place) -> None:
    report = Report("rules.yaml", text)
    assert read(text, report, parser) is None
    found = report.error()
    assert found is not None
    assert [Place(mistake.line, mistake.column) for mistake in found.mistakes] == [place]


@pytest.mark.parametrize("parser", PARSERS)
def test_both_parsers_see_the_same_places(parser: object) -> None:
    text = EXAMPLE.read_text()
    tree = read(text, Report("rules.yaml", text), parser)
    assert tree is not None
    lines = text.splitlines()
    for path, word in [
        (("panels", "beta", "currency"), "EUR"),
        (("services", "1", "routes", 1, "panel"), "beta"),
        (("services", "2", "routes", 2, "when", "quantity"), '">= 1000"'),
        (("services", "2", "routes", 0, "no such"), "{panel: alpha"),
        (("services", "3"), "3:"),
        (("margin",), "15%"),
    ]:
        place = place_of(tree, path)
        assert lines[place.line - 1][place.column - 1 :].startswith(word)


def test_a_reference_without_quotes_in_braces_is_told_how_to_stand() -> None:
    (found,) = mistakes("panels:\n  alpha: {url: https://a.example, key: ${ALPHA_KEY}}\n")
    assert found.startswith("2:")
    assert found.endswith('a reference stands in quotes: "${NAME}"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: *nobody\n", "1:4: a: no anchor of this name stands above, complete"),
        ("a: &a [*a]\n", "1:8: a[0]: no anchor of this name stands above, complete"),
        ("a: !!python/name:os.system x\n", "1:4: a: tags (words that start with !) mean nothing here"),
        ("a: !!str 15\n", "1:4: a: tags (words that start with !) mean nothing here"),
        ("? [a, b]\n: c\n", "1:3: a key must be one word"),
        ("<<: 5\n", "1:5: <<: takes the keys of another block, by its anchor"),
        ("a: {<<: [{b: c}, 5]}\n", "1:18: a.<<: takes the keys of another block, by its anchor"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document starts here; rules are one document"),
    ],
)
def test_what_yaml_allows_and_rules_do_not_is_a_mistake(text: str, expected: str) -> None:
    assert expected in mistakes(text)


def laughs(levels: int) -> str:
    """Each level holds the one before ten times."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        laughs(9),
        re.sub(r"\[(.*)\]", r"{<<: [\1]}", laughs(9).replace("[x, x, x, x, x, x, x, x, x, x]", "[{a: 1}, {b: 2}]")),
    ],
)
def test_a_file_that_grows_through_its_anchors_is_refused(text: str) -> None:
    (found,) = mistakes(text)
    assert found.endswith(f"holds more than {VALUES} values, its anchors written out")


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000])
def test_a_file_that_is_too_deep_is_refused(parser: object, text: str) -> None:
    report = Report("rules.yaml", text)
    assert read(text, report, parser) is None
    assert "more than 16 blocks inside blocks" in str(report.error())


def test_a_file_that_is_too_large_or_no_text_is_refused_as_a_whole() -> None:
    for content, why in [
        (b"#" * (SIZE + 1), "is larger than 1048576 bytes"),
        (b"a: 1\nb: \xff\n", "is not UTF-8: byte 0xff in line 2"),
    ]:
        with pytest.raises(RulesError) as caught:
            parse(content, "rules.yaml", {})
        assert str(caught.value) == f"rules.yaml: {why}"


def test_a_file_that_cannot_be_read_is_a_mistake_like_others(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"no\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "no.yaml", {})
    with pytest.raises(RulesError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


@given(st.text(st.sampled_from(list("ab:-[]{}&*!<>|#'\"%@\n\t ,?${}~1.0\x01é")), max_size=60))
def test_whatever_stands_in_a_file_it_is_rules_or_mistakes(text: str) -> None:
    for content in (text, f"{PANELS}{text}", f"{PANELS}services:\n  1:\n    routes: [alpha/1]\n    {text}"):
        try:
            found: Rules | RulesError = rules(content)
        except RulesError as wrong:
            found = wrong
        assert found.panels if isinstance(found, Rules) else found.mistakes


# Keys


def test_a_key_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "alpha"
    secret.write_text("key-in-a-file\r\n")
    found = rules(f"panels:\n  alpha:\n    url: https://a.example\n    key: ${{file:{secret}}}\n")
    assert found.panels["alpha"].key == "key-in-a-file"


@pytest.mark.parametrize(
    ("content", "why"), [(b"\n", "is empty"), (b"\xff\xfe", "is not text"), (b"two\nlines\n", "holds a line break or")]
)
def test_a_file_that_holds_no_key_is_a_mistake(tmp_path: Path, content: bytes, why: str) -> None:
    secret = tmp_path / "alpha"
    secret.write_bytes(content)
    (found,) = mistakes(f"panels:\n  alpha:\n    url: https://a.example\n    key: ${{file:{secret}}}\n")
    assert f"panels.alpha.key: file {secret} {why}" in found
    assert "lines" not in found


SECRET = "sk1live7zq"


@pytest.mark.parametrize(
    "text",
    [
        "panels:\n  alpha:\n    url: https://a.example\n    key: SECRET\n",
        "panels:\n  alpha:\n    url: https://a.example\n    key: 'SECRET'\n    rate_limt: 3\n",
        'panels:\n  alpha: {key: SECRET, rate_limt: 3, url: "https://a.example"}\n',
        "panels:\n  alpha: {rate_limt: 3, key: SECRET, url: 5}\n",
        "panels:\n  alpha:\n    kee: SECRET\n",
        "panels:\n  alpha:\n    apikey: SECRET\n",
        "panels:\n  alpha: SECRET\n",
        "panels: [SECRET]\n",
        "panels:\n  alpha: [SECRET]\n",
        "panels:\n  alpha:\n    key: [SECRET]\n",
        "panels:\n  alpha:\n    key: {SECRET: 1}\n",
        "panels:\n  alpha:\n    key: |\n      SECRET\n    url: 5\n",
        "panels:\n  alpha:\n    key: >-\n      a\n      SECRET\n    url: 5\n",
        "panels:\n  alpha:\n    key: ${ALPHA_KEY}\n    key: SECRET\n",
        "panels:\n  alpha:\n    key: SECRET: x\n",
        "panels:\n  alpha:\n    key:\n    SECRET: x: y\n",
        'panels:\n  alpha:\n    key: "SECRET\n',
        "panels:\n  alpha:\n    key: *SECRET\n",
        "panels:\n  alpha:\n    key: &SECRET\n",
        "panels:\n  alpha:\n    key: !SECRET\n",
        "panels:\n  alpha:\n    key: !SECRET!x y\n",
        "panels:\n  alpha:\n    key: '%SECRET\n",
        "panels:\n  alpha:\n    key: ${SECRET!}\n",
        "panels:\n  alpha:\n    url: https://me:SECRET@a.example/\n    key: ${ALPHA_KEY}\n",
        "key: SECRET\n",
        "services:\n  1: {api_token: SECRET, routes: [alpha/1]}\n",
        "pannels:\n  alpha: {key: SECRET}\n",
    ],
)
def test_a_key_written_in_the_file_is_a_mistake_that_does_not_show_it(text: str) -> None:
    found = error(text.replace("SECRET", SECRET))
    assert SECRET not in str(found)
    assert SECRET not in repr(found.mistakes)
    assert found.__cause__ is None


def test_a_key_of_digits_is_not_shown_either() -> None:
    text = "panels:\n  alpha:\n    url: https://a.example\n    key: 9081726354\n"
    expected = "4:10: panels.alpha.key: what stands here is not a reference to a key: "
    assert mistakes(text) == [f"{expected}${{NAME}} in the environment, or ${{file:/path}}"]
    assert "9081726354" not in str(error(text))


def test_a_reference_must_stand_alone() -> None:
    text = "panels:\n  alpha:\n    url: https://a.example\n    key: |\n      ${ALPHA_KEY}\n"
    assert "panels.alpha.key: is not a reference to a key; write ${NAME}" in mistakes(text)[0]


def test_a_key_that_was_found_shows_up_nowhere() -> None:
    assert "sk_live" not in repr(written.PanelShape(url="https://a.example", key="sk_live"))
    found = load(EXAMPLE, ENVIRON)
    assert "key-of" not in repr(found)
    assert "key-of" not in repr(found.panels["alpha"])
    wrong = error(f"{PANELS}policy: best\n")
    assert "key-of" not in str(wrong) + repr(wrong.mistakes)


# Warnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {1: {routes: [alpha/1, beta/1, alpha/1]}}",
         "4:42: services.1.routes[2]: alpha/1 stands here twice"),
        ('services: {1: {routes: [beta/2, alpha/1, {panel: alpha, service: 1, when: {quantity: "> 5"}}]}}', None),
        ("services: {1: {routes: [alpha/1]}}",
         "3:9: panels.beta: nothing is bought there: no route and no publish names it"),
        ('exchange: {EUR: "1"}\nservices: {1: {routes: [alpha/1, beta/1]}}',
         "4:17: exchange.EUR: no panel bills in it"),
        ("publish: [{panel: alpha}, {panel: beta}, {panel: alpha, name: X}]",
         "4:42: publish[2]: nothing is left for it: the whole of alpha is published above"),
        ("publish: [{panel: alpha, name: X}, {panel: beta}, {panel: alpha}]", None),
        ("publish: [{panel: alpha, first: 7}, {panel: beta}]",
         "4:33: publish[0].first: is not used: ids are the panel's own"),
        ("publish: [{panel: alpha, ids: new, first: 7}, {panel: beta}]", None),
        ("min_margin: 5%\nmargin: 1%\npublish: [{panel: alpha}, {panel: beta}]",
         "4:13: min_margin: is above margin: a route at the price a rate was made from is always left out"),
        ('services: {1: {routes: [alpha/1, beta/1], rate: "5", margin: 3%}}',
         "4:62: services.1.margin: is not used: the rate is fixed"),
        ("margin: 9%\nmin_margin: 4%\nservices: {1: {routes: [alpha/1, beta/1], margin: 3%}}",
         "6:51: services.1.margin: is below min_margin: a route at the price the rate was made from is left out"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_a_warning_and_no_mistake(text: str, expected: str | None) -> None:
    found = [warning.removeprefix("rules.yaml:") for warning in rules(f"{PANELS}{text}\n").warnings]
    assert found == ([] if expected is None else [expected])


def test_rules_that_sell_nothing_say_so() -> None:
    assert any("nothing is sold" in warning for warning in rules(PANELS).warnings)


def test_two_names_for_one_account_are_a_warning() -> None:
    text = PANELS.replace("beta.example", "alpha.example").replace("BETA_KEY", "ALPHA_KEY")
    found = rules(f"{text}publish: [{{panel: alpha}}, {{panel: beta}}]\n").warnings
    assert found == ("rules.yaml:3:9: panels.beta: is the same account as alpha: same url, same key",)


# The schema


def holds(outline: Mapping[str, Any], value: object, defs: Mapping[str, Any]) -> bool:
    """As much of JSON Schema as ours uses."""
    if "$ref" in outline:
        return holds(defs[outline["$ref"].rpartition("/")[2]], value, defs)
    if "anyOf" in outline:
        return any(holds(option, value, defs) for option in outline["anyOf"])
    if "enum" in outline and value not in outline["enum"]:
        return False
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    if "type" in outline and (type(value) is not kinds[outline["type"]]):
        return False
    if isinstance(value, str):
        long_enough = outline.get("minLength", 0) <= len(value) <= outline.get("maxLength", 10**9)
        return long_enough and re.search(outline.get("pattern", ""), value) is not None
    if isinstance(value, int):
        return bool(outline.get("minimum", value) <= value <= outline.get("maximum", value))
    if isinstance(value, list):
        return len(value) >= outline.get("minItems", 0) and all(holds(outline["items"], item, defs) for item in value)
    if isinstance(value, dict):
        more, known = outline.get("additionalProperties", True), outline.get("properties", {})
        return all(word in value for word in outline.get("required", ())) and all(
            holds(outline.get("propertyNames", {}), word, defs)
            and (holds(known[word], item, defs) if word in known else more is not False and holds(more, item, defs))
            for word, item in value.items()
        )
    return True


def plain(node: object) -> object:
    """A node as an editor sees it."""
    match node:
        case Leaf():
            return node.value
        case Listing():
            return [plain(item) for item in node.items]
        case Table():
            return {word: plain(entry.node) for word, entry in node.entries.items()}
    raise AssertionError(node)


def fits_schema(text: str) -> bool:
    outline = msgspec.json.decode(schema())
    node = read(text, Report("rules.yaml", text))
    return holds(outline, plain(node), outline["$defs"])


def test_the_schema_takes_the_example() -> None:
    assert fits_schema(EXAMPLE.read_text())
    assert fits_schema(EXAMPLE.read_text().replace("# publish:", "publish:").replace("#   - {panel", "  - {panel"))


@pytest.mark.parametrize(
    "text",
    [
        "exchnge: {}",
        "exchange: {EUR: 1.08}",
        "policy: cheapst",
        "margin: 0.15",
        "subscription_posts: 0",
        "services: {1: {name: One}}",
        "services: {1: {routes: []}}",
        "services: {1: {routes: [101]}}",
        "services: {1: {routes: [{panel: alpha, service: 1, weight: 0}]}}",
        "services: {1: {routes: [alpha/1], type: default}}",
        "services: {1: {routes: [alpha/1], refill: yes}}",
        "services: {1: {routes: [alpha/1], when: {link: [7]}}}",
        "publish: [{panel: beta, ids: nwe}]",
    ],
)
def test_the_schema_refuses_what_the_gateway_refuses(text: str) -> None:
    assert fits_schema(PANELS)
    assert not fits_schema(f"{PANELS}{text}\n")
    assert error(f"{PANELS}{text}\n")


def test_the_schema_refuses_a_key_in_the_file() -> None:
    assert not fits_schema(PANELS.replace("${ALPHA_KEY}", "sk_live"))


def test_the_schema_names_every_key() -> None:
    outline = msgspec.json.decode(schema())
    assert outline["$schema"].startswith("https://json-schema.org/")
    models: list[type[msgspec.Struct]] = [Rules, Panel, Service, Route, Publish]
    for model in models:
        fields = {field.name for field in msgspec.structs.fields(model)} - {"version", "warnings"}
        block = outline["$defs"][f"{model.__name__}Shape"]
        assert set(block["properties"]) == fields
        assert block["additionalProperties"] is False


SCOPED = """\
max_rate: "9"
never: [alpha]
exchange_buffer: 2%
policy: [{canary: alpha/9, share: 5%, floor: 80%}, effective]
categories:
  "Insta*": {margin: 20%, policy: healthiest, when: {quantity: ">= 10"}}
  "instagram": {margin: 30%}
accounts:
  shop:
    margin: 5%
    only: [alpha]
    services: [1, "100..200", "Tik*"]
    budget: {day: "50", month: "900.5"}
    rate_limit: 60/min
    addresses: [10.0.0.0/8, "2001:db8::1"]
services: {1: {routes: [alpha/1], never: [beta], when: {link: "*a*"}, min_margin: 3%}}
"""


def test_scopes_are_read_and_the_narrowest_counts() -> None:
    found = rules(PANELS + SCOPED)
    assert found.policy == (Canary(panel="alpha", remote_service="9", share=0.05, floor=0.8), Policy.EFFECTIVE)
    assert (found.max_rate, found.exchange_buffer) == (Decimal(9), Decimal("0.02"))
    scope = found.scope("Instagram", found.services[1])
    assert (scope.margin, scope.policy, scope.max_rate) == (Decimal("0.3"), (Policy.HEALTHIEST,), Decimal(9))
    assert (scope.never, scope.min_margin) == (frozenset({"alpha", "beta"}), Decimal("0.03"))
    assert scope.when is not None
    assert [clause.text for clause in scope.when.clauses] == ["quantity >= 10", "link *a*"]
    assert found.scope("TikTok").margin == 0
    shop = found.accounts["shop"]
    assert (shop.margin, shop.only, shop.rate_limit) == (Decimal("0.05"), frozenset({"alpha"}), "60/min")
    assert (shop.budget_day, shop.budget_month) == (Decimal(50), Decimal("900.5"))
    assert shop.addresses == ("10.0.0.0/8", "2001:db8::1")
    assert shop.services is not None
    sold = [
        failing(shop.services, Facts(service=id, category=category)) is None
        for id, category in ((1, "x"), (150, "x"), (2, "TikTok"), (2, "x"))
    ]
    assert sold == [True, True, True, False]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("never: [gamma]", 'never[0]: "gamma" is not a panel'),
        ("categories: {x: {only: [alpah]}}", 'categories.x.only[0]: "alpah" is not a panel; did you mean "alpha"?'),
        ("accounts: {s: {addresses: [10.0.0.0/40]}}", 'accounts.s.addresses[0]: "10.0.0.0/40" is not an address'),
        ("accounts: {s: {services: []}}", "accounts.s.services: is empty"),
        ('accounts: {s: {services: ["9..1"]}}', 'accounts.s.services[0]: no service is "9..1"'),
        ('accounts: {s: {budget: {week: "1"}}}', "accounts.s.budget.week: no such key here; keys: day, month"),
        ("policy: []", "policy: is empty"),
        ("policy: [cheapest, cheapest]", "policy[1]: cheapest stands here twice"),
        ("policy: [{canary: nobody/1, share: 5%}]", 'policy[0].canary: "nobody" is not a panel'),
        ("policy: [{canary: alpha/1, share: 50%}]", 'policy[0].share: "50%" is not above 0% and below 50%'),
        ("policy: [{canary: alpha/1, share: 5%, floor: 101%}]", 'policy[0].floor: "101%" is above 100%'),
        ("services: {1: {routes: [alpha/1], when: {any: []}}}", "services.1.when.any: is empty"),
        ("services: {1: {routes: [alpha/1], when: {days: [mo]}}}", 'services.1.when.days[0]: "mo" is not one of mon'),
        ("services: {1: {routes: [alpha/1], when: {time: noon}}}", 'services.1.when.time: "noon" is not a time'),
        (
            'services: {1: {routes: [alpha/1], when: {not: {all: [{link: "/(a+)+/"}]}}}}',
            "services.1.when.not.all[0].link: /(a+)+/ has repeats inside repeats",
        ),
    ],
)
def test_a_mistake_in_a_scope_is_told_at_its_place(written: str, place: str) -> None:
    with pytest.raises(RulesError) as wrong:
        rules(PANELS + written)
    assert any(place in str(one) for one in wrong.value.mistakes), wrong.value


def test_conditions_of_the_file_stand_in_conditions() -> None:
    found = rules(
        PANELS + 'services: {1: {routes: [alpha/1], when: {any: [{quantity: ">= 5"}, {not: {account: "a*"}}]}}}'
    )
    when = found.services[1].when
    assert when is not None
    assert failing(when, Facts(quantity=4, account="abc")) == "any of (quantity >= 5; not (account a*))"
    assert failing(when, Facts(quantity=4, account="b")) is None


def test_a_name_may_be_a_number() -> None:
    found = rules(PANELS + 'accounts: {42: {margin: 5%}}\ncategories: {"2024": {margin: 1%}}\n')
    assert (list(found.accounts), found.categories[0].category) == (["42"], "2024")
