"""The tree of commands: help, wrong words, exit codes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gateway.__main__ import SECTIONS, panelmux
from gateway.cli.account import command as account_command
from gateway.cli.failure import Exit
from gateway.cli.leaf import Leaf
from gateway.cli.told import told
from gateway.ledger.records import LedgerBusy
from gateway.settings import SettingError, Settings
from providers.errors import Unsent
from tests.test_cli.shell import COMMAND, Shell


def leaves() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(panelmux)
    for name in panelmux.list_commands(context):
        found = panelmux.get_command(context, name)
        if isinstance(found, click.Group):
            yield from ((f"{name} {leaf}", one) for leaf, one in found.commands.items())
        elif found is not None:
            yield name, found


def test_help_imports_nothing_that_is_slow_to_import(shell: Shell) -> None:
    # Without the measuring of coverage, which imports what it needs.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-X", "importtime", "-m", "gateway", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert {"click", "msgspec"} <= imported
    slow = {"aiohttp", "rich", "structlog", "starlette", "redis", "asyncio", "sqlite3", "gateway.cli.order"}
    assert not slow & imported
    assert "panelmux [OPTIONS] COMMAND" in done.stdout


def test_the_lines_of_the_help_are_the_commands_own() -> None:
    context = click.Context(panelmux)
    for lines in SECTIONS.values():
        for name, line in lines.items():
            found = panelmux.get_command(context, name)
            assert found is not None
            if isinstance(found, click.Group):
                assert found.get_short_help_str(limit=200) == line


def test_help_names_every_setting_and_every_exit_code() -> None:
    text = CliRunner().invoke(panelmux, ["--help"]).stdout
    for name in Settings.__struct_fields__:
        assert f"PANELMUX_{name.upper()}" in text
    for code in Exit:
        assert f"\n  {int(code)} " in text
        assert code.words in text


@pytest.mark.parametrize(("name", "leaf"), list(leaves()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_has_two_examples_that_parse_and_takes_json(name: str, leaf: click.Command) -> None:
    assert isinstance(leaf, Leaf)
    assert len(leaf.examples) >= 2
    assert any("--json" in option.opts for option in leaf.params)
    text = CliRunner().invoke(panelmux, [*name.split(), "--help"]).stdout
    for example in leaf.examples:
        assert example in text
        words = shlex.split(example)
        assert words[: 1 + len(name.split())] == ["panelmux", *name.split()]
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert any(option in known.opts for known in leaf.params), example
    for known in leaf.params:
        assert isinstance(known, click.Argument) or getattr(known, "help", None), known.name


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ordr"], "panelmux: no such command 'ordr'; did you mean order? (see panelmux --help)"),
        (["account", "lst"], "panelmux account: no such command 'lst'; did you mean list?"),
        (["--verison"], "panelmux: no such option '--verison'; did you mean --version?"),
        (["order", "list", "--jsn"], "panelmux order list: no such option '--jsn'; did you mean --json?"),
        (["order", "show"], "panelmux order show: missing argument 'ID' (see panelmux order show --help)"),
        (["order", "list", "--limit", "0"], "panelmux order list: invalid value for '--limit': 0 is not in the range"),
        (
            ["serve", "--port", "abc"],
            "panelmux serve: invalid value for '--port' (env var: 'PANELMUX_PORT'): 'abc' is not a number",
        ),
        (["key", "revoke", "x"], "panelmux key revoke: invalid value for 'ID': 'x' is not a number"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line_with_the_nearest_right_one(args: list[str], words: str) -> None:
    result = CliRunner().invoke(panelmux, args)
    assert result.exit_code == Exit.MISUSE
    assert result.stdout == ""
    assert result.stderr.startswith(words)
    assert result.stderr.count("\n") == 1


def test_without_a_command_the_help_is_shown_and_the_code_is_that_of_misuse() -> None:
    for args, words in (([], "Customers:"), (["account"], "topup")):
        result = CliRunner().invoke(panelmux, args)
        assert result.exit_code == Exit.MISUSE
        assert words in result.stderr


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(panelmux, ["--version"]).stdout == "panelmux 0.4.0\n"


def test_a_reader_that_goes_away_is_no_failure_to_talk_about(shell: Shell) -> None:
    for args in ("sandbox --list-faults", "--help"):
        done = subprocess.run(
            ["bash", "-c", f"{COMMAND[0]} {args} | true; exit ${{PIPESTATUS[0]}}"],
            capture_output=True,
            text=True,
            check=False,
        )
        # A reader may also end only after all was written.
        assert done.returncode in {Exit.PIPE, Exit.GOOD}
        assert done.stderr == ""


def test_a_closed_pipe_has_its_own_code(shell: Shell) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "sandbox", "--list-faults"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.returncode == Exit.PIPE
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (click.Abort(), Exit.INTERRUPTED, "panelmux: interrupted"),
        (SettingError("PANELMUX_PORT: no"), Exit.RULES, "PANELMUX_PORT: no"),
        (LedgerBusy("disk full"), Exit.UNREACHABLE, "ledger: disk full"),
        (Unsent("no route", panel="alpha", action="status"), Exit.UNREACHABLE, "alpha: status: no route"),
        (
            Unsent(
                "ClientConnectorError: Cannot connect to host p.example:443 ssl:default [Connect call failed ('x', 4)]",
                panel="alpha",
                action="status",
            ),
            Exit.UNREACHABLE,
            "alpha: status: cannot connect to p.example:443",
        ),
        (PermissionError(13, "Permission denied", "/x"), Exit.UNREACHABLE, "panelmux: /x: Permission denied"),
        (
            KeyError("a\x1b[31mb"),
            Exit.FAILED,
            "panelmux: KeyError: 'a\\x1b[31mb'; a fault of the program: --debug shows where",
        ),
        (click.ClickException("plain\x07"), Exit.FAILED, "plain"),
    ],
)
def test_errors_are_one_line_and_a_code(error: Exception, code: Exit, line: str) -> None:
    words = told(error)
    assert (words.code, words.lines) == (code, (line,))


@pytest.mark.parametrize(("number", "words"), [(111, "connection refused"), (113, "no route to host")])
def test_what_stood_in_the_way_of_a_connection_is_told_in_its_own_words(number: int, words: str) -> None:
    refused = Unsent("ClientConnectorError: Cannot connect to host …", panel="alpha", action="balance")
    refused.__context__ = OSError(number, "Connect call failed ('127.0.0.1', 1)")
    assert told(refused).lines == (f"alpha: balance: {words}",)


def test_a_fault_of_the_program_shows_its_place_only_when_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr(account_command.commands["list"], "callback", broken)
    plain, debugged = shell.run("account", "list"), shell.run("--debug", "account", "list")
    assert plain.exit_code == debugged.exit_code == Exit.FAILED
    assert plain.stderr.startswith("panelmux: ZeroDivisionError: nobody foresaw it")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debugged.stderr


def test_a_number_in_words_is_no_number(shell: Shell) -> None:
    result = shell.run("serve", PANELMUX_SYNC_WAIT_S="six")
    assert (result.exit_code, result.stderr) == (Exit.RULES, 'PANELMUX_SYNC_WAIT_S: "six" is not a number\n')


def test_a_setting_that_is_none_is_refused_by_name(shell: Shell) -> None:
    result = shell.run("account", "list", PANELMUX_LEGDER="x")
    assert result.exit_code == Exit.RULES
    assert result.stderr.startswith("PANELMUX_LEGDER: not a setting")
