"""Panels, services and routes."""

import asyncio
import json
from decimal import Decimal

import pytest

from gateway.catalog import Catalog
from gateway.cli.alike import best
from gateway.cli.failure import Exit
from gateway.cli.reached import panels_of
from gateway.ledger.protocol import Ledger
from gateway.rules import load
from gateway.shared import InProcess
from providers import PROVIDERS
from providers.base import OrderStatus, Status
from tests.test_cli.shell import Shell, Site, placed


def test_panels_are_listed_with_balance_services_and_health(selling: Shell) -> None:
    alpha, beta = selling.json("panel", "list")
    assert (alpha["panel"], alpha["balance"], alpha["currency"], alpha["answers"]) == ("alpha", "12.50", "USD", True)
    assert (beta["balance"], beta["worth"], beta["usable"], beta["skipped"]) == ("1000.00", "2000.00", 5, 1)
    assert "answers, " in selling.run("panel", "list").stdout
    assert not (selling.folder / "panelmux.db").exists()


def test_panels_are_listed_from_the_ledger_without_asking_anybody(selling: Shell, site: Site) -> None:
    calls = len(site.alpha.calls)
    (alpha, _) = selling.json("panel", "list", "--offline")
    assert (alpha["balance"], alpha["usable"], alpha["answers"]) == (None, None, None)
    assert "not asked" in selling.run("panel", "list", "--offline").stdout
    assert len(site.alpha.calls) == calls
    assert selling.run("panel", "list", "--offline", "--live").exit_code == Exit.MISUSE


def test_a_panel_that_does_not_answer_is_shown_and_told_by_the_code(selling: Shell, site: Site) -> None:
    site.do(site.beta.stop_listening)
    try:
        result = selling.run("panel", "list")
    finally:
        asyncio.run_coroutine_threadsafe(site.beta.listen(), site.loop).result(10)
    assert result.exit_code == Exit.UNREACHABLE
    alpha, beta = result.stdout.splitlines()[1:]
    assert "answers, " in alpha
    assert "answers, " not in beta


def test_low_money_and_another_currency_are_shown(selling: Shell, site: Site) -> None:
    site.do(lambda: setattr(site.alpha, "faults", "balance:currency=XAU"))
    selling.rules.write_text(selling.rules.read_text().replace('low_balance: "5"', 'low_balance: "50"'))
    try:
        table = selling.run("panel", "list").stdout
        checked = selling.json("check", code=Exit.FINDINGS)
    finally:
        site.do(lambda: setattr(site.alpha, "faults", ""))
    assert "12.50 (low)" in table
    assert "alpha: says that it bills in XAU, not USD" in checked["findings"]
    assert "alpha: balance 12.50 USD is low" in checked["findings"]


def test_services_are_found_by_words_in_any_order(selling: Shell) -> None:
    found = selling.json("catalog", "search", "followers instagram")
    assert {line["service"] for line in found[:2]} == {1, 101}
    assert selling.json("catalog", "search", "Followers")[0]["routes"] == [
        {"panel": "alpha", "service": "101", "cost": "1.00"},
        {"panel": "beta", "service": "101", "cost": "2.00"},
    ]
    assert [line["service"] for line in selling.json("catalog", "search", "", "--limit", "2")] == [1, 2]
    table = selling.run("catalog", "search", "likes").stdout
    assert "\x1b" not in table
    assert "[31m[red]" in table
    assert "alpha/102 0.20" in table


def test_a_stopped_panel_says_why_until_people_let_it_go_on(selling: Shell) -> None:
    assert selling.run("panel", "resume", "alpha").exit_code == Exit.UNREACHABLE, "there is no ledger yet"

    async def work(opened: Ledger) -> None:
        await placed(opened)
        await opened.learn("alpha", stopped="money is gone that no order took")

    selling.keep(work)
    line = next(line for line in selling.json("panel", "list", "--offline") if line["panel"] == "alpha")
    assert (line["stopped"], line["unknown"]) == ("money is gone that no order took", 1)
    assert "takes no orders: money is gone that no order took" in selling.run("panel", "list", "--offline").stdout
    assert "would let alpha take orders again" in selling.run("panel", "resume", "alpha", "--dry-run").stderr
    assert selling.json("panel", "resume", "alpha") == {
        "panel": "alpha",
        "was_stopped_for": "money is gone that no order took",
        "done": True,
    }
    assert selling.run("panel", "resume", "alpha").stderr == "alpha: it is not stopped\n"
    assert "did you mean alpha?" in selling.run("panel", "resume", "alfa").stderr


