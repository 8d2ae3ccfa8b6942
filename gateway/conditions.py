"""Plain matchers over an order, compiled when rules are read: `when: {quantity: ">= 1000", link: "*instagram.com*"}`.

A matcher is a clause with `text` for people and `holds` for orders; a further kind of clause is one more class here.
"""

import re
import sys
from fnmatch import translate
from typing import Final

import msgspec

_NO_END: Final = sys.maxsize
_BOUND: Final = re.compile(r"(>=|<=|>|<|=)?\s*([0-9]{1,10})")
_SPAN: Final = re.compile(r"([0-9]{1,10})\s*\.\.\s*([0-9]{1,10})")


class QuantityClause(msgspec.Struct, frozen=True):
    """Units of one run, from `low` to `high`, both included."""

    text: str
    low: int
    high: int

    def holds(self, quantity: int, link: str) -> bool:  # noqa: ARG002 - clauses are asked all alike
        return self.low <= quantity <= self.high


class LinkClause(msgspec.Struct, frozen=True):
    """A link that one of the globs matches, whatever its case."""

    text: str
    patterns: tuple[re.Pattern[str], ...]

    def holds(self, quantity: int, link: str) -> bool:  # noqa: ARG002 - clauses are asked all alike
        for pattern in self.patterns:  # noqa: SIM110 - a generator costs more than what it would ask
            if pattern.match(link):
                return True
        return False


Clause = QuantityClause | LinkClause


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """All clauses must hold; a list of globs holds when one of them does.

    Attributes:
        quantity, link: as the rules write them.
        clauses: what they compile to; given only by `joined`.

    Raises:
        ValueError: a matcher that cannot be read; the text says how to write it.
    """

    quantity: str | int | None = None
    link: str | tuple[str, ...] | None = None
    clauses: tuple[Clause, ...] = ()

    def __post_init__(self) -> None:
        written: list[Clause] = []
        if self.quantity is not None:
            written.append(quantity_clause(self.quantity))
        if self.link is not None:
            written.append(link_clause(self.link))
        if written:
            msgspec.structs.force_setattr(self, "clauses", (*written, *self.clauses))


def quantity_clause(written: str | int) -> QuantityClause:
    """Compile a bound on the quantity of one run.

    >>> quantity_clause("100..5000")
    QuantityClause(text='quantity 100..5000', low=100, high=5000)
    """
    text = str(written).strip()
    if span := _SPAN.fullmatch(text):
        low, high = int(span[1]), int(span[2])
        plain = f"{low}..{high}"
    elif bound := _BOUND.fullmatch(text):
        sign, number = bound[1] or "=", int(bound[2])
        low = {">=": number, ">": number + 1, "=": number}.get(sign, 0)
        high = {"<=": number, "<": number - 1, "=": number}.get(sign, _NO_END)
        plain = f"{sign} {number}"
    else:
        raise ValueError(f'"{text}" is not a bound on quantity like ">= 1000", "< 50", "100..5000" or 10')
    if high < max(low, 1):
        raise ValueError(f'no quantity is "{text}"')
    return QuantityClause(f"quantity {plain}", low, high)


def link_clause(written: str | tuple[str, ...]) -> LinkClause:
    """Compile globs (`*`, `?`, `[…]`) over the whole link."""
    globs = (written,) if isinstance(written, str) else written
    if not globs or not all(glob.strip() for glob in globs):
        raise ValueError('an empty glob matches no link; write one like "*instagram.com*"')
    patterns = tuple(re.compile(translate(glob), re.IGNORECASE) for glob in globs)
    return LinkClause(f"link {' or '.join(globs)}", patterns)


def refuses_link(condition: Condition | None, link: str) -> bool:
    """Whether a clause on links is what stands in the way."""
    clauses = () if condition is None else condition.clauses
    return any(isinstance(clause, LinkClause) and not clause.holds(0, link) for clause in clauses)


def joined(*conditions: Condition | None) -> Condition | None:
    """One condition that holds when all of them do; None when there is none."""
    clauses = tuple(clause for condition in conditions if condition is not None for clause in condition.clauses)
    return Condition(clauses=clauses) if clauses else None


def failing(condition: Condition, quantity: int, link: str) -> str | None:
    """The first clause that does not hold, in words ("quantity >= 1000"); None when all hold.

    `quantity` is that of one run, as the customer writes it.
    """
    for clause in condition.clauses:
        if not clause.holds(quantity, link):
            return clause.text
    return None
