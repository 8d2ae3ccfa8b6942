"""panelmux order: what was bought, how it went, and what an unknown outcome really was."""

import click

from gateway.cli.order.listing import list_
from gateway.cli.order.resolve import resolve
from gateway.cli.order.show import show


@click.group()
def command() -> None:
    """What was bought, how it went, and what an unknown outcome really was."""


command.add_command(list_)
command.add_command(show)
command.add_command(resolve)
