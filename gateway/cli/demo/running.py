"""The demo from its first socket to its last: panels, gateway, customer, screen."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import msgspec

from gateway import logs, server
from gateway import rules as rules_file
from gateway.app import Gateway
from gateway.cli import output
from gateway.cli.demo import panels
from gateway.cli.demo.folder import Folder, keep
from gateway.cli.demo.program import again, program
from gateway.cli.demo.screen import screen
from gateway.cli.demo.shopping import shop
from gateway.cli.demo.watching import Hints, Watch
from gateway.cli.panel import asked
from gateway.errors import WrongKey
from gateway.money import wire
from gateway.settings import Settings
from providers import PROVIDERS
from providers.sandbox import Sandbox

ACCOUNT: Final = "demo"
BALANCE: Final = Decimal(100)
_HOST: Final = "127.0.0.1"
_LOOK_S: Final = 0.25
_READY_S: Final = 10.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A panel as the first line of --json tells it."""

    panel: str
    balance: str
    currency: str
    services: int
    url: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of --json."""

    version: str
    url: str
    account: str
    balance: str
    key: str
    folder: str
    panels: tuple[Line, ...]
    services: int


async def run(folder: Folder, port: int, *, shops: bool, as_json: bool) -> None:
    """Run until SIGINT or SIGTERM."""
    async with open_panels(folder) as sandboxes:
        rules = rules_file.load(folder.rules, {}, PROVIDERS)
        logs.configure("console", [panel.key for panel in rules.panels.values()], level=logging.ERROR)
        settings = Settings(
            rules=str(folder.rules),
            ledger=folder.ledger_url,
            status_s=0.5,
            anchor_s=5.0,
            balance_s=5.0,
            drain_s=5.0,
        )
        with _listening(port) as listening:
            async with Gateway(settings, rules) as gateway:
                with contextlib.suppress(TimeoutError):  # a panel that people added may be slow; it is not waited for
                    await asyncio.wait_for(gateway.catalog.until_ready(), _READY_S)
                ready = await _ready(gateway, folder, f"{server.url(listening)}/api/v2")
                _announce(ready, folder, as_json=as_json)
                shell = folder.shell(program())
                await _sell(gateway, listening, ready, sandboxes, shell, shops=shops, as_json=as_json)
    options = folder.option
    output.say(f"stopped; {again(options)} goes on from here, {again(f'{options} --fresh')} begins anew")


@contextlib.asynccontextmanager
async def open_panels(folder: Folder) -> AsyncIterator[Mapping[str, Sandbox]]:
    """The panels, listening where the rules say; the rules are written, or corrected where a port was taken."""
    text = folder.rules.read_text() if folder.rules.exists() else None
    made: dict[str, Sandbox] = {}
    urls: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        written = {} if text is None else rules_file.load(folder.rules, {}, PROVIDERS).panels
        for name in panels.PANELS:
            before = written[name].url if name in written else None
            if text is not None and (before is None or urlsplit(before).hostname != _HOST):
                continue  # people took it out of the rules, or put a real panel in its place
            made[name] = panels.sandbox(name, folder.panel_key(name).read_text().strip(), folder)
            stack.callback(made[name].close)
            urls[name] = await _serve(stack, made[name], before)
            if text is not None and before is not None and before != urls[name]:
                output.say(f"{name}: its port was taken; it is {urls[name]} now, and the rules say so")
                text = text.replace(before, urls[name])
        folder.rules.write_text(text if text is not None else panels.rules(urls, folder))
        yield made


async def _serve(stack: contextlib.AsyncExitStack, sandbox: Sandbox, before: str | None) -> str:
    port = (urlsplit(before).port or 0) if before is not None else 0
    try:
        return await stack.enter_async_context(sandbox.serve(_HOST, port))
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        return await stack.enter_async_context(sandbox.serve(_HOST, 0))


def _listening(port: int) -> socket.socket:
    """The first free port from `port` on, of twenty; then any."""
    for wanted in (*range(port, min(port + 20, 65536)), 0):
        try:
            listening = server.listen(_HOST, wanted)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            continue
        if wanted != port:
            output.say(f"port {port} is taken; this is {listening.getsockname()[1]}")
        return listening
    raise OSError(errno.EADDRINUSE, "no port is free")


async def _ready(gateway: Gateway, folder: Folder, url: str) -> Ready:
    account = await gateway.ledger.account(ACCOUNT)
    key = folder.customer_key()
    if account is None:
        key, account = await gateway.accounts.create(ACCOUNT, unlimited=False, balance=BALANCE, note="demo")
        keep(folder.customer, key)
    try:
        await gateway.accounts.by_key(key or "")
    except WrongKey:
        key, _ = await gateway.accounts.create_key(account.id)
        keep(folder.customer, key)
    await asyncio.gather(*(asked(panel) for panel in gateway.panels.values()))
    return Ready(
        version=version("panelmux"),
        url=url,
        account=ACCOUNT,
        balance=wire(await gateway.ledger.balance(account.id)),
        key=key or "",
        folder=str(folder.path),
        panels=tuple(
            Line(
                panel=panel.name,
                balance=wire(panel.balance or Decimal(0)),
                currency=panel.rules.currency,
                services=len(panel.rows),
                url=panel.rules.url,
            )
            for panel in gateway.panels.values()
        ),
        services=len(gateway.catalog.services()),
    )


def _announce(ready: Ready, folder: Folder, *, as_json: bool) -> None:
    if as_json:
        output.line(ready)
        return
    print(f"panelmux {ready.version}  demo in {ready.folder}\n")
    output.table(
        output.columns("panel", ">balance", "currency", ">services", "manners"),
        [
            (line.panel, line.balance, line.currency, str(line.services), panels.says(line.panel))
            for line in ready.panels
        ],
    )
    call = f"key={ready.key}&action="
    print(
        f"\nAPI      {ready.url}"
        f"\nkey      {ready.key}   (a toy: kept in {folder.customer})"
        f"\naccount  {ready.account}, {ready.balance} USD; {ready.services} services"
        "\n\ntry, in another terminal\n"
        f"  order=$(curl -s -d '{call}add&service=1&link=https://link.example/p/1&quantity=1000' {ready.url}"
        " | tee /dev/stderr | tr -dc 0-9)\n"
        f'  curl -s -d "{call}status&order=$order" {ready.url}'
        "\n\nthen there\n"
        f"  {folder.shell(program())}    # exports PANELMUX_RULES, PANELMUX_LEDGER and PATH\n"
        "  panelmux order list\n"
        "  panelmux order show $order\n"
        "  panelmux route explain 2 --quantity 1000\n"
        "\nCtrl-C stops. Orders:\n",
        flush=True,
    )


async def _sell(
    gateway: Gateway,
    listening: socket.socket,
    ready: Ready,
    sandboxes: Mapping[str, Sandbox],
    shell: str,
    *,
    shops: bool,
    as_json: bool,
) -> None:
    """Serve until a signal; buy and watch meanwhile."""
    with screen(as_json=as_json) as show:
        watch, hints = Watch(gateway.ledger, gateway.catalog), Hints(sandboxes, shell)

        async def watching() -> None:
            while True:
                rows, changed = await watch.look()
                show(rows, changed, [line for row in changed for line in hints.of(row)])
                await asyncio.sleep(_LOOK_S)

        beside = [asyncio.create_task(watching())]
        if shops:
            beside.append(asyncio.create_task(shop(ready.url, ready.key)))
        try:
            await server.serve(gateway, listening, started=lambda _url: None)
        finally:
            for task in beside:
                task.cancel()
            for outcome in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(outcome, Exception):
                    output.say(f"demo: {type(outcome).__name__}: {outcome}")
