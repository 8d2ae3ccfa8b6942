"""What became of the attempts at each route lately."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from gateway.ledger.reports import RouteOutcomes
from gateway.ledger.sql.work import Work

# What took longer than a minute is no answer: evidence, or people, settled what had been left open.
_SINCE: Final = """
    SELECT panel, remote_service, state, COALESCE(reason, ''), COUNT(*),
           SUM(CASE WHEN settled_ms - created_ms < 60000 AND state <> 'not_sent'
                    THEN settled_ms - created_ms ELSE 0 END),
           SUM(CASE WHEN settled_ms - created_ms < 60000 AND state <> 'not_sent' THEN 1 ELSE 0 END)
    FROM attempt WHERE created_ms >= ?
    GROUP BY panel, remote_service, state, reason"""


def since(since_ms: int) -> Work[Sequence[RouteOutcomes]]:
    rows = yield _SINCE, (since_ms,)
    states: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    refusals: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    times: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for panel, service, state, reason, count, took_ms, answers in rows:
        route = panel, service
        states[route][state] += int(count)
        if reason:
            refusals[route][reason] += int(count)
        times[route].update(took_ms=int(took_ms), answers=int(answers))
    return tuple(
        RouteOutcomes(
            panel=panel,
            remote_service=service,
            attempts=states[panel, service],
            refusals=refusals[panel, service],
            answers=times[panel, service]["answers"],
            took_ms=times[panel, service]["took_ms"],
        )
        for panel, service in sorted(states)
    )
