"""rules: what was in force, what would change, another file put in its place; panel drain."""

import json
import signal
from decimal import Decimal

import msgspec
import pytest

from gateway.cli.failure import Exit
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, NewPlacement, Next
from gateway.routing import Choice, Decision
from providers.base import OrderStatus, Status
from tests.test_cli.shell import Shell, placed
from tests.test_cli.test_processes import asked, ended, ready

OLD = "panels: {}\n"


def kept(shell: Shell, *versions: tuple[str, str, str]) -> None:
    async def work(ledger: Ledger) -> None:
        for version, text, why in versions:
            await ledger.keep_rules(version, text, why=why)

    shell.keep(work)


def test_the_log_tells_what_was_taken_and_what_was_not(selling: Shell) -> None:
    kept(selling, ("aaa", "a", ""), ("aaa", "a", ""), ("bbb", "b", "line 1: no"), ("ccc", "c", ""))
    lines = selling.json("rules", "log")
    assert [(line["version"], line["why"]) for line in lines] == [("ccc", ""), ("bbb", "line 1: no"), ("aaa", "")]
    assert "not taken: line 1: no" in selling.run("rules", "log").stdout


def test_a_diff_is_of_what_was_last_in_force(selling: Shell) -> None:
    text = selling.rules.read_text()
    kept(selling, ("aaa1", text.replace("50%", "20%"), ""), ("bbb2", text, ""), ("ccc3", "x", "no"))
    assert selling.json("rules", "diff")["diff"] == []
    assert "says what bbb2 says" in selling.run("rules", "diff").stderr
    shown = selling.run("rules", "diff", "aaa").stdout.splitlines()
    assert ("-margin: 20%" in shown, "+margin: 50%" in shown) == (True, True)
    kept(selling, ("ddd4", text.replace("  - {panel: alpha", "    - {panel:  alpha"), ""))
    shown = selling.run("rules", "diff").stdout.splitlines()
    assert "-    - {panel:  alpha, ids: same}" in shown, "as it is written, to the space"


@pytest.mark.parametrize(("version", "words"), [("zz", "no rules of this version"), ("a", "2 versions begin so")])
def test_a_version_that_cannot_be_meant_is_misuse(selling: Shell, version: str, words: str) -> None:
    kept(selling, ("aaa", "1", ""), ("abb", "2", ""))
    result = selling.run("rules", "diff", version)
    assert (result.exit_code, words in result.stderr) == (Exit.MISUSE, True)


def test_rules_with_a_mistake_are_not_applied(selling: Shell) -> None:
    before = selling.rules.read_text()
    (selling.folder / "next.yaml").write_text(before + "policy: cheapst\n")
    selling.run("account", "create", "shop")
    result = selling.run("rules", "apply", "next.yaml", "--yes")
    assert result.exit_code == Exit.RULES
    assert 'did you mean "cheapest"?' in result.stderr
    assert selling.rules.read_text() == before


def test_applying_asks_and_a_dry_run_does_nothing(selling: Shell) -> None:
    before = selling.rules.read_text()
    (selling.folder / "next.yaml").write_text(before.replace("50%", "60%"))
    selling.run("account", "create", "shop")
    asked_first = selling.run("rules", "apply", "next.yaml")
    assert (asked_first.exit_code, "nobody to ask" in asked_first.stderr) == (Exit.MISUSE, True)
    assert "+margin: 60%" in selling.run("rules", "apply", "next.yaml", "--dry-run").stdout
    assert selling.rules.read_text() == before
    selling.rules.chmod(0o600)
    done = selling.json("rules", "apply", "next.yaml")
    assert (done["done"], done["heard"]) == (True, None)
    assert selling.rules.read_text() == before.replace("50%", "60%")
    assert selling.rules.stat().st_mode & 0o777 == 0o600


def test_a_running_gateway_takes_what_is_applied_and_goes_back(selling: Shell) -> None:
    made = selling.json("account", "create", "shop", "--balance", "50")
    process = selling.start("serve", "--port", "0", "--json")
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        ready(url)

        def rate() -> str:
            rows = asked(f"{url}/api/v2", key=made["key"], action="services")
            return str(next(row["rate"] for row in rows if row["service"] == 1))

        assert rate() == "3.00"
        (selling.folder / "next.yaml").write_text(selling.rules.read_text().replace("margin: 50%", "margin: 100%"))
        assert selling.json("rules", "apply", "next.yaml")["heard"] is True
        assert rate() == "4.00"
        assert selling.json("rules", "rollback")["heard"] is True
        assert rate() == "3.00"
        mistaken = selling.folder / "mistaken.yaml"
        mistaken.write_text(selling.rules.read_text().replace("margin: 50%", "currency: EUR"))
        refused = selling.run("rules", "apply", str(mistaken), "--yes")
        assert refused.exit_code != Exit.GOOD
        assert rate() == "3.00"
        process.send_signal(signal.SIGHUP)
        drained = selling.json("panel", "drain", "alpha", "--reason", "new owner")
        assert (drained["done"], drained["open_orders"]) == (True, 0)
    finally:
        code, _, told = ended(process)
    assert code == 0, told
    versions = [line["version"] for line in selling.json("rules", "log")]
    assert versions[-1] == versions[-3] != versions[-2]
    assert selling.json("rules", "apply", "next.yaml")["heard"] is None
    assert "margin: 100%" in selling.rules.read_text()
    assert selling.json("rules", "rollback")["done"] is True
    assert "margin: 50%" in selling.rules.read_text(), "what no gateway took is what is undone"


