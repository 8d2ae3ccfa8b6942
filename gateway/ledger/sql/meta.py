"""What the ledger knows of itself: who sells from it, and whether it came out of a backup.

Each process that sells has an epoch, one higher than the last one's. A process that was paused, while another one
took over, finds that the epoch is not its own any more, in the same transaction in which it would have written its
next intent.
"""

from typing import Final

from gateway.ledger.records import Fenced, WrongState
from gateway.ledger.sql.work import Work

_GET: Final = "SELECT value FROM meta WHERE name = ?"
_SET: Final = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


def number(name: str) -> Work[int]:
    """A number of the ledger's own; 0 where it was never written."""
    rows = yield _GET, (name,)
    return int(rows[0][0]) if rows else 0


def put(name: str, value: int) -> Work[None]:
    yield _SET, (name, str(value))


def mine(epoch: int) -> Work[None]:
    """Nothing, as long as this process is the one that sells; else Fenced."""
    now = yield from number("epoch")
    if now != epoch:
        raise Fenced(f"ledger: epoch {now} sells from it now, this process is of epoch {epoch}: it sends nothing more")


def may_send(order: int, epoch: int) -> Work[None]:
    """Nothing, if this process may send an order that it did not just write.

    Raises:
        Fenced: another process sells.
        WrongState: the order came out of a backup: where it went since then, only people can know.
    """
    yield from mine(epoch)
    if order <= (yield from number("restored_order")):
        raise WrongState(f"order {order}: it comes out of a restored backup, and what became of it since is not known")
