"""Orders: list, show, resolve."""

import asyncio
import sys
from collections.abc import Sequence
from decimal import Decimal

import pytest
from click.testing import CliRunner

from gateway.__main__ import panelmux
from gateway.cli.failure import Exit
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, NewPlacement, Next, Untracked, Wait
from providers.base import OrderStatus, Status
from tests.test_cli.shell import Shell, Site, placed


def test_orders_are_listed_newest_first_and_filtered(shell: Shell) -> None:
    async def work(opened: Ledger) -> tuple[int, int]:
        open_, done = await placed(opened), await placed(opened, panel="beta", unknown=False)
        [attempt] = await opened.attempts(done)
        await opened.observe(
            attempt.id, Status(status=OrderStatus.COMPLETED, word="Completed", remains=0), next_ms=None
        )
        await opened.create_account("other")
        return open_, done

    open_, done = shell.keep(work)
    lines = shell.json("order", "list")
    assert [line["id"] for line in lines] == [done, open_]
    assert [(line["account"], line["panel"], line["status"], line["unknown"]) for line in lines] == [
        ("shop", "beta", "Completed", False),
        ("shop", "alpha", "Pending", True),
    ]
    assert [line["id"] for line in shell.json("order", "list", "--unknown")] == [open_]
    assert shell.json("order", "list", "--status", "Cancelled") == []
    assert [line["id"] for line in shell.json("order", "list", "--status", "completed")] == [done]
    assert [line["id"] for line in shell.json("order", "list", "--limit", "1")] == [done]
    assert shell.json("order", "list", "--account", "other") == []
    assert "Pending (unknown)" in shell.run("order", "list").stdout
    assert shell.run("order", "list", "--account", "other").stderr == "no such order\n"
    assert shell.run("order", "list", "--account", "shp").exit_code == Exit.FAILED


def test_an_order_is_listed_as_its_customer_sees_it(shell: Shell) -> None:
    async def work(opened: Ledger) -> None:
        order = await placed(opened, unknown=False, runs=3)
        half = Status(status=OrderStatus.PARTIAL, word="Partial", remains=1000)
        [attempt] = await opened.attempts(order)
        await opened.observe(attempt.id, half, next_ms=None)

    shell.keep(work)
    (line,) = shell.json("order", "list")
    assert (line["charge"], line["refunded"], line["quantity"], line["runs"]) == ("1.00", "0.50", 1000, 3)
    row = shell.run("order", "list").stdout.splitlines()[1].split("  ")
    assert {" 1000 x3".strip(), "1.00"} <= {cell.strip() for cell in row}
    assert shell.run("order", "list", "--unknown").stderr == "none\n"


def test_a_charge_that_is_far_from_the_expected_one_is_told(selling: Shell, site: Site) -> None:
    order = selling.keep(placed)
    reply = site.do(lambda: site.alpha.ask("add", service="104", link="https://x.example/p", comments="a\nb"))
    assert isinstance(reply, dict)
    looked = selling.run("order", "resolve", str(order), "--bind", str(reply["order"]), "--dry-run")
    assert looked.exit_code == 0
    assert "careful: it took 0.018 USD where 1.00 was expected: the id may be another order's" in looked.stderr


def test_an_order_is_shown_with_its_decision_attempts_and_history(shell: Shell) -> None:
    order = shell.keep(placed)
    shown = shell.json("order", "show", str(order))
    assert shown["fields"] == {"link": "https://x.example/p", "quantity": 1000}
    assert shown["decision"]["left_out"][0]["why"] == "circuit open"
    (attempt,) = shown["attempts"]
    assert (attempt["panel"], attempt["outcome"], attempt["evidence"]) == (
        "alpha",
        "unknown",
        {"phase": "sent", "http": 502},
    )
    assert "unknown" in [event["what"] for event in shown["events"]]
    result = shell.run("order", "show", str(order))
    for words in ("offers, cheapest first", "circuit open", "attempts", "history", "phase sent, http 502", "1.50"):
        assert words in result.stdout
    assert f"panelmux order resolve {order} --bind REMOTE_ID" in result.stderr