def test_a_panel_is_drained_and_taken_back(selling: Shell) -> None:
    selling.keep(placed)
    looked = selling.json("panel", "drain", "alpha", "--dry-run")
    assert (looked["done"], looked["open_orders"]) == (False, 1)
    assert selling.json("panel", "drain", "alpha")["done"] is True
    again = selling.json("panel", "drain", "alpha")
    assert (again["done"], again["was_stopped_for"]) == (False, "drained")
    assert "it takes no orders already: drained" in selling.run("panel", "drain", "alpha").stderr
    assert selling.json("panel", "resume", "alpha")["done"] is True
    assert selling.run("panel", "drain", "alhpa").exit_code != Exit.GOOD


def order_of(shell: Shell, *, link: str, quantity: int = 1000) -> int:
    """An order of service 1, placed as the gateway places it: both panels could take it."""
    choices = (Choice("alpha", "101", Decimal("1.00"), 1.0), Choice("beta", "101", Decimal("2.00"), 1.0))
    decision = Decision(policy="cheapest", choices=choices, left_out=())

    async def work(ledger: Ledger) -> int:
        account = await ledger.account("shop") or await ledger.create_account("shop", unlimited=True)
        new = NewPlacement(
            account=account.id,
            service=1,
            type="Default",
            link=link,
            fields=json.dumps({"link": link, "quantity": quantity}),
            quantity=quantity,
            units=quantity,
            charge=Decimal("3.00"),
            refill=False,
            cancel=True,
            decision=msgspec.json.encode(decision).decode(),
            first=Next(panel="alpha", remote_service="101", cost=Decimal("1.00"), remote_cost=Decimal("1.00")),
        )
        placed = await ledger.place(new)
        assert placed.attempt is not None
        await ledger.settle(placed.attempt, Accepted(remote_id=link))
        return placed.order

    kept: int = shell.keep(work)
    return kept


def test_other_rules_are_tried_on_the_orders_that_there_were(selling: Shell) -> None:
    small, big = order_of(selling, link="a", quantity=500), order_of(selling, link="b")
    for name in ("alpha", "beta"):
        assert selling.run("catalog", "sync", name).exit_code == Exit.GOOD
    text = selling.rules.read_text()
    other = selling.folder / "next.yaml"
    other.write_text(text)
    same = selling.json("rules", "simulate", "next.yaml")
    assert (same["orders"], same["moved"], same["lost"], same["change"]) == (2, 0, 0, "+0.0")
    assert same["cost_before"] == same["cost_after"] == "1.50"
    other.write_text(text.replace("{name: Followers, routes: [alpha/101, beta/101]}", "{routes: [beta/101]}"))
    found = selling.json("rules", "simulate", "next.yaml")
    assert (found["moved"], found["cost_after"], found["change"]) == (2, "3.00", "+100.0")
    other.write_text(text.replace("name: Followers,", 'name: Followers, when: {quantity: ">= 1000"},'))
    found = selling.json("rules", "simulate", "next.yaml")
    assert (found["lost"], found["examples"]["lost"], found["moved"]) == (1, [small], 0)
    assert big not in found["examples"]["lost"]
    assert selling.json("rules", "simulate", "next.yaml", "--since", "1m")["orders"] == 2
    assert "nobody takes any more" in selling.run("rules", "simulate", "next.yaml").stdout
    assert selling.run("rules", "simulate", "next.yaml", "--since", "soon").exit_code == Exit.MISUSE


def test_what_was_saved_is_told_against_each_panel_alone(selling: Shell) -> None:
    whole, part, _open = (order_of(selling, link=link) for link in "abc")
    told = {whole: Status(word="", status=OrderStatus.COMPLETED, charge=Decimal(1))}
    told[part] = Status(word="", status=OrderStatus.PARTIAL, remains=500, charge=Decimal("0.5"))

    async def work(ledger: Ledger) -> None:
        for order, status in told.items():
            [attempt] = await ledger.attempts(order)
            await ledger.observe(attempt.id, status, next_ms=None)

    selling.keep(work)
    found = selling.json("route", "savings")
    assert (found["orders"], found["paid"]) == (2, "1.50"), "of those that ended"
    assert [(one["panel"], one["could"], one["there"], one["saved"]) for one in found["panels"]] == [
        ("alpha", 2, "1.50", "+0.0"),
        ("beta", 2, "3.00", "+50.0"),
    ]
    assert "+50.0 %" in selling.run("route", "savings").stdout