def test_how_panels_did_with_our_orders(selling: Shell) -> None:
    assert selling.run("panel", "health").exit_code == Exit.UNREACHABLE, "there is no ledger yet"
    ends = (OrderStatus.COMPLETED, OrderStatus.COMPLETED, OrderStatus.PARTIAL, OrderStatus.CANCELED)

    async def work(opened: Ledger) -> None:
        await placed(opened)
        for status in ends:
            order = await placed(opened, unknown=False)
            [attempt] = await opened.attempts(order)
            remains = 500 if status is OrderStatus.PARTIAL else None
            await opened.observe(attempt.id, Status(word="", status=status, remains=remains), next_ms=None)

    selling.keep(work)
    alpha, service = selling.json("panel", "health", "--services")
    assert (alpha["remote_service"], service["remote_service"]) == ("", "101")
    assert (alpha["asked"], alpha["taken"], alpha["unknown"], alpha["refused"]) == (5, 4, 1, {})
    shares = alpha["whole"], alpha["partial"], alpha["canceled"]
    assert shares == pytest.approx((0.48, 0.25, 0.26), abs=0.02), "the later ones count a little more"
    assert float(service["truth"]) > 1
    assert selling.json("panel", "health", "beta") == []
    assert selling.run("panel", "health", "beta").stderr == "beta: no order of ours went there\n"
    table = selling.run("panel", "health").stdout.split()
    assert table[:3] == ["panel", "asked", "taken"]
    assert table[table.index("alpha") :][:4] == ["alpha", "5", "80", "%"]


def test_rows_of_one_panel_are_searched(selling: Shell) -> None:
    found = selling.json("catalog", "search", "telegram", "--panel", "beta")
    assert (found[0]["service"], found[0]["rate"], found[0]["cost"]) == ("103", "0.80", "1.60")
    assert "Telegram Members" in selling.run("catalog", "search", "telegram", "--panel", "beta").stdout
    assert selling.run("catalog", "search", "x", "--panel", "betta").stderr == (
        "panel betta: not in the rules; did you mean beta?\n"
    )
    assert selling.run("catalog", "search", "zzzzqqqq").stderr == "nothing found\n"


def test_what_cannot_be_sold_is_listed_with_its_reason(selling: Shell) -> None:
    found = selling.json("catalog", "search", "", "--left-out")
    whys = {(line["service"], line["panel"], line["remote_service"]): line["why"] for line in found}
    assert whys[3, "alpha", "999"] == "not in the panel's list"
    assert "105" in {line["remote_service"] for line in found}
    assert all(
        line["panel"] == "beta" for line in selling.json("catalog", "search", "", "--left-out", "--panel", "beta")
    )
    assert "not in the panel's list" in selling.run("catalog", "search", "999", "--left-out").stdout


def test_styled_letters_are_found_by_plain_ones() -> None:
    names = ["nothing", "\U0001d408\U0001d427\U0001d42c\U0001d42d\U0001d41a\U0001d420\U0001d42b\U0001d41a\U0001d426"]
    assert best("instagram", names, str, 5) == names[1:]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("telegrm", "Telegram Members"),
        ("yotube coments", "YouTube Comments"),
        ("visitrs", "Website Visitors"),
        ("site web", "Website Visitors"),
        ("foll insta", "Instagram Followers"),
        ("instgram folowers", "Instagram Followers"),
    ],
)
def test_words_are_found_though_misspelled_or_only_begun(typed: str, name: str) -> None:
    names = ["Telegram Members", "Instagram Followers", "Website Visitors", "YouTube Comments", "Instagram Likes"]
    assert best(typed, names, str, 5) == [name]


def test_every_word_counts_and_the_better_spelled_comes_first() -> None:
    names = ["Instagrom Likes", "Instagram Likes", "Instagram Views", "4410 Views", "4110 Views"]
    assert best("instagram likes", names, str, 5) == ["Instagram Likes", "Instagrom Likes"]
    assert best("instagram saves", names, str, 5) == []
    assert best("4410", names, str, 5) == ["4410 Views"]
    assert best("▬▬▬", names, str, 5) == []
    assert best("  ", names, str, 2) == names[:2]


def test_a_route_is_explained(selling: Shell, site: Site) -> None:
    explained = selling.json("route", "explain", "1", "--quantity", "1000", "--link", "https://x.example/p")
    assert (explained["charge"], explained["rate"], explained["policy"]) == ("3.00", "3.00", "cheapest")
    assert [
        (offer["place"], offer["panel"], offer["cost"], offer["margin"], offer["funds"])
        for offer in explained["offers"]
    ] == [(1, "alpha", "1.00", "2.00", "12.50"), (2, "beta", "2.00", "1.00", "2000.00")]
    text = selling.run("route", "explain", "1", "--quantity", "1000").stdout
    assert "policy   cheapest" in text
    assert "3.00 USD for 1000 units" in text


