"""YAML as values that know their place. What YAML would guess is not guessed, and equal keys are a mistake.

A plain scalar is a whole number, a `Decimal`, `true`, `false`, nothing, or else text: NO is text, and 1.10 keeps its
zero. Built from PyYAML's events, its C parser's where there is one. Anchors and `<<` work; what they add up to is
bounded, and so is the depth.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
import yaml

from gateway.rules.report import Path, Place, Report

PARSER: Final[Any] = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
DEPTH: Final = 16  # blocks inside blocks; the rules need six
VALUES: Final = 300_000  # a file grows to no more values than these through its anchors

_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_BROKEN: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})?\.[0-9]{1,18}")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One value; `text` is as it stands in the file, without quotes."""

    place: Place
    end: Place
    value: str | int | Decimal | bool | None
    text: str
    weight: int = 1


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    place: Place
    items: tuple["Node", ...]
    weight: int


class Entry(msgspec.Struct, frozen=True):
    """A key's place and its value."""

    key: Place
    node: "Node"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, as text, and values. `dropped` are the values of keys that were written before."""

    place: Place
    entries: dict[str, Entry]
    dropped: tuple[tuple[str, "Node"], ...] = ()
    weight: int


Node = Leaf | Listing | Table


def read(text: str, report: Report, parser: Any = PARSER) -> Node | None:
    """Read a document; None when it cannot be read to its end, and then the report says why."""
    if odd := yaml.reader.Reader.NON_PRINTABLE.search(text):
        before = text[: odd.start()]
        place = Place(before.count("\n") + 1, odd.start() - before.rfind("\n"))
        report.mistake(place, (), f"character U+{ord(odd[0]):04X} may not stand in YAML")
        report.hide_telling_lines()
        return None
    try:
        return _Building(yaml.parse(text, Loader=parser), report).document()
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        # Words in quotes come from the file, and may be part of a key.
        problem = re.sub(r" '[^'<]{3,}'", "", wrong.problem or "unreadable")
        text = f"not YAML: {problem}{f' {wrong.context}' if wrong.context else ''}"
        if "flow" in text and "${" in report.line(_place(mark)):
            text += '; inside { } or [ ] a reference stands in quotes: "${NAME}"'
        report.mistake(_place(mark), (), text)
    except _Unbounded as wrong:
        report.mistake(wrong.place, (), wrong.text)
    report.hide_telling_lines()
    return None


def place_of(node: Node, path: Path) -> Place:
    """Where the value at `path` stands, or the last one on the way to it."""
    place = node.place
    for step in path:
        if isinstance(node, Table) and isinstance(step, str) and step in node.entries:
            node = node.entries[step].node
        elif isinstance(node, Listing) and isinstance(step, int):
            node = node.items[step]
        else:
            break
        place = node.place
    return place


class _Unbounded(Exception):
    """The file is larger inside than any rules are."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place
        self.text = text


class _Building:
    """Builds nodes from events; an anchor is known only once what it names is complete, so nothing contains itself."""

    def __init__(self, events: Iterator[Any], report: Report) -> None:
        self._events = events
        self._report = report
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node | None:
        next(self._events)  # the stream starts
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            return Table(place=Place(1, 1), entries={}, weight=1)
        root = self._node(next(self._events), ())
        next(self._events)  # the document ends
        after = next(self._events)
        if isinstance(after, yaml.DocumentStartEvent):
            self._report.mistake(_place(after.start_mark), (), "a second document starts here; rules are one document")
        return root

    def _node(self, event: Any, path: Path, key: Place | None = None) -> Node:
        """The node at `path` that starts with `event`; a block stands where its key does."""
        place = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if event.tag is not None:
            self._report.mistake(place, path, "tags (words that start with !) mean nothing here")
        if isinstance(event, yaml.ScalarEvent):
            end = _place(event.end_mark)
            value = _plain(event.value) if event.implicit[0] else event.value
            node: Node = Leaf(place=place, end=end, value=value, text=event.value)
        elif len(path) >= DEPTH:
            raise _Unbounded(place, f"more than {DEPTH} blocks inside blocks")
        else:
            place = place if event.flow_style or key is None else key
            build = self._table if isinstance(event, yaml.MappingStartEvent) else self._listing
            node = build(place, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, path: Path) -> Node:
        node = self._anchors.get(event.anchor)
        if node is not None:
            return node
        place = _place(event.start_mark)
        self._report.mistake(place, path, "no anchor of this name stands above, complete")
        return Leaf(place=place, end=_place(event.end_mark), value=None, text="")

    def _listing(self, place: Place, path: Path) -> Listing:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return Listing(place=place, items=tuple(items), weight=_weight(place, items))

    def _table(self, place: Place, path: Path) -> Table:
        entries: dict[str, Entry] = {}
        dropped: list[tuple[str, Node]] = []
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, (*path, "?"))
            word = key.text if isinstance(key, Leaf) else "?"
            node = self._node(next(self._events), (*path, word), key.place)
            if not isinstance(key, Leaf):
                self._report.mistake(key.place, path, "a key must be one word")
                dropped.append((word, node))
            elif word == "<<":
                merged.extend(node.items if isinstance(node, Listing) else (node,))
            elif word in entries:
                first = entries[word].key.line
                self._report.mistake(key.place, (*path, word), f"written twice in one block; first in line {first}")
                dropped.append((word, node))
            else:
                entries[word] = Entry(key.place, node)
        weight = _weight(place, [entry.node for entry in entries.values()] + merged)
        return Table(place=place, entries=self._merged(entries, merged, path), dropped=tuple(dropped), weight=weight)

    def _merged(self, entries: dict[str, Entry], tables: list[Node], path: Path) -> dict[str, Entry]:
        """What `<<` adds: the keys that are not written here; the first of several blocks wins."""
        for table in tables:
            if isinstance(table, Table):
                for word, entry in table.entries.items():
                    entries.setdefault(word, entry)
            else:
                self._report.mistake(table.place, (*path, "<<"), "takes the keys of another block, by its anchor")
        return entries


def _weight(place: Place, nodes: list[Node]) -> int:
    weight = 1 + sum(node.weight for node in nodes)
    if weight > VALUES:
        raise _Unbounded(place, f"holds more than {VALUES} values, its anchors written out")
    return weight


def _plain(text: str) -> str | int | Decimal | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return Decimal(text) if _BROKEN.fullmatch(text) else text


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)
