"""What is allowed in a rules file and hardly meant: warnings, each with its place."""

from gateway.rules.model import Ids, Publish, Rules, Service
from gateway.rules.reading import Reading
from gateway.rules.report import Path


def warn(rules: Rules, reading: Reading) -> None:
    """Tell the report what looks like a slip."""
    _of_panels(rules, reading)
    for code in rules.exchange:
        if all(panel.currency != code for panel in rules.panels.values()):
            reading.warning(("exchange", code), "no panel bills in it")
    if rules.min_margin > rules.margin:
        reading.warning(
            ("min_margin",), "is above margin: a route at the price a rate was made from is always left out"
        )
    if not rules.services and not rules.publish:
        reading.warning((), "nothing is sold: there are neither services nor publish")
    for id, service in rules.services.items():
        _of_service(service, rules, ("services", str(id)), reading)
    for number, publish in enumerate(rules.publish):
        _of_publish(publish, rules.publish[:number], ("publish", number), reading)


def _of_panels(rules: Rules, reading: Reading) -> None:
    used = {route.panel for service in rules.services.values() for route in service.routes}
    used.update(publish.panel for publish in rules.publish)
    accounts: dict[tuple[str, str], str] = {}
    for name, panel in rules.panels.items():
        path = ("panels", name)
        if name not in used:
            reading.warning(path, "nothing is bought there: no route and no publish names it")
        first = accounts.setdefault((panel.url, panel.key), name)
        if first != name:
            reading.warning(path, f"is the same account as {first}: same url, same key")


def _of_service(service: Service, rules: Rules, path: Path, reading: Reading) -> None:
    for number, route in enumerate(service.routes):
        for earlier in service.routes[:number]:
            if (route.panel, route.service, route.when) == (earlier.panel, earlier.service, earlier.when):
                reading.warning((*path, "routes", number), f"{route.panel}/{route.service} stands here twice")
                break
    if service.margin is not None and service.rate is not None:
        reading.warning((*path, "margin"), "is not used: the rate is fixed")
    elif service.margin is not None and service.margin < rules.min_margin:
        reading.warning(
            (*path, "margin"), "is below min_margin: a route at the price the rate was made from is left out"
        )


def _of_publish(publish: Publish, earlier: tuple[Publish, ...], path: Path, reading: Reading) -> None:
    if any(other.panel == publish.panel and other.category == other.name == "*" for other in earlier):
        reading.warning(path, f"nothing is left for it: the whole of {publish.panel} is published above")
    if publish.ids is Ids.SAME and publish.first != Publish(panel=publish.panel).first:
        reading.warning((*path, "first"), "is not used: ids are the panel's own")
