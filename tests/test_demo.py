"""The demo as a person meets it: started, bought from over HTTP, stopped, and started again."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from gateway.__main__ import panelmux
from gateway.cli.demo import panels, screen
from gateway.cli.demo.folder import Folder
from gateway.cli.demo.program import again, program
from gateway.cli.demo.running import open_panels
from gateway.cli.demo.shopping import ORDERS, shop
from gateway.cli.demo.watching import Hints, Row
from gateway.cli.failure import Exit
from gateway.rules import load
from providers import PROVIDERS
from providers.sandbox import Entry, Sandbox
from tests.running import until

COMMAND = str(Path(sys.executable).with_name("panelmux"))
WAIT_S = 30.0


@contextlib.asynccontextmanager
async def running(folder: Path, *args: str) -> AsyncIterator[Process]:
    """The demo, in a process of its own; stopped at the end as Ctrl-C stops it, and left with 0."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PANELMUX_", "MAKE"))}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "demo", "--dir", str(folder), *args, stdout=PIPE, stderr=PIPE, env=environ
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 0, err.decode()
    assert f"panelmux demo --dir {folder} goes on from here" in err.decode()


async def line(process: Process) -> str:
    assert process.stdout is not None
    text = await asyncio.wait_for(process.stdout.readline(), WAIT_S)
    assert text, "the demo ended"
    return text.decode()


async def printed(process: Process, words: str) -> str:
    """All that is printed up to the line with these words."""
    text = ""
    while words not in text:
        text += await line(process)
    return text


async def call(url: str, **form: str) -> Any:
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        assert answer.status == 200
        return msgspec.json.decode(await answer.read())


async def completed(url: str, key: str, order: str) -> Any:
    async def told() -> Any:
        status = await call(url, key=key, action="status", order=order)
        return status if status["status"] == "Completed" else None

    return await until(told)