def test_an_order_without_a_readable_decision_is_shown_all_the_same(shell: Shell) -> None:
    async def work(opened: Ledger) -> int:
        account = await opened.create_account("shop", unlimited=True)
        new = NewPlacement(
            account=account.id,
            service=1,
            type="Default",
            link="https://x.example/",
            fields="[1]",
            quantity=1,
            units=1,
            charge=Decimal(1),
            refill=False,
            cancel=False,
            decision='{"made": "by a later version"}',
            first=Next(panel="alpha", remote_service="1", cost=Decimal(1), remote_cost=Decimal(1)),
        )
        return (await opened.place(new)).order

    order = shell.keep(work)
    result = shell.run("order", "show", str(order))
    assert result.exit_code == 0
    assert "offers" not in result.stdout
    assert "sending" in result.stdout
    still = shell.run("order", "resolve", str(order), "--not-placed", "--reason", "r", "--yes")
    assert still.exit_code == Exit.FAILED
    assert "still under way" in still.stderr


def test_an_order_that_is_not_there_is_a_failure(shell: Shell) -> None:
    shell.run("account", "create", "shop")
    assert shell.run("order", "list").stderr == "no order yet\n"
    for args in (("show", "5"), ("resolve", "5", "--bind", "1")):
        result = shell.run("order", *args)
        assert (result.exit_code, result.stderr) == (
            Exit.FAILED,
            "order 5: no such order; panelmux order list shows the newest\n",
        )


def bought(site: Site) -> str:
    """An order that alpha took and nobody was told of; its id there."""
    reply = site.do(lambda: site.alpha.ask("add", service="101", link="https://x.example/p", quantity="1000"))
    assert isinstance(reply, dict)
    return str(reply["order"])


def test_an_unknown_order_is_bound_after_the_panel_was_asked(selling: Shell, site: Site) -> None:
    order = selling.keep(placed)
    remote_id = bought(site)
    looked = selling.run("order", "resolve", str(order), "--bind", remote_id, "--dry-run")
    assert looked.exit_code == 0
    assert "careful" not in looked.stderr
    assert f"alpha says of its order {remote_id}: Pending, 1000 of our 1000 remain, charge 1.00 USD" in looked.stderr
    assert selling.json("order", "list", "--unknown")[0]["id"] == order

    resolved = selling.json("order", "resolve", str(order), "--bind", remote_id, "--yes", "--reason", "its page")
    assert (resolved["outcome"], resolved["remote_id"], resolved["done"]) == ("accepted", remote_id, True)
    (attempt,) = selling.json("order", "show", str(order))["attempts"]
    assert (attempt["outcome"], attempt["remote_id"]) == ("accepted", remote_id)
    history = selling.run("order", "show", str(order)).stdout
    assert "by operator" in history
    assert "its page" in history
    assert selling.json("account", "list")[0]["held"] == "0.00"


def test_an_id_that_another_order_has_is_not_bound_twice(selling: Shell, site: Site) -> None:
    first, second = selling.keep(placed), selling.keep(placed)
    remote_id = bought(site)
    assert selling.run("order", "resolve", str(first), "--bind", remote_id, "--yes").exit_code == 0
    for option in ("--dry-run", "--yes"):
        again = selling.run("order", "resolve", str(second), "--bind", remote_id, option)
        assert again.exit_code == Exit.FAILED
        assert again.stderr == f"alpha: its order {remote_id} is our order {first} already; nothing was bound\n"
    assert [line["id"] for line in selling.json("order", "list", "--unknown")] == [second]


def test_an_id_that_the_panel_does_not_know_is_not_bound(selling: Shell) -> None:
    order = selling.keep(placed)
    result = selling.run("order", "resolve", str(order), "--bind", "999999", "--yes")
    assert result.exit_code == Exit.FAILED
    assert "alpha: status of 999999: the panel" in result.stderr
    assert "nothing was bound" in result.stderr
    assert selling.json("order", "list", "--unknown")


