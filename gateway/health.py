"""One panel's circuit: whether orders may go there, and how well it has done lately. Pure: time is an argument.

    closed       orders go there
    open         they do not, for a pause
    half-open    the pause is over: the panel may be asked for its balance, never for an order, and how that ends
                 closes the circuit or opens it again for twice as long

Pauses also grow when a circuit opens again soon after it closed: some panels answer `balance` while every `add` fails.
A circuit that has just closed lets the first orders through by and by (`ramp`): whoever comes back is not run over.

A service of a panel has a circuit of its own, opened by refusals that name the service. Nothing harmless can probe it:
after the pause an order does, whose refusal costs nothing.
"""

from math import exp2
from typing import Final

import msgspec

from providers.errors import Full, ProviderError, Reason, Refused, Throttled

IN_A_ROW: Final = 5  # failures that open the circuit
SHARE: Final = 0.5  # of lately's outcomes failing, that opens it too
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0
CALM: Final = 20  # successes in a row after which the next pause is a first one again

RAMP_S: Final = 60.0
"""From a tenth of the orders to all of them, after a circuit closed."""

ROUTE_IN_A_ROW: Final = 2  # refusals that name the service, which open its circuit

_FADING: Final = 0.95  # what an outcome counts after each further one: some 20 count
_ENOUGH: Final = 8.0  # weight of outcomes before their share says anything
_HALF_LIFE_S: Final = 600.0  # of what the score knows, while nothing new comes
_PRIOR: Final = 2.0  # successes that a panel is thought to have had before the first
_LATENCY_SHARE: Final = 0.1  # of the score, lost by a panel that takes _SLOW_S or longer
_SLOW_S: Final = 20.0
_JITTER: Final = 0.2  # of a pause, either way

