"""Put the offers of one service in order, and say why the others were left out."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from gateway.routing.fitting import CIRCUIT, Dry, asked, cost_at, part_of, seed
from gateway.routing.offers import Choice, Decision, LeftOut, Offer, Wanted
from gateway.routing.policies import Step, drawn, keyed, policy_text

_Place: TypeAlias = tuple[Any, Decimal, str, str, int, Choice]
"""What offers are sorted by: the policy's key, then what tells any two apart; the last is never reached."""


def decide(offers: Sequence[Offer], wanted: Wanted, steps: Sequence[Step], *, rules: str = "") -> Decision:
    """Choose among the offers of one service, whatever order they come in.

    Every offer ends up once: among the choices, or left out for the first reason found. Conditions and limits see the
    quantity of one run; costs are of the whole order.

    Circuits never leave nobody: where all that could take the order are open, they are asked all the same, the
    healthiest first (`panic`). An offer that is only just back comes first for a growing share of the orders (`ramp`)
    and after all others for the rest.
    """
    facts, key = asked(wanted), keyed(steps)
    size = facts.size
    able: list[_Place] = []
    late: list[_Place] = []
    ejected: list[tuple[float, _Place, Offer]] = []
    left_out: list[tuple[int, str, str, str]] = []
    dry = False
    for offer in offers:
        cost = cost_at(offer, facts)
        if isinstance(cost, str):
            dry = dry or isinstance(cost, Dry)
            left_out.append((offer.position, offer.panel, offer.remote_service, str(cost)))
            continue
        part = None if size <= offer.max else part_of(offer, facts)
        choice = Choice(panel := offer.panel, service := offer.remote_service, cost, offer.score, offer.truth, part)
        place = (cost if key is None else key(offer, choice, facts), cost, panel, service, offer.position, choice)
        if not offer.closed:
            ejected.append((-offer.score, place, offer))
        elif offer.ramp < 1 and drawn(offer, seed(f"ramp {wanted.draw}")) >= offer.ramp:  # a draw of its own
            late.append(place)
        else:
            able.append(place)
    panic = bool(ejected) and not able and not late
    if panic:
        places = [place for _, place, _ in sorted(ejected)]
    else:
        places = sorted(able) + sorted(late)
        left_out += [(one.position, one.panel, one.remote_service, CIRCUIT) for _, _, one in ejected]
    left_out.sort()
    return Decision(
        policy=policy_text(steps),
        choices=tuple([place[-1] for place in places]),
        left_out=tuple([LeftOut(panel, service, why) for _, panel, service, why in left_out]),
        panic=panic,
        dry=dry,
        rules=rules,
    )