def test_nothing_is_bound_while_the_panel_cannot_be_asked(selling: Shell, site: Site) -> None:
    order = selling.keep(placed)
    site.do(site.beta.stop_listening)
    selling.rules.write_text(selling.rules.read_text().replace(site.urls["alpha"], site.urls["beta"]))
    try:
        result = selling.run("order", "resolve", str(order), "--bind", "1", "--yes")
    finally:
        asyncio.run_coroutine_threadsafe(site.beta.listen(), site.loop).result(10)
    assert result.exit_code == Exit.UNREACHABLE
    assert "status" in result.stderr
    assert selling.json("order", "list", "--unknown")


def test_a_panel_that_left_the_rules_is_named(selling: Shell) -> None:
    async def work(opened: Ledger) -> tuple[int, int]:
        return await placed(opened, panel="alpa"), await placed(opened, panel="zzz")

    near, far = selling.keep(work)
    assert "panel alpa: not in the rules; did you mean alpha?" in (
        selling.run("order", "resolve", str(near), "--bind", "1").stderr
    )
    assert "panels: alpha, beta" in selling.run("order", "resolve", str(far), "--bind", "1").stderr


def test_what_was_not_placed_is_given_back_with_a_reason(shell: Shell) -> None:
    order = shell.keep(placed)
    assert shell.json("account", "list")[0]["balance"] == "98.50"
    looked = shell.json("order", "resolve", str(order), "--not-placed", "--reason", "not in its list", "--dry-run")
    assert looked["done"] is False
    result = shell.run("order", "resolve", str(order), "--not-placed", "--reason", "not in its list", "--yes")
    assert result.exit_code == 0
    assert "1.50 goes back to the account" in result.stderr
    assert "may still arrive there" in result.stderr
    assert "not_placed" in result.stdout
    (line,) = shell.json("order", "list")
    assert (line["status"], line["unknown"]) == ("Canceled", False)
    assert shell.json("account", "list")[0]["balance"] == "100.00"
    again = shell.run("order", "resolve", str(order), "--not-placed", "--reason", "x", "--yes")
    assert (again.exit_code, "no attempt whose outcome is unknown" in again.stderr) == (Exit.FAILED, True)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "say one of --bind REMOTE_ID, --not-placed, --failover and --refund"),
        (("--bind", "1", "--not-placed"), "say one of --bind REMOTE_ID, --not-placed, --failover and --refund"),
        (("--not-placed",), "--not-placed needs --reason"),
        (("--refund",), "--refund needs --reason"),
        (("--failover",), "--failover needs --reason"),
        (("--failover", "--refund", "--reason", "r"), "say one of"),
        (("--not-placed", "--reason", "  "), "--not-placed needs --reason"),
        (("--not-placed", "--reason", "r"), "nobody to ask; say --yes"),
    ],
)
def test_resolving_wants_one_clear_word_and_a_yes(shell: Shell, args: Sequence[str], words: str) -> None:
    order = shell.keep(placed)
    result = shell.run("order", "resolve", str(order), *args)
    assert result.exit_code == Exit.MISUSE
    assert words in result.stderr
    assert shell.json("order", "list", "--unknown")


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.GOOD), ("n\n", Exit.FAILED), ("", Exit.INTERRUPTED)])
def test_on_a_terminal_resolving_asks_first(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str, code: Exit
) -> None:
    order = shell.keep(placed)
    monkeypatch.setattr(sys.modules["gateway.cli.failure"], "_is_terminal", lambda: True)
    args = ["order", "resolve", str(order), "--not-placed", "--reason", "r"]
    result = CliRunner().invoke(panelmux, args, input=answer, env=shell.environ)
    assert result.exit_code == code
    assert "Do it?" in result.stderr
    assert bool(shell.json("order", "list", "--unknown")) is (code is not Exit.GOOD)


