"""Plain matchers over an order, compiled when rules are read: `when: {quantity: ">= 1000", link: "*instagram.com*"}`.

    quantity, charge, rate, health, service     a bound, a span, or a list of them
    link, account, type, category, name, panel  a glob, /a regular expression/, or a list of them
    time, days                                  UTC: "22:00..06:00", [sat, sun]
    all, any, not                               conditions in conditions

All clauses of a condition must hold; of a list, one. `rate`, `health` and `panel` are of the offer that is looked at,
all others of the order. A clause has `text` for people; a further kind of clause is one more class here.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final, TypeAlias

import msgspec

NUMBERS: Final = ("quantity", "charge", "rate", "health", "service")
TEXTS: Final = ("link", "account", "type", "category", "name", "panel")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_WHOLE: Final = r"\A"
_DAY: Final = 24 * 60  # minutes
_NO_END: Final = Decimal("Infinity")
_NUMBER: Final = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_BOUND: Final = re.compile(r"(>=|<=|>|<|=)?\s*" + _NUMBER)
_SPAN: Final = re.compile(_NUMBER + r"\s*\.\.\s*" + _NUMBER)
_TIMES: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*\.\.\s*([01][0-9]|2[0-3]):([0-5][0-9])")
_PARTS: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[*+](?:[?+])?|\{[0-9]*,?[0-9]*\}[?+]?|.", re.DOTALL)
_REPEATS: Final = 2  # open-ended ones in one expression
_LOOKED_AT: Final = 500  # characters of a text; together with the above, less than a second in the worst case


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What conditions look at.

    Attributes:
        quantity: units of one run.
        service: our id; 0 = nobody said, like an empty text.
        minute: of the week, UTC; Monday 00:00 is 0.
        panel, rate, health: of the offer.
    """

    quantity: int = 1
    link: str = ""
    charge: Decimal = Decimal(0)
    account: str = ""
    service: int = 0
    type: str = ""
    category: str = ""
    name: str = ""
    minute: int = 0
    panel: str = ""
    rate: Decimal = Decimal(0)
    health: float = 1.0


class NumberClause(msgspec.Struct, frozen=True):
    """A number in one of some spans, both ends included unless `open`."""

    text: str
    of: str
    spans: tuple[tuple[Decimal, Decimal, str], ...]

    def holds(self, facts: Facts) -> bool:
        number = getattr(facts, self.of)
        return any(_within(number, span) for span in self.spans)


class TextClause(msgspec.Struct, frozen=True):
    """A text that one of the patterns matches, whatever its case."""

    text: str
    of: str
    patterns: tuple[re.Pattern[str], ...]

    def holds(self, facts: Facts) -> bool:
        text = getattr(facts, self.of)
        for pattern in self.patterns:
            if pattern.search(text[:_LOOKED_AT] if len(text) > _LOOKED_AT and not _is_glob(pattern) else text):
                return True
        return False


class TimeClause(msgspec.Struct, frozen=True):
    """A time of day from `since` to before `until`, minutes; over midnight where `until` is not after `since`."""

    text: str
    since: int
    until: int

    def holds(self, facts: Facts) -> bool:
        now = facts.minute % _DAY
        if self.since < self.until:
            return self.since <= now < self.until
        return now >= self.since or now < self.until


class DaysClause(msgspec.Struct, frozen=True):
    text: str
    days: frozenset[int]

    def holds(self, facts: Facts) -> bool:
        return facts.minute // _DAY in self.days


class AnyClause(msgspec.Struct, frozen=True):
    text: str
    conditions: "tuple[Condition, ...]"

    def holds(self, facts: Facts) -> bool:
        return any(failing(condition, facts) is None for condition in self.conditions)


class NotClause(msgspec.Struct, frozen=True):
    text: str
    condition: "Condition"

    def holds(self, facts: Facts) -> bool:
        return failing(self.condition, facts) is not None


Clause: TypeAlias = NumberClause | TextClause | TimeClause | DaysClause | AnyClause | NotClause


class Condition(msgspec.Struct, frozen=True):
    """All clauses must hold."""

    clauses: tuple[Clause, ...] = ()


def condition(**written: Any) -> Condition:
    """Compile matchers as rules write them, `not` as `not_`.

    >>> failing(condition(quantity="100..5000"), Facts(quantity=7))
    'quantity 100..5000'

    Raises:
        ValueError: a matcher that cannot be read; the text says how to write it.
    """
    return Condition(tuple(clause for word, value in written.items() for clause in clauses(word.rstrip("_"), value)))


def clauses(word: str, written: Any) -> tuple[Clause, ...]:
    """What one key of a condition compiles to; `all`, `any` and `not` are given conditions. ValueError as above."""
    match word:
        case "all":
            return tuple(clause for inner in written for clause in inner.clauses)
        case "any":
            return (AnyClause(f"any of ({'; '.join(map(condition_text, written))})", tuple(written)),)
        case "not":
            return (NotClause(f"not ({condition_text(written)})", written),)
        case "time":
            return (_time(str(written)),)
        case "days":
            return (DaysClause(f"days {', '.join(written)}", frozenset(map(DAYS.index, written))),)
        case _ if word in NUMBERS:
            return (number_clause(word, written),)
        case _:
            return (text_clause(word, written),)


