"""Our services: what the rules and the panels' lists together let us sell, and what is left out with its reason. Pure.

What a service of the rules leaves open comes from its routes' rows. Only rows of the service's type count: an order
of one type cannot be bought as another.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final

import msgspec

from gateway import money
from gateway.catalog.moves import is_heading
from gateway.conditions import Condition, Facts, failing, joined
from gateway.routing import Policy, Step
from gateway.rules import model
from providers.base import RemoteService
from providers.service_types import DIVISIBLE

_OF_ACCOUNTS: Final = (
    "policy",
    "min_margin",
    "max_rate",
    "only",
    "complete",
    "complete_panels",
    "one_active",
    "wait_s",
)
"""What an account may have otherwise than a service; not `split`, for all see the same max."""

MOST: Final = 2**31 - 1
"""The greatest id and count that shops in the field can store."""


class Service(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of our catalogue.

    Attributes:
        rate: in our currency, of 1000 units or, for the types in `PER_ORDER`, of one order.
        dripfeed: None where no panel says.
        condition: the rules' own for the service; the conditions of `routes` contain it.
        paid: the cost that the rate was made from; None where the rules fix the rate.
        min_margin, max_rate, only, never, complete, complete_panels, one_active, split, wait_s: see `Scope`.
    """

    id: int
    name: str
    type: str
    category: str
    rate: Decimal
    min: int
    max: int
    refill: bool
    cancel: bool
    dripfeed: bool | None
    description: str
    policy: tuple[Step, ...]
    routes: tuple[model.Route, ...]
    condition: Condition | None = None
    paid: Decimal | None = None
    min_margin: Decimal = Decimal(0)
    max_rate: Decimal | None = None
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    complete: bool = False
    complete_panels: int = 3
    one_active: bool = False
    split: int = 1
    wait_s: int = 21_600


class Conflict(msgspec.Struct, frozen=True, gc=False):
    """A service, route or row that cannot be sold, and why, in words for people; `service` is our id, if it has one."""

    service: int | None
    panel: str
    remote_service: str
    why: str


class Listed(msgspec.Struct, frozen=True):
    """What compiling needs of a panel: its rows by id, None before its first list, and its currency's worth in ours."""

    rows: Mapping[str, RemoteService] | None
    exchange: Decimal