def test_what_the_gateway_learned_meanwhile_stands(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shell.keep(placed)

    async def learned(opened: Ledger) -> None:
        (attempt,) = await opened.attempts(order)
        await opened.settle(attempt.id, Accepted(remote_id="4711"))

    def confirmed(_command: str, *, yes: bool) -> None:
        shell.keep(learned)

    monkeypatch.setattr(sys.modules["gateway.cli.order.resolve"], "confirmed", confirmed)
    result = shell.run("order", "resolve", str(order), "--not-placed", "--reason", "r")
    assert result.exit_code == Exit.FAILED
    assert result.stderr.splitlines()[-1].startswith("ledger: ")
    (attempt,) = shell.json("order", "show", str(order))["attempts"]
    assert (attempt["outcome"], attempt["remote_id"]) == ("accepted", "4711")
    assert shell.json("account", "list")[0]["balance"] == "98.50"


def test_the_short_list_says_how_old_what_is_at_risk_and_why(shell: Shell) -> None:
    async def work(opened: Ledger) -> tuple[int, int]:
        first, second = await placed(opened), await placed(opened, panel="beta")
        [one], [other] = await opened.attempts(first), await opened.attempts(second)
        await opened.looked(one.id, why="several ids there fit it: people have to look", next_ms=None, evidence="{}")
        await opened.settle(other.id, Untracked())
        return first, second

    first, second = shell.keep(work)
    lines = {line["id"]: line for line in shell.json("order", "list", "--unknown")}
    assert (lines[first]["unknown"], lines[first]["untracked"], lines[first]["at_risk"]) == (True, False, "1.00")
    assert (lines[second]["unknown"], lines[second]["untracked"]) == (False, True)
    assert lines[first]["age_s"] < 60
    shown = shell.run("order", "list", "--unknown")
    assert "several ids there fit it" in shown.stdout
    assert "untracked" in shown.stdout
    assert shown.stderr == "2 orders, 2.00 at risk; panelmux order show ORDER lays the evidence out\n"
    assert "Pending (untracked)" in shell.run("order", "list").stdout


def test_what_an_attempt_cost_and_the_customer_paid_goes_back_whatever_became_of_it(shell: Shell) -> None:
    order = shell.keep(placed)
    resolve = ("order", "resolve", str(order), "--refund", "--reason", "the customer is a friend")
    looked = shell.run(*resolve, "--dry-run")
    assert looked.exit_code == 0
    assert "its cost 1.00 is ours" in looked.stderr
    assert "1.50 goes back to the account; the order is Canceled" in looked.stderr
    done = shell.json(*resolve, "--yes")
    assert (done["outcome"], done["refunded"], done["done"]) == ("untracked", "1.50", True)
    shown = shell.json("order", "show", str(order))
    assert (shown["status"], shown["charge"], shown["refunded"]) == ("Canceled", "1.50", "1.50")
    given = next(event for event in shown["events"] if event["what"] == "given_back")
    assert given["evidence"]["reason"] == "the customer is a friend"
    again = shell.run(*resolve, "--yes")
    assert (again.exit_code, again.stderr) == (
        Exit.FAILED,
        f"order {order}: all of its money is back already, or was never taken\n",
    )
    account = shell.keep(lambda opened: opened.account("shop"))
    assert (account.available, account.held) == (100, 0)
    assert shell.keep(lambda opened: opened.totals()).wrong == ()


def test_a_bought_order_is_refunded_too_and_found_ones_are_bound_later(selling: Shell, site: Site) -> None:
    async def work(opened: Ledger) -> tuple[int, int]:
        accepted, untracked = await placed(opened, unknown=False), await placed(opened)
        [attempt] = await opened.attempts(untracked)
        await opened.settle(attempt.id, Untracked())
        return accepted, untracked

    accepted, untracked = selling.keep(work)
    looked = selling.run("order", "resolve", str(accepted), "--refund", "--reason", "r", "--dry-run")
    assert "alpha goes on with it" in looked.stderr
    assert (
        selling.json("order", "resolve", str(accepted), "--refund", "--reason", "r", "--yes")["outcome"] == "accepted"
    )
    for word in ("--not-placed", "--failover"):
        refused = selling.run("order", "resolve", str(untracked), word, "--reason", "r", "--yes")
        assert refused.exit_code == Exit.FAILED
        assert "the evidence says that the panel took it: --bind REMOTE_ID, or --refund" in refused.stderr
    hint = selling.run("order", "show", str(untracked)).stderr
    assert "under an id that is not known" in hint
    bound = selling.json("order", "resolve", str(untracked), "--bind", bought(site), "--yes")
    assert bound["outcome"] == "accepted"


def test_a_failover_is_left_to_the_gateway(shell: Shell) -> None:
    order = shell.keep(placed)
    resolve = ("order", "resolve", str(order), "--failover", "--reason", "support says they have no such order")
    looked = shell.run(*resolve, "--dry-run")
    assert "the gateway does it in" in looked.stderr
    done = shell.json(*resolve, "--yes")
    assert (done["outcome"], done["done"]) == ("failover", True)
    [wish] = shell.keep(lambda opened: opened.wishes())
    assert (wish.order, wish.what, wish.reason) == (order, "failover", "support says they have no such order")
    assert wish.by.startswith("operator ")


def test_orders_that_wait_are_listed_shown_and_given_up(shell: Shell) -> None:
    async def work(opened: Ledger) -> tuple[int, int]:
        other = await placed(opened)
        account = await opened.account("shop")
        assert account is not None
        wait = Wait(until_ms=1_900_000_000_000, why="our money at the panels does not carry it")
        new = NewPlacement(
            account=account.id,
            service=1,
            type="Default",
            link="https://x.example/waits",
            fields='{"link": "https://x.example/waits", "quantity": 500}',
            quantity=500,
            units=500,
            charge=Decimal("0.75"),
            refill=False,
            cancel=False,
            decision='{"policy":"cheapest","choices":[],"left_out":[]}',
            first=wait,
        )
        return other, (await opened.place(new)).order

    other, order = shell.keep(work)
    (line,) = shell.json("order", "list", "--waiting")
    assert (line["id"], line["waiting"], line["waits_until"][:10]) == (order, True, "2030-03-17")
    assert line["why"] == "our money at the panels does not carry it"
    listed = shell.run("order", "list", "--waiting")
    assert "https://x.example/waits" in listed.stdout
    assert "1 orders, 0.75 of charges" in listed.stderr
    assert "Pending (waiting)" in shell.run("order", "list").stdout
    assert shell.run("order", "list", "--waiting", "--unknown").exit_code == Exit.MISUSE
    assert [line["waiting"] for line in shell.json("order", "list", "--unknown")] == [False]

    shown = shell.run("order", "show", str(order))
    assert "500 units wait until somebody can take them, or until 2030-03-17" in shown.stderr
    assert shell.json("order", "show", str(order))["waiting"] == 500
    assert shell.json("order", "show", str(other))["waiting"] == 0

    refund = ("order", "resolve", str(order), "--refund", "--reason", "the shop asked")
    looked = shell.run(*refund, "--dry-run")
    assert f"order {order} waits, and nobody has it: 0.75 goes back to the account" in looked.stderr
    assert shell.json("order", "list", "--waiting") != []
    resolved = shell.json(*refund, "--yes")
    assert (resolved["outcome"], resolved["attempt"], resolved["refunded"]) == ("given up", None, "0.75")
    assert shell.json("order", "list", "--waiting") == []
    assert shell.run("order", "list", "--waiting").stderr == "none\n"
    assert "the shop asked" in shell.run("order", "show", str(order)).stdout
    assert shell.run("ledger", "check").exit_code == 0
