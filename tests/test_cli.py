"""The command line as people and programs use it: most commands in this process, those that stay in one of their own."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
import pytest
from click.testing import CliRunner, Result

from gateway.__main__ import SECTIONS, panelmux
from gateway.cli import drawn, output
from gateway.cli.account import command as account_command
from gateway.cli.catalog import best
from gateway.cli.failure import Exit
from gateway.cli.leaf import Leaf
from gateway.cli.order import resolve
from gateway.cli.told import told
from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, AttemptState, LedgerBusy, NewPlacement, Unknown
from gateway.settings import Settings, SettingError
from providers.base import OrderStatus, Status
from providers.errors import Unsent
from providers.sandbox import FAULTS, Catalogue, Sandbox

T = TypeVar("T")
COMMAND = [str(Path(sys.executable).with_name("panelmux"))]

ROWS: list[dict[str, object]] = [
    {
        "service": id,
        "name": name,
        "type": type,
        "category": category,
        "rate": rate,
        "min": least,
        "max": 10_000,
        "refill": False,
        "cancel": True,
        "dripfeed": True,
    }
    for id, name, type, category, rate, least in (
        (101, "Instagram Followers", "Default", "Instagram", "1.00", 100),
        (102, "Instagram Likes \x1b[31m[red]\x9b", "Default", "Instagram", "0.20", 10),
        (103, "Telegram Members", "Default", "Telegram", "0.80", 10),
        (104, "YouTube Comments", "Custom Comments", "YouTube", "9.00", 1),
        (105, "▬▬▬▬▬", "Default", "none", "0.00", 1),
        (106, "Poster", "Package", "Other", "2.50", 1),
    )
]

RULES = """\
exchange: {{EUR: "2"}}
margin: 50%
panels:
  alpha: {{url: "{alpha}", key: "${{ALPHA_KEY}}", private: true, low_balance: "5"}}
  beta: {{url: "{beta}", key: "${{BETA_KEY}}", currency: EUR, private: true}}
services:
  1: {{name: Followers, routes: [alpha/101, beta/101]}}
  2: {{routes: [beta/104]}}
  3: {{routes: [alpha/999, alpha/103]}}
  4: {{routes: [alpha/888]}}
publish:
  - {{panel: alpha, ids: same}}
"""


class Site:
    """Two panels on a loop of their own, since commands run loops themselves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.alpha = Sandbox("alpha", key="alpha-key", catalogue=Catalogue.of(ROWS), balance=Decimal("12.5"))
        self.beta = Sandbox("beta", key="beta-key", catalogue=Catalogue.of(ROWS), currency="EUR")
        self.urls: dict[str, str] = {}

    async def live(self, opened: threading.Event, closing: asyncio.Event) -> None:
        async with self.alpha.serve() as alpha, self.beta.serve() as beta:
            self.urls = {"alpha": alpha, "beta": beta}
            opened.set()
            await closing.wait()

    def do(self, act: Callable[[], T]) -> T:
        """Do something to a panel, on its own loop."""

        async def done() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(10)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    loop = asyncio.new_event_loop()
    made, opened, closing = Site(loop), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(made.live(opened, closing),))
    thread.start()
    assert opened.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join()
        loop.close()


