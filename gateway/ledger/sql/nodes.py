"""Who sells from the ledger. Each process that does is a node, and has an epoch, higher than any before it.

A node that was paused, or cut off, while others took it for dead finds that its epoch has ended, in the same
transaction in which it would have written its next intent. Nobody's clock is compared with another's: a node beats,
and who sees no beat for a while ends its epoch.
"""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.records import Fenced, LedgerUnusable, Rewound, WrongState
from gateway.ledger.reports import Node
from gateway.ledger.sql import meta
from gateway.ledger.sql.work import ALONE, Work

MOVED: Final = "moved_to"
"""Where a ledger was copied to: it is not sold from any more."""

MINE: Final = "SELECT ended_ms FROM node WHERE epoch = ?"
"""Whether the epoch has ended; it does not end before the transaction does that asked."""

END: Final = "UPDATE node SET ended_ms = ?, clean = ? WHERE epoch = ? AND ended_ms IS NULL RETURNING epoch"
"""End an epoch; what its node was writing comes before, and the node writes nothing after."""

_LAST = "SELECT COALESCE(MAX(epoch), 0) FROM node"
_JOIN = "INSERT INTO node (epoch, name, started_ms) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM node WHERE ended_ms < ? AND epoch < ?"
_KEPT_MS: Final = 7 * 86_400_000
_LIVING = "SELECT epoch FROM node WHERE ended_ms IS NULL ORDER BY epoch"
_BEAT = "UPDATE node SET beat = beat + 1, rules = ? WHERE epoch = ? AND ended_ms IS NULL RETURNING beat"
_KNOWN: Final = "SELECT epoch FROM node WHERE epoch = ?"
_REWOUND: Final = (
    "ledger: it is older than it was: a backup, or a standby that lagged; panelmux ledger reopen, then start"
)
_SEEN = """
    SELECT epoch, name, beat, started_ms, rules, ended_ms FROM node WHERE ended_ms IS NULL
    UNION ALL SELECT epoch, name, beat, started_ms, rules, ended_ms FROM node WHERE ended_ms >= ? AND clean = 0
    ORDER BY 1"""
_CLEAN = "SELECT clean FROM node WHERE epoch = (SELECT MAX(epoch) FROM node)"
_TOUCHED: Final = 16  # rows to touch: so that nodes, which are fewer, do not wait for each other
_RESERVE = """
    INSERT INTO node (epoch, name, started_ms, ended_ms, clean) VALUES (?, '', ?, ?, 0)
    ON CONFLICT (epoch) DO NOTHING"""


def last() -> Work[int]:
    """The highest epoch so far; 0 = none."""
    [(epoch,)] = yield _LAST, ()
    return int(epoch)


def join(name: str, now_ms: int) -> Work[int]:
    """A new epoch."""
    yield ALONE, ("node",)
    moved = yield from meta.text(MOVED)
    if moved:
        raise LedgerUnusable(f"ledger: it was copied into {moved}, and is sold from there; PANELMUX_LEDGER names that")
    epoch = (yield from last()) + 1
    yield _FORGET, (now_ms - _KEPT_MS, epoch - 1)
    yield _JOIN, (epoch, name, now_ms)
    return epoch


def living() -> Work[Sequence[int]]:
    rows = yield _LIVING, ()
    return tuple(epoch for (epoch,) in rows)


def end(epoch: int, now_ms: int, *, clean: bool) -> Work[bool]:
    """Whether it had not ended yet."""
    return bool((yield END, (now_ms, int(clean), epoch)))


def was_clean() -> Work[bool]:
    """Whether the youngest node stopped in good order; so it is where there never was one."""
    rows = yield _CLEAN, ()
    return not rows or bool(rows[0][0])


def reserve(epoch: int, now_ms: int) -> Work[None]:
    """Never give an epoch again that was given elsewhere."""
    yield _RESERVE, (epoch, now_ms, now_ms)


def beat(epoch: int, known: int, rules: str, since_ms: int) -> Work[Sequence[Node]]:
    """Say that this node lives, and by which `rules`; gives all that live, and those ended by others since then.

    It made `known` beats before.

    Raises:
        Fenced: it is among those.
        Rewound: the ledger does not know what it knew.
    """
    beaten = yield _BEAT, (rules, epoch)
    if not beaten and not (yield _KNOWN, (epoch,)):
        raise Rewound(_REWOUND)
    if not beaten:
        raise _fenced(epoch)
    if beaten[0][0] <= known:
        raise Rewound(_REWOUND)
    return (yield from seen(since_ms))


def seen(since_ms: int) -> Work[Sequence[Node]]:
    """The nodes that live, and those ended by others since then."""
    rows = yield _SEEN, (since_ms,)
    return tuple(
        Node(epoch=epoch, name=name, beat=beat, started_ms=started_ms, rules=rules, ended_ms=ended_ms)
        for epoch, name, beat, started_ms, rules, ended_ms in rows
    )


def touch(epoch: int) -> Work[None]:
    """Write something that tells nothing, and is not what stood there: SQLite would not write that."""
    yield from meta.count(f"touched_{epoch % _TOUCHED}")


def mine(epoch: int) -> Work[None]:
    """Nothing, as long as this node may sell; else Fenced. One that never joined may as long as no other has."""
    rows = yield MINE, (epoch,)
    if rows and rows[0][0] is None:
        return
    if rows or epoch or (yield from last()):
        raise _fenced(epoch)


def may_send(order: int, epoch: int) -> Work[None]:
    """Nothing, if this node may send an order that it did not just write.

    Raises:
        Fenced: it was taken for dead.
        WrongState: the order came out of a backup: where it went since then, only people can know.
    """
    yield from mine(epoch)
    if order <= (yield from meta.number("restored_order")):
        raise WrongState(f"order {order}: it comes out of a restored backup, and what became of it since is not known")


def _fenced(epoch: int) -> Fenced:
    return Fenced(f"ledger: others sell from it, and epoch {epoch} has ended: this process sends nothing more under it")
