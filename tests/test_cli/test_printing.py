"""What is printed, on a terminal and elsewhere."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import pytest

from gateway.cli import drawn, output
from tests.test_cli.shell import COMMAND, Shell


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


def test_an_encoding_that_lacks_characters_is_no_failure(shell: Shell) -> None:
    """What JSON says stays the same; a table loses no more than the characters."""
    rows = [{"service": 1, "name": "Лайки ▬", "rate": "1.00", "min": 1, "max": 9, "category": "c"}]
    (shell.folder / "rows.json").write_text(json.dumps(rows))
    made = shell.start("sandbox", "--catalogue", "rows.json", "--json")
    assert made.stdout is not None
    panel = json.loads(made.stdout.readline())
    shell.rules.write_text(
        f"panels: {{p: {{url: '{panel['url']}', key: '${{SANDBOX_KEY}}', private: true}}}}\npublish: [{{panel: p}}]\n"
    )
    shell.environ |= {"SANDBOX_KEY": "sandbox", "PYTHONIOENCODING": "ascii"}
    for option, words in (("--json", '"\\u041b'), ("--live", "????? ?")):
        searching = shell.start("catalog", "search", "", option)
        out, err = searching.communicate(timeout=20)
        assert (searching.returncode, err) == (0, "")
        assert words in out
    made.terminate()
    made.communicate(timeout=20)


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
