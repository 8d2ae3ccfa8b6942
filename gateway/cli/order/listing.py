"""panelmux order list."""

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import click
import msgspec

from gateway.cli import output
from gateway.cli.account import by_name
from gateway.cli.leaf import Leaf, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import age, moment, shortened
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AttemptState, Order, Waiting
from gateway.money import wire
from providers.base import OrderStatus


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An order as --json writes it.

    Attributes:
        quantity: units of one run; `runs`: how many runs a drip-feed has, else None.
        unknown: whether the panel took the order is open.
        untracked: the panel took it, under an id that is not known.
        age_s: seconds since the attempt of which that is said; `at_risk` what it may have taken of our money there, in
            the rules' currency; `why` the last look for evidence settled nothing. None and "" for all others.
        waiting: nobody can take it yet, because of `why`; `waits_until`: then its money goes back, None where people
            have to look first.
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
    untracked: bool
    age_s: int | None
    at_risk: str | None
    why: str
    waiting: bool
    waits_until: str | None
    charge: str
    refunded: str
    remains: int
    panel: str
    attempts: int
    created: str


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders are listed."""

    status: str | None
    account: str | None
    unknown: bool
    waiting: bool


class _Dripfeed(msgspec.Struct):
    runs: int | None = None


class _Word(click.Choice[str]):
    """A status in the field's words, in the other spelling too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("Canceled" if str(value).lower() == "cancelled" else value, param, ctx)


_OPEN: Final = frozenset({AttemptState.UNKNOWN, AttemptState.UNTRACKED})
_SOME: Final = 50
_ALL: Final = 10_000


@click.command(
    "list",
    cls=Leaf,
    examples=(
        "panelmux order list --status 'In progress' --limit 20",
        "panelmux order list --unknown --json",
        "panelmux order list --waiting",
    ),
)
@click.option(
    "--status",
    type=_Word([status.value for status in OrderStatus], case_sensitive=False),
    help="Only orders that stand so.",
)
@click.option("--account", metavar="NAME", help="Only this account's.")
@click.option(
    "--unknown",
    is_flag=True,
    help="Only orders that a panel may have taken and did not confirm: how old, what is at risk, why they are open.",
)
@click.option("--waiting", is_flag=True, help="Only orders that nobody can take yet: until when they wait, and why.")
@click.option("--limit", type=click.IntRange(1, _ALL), help="The newest so many.  [default: 50; all unknown ones]")
@ledger_option
@json_option
def list_(
    *,
    status: str | None,
    account: str | None,
    unknown: bool,
    waiting: bool,
    limit: int | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Orders, newest first; those that wait oldest first, as they are bought."""
    if unknown and waiting:
        raise click.UsageError("say one of --unknown and --waiting")
    most = limit or (_ALL if unknown or waiting else _SOME)
    which = Which(status=status, account=account, unknown=unknown, waiting=waiting)
    lines = asyncio.run(_lines(settled(ledger=ledger).ledger, which, most))
    if len(lines) == most:
        output.say(f"the newest {most}; --limit shows more")
    if as_json:
        output.document(lines)
        return
    if unknown:
        _print_unknown(lines)
        return
    if waiting:
        _print_waiting(lines[::-1])  # as they are bought
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
                _standing(line),
                line.charge,
                str(line.remains),
                line.panel,
                line.created,
            )
            for line in lines
        ],
        empty="no such order" if status or account else "no order yet",
    )


def _print_unknown(lines: Sequence[Line]) -> None:
    """The short list: what people have to look at, and what it may cost."""
    output.table(
        output.columns(">order", "account", "panel", "service", "link", ">age", ">at risk", "outcome", "why"),
        [
            (
                str(line.id),
                line.account,
                line.panel,
                str(line.service),
                shortened(line.link, 40),
                age(line.age_s or 0),
                line.at_risk or "",
                "untracked" if line.untracked else "unknown",
                shortened(line.why or "no look for evidence yet", 90),
            )
            for line in lines
        ],
        empty="none",
    )
    if lines:
        at_risk = sum((Decimal(line.at_risk or 0) for line in lines), Decimal(0))
        output.say(f"{len(lines)} orders, {wire(at_risk)} at risk; panelmux order show ORDER lays the evidence out")


def _print_waiting(lines: Sequence[Line]) -> None:
    """What is held up, and until when."""
    output.table(
        output.columns(">order", "account", ">service", "link", ">charge", "since", "until", "why"),
        [
            (
                str(line.id),
                line.account,
                str(line.service),
                shortened(line.link, 40),
                line.charge,
                line.created,
                line.waits_until or "people have looked",
                shortened(line.why, 90),
            )
            for line in lines
        ],
        empty="none",
    )
    if lines:
        held = sum((Decimal(line.charge) for line in lines), Decimal(0))
        output.say(f"{len(lines)} orders, {wire(held)} of charges; each is bought once a panel can take it")


def _standing(line: Line) -> str:
    mark = " (unknown)" if line.unknown else " (untracked)" if line.untracked else " (waiting)" if line.waiting else ""
    return line.status + mark


async def _lines(ledger: str, which: Which, limit: int) -> list[Line]:
    async with ledger_at(ledger) as opened:
        names = {one.id: one.name for one in await opened.accounts()}
        orders = await opened.list_orders(
            account=(await by_name(opened, which.account)).id if which.account else None,
            status=OrderStatus(which.status) if which.status else None,
            unknown=which.unknown,
            waiting=which.waiting,
            limit=limit,
        )
        waiting = {one.order: one for one in await opened.waiting_of([order.id for order in orders])}
        return [await _line(opened, order, names.get(order.account, ""), waiting.get(order.id)) for order in orders]


async def _line(ledger: Ledger, order: Order, account: str, waiting: Waiting | None) -> Line:
    attempts = await ledger.attempts(order.id)
    open_ = next((one for one in attempts if one.state in _OPEN), None)
    return Line(
        id=order.id,
        account=account,
        service=order.service,
        link=order.link,
        quantity=order.quantity,
        runs=_runs(order),
        status=order.status.value,
        unknown=open_ is not None and open_.state is AttemptState.UNKNOWN,
        untracked=open_ is not None and open_.state is AttemptState.UNTRACKED,
        age_s=None if open_ is None else max(0, int(time.time() - open_.created_ms / 1000)),
        at_risk=None if open_ is None else wire(open_.cost),
        why=open_.why if open_ is not None else waiting.why if waiting is not None else "",
        waiting=waiting is not None,
        waits_until=None if waiting is None or waiting.until_ms is None else moment(waiting.until_ms),
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
