"""panelmux panel health: how panels, and each service of theirs, have done with our orders."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import click
import msgspec

from gateway.cli import output
from gateway.cli.leaf import Leaf, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.simulate import since_option
from gateway.cli.text import age
from gateway.ledger.records import AttemptState
from gateway.ledger.reports import RouteOutcomes
from gateway.routing import Delivered, delivered
from gateway.settings import Settings

_ALL: Final = ""
_ENOUGH: Final = 1.0  # weight of ended orders below which shares are not shown


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A panel, or one service of it, as --json writes it.

    Attributes:
        remote_service: empty = the panel as a whole.
        asked: attempts to buy there in the span; `taken`, `not_sent` and `unknown` of them; `refused` by reason.
        answer_ms: how long an answer took, on average; None without one.
        ended: weight of the orders that ended there, each counting less as it ages and as others follow it; `whole`,
            `partial` and `canceled` are shares of that, None where there are too few.
        refills: asked for, by the same weight.
        start_s, takes_s: how long an order takes to begin, and to be completed; None where it is not known.
        truth: what a unit delivered there really costs, as a multiple of its listed price.
    """

    panel: str
    remote_service: str
    asked: int
    taken: int
    not_sent: int
    unknown: int
    refused: Mapping[str, int]
    answer_ms: int | None
    ended: float
    whole: float | None
    partial: float | None
    canceled: float | None
    refills: float
    start_s: int | None
    takes_s: int | None
    truth: str


@click.command(
    cls=Leaf,
    examples=(
        "panelmux panel health",
        "panelmux panel health alpha --services --since 7d",
        "panelmux panel health --json",
    ),
)
@click.argument("name", default=_ALL)
@click.option("--services", is_flag=True, help="Each service of theirs that orders of ours went to.")
@since_option
@ledger_option
@json_option
def health(*, name: str, services: bool, since: float, ledger: str | None, as_json: bool) -> None:
    """What panels answered to our orders, and what became of these: shares delivered whole, partial, canceled.

    What was answered is counted over the span; how orders ended is learned by and by, whatever the span: lately counts
    more. "In truth" is what a unit delivered there costs, as a multiple of its price: `policy: effective` goes by it.
    """
    lines = asyncio.run(_lines(settled(ledger=ledger), since))
    lines = [line for line in lines if name in {_ALL, line.panel} and (services or not line.remote_service)]
    if as_json:
        output.document(lines)
        return
    if not lines:
        output.say(f"{name}: no order of ours went there" if name else "no order went to any panel yet")
        return
    head = ["panel", "service"] if services else ["panel"]
    output.table(
        output.columns(
            *head,
            ">asked",
            ">taken",
            ">in",
            ">unknown",
            ">not sent",
            ">whole",
            ">partial",
            ">canceled",
            ">refills",
            ">starts",
            ">takes",
            ">in truth",
            "refused",
        ),
        [_row(line, services=services) for line in lines],
    )


def _row(line: Line, *, services: bool) -> tuple[str, ...]:
    head = (line.panel, line.remote_service or "all") if services else (line.panel,)
    return (
        *head,
        str(line.asked),
        _percent(line.taken / line.asked if line.asked else None),
        "" if line.answer_ms is None else f"{line.answer_ms} ms",
        str(line.unknown or ""),
        str(line.not_sent or ""),
        _percent(line.whole),
        _percent(line.partial),
        _percent(line.canceled),
        f"{line.refills:.0f}" if line.refills >= 0.5 else "",
        "" if line.start_s is None else age(line.start_s),
        "" if line.takes_s is None else age(line.takes_s),
        f"{line.truth} x",
        ", ".join(f"{reason} {count}" for reason, count in sorted(line.refused.items(), key=lambda item: -item[1])),
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


async def _lines(settings: Settings, since_s: float) -> list[Line]:
    now_ms = time.time_ns() // 1_000_000
    async with ledger_at(settings.ledger) as ledger:
        outcomes = await ledger.outcomes(now_ms - round(since_s * 1000))
        known = await ledger.delivered()
    asked = {(one.panel, one.remote_service): one for one in outcomes}
    ended = {(one.panel, one.remote_service): delivered.faded(one, now_ms) for one in known}
    by_panel: dict[str, list[str]] = defaultdict(list)
    for panel, service in sorted(asked.keys() | ended.keys()):
        by_panel[panel].append(service)
    lines = []
    for panel, services in by_panel.items():
        routes = [ended[panel, one] for one in services if (panel, one) in ended]
        whole = delivered.together(routes, panel, now_ms)
        truth = delivered.truth(Delivered(panel=panel, remote_service=_ALL, at_ms=now_ms), whole, now_ms)
        lines.append(_line(_summed(panel, outcomes), _timed(whole, routes), truth))
        for service in services:
            route = panel, service
            nothing = RouteOutcomes(panel=panel, remote_service=service, attempts={}, refusals={}, answers=0, took_ms=0)
            of_route = ended.get(route, Delivered(panel=panel, remote_service=service, at_ms=now_ms))
            truth = delivered.truth(of_route, whole, now_ms)
            lines.append(_line(asked.get(route, nothing), of_route, truth))
    return lines


def _timed(whole: Delivered, routes: Sequence[Delivered]) -> Delivered:
    """A panel with the times of its services, each by the weight of its orders."""

    def mean(times: Iterable[tuple[float, float]]) -> float:
        known = [(weight, seconds) for weight, seconds in times if weight and seconds]
        return sum(weight * seconds for weight, seconds in known) / sum(weight for weight, _ in known) if known else 0.0

    return msgspec.structs.replace(
        whole,
        seconds=mean((one.orders, one.seconds) for one in routes),
        start_s=mean((one.orders, one.start_s) for one in routes),
    )


def _summed(panel: str, outcomes: Iterable[RouteOutcomes]) -> RouteOutcomes:
    mine: Sequence[RouteOutcomes] = [one for one in outcomes if one.panel == panel]
    return RouteOutcomes(
        panel=panel,
        remote_service=_ALL,
        attempts=sum((Counter(one.attempts) for one in mine), Counter()),
        refusals=sum((Counter(one.refusals) for one in mine), Counter()),
        answers=sum(one.answers for one in mine),
        took_ms=sum(one.took_ms for one in mine),
    )


def _line(outcomes: RouteOutcomes, known: Delivered, truth: Decimal) -> Line:
    attempts = {state: outcomes.attempts.get(state.value, 0) for state in AttemptState}

    def share(part: float) -> float | None:
        return round(part / known.orders, 3) if known.orders >= _ENOUGH else None

    return Line(
        panel=outcomes.panel,
        remote_service=outcomes.remote_service,
        asked=sum(attempts.values()),
        taken=attempts[AttemptState.ACCEPTED] + attempts[AttemptState.UNTRACKED],
        not_sent=attempts[AttemptState.NOT_SENT],
        unknown=attempts[AttemptState.UNKNOWN],
        refused=outcomes.refusals,
        answer_ms=round(outcomes.took_ms / outcomes.answers) if outcomes.answers else None,
        ended=round(known.orders, 1),
        whole=share(known.orders - known.short),
        partial=share(known.short - known.canceled),
        canceled=share(known.canceled),
        refills=round(known.refills, 1),
        start_s=round(known.start_s) or None,
        takes_s=round(known.seconds) or None,
        truth=str(truth),
    )
