"""Services, routes and published lists of the rules file, each checked."""

from decimal import Decimal

from gateway.money import RATE_STEP, down
from gateway.rules.model import Publish, Route, Service
from gateway.rules.reading import Reading
from gateway.rules.report import Path, nearest, shown
from gateway.rules.scopes import check_panel, condition, scope, share
from gateway.rules.shapes import PublishShape, RouteShape, ServiceShape
from providers.service_types import TYPES


def service(shape: ServiceShape, path: Path, reading: Reading) -> Service:
    if shape.type is not None and shape.type not in TYPES:
        known = nearest(shape.type, TYPES, plural="types")
        reading.mistake((*path, "type"), f"{shown(shape.type)} is not a service type{known}")
    if shape.min is not None and shape.max is not None and shape.min > shape.max:
        reading.mistake((*path, "min"), f"min {shape.min} is above max {shape.max}")
    return Service(
        routes=_routes(shape.routes, (*path, "routes"), reading),
        name=shape.name,
        category=shape.category,
        type=shape.type,
        description=shape.description,
        rate=None if shape.rate is None else _rate(shape.rate, (*path, "rate"), reading),
        min=shape.min,
        max=shape.max,
        refill=shape.refill,
        cancel=shape.cancel,
        **scope(shape, path, reading),
    )


def publish(shape: PublishShape, path: Path, reading: Reading) -> Publish:
    check_panel(shape.panel, (*path, "panel"), reading)
    return Publish(
        panel=shape.panel,
        ids=shape.ids,
        first=shape.first,
        category=shape.category,
        name=shape.name,
        margin=None if shape.margin is None else share(shape.margin, (*path, "margin"), reading),
    )


def _routes(written: tuple[object, ...], path: Path, reading: Reading) -> tuple[Route, ...]:
    if not written:
        reading.mistake(path, "is empty; a service needs a route, like alpha/101")
    routes: list[Route] = []
    for number, item in enumerate(written):
        inside = (*path, number)
        if isinstance(item, str):
            panel, _, remote_service = item.partition("/")
            routes.append(_route(RouteShape(panel=panel, service=remote_service), inside, reading))
        elif isinstance(item, RouteShape):
            routes.append(_route(item, inside, reading))
    return tuple(routes)


def _route(shape: RouteShape, path: Path, reading: Reading) -> Route:
    check_panel(shape.panel, (*path, "panel"), reading)
    remote_service = str(shape.service)
    if (
        not remote_service.isprintable()
        or not 0 < len(remote_service) <= 64
        or remote_service != remote_service.strip()
    ):
        reading.mistake((*path, "service"), f"{shown(remote_service)} is not a panel's id of a service")
    when = condition(shape.when, (*path, "when"), reading)
    return Route(panel=shape.panel, service=remote_service, weight=shape.weight, when=when)


def _rate(amount: str, path: Path, reading: Reading) -> Decimal:
    rate = Decimal(amount)
    if rate <= 0:
        reading.mistake(path, f"{shown(amount)} is not above 0")
    elif down(rate, RATE_STEP) != rate:
        reading.mistake(path, f"{shown(amount)} is finer than {RATE_STEP}, the finest rate that is shown")
    return rate
