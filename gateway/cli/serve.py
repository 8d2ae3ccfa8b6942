"""panelmux serve: run the gateway."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from importlib.metadata import version

import click
import msgspec

from gateway import logs, server
from gateway.accounts import pepper
from gateway.app import Gateway
from gateway.cli import output, workers
from gateway.cli.failure import cannot_listen
from gateway.cli.leaf import Leaf, json_option, ledger_option, rules_option
from gateway.cli.opened import settled
from gateway.cli.reached import agreed, ruled
from gateway.metrics import Metrics
from gateway.redis_url import password, shown
from gateway.reloading import Reloading
from gateway.rules.model import Rules
from gateway.settings import Settings, node_name


class Serving(msgspec.Struct, frozen=True):
    """Written by --json once the gateway listens."""

    url: str
    version: str


@click.command(
    cls=Leaf,
    examples=(
        "panelmux serve",
        "panelmux serve --host 0.0.0.0 --port 80 --ledger sqlite:////var/lib/panelmux/ledger.db",
    ),
)
@click.option(
    "--host", envvar="PANELMUX_HOST", show_envvar=True, show_default="127.0.0.1", metavar="ADDRESS", help="Listen here."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    envvar="PANELMUX_PORT",
    show_envvar=True,
    show_default="8080",
    help="And here; 0 is any free one.",
)
@rules_option
@ledger_option
@json_option
def command(*, host: str | None, port: int | None, rules: str | None, ledger: str | None, as_json: bool) -> None:
    """Run the gateway until SIGINT or SIGTERM; orders that are being placed are finished first.

    With PANELMUX_WORKERS above 1, and a ledger in PostgreSQL, it is so many processes on one address, each of which is
    started anew when it ends; whichever is asked for /metrics tells of all of them.

    It follows its rules file: a change is taken within seconds, whole, or not at all with its mistakes in the log;
    SIGHUP has it read anew, with the keys that it refers to.

    It ends with 3 when the rules are invalid or in another currency than the ledger, with 4 when the address or the
    ledger is in use. Customers call /api/v2; /healthz, /readyz and /metrics are for machines.
    """
    settings = settled(host=host, port=port, rules=rules, ledger=ledger)
    found = ruled(settings)
    asyncio.run(agreed(settings, found))
    logs.configure(settings.log, secrets(settings, found))
    for warning in found.warnings:
        output.say(f"warning: {warning}")
    with workers.given() or listening(settings.host, settings.port) as opened:
        if settings.workers == 1:
            asyncio.run(_serve(settings, found, opened, as_json=as_json))
            return
        with workers.folder() as folder:
            running = workers.Workers(settings.workers, node_name(settings), opened, folder=folder)
            code = asyncio.run(running.run())
    if code:
        raise click.exceptions.Exit(code)


def secrets(settings: Settings, rules: Rules) -> tuple[str, ...]:
    """What no log line may hold: our keys at panels, and what customers' keys are hashed with."""
    hashing = pepper(settings)
    urls = (password(url) for url in (settings.ledger, settings.redis or ""))
    return (*(panel.key for panel in rules.panels.values()), settings.pepper or "", hashing.hex(), *urls)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket, or a failure that names the address."""
    try:
        opened = server.listen(host, port)
    except OSError as error:
        raise cannot_listen(host, port, error) from None
    with opened:
        yield opened


async def _serve(settings: Settings, rules: Rules, opened: socket.socket, *, as_json: bool) -> None:
    def started(url: str) -> None:
        output.say(
            f"panelmux {version('panelmux')} listens on {url}/api/v2; rules {settings.rules}, {shown(settings.ledger)}"
        )
        if as_json:
            output.line(Serving(url, version("panelmux")))

    hidden = set(secrets(settings, rules))

    def taken(now: Rules) -> None:
        hidden.update(secrets(settings, now))  # those of before may still be on their way
        logs.configure(settings.log, hidden)

    async with Gateway(settings, rules, metrics=Metrics(workers.counting())) as gateway:
        reloading = Reloading(gateway, settings.rules, os.environ, taken=taken)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloading.ask)
        workers.orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM))
        following = asyncio.create_task(reloading.follow(), name="rules")
        try:
            await server.serve(gateway, opened, started=started)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
