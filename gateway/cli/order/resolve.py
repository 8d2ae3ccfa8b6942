"""panelmux order resolve: the operator's word on an attempt whose outcome is unknown."""

import asyncio
import getpass
import sys
import time
from decimal import Decimal

import click
import msgspec

from gateway.cli import output
from gateway.cli.failure import Exit, Failure
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option, rules_option, yes_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.order.show import known
from gateway.cli.reached import panel_of, ruled
from gateway.cli.text import age
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Attempt, AttemptState, Fail, NotPlaced, Order
from gateway.money import up, wire
from gateway.rules.model import Rules
from gateway.settings import Settings
from providers.base import Refusal, Status

_FAR = Decimal("0.2")  # of the expected cost: a charge that is further off is told
_SETTLE_S = 300  # how long after it was sent an order may still arrive at a panel


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator says of the attempt: it became `bind` at the panel, or, None, it never got there."""

    bind: str | None
    reason: str


class Found(msgspec.Struct, frozen=True):
    """The attempt, what would be done in words, and the charge that the panel told, in its currency."""

    attempt: Attempt
    plan: tuple[str, ...]
    charge: Decimal | None = None


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, as --json writes it."""

    order: int
    attempt: int
    panel: str
    outcome: str
    remote_id: str | None
    done: bool


