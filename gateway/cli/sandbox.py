"""panelmux sandbox: one panel that behaves, or misbehaves as told."""

import asyncio
import shlex
import signal
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import click
import msgspec

from gateway.cli import output
from gateway.cli.amount import Amount
from gateway.cli.failure import cannot_listen
from gateway.cli.leaf import Leaf, json_option
from gateway.money import wire
from providers.sandbox import FAULTS, STORM, Catalogue, FaultsError, Sandbox, Temper, Tempo, generate, load, parse

TEMPI: Final[Mapping[str, Tempo]] = {
    "instant": Tempo(pending=(0, 0), work=(0, 0), cancel=(0, 0), refill=(0, 0), post=(0, 0), minute=0),
    "seconds": Tempo(pending=(0.5, 2), work=(2, 8), cancel=(0.5, 2), refill=(1, 3), post=(2, 6), minute=1),
    "minutes": Tempo(),
}
"""How fast orders move, by name."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Written by --json once the panel listens."""

    url: str
    key: str
    currency: str
    balance: str
    services: int
    faults: str


class FaultLine(msgspec.Struct, frozen=True, kw_only=True):
    """A fault as --list-faults --json writes it."""

    fault: str
    actions: tuple[str, ...]
    done: bool
    value: str
    default: str
    says: str


@click.command(
    cls=Leaf,
    examples=(
        "panelmux sandbox --faults 'add:fin_after@0.05, *:delay=0.2@0.1'",
        "panelmux sandbox --port 9000 --catalogue services.json --currency EUR --journal bought.jsonl",
        "panelmux sandbox --list-faults",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen here.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="And here.")
@click.option("--key", default="sandbox", show_default=True, help="The one key it knows.")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sell this list: a file with a panel's answer to `services`.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all its luck, a made-up list included.")
@click.option("--services", type=click.IntRange(1, 100_000), default=130, show_default=True, help="Rows to make up.")
@click.option("--currency", default="USD", show_default=True, help="What it bills in.")
@click.option(
    "--balance",
    type=Amount(),
    default=Decimal(1000),
    show_default=True,
    help="What we ever paid in; more of it tops a journal up.",
)
@click.option("--faults", default="", metavar="RULES", help='How it misbehaves; "storm" is every way at once.')
@click.option(
    "--tempo", type=click.Choice(list(TEMPI)), default="seconds", show_default=True, help="Orders take so long."
)
@click.option("--canceled", type=click.FloatRange(0, 1), default=0.0, help="Share of orders that it cancels.")
@click.option("--partial", type=click.FloatRange(0, 1), default=0.0, help="Share of orders that it does not finish.")
@click.option(
    "--journal", type=click.Path(dir_okay=False, path_type=Path), help="Write down what it does; carried on if there."
)
@click.option("--list-faults", is_flag=True, help="List all faults and end.")
@json_option
def command(
    *,
    host: str,
    port: int,
    key: str,
    catalogue: Path | None,
    seed: int,
    services: int,
    currency: str,
    balance: Decimal,
    faults: str,
    tempo: str,
    canceled: float,
    partial: float,
    journal: Path | None,
    list_faults: bool,
    as_json: bool,
) -> None:
    """Run a panel on this machine until SIGINT or SIGTERM, to try rules, programs and bad days on.

    It answers the seven actions, keeps books, and misbehaves by --faults: action[:when]:fault[=value][@probability],
    apart by commas. add:3:silence_after is the third add only, *:delay=0.2@0.1 a tenth of all calls.
    """
    if list_faults:
        _list_faults(as_json=as_json)
        return
    try:
        sandbox = Sandbox(
            "sandbox",
            key=key,
            catalogue=_sells(catalogue, seed, services, currency),
            currency=currency,
            balance=balance,
            seed=seed,
            faults=parse(STORM if faults == "storm" else faults),
            tempo=TEMPI[tempo],
            temper=Temper(canceled=canceled, partial=partial),
            journal=journal,
        )
    except FaultsError as wrong:
        raise click.UsageError(f"--faults {wrong}") from None
    try:
        asyncio.run(_run(sandbox, host, port, key, as_json=as_json))
    finally:
        sandbox.close()


def _sells(file: Path | None, seed: int, services: int, currency: str) -> Catalogue:
    if file is None:
        return generate(seed, services, currency=currency)
    try:
        return load(file)
    except ValueError as wrong:
        raise click.UsageError(f"--catalogue {wrong}") from None


async def _run(sandbox: Sandbox, host: str, port: int, key: str, *, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with sandbox.serve(host, port) as url:
            _announce(sandbox, url, key, as_json=as_json)
            await stop.wait()
    except OSError as error:
        raise cannot_listen(host, port, error) from None


def _announce(sandbox: Sandbox, url: str, key: str, *, as_json: bool) -> None:
    running = Running(
        url=url,
        key=key,
        currency=sandbox.currency,
        balance=wire(sandbox.balance),
        services=len(sandbox.catalogue.rows),
        faults=str(sandbox.faults),
    )
    if as_json:
        output.line(running)
        return
    output.facts(
        [
            ("url", url),
            ("key", key),
            ("balance", f"{running.balance} {running.currency}"),
            ("services", str(running.services)),
            ("faults", running.faults or "none"),
        ]
    )
    print(
        f"\nexport SANDBOX_KEY={shlex.quote(key)}    # for these rules:\n\n{_rules(url, sandbox.currency)}", flush=True
    )
    output.say("Ctrl-C stops")


def _rules(url: str, currency: str) -> str:
    return f"""panels:
  sandbox:
    url: {url}
    key: ${{SANDBOX_KEY}}
    currency: {currency}
    private: true
margin: 20%
publish:
  - {{panel: sandbox, ids: same}}
"""


def _list_faults(*, as_json: bool) -> None:
    lines = [
        FaultLine(
            fault=fault.name,
            actions=tuple(sorted(fault.actions)),
            done=fault.executed,
            value=" | ".join(fault.choices) if fault.choices else fault.value,
            default=fault.default,
            says=fault.says,
        )
        for fault in FAULTS.values()
    ]
    if as_json:
        output.document(lines)
        return
    output.table(
        output.columns("fault", "fits", "what it does", "value"),
        [
            (
                line.fault,
                "any" if len(line.actions) >= 7 else ", ".join(line.actions),
                line.says,
                "" if line.value == "nothing" else f"{line.value}; else {line.default}",
            )
            for line in lines
        ],
    )