_PANEL_FAILS: Final = frozenset({Reason.KEY, Reason.ACCOUNT, Reason.RATE_LIMIT, Reason.MAINTENANCE, Reason.EDGE})


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a panel; times are seconds of one monotonic clock.

    Attributes:
        good, bad: outcomes lately, each counting less with every one after it.
        streak: successes in a row, or failures in a row as a negative number.
        latency_s: of answered calls, lately; None before the first.
        observed_s: when the last outcome came.
        pause_s: the last pause without its jitter; 0 = none, or long overcome.
        probe_s: when the panel may be asked again; None = the circuit is closed.
        quiet_s: until when the panel asked to be left alone.
        closed_s: when the circuit last closed again; None = it was never open.
    """

    good: float = 0.0
    bad: float = 0.0
    streak: int = 0
    latency_s: float | None = None
    observed_s: float = 0.0
    pause_s: float = 0.0
    probe_s: float | None = None
    quiet_s: float = 0.0
    closed_s: float | None = None


def closed(health: Health, now: float) -> bool:
    """Whether orders may go there."""
    return health.probe_s is None and now >= health.quiet_s


def quiet(health: Health, now: float) -> bool:
    """Whether the panel asked to be left alone, and the time is not over."""
    return now < health.quiet_s


def ramp(health: Health, now: float) -> float:
    """The share of orders that may go there first: 1, but for a while after the circuit closed."""
    if health.closed_s is None:
        return 1.0
    return min(1.0, 0.1 + 0.9 * max(now - health.closed_s, 0.0) / RAMP_S)


def probe_due(health: Health, now: float) -> bool:
    """Whether the circuit is half-open: one harmless call may tell if the panel is back."""
    return health.probe_s is not None and now >= max(health.probe_s, health.quiet_s)


def score(health: Health, now: float) -> float:
    """From 0 (never works) to 1 (always does, or is new); fading towards 1 while nothing is heard of the panel."""
    known = exp2(-max(now - health.observed_s, 0.0) / _HALF_LIFE_S)
    successes, failures = _PRIOR + health.good * known, health.bad * known
    slowness = min((health.latency_s or 0.0) / _SLOW_S, 1.0)
    return successes / (successes + failures) * (1 - _LATENCY_SHARE * slowness)


def counts_as_failure(error: ProviderError) -> bool:
    """Whether an error speaks against the panel.

    A refusal for the order's own sake, or for lack of funds, does not; nor do our own limits, which let it through no
    sooner; nor does a firewall that stops an order, perhaps for its own words: it costs its customer nothing, and must
    not close the panel for all others. A panel behind a challenge page shows it to the next read as well.
    """
    if isinstance(error, Full):
        return False
    if isinstance(error, Refused):
        return error.reason in _PANEL_FAILS and not (error.action == "add" and error.reason is Reason.EDGE)
    return True


def names_the_service(error: ProviderError | None) -> bool:
    """Whether an error speaks against one service of the panel, and against nothing else there."""
    return isinstance(error, Refused) and error.reason is Reason.SERVICE


def observed_route(health: Health, error: ProviderError | None, now: float, *, jitter: float = 0.5) -> Health:
    """Take in how one `add` of a service ended: a refusal that names the service, or a success; nothing else counts."""
    if error is not None and not names_the_service(error):
        return health
    before, health = health, _counted(health, failed=error is not None, latency_s=0.0, now=now)
    if error is None:
        return _calmed(health) if before.probe_s is None else _closed_again(health, now)
    if before.probe_s is None:
        return _opened(health, now, jitter) if health.streak <= -ROUTE_IN_A_ROW else health
    return _opened(health, now, jitter) if now >= before.probe_s else health


def observed(
    health: Health, error: ProviderError | None, latency_s: float, now: float, *, jitter: float = 0.5
) -> Health:
    """Take in how one call ended: None is a success. `jitter` from 0 to 1 spreads the pauses of several nodes.

    An outcome that comes while the circuit is open, before a probe is due, was on its way when it opened: it counts,
    but neither closes the circuit nor lengthens the pause.
    """
    if isinstance(error, Full):
        return health  # nothing was sent: the panel had no part in it
    failed = error is not None and counts_as_failure(error)
    health = _counted(health, failed=failed, latency_s=latency_s, now=now)
    if isinstance(error, Throttled) and error.retry_after_s is not None:
        quiet_s = now + min(error.retry_after_s, LONGEST_PAUSE_S)
        health = msgspec.structs.replace(health, quiet_s=max(health.quiet_s, quiet_s))
    if health.probe_s is None:
        return _opened(health, now, jitter) if failed and _is_too_much(health) else _calmed(health)
    if now < health.probe_s:
        return health
    return _opened(health, now, jitter) if failed else _closed_again(health, now)


def opened_elsewhere(health: Health, now: float, *, pause_s: float, probe_in_s: float) -> Health:
    """Take over that another node opened the circuit, or opened it again after a probe."""
    return msgspec.structs.replace(health, pause_s=pause_s, probe_s=now + max(probe_in_s, 0.0))


def closed_elsewhere(health: Health, now: float) -> Health:
    """Take over that another node's call closed the circuit."""
    return health if health.probe_s is None else _closed_again(health, now)


def left_alone(health: Health, until_s: float) -> Health:
    """Take over that the panel asked another node to be left alone until then."""
    return msgspec.structs.replace(health, quiet_s=max(health.quiet_s, until_s))


def _counted(health: Health, *, failed: bool, latency_s: float, now: float) -> Health:
    good, bad, mean = health.good * _FADING, health.bad * _FADING, health.latency_s
    return msgspec.structs.replace(
        health,
        good=good if failed else good + 1,
        bad=bad + 1 if failed else bad,
        streak=min(health.streak, 0) - 1 if failed else max(health.streak, 0) + 1,
        latency_s=mean if failed else latency_s if mean is None else mean + (latency_s - mean) * (1 - _FADING),
        observed_s=now,
    )


def _is_too_much(health: Health) -> bool:
    total = health.good + health.bad
    return health.streak <= -IN_A_ROW or (total >= _ENOUGH and health.bad >= SHARE * total)


def _opened(health: Health, now: float, jitter: float) -> Health:
    pause_s = min(max(2 * health.pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
    probe_s = now + pause_s * (1 - _JITTER + 2 * _JITTER * jitter)
    return msgspec.structs.replace(health, pause_s=pause_s, probe_s=probe_s)


def _closed_again(health: Health, now: float) -> Health:
    """What led to the opening counts a tenth from now on: enough for the score, too little to open again."""
    return msgspec.structs.replace(health, probe_s=None, closed_s=now, good=health.good / 10, bad=health.bad / 10)


def _calmed(health: Health) -> Health:
    return msgspec.structs.replace(health, pause_s=0.0) if health.streak >= CALM and health.pause_s else health
