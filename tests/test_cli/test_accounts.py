"""Accounts and keys."""

import pytest

from gateway.cli.failure import Exit
from tests.test_cli.shell import Shell


def test_an_account_is_made_with_a_balance_and_a_key(shell: Shell) -> None:
    made = shell.json("account", "create", "shop", "--balance", "100")
    assert set(made) == {"account", "key"}
    assert made["account"] == "shop"
    assert made["key"].startswith("pm_")
    (line,) = shell.json("account", "list")
    assert (line["account"], line["balance"], line["unlimited"]) == ("shop", "100.00", False)
    assert made["key"] not in shell.run("account", "list").output


def test_an_account_for_people_shows_its_key_once(shell: Shell) -> None:
    result = shell.run("account", "create", "house", "--unlimited")
    assert result.exit_code == 0
    assert "pm_" in result.stdout
    assert "shown this once" in result.stderr
    assert shell.json("account", "list")[0]["unlimited"] is True


def test_a_second_account_of_one_name_is_refused(shell: Shell) -> None:
    shell.run("account", "create", "shop")
    result = shell.run("account", "create", "shop")
    assert result.exit_code == Exit.FAILED
    assert result.stderr == 'ledger: account "shop": there is one by that name\n'


@pytest.mark.parametrize("name", ["", " shop", "sh\x1bop", "x" * 65])
def test_names_that_nobody_could_type_again_are_refused(shell: Shell, name: str) -> None:
    assert shell.run("account", "create", name).exit_code == Exit.MISUSE


@pytest.mark.parametrize("amount", ["-1", "1.1234567", "NaN", "1e99", "x", "Infinity"])
def test_amounts_that_the_ledger_could_not_keep_are_refused(shell: Shell, amount: str) -> None:
    result = shell.run("account", "create", "shop", "--balance", amount)
    assert result.exit_code == Exit.MISUSE
    assert not (shell.folder / "panelmux.db").exists()


def test_a_topup_adds_and_below_zero_takes(shell: Shell) -> None:
    shell.run("account", "create", "shop", "--balance", "10")
    assert shell.json("account", "topup", "shop", "5.5", "--note", "invoice 17")["balance"] == "15.50"
    assert shell.json("account", "topup", "shop", "-12")["balance"] == "3.50"
    assert shell.run("account", "topup", "shop", "1", "--dry-run").stderr == "would make the balance of shop 4.50\n"
    too_much = shell.run("account", "topup", "shop", "-3.6")
    assert too_much.exit_code == Exit.FAILED
    assert too_much.stderr == "account shop: 3.60 cannot be taken: its balance is 3.50\n"
    assert shell.run("account", "topup", "shop", "-3.6", "--dry-run").stderr == too_much.stderr
    assert shell.json("account", "list")[0]["balance"] == "3.50"


def test_an_unknown_account_is_answered_with_the_nearest(shell: Shell) -> None:
    shell.run("account", "create", "shop")
    assert shell.run("account", "topup", "shp", "1").stderr == "account shp: no such account; did you mean shop?\n"
    far = shell.run("key", "list", "nothing-like-it")
    assert (far.exit_code, far.stderr) == (
        Exit.FAILED,
        "account nothing-like-it: no such account; panelmux account list shows them\n",
    )


def test_a_dry_run_makes_nothing(shell: Shell) -> None:
    result = shell.run("account", "create", "shop", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "would make the account shop" in result.stderr
    assert list(shell.folder.iterdir()) == []


def test_a_ledger_that_is_not_there_is_not_made_by_looking(shell: Shell) -> None:
    for args in (("account", "list"), ("order", "list"), ("key", "list", "shop")):
        result = shell.run(*args)
        assert result.exit_code == Exit.UNREACHABLE
        assert "no such file; is PANELMUX_LEDGER right?" in result.stderr
    assert not (shell.folder / "panelmux.db").exists()


def test_a_file_that_is_no_ledger_is_one_line(shell: Shell) -> None:
    (shell.folder / "panelmux.db").write_bytes(b"not a database" * 100)
    result = shell.run("account", "list")
    assert result.exit_code == Exit.UNREACHABLE
    assert result.stderr.startswith("ledger: ")
    assert result.stderr.count("\n") == 1


def test_the_command_line_stands_above_the_environment(shell: Shell) -> None:
    other = f"sqlite:///{shell.folder}/sub/other.db"
    shell.run("account", "create", "there", "--ledger", other)
    assert (shell.folder / "sub" / "other.db").exists()
    assert [line["account"] for line in shell.json("account", "list", "--ledger", other)] == ["there"]


def test_keys_are_made_listed_and_revoked(shell: Shell) -> None:
    first = shell.json("account", "create", "shop")["key"]
    second = shell.json("key", "create", "shop", "--no-get-add")
    assert second["account"] == "shop"
    lines = shell.json("key", "list", "shop")
    assert [(line["ends"], line["get_add"], line["revoked"]) for line in lines] == [
        (first[-4:], True, None),
        (second["key"][-4:], False, None),
    ]
    assert shell.run("key", "revoke", "1", "--dry-run").stderr == f"would revoke key 1, which ends in {first[-4:]}\n"
    assert shell.run("key", "revoke", "1").stdout == f"revoked  1, which ends in {first[-4:]}\n"
    assert shell.json("key", "revoke", "2")["revoked"] is not None
    assert all(line["revoked"] for line in shell.json("key", "list", "shop"))
    table = shell.run("key", "list", "shop").stdout
    assert first not in table
    assert table.splitlines()[0].split("  ")[0] == "id"


def test_keys_for_people_and_keys_that_are_not_there(shell: Shell) -> None:
    shell.run("account", "create", "shop")
    assert "would make a key for shop" in shell.run("key", "create", "shop", "--dry-run").stderr
    assert "pm_" in shell.run("key", "create", "shop").stdout
    for option in ((), ("--dry-run",)):
        missing = shell.run("key", "revoke", "99", *option)
        assert (missing.exit_code, missing.stderr) == (
            Exit.FAILED,
            "key 99: no such key; panelmux key list ACCOUNT shows them\n",
        )


def test_a_key_is_rotated_with_an_overlap_and_may_do_what_the_old_one_may(shell: Shell) -> None:
    shell.json("account", "create", "shop")
    made = shell.json(
        "key", "create", "shop", "--action", "status", "--action", "balance", "--repeats", "60", "--show-route"
    )
    assert "would make a key" in shell.run("key", "rotate", str(made["id"]), "--dry-run").stderr
    new = shell.json("key", "rotate", str(made["id"]), "--overlap", "48")
    lines = {line["id"]: line for line in shell.json("key", "list", "shop")}
    assert lines[new["id"]]["actions"] == ["status", "balance"]
    assert (lines[new["id"]]["repeats"], lines[new["id"]]["revoked"]) == ("60", None)
    assert lines[new["id"]]["shows_route"] is True
    assert lines[made["id"]]["revoked"] is not None
    again = shell.run("key", "rotate", str(made["id"]))
    assert (again.exit_code, "it is revoked" in again.stderr) == (Exit.FAILED, True)
    assert shell.run("key", "rotate", "99").exit_code == Exit.FAILED
