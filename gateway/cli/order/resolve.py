"""panelmux order resolve: the operator's word on an order whose outcome is unknown."""

import asyncio
import getpass
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

import click
import msgspec

from gateway.cli import output
from gateway.cli.failure import Failure, confirmed
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option, rules_option, yes_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.order.show import known
from gateway.cli.reached import panel_of, ruled
from gateway.cli.text import age
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Attempt, AttemptState, Fail, NotPlaced, Order, Untracked, Waiting
from gateway.money import amount, steps, up, wire
from gateway.rules.model import Rules
from gateway.settings import Settings
from providers.base import FINISHED, Refusal, Status

_FAR: Final = Decimal("0.2")  # of the expected cost: a charge that is further off is told
_BOUGHT: Final = frozenset({AttemptState.UNTRACKED, AttemptState.ACCEPTED})

What = Literal["bind", "not_placed", "refund", "failover"]


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator says of the attempt, and how they know; `remote_id` is what to bind it to."""

    what: What
    remote_id: str | None
    reason: str


class Found(msgspec.Struct, frozen=True):
    """The order, its attempt, what would be done in words, and the charge that the panel told, in its currency.

    An order that waits has no attempt to be resolved; `back` is what goes back of it.
    """

    order: Order
    attempt: Attempt | None
    plan: tuple[str, ...]
    charge: Decimal | None = None
    back: Decimal = Decimal(0)


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, as --json writes it; `outcome` of the attempt, "failover" where the gateway is to do it."""

    order: int
    attempt: int | None
    panel: str
    outcome: str
    remote_id: str | None
    refunded: str
    done: bool


