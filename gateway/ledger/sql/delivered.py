"""What routes have really done with our orders: one row a route, changed as its orders end."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.sql.work import LOCKED, Row, Work
from gateway.routing import delivered
from gateway.routing.delivered import Delivered, End

_FIELDS: Final = "panel, remote_service, orders, paid, got, short, refills, seconds, start_s, canceled, at_ms"
_OF_ROUTE = f"SELECT {_FIELDS} FROM delivered WHERE panel = ? AND remote_service = ?" + LOCKED  # noqa: S608 - constants
_BEGIN = "INSERT INTO delivered (panel, remote_service, at_ms) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
_SINCE = f"SELECT {_FIELDS} FROM delivered WHERE at_ms >= ? ORDER BY at_ms"  # noqa: S608 - constants
_KEEP = f"""
    INSERT INTO delivered ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (panel, remote_service) DO UPDATE SET orders = excluded.orders, paid = excluded.paid,
        got = excluded.got, short = excluded.short, refills = excluded.refills, seconds = excluded.seconds,
        start_s = excluded.start_s, canceled = excluded.canceled, at_ms = excluded.at_ms"""  # noqa: S608 - constants
_TAKEN_BY = """
    SELECT panel, remote_service FROM attempt
    WHERE order_id = ? AND panel = ? AND state = 'accepted' ORDER BY id DESC LIMIT 1"""


def ended(panel: str, remote_service: str, end: End, now_ms: int) -> Work[None]:
    known = yield from _of_route(panel, remote_service)
    yield from _keep(delivered.ended(known, end, now_ms))


def started(panel: str, remote_service: str, seconds: float, now_ms: int) -> Work[None]:
    known = yield from _of_route(panel, remote_service)
    yield from _keep(delivered.started(known, seconds, now_ms))


def refilled(order: int, panel: str, now_ms: int) -> Work[None]:
    """A refill of an order was asked for at the panel that took it."""
    rows = yield _TAKEN_BY, (order, panel)
    for found in rows:
        known = yield from _of_route(*found)
        yield from _keep(delivered.refilled(known, now_ms))


def since(at_ms: int) -> Work[Sequence[Delivered]]:
    rows = yield _SINCE, (at_ms,)
    return tuple(map(_read, rows))


def _of_route(panel: str, remote_service: str) -> Work[Delivered]:
    """What is known of a route, its row held until it is written anew; the first of its orders has one as well."""
    yield _BEGIN, (panel, remote_service)
    rows = yield _OF_ROUTE, (panel, remote_service)
    return _read(rows[0]) if rows else Delivered(panel=panel, remote_service=remote_service)


def _keep(known: Delivered) -> Work[None]:
    sums = (
        known.orders,
        known.paid,
        known.got,
        known.short,
        known.refills,
        known.seconds,
        known.start_s,
        known.canceled,
    )
    yield _KEEP, (known.panel, known.remote_service, *sums, known.at_ms)


def _read(row: Row) -> Delivered:
    panel, remote_service, orders, paid, got, short, refills, seconds, start_s, canceled, at_ms = row
    return Delivered(
        panel=panel,
        remote_service=remote_service,
        orders=orders,
        paid=paid,
        got=got,
        short=short,
        refills=refills,
        seconds=seconds,
        start_s=start_s,
        canceled=canceled,
        at_ms=at_ms,
    )