@pytest.mark.anyio
async def test_the_demo_sells_what_it_prints_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    async with running(folder, "--port", "0") as demo:
        text = await printed(demo, "Ctrl-C stops")
        url = re.search(r"^API +(\S+)$", text, re.MULTILINE)[1]  # type: ignore[index] # the demo prints it
        key = re.search(r"^key +(pm_\w+)", text, re.MULTILINE)[1]  # type: ignore[index] # and it
        for words in ("alpha", "beta", "gamma", "USD", "EUR", "RUB", f". {folder}/env"):
            assert words in text
        form = re.search(r"curl -s -d '([^']+)' (\S+)", text)
        assert form is not None
        assert form[2] == url
        pasted = dict(pair.split("=", 1) for pair in form[1].split("&"))
        order = str((await call(url, **pasted))["order"])
        assert Decimal((await completed(url, key, order))["charge"]) > 0
        # What is printed runs as printed, in a shell that knows nothing of us.
        bare = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f". {folder}/env && panelmux order list --json", stdout=PIPE, env={"PATH": "/usr/bin:/bin"}
        )
        listed, _ = await asyncio.wait_for(bare.communicate(), WAIT_S)
        assert int(order) in {one["id"] for one in json.loads(listed)}
        shown = await printed(demo, f"order {order}: service 1")
        assert f"order {order}: " in shown
        kept = (folder / "routing_rules.yaml").read_text()
        for option in ((), ("--fresh",)):
            second = await asyncio.create_subprocess_exec(
                COMMAND, "demo", "--dir", str(folder), *option, stdout=PIPE, stderr=PIPE
            )
            _, err = await asyncio.wait_for(second.communicate(), WAIT_S)
            assert second.returncode == Exit.UNREACHABLE
            assert "sells from this ledger already" in err.decode()
        assert (folder / "routing_rules.yaml").read_text() == kept

    first = load(folder / "routing_rules.yaml", {}, PROVIDERS)
    port = int(first.panels["alpha"].url.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", port)) as other, socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = str(taken.getsockname()[1])
        async with running(folder, "--json", "--quiet", "--port", wanted) as demo:
            ready = json.loads(await line(demo))
            assert ready["key"] == key
            assert not ready["url"].startswith(f"http://127.0.0.1:{wanted}/")
            assert (await call(ready["url"], key=key, action="status", order=order))["status"] == "Completed"
            seen: set[int] = set()
            while int(order) not in seen:
                seen.add(json.loads(await line(demo))["order"])
        assert other.getsockname()[1] == port
    now = (folder / "routing_rules.yaml").read_text()
    changed = [(a, b) for a, b in zip(kept.splitlines(), now.splitlines(), strict=True) if a != b]
    assert [a.split()[0] for a, _ in changed] == ["url:"]


@pytest.mark.anyio
async def test_rules_that_people_changed_are_left_as_they_are(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api/v2"
    mine = f"""\
panels:
  alpha: {{url: "{url}", key: "${{file:{folder.panel_key("alpha")}}}", private: true}}
  beta: {{url: "https://panel.example/api/v2", key: "${{file:{folder.panel_key("beta")}}}"}}
services:
  1: {{routes: [alpha/9001, beta/77]}}
"""
    folder.rules.write_text(mine)
    async with open_panels(folder) as sandboxes:
        assert list(sandboxes) == ["alpha"]
        key = folder.panel_key("alpha").read_text().strip()
        assert (await call(url, key=key, action="balance"))["currency"] == "USD"
    assert folder.rules.read_text() == mine


def row(order: int = 1, **other: Any) -> Row:
    fields: dict[str, Any] = {
        "service": "1 Followers",
        "link": "https://x.example/p",
        "quantity": 1000,
        "route": "beta gave no answer",
        "panel": "beta",
        "status": "Pending",
        "unknown": False,
        "remains": 1000,
        "placed_s": 0.0,
        "charge": "1.00",
        "refunded": "0.00",
    }
    return Row(order=order, **{**fields, **other})


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for option in ((), ("--fresh",)):
        result = CliRunner().invoke(panelmux, ["demo", "--dir", str(tmp_path), *option])
        assert result.exit_code == Exit.MISUSE
        assert "not empty, and not made by a demo; --dir chooses another" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_fresh_throws_away_only_what_a_demo_made(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "demo")
    folder.prepare(fresh=False)
    key = folder.panel_key("alpha").read_text()
    for file in (folder.rules, folder.ledger, folder.journal("alpha"), folder.path / "notes.txt"):
        file.write_text("x")
    folder.prepare(fresh=False)
    assert folder.panel_key("alpha").read_text() == key
    folder.prepare(fresh=True)
    assert sorted(file.name for file in folder.path.iterdir()) == [".panelmux-demo", "notes.txt"]
    assert folder.customer_key() is None


def test_the_demo_is_started_again_as_it_was_started() -> None:
    ours = program()
    assert again("", {"MAKELEVEL": "1", "PATH": ""}) == "make demo"
    assert again("", {"PATH": str(ours.parent)}) == "panelmux demo"
    assert again(" --fresh", {"MAKELEVEL": "1", "PATH": "/nowhere"}) == f"{ours} demo --fresh"
    assert program("/opt/bin/panelmux") == Path("/opt/bin/panelmux")
    assert program("/x/gateway/__main__.py", "/x/venv/bin/python") == Path("/x/venv/bin/panelmux")


def test_keys_are_read_by_their_owner_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert stat.S_IMODE(folder.panel_key("alpha").stat().st_mode) == 0o600


def test_the_rules_of_the_demo_are_valid_and_hardly_warned_of(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    urls = {name: f"http://127.0.0.1:{9000 + place}/api/v2" for place, name in enumerate(panels.PANELS)}
    folder.rules.write_text(panels.rules(urls, folder))
    rules = load(folder.rules, {}, PROVIDERS)
    assert rules.warnings == ()
    assert {panel.currency for panel in rules.panels.values()} == {"USD", "EUR", "RUB"}
    assert all(panel.private for panel in rules.panels.values())
    assert all(len(service.routes) in {2, 3} for service in rules.services.values())
    assert {order["service"] for order in ORDERS} <= {str(id) for id in rules.services}


@pytest.mark.parametrize("name", list(panels.PANELS))
def test_every_panel_sells_what_the_rules_name_beside_a_made_up_list(tmp_path: Path, name: str) -> None:
    sandbox = panels.sandbox(name, "k", Folder(tmp_path))
    assert len(sandbox.catalogue.rows) == 130
    assert {"9001", "9002", "9003", "9004", "9005", "9006"} <= set(sandbox.catalogue.listings)
    sandbox.close()
    assert panels.says(name)
    assert panels.says("of-your-own") == ""


def test_an_unknown_outcome_is_hinted_at_once_with_the_panel_s_own_id() -> None:
    beta = Sandbox("beta", key="k", catalogue=[{"service": 1, "name": "n", "rate": "1"}], clock=lambda: 100.0)
    hints = Hints({"beta": beta}, ". /x/env")
    assert hints.of(row()) == []
    beta._journal.entries += [entry(61, 40.0), entry(62, 99.0), entry(63, 160.0)]
    told = hints.of(row(7, unknown=True, placed_s=100.0))
    assert told[2:] == ["  . /x/env", "  panelmux order resolve 7 --bind 62"]
    assert hints.of(row(7, unknown=True)) == []
    assert hints.of(row(8, unknown=True, link="https://other.example/"))[-1].endswith("--bind REMOTE_ID")
    assert hints.of(row(9, unknown=True, panel="of-your-own"))[-1].endswith("--bind REMOTE_ID")


def entry(remote_id: int, time: float) -> Entry:
    return Entry(
        seq=remote_id,
        time=time,
        action="add",
        remote_id=remote_id,
        fields={"link": "https://x.example/p"},
        fault="fin_after",
    )


def test_lines_are_printed_when_a_status_changes_and_not_for_every_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.screen(as_json=False) as show:
        for one in (row(), row(remains=900), row(remains=900, unknown=True)):
            show([one], [one], ["look there"] if one.unknown else [])
    assert capsys.readouterr().out.splitlines() == [
        "order 1: service 1 Followers: 1000 from beta gave no answer: Pending",
        "order 1: service 1 Followers: 1000 from beta gave no answer: Pending, outcome unknown",
        "look there",
    ]


def test_programs_get_a_line_of_json_for_every_change(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.screen(as_json=True) as show:
        show([row()], [row()], ["look there"])
        show([row()], [], [])
    out, err = capsys.readouterr()
    (told,) = map(json.loads, out.splitlines())
    assert (told["order"], told["remains"]) == (1, 1000)
    assert err == "look there\n"


def test_a_terminal_gets_one_table_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=150, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    monkeypatch.setattr(screen, "Console", lambda: console)
    with screen.screen(as_json=False) as show:
        hostile = row(service="5 \x1b[31m[bold]x", refunded="0.50")
        show([hostile], [hostile], ["look there"])
        show([hostile], [], [])
    console.file.close()
    text = console.export_text()
    assert "5 [31m[bold]x" in text
    assert "0.50" in text
    assert text.rstrip().endswith("look there")


@pytest.mark.anyio
async def test_a_refusal_of_the_demo_s_own_order_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = Sandbox("shop", key="k", catalogue=[{"service": 1, "name": "n", "rate": "1", "max": 5000}])
    async with sandbox.serve() as url:
        await shop(url, "k", pause_s=0)
    assert sandbox.sends["add"] == len(ORDERS)
    assert "service 2: Incorrect service ID" in capsys.readouterr().err
