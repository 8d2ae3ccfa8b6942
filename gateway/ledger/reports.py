"""What the ledger tells of itself as a whole."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a start found.

    Attributes:
        epoch: of this process.
        unknown: attempts that were *sending*.
        clean: the process before stopped in good order.
        last_ms: when it last wrote something of an order; 0 = never.
    """

    epoch: int
    unknown: int
    clean: bool
    last_ms: int


ENDED_MS: Final = 180_000
"""How long others are told of a node that was taken for dead."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A process that sells from the ledger.

    Attributes:
        epoch: its own, higher than that of every node before it.
        beat: how often it has said that it lives.
        rules: version of the rules file that it goes by; empty until its first beat.
        ended_ms: when others took it for dead; None while it is not.
    """

    epoch: int
    name: str
    beat: int
    started_ms: int
    rules: str = ""
    ended_ms: int | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger added up. A ledger that is right has `sum` 0 and `wrong` empty."""

    orders: int
    attempts: Mapping[str, int]  # by state
    entries: int
    sum: Decimal
    books: Mapping[str, Decimal]
    wrong: tuple[str, ...]  # what does not add up, in words


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Every order told anew from its history. `older`: orders begun before histories kept enough to do so."""

    orders: int
    older: int
    wrong: tuple[str, ...]


class RouteOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the attempts at one route.

    Attributes:
        attempts: by state, as `records.AttemptState`; `refusals` by reason, as `providers.errors.Reason`.
        answers: how many were answered at once, and not settled by evidence; `took_ms` all of them together.
    """

    panel: str
    remote_service: str
    attempts: Mapping[str, int]
    refusals: Mapping[str, int]
    answers: int
    took_ms: int


class RulesFile(msgspec.Struct, frozen=True, kw_only=True):
    """A rules file that a gateway took, or, with the reason `why`, would not take.

    Attributes:
        version: hash of its text.
        text: as it was written; references to keys, never keys.
    """

    id: int
    version: str
    text: str
    why: str
    at_ms: int


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a panel's list that came (`was` None), went (`now` None) or became another; JSON of the rows.

    Attributes:
        version: which change of that panel's list it was a part of, from 1.
    """

    panel: str
    version: int
    remote_service: str
    was: str | None
    now: str | None
    at_ms: int
