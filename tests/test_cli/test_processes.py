"""serve and sandbox, each in a process of its own."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.cli.account import command as account_command
from gateway.cli.failure import Exit
from providers.sandbox import FAULTS
from tests.test_cli.shell import Shell, Site


def asked(url: str, **form: str) -> Any:
    """POST a form and give the JSON of the answer."""
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:  # noqa: S310 - http on loopback, as printed
        return json.loads(answer.read())


def ready(url: str) -> None:
    """Wait until the gateway has its lists."""
    end = time.monotonic() + 20
    while not _is_ready(url):
        assert time.monotonic() < end
        time.sleep(0.02)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10):  # noqa: S310 - http on loopback
            return True
    except urllib.error.HTTPError as waiting:
        waiting.close()
        return False


def ended(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[int, str, str]:
    """Send a signal; gives the exit code and what was still written."""
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def test_all_faults_are_listed(shell: Shell) -> None:
    assert [line["fault"] for line in shell.json("sandbox", "--list-faults")] == list(FAULTS)
    assert "silence_after" in shell.run("sandbox", "--list-faults").stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--faults", "add:rest_after"), 'did you mean "reset_after"?'),
        (("--catalogue", "bad.json"), "no list of services"),
        (("--catalogue", "missing.json"), "does not exist"),
        (("--balance", "-5"), "below zero"),
    ],
)
def test_a_sandbox_that_cannot_be_is_misuse(shell: Shell, args: Sequence[str], words: str) -> None:
    (shell.folder / "bad.json").write_text('{"error": "Invalid API key"}')
    result = shell.run("sandbox", *args)
    assert result.exit_code == Exit.MISUSE
    assert words in result.stderr


def test_a_sandbox_sells_until_it_is_stopped(shell: Shell) -> None:
    rows = [{"service": 7, "name": "n", "rate": "2.00", "min": 1, "max": 1000, "category": "c"}]
    (shell.folder / "rows.json").write_text(json.dumps(rows))
    process = shell.start(
        *("sandbox", "--json", "--catalogue", "rows.json", "--currency", "EUR", "--balance", "3", "--key", "k"),
        *("--faults", "add:2:maintenance", "--tempo", "instant", "--journal", "bought.jsonl"),
    )
    assert process.stdout is not None
    running = json.loads(process.stdout.readline())
    assert (running["services"], running["faults"]) == (1, "add:2-2:maintenance")
    assert asked(running["url"], key="k", action="balance") == {"balance": "3.00000", "currency": "EUR"}
    order = {"action": "add", "service": "7", "link": "https://x.example/", "quantity": "1000"}
    bought = asked(running["url"], key="k", **order)["order"]
    assert "error" in asked(running["url"], key="k", **order)
    assert asked(running["url"], key="k", action="status", order=str(bought))["status"] == "Completed"
    code, _, err = ended(process, signal.SIGINT)
    assert (code, err) == (0, "")
    assert json.loads((shell.folder / "bought.jsonl").read_text())["remote_id"] == bought


def test_a_sandbox_for_people_prints_rules_that_can_be_pasted(shell: Shell) -> None:
    process = shell.start("sandbox", "--services", "5", "--key", "two words")
    assert process.stdout is not None
    text = ""
    while "ids: same" not in text:
        text += process.stdout.readline()
    code, rest, err = ended(process)
    assert (code, err) == (0, "Ctrl-C stops\n")
    assert "export SANDBOX_KEY='two words'" in text
    shell.rules.write_text(text[text.index("panels:") :] + rest)
    result = shell.run("check", "--offline", SANDBOX_KEY="two words")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["sandbox", "serve"])
def test_an_address_that_is_taken_is_named(selling: Shell, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = selling.start(command, "--port", str(port))
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (Exit.UNREACHABLE, "")
    assert err == f"127.0.0.1:{port}: address already in use; --host and --port choose another\n"


def test_a_gateway_serves_beside_other_commands_until_it_is_stopped(selling: Shell, site: Site) -> None:
    selling.environ |= {"PANELMUX_STATUS_S": "0.1", "PANELMUX_LOG": "json"}
    selling.rules.write_text(selling.rules.read_text() + "min_margin: 60%\n")
    process = selling.start("serve", "--port", "0", "--json")
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    try:
        ready(url)
        key = selling.json("account", "create", "shop", "--balance", "100")["key"]
        assert asked(f"{url}/api/v2", key=key, action="balance") == {"balance": "100.00", "currency": "USD"}
        assert len(asked(f"{url}/api/v2", key=key, action="services")) == 8
        selling.run("account", "topup", "shop", "50")
        assert asked(f"{url}/api/v2", key=key, action="balance")["balance"] == "150.00"
        second = selling.run("serve", "--port", "0")
        assert second.exit_code == Exit.UNREACHABLE
        assert f"process {process.pid} sells from this ledger already" in second.stderr
    finally:
        code, out, err = ended(process)
    assert (code, out) == (0, "")
    said, *logged = err.splitlines()
    assert "min_margin" in said
    [listens] = [line for line in logged if "listens on http://127.0.0.1:" in line]  # lists may have come before it
    for line in logged:
        assert line is listens or json.loads(line)["event"]
    for secret in ("alpha-key", "beta-key", key, (selling.folder / "panelmux.db.pepper").read_text().strip()):
        assert secret not in err


def test_an_interrupted_command_has_its_own_code(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(account_command.commands["list"], "callback", interrupted)
    result = shell.run("account", "list")
    assert result.exit_code == Exit.INTERRUPTED
    assert result.stderr.strip() == "panelmux: interrupted"
