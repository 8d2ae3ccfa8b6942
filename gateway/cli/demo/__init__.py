"""panelmux demo: three sandbox panels, a gateway and an account, to look at and to buy from."""

import asyncio
from pathlib import Path

import click

from gateway.cli.demo.folder import DEFAULT, Folder
from gateway.cli.demo.running import run
from gateway.cli.leaf import Leaf, json_option


@click.command(
    cls=Leaf, examples=("panelmux demo", "panelmux demo --fresh --port 9000", "panelmux demo --dir /tmp/demo --json")
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(DEFAULT),
    show_default=True,
    help="Where rules, keys and the ledger are kept; a second run goes on from there.",
)
@click.option("--fresh", is_flag=True, help="Throw away what an earlier run left in the folder.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Where the gateway listens; the next free one if it is taken, and 0 is any free one.",
)
@click.option("--quiet", is_flag=True, help="Place no orders; show those that you place.")
@json_option
def command(*, folder: Path, fresh: bool, port: int, quiet: bool, as_json: bool) -> None:
    """Run three sandbox panels, a gateway that buys from them, and an account with money in it.

    The panels differ in price, currency and manners: one is quick and dear, one cheap and now and then loses an answer,
    one slow and given to cancelling. A few orders are placed and shown as they move; place your own with the key that
    is printed. Everything is on this machine, no money is real, and Ctrl-C ends it. Settings are the demo's own, not
    the environment's.

    With --json, one line of JSON tells the address and the key, and one more follows for every change of an order.
    """
    opened = Folder(folder.absolute())
    opened.prepare(fresh=fresh)
    asyncio.run(run(opened, port, shops=not quiet, as_json=as_json))
