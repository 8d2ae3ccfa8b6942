"""Rules of misbehaviour in one line of text: which action, when, how, and how often.

    action[:when…]:fault[=value][@probability]      rules apart by "," or ";"; the first that comes true is followed

    add:reset_after@0.05, *:delay=0.2@0.1           5 % of adds are done and then reset; a tenth of all calls is late
    add:3:silence_after                             the third add only; "2-4" and "5-" work too
    add:after:http=500                              the same as add:http_after=500
    services:price=x100; connect:reset@0.01         `connect` is every new connection, before it is read
    status:word="On hold, see mail"                 quotes around a value that holds , ; : = or @

The choice for a call depends on the seed, the action and the call's number alone, so a seed repeats a run.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Self

import msgspec

from providers.sandbox.chance import draw
from providers.sandbox.fault_table import ACTIONS, CONNECT, FAULTS, Fault

STORM: Final = (
    "connect:reset@0.01, add:refuse@0.02, add:reset_before@0.03, add:reset_after@0.03, add:fin_after@0.02, "
    "add:silence_after@0.01, add:truncate=11@0.02, add:html_after@0.01, add:http_before=502@0.02, "
    "add:http_after=500@0.02, add:error_before@0.01, add:wrong_id=0@0.01, *:delay=0.2@0.05, "
    "status:omit@0.05, status:http_before=503@0.05, services:html_before@0.05, services:halve@0.05"
)
"""Bad weather of every kind at once."""

_MARKS: Final = re.compile(r'[,;:=@"\n]')
_SPAN: Final = re.compile(r"(\d+)(-(\d*))?")


class FaultsError(ValueError):
    """A rule that cannot be read; says which, why, and the nearest right word."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `first` … `last` are the numbers of calls it holds for, counted from 1; no `last` = for ever."""

    action: str
    fault: Fault
    value: str = ""
    probability: float = 1
    first: int = 1
    last: int | None = None

    def holds(self, action: str, number: int) -> bool:
        if self.action not in {action, "*"} or action not in self.fault.actions:
            return False
        if self.action == "*" and action == CONNECT:
            return False
        return self.first <= number and (self.last is None or number <= self.last)

    def __str__(self) -> str:
        span = "" if (self.first, self.last) == (1, None) else f":{self.first}-{self.last or ''}"
        value = f'="{self.value}"' if _MARKS.search(self.value) else f"={self.value}" if self.value else ""
        often = "" if self.probability == 1 else f"@{self.probability:.12g}"
        return f"{self.action}{span}:{self.fault.name}{value}{often}"


