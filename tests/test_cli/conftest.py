"""The panels, once a module; a folder for each test."""

import asyncio
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.cli import beats, taking
from tests import databases
from tests.test_cli.gateways import Gateways
from tests.test_cli.shell import RULES, Shell, Site


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


@pytest.fixture
def gateways(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateways]:
    """Nobody sells from a ledger in PostgreSQL yet."""
    url = databases.postgres(tmp_path)
    shell.ledger = shell.environ["PANELMUX_LEDGER"] = url
    shell.environ["PANELMUX_PEPPER"] = "pepper of a test"
    made = Gateways(shell, url)
    for command in ("node", "ledger"):
        monkeypatch.setattr(f"gateway.cli.{command}.watched", partial(beats.watched, sleep=made.live))
    monkeypatch.setattr("gateway.cli.rules.heard", partial(taking.heard, sleep=made.live))
    monkeypatch.setattr("gateway.cli.rules.differing", partial(taking.differing, sleep=made.live))
    yield made
    databases.drop(url)
