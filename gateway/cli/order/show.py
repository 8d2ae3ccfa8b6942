"""panelmux order show: one order, from the decision to the last word of a panel."""

import asyncio
from collections.abc import Sequence

import click
import msgspec

from gateway.cli import output
from gateway.cli.failure import Failure
from gateway.cli.leaf import Leaf, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import moment, said
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Attempt, AttemptState, Event, Order, Waiting
from gateway.money import up, wire
from gateway.routing import Decision


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as --json writes it."""

    id: int
    panel: str
    remote_service: str
    outcome: str
    units: int
    cost: str
    remote_id: str | None
    reason: str | None
    evidence: msgspec.Raw
    began: str
    settled: str | None


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """An event as --json writes it."""

    at: str
    attempt: int | None
    what: str
    evidence: msgspec.Raw


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """All that the ledger has of one order, as --json writes it. `waiting`: units that nobody can take yet."""

    id: int
    account: str
    service: int
    type: str
    fields: msgspec.Raw
    status: str
    quantity: int
    units: int
    start_count: int | None
    remains: int
    charge: str
    refunded: str
    refill: bool
    cancel: bool
    children: tuple[str, ...]
    waiting: int
    created: str
    updated: str
    decision: msgspec.Raw
    attempts: tuple[Try, ...]
    events: tuple[Happening, ...]


class _Reasoned(msgspec.Struct):
    why: str = ""


@click.command(cls=Leaf, examples=("panelmux order show 23501", "panelmux order show 23501 --json"))
@click.argument("id", type=click.IntRange(min=1))
@ledger_option
@json_option
def show(*, id: int, ledger: str | None, as_json: bool) -> None:
    """One order: the decision, every attempt, its history."""
    order, account, attempts, events, waiting = asyncio.run(_read(settled(ledger=ledger).ledger, id))
    if as_json:
        output.document(_whole(order, account, attempts, events, waiting))
        return
    _print(order, account, attempts, events)
    if waiting is not None:
        until = "people have looked" if waiting.until_ms is None else moment(waiting.until_ms)
        output.say(
            f"{waiting.units} units wait until somebody can take them, or until {until}: {waiting.why}; "
            f"panelmux order resolve {order.id} --refund --reason TEXT gives them up"
        )


async def _read(ledger: str, id: int) -> tuple[Order, str, Sequence[Attempt], Sequence[Event], Waiting | None]:
    async with ledger_at(ledger) as opened:
        order = await known(opened, id)
        names = {one.id: one.name for one in await opened.accounts()}
        waiting = await opened.waiting_of([id])
        attempts, events = await opened.attempts(id), await opened.events(id)
        return order, names.get(order.account, ""), attempts, events, waiting[0] if waiting else None


async def known(ledger: Ledger, id: int) -> Order:
    """The order, or a failure."""
    order = await ledger.order(id)
    if order is None:
        raise Failure(f"order {id}: no such order; panelmux order list shows the newest")
    return order


def _whole(
    order: Order, account: str, attempts: Sequence[Attempt], events: Sequence[Event], waiting: Waiting | None
) -> Whole:
    return Whole(
        id=order.id,
        account=account,
        service=order.service,
        type=order.type,
        fields=_raw(order.fields),
        status=order.status.value,
        quantity=order.quantity,
        units=order.units,
        start_count=order.start_count,
        remains=order.remains,
        charge=wire(order.charge),
        refunded=wire(order.refunded),
        refill=order.refill,
        cancel=order.cancel,
        children=order.children,
        waiting=0 if waiting is None else waiting.units,
        created=moment(order.created_ms),
        updated=moment(order.updated_ms),
        decision=_raw(order.decision),
        attempts=tuple(_try(attempt, events) for attempt in attempts),
        events=tuple(
            Happening(at=moment(event.at_ms), attempt=event.attempt, what=event.what, evidence=_raw(event.evidence))
            for event in events
        ),
    )


def _seen(attempt: Attempt, events: Sequence[Event]) -> str:
    """The evidence of what the attempt came to."""
    told = [event.evidence for event in events if event.attempt == attempt.id and event.what == attempt.state.value]
    return told[-1] if told else "{}"


def _because(evidence: str) -> str:
    """The reason that the evidence gives; where it gives none, all of it."""
    try:
        return msgspec.json.decode(evidence, type=_Reasoned).why or said(evidence)
    except msgspec.MsgspecError:
        return said(evidence)


def _try(attempt: Attempt, events: Sequence[Event]) -> Try:
    return Try(
        id=attempt.id,
        panel=attempt.panel,
        remote_service=attempt.remote_service,
        outcome=attempt.state.value,
        units=attempt.units,
        cost=wire(attempt.cost),
        remote_id=attempt.remote_id,
        reason=attempt.reason,
        evidence=_raw(_seen(attempt, events)),
        began=moment(attempt.created_ms),
        settled=None if attempt.settled_ms is None else moment(attempt.settled_ms),
    )


def _raw(json: str) -> msgspec.Raw:
    return msgspec.Raw((json or "{}").encode())


def _print(order: Order, account: str, attempts: Sequence[Attempt], events: Sequence[Event]) -> None:
    output.facts(
        [
            ("order", str(order.id)),
            ("account", account),
            ("service", f"{order.service} ({order.type})"),
            ("wanted", said(order.fields)),
            ("status", _standing(order)),
            ("charge", f"{wire(order.charge)}, of it given back {wire(order.refunded)}"),
            ("placed", f"{moment(order.created_ms)}, last changed {moment(order.updated_ms)}"),
        ]
    )
    if order.children:
        output.facts([("parts", ", ".join(order.children))])
    _print_decision(order.decision)
    print("\nattempts")
    output.table(
        output.columns(">id", "panel", "service", ">units", "outcome", "remote id", ">cost", "why", "began"),
        [
            (
                str(attempt.id),
                attempt.panel,
                attempt.remote_service,
                str(attempt.units),
                attempt.state.value,
                attempt.remote_id or "",
                wire(attempt.cost),
                attempt.why or attempt.reason or _because(_seen(attempt, events)),
                moment(attempt.created_ms),
            )
            for attempt in attempts
        ],
    )
    print("\nhistory")
    output.table(
        output.columns("at", ">attempt", "what", "evidence"),
        [(moment(event.at_ms), str(event.attempt or ""), event.what, said(event.evidence)) for event in events],
    )
    if any(attempt.state is AttemptState.UNKNOWN for attempt in attempts):
        output.say(
            f"the panel may have taken it: look there, then panelmux order resolve {order.id} "
            "--bind REMOTE_ID, or --not-placed, --failover or --refund with --reason TEXT"
        )
    elif any(attempt.state is AttemptState.UNTRACKED for attempt in attempts):
        output.say(
            f"the panel took it, under an id that is not known: look there, then panelmux order resolve {order.id} "
            "--bind REMOTE_ID, or --refund --reason TEXT"
        )


def _standing(order: Order) -> str:
    began = "" if order.start_count is None else f", began at {order.start_count}"
    return f"{order.status.value}, {order.remains} of {order.units} remain{began}"


def _print_decision(text: str) -> None:
    try:
        decision = msgspec.json.decode(text, type=Decision)
    except msgspec.MsgspecError:
        # Of a later version, or none: the rest of the order is still worth showing.
        return
    by = f"; rules {decision.rules}" if decision.rules else ""
    panic = "; every circuit was open, so none was heeded" if decision.panic else ""
    print(f"\noffers, {decision.policy} first{by}{panic}")
    output.table(
        output.columns(">", "panel", "service", ">first part", ">cost", ">in truth", ">health", "left out because"),
        [
            *(
                (
                    str(place),
                    choice.panel,
                    choice.remote_service,
                    str(choice.part or ""),
                    wire(choice.cost),
                    "" if choice.effective is None else wire(up(choice.effective)),
                    f"{choice.score:.2f}",
                    "",
                )
                for place, choice in enumerate(decision.choices, 1)
            ),
            *(("", out.panel, out.remote_service, "", "", "", "", out.why) for out in decision.left_out),
        ],
    )
