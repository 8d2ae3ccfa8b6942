"""Services, routes, conditions and published lists of the rules file, each checked."""

from decimal import Decimal

from gateway.conditions import Condition, joined
from gateway.money import RATE_STEP, down
from gateway.rules.model import Publish, Route, Service
from gateway.rules.reading import Reading
from gateway.rules.report import Path, nearest, shown
from gateway.rules.shapes import PublishShape, RouteShape, ServiceShape, WhenShape
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
        policy=shape.policy,
        margin=None if shape.margin is None else share(shape.margin, (*path, "margin"), reading),
        complete=shape.complete,
        complete_panels=shape.complete_panels,
        when=_condition(shape.when, (*path, "when"), reading),
    )


def publish(shape: PublishShape, path: Path, reading: Reading) -> Publish:
    _check_panel(shape.panel, (*path, "panel"), reading)
    return Publish(
        panel=shape.panel,
        ids=shape.ids,
        first=shape.first,
        category=shape.category,
        name=shape.name,
        margin=None if shape.margin is None else share(shape.margin, (*path, "margin"), reading),
    )


def share(percent: str, path: Path, reading: Reading) -> Decimal:
    """`15%` as 0.15."""
    part = Decimal(percent.strip().rstrip("% ")) / 100
    if part > 10:
        reading.mistake(path, f"{shown(percent)} is above 1000%")
    return part


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
    _check_panel(shape.panel, (*path, "panel"), reading)
    remote_service = str(shape.service)
    if (
        not remote_service.isprintable()
        or not 0 < len(remote_service) <= 64
        or remote_service != remote_service.strip()
    ):
        reading.mistake((*path, "service"), f"{shown(remote_service)} is not a panel's id of a service")
    when = _condition(shape.when, (*path, "when"), reading)
    return Route(panel=shape.panel, service=remote_service, weight=shape.weight, when=when)


def _check_panel(name: str, path: Path, reading: Reading) -> None:
    if name not in reading.panels:
        known = nearest(name, reading.panels, plural="panels")
        reading.mistake(path, f"{shown(name)} is not a panel{known}")


def _rate(amount: str, path: Path, reading: Reading) -> Decimal:
    rate = Decimal(amount)
    if rate <= 0:
        reading.mistake(path, f"{shown(amount)} is not above 0")
    elif down(rate, RATE_STEP) != rate:
        reading.mistake(path, f"{shown(amount)} is finer than {RATE_STEP}, the finest rate that is shown")
    return rate


def _condition(shape: WhenShape | None, path: Path, reading: Reading) -> Condition | None:
    if shape is None:
        return None
    clauses: list[Condition] = []
    try:
        if shape.quantity is not None:
            clauses.append(Condition(quantity=shape.quantity))
    except ValueError as wrong:
        reading.mistake((*path, "quantity"), str(wrong))
    try:
        if shape.link is not None:
            written: tuple[object, ...] = (shape.link,) if isinstance(shape.link, str) else shape.link
            globs = tuple(glob for glob in written if isinstance(glob, str))
            if globs or not written:
                clauses.append(Condition(link=globs))
    except ValueError as wrong:
        reading.mistake((*path, "link"), str(wrong))
    return joined(*clauses)