def number_clause(word: str, written: str | int | Sequence[str | int]) -> NumberClause:
    """Compile bounds: one of them is enough.

    >>> number_clause("quantity", "100..5000").text
    'quantity 100..5000'
    """
    spans, texts = [], []
    for one in (written,) if isinstance(written, str | int) else written:
        text = str(one).strip()
        if span := _SPAN.fullmatch(text):
            low, high, sign = Decimal(span[1]), Decimal(span[2]), ".."
            texts.append(f"{low:f}..{high:f}")
        elif bound := _BOUND.fullmatch(text):
            sign, number = bound[1] or "=", Decimal(bound[2])
            low = number if sign in {">=", ">", "="} else Decimal(0)
            high = number if sign in {"<=", "<", "="} else _NO_END
            texts.append(f"{sign} {number:f}")
        else:
            raise ValueError(f'"{text}" is not a bound on {word} like ">= 1000", "< 50", "100..5000" or 10')
        least = 0 if word in {"health", "rate", "charge"} else 1
        if high < low or high < least or (sign == "<" and high <= least):
            raise ValueError(f'no {word} is "{text}"')
        spans.append((low, high, sign))
    if not spans:
        raise ValueError(f'an empty list is no bound on {word}; write one like ">= 1000"')
    return NumberClause(f"{word} {' or '.join(texts)}", word, tuple(spans))


def text_clause(word: str, written: str | Sequence[str]) -> TextClause:
    """Compile globs (`*`, `?`, `[…]`) over the whole text, and regular expressions between slashes anywhere in it."""
    texts = (written,) if isinstance(written, str) else tuple(written)
    if not texts or not all(text.strip() for text in texts):
        raise ValueError(f'an empty glob matches no {word}; write one like "*instagram.com*"')
    patterns = tuple(_regex(text[1:-1]) if _is_regex(text) else _glob(text) for text in texts)
    return TextClause(f"{word} {' or '.join(texts)}", word, patterns)


def _is_regex(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "/"


def _glob(text: str) -> re.Pattern[str]:
    """It never takes longer for a longer text than in proportion."""
    return re.compile(rf"{_WHOLE}(?:{translate(text)})", re.IGNORECASE)


def _is_glob(pattern: re.Pattern[str]) -> bool:
    return pattern.pattern.startswith(_WHOLE)


def _regex(text: str) -> re.Pattern[str]:
    """One whose repeats stand in each other could take hours over a link that a customer writes."""
    try:
        pattern = re.compile(f"(?:{text})", re.IGNORECASE)
    except re.error as wrong:
        raise ValueError(f"/{text}/ is not a regular expression: {wrong}") from None
    if _takes_forever(text):
        raise ValueError(f"/{text}/ has repeats inside repeats, or more than {_REPEATS}: some links would take forever")
    return pattern


def _takes_forever(expression: str) -> bool:
    repeats, groups, closed = 0, [False], False  # groups: whether a repeat stands in it, the innermost last
    for part in _PARTS.findall(expression):
        if part == "(":
            groups.append(False)
        elif part == ")":
            inner = groups.pop()
            groups[-1] = groups[-1] or inner
            closed = inner
            continue
        elif part[0] in "*+" or (part[0] == "{" and len(part) > 1):
            if closed:
                return True
            repeats += 1
            groups[-1] = True
        closed = False
    return repeats > _REPEATS


def _time(written: str) -> TimeClause:
    span = _TIMES.fullmatch(written.strip())
    if span is None:
        raise ValueError(f'"{written}" is not a time of day like "22:00..06:00"')
    since, until = int(span[1]) * 60 + int(span[2]), int(span[3]) * 60 + int(span[4])
    if since == until:
        raise ValueError(f'"{written}" begins when it ends')
    return TimeClause(f"time {span[1]}:{span[2]}..{span[3]}:{span[4]} UTC", since, until)


def _within(number: Decimal | float, span: tuple[Decimal, Decimal, str]) -> bool:
    low, high, sign = span
    if sign == ">":
        return number > low
    if sign == "<":
        return number < high
    return low <= number <= high


def condition_text(condition: Condition) -> str:
    return ", ".join(clause.text for clause in condition.clauses)


def refuses_link(condition: Condition | None, link: str) -> bool:
    """Whether a clause on links is what stands in the way."""
    written = () if condition is None else condition.clauses
    facts = Facts(link=link)
    return any(isinstance(one, TextClause) and one.of == "link" and not one.holds(facts) for one in written)


def joined(*conditions: Condition | None) -> Condition | None:
    """One condition that holds when all of them do; None when there is none."""
    all_of = tuple(clause for condition in conditions if condition is not None for clause in condition.clauses)
    return Condition(all_of) if all_of else None


def failing(condition: Condition, facts: Facts) -> str | None:
    """The first clause that does not hold, in words ("quantity >= 1000"); None when all hold."""
    for clause in condition.clauses:
        if not clause.holds(facts):
            return clause.text
    return None


def minute_of_week(now_ms: int) -> int:
    """The minute of the week, UTC, of milliseconds since 1970 (a Thursday); Monday 00:00 is 0.

    >>> minute_of_week(0)
    4320
    """
    return (now_ms // 60_000 + 3 * _DAY) % (7 * _DAY)
