"""Which orders there are, and what changed since the last look."""

from collections.abc import Mapping

import msgspec

from gateway.catalog import Catalog
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Attempt, AttemptState, Order
from gateway.money import wire
from providers.sandbox import Sandbox

SHOWN = 12  # orders, the newest


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands; `route` is every panel asked for it, the last one last; `panel` is that one."""

    order: int
    service: str
    link: str
    quantity: int
    route: str
    panel: str
    status: str
    unknown: bool
    remains: int
    placed_s: float
    charge: str
    refunded: str


class Watch:
    """Looks into the ledger, where the customer's own orders are as well."""

    def __init__(self, ledger: Ledger, catalog: Catalog) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._seen: dict[int, Row] = {}

    async def look(self) -> tuple[list[Row], list[Row]]:
        """The newest orders, oldest of them first; and those of them that are not as they were."""
        rows = [await self._row(order) for order in reversed(await self._ledger.list_orders(limit=SHOWN))]
        changed = [row for row in rows if self._seen.get(row.order) != row]
        self._seen.update((row.order, row) for row in changed)
        return rows, changed

    async def _row(self, order: Order) -> Row:
        attempts = await self._ledger.attempts(order.id)
        service = self._catalog.service(order.service)
        return Row(
            order=order.id,
            service=f"{order.service} {service.name if service else ''}",
            link=order.link,
            quantity=order.units,
            route=" → ".join(map(_place, attempts)),
            panel=attempts[-1].panel,
            status=order.status.value,
            unknown=any(attempt.state is AttemptState.UNKNOWN for attempt in attempts),
            remains=order.remains,
            placed_s=order.created_ms / 1000,
            charge=wire(order.charge),
            refunded=wire(order.refunded),
        )


class Hints:
    """What to do about an unknown outcome: in the demo, and only there, the panel's own journal can be read."""

    def __init__(self, sandboxes: Mapping[str, Sandbox], shell: str) -> None:
        """`shell` makes another shell look at the demo."""
        self._sandboxes = sandboxes
        self._shell = shell
        self._told: set[int] = set()

    def of(self, row: Row) -> list[str]:
        """Lines for people, once an order."""
        if not row.unknown or row.order in self._told:
            return []
        self._told.add(row.order)
        return [
            f"order {row.order}: {row.panel} may have taken it, so it is never sent again; in 30 s evidence is sought,",
            "  and the first orders after it may tell; or you decide before, for example",
            f"  {self._shell}",
            f"  panelmux order resolve {row.order} --bind {self._remote_id(row)}",
        ]

    def _remote_id(self, row: Row) -> str:
        """The order in the panel's journal that is most likely it: by its link, and by the time."""
        sandbox = self._sandboxes.get(row.panel)
        lost = [
            entry
            for entry in (sandbox.journal if sandbox is not None else ())
            if entry.action == "add" and entry.fault and entry.fields.get("link") == row.link
        ]
        lost.sort(key=lambda entry: abs(entry.time - row.placed_s))
        return str(lost[0].remote_id) if lost else "REMOTE_ID"


def _place(attempt: Attempt) -> str:
    mark = {
        AttemptState.SENDING: "…",
        AttemptState.ACCEPTED: "",
        AttemptState.REFUSED: " said no",
        AttemptState.NOT_SENT: " out of reach",
        AttemptState.UNKNOWN: " gave no answer",
    }
    return attempt.panel + mark[attempt.state]
