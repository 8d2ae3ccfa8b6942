"""The table that weighs evidence. First line that fits, from above; the last fits all."""

from typing import Final, Literal

import msgspec

from gateway.evidence.funds import Funds
from gateway.evidence.trace import Ids

Kind = Literal["placed", "not placed", "untracked", "wait"]


class Placed(msgspec.Struct, frozen=True):
    """The panel has it, under this id."""

    remote_id: str
    why: str


class NotPlaced(msgspec.Struct, frozen=True):
    """The panel never had it: it may be bought elsewhere, or its money given back."""

    why: str


class Untracked(msgspec.Struct, frozen=True):
    """The panel took our money for it; under which id is not known. It is never bought again."""

    why: str


class Wait(msgspec.Struct, frozen=True):
    """Nothing is certain: look again later, or let people look."""

    why: str


Verdict = Placed | NotPlaced | Untracked | Wait

_KEPT: Final = frozenset({Funds.NOT_CHARGED, Funds.PROVED})
_ANY: Final = frozenset(Funds)

TABLE: Final[tuple[tuple[str, frozenset[Funds], Kind, str], ...]] = (
    ("one", frozenset({Funds.CHARGED, Funds.UNAVAILABLE}), "placed", "an id there is ours, and fits it alone"),
    ("one", _KEPT, "wait", "an id there fits it, but our money is still there: people have to look"),
    ("several", _ANY, "wait", "several ids there fit it: people have to look"),
    ("none", frozenset({Funds.CHARGED}), "untracked", "our money went, and no id there fits it"),
    ("none", _KEPT, "not placed", "no id there is ours and free, and our money is still there"),
    ("unavailable", frozenset({Funds.CHARGED}), "untracked", "our money went; its id is not known"),
    ("unavailable", frozenset({Funds.PROVED}), "not placed", "our money is still there, and all of it is explained"),
    ("unavailable", frozenset({Funds.NOT_CHARGED}), "wait", "our money seems to be there, which is not enough alone"),
    ("none", _ANY, "wait", "no id there fits it, and our money tells nothing: not enough alone"),
)
"""What the ids say, what the money says, the verdict, and why."""


def verdict(ids: Ids, funds: Funds, *, duplicate_seen: bool, untracked: bool = False) -> Verdict:
    """What follows for one suspect.

    `duplicate_seen`: the panel refused another order because of an active one that is none we know of: it has this
    one. `untracked`: it was found bought before, and only its id is wanted.
    """
    kind, why = _weighed(ids, funds)
    if duplicate_seen and kind == "not placed":
        return Wait(f"{why}; yet it refused another order of ours as a duplicate")
    if duplicate_seen and kind == "wait" and not ids.candidates and funds is Funds.UNAVAILABLE:
        kind, why = "untracked", "it refused another order of ours as a duplicate of one that only this can be"
    match kind:
        case "placed":
            told = f" ({ids.why})" if ids.why else ""
            return Placed(ids.candidates[0], why + told)
        case "not placed" if not untracked:
            return NotPlaced(why)
        case "untracked" if not untracked:
            return Untracked(why)
        case _:
            return Wait(why)


def _weighed(ids: Ids, funds: Funds) -> tuple[Kind, str]:
    for word, money, kind, why in TABLE:
        if ids.word == word and funds in money:
            return kind, why
    return "wait", f"ids: {ids.why or 'nothing known'}; money: nothing known"
