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
from providers.sandbox import Catalogue, Sandbox
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
    return await catalog(folder, "sync", "p1", "--rules", str(folder / "rules.yaml"), *words)


async def catalog(folder: Path, *words: str) -> tuple[int, Any]:
    """The same for any command about catalogues."""
    environ = {"PATH": os.environ["PATH"], "P1_KEY": "panel-key"}
    ledger = f"sqlite:///{folder}/panelmux.db"
    args = ["catalog", *words, "--ledger", ledger, "--json"]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *args, env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, json.loads(out) if out else None


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


async def test_a_price_that_jumps_waits_until_people_say_yes_and_goes_back_when_they_say_so(tmp_path: Path) -> None:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services())
    async with box.serve() as url:
        (tmp_path / "rules.yaml").write_text(RULES.format(url=url))
        rules = load(tmp_path / "rules.yaml", {"P1_KEY": "panel-key"})
        async with selling(rules, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            assert await catalog(tmp_path, "held") == (0, [])
            box.catalogue = Catalogue.of(
                [row | {"rate": "4.50"} for row in wares.services()[:1]] + wares.services()[1:]
            )
            await shop.gateway.catalog.sync("p1")
            [waits] = (await catalog(tmp_path, "held"))[1]
            assert (waits["service"], waits["was"], waits["now"]) == ("1", "1.50", "4.50")
            assert waits["why"] == "its rate was 1.50 and is 4.50"
            rates = {row["service"]: row["rate"] for row in await shop.call("services")}
            assert rates[1] == "1.50", "customers are asked what they were asked before"
            assert "error" in await shop.call("add", service=1, link=wares.LINK, quantity=20), (
                "it is not bought meanwhile"
            )
            assert (await catalog(tmp_path, "approve", "p1", "2"))[0] == 2
            code, said = await catalog(tmp_path, "approve", "p1", "1")
            assert (code, said) == (0, {"panel": "p1", "services": ["1"], "done": True})
            await shop.gateway.catalog.sync("p1")
            rates = {row["service"]: row["rate"] for row in await shop.call("services")}
            assert rates[1] == "4.50"
            assert "order" in await shop.call("add", service=1, link=wares.LINK, quantity=20)
            [change] = (await catalog(tmp_path, "diff", "p1"))[1]
            assert (change["what"], change["version"], change["fields"]) == ("changed", 1, {"rate": ["1.50", "4.50"]})
            assert (await catalog(tmp_path, "history", "p1", "1"))[1] == [change]
            assert (await catalog(tmp_path, "history", "p1", "2"))[1] == []
            assert (await catalog(tmp_path, "rollback", "p1", "7"))[0] == 2
            assert (await catalog(tmp_path, "rollback", "p1", "0", "--dry-run"))[1]["rows"] == 1
            assert (await catalog(tmp_path, "rollback", "p1", "0"))[1]["done"] is True
            await shop.gateway.catalog.sync("p1")
            rates = {row["service"]: row["rate"] for row in await shop.call("services")}
            assert rates[1] == "1.50"
            assert [one["service"] for one in (await catalog(tmp_path, "held"))[1]] == ["1"]
        async with selling(rules, tmp_path) as shop:
            assert "error" in await shop.call("add", service=1, link=wares.LINK, quantity=20), "also after a start"
