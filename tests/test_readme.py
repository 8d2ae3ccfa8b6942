"""What README.md says is there, and what is there README.md says."""

import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import click
import pytest

from gateway.__main__ import SECTIONS
from gateway.cli.failure import Exit
from gateway.routing import Policy
from gateway.rules import load, model
from gateway.settings import PREFIX, Settings
from providers.base import Action

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_every_setting_is_in_the_table(setting: str) -> None:
    assert f"`{PREFIX}{setting.upper()}`" in README


def test_no_setting_is_made_up() -> None:
    named = set(re.findall(PREFIX + r"([A-Z_]+)\b", README))
    assert named <= {setting.upper() for setting in Settings.__struct_fields__}


@pytest.mark.parametrize("command", [name for section in SECTIONS.values() for name in section])
def test_every_command_is_named(command: str) -> None:
    assert f"`panelmux {command}" in README


@pytest.mark.parametrize(
    ("group", "command"),
    [
        (name, sub)
        for section in SECTIONS.values()
        for name in section
        if isinstance(group := import_module(f"gateway.cli.{name}").command, click.Group)
        for sub in group.commands
    ],
)
def test_every_command_of_a_group_is_named(group: str, command: str) -> None:
    rows = [line for line in README.splitlines() if line.startswith(f"| `panelmux {group} ")]
    assert any(re.search(rf"\b{command}\b", row) for row in rows)


@pytest.mark.parametrize("action", sorted(set(get_args(Action)) - {"orders"}))  # which no customer has
def test_every_action_is_named(action: str) -> None:
    assert f"`{action}`" in README


@pytest.mark.parametrize("policy", Policy)
def test_every_policy_is_named(policy: Policy) -> None:
    assert policy.value in README


@pytest.mark.parametrize(
    "key",
    [
        *(field for field in model.Rules.__struct_fields__ if field not in {"version", "warnings"}),
        *model.Panel.__struct_fields__,
        *model.Service.__struct_fields__,
        *model.Publish.__struct_fields__,
    ],
)
def test_every_key_of_the_rules_is_named(key: str) -> None:
    assert re.search(rf"\b{key}\b", README), key


def test_the_rules_shown_are_valid(tmp_path: Path) -> None:
    shown, *parts = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "routing_rules.yaml"
    keys = {"ALPHA_KEY": "a", "BETA_KEY": "b"}
    file.write_text(shown)
    assert list(load(file, keys).services) == [1]
    for part in parts:  # blocks to be added to it, or to one of its services
        inside = part if part.lstrip() == part else f"  2:\n{part}"
        before, after = (shown, "") if part.lstrip() == part else shown.split("publish:")
        file.write_text(f"{before}{inside}{'publish:' if after else ''}{after}")
        load(file, keys)


def test_the_rules_for_two_sandboxes_are_valid(tmp_path: Path) -> None:
    (shown,) = re.findall(r"<<'END'\n(.*?)END\n", README, re.DOTALL)
    file = tmp_path / "two.yaml"
    file.write_text(shown)
    rules = load(file, {"ONE_KEY": "one", "TWO_KEY": "two"})
    assert (rules.warnings, list(rules.services), len(rules.publish)) == ((), [1], 1)


def test_the_keys_that_the_shipped_rules_need_are_named() -> None:
    needed = re.findall(r"\$\{([A-Z]+_KEY)\}", (ROOT / "routing_rules.yaml").read_text())
    (exported,) = re.findall(r"^\$ export (.*?) +#", README, re.MULTILINE)
    assert [word.partition("=")[0] for word in exported.split()] == needed


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_named(code: Exit) -> None:
    assert re.search(rf"(?:: |· ){int(code)} \w", README)


def test_the_rules_that_come_with_it_are_valid() -> None:
    path = ROOT / "routing_rules.yaml"
    keys = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", path.read_text()), "secret-key")
    assert load(path, keys).services


def test_the_files_it_names_are_there() -> None:
    for name in re.findall(r"`((?:gateway|providers|tests|deploy)/[\w./]+)`", README):
        assert (ROOT / name).exists(), name
