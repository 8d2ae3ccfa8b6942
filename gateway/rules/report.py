"""Mistakes and warnings of one rules file, each with its place and its line; keys are cut out of the lines."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from rapidfuzz.distance import DamerauLevenshtein
from rapidfuzz.process import extractOne

Path = tuple[str | int, ...]
"""Where a value stands: keys as text, places in lists as numbers from 0."""

_WIDTH: Final = 100  # characters of a line that are shown
_ALIKE: Final = 0.55  # share of two words that must agree for one to be offered for the other
_FEW: Final = 24  # words that are still listed when none is alike
TELLING: Final = re.compile(r"ke+y|token|secret|pass", re.IGNORECASE)
"""Words that stand before secrets."""


class Place(msgspec.Struct, frozen=True, order=True):
    """Line and column in the file, both from 1."""

    line: int
    column: int


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong and where. `excerpt` is the line with a caret under the place, empty where it cannot be shown."""

    file: str
    line: int  # from 1; 0 = the file as a whole
    column: int
    path: str
    text: str
    excerpt: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        path = f"{self.path}: " if self.path else ""
        return f"{place}: {path}{self.text}"


class RulesError(ValueError):
    """A rules file that cannot be used. The text has every mistake, each with its line; no key is in it."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(f"{m}\n{m.excerpt}" if m.excerpt else str(m) for m in mistakes))
        self.mistakes = mistakes


class _Note(msgspec.Struct, frozen=True, order=True):
    place: Place
    path: str
    text: str


class Report:
    """Collects what is found while a file is read; lines are cut only when all keys in them are known."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._mistakes: list[_Note] = []
        self._warnings: list[_Note] = []
        self._cuts: dict[int, int] = {}  # line: column from which nothing of it is shown
        self._hidden: set[Place] = set()

    def mistake(self, place: Place, path: Path, text: str) -> None:
        self._mistakes.append(_Note(place, path_text(path), text))

    def warning(self, place: Place, path: Path, text: str) -> None:
        self._warnings.append(_Note(place, path_text(path), text))

    def hide(self, start: Place, end: Place) -> None:
        """Show nothing of what stands from `start` to `end`, nor what follows it on its lines."""
        self._hidden.add(start)
        for line in range(start.line, end.line + 1):
            column = start.column if line == start.line else 1
            if line == start.line or end.column > 1 or line < end.line:
                self._cuts[line] = min(column, self._cuts.get(line, column))

    def hide_telling_lines(self) -> None:
        """Show no line that may hold a key, nor the one after it: for a file that could not be read to its end."""
        for number, line in enumerate(self._lines, 1):
            if TELLING.search(line):
                self._cuts[number] = self._cuts[number + 1] = 1

    def line(self, place: Place) -> str:
        return self._lines[place.line - 1] if place.line <= len(self._lines) else ""

    def is_hidden(self, place: Place) -> bool:
        return place in self._hidden

    def error(self) -> RulesError | None:
        """All mistakes as they stand in the file; None when there are none."""
        if not self._mistakes:
            return None
        return RulesError(tuple(self._mistake(note, self._excerpt(note.place)) for note in _once(self._mistakes)))

    def warnings(self) -> tuple[str, ...]:
        return tuple(str(self._mistake(note, "")) for note in _once(self._warnings))

    def _mistake(self, note: _Note, excerpt: str) -> Mistake:
        line, column = note.place.line, note.place.column
        return Mistake(file=self._file, line=line, column=column, path=note.path, text=note.text, excerpt=excerpt)

    def _excerpt(self, place: Place) -> str:
        line, cut = self.line(place).replace("\t", " "), self._cuts.get(place.line)
        if not line:
            return ""
        if cut is not None:
            if place.column > cut or cut == 1:
                return ""
            line = f"{line[: cut - 1]}…"
        first = max(0, place.column - _WIDTH // 2) if len(line) > _WIDTH else 0
        gutter = f"{place.line:5} | "
        return (
            f"{gutter}{line[first : first + _WIDTH].rstrip()}\n{'| ':>{len(gutter)}}{' ' * (place.column - 1 - first)}^"
        )


def path_text(path: Path) -> str:
    """Write a path as people do.

    >>> path_text(("services", "1", "routes", 0, "panel"))
    'services.1.routes[0].panel'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def nearest(word: str, words: Iterable[str], *, plural: str = "") -> str:
    """What to add to "… is not a panel": the word that was probably meant; else, with `plural`, the words there are.

    >>> nearest("smmgenn", ["smmgen", "justpanel"], plural="panels")
    '; did you mean "smmgen"?'
    >>> nearest("x", ["smmgen", "justpanel"], plural="panels")
    '; panels: smmgen, justpanel'
    """
    known = list(words)
    meant = alike(word, known)
    if meant is not None:
        return f'; did you mean "{meant}"?'
    return f"; {plural}: {', '.join(known)}" if plural and 0 < len(known) <= _FEW else ""


def alike(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` was probably meant to be; None where none is like it."""
    scorer = DamerauLevenshtein.normalized_similarity
    found = extractOne(word, list(words), scorer=scorer, processor=str.lower, score_cutoff=_ALIKE)
    return None if found is None else str(found[0])


def shown(value: object) -> str:
    """A value of the file inside a message: text in quotes, short, without what a terminal would act upon."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    plain = "".join(c if c.isprintable() else "?" for c in value[:60])
    return f'"{plain}{"…" if len(value) > 60 else ""}"'


def _once(notes: list[_Note]) -> list[_Note]:
    return sorted(set(notes))
