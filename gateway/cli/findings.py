"""What works and wants a person's attention: panels, services, rules. Pure, and in words."""

from collections.abc import Iterator, Sequence

from gateway.catalog import Catalog, Service
from gateway.cli.panel import Line
from gateway.money import price, wire
from gateway.rules.model import Rules
from providers.service_types import PER_ORDER


def of_rules(rules: Rules) -> tuple[str, ...]:
    """What the rules alone tell."""
    margins = [scope.margin for scope in (*rules.services.values(), *rules.categories)]
    margins += [entry.margin for entry in rules.publish]
    fixed = any(service.rate is not None for service in rules.services.values())
    if margins and not fixed and not any(rules.margin if margin is None else margin for margin in margins):
        return (*rules.warnings, "margin: 0 everywhere, and no rate is fixed: nothing is put on the cost")
    return rules.warnings


def of_catalog(catalog: Catalog, lines: Sequence[Line]) -> tuple[str, ...]:
    """What the panels and their lists tell, each thing once."""
    return tuple(dict.fromkeys([*_of_panels(catalog, lines), *_of_services(catalog)]))


def _of_panels(catalog: Catalog, lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        panel = catalog.panels[line.panel]
        if line.answers and line.why:
            yield f"{line.panel}: {line.why}"
        if panel.stop_for:
            yield f"{line.panel}: takes no orders: {panel.stop_for}"
        if panel.held:
            yield f"{line.panel}: {len(panel.held)} services are held; panelmux catalog held {line.panel}"
        if line.answers and panel.balance is not None and panel.balance <= 0:
            yield f"{line.panel}: no money there: nothing can be bought"
        elif line.low:
            yield f"{line.panel}: balance {line.balance} {line.currency} is low"


def _of_services(catalog: Catalog) -> Iterator[str]:
    # Rows that are only published come and go; what the rules name one by one is meant to be sold.
    for conflict in catalog.conflicts:
        if conflict.service in catalog.rules.services:
            where = f"{conflict.panel}/{conflict.remote_service}: " if conflict.panel else ""
            yield f"service {conflict.service}: {where}{conflict.why}"
    for id in catalog.rules.services:
        service = catalog.service(id)
        if service is not None and (why := _too_cheap(catalog, service)):
            yield f"service {id}: {why}"


def _too_cheap(catalog: Catalog, service: Service) -> str:
    """Why its rate lets no route be bought, whatever the quantity; empty where one can be."""
    costs = [
        offer.rate for offer in catalog.offers(service, 0.0) if offer.rate is not None and offer.type == service.type
    ]
    if not costs:
        return ""
    cheapest, least = min(costs), service.min_margin
    per_order = service.type in PER_ORDER
    for units in (service.min, service.max):  # rounding favours small orders
        paid, cost = (price(rate, units, per_order=per_order) for rate in (service.rate, cheapest))
        if cost * (1 + least) <= paid:
            return ""
    if service.rate < cheapest:
        return f"rate {wire(service.rate)} is below its cheapest cost {wire(cheapest)}: it can never be sold"
    share = f"{(least * 100).normalize():f} %"
    return (
        f"rate {wire(service.rate)} leaves less than the min_margin of {share} on its cheapest cost {wire(cheapest)}: "
        "it can never be sold"
    )
