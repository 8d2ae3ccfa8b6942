"""Three real lists, published whole: all that is usable is sold, and an order of every type in them is bought."""

import contextlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.money import price, up
from gateway.rules.model import Ids, Publish, Rules
from providers.sandbox import Entry, Sandbox, Tempo, load
from providers.service_types import PER_ORDER, TYPES, OrderFields, Subscriptions, folded, form
from tests import wares
from tests.running import Selling, panel, selling

CATALOGUES = Path(__file__).parent.parent.parent / "shared" / "catalogs"
PANELS: Mapping[str, str] = {"smmpanelus": "USD", "smmprime": "RUB", "vexboost": "RUB"}
RUB = Decimal("0.0105")
MARGIN = Decimal("0.20")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CATALOGUES.is_dir(), reason=f"real catalogues are not part of the project: {CATALOGUES}"),
]


def usable(row: Mapping[str, Any]) -> bool:
    """What can be sold: it has an id, a name, a price that is one, and limits that admit an order."""
    rate = Decimal(str(row["rate"]))
    least, most = int(row["min"]), int(row["max"])
    return bool(str(row["name"]).strip()) and 0 < rate < 10**9 and most >= 1 and 0 <= least <= most


def fields_for(row: Mapping[str, Any], link: str) -> OrderFields:
    """An order of the row's type, of as little as it takes."""
    least = max(int(row["min"]), 1)
    order = wares.orders(least, link)[folded(row.get("type", "Default"))]
    return msgspec.structs.replace(order, posts=1) if isinstance(order, Subscriptions) else order


def samples(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cheapest usable row of each type, so that no order is of a size no customer would send."""
    chosen: dict[str, dict[str, Any]] = {}
    for row in rows:
        type = folded(row.get("type", "Default"))
        if usable(row) and int(row["min"]) <= 500 and type not in chosen:
            chosen[type] = row
    return list(chosen.values())


async def test_all_usable_rows_are_sold_and_every_type_is_bought_with_its_fields_and_price(tmp_path: Path) -> None:
    rows = {name: msgspec.json.decode((CATALOGUES / f"{name}.json").read_bytes()) for name in PANELS}
    boxes = {
        name: Sandbox(
            name,
            key="panel-key",
            catalogue=load(CATALOGUES / f"{name}.json"),
            currency=currency,
            balance=Decimal(10**9),
            tempo=Tempo(pending=(3600, 3600)),
        )
        for name, currency in PANELS.items()
    }
    async with contextlib.AsyncExitStack() as stack:
        panels = {
            name: panel(await stack.enter_async_context(box.serve()), currency=PANELS[name])
            for name, box in boxes.items()
        }
        publish = (
            Publish(panel="smmpanelus", ids=Ids.SAME),
            Publish(panel="smmprime", ids=Ids.NEW, first=1_000_000),
            Publish(panel="vexboost", ids=Ids.NEW, first=2_000_000),
        )
        rules = Rules(panels=panels, exchange={"RUB": RUB}, margin=MARGIN, publish=publish)
        shop = await stack.enter_async_context(selling(rules, tmp_path, balance=Decimal(10**9)))
        await shop.gateway.catalog.until_ready()
        sold = await shop.call("services")
        assert len(sold) == sum(usable(row) for name in PANELS for row in rows[name])
        assert len({row["service"] for row in sold}) == len(sold)
        ours = {
            (route.panel, route.service): service
            for service in shop.gateway.catalog.services()
            for route in service.routes
        }
        bought: set[str] = set()
        for name, box in boxes.items():
            listed = {row["service"]: row for row in sold}
            for row in samples(rows[name]):
                service = ours[name, str(row["service"])]
                answered = listed[service.id]
                assert answered["name"].split() == str(row["name"]).split()
                bought.add(await _buy(shop, box, service.id, row, Decimal(answered["rate"])))
        types = {folded(row.get("type", "Default")) for name in PANELS for row in rows[name] if usable(row)}
        assert bought == types
        assert len(types) >= 10
        assert types <= set(TYPES)


async def _buy(shop: Selling, box: Sandbox, service: int, row: Mapping[str, Any], rate: Decimal) -> str:
    """One order through the edge; checks the panel's fields and price, and ours. Gives the type."""
    fields = fields_for(row, f"https://x.example/{box.name}/{row['service']}")
    before = Decimal((await shop.call("balance"))["balance"])
    sent = form(fields)
    answer = await shop.call("add", service=service, **sent)
    assert "order" in answer, (row, answer)
    entry: Entry = box.journal[-1]
    assert (entry.service, entry.type) == (str(row["service"]), fields.type)
    assert entry.fields == sent
    cost = Decimal(str(row["rate"]))
    assert rate == up(cost * (Decimal(1) if box.currency == "USD" else RUB) * (1 + MARGIN), Decimal("0.0001"))
    charge = price(rate, fields.units(), per_order=fields.type in PER_ORDER)
    assert before - Decimal((await shop.call("balance"))["balance"]) == charge
    if not isinstance(fields, Subscriptions):  # paid to the panel post by post
        exact = cost if fields.type in PER_ORDER else cost * fields.units() / 1000
        assert abs(entry.charge - exact) <= Decimal("0.00001")
    told = await shop.call("status", order=answer["order"])
    assert told["status"] in {"Pending", "Active"}
    return fields.type
