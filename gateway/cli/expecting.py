"""The tests that rules carry with them: `expect`. Where chance decides, it decides the same every time."""

from collections.abc import Iterator

from gateway.catalog import Catalog
from gateway.cli import output
from gateway.cli.failure import Failure
from gateway.cli.reached import catalog_of
from gateway.cli.route import fields_of
from gateway.placing import expected
from gateway.routing import Decision
from gateway.rules.model import Expectation, Rules
from gateway.settings import Settings


async def disappointed_by_known_lists(settings: Settings, rules: Rules) -> tuple[str, ...]:
    """As `disappointed`, by the lists that the ledger keeps, no panel asked; says where that cannot be."""
    if not rules.expect:
        return ()
    async with catalog_of(settings, rules, offline=True) as looked:
        unheard = [name for name, panel in looked.catalog.panels.items() if panel.snapshot is None]
        if unheard:
            output.say(f"expect: not tried, for there is no list yet of {', '.join(unheard)}")
            return ()
        return tuple(disappointed(looked.catalog))


def disappointed(catalog: Catalog) -> Iterator[str]:
    """What the rules expect and do not do, in words; a panel that has given no list disappoints too."""
    for number, one in enumerate(catalog.rules.expect):
        why = _why(catalog, one)
        if why:
            yield f"expect[{number}]: service {one.service}, quantity {one.quantity}: {why}"


def _why(catalog: Catalog, one: Expectation) -> str:
    service = catalog.sold_to(one.account, one.service)
    if service is None:
        return "" if one.nobody else "it is not sold"
    try:
        fields = fields_of(service, one.quantity, {"link": one.link}, catalog.rules)
    except Failure as refused:
        return "" if one.nobody else refused.message
    decision = expected(catalog, service, fields, account=one.account, minute=one.minute, draw="expect")
    taken = [(choice.panel, choice.remote_service) for choice in decision.choices]
    if one.nobody:
        return f"nobody may take it, and {taken[0][0]}/{taken[0][1]} would" if taken else ""
    if one.first is not None and taken[:1] != [one.first]:
        instead = "/".join(taken[0]) if taken else "nobody"
        return f"it goes to {instead} first, not to {'/'.join(one.first)}{_left_out(decision, one.first)}"
    for panel, remote_service in taken:
        if panel in one.never:
            return f"{panel}/{remote_service} may not take it, and would"
    return ""


def _left_out(decision: Decision, route: tuple[str, str]) -> str:
    return next((f": {out.why}" for out in decision.left_out if (out.panel, out.remote_service) == route), "")