class Shell:
    """A folder and an environment in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = folder / "routing_rules.yaml"
        self.ledger = f"sqlite:///{folder}/panelmux.db"
        self.environ = {"PANELMUX_RULES": str(self.rules), "PANELMUX_LEDGER": self.ledger}

    def run(self, *args: str, **environ: str) -> Result:
        return CliRunner().invoke(panelmux, args, env={**self.environ, **environ})

    def json(self, *args: str, code: int = 0) -> Any:
        """The document that the command writes on stdout."""
        result = self.run(*args, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """The real command, in a process of its own."""
        return subprocess.Popen(
            [*COMMAND, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.environ},
        )

    def keep(self, work: Callable[[Ledger], Any]) -> Any:
        """Do something with the ledger itself."""

        async def kept() -> Any:
            opened = ledger(self.ledger)
            await opened.open()
            try:
                return await work(opened)
            finally:
                await opened.close()

        return asyncio.run(kept())


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in [name for name in os.environ if name.startswith("PANELMUX_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


@pytest.fixture
def selling(shell: Shell, site: Site) -> Shell:
    """The folder with rules for the two panels."""
    shell.rules.write_text(RULES.format(**site.urls))
    shell.environ |= {"ALPHA_KEY": "alpha-key", "BETA_KEY": "beta-key"}
    return shell


async def placed(
    opened: Ledger, *, panel: str = "alpha", link: str = "https://x.example/p", unknown: bool = True
) -> int:
    """An order of the account "shop" with one attempt, unknown or accepted."""
    account = await opened.account("shop")
    if account is None:
        account = await opened.create_account("shop")
        await opened.topup(account.id, Decimal(100), "test")
    new = NewPlacement(
        account=account.id,
        service=1,
        type="Default",
        link=link,
        fields='{"link":"%s","quantity":1000}' % link,
        quantity=1000,
        units=1000,
        charge=Decimal("1.5"),
        refill=False,
        cancel=False,
        decision='{"policy":"cheapest","choices":[{"panel":"alpha","remote_service":"101","cost":"1","score":0.5}],'
        '"left_out":[["beta","101","circuit open"]]}',
        panel=panel,
        remote_service="101",
        cost=Decimal(1),
    )
    made = await opened.place(new)
    outcome = Unknown(evidence='{"phase":"sent","http":502}') if unknown else Accepted(remote_id=f"7{made.attempt}")
    await opened.settle(made.attempt, outcome)
    return made.order


def leaves() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(panelmux)
    for name in panelmux.list_commands(context):
        found = panelmux.get_command(context, name)
        if isinstance(found, click.Group):
            yield from ((f"{name} {leaf}", one) for leaf, one in found.commands.items())
        elif found is not None:
            yield name, found


# --- the tree ---


def test_help_imports_nothing_that_is_slow_to_import(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway", "--help"], capture_output=True, text=True, check=True
    )
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
                assert found.get_short_help_str(limit=200) == line.removesuffix(".")


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
        words = urllib.parse.unquote(example).split()
        assert words[: 1 + len(name.split())] == ["panelmux", *name.split()]
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert any(option in known.opts for known in leaf.params), example
    for option in leaf.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None), option.name


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ordr"], "panelmux: no such command 'ordr'; did you mean order? (see panelmux --help)"),
        (["account", "lst"], "panelmux account: no such command 'lst'; did you mean list?"),
        (["--verison"], "panelmux: no such option '--verison'; did you mean --version?"),
        (["order", "list", "--jsn"], "panelmux order list: no such option '--jsn'; did you mean --json?"),
        (["order", "show"], "panelmux order show: missing argument 'ID' (see panelmux order show --help)"),
        (["order", "list", "--limit", "0"], "panelmux order list: invalid value for '--limit': 0 is not in the range"),
        (["key", "revoke", "x"], "panelmux key revoke: invalid value for 'ID': 'x' is not a valid integer range"),
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
    assert CliRunner().invoke(panelmux, ["--version"]).stdout == "panelmux 0.1.0\n"


def test_a_reader_that_goes_away_is_no_failure_to_talk_about(shell: Shell) -> None:
    for args in ("sandbox --list-faults", "--help"):
        done = subprocess.run(
            ["bash", "-c", f"{COMMAND[0]} {args} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True
        )
        # A reader may also end only after all was written.
        assert done.returncode in {Exit.PIPE, Exit.GOOD}
        assert done.stderr == ""


def test_a_closed_pipe_has_its_own_code(shell: Shell) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "sandbox", "--list-faults"], stdout=writing, stderr=subprocess.PIPE, text=True)
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


def test_a_fault_of_the_program_shows_its_place_only_when_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr(account_command.commands["list"], "callback", broken)
    plain, debugged = shell.run("account", "list"), shell.run("--debug", "account", "list")
    assert plain.exit_code == debugged.exit_code == Exit.FAILED
    assert plain.stderr.startswith("panelmux: ZeroDivisionError: nobody foresaw it")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debugged.stderr


def test_a_setting_that_is_none_is_refused_by_name(shell: Shell) -> None:
    result = shell.run("account", "list", PANELMUX_LEGDER="x")
    assert result.exit_code == Exit.RULES
    assert result.stderr.startswith("PANELMUX_LEGDER: not a setting")


# --- what is printed ---


def test_text_of_others_cannot_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2J\x9b1m\u202eb\r\nc"
    output.table(output.columns("name", ">n"), [(evil, "1")])
    output.facts([("name", evil)])
    output.write(f"  {evil}")
    output.say(evil)
    output.document({"name": evil})
    output.line([evil])
    drawn.table(output.columns("name"), [("[red]x[/red]",)])
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not [char for char in text if not char.isprintable() and char != "\n"]
    assert "  a[2J1mb c\n" in out
    assert "[red]x[/red]" in out
    # JSON loses nothing: what cannot be shown is escaped.
    assert json.loads(out[out.index("{") : out.index("}") + 1]) == {"name": evil}


def test_columns_are_aligned_and_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(output.columns("name", ">amount"), [("a", "1.00"), ("longer", "12345.00")])
    assert capsys.readouterr().out == "name      amount\na           1.00\nlonger  12345.00\n"


def test_an_empty_table_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(output.columns("name"), [], empty="none yet")
    assert capsys.readouterr() == ("", "none yet\n")


def test_a_terminal_gets_a_drawn_table_and_colours_unless_told_not_to(shell: Shell) -> None:
    def seen(**environ: str) -> str:
        main, other = pty.openpty()
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", **environ}
        process = subprocess.Popen([*COMMAND, "sandbox", "--list-faults"], stdout=other, stderr=other, env=env)
        os.close(other)
        text = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while part := os.read(main, 65536):
                text += part
        os.close(main)
        assert process.wait() == 0
        return text.decode()

    coloured, plain = seen(), seen(NO_COLOR="1")
    assert "────" in coloured
    assert "silence_after" in plain
    assert "\x1b[1m" in coloured
    assert "\x1b[3" not in plain


def test_progress_is_shown_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with output.progress("asking", 2) as step:
        step()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with output.progress("asking", 2) as step:
        step()
    out, err = capsys.readouterr()
    assert out == ""
    assert "asking" in err


# --- accounts and keys ---


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
    assert "balance  3.50" in shell.run("account", "topup", "shop", "0.000001", "--dry-run").output + "balance  3.50"
    assert shell.run("account", "topup", "shop", "1", "--dry-run").stderr == "would make the balance of shop 4.50\n"
    too_much = shell.run("account", "topup", "shop", "-3.6")
    assert too_much.exit_code == Exit.FAILED
    assert too_much.stderr.startswith("ledger: ")
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


# --- orders ---


def test_orders_are_listed_newest_first_and_filtered(shell: Shell) -> None:
    async def work(opened: Ledger) -> tuple[int, int]:
        open_, done = await placed(opened), await placed(opened, panel="beta", unknown=False)
        await opened.observe(done, Status(status=OrderStatus.COMPLETED, word="Completed", remains=0), next_ms=None)
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
    assert [line["id"] for line in shell.json("order", "list", "--status", "completed")] == [done]
    assert [line["id"] for line in shell.json("order", "list", "--limit", "1")] == [done]
    assert shell.json("order", "list", "--account", "other") == []
    assert "Pending (unknown)" in shell.run("order", "list").stdout
    assert shell.run("order", "list", "--account", "other").stderr == "no such order\n"
    assert shell.run("order", "list", "--account", "shp").exit_code == Exit.FAILED


def test_an_order_is_shown_with_its_decision_attempts_and_history(shell: Shell) -> None:
    order = shell.keep(placed)
    shown = shell.json("order", "show", str(order))
    assert shown["fields"] == {"link": "https://x.example/p", "quantity": 1000}
    assert shown["decision"]["left_out"] == [["beta", "101", "circuit open"]]
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
            panel="alpha",
            remote_service="1",
            cost=Decimal(1),
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
    again = selling.run("order", "resolve", str(second), "--bind", remote_id, "--yes")
    assert again.exit_code == Exit.FAILED
    assert again.stderr.splitlines()[-1].startswith("ledger: ")
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
    assert "not_sent" in result.stdout
    (line,) = shell.json("order", "list")
    assert (line["status"], line["unknown"]) == ("Canceled", False)
    assert shell.json("account", "list")[0]["balance"] == "100.00"
    again = shell.run("order", "resolve", str(order), "--not-placed", "--reason", "x", "--yes")
    assert (again.exit_code, "no attempt whose outcome is unknown" in again.stderr) == (Exit.FAILED, True)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "say one of --bind REMOTE_ID and --not-placed"),
        (("--bind", "1", "--not-placed"), "say one of --bind REMOTE_ID and --not-placed"),
        (("--not-placed",), "--not-placed needs --reason"),
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


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.GOOD), ("n\n", Exit.INTERRUPTED)])
def test_on_a_terminal_resolving_asks_first(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str, code: Exit
) -> None:
    order = shell.keep(placed)
    monkeypatch.setattr(resolve_module(), "_is_terminal", lambda: True)
    args = ["order", "resolve", str(order), "--not-placed", "--reason", "r"]
    result = CliRunner().invoke(panelmux, args, input=answer, env=shell.environ)
    assert result.exit_code == code
    assert "Do it?" in result.stderr
    assert bool(shell.json("order", "list", "--unknown")) is (code is Exit.INTERRUPTED)


def resolve_module() -> Any:
    return sys.modules[resolve.callback.__module__]  # type: ignore[union-attr] # a command has one


# --- panels, services, routes ---


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
    assert found[0]["service"] == 101
    assert selling.json("catalog", "search", "Followers")[0]["routes"] == [
        {"panel": "alpha", "service": "101", "cost": "1.00"},
        {"panel": "beta", "service": "101", "cost": "2.00"},
    ]
    assert [line["service"] for line in selling.json("catalog", "search", "", "--limit", "2")] == [1, 2]
    table = selling.run("catalog", "search", "likes").stdout
    assert "\x1b" not in table
    assert "[31m[red]" in table
    assert "alpha/102 0.20" in table


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
    (missing, _) = reversed(selling.json("route", "explain", "3", "--offline", code=Exit.FAILED) or [None, None])


def test_what_a_customer_would_be_told_is_told(selling: Shell) -> None:
    result = selling.run("route", "explain", "1", "--quantity", "5")
    assert (result.exit_code, result.stderr) == (
        Exit.FAILED,
        'service 1: the customer would be told "Quantity less than minimal 100"\n',
    )
    assert "service 4: not sold; alpha/888: not in the panel's list" in selling.run("route", "explain", "4").stderr
    assert "panelmux catalog search" in selling.run("route", "explain", "777").stderr