def test_an_offer_that_is_left_out_is_explained_with_its_reason(selling: Shell) -> None:
    (offer, other) = selling.json("route", "explain", "1", "--quantity", "100", "--runs", "99", "--interval", "5")[
        "offers"
    ]
    assert (offer["place"], offer["cost"]) == (1, "9.90")
    assert (other["place"], other["cost"]) == (2, "19.80")
    lean = selling.json("route", "explain", "1", "--quantity", "10000", "--runs", "9", "--interval", "5")["offers"]
    assert (lean[1]["place"], lean[1]["why"]) == (None, "would cost 90.00 of 12.50 that we have there")
    (sold, missing) = selling.json("route", "explain", "3", "--live")["offers"]
    assert (sold["remote_service"], sold["place"]) == ("103", 1)
    assert (missing["remote_service"], missing["place"], missing["why"]) == (
        "999",
        None,
        "not listed by the panel any more",
    )
    assert "not listed by the panel any more" in selling.run("route", "explain", "3").stdout


def test_what_a_customer_would_be_told_is_told(selling: Shell) -> None:
    result = selling.run("route", "explain", "1", "--quantity", "5")
    assert (result.exit_code, result.stderr) == (
        Exit.FAILED,
        'service 1: the customer would be told "Quantity less than minimal 100"\n',
    )
    assert "service 4: not sold; alpha/888: not in the panel's list" in selling.run("route", "explain", "4").stderr
    assert "panelmux catalog search" in selling.run("route", "explain", "777").stderr


def test_other_types_are_explained_with_stand_ins_and_fields_of_your_own(selling: Shell) -> None:
    comments = selling.json("route", "explain", "2", "--quantity", "40")
    assert (comments["type"], comments["units"], comments["charge"]) == ("Custom Comments", 40, "1.08")
    one = selling.json("route", "explain", "2", "--field", "comments=Nice")
    assert one["units"] == 1
    package = selling.run("route", "explain", "106").stdout
    assert "3.75 USD per an order" in package
    assert selling.run("route", "explain", "2", "--field", "comments").exit_code == Exit.MISUSE
    strange = selling.run("route", "explain", "2", "--field", "coments=Nice")
    assert (strange.exit_code, strange.stderr) == (
        Exit.MISUSE,
        "service 2: Custom Comments has no field coments; fields: link, comments\n",
    )
    assert selling.run("route", "explain", "2", "--live", "--offline").exit_code == Exit.MISUSE


def test_an_order_that_nobody_can_take_says_so(selling: Shell, site: Site) -> None:
    site.do(lambda: setattr(site.beta, "balance", Decimal(0)))
    try:
        result = selling.run("route", "explain", "2", "--quantity", "40")
        checked = selling.json("check", code=Exit.FINDINGS)
    finally:
        site.do(lambda: setattr(site.beta, "balance", Decimal(1000)))
    assert result.exit_code == 0
    assert "would cost 0.72 of 0.00 that we have there" in result.stdout
    assert result.stderr == "the order would wait for money at the panels, 6 h at most\n"
    assert "beta: no money there: nothing can be bought" in checked["findings"]


def test_a_stopped_panel_takes_nothing_in_what_is_explained(selling: Shell) -> None:
    for name in ("alpha", "beta"):
        selling.json("panel", "drain", name)
    result = selling.run("route", "explain", "2", "--quantity", "40")
    assert "takes no orders: drained" in result.stdout
    assert "alpha: takes no orders: drained" in selling.json("check", code=Exit.FINDINGS)["findings"]
    assert "nobody can take this order now" in result.stderr


def test_a_panel_can_be_drained_while_the_rules_cannot_be_read(selling: Shell) -> None:
    selling.json("panel", "drain", "beta")
    selling.rules.write_text("margin: [")
    result = selling.run("panel", "drain", "alpha", "--reason", "scam")
    assert result.exit_code == Exit.GOOD, result.stderr
    assert "whether there is a panel alpha is not known" in result.stderr
    assert selling.run("panel", "resume", "alpha").stdout.split()[:2] == ["resumed", "alpha"]


def test_a_route_is_explained_from_the_ledger_while_panels_are_silent(selling: Shell, site: Site) -> None:
    async def work(opened: Ledger) -> None:
        rules = load(selling.rules, selling.environ, PROVIDERS)
        async with panels_of(rules) as made:
            catalog = Catalog(rules, made, opened, InProcess())
            for name in made:
                assert (await catalog.sync(name)).good

    selling.keep(work)
    site.do(site.beta.stop_listening)
    try:
        result = selling.run("route", "explain", "1", "--json")
        listed = selling.json("panel", "list", "--offline")
        live = selling.run("catalog", "search", "followers", "--live")
    finally:
        asyncio.run_coroutine_threadsafe(site.beta.listen(), site.loop).result(10)
    assert [offer["place"] for offer in json.loads(result.stdout)["offers"]] == [1, 2]
    assert result.stderr.startswith("beta: balance: ")
    assert [line["usable"] for line in listed] == [5, 5]
    assert live.stderr.startswith("beta: services: ")
    assert "beta/101 2.00" in live.stdout
