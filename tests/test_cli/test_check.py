"""check: rules, panels, money."""

import asyncio

import pytest

from gateway.cli.failure import Exit
from tests.servers import Valkey
from tests.test_cli.shell import Shell, Site


def test_check_finds_what_wants_attention(selling: Shell) -> None:
    checked = selling.json("check", code=Exit.FINDINGS)
    assert checked["unreachable"] == []
    assert checked["services"] == 8
    assert checked["findings"] == [
        "service 3: alpha/999: not in the panel's list",
        "service 4: alpha/888: not in the panel's list",
        "service 4: none of its routes can be bought",
    ]
    text = selling.run("check").stdout
    assert "routing_rules.yaml: valid" in text
    assert "wants attention\n  service 3: alpha/999" in text


def test_a_service_that_costs_more_than_its_rate_is_found(selling: Shell) -> None:
    text = selling.rules.read_text().replace("publish:", '  7: {rate: "0.10", routes: [alpha/102, beta/102]}\npublish:')
    selling.rules.write_text(text)
    below = "service 7: rate 0.10 is below its cheapest cost 0.20: it can never be sold"
    assert below in selling.json("check", code=Exit.FINDINGS)["findings"]
    selling.rules.write_text(text.replace('"0.10"', '"0.202"') + "min_margin: 2%\n")
    thin = (
        "service 7: rate 0.202 leaves less than the min_margin of 2 % on its cheapest cost 0.20: it can never be sold"
    )
    assert thin in selling.json("check", code=Exit.FINDINGS)["findings"]
    selling.rules.write_text(text.replace('"0.10"', '"0.204"') + "min_margin: 2%\n")
    assert not [line for line in selling.json("check", code=Exit.FINDINGS)["findings"] if "service 7" in line]


def test_rules_that_put_nothing_on_the_cost_are_found(selling: Shell) -> None:
    nothing = "margin: 0 everywhere, and no rate is fixed: nothing is put on the cost"
    text = selling.rules.read_text().replace("margin: 50%\n", "")
    selling.rules.write_text(text)
    assert selling.json("check", "--offline", code=Exit.FINDINGS)["findings"] == [nothing]
    for some in ('name: Followers, rate: "2"', "name: Followers, margin: 5%"):
        selling.rules.write_text(text.replace("name: Followers", some))
        assert selling.json("check", "--offline")["findings"] == []


def test_what_is_found_is_told_once(selling: Shell) -> None:
    text = selling.rules.read_text()
    selling.rules.write_text(text + "  - {panel: alpha, ids: same, category: Insta*}\n" + "  - {panel: alpha}\n")
    selling.rules.write_text(
        selling.rules.read_text().replace("  4: {routes: [alpha/888]}", "  101: {routes: [alpha/101]}")
    )
    findings = selling.json("check", code=Exit.FINDINGS)["findings"]
    assert [line for line in findings if line.startswith("service 101")] == [
        "service 101: alpha/101: the id 101 is a service's of the rules"
    ]


