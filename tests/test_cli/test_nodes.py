"""Who sells from a ledger in PostgreSQL, and by which rules, told to a person and to a program."""

import time

import asyncpg
import pytest

from gateway.cli import beats
from gateway.cli.failure import Exit
from tests.test_cli.gateways import Gateways
from tests.test_cli.shell import Shell


def test_nodes_that_go_by_the_same_rules_are_listed_and_good(shell: Shell, gateways: Gateways) -> None:
    first, second = gateways.joined("a", "r1"), gateways.joined("b", "r1")
    listed = shell.json("node", "list")
    assert [(line["node"], line["epoch"], line["leads"], line["beats"], line["rules"]) for line in listed] == [
        ("a", first, True, True, "r1"),
        ("b", second, False, True, "r1"),
    ]
    assert [line["dead_s"] for line in listed] == [None, None]
    shown = shell.run("node", "list")
    assert (shown.exit_code, shown.stderr) == (Exit.GOOD, "")
    assert shown.stdout.splitlines()[0].split() == ["node", "epoch", "leads", "started", "beats", "rules"]
    assert [(line.split()[:2], "leads" in line) for line in shown.stdout.splitlines()[1:]] == [
        (["a", str(first)], True),
        (["b", str(second)], False),
    ]


def test_it_says_which_node_goes_by_which_rules_where_they_differ(shell: Shell, gateways: Gateways) -> None:
    for name, rules in (("a", "r1"), ("b", "r2"), ("c", "r1")):
        gateways.joined(name, rules)
    shown = shell.run("node", "list")
    assert (shown.exit_code, shown.stderr) == (
        Exit.FINDINGS,
        "rules differ: r1 2 nodes (a, c); r2 1 node (b)\n",
    )
    assert [line["rules"] for line in shell.json("node", "list", code=Exit.FINDINGS)] == ["r1", "r2", "r1"]


def test_one_that_does_not_beat_is_silent_and_neither_leads_nor_has_a_say(shell: Shell, gateways: Gateways) -> None:
    gateways.joined("a", "r1")
    gateways.joined("b", "r2")
    gateways.beating.remove("a")
    shown = shell.run("node", "list")
    assert shown.exit_code == Exit.FINDINGS
    assert "rules differ" not in shown.stderr
    first, second = shown.stdout.splitlines()[1:]
    assert "silent" in first
    assert "silent" not in second
    assert not any(line["leads"] for line in shell.json("node", "list", code=Exit.FINDINGS))


def test_one_that_was_taken_for_dead_of_late_is_told_of_and_is_no_finding(shell: Shell, gateways: Gateways) -> None:
    dead, heir = gateways.joined("a", "r1"), gateways.joined("b", "r2")
    gateways.taken_for_dead(dead)
    before = gateways.rows()
    listed = shell.json("node", "list")
    assert [(line["epoch"], line["leads"], line["beats"]) for line in listed] == [
        (dead, False, False),
        (heir, True, True),
    ]
    assert listed[0]["dead_s"] >= 0
    assert listed[1]["dead_s"] is None
    shown = shell.run("node", "list")
    assert (shown.exit_code, shown.stderr) == (Exit.GOOD, "")
    assert " ago" in shown.stdout.splitlines()[1].partition("dead, ")[2]
    changed = [row[:2] for row, was in zip(gateways.rows(), before, strict=True) if row != was]
    assert changed == [(heir, "b")], "nothing but its own beats"


def test_a_node_that_joins_while_they_are_watched_beats(
    shell: Shell, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways.joined("a", "r1")

    async def later(seconds: float) -> None:
        await gateways.live(seconds)
        raw = await asyncpg.connect(gateways.url)
        await raw.execute("INSERT INTO node (epoch, name, beat, started_ms, rules) VALUES (99, 'b', 1, 0, 'r1')")
        await raw.close()

    monkeypatch.setattr("gateway.cli.node.watched", lambda opened: beats.watched(opened, sleep=later))
    assert [line["beats"] for line in shell.json("node", "list")] == [True, True]


def test_one_that_is_taken_for_dead_while_they_are_watched_does_not_live_and_then_nobody_does(
    shell: Shell, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways.joined("a", "r1")

    async def ends(seconds: float) -> None:
        await gateways.live(seconds)
        raw = await asyncpg.connect(gateways.url)
        await raw.execute("UPDATE node SET ended_ms = $1", time.time_ns() // 1_000_000)
        await raw.close()

    monkeypatch.setattr("gateway.cli.node.watched", lambda opened: beats.watched(opened, sleep=ends))
    shown = shell.run("node", "list")
    assert (shown.exit_code, shown.stderr) == (Exit.FINDINGS, "no gateway sells from this ledger\n")
    assert "dead, " in shown.stdout
    [line] = shell.json("node", "list", code=Exit.FINDINGS)
    assert not line["beats"]
    assert not line["leads"]


def test_where_nobody_sells_it_says_so(shell: Shell, gateways: Gateways) -> None:
    assert gateways.rows() == []
    shown = shell.run("node", "list")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (Exit.FINDINGS, "", "no gateway sells from this ledger\n")
    assert shell.json("node", "list", code=Exit.FINDINGS) == []


def test_where_all_are_silent_nobody_sells(shell: Shell, gateways: Gateways) -> None:
    gateways.joined("a", "r1")
    gateways.beating.clear()
    shown = shell.run("node", "list")
    assert (shown.exit_code, shown.stderr) == (Exit.FINDINGS, "no gateway sells from this ledger\n")
    assert "silent" in shown.stdout


def test_what_a_restored_backup_left_is_no_gateway(shell: Shell, gateways: Gateways) -> None:
    assert shell.run("ledger", "reopen", "--yes").exit_code == Exit.GOOD
    assert len(gateways.rows()) == 2, "epochs that are not given again"
    assert shell.json("node", "list", code=Exit.FINDINGS) == []
    epoch = gateways.joined("a", "r1")
    assert [line["epoch"] for line in shell.json("node", "list")] == [epoch], "and nothing is to be looked at"


def test_a_ledger_is_not_reopened_under_a_node_that_beats(shell: Shell, gateways: Gateways) -> None:
    epoch = gateways.joined("a", "r1")
    refused = shell.run("ledger", "reopen", "--yes")
    assert (refused.exit_code, refused.stderr) == (Exit.UNREACHABLE, "gateways sell from it: a; stop them first\n")
    gateways.taken_for_dead(epoch)
    assert shell.run("ledger", "reopen", "--yes").exit_code == Exit.GOOD


def test_from_a_file_one_process_sells(shell: Shell) -> None:
    refused = shell.run("node", "list")
    assert (refused.exit_code, refused.stdout) == (Exit.MISUSE, "")
    assert refused.stderr == "a ledger in SQLite has no nodes: one process sells from it, or none\n"
