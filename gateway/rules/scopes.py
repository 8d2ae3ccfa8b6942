"""What may be said of everything and of less: policies, margins, limits and conditions, each checked; and accounts."""

from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import msgspec

from gateway.conditions import DAYS, NUMBERS, TEXTS, AnyClause, Clause, Condition, clauses, number_clause, text_clause
from gateway.routing import Canary, Policy, Step
from gateway.rules.model import AccountRules, Category, Expectation
from gateway.rules.reading import Reading
from gateway.rules.report import Path, nearest, shown
from gateway.rules.shapes import AccountShape, CanaryShape, Day, ExpectShape, ScopeShape, WhenShape


def scope(shape: ScopeShape, path: Path, reading: Reading) -> dict[str, Any]:
    """The fields of a `Scope`."""
    return {
        "policy": None if shape.policy is None else policy(shape.policy, (*path, "policy"), reading),
        "margin": None if shape.margin is None else share(shape.margin, (*path, "margin"), reading),
        "min_margin": None if shape.min_margin is None else share(shape.min_margin, (*path, "min_margin"), reading),
        "max_rate": None if shape.max_rate is None else Decimal(shape.max_rate),
        "only": None if shape.only is None else panels(shape.only, (*path, "only"), reading),
        "never": panels(shape.never, (*path, "never"), reading),
        "complete": shape.complete,
        "complete_panels": shape.complete_panels,
        "one_active": shape.one_active,
        "split": shape.split,
        "wait_s": shape.wait_s,
        "when": condition(shape.when, (*path, "when"), reading),
    }


def category(glob: str, shape: ScopeShape, path: Path, reading: Reading) -> Category:
    return Category(category=glob, **scope(shape, path, reading))


def account(shape: AccountShape, path: Path, reading: Reading) -> AccountRules:
    budget = shape.budget
    if shape.split is not None:
        reading.mistake((*path, "split"), "belongs to services and categories: all accounts are shown the same max")
    for number, written in enumerate(shape.addresses):
        try:
            ip_network(written)
        except ValueError:
            reading.mistake((*path, "addresses", number), f"{shown(written)} is not an address or a network")
    return AccountRules(
        services=None if shape.services is None else _services(shape.services, (*path, "services"), reading),
        budget_day=None if budget is None or budget.day is None else Decimal(budget.day),
        budget_month=None if budget is None or budget.month is None else Decimal(budget.month),
        rate_limit=shape.rate_limit,
        addresses=shape.addresses,
        **scope(shape, path, reading),
    )


def expectation(shape: ExpectShape, path: Path, reading: Reading) -> Expectation:
    if shape.first is None and not shape.never and not shape.nobody:
        reading.mistake(path, "expects nothing; write first, never or nobody")
    first = None
    if shape.first is not None:
        panel, _, remote_service = shape.first.partition("/")
        check_panel(panel, (*path, "first"), reading)
        first = (panel, remote_service)
    minute = None
    if shape.at is not None:
        day, _, time = shape.at.partition(" ")
        minute = DAYS.index(day) * 24 * 60 + int(time[:2]) * 60 + int(time[3:])
    return Expectation(
        service=shape.service,
        quantity=shape.quantity,
        link=shape.link,
        account=shape.account or "",
        minute=minute,
        first=first,
        never=tuple(sorted(panels(shape.never, (*path, "never"), reading))),
        nobody=shape.nobody,
    )


def _services(written: tuple[object, ...], path: Path, reading: Reading) -> Condition | None:
    """Ids, spans of them, and globs over categories: one of them is enough."""
    if not written:
        reading.mistake(path, 'is empty; write ids, or globs over categories, like "Instagram*"')
    one_of: list[Condition] = []
    for number, item in enumerate(written):
        text = str(item)
        try:
            by_id = text[:1].isdigit() or text[:1] in {"<", ">", "="}
            one_of.append(Condition((number_clause("service", text) if by_id else text_clause("category", text),)))
        except ValueError as wrong:
            reading.mistake((*path, number), str(wrong))
    texts = [clause.text for one in one_of for clause in one.clauses]
    return Condition((AnyClause(" or ".join(texts), tuple(one_of)),))


