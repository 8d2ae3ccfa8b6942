"""`panelmux catalog sync`: a list that shrank is held back until a person accepts it, and a running gateway follows."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog import Outcome
from gateway.rules import load
from providers.sandbox import Sandbox
from tests import wares
from tests.running import selling

pytestmark = pytest.mark.anyio

RULES = """
panels:
  p1: {{url: "{url}", key: "${{P1_KEY}}", private: true}}
publish:
  - {{panel: p1, ids: same}}
"""


async def command(folder: Path, *words: str) -> tuple[int, Any]:
    """Run `panelmux catalog sync p1 … --json` in a process of its own; gives its exit code and what it printed."""
    environ = {"PATH": os.environ["PATH"], "P1_KEY": "panel-key"}
    ledger = f"sqlite:///{folder}/panelmux.db"
    args = ["catalog", "sync", "p1", "--rules", str(folder / "rules.yaml"), "--ledger", ledger, "--json", *words]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *args, env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, json.loads(out)


async def test_a_list_that_shrank_is_held_back_until_it_is_accepted_and_then_sold_by(tmp_path: Path) -> None:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    async with box.serve() as url:
        file = tmp_path / "rules.yaml"
        file.write_text(RULES.format(url=url))
        async with selling(load(file, {"P1_KEY": "panel-key"}), tmp_path) as shop:
            catalog = shop.gateway.catalog
            await catalog.until_ready()
            box.catalogue = wares.services()[:3]
            assert (await catalog.sync("p1")).outcome is Outcome.HELD_BACK
            code, told = await command(tmp_path)
            assert (code, told["outcome"], told["rows"]) == (5, "held_back", 17)
            code, told = await command(tmp_path, "--accept", "--dry-run")
            assert (code, told["outcome"]) == (0, "new")
            assert (await catalog.sync("p1")).outcome is Outcome.HELD_BACK
            code, told = await command(tmp_path, "--accept")
            assert (code, told["outcome"], told["rows_before"], told["rows"]) == (0, "new", 17, 3)
            assert (await catalog.sync("p1")).good
            assert len(await shop.call("services")) == 3


async def test_an_empty_list_is_not_accepted_by_anyone(tmp_path: Path) -> None:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    async with box.serve() as url:
        file = tmp_path / "rules.yaml"
        file.write_text(RULES.format(url=url))
        async with selling(load(file, {"P1_KEY": "panel-key"}), tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            box.catalogue = []
            code, told = await command(tmp_path, "--accept")
            assert (code, told["outcome"], told["why"]) == (5, "held_back", "the list is empty")


async def test_a_panel_that_is_silent_cannot_be_synced(tmp_path: Path) -> None:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    async with box.serve() as url:
        file = tmp_path / "rules.yaml"
        file.write_text(RULES.format(url=url))
        async with selling(load(file, {"P1_KEY": "panel-key"}), tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            box.stop_listening()
            code, told = await command(tmp_path)
            assert (code, told["outcome"]) == (4, "failed")