@click.command(
    cls=Leaf,
    examples=(
        "panelmux order resolve 23501 --bind 998877 --dry-run",
        'panelmux order resolve 23501 --not-placed --reason "absent from the panel\'s order list" --yes',
        'panelmux order resolve 23501 --failover --reason "support: they have no such order"',
    ),
)
@click.argument("id", type=click.IntRange(min=1))
@click.option("--bind", metavar="REMOTE_ID", help="The panel took it, under this id. The panel is asked first.")
@click.option("--not-placed", is_flag=True, help="The panel did not take it: the customer's money goes back.")
@click.option("--failover", is_flag=True, help="The panel did not take it: the gateway buys it at the next offer.")
@click.option("--refund", is_flag=True, help="Whatever became of it: the customer's money goes back, at our cost.")
@click.option("--reason", default="", help="How you know; kept with the order. All but --bind need one.")
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
    failover: bool,
    refund: bool,
    reason: str,
    yes: bool,
    dry_run: bool,
    rules: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Settle an order whose outcome is unknown, or give the money of any order back.

    Nothing is sent to the panel but the question how an order stands. What is done is shown first, and asked about.
    Nothing is ever taken out of the ledger: a word that was wrong is made good by another one.
    """
    said: dict[What, bool] = {
        "bind": bind is not None,
        "not_placed": not_placed,
        "failover": failover,
        "refund": refund,
    }
    what = [word for word, given in said.items() if given]
    if len(what) != 1:
        raise click.UsageError("say one of --bind REMOTE_ID, --not-placed, --failover and --refund")
    if what != ["bind"] and not reason.strip():
        option = what[0].replace("_", "-")
        raise click.UsageError(f"--{option} needs --reason: what nobody took is given back, and may be bought again")
    settings, word = settled(rules=rules, ledger=ledger), Word(what=what[0], remote_id=bind, reason=reason.strip())
    found = asyncio.run(_look(settings, id, word))
    for line in found.plan:
        output.say(line)
    if not dry_run:
        confirmed(
            "order resolve", yes=yes
        )  # between two loops: a person who thinks stops neither Ctrl-C nor the ledger
        asyncio.run(_settle(settings, found, word))
    resolved = _resolved(found, word, done=not dry_run)
    if as_json:
        output.document(resolved)
    elif resolved.done:
        attempt = "none" if resolved.attempt is None else str(resolved.attempt)
        output.facts([("order", str(id)), ("attempt", attempt), ("outcome", resolved.outcome)])


def _resolved(found: Found, word: Word, *, done: bool) -> Resolved:
    attempt = found.attempt
    if attempt is None:
        return Resolved(
            order=found.order.id,
            attempt=None,
            panel="",
            outcome="given up",
            remote_id=None,
            refunded=wire(found.back),
            done=done,
        )
    outcome: dict[What, str] = {
        "bind": AttemptState.ACCEPTED.value,
        "not_placed": AttemptState.NOT_PLACED.value,
        "failover": "failover",
        "refund": attempt.state.value if attempt.state in _BOUGHT else AttemptState.UNTRACKED.value,
    }
    return Resolved(
        order=attempt.order,
        attempt=attempt.id,
        panel=attempt.panel,
        outcome=outcome[word.what],
        remote_id=word.remote_id or attempt.remote_id,
        refunded=wire(found.order.charge if word.what in {"refund", "not_placed"} else found.order.refunded),
        done=done,
    )


async def _look(settings: Settings, id: int, word: Word) -> Found:
    async with ledger_at(settings.ledger) as ledger:
        order = await known(ledger, id)
        waiting = await ledger.waiting_of([id])
        if waiting and word.what == "refund":
            back = order.charge
            if order.sold:
                back = amount(steps(order.charge) * waiting[0].units // order.units)
            return Found(order, None, (_waits(order, waiting[0], back),), back=back)
        attempt = _subject(order, await ledger.attempts(id), word)
        taken = None if word.remote_id is None else await ledger.bound(attempt.panel, word.remote_id)
        rest = await _sold_before(ledger, order, attempt)
    if taken is not None:
        raise Failure(f"{attempt.panel}: its order {word.remote_id} is our order {taken} already; nothing was bound")
    where = _where(attempt)
    match word.what:
        case "not_placed":
            return Found(order, attempt, (where, *_given_back(order, rest), *_early(attempt)))
        case "failover":
            return Found(order, attempt, (where, *_bought_elsewhere(attempt)))
        case "refund":
            return Found(order, attempt, (where, *_refunded(order, attempt)))
        case "bind":
            rules = ruled(settings)
            told = await _ask(rules, attempt.panel, word.remote_id or "")
            plan = (where, *_bound(order, attempt, word.remote_id or "", told), *_odd(rules, attempt, told))
            return Found(order, attempt, plan, told.charge)


def _subject(order: Order, attempts: Sequence[Attempt], word: Word) -> Attempt:
    """The attempt that the word is of."""
    for attempt in attempts:
        if attempt.state is AttemptState.SENDING:
            raise Failure(
                f"order {order.id}: attempt {attempt.id} at {attempt.panel} is still under way; "
                "the gateway settles it, or calls it unknown at its next start"
            )
        if attempt.state is AttemptState.UNKNOWN:
            return attempt
        if attempt.state is AttemptState.UNTRACKED and word.what == "bind":
            return attempt
    if word.what == "refund":
        if not order.sold or order.refunded >= order.charge:
            raise Failure(f"order {order.id}: all of its money is back already, or was never taken")
        return attempts[-1]
    last = attempts[-1].state.value if attempts else "none"
    bought = last == AttemptState.UNTRACKED.value
    then = "; the evidence says that the panel took it: --bind REMOTE_ID, or --refund" if bought else ""
    raise Failure(f"order {order.id}: no attempt whose outcome is unknown; the last one is: {last}{then}")


def _waits(order: Order, waiting: Waiting, back: Decimal) -> str:
    what = "nobody has it" if waiting.units == order.units else f"{waiting.units} of its units are to be bought"
    return f"order {order.id} waits, and {what}: {wire(back)} goes back to the account"


async def _sold_before(ledger: Ledger, order: Order, attempt: Attempt) -> bool:
    """Whether another panel made a part of the order before."""
    return any(one.passed_on for one in await ledger.attempts(order.id) if one.id != attempt.id)


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
        f"expected cost {wire(attempt.cost)}, sent {since} ago, outcome {attempt.state.value}"
    )


def _bound(order: Order, attempt: Attempt, remote_id: str, told: Status) -> list[str]:
    seen = [told.word or "no status"]
    if told.remains is not None:
        seen.append(f"{told.remains} of our {attempt.units} remain")
    if told.charge is not None:
        seen.append(f"charge {wire(told.charge)} {told.currency or ''}".rstrip())
    then = "" if order.sold else f", and {wire(order.charge)} held for it becomes a sale"
    if order.status not in FINISHED and attempt.later:
        then += f"; {attempt.later} units more are bought after it"
    return [
        f"{attempt.panel} says of its order {remote_id}: {', '.join(seen)}",
        f"→ the attempt is accepted as {remote_id}{then}",
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


def _given_back(order: Order, rest: bool) -> list[str]:
    if rest:
        return ["→ the attempt counts as not placed; what the missing rest cost goes back; the order is Partial"]
    return [f"→ the attempt counts as not placed; {wire(order.charge)} goes back to the account; the order is Canceled"]


def _early(attempt: Attempt) -> list[str]:
    left = (attempt.settle_ms - time.time() * 1000) / 1000
    return [f"what was sent may still arrive there: better wait {int(left) + 1} s"] if left > 0 else []


def _bought_elsewhere(attempt: Attempt) -> list[str]:
    plan = ["→ the attempt counts as not placed; a running gateway buys the order at the next offer"]
    left = (attempt.settle_ms - time.time() * 1000) / 1000
    if left > 0:
        plan.append(f"what was sent may still arrive there: the gateway does it in {int(left) + 1} s")
    return plan


def _refunded(order: Order, attempt: Attempt) -> list[str]:
    back = wire(order.charge - order.refunded)
    if attempt.state is AttemptState.ACCEPTED:
        return [f"→ {back} goes back to the account; the order is Canceled here, and {attempt.panel} goes on with it"]
    plan = [f"→ {back} goes back to the account; the order is Canceled"]
    return [f"→ the attempt counts as bought, at an id not known: its cost {wire(attempt.cost)} is ours", *plan]


async def _settle(settings: Settings, found: Found, word: Word) -> None:
    """Write the operator's word down; WrongState where the gateway learned the outcome meanwhile."""
    attempt, who = found.attempt, _who()
    evidence = msgspec.json.encode({"by": "operator", "who": who, "reason": word.reason}).decode()
    async with ledger_at(settings.ledger) as ledger:
        if attempt is None:
            await ledger.give_up(found.order.id, f"operator {who}: {word.reason}")
            return
        match word.what:
            case "not_placed":
                then = Fail(why=f"operator: {word.reason}")
                await ledger.settle(attempt.id, NotPlaced(evidence=evidence), then)
            case "failover":
                await ledger.wish(attempt.order, "failover", by=f"operator {who}", reason=word.reason)
            case "refund":
                if attempt.state is AttemptState.UNKNOWN:
                    await ledger.settle(attempt.id, Untracked(evidence=evidence))
                back = found.order.charge - found.order.refunded
                await ledger.give_back(attempt.order, back, ends=True, evidence=evidence)
            case "bind":
                accepted = Accepted(remote_id=word.remote_id or "", charge=found.charge, evidence=evidence)
                await ledger.settle(attempt.id, accepted)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"
