"""What a first start makes, and that a second one leaves it alone."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.settings import settings
from tests.topology import DEPLOY, first_start

BIN = Path(sys.executable).parent


def made(folder: Path) -> Mapping[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_first_start_makes_all_that_compose_needs_and_a_second_one_nothing(tmp_path: Path) -> None:
    first_start(tmp_path, name="localhost")
    before = made(tmp_path)
    assert set(before) == {
        "certificate/certificate.pem",
        "certificate/key.pem",
        "database/password",
        "gateway/ledger",
        "gateway/one",
        "gateway/pepper",
        "gateway/two",
    }
    first_start(tmp_path, name="localhost")
    assert made(tmp_path) == before


def test_the_ledger_is_opened_by_the_password_that_the_database_was_given(tmp_path: Path) -> None:
    first_start(tmp_path, name="localhost")
    password = (tmp_path / "database" / "password").read_text()
    assert len(password) == 64
    assert f":{password}@" in (tmp_path / "gateway" / "ledger").read_text()


def test_no_two_first_starts_share_a_secret(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        first_start(tmp_path / name, name="localhost")
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    for name in ("gateway/pepper", "database/password", "certificate/key.pem"):
        assert one[name] != two[name]


def test_the_pepper_is_one_that_the_program_reads(tmp_path: Path) -> None:
    first_start(tmp_path, name="localhost")
    file = tmp_path / "gateway" / "pepper"
    assert settings({"PANELMUX_PEPPER_FILE": str(file)}).pepper == file.read_text()


def test_the_demo_account_is_made_once(tmp_path: Path) -> None:
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "PANELMUX_LEDGER": f"sqlite:///{tmp_path}/ledger.db"}
    words = [sys.executable, str(DEPLOY / "compose" / "demo_account.py")]
    first, second = (
        subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert "pm_" in first
    assert "pm_" not in second
    listed = subprocess.run(
        ["panelmux", "account", "list", "--json"], env=environ, capture_output=True, text=True, check=True
    )
    assert [account["account"] for account in json.loads(listed.stdout)] == ["demo"]