@click.command(
    cls=Leaf,
    examples=(
        "panelmux order resolve 23501 --bind 998877 --dry-run",
        'panelmux order resolve 23501 --not-placed --reason "absent from the panel\'s order list" --yes',
    ),
)
@click.argument("id", type=click.IntRange(min=1))
@click.option("--bind", metavar="REMOTE_ID", help="The panel took it, under this id. The panel is asked first.")
@click.option("--not-placed", is_flag=True, help="The panel did not take it: the customer's money goes back.")
@click.option("--reason", default="", help="How you know; kept with the order. --not-placed needs one.")
@yes_option
@dry_run_option
@rules_option
@ledger_option
@json_option
def resolve(
    *,
    id: int,
    bind: str | None,
    not_placed: bool,
    reason: str,
    yes: bool,
    dry_run: bool,
    rules: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Settle an attempt whose outcome is unknown.

    Nothing is sent to the panel but the question how an order stands. What is done is shown first, and asked about.
    """
    if (bind is None) is not not_placed:
        raise click.UsageError("say one of --bind REMOTE_ID and --not-placed")
    if not_placed and not reason.strip():
        raise click.UsageError(
            "--not-placed needs --reason: what was not placed is given back, and may be bought again"
        )
    settings, word = settled(rules=rules, ledger=ledger), Word(bind=bind, reason=reason.strip())
    found = asyncio.run(_look(settings, id, word))
    for line in found.plan:
        output.say(line)
    if not dry_run:
        _confirm(yes=yes)  # between two loops: waiting for a person stops neither Ctrl-C nor the ledger
        asyncio.run(_settle(settings, found, word))
    resolved = Resolved(
        order=id,
        attempt=found.attempt.id,
        panel=found.attempt.panel,
        outcome=(AttemptState.NOT_PLACED if bind is None else AttemptState.ACCEPTED).value,
        remote_id=bind,
        done=not dry_run,
    )
    if as_json:
        output.document(resolved)
    elif resolved.done:
        output.facts([("order", str(id)), ("attempt", str(resolved.attempt)), ("outcome", resolved.outcome)])


async def _look(settings: Settings, id: int, word: Word) -> Found:
    async with ledger_at(settings.ledger) as ledger:
        order = await known(ledger, id)
        attempt = await _open(ledger, order)
        taken = None if word.bind is None else await ledger.bound(attempt.panel, word.bind)
    if taken is not None:
        raise Failure(f"{attempt.panel}: its order {word.bind} is our order {taken} already; nothing was bound")
    if word.bind is None:
        return Found(attempt, (_where(attempt), *_given_back(order, attempt)))
    rules = ruled(settings)
    told = await _ask(rules, attempt.panel, word.bind)
    plan = (_where(attempt), *_bound(order, attempt, word.bind, told), *_odd(rules, attempt, told))
    return Found(attempt, plan, told.charge)


async def _open(ledger: Ledger, order: Order) -> Attempt:
    """The order's attempt whose outcome is unknown."""
    attempts = await ledger.attempts(order.id)
    for attempt in attempts:
        if attempt.state is AttemptState.UNKNOWN:
            return attempt
        if attempt.state is AttemptState.SENDING:
            raise Failure(
                f"order {order.id}: attempt {attempt.id} at {attempt.panel} is still under way; "
                "the gateway settles it, or calls it unknown at its next start"
            )
    last = attempts[-1].state.value if attempts else "none"
    raise Failure(f"order {order.id}: no attempt whose outcome is unknown; the last one is: {last}")


async def _ask(rules: Rules, name: str, remote_id: str) -> Status:
    """What the panel says of its order `remote_id`."""
    async with panel_of(rules, name) as panel:
        told = (await panel.provider.status([remote_id])).get(remote_id)
    if isinstance(told, Status):
        return told
    words = f'says "{told.text}"' if isinstance(told, Refusal) else "says nothing of it"
    raise Failure(f"{name}: status of {remote_id}: the panel {words}; nothing was bound")


def _where(attempt: Attempt) -> str:
    since = age(time.time() - attempt.created_ms / 1000)
    return (
        f"order {attempt.order}: attempt {attempt.id} at {attempt.panel}, service {attempt.remote_service}, "
        f"expected cost {wire(attempt.cost)}, sent {since} ago, outcome unknown"
    )


def _bound(order: Order, attempt: Attempt, remote_id: str, told: Status) -> list[str]:
    seen = [told.word or "no status"]
    if told.remains is not None:
        seen.append(f"{told.remains} of our {order.units} remain")
    if told.charge is not None:
        seen.append(f"charge {wire(told.charge)} {told.currency or ''}".rstrip())
    return [
        f"{attempt.panel} says of its order {remote_id}: {', '.join(seen)}",
        f"→ the attempt is accepted as {remote_id}, and {wire(order.charge)} held for it becomes a sale",
    ]


def _odd(rules: Rules, attempt: Attempt, told: Status) -> list[str]:
    """A warning where the panel's charge is not about what was expected: the id may be another order's."""
    currency = told.currency or rules.panels[attempt.panel].currency
    worth = Decimal(1) if currency == rules.currency else rules.exchange.get(currency)
    if told.charge is None or worth is None or not attempt.cost:
        return []
    taken = up(told.charge * worth)
    if abs(taken / attempt.cost - 1) <= _FAR:
        return []
    amounts = f"it took {wire(taken)} {rules.currency} where {wire(attempt.cost)} was expected"
    return [f"careful: {amounts}: the id may be another order's"]


def _given_back(order: Order, attempt: Attempt) -> list[str]:
    plan = [f"→ the attempt counts as not placed; {wire(order.charge)} goes back to the account; the order is Canceled"]
    left = _SETTLE_S - (time.time() - attempt.created_ms / 1000)
    if left > 0:
        plan.append(
            f"it was sent less than {_SETTLE_S} s ago and may still arrive there: better wait {int(left) + 1} s"
        )
    return plan


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not _is_terminal():
        raise Failure("order resolve: nobody to ask; say --yes, or --dry-run to look only", Exit.MISUSE)
    if not click.confirm("Do it?", err=True):
        raise Failure("order resolve: nothing was done")


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _settle(settings: Settings, found: Found, word: Word) -> None:
    """Write the operator's word down; WrongState where the gateway learned the outcome meanwhile."""
    evidence = msgspec.json.encode({"by": "operator", "who": _who(), "reason": word.reason}).decode()
    async with ledger_at(settings.ledger) as ledger:
        if word.bind is None:
            then = Fail(why=f"operator: {word.reason}")
            await ledger.settle(found.attempt.id, NotPlaced(evidence=evidence), then)
        else:
            accepted = Accepted(remote_id=word.bind, charge=found.charge, evidence=evidence)
            await ledger.settle(found.attempt.id, accepted)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"
