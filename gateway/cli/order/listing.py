"""panelmux order list."""

import asyncio
from typing import Any, Final

import click
import msgspec

from gateway.cli import output
from gateway.cli.account import by_name
from gateway.cli.leaf import Leaf, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import moment, shortened
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState, Order
from gateway.money import wire
from providers.base import OrderStatus


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An order as --json writes it.

    Attributes:
        quantity: units of one run; `runs`: how many runs a drip-feed has, else None.
        unknown: whether the panel took the order is open.
        charge: what it has taken so far, less what was given back, as customers see it.
        panel: the one asked last.
    """

    id: int
    account: str
    service: int
    link: str
    quantity: int
    runs: int | None
    status: str
    unknown: bool
    charge: str
    refunded: str
    remains: int
    panel: str
    attempts: int
    created: str


class _Dripfeed(msgspec.Struct):
    runs: int | None = None


class _Word(click.Choice[str]):
    """A status in the field's words, in the other spelling too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("Canceled" if str(value).lower() == "cancelled" else value, param, ctx)


_SOME: Final = 50
_ALL: Final = 10_000


@click.command(
    "list",
    cls=Leaf,
    examples=("panelmux order list --status 'In progress' --limit 20", "panelmux order list --unknown --json"),
)
@click.option(
    "--status",
    type=_Word([status.value for status in OrderStatus], case_sensitive=False),
    help="Only orders that stand so.",
)
@click.option("--account", metavar="NAME", help="Only this account's.")
@click.option("--unknown", is_flag=True, help="Only orders that a panel may have taken and did not confirm.")
@click.option("--limit", type=click.IntRange(1, _ALL), help="The newest so many.  [default: 50; all unknown ones]")
@ledger_option
@json_option
def list_(
    *, status: str | None, account: str | None, unknown: bool, limit: int | None, ledger: str | None, as_json: bool
) -> None:
    """Orders, newest first."""
    most = limit or (_ALL if unknown else _SOME)
    lines = asyncio.run(_lines(settled(ledger=ledger).ledger, status, account, unknown, most))
    if len(lines) == most:
        output.say(f"the newest {most}; --limit shows more")
    if as_json:
        output.document(lines)
        return
    output.table(
        output.columns(
            ">order", "account", ">service", "link", ">quantity", "status", ">charge", ">remains", "panel", "created"
        ),
        [
            (
                str(line.id),
                line.account,
                str(line.service),
                shortened(line.link, 40),
                f"{line.quantity} x{line.runs}" if line.runs else str(line.quantity),
                f"{line.status} (unknown)" if line.unknown else line.status,
                line.charge,
                str(line.remains),
                line.panel,
                line.created,
            )
            for line in lines
        ],
        empty="no such order" if status or account else "none" if unknown else "no order yet",
    )


async def _lines(ledger: str, status: str | None, account: str | None, unknown: bool, limit: int) -> list[Line]:
    async with ledger_at(ledger) as opened:
        names = {one.id: one.name for one in await opened.accounts()}
        orders = await opened.list_orders(
            account=(await by_name(opened, account)).id if account else None,
            status=OrderStatus(status) if status else None,
            unknown=unknown,
            limit=limit,
        )
        return [await _line(opened, order, names.get(order.account, "")) for order in orders]


async def _line(ledger: Ledger, order: Order, account: str) -> Line:
    attempts = await ledger.attempts(order.id)
    return Line(
        id=order.id,
        account=account,
        service=order.service,
        link=order.link,
        quantity=order.quantity,
        runs=_runs(order),
        status=order.status.value,
        unknown=any(attempt.state is AttemptState.UNKNOWN for attempt in attempts),
        charge=wire(order.charge - order.refunded),
        refunded=wire(order.refunded),
        remains=order.remains,
        panel=attempts[-1].panel if attempts else "",
        attempts=len(attempts),
        created=moment(order.created_ms),
    )


def _runs(order: Order) -> int | None:
    """How many runs were ordered; the ledger's own number is of those that were carried out."""
    try:
        return msgspec.json.decode(order.fields, type=_Dripfeed).runs
    except msgspec.MsgspecError:
        return None
