"""Two panels with the same wares and a gateway before them, for tests of what becomes of orders."""

import contextlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.records import Attempt, AttemptState, Order
from gateway.rules.model import Route, Rules, Service
from providers.base import OrderStatus
from providers.sandbox import Sandbox, Tempo
from tests import wares
from tests.running import Selling, panel, selling, until

STILL = Tempo(pending=(3600, 3600), cancel=(0.01, 0.02), refill=(0.01, 0.02))


class Market:
    """Two panels with the same wares, the first one cheaper, and a gateway before them."""

    def __init__(self, shop: Selling, boxes: list[Sandbox]) -> None:
        self.shop = shop
        self.first, self.second = boxes

    async def add(self, *, quantity: int = 20, link: str = wares.LINK, **fields: object) -> Any:
        return await self.shop.call("add", service=1, link=link, quantity=quantity, **fields)

    async def balance(self) -> Decimal:
        return Decimal((await self.shop.call("balance"))["balance"])

    async def order(self, id: int | None = None) -> Order:
        """That order, or the newest."""
        if id is None:
            return (await self.shop.gateway.ledger.list_orders(limit=1))[0]
        order = await self.shop.gateway.ledger.order(id)
        assert order is not None
        return order

    async def attempts(self, id: int | None = None) -> list[Attempt]:
        return list(await self.shop.gateway.ledger.attempts((await self.order(id)).id))

    async def outcomes(self, id: int | None = None) -> list[tuple[str, str]]:
        return [(attempt.panel, attempt.state.value) for attempt in await self.attempts(id)]

    async def outcome_is(self, state: AttemptState, id: int | None = None) -> Attempt:
        async def there() -> Attempt | None:
            last = (await self.attempts(id))[-1]
            return last if last.state is state else None

        found: Attempt = await until(there)
        return found

    async def becomes(self, id: int, status: OrderStatus) -> dict[str, str]:
        async def there() -> dict[str, str] | None:
            told: dict[str, str] = await self.shop.call("status", order=id)
            return told if told["status"] == status else None

        seen: dict[str, str] = await until(there)
        return seen

    def bought(self) -> list[tuple[str, str]]:
        """Panel and link of every purchase that a panel made."""
        return [
            (box.name, entry.fields.get("link", ""))
            for box in (self.first, self.second)
            for entry in box.journal
            if entry.action == "add"
        ]


Open = Callable[..., "contextlib.AbstractAsyncContextManager[Market]"]


@pytest.fixture
def market(tmp_path: Path) -> Open:
    @contextlib.asynccontextmanager
    async def opened(
        first: str = "", second: str = "", *, balance: Decimal | None = Decimal(10), **overrides: Any
    ) -> AsyncIterator[Market]:
        dear = [{**row, "rate": "1.60"} for row in wares.services()]
        boxes = [
            Sandbox("a", key="panel-key", catalogue=wares.services(), faults=first, tempo=STILL),
            Sandbox("b", key="panel-key", catalogue=dear, faults=second, tempo=STILL, currency="EUR"),
        ]
        async with boxes[0].serve() as one, boxes[1].serve() as two:
            rules = Rules(
                panels={"a": panel(one), "b": panel(two, currency="EUR")},
                exchange={"EUR": Decimal("1.25")},
                services={
                    int(row["service"]): Service(
                        routes=tuple(Route(panel=name, service=str(row["service"])) for name in "ab")
                    )
                    for row in wares.services()
                },
            )
            async with selling(rules, tmp_path, balance=balance, overrides=overrides) as shop:
                await shop.gateway.catalog.until_ready()
                yield Market(shop, boxes)

    return opened