def policy(written: object, path: Path, reading: Reading) -> tuple[Step, ...]:
    """What comes first, step by step."""
    if isinstance(written, Policy):
        return (written,)
    items: tuple[object, ...] = written if isinstance(written, tuple) else ()
    if not items:
        reading.mistake(path, "is empty; write a policy, like cheapest")
    steps: list[Step] = []
    for number, item in enumerate(items):
        if isinstance(item, Policy):
            if item in steps:
                reading.mistake((*path, number), f"{item.value} stands here twice")
            steps.append(item)
        elif isinstance(item, CanaryShape):
            steps.append(_canary(item, (*path, number), reading))
    return tuple(steps)


def _canary(shape: CanaryShape, path: Path, reading: Reading) -> Canary:
    panel, _, remote_service = shape.canary.partition("/")
    check_panel(panel, (*path, "canary"), reading)
    part = share(shape.share, (*path, "share"), reading)
    floor = share(shape.floor, (*path, "floor"), reading)
    if not 0 < part < Decimal("0.5"):
        reading.mistake((*path, "share"), f"{shown(shape.share)} is not above 0% and below 50%")
    if floor > 1:
        reading.mistake((*path, "floor"), f"{shown(shape.floor)} is above 100%")
    return Canary(panel=panel, remote_service=remote_service, share=float(part), floor=float(floor))


def share(percent: str, path: Path, reading: Reading) -> Decimal:
    """`15%` as 0.15."""
    part = Decimal(percent.strip().rstrip("% ")) / 100
    if part > 10:
        reading.mistake(path, f"{shown(percent)} is above 1000%")
    return part


def panels(names: tuple[str, ...], path: Path, reading: Reading) -> frozenset[str]:
    for number, name in enumerate(names):
        if isinstance(name, str):
            check_panel(name, (*path, number), reading)
    return frozenset(name for name in names if isinstance(name, str))


def check_panel(name: str, path: Path, reading: Reading) -> None:
    if name not in reading.panels:
        known = nearest(name, reading.panels, plural="panels")
        reading.mistake(path, f"{shown(name)} is not a panel{known}")


def condition(shape: WhenShape | None, path: Path, reading: Reading) -> Condition | None:
    """Compile a block of matchers; every one that cannot be read is a mistake at its place."""
    if shape is None:
        return None
    found: list[Clause] = []
    for word in (*NUMBERS, *TEXTS, "time", "days", "all", "any", "not"):
        written = getattr(shape, "not_" if word == "not" else word)
        if written is None:
            continue
        try:
            compiled = _compiled(word, written, (*path, word), reading)
            if compiled or not written:  # else its mistakes are told already
                found += clauses(word, compiled)
        except ValueError as wrong:
            reading.mistake((*path, word), str(wrong))
    return Condition(tuple(found)) if found else None


def _compiled(word: str, written: Any, path: Path, reading: Reading) -> Any:
    """What `conditions.clauses` takes: conditions compiled, and of lists what could be read."""
    if isinstance(written, WhenShape):
        return condition(written, path, reading) or Condition()
    if not isinstance(written, tuple):
        return written
    if word in {"all", "any"}:
        inner = [condition(one, (*path, n), reading) for n, one in enumerate(written) if isinstance(one, WhenShape)]
        if not inner:
            raise ValueError("is empty; write conditions, one - a line")
        return tuple(one or Condition() for one in inner)
    fitting = tuple(one.value if isinstance(one, Day) else one for one in written if one is not msgspec.UNSET)
    if word == "days" and not fitting:
        raise ValueError(f"is empty; days: {', '.join(DAYS)}")
    return fitting