class Faults(msgspec.Struct, frozen=True):
    """Rules in their order."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Self:
        return cls(tuple(rules))

    def choose(self, action: str, number: int, seed: int) -> Rule | None:
        """The rule that the `number`th call of `action` meets, if any."""
        for place, rule in enumerate(self.rules):
            if rule.holds(action, number) and (
                rule.probability >= 1 or draw(seed, "fault", action, number, place) < rule.probability
            ):
                return rule
        return None

    def __str__(self) -> str:
        return ", ".join(map(str, self.rules))


def parse(text: str) -> Faults:
    """Read rules.

    >>> str(parse('add:after:reset@0.05; *:delay=0.2, services:price=x100'))
    'add:reset_after@0.05, *:delay_before=0.2, services:price=100'

    Raises:
        FaultsError: a rule cannot be read.
    """
    return Faults.of(_rule(part) for part in _split(text, ",;\n") if part)


def _split(text: str, marks: str) -> list[str]:
    """Parts of `text` between any of `marks`, those within double quotes apart."""
    parts, part, quoted = [], "", False
    for mark in text:
        quoted ^= mark == '"'
        if mark in marks and not quoted:
            parts.append(part.strip())
            part = ""
        else:
            part += mark
    if quoted:
        raise FaultsError(f'"{text}": a quote is not closed')
    return [*parts, part.strip()]


def _rule(text: str) -> Rule:
    head, *values = _split(text, "=")
    tail, *often = _split(values[-1] if values else head, "@")
    words = [word.strip() for word in (head if values else tail).split(":")]
    if len(values) > 1 or len(often) > 1 or len(words) < 2:
        raise FaultsError(f'"{text}": wanted action[:when]:fault[=value][@probability]')
    action, *whens, name = words
    if action not in {*ACTIONS, CONNECT, "*"}:
        raise _unknown(text, action, "an action", (*ACTIONS, CONNECT))
    moment, first, last = _when(text, whens)
    fault = _fault(text, name, moment)
    if action != "*" and action not in fault.actions:
        fits = ", ".join(word for word in (*ACTIONS, CONNECT) if word in fault.actions)
        raise FaultsError(f'"{text}": "{fault.name}" is not for {action}; it is for {fits}')
    return Rule(
        action=action,
        fault=fault,
        value=_value(text, fault, tail.strip('"') if values else None),
        probability=_probability(text, often[0]) if often else 1,
        first=first,
        last=last,
    )


def _when(text: str, whens: Iterable[str]) -> tuple[str, int, int | None]:
    moment, first, last = "", 1, None
    for word in whens:
        span = _SPAN.fullmatch(word)
        if word in {"before", "after"}:
            moment = f"_{word}"
        elif span is not None:
            first = int(span[1])
            last = (int(span[3]) if span[3] else None) if span[2] else first
            if first == 0 or (last is not None and last < first):
                raise FaultsError(f'"{text}": "{word}" holds for no call; the first call is 1')
        else:
            raise FaultsError(f'"{text}": "{word}" is not a time; wanted before, after, 3, 2-4 or 5-')
    return moment, first, last


def _fault(text: str, name: str, moment: str) -> Fault:
    for known in (name + moment, f"{name}_before") if not moment else (name + moment,):
        if known in FAULTS:
            return FAULTS[known]
    raise _unknown(text, name + moment, "a fault", FAULTS)


def _unknown(text: str, word: str, what: str, known: Iterable[str]) -> FaultsError:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f'did you mean "{near[0]}"?' if near else "known: " + ", ".join(known)
    return FaultsError(f'"{text}": "{word}" is not {what}; {hint}')


def _probability(text: str, often: str) -> float:
    try:
        probability = float(often)
    except ValueError:
        probability = -1
    if not 0 <= probability <= 1:
        raise FaultsError(f'"{text}": "{often}" is not a probability from 0 to 1')
    return probability


def _value(text: str, fault: Fault, given: str | None) -> str:
    if given is None:
        return fault.default
    if fault.value == "nothing":
        raise FaultsError(f'"{text}": "{fault.name}" takes no value')
    if fault.value == "choice":
        if given not in fault.choices:
            raise _unknown(text, given, f'a value of "{fault.name}"', fault.choices)
        return given
    read, wanted = _VALUES[fault.value]
    value = read(given)
    if value is None:
        raise FaultsError(f'"{text}": "{given}" is not {wanted}')
    return value


def _number(given: str, least: str, most: str, *, whole: bool) -> str | None:
    try:
        number = Decimal(given)
    except InvalidOperation:
        return None
    if not number.is_finite() or not Decimal(least) <= number <= Decimal(most):
        return None
    if whole:
        return str(int(number)) if number == int(number) else None
    return f"{number:f}"


_VALUES: Final[Mapping[str, tuple[Callable[[str], str | None], str]]] = {
    "seconds": (lambda given: _number(given, "0", "3600", whole=False), "a number of seconds up to 3600"),
    "count": (lambda given: _number(given, "0", "1000000", whole=True), "a whole number up to 1000000"),
    "code": (lambda given: _number(given, "300", "599", whole=True), "an HTTP status from 300 to 599"),
    "factor": (lambda given: _number(given.lstrip("\u00d7x*"), "0", "1000000", whole=False), "a factor such as x100"),
    "text": (lambda given: given or None, "a text"),
}