def test_whether_redis_answers_is_told_where_there_is_one(selling: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "redis  " not in selling.run("check").stdout
    with Valkey() as valkey:
        monkeypatch.setenv("PANELMUX_REDIS", valkey.url)
        assert f"redis     {valkey.url}: answers" in selling.run("check").stdout
        assert "redis  " not in selling.run("check", "--offline").stdout
    monkeypatch.setenv("PANELMUX_REDIS", "redis://:secret@127.0.0.1:1/0")
    assert "redis     redis://127.0.0.1:1/0: no answer" in selling.run("check").stdout


@pytest.mark.parametrize("ledger_is_there", [False, True])
def test_ids_that_are_new_are_looked_at_and_not_given(selling: Shell, ledger_is_there: bool) -> None:
    if ledger_is_there:
        selling.run("account", "create", "shop")
        selling.keep(lambda ledger: ledger.service_ids("beta", ["101"], first=500))
    publish = "".join(f"  - {{panel: {name}, ids: new, first: 500, category: Insta*}}\n" for name in ("alpha", "beta"))
    selling.rules.write_text(selling.rules.read_text().replace("  - {panel: alpha, ids: same}\n", publish))
    assert selling.json("check", code=Exit.FINDINGS)["services"] == 7
    found = {line["service"]: line["routes"][0]["panel"] for line in selling.json("catalog", "search", "insta")}
    assert sorted(found) == [1, 500, 501, 502, 503]
    if ledger_is_there:
        assert found[500] == "beta"
        given = selling.keep(lambda ledger: ledger.service_ids("gamma", ["1"], first=1))
        assert given == {"1": 501}


def test_rules_in_another_currency_than_the_ledger_s_are_refused(selling: Shell) -> None:
    selling.keep(lambda ledger: ledger.bind_currency("EUR"))
    for command in ("check", "check --offline", "serve"):
        result = selling.run(*command.split())
        assert (result.exit_code, result.stderr.count("\n")) == (Exit.RULES, 1)
        assert "routing_rules.yaml: currency: it is USD here, and the amounts of sqlite:///" in result.stderr
        assert "are EUR, fixed at first use" in result.stderr
    (mistake,) = selling.json("check", code=Exit.RULES)["mistakes"]
    assert mistake["path"] == "currency"


def test_mistakes_are_json_where_json_is_wanted(selling: Shell) -> None:
    selling.rules.write_text(selling.rules.read_text().replace("margin", "margn"))
    (mistake,) = selling.json("check", code=Exit.RULES)["mistakes"]
    assert (mistake["line"], mistake["column"], mistake["path"]) == (2, 1, "margn")
    assert mistake["text"].startswith("no such key here")
    assert selling.run("check", "--json").stderr == ""


def test_a_panel_that_refuses_connections_says_so_in_few_words(selling: Shell, site: Site) -> None:
    site.do(site.beta.stop_listening)
    try:
        result = selling.run("check")
    finally:
        asyncio.run_coroutine_threadsafe(site.beta.listen(), site.loop).result(10)
    assert result.exit_code == Exit.UNREACHABLE
    assert "beta: balance: connection refused\n" in result.stdout
    assert "beta: services: cannot connect to 127.0.0.1:" in result.stdout
    assert "Error" not in result.stdout


def test_check_is_content_when_all_is_well(selling: Shell) -> None:
    written = selling.rules.read_text()
    selling.rules.write_text(written.replace("alpha/999, ", "").replace("  4: {routes: [alpha/888]}\n", ""))
    result = selling.run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "wants attention" not in result.stdout


def test_check_ends_with_unreachable_when_a_panel_cannot_be_used(selling: Shell) -> None:
    result = selling.run("check", ALPHA_KEY="wrong-key")
    assert result.exit_code == Exit.UNREACHABLE
    assert "cannot be used\n  alpha: balance: " in result.stdout
    assert "alpha: services: " in result.stdout
    assert "wrong-key" not in result.output


def test_invalid_rules_are_answered_with_all_mistakes_and_their_lines(selling: Shell) -> None:
    selling.rules.write_text(selling.rules.read_text().replace("margin", "margn").replace("beta/101]", "betta/101]"))
    for command in ("check", "serve", "panel list", "catalog search x", "route explain 1"):
        result = selling.run(*command.split())
        assert result.exit_code == Exit.RULES
        assert "routing_rules.yaml:2:1: margn: no such key here" in result.stderr
        assert '"betta" is not a panel; did you mean "beta"?' in result.stderr
        assert "\n    2 | margn: 50%\n      | ^\n" in result.stderr


def test_rules_alone_are_checked_offline(selling: Shell, site: Site) -> None:
    calls = len(site.alpha.calls)
    assert selling.json("check", "--offline")["panels"] == []
    selling.rules.write_text(selling.rules.read_text() + "min_margin: 60%\n")
    (finding,) = selling.json("check", "--offline", code=Exit.FINDINGS)["findings"]
    assert "min_margin" in finding
    assert len(site.alpha.calls) == calls
    missing = selling.run("check", "--rules", "none.yaml")
    assert (missing.exit_code, "none.yaml: cannot be read" in missing.stderr) == (Exit.RULES, True)


EXPECT = """\
expect:
  - {service: 1, quantity: 1000, first: alpha/101}
  - {service: 1, quantity: 5, nobody: true}
  - {service: 1, account: vip, at: "sat 23:00", never: [alpha]}
"""


def test_the_tests_that_rules_carry_are_run(selling: Shell) -> None:
    text = selling.rules.read_text()
    selling.rules.write_text(
        text.replace(
            "{name: Followers, routes: [alpha/101, beta/101]}", "{routes: [alpha/101, {panel: beta, service: 101}]}"
        )
        + EXPECT
        + "accounts: {vip: {when: {any: [{not: {days: [sat]}}, {panel: beta}]}}}\n"
    )
    found = selling.json("check", code=Exit.FINDINGS)["findings"]
    assert not [line for line in found if line.startswith("expect")], found
    selling.rules.write_text(
        selling.rules.read_text()
        .replace("first: alpha/101", "first: beta/101")
        .replace("quantity: 5", "quantity: 500")
        .replace("sat 23:00", "sun 23:00")
        .replace("never: [alpha]", "never: [alpha, beta]")
    )
    found = selling.json("check", code=Exit.FINDINGS)["findings"]
    assert [line for line in found if line.startswith("expect")] == [
        "expect[0]: service 1, quantity 1000: it goes to alpha/101 first, not to beta/101",
        "expect[1]: service 1, quantity 500: nobody may take it, and alpha/101 would",
        "expect[2]: service 1, quantity 1000: alpha/101 may not take it, and would",
    ]


def test_an_expectation_says_why_a_route_was_left_out(selling: Shell) -> None:
    text = selling.rules.read_text().replace(
        "routes: [alpha/101, beta/101]", 'max_rate: "0.5", routes: [alpha/101, beta/101]'
    )
    selling.rules.write_text(text + "expect: [{service: 1, first: alpha/101}]\n")
    found = selling.json("check", code=Exit.FINDINGS)["findings"]
    assert (
        "expect[0]: service 1, quantity 1000: it goes to nobody first, not to alpha/101: "
        "its rate 1.00 is above max_rate 0.50"
    ) in found


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{service: 1}", "expects nothing; write first, never or nobody"),
        ("{service: 1, first: gamma/1}", '"gamma" is not a panel'),
        ("{service: 1, nobody: true, at: noon}", '"noon" is not a day and a time, UTC'),
    ],
)
def test_an_expectation_that_cannot_be_is_a_mistake(selling: Shell, written: str, words: str) -> None:
    selling.rules.write_text(selling.rules.read_text() + f"expect: [{written}]\n")
    [mistake] = selling.json("check", code=Exit.RULES)["mistakes"]
    assert words in mistake["text"]
