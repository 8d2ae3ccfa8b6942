"""The operator's guide says what is so: its commands are commands, its alerts are alerts, its links lead somewhere."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from gateway.__main__ import panelmux
from tests.test_deploy.test_together import alerts
from tests.topology import DEPLOY

GUIDE = (DEPLOY / "README.md").read_text()

COMMANDS = sorted(
    {
        line.partition("#")[0].strip()
        for block in re.findall(r"```(?:console|sh)\n(.*?)```", GUIDE, re.DOTALL)
        for line in re.findall(r"^(?:\$ )?(panelmux [a-z].*)", block, re.MULTILINE)
    }
    | {found.strip() for found in re.findall(r"`[^`\n]*?\b(?<!-n )(panelmux (?!-)[a-z][^`]*)`", GUIDE)}
)


def anchor(heading: str) -> str:
    """What a heading is called in a link."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def understood(line: str) -> None:
    """Read a command line as the program would, and do nothing; raises click.UsageError where it would."""
    words = shlex.split(line)[1:]
    command: click.Command = panelmux
    context = click.Context(panelmux, info_name="panelmux")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        assert name is not None
        context = click.Context(found, info_name=name, parent=context)
        command = found
    command.parse_args(context, words)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_in_the_guide_is_one(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in re.findall(r"\S+\.yaml", line):  # some have to be there
        (tmp_path / file).touch()
    understood(line)


@pytest.mark.parametrize(
    "line",
    ["panelmux panel lst", "panelmux panel drain", "panelmux order list --unknwon", "panelmux order list --limit many"],
)
def test_one_that_is_none_is_found_out(line: str) -> None:
    with pytest.raises(click.UsageError):
        understood(line)


def test_the_guide_has_commands_at_all() -> None:
    assert len(COMMANDS) > 25


def test_every_alert_has_its_heading_and_every_heading_its_alert() -> None:
    headings = re.findall(r"^### (Panelmux\w+)$", GUIDE, re.MULTILINE)
    assert headings == sorted(headings, key=headings.index)
    assert set(headings) == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_the_guide_says_how_loud_an_alert_is(rule: dict[str, dict[str, str]]) -> None:
    (said,) = re.findall(rf"^### {rule['alert']}\n\n\*\*(\w+)\.\*\*", GUIDE, re.MULTILINE)
    assert said.lower() == rule["labels"]["severity"]


def test_credentials_are_put_where_the_settings_and_the_rules_look_for_them(tmp_path: Path) -> None:
    said = GUIDE.partition("### While it is down")[2].partition("```sh\n")[2].partition("```")[0]
    lines = [line for line in said.splitlines() if "install " in line]
    assert len(lines) == 2
    script = "\n".join(lines).replace(" -o panelmux", "").replace("0500", "0700")  # there may be no such user here
    kept, put = tmp_path / "kept", tmp_path / "put"
    kept.mkdir()
    for name in ("alpha", "ledger", "pepper"):
        (kept / name).write_text(name)
    for real, own in (("/etc/panelmux/credentials", kept), ("/run/credentials", put)):
        script = script.replace(real, str(own))
    subprocess.run(["bash", "-euc", script], check=True)
    there = {f"/run/credentials/{file.relative_to(put)}": file.read_text() for file in put.glob("*/*")}
    settings = (DEPLOY / "panelmux.env").read_text() + (DEPLOY / "panelmux.service").read_text()
    looked_for = set(re.findall(r"/run/credentials/panelmux\.service/\w+", settings))
    assert looked_for == set(there)
    assert there == {path: path.rpartition("_")[2] for path in looked_for}


def test_every_link_inside_leads_to_a_heading() -> None:
    there = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= there


def test_the_files_it_names_are_there() -> None:
    listed = re.findall(r"^\| (`.*?`) \|", GUIDE.partition("## First look")[0], re.MULTILINE)
    named = [name for row in listed for name in re.findall(r"`([^`]+)`", row)]
    assert named
    for name in named:
        assert (DEPLOY / name).exists(), name
    for name in re.findall(r"\bdeploy/[\w./-]*\w", GUIDE):
        if not name.startswith("deploy/panelmux "):
            assert (DEPLOY.parent / name).exists() or name == "deploy/panelmux", name
    unnamed = {file.name for file in DEPLOY.iterdir()} - {name.rstrip("/") for name in named}
    assert unnamed <= {"README.md", "Dockerfile.dockerignore", "build-requirements.in"}