class Compiled(msgspec.Struct, frozen=True):
    services: tuple[Service, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


def cost(row: RemoteService, exchange: Decimal) -> Decimal | None:
    """What the panel takes, in our currency, of 1000 units or of one order; None where its rate is no price."""
    rate = row.rate * exchange
    return rate if 0 < rate < money.LIMIT else None


def written(rules: model.Rules, lists: Mapping[str, Listed]) -> Compiled:
    """The services that the rules write out one by one."""
    services, conflicts = [], []
    for id, service in rules.services.items():
        compiled, without = _service(id, service, rules, lists)
        conflicts += without
        if compiled is not None:
            services.append(compiled)
    return Compiled(tuple(services), tuple(conflicts))


def _service(
    id: int, service: model.Service, rules: model.Rules, lists: Mapping[str, Listed]
) -> tuple[Service | None, list[Conflict]]:
    rows, conflicts = _rows(id, service, lists)

    def none(why: str) -> tuple[None, list[Conflict]]:
        return None, [*conflicts, Conflict(id, "", "", why)]

    if not rows:
        return none("none of its routes can be bought")
    first = rows[0][0]
    category = first.category if service.category is None else service.category
    scope = rules.scope(category, service)
    chosen = max if rules.rate_from is model.RateFrom.DEAREST else min
    paid = chosen(paid for _, paid in rows) if service.rate is None else None
    rate = money.up(service.rate or Decimal(0), money.RATE_STEP) if paid is None else _rate(paid, _margin(scope))
    low, high = min(row.min for row, _ in rows), max(_most(row, scope) for row, _ in rows)
    low, high = max(low, service.min or low), min(high, service.max or high)
    if low > high:
        return none(f"no quantity is left between its min {low} and its max {high}")
    compiled = Service(
        id=id,
        name=first.name if service.name is None else service.name,
        type=first.type if service.type is None else service.type,
        category=category,
        rate=rate,
        min=low,
        max=high,
        refill=all(row.refill for row, _ in rows) if service.refill is None else service.refill,
        cancel=all(row.cancel for row, _ in rows) if service.cancel is None else service.cancel,
        dripfeed=_dripfeed(row for row, _ in rows),
        description=first.description if service.description is None else service.description,
        policy=rules.policy if scope.policy is None else scope.policy,
        routes=tuple(msgspec.structs.replace(route, when=joined(scope.when, route.when)) for route in service.routes),
        condition=scope.when,
        paid=paid,
        **_limits(scope),
    )
    return compiled, conflicts


def _rows(
    id: int, service: model.Service, lists: Mapping[str, Listed]
) -> tuple[list[tuple[RemoteService, Decimal]], list[Conflict]]:
    """The rows behind a service's routes that can be bought, each with its cost; and why the others cannot."""
    rows: list[tuple[RemoteService, Decimal]] = []
    conflicts = []
    type = service.type
    for route in service.routes:
        listed = lists[route.panel]
        row = (listed.rows or {}).get(route.service)
        type = row.type if type is None and row is not None else type
        paid = None if row is None else cost(row, listed.exchange)
        if row is None:
            why = "not in the panel's list" if listed.rows is not None else "the panel has given no list yet"
        elif row.type != type:
            why = f'its type is "{row.type}", not "{type}"'
        elif paid is None:
            why = f"its rate is {row.rate}, which is no price"
        else:
            rows.append((row, paid))
            continue
        conflicts.append(Conflict(id, route.panel, route.service, why))
    return rows, conflicts


def _rate(cost: Decimal, margin: Decimal) -> Decimal:
    return money.up(cost * (1 + margin), money.RATE_STEP)


def _dripfeed(rows: Iterable[RemoteService]) -> bool | None:
    said = {row.dripfeed for row in rows}
    return True if True in said else None if None in said else False


def matching(entry: model.Publish, rows: Iterable[RemoteService]) -> list[RemoteService]:
    """The rows that an entry's globs let through, whatever their case."""
    category, name = _pattern(entry.category), _pattern(entry.name)
    return [
        row
        for row in rows
        if (category is None or category.match(row.category)) and (name is None or name.match(row.name))
    ]


def _pattern(glob: str) -> re.Pattern[str] | None:
    return None if glob == "*" else re.compile(translate(glob), re.IGNORECASE)


def published(
    entry: model.Publish,
    rules: model.Rules,
    rows: Sequence[RemoteService],
    exchange: Decimal,
    ids: Mapping[str, int] | None,
) -> Compiled:
    """The rows of one entry as services of ours; `ids` are those given to them, None where they keep the panel's."""
    services, conflicts = [], []
    scopes: dict[str, model.Scope] = {}
    for row in rows:
        remote = row.remote_service
        id = _own(remote) if ids is None else ids.get(remote)
        paid = cost(row, exchange)
        if id is None:
            why = f'its id "{remote}" is not a number from 1 to {MOST}' if ids is None else "it has no id of ours yet"
        elif paid is None:
            why = f"its rate is {row.rate}, which is no price"
        elif is_heading(row):
            why = "it is a heading, and no service"
        elif row.min > row.max:
            why = f"its min {row.min} is above its max {row.max}"
        else:
            scope = scopes.get(row.category)
            if scope is None:
                scope = scopes[row.category] = rules.scope(row.category, model.Scope(margin=entry.margin))
            services.append(_published(id, row, paid, entry.panel, scope))
            continue
        conflicts.append(Conflict(id, entry.panel, remote, why))
    return Compiled(tuple(services), tuple(conflicts))


def _own(remote: str) -> int | None:
    """The panel's id as one of ours; "007" is none, since it would come back as 7."""
    if not (remote.isascii() and remote.isdigit()) or len(remote) > 10 or remote[0] == "0":
        return None
    return int(remote) if int(remote) <= MOST else None


def _published(id: int, row: RemoteService, paid: Decimal, panel: str, scope: model.Scope) -> Service:
    return Service(
        id=id,
        name=row.name,
        type=row.type,
        category=row.category,
        rate=_rate(paid, _margin(scope)),
        min=row.min,
        max=_most(row, scope),
        refill=row.refill,
        cancel=row.cancel,
        dripfeed=row.dripfeed,
        description=row.description,
        policy=scope.policy or (Policy.CHEAPEST,),
        routes=(model.Route(panel=panel, service=row.remote_service, when=scope.when),),
        condition=scope.when,
        paid=paid,
        **_limits(scope),
    )


def sold_to(service: Service, account: model.AccountRules) -> Service | None:
    """A service as one account has it; None where that may not buy it."""
    facts = Facts(service=service.id, category=service.category)
    if account.services is not None and failing(account.services, facts) is not None:
        return None
    changes: dict[str, Any] = {"never": service.never | account.never}
    for name in _OF_ACCOUNTS:
        if (said := getattr(account, name)) is not None:
            changes[name] = said
    if account.margin is not None and service.paid is not None:
        changes["rate"] = _rate(service.paid, account.margin)
    if account.when is not None:
        changes["condition"] = joined(service.condition, account.when)
        changes["routes"] = tuple(
            msgspec.structs.replace(route, when=joined(account.when, route.when)) for route in service.routes
        )
    return msgspec.structs.replace(service, **changes)


def _most(row: RemoteService, scope: model.Scope) -> int:
    """How much of a row's service may be ordered at once, in parts where the rules and its type allow them."""
    parts = (scope.split or 1) if row.type in DIVISIBLE else 1
    return max(row.max, min(row.max * parts, MOST))


def _margin(scope: model.Scope) -> Decimal:
    return scope.margin or Decimal(0)


def _limits(scope: model.Scope) -> dict[str, Any]:
    return {
        "min_margin": scope.min_margin or Decimal(0),
        "max_rate": scope.max_rate,
        "only": scope.only,
        "never": scope.never,
        "complete": bool(scope.complete),
        "complete_panels": scope.complete_panels or 1,
        "one_active": bool(scope.one_active),
        "split": scope.split or 1,
        "wait_s": scope.wait_s or 0,
    }


def merged(
    written: Compiled, published: Sequence[Compiled], rules: model.Rules, before: Mapping[int, Service]
) -> tuple[Mapping[int, Service], tuple[Conflict, ...]]:
    """All services by id, in order; `before` is what was sold until now.

    An id of the rules is theirs, also while its service cannot be sold: it must never mean something else for a
    while. Another stays with the panel that has it for as long as that one lists it, for shops have stored it; a free
    one belongs to the first entry that has it.
    """
    services = {service.id: service for service in written.services}
    conflicts = list(written.conflicts)
    offered = {(service.id, service.routes[0].panel) for part in published for service in part.services}
    for part in published:
        conflicts += part.conflicts
        for service in part.services:
            owner = before[service.id].routes[0].panel if service.id in before else service.routes[0].panel
            if service.id in rules.services:
                why = f"the id {service.id} is a service's of the rules"
            elif owner != service.routes[0].panel and (service.id, owner) in offered:
                why = f"the id {service.id} is taken by {owner}"
            elif services.setdefault(service.id, service) is not service:
                taken = services[service.id].routes[0]
                why = f"the id {service.id} is taken by {taken.panel}/{taken.service}"
            else:
                continue
            route = service.routes[0]
            conflicts.append(Conflict(service.id, route.panel, route.service, why))
    return services, tuple(conflicts)
