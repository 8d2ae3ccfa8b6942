"""Rules put in place where several gateways sell from one ledger: who has taken them, and what to go back to."""

from collections.abc import Sequence

import pytest

from gateway.cli.failure import Exit
from gateway.ledger.protocol import Ledger
from gateway.ledger.reports import Node
from gateway.ledger.sql.ledger import SQLLedger
from gateway.rules.loading import version_of
from tests.test_cli.gateways import Gateways
from tests.test_cli.shell import Shell

NEXT = "margin: 60%"


@pytest.fixture
def before(selling: Shell, gateways: Gateways) -> str:
    """The version that the rules file has; beside it lies next.yaml. The rules before were of 20 %."""
    text = selling.rules.read_text()
    (selling.folder / "next.yaml").write_text(text.replace("margin: 50%", NEXT))
    version = version_of(text.encode())
    earlier = text.replace("margin: 50%", "margin: 20%")

    async def work(opened: Ledger) -> None:
        await opened.keep_rules(version_of(earlier.encode()), earlier)
        await opened.keep_rules(version, text)

    gateways.shell.keep(work)
    return version


def test_what_is_applied_is_taken_by_every_node_that_lives(selling: Shell, gateways: Gateways, before: str) -> None:
    for name in ("a", "b", "silent"):
        gateways.joined(name, before)
    gateways.beating.remove("silent")
    gateways.following = {"a", "b"}
    done = selling.run("rules", "apply", "next.yaml", "--yes")
    assert done.exit_code == Exit.GOOD, done.output
    assert done.stderr == "all 2 nodes have taken it\n"
    assert NEXT in selling.rules.read_text()


def test_what_is_put_back_is_taken_by_every_node_that_lives(selling: Shell, gateways: Gateways, before: str) -> None:
    gateways.joined("a", before)
    gateways.following = {"a"}
    assert selling.json("rules", "rollback")["heard"] is True
    assert "margin: 20%" in selling.rules.read_text()
    done = selling.run("rules", "rollback", before, "--yes")
    assert (done.exit_code, done.stderr) == (Exit.GOOD, "the one node that lives has taken it\n")


def test_who_has_not_taken_it_in_time_is_named(selling: Shell, gateways: Gateways, before: str) -> None:
    for name in ("a", "b"):
        gateways.joined(name, before)
    gateways.joined("c", "")
    gateways.following = {"a"}
    done = selling.run("rules", "apply", "next.yaml", "--yes")
    assert done.exit_code == Exit.FINDINGS
    assert done.stderr == (
        f"{selling.rules}: in place, and not all nodes have taken it, these go by others: b (by {before}), "
        "c (by none yet): has each node the same file? see their logs, and panelmux node list\n"
    )
    assert NEXT in selling.rules.read_text()


def test_why_a_node_would_not_take_it_is_told(selling: Shell, gateways: Gateways, before: str) -> None:
    gateways.joined("a", before)
    version = version_of((selling.folder / "next.yaml").read_bytes())
    selling.keep(lambda opened: opened.keep_rules(version, "", why="orders are open at gamma"))
    done = selling.run("rules", "apply", "next.yaml", "--yes")
    assert done.exit_code == Exit.FINDINGS
    assert done.stderr.endswith(f"a (by {before}): orders are open at gamma\n")


def test_nodes_are_waited_for_and_one_that_ends_or_joins_meanwhile_counts_so(
    selling: Shell, gateways: Gateways, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, _slow = gateways.joined("dead", before), gateways.joined("slow", before)
    looks: list[Sequence[str]] = []
    reads = SQLLedger.nodes

    async def then(ledger: SQLLedger) -> Sequence[Node]:
        nodes = await reads(ledger)
        looks.append([node.name for node in nodes if node.ended_ms is None])
        if len(looks) == 3:
            await ledger.take_over(dead)
        if len(looks) == 4:
            await ledger.join("joins")
            await ledger.beat("")
        if len(looks) == 5:
            gateways.following = {"slow", "joins"}
        return nodes

    monkeypatch.setattr(SQLLedger, "nodes", then)
    done = selling.run("rules", "apply", "next.yaml", "--yes")
    assert (done.exit_code, done.stderr) == (Exit.GOOD, "all 2 nodes have taken it\n")
    assert looks[2:] == [["dead", "slow"], ["slow"], ["slow", "joins"], ["slow", "joins"]]


def test_where_no_node_lives_the_file_is_put_in_place(selling: Shell, gateways: Gateways, before: str) -> None:
    gateways.joined("silent", before)
    gateways.beating.clear()
    done = selling.run("rules", "apply", "next.yaml", "--yes")
    assert (done.exit_code, done.stderr) == (Exit.GOOD, "in place; no gateway is running\n")
    assert selling.json("rules", "rollback")["heard"] is None


def test_where_nodes_go_by_different_rules_there_are_none_before(
    selling: Shell, gateways: Gateways, before: str
) -> None:
    text = selling.rules.read_text()
    gateways.joined("a", before)
    gateways.joined("b", "other")
    for words in (("--yes",), ("--dry-run",)):
        refused = selling.run("rules", "rollback", *words)
        assert (refused.exit_code, refused.stdout) == (Exit.MISUSE, "")
        assert refused.stderr == "rules: nodes go by different rules: say which VERSION; panelmux node list\n"
    assert selling.rules.read_text() == text
    gateways.following = {"a", "b"}
    [earlier] = [one["version"] for one in selling.json("rules", "log") if one["version"] != before]
    assert selling.json("rules", "rollback", earlier)["heard"] is True
    assert "margin: 20%" in selling.rules.read_text()
