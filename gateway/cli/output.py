"""Where a command's words go: data to stdout, as tables for people or JSON for programs; talk to stderr.

What only a terminal sees stands in `drawn`, imported when there is one: rich takes longer to import than most commands
to run.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Final

import msgspec

from gateway.cli.text import clean, escaped

_GAP: Final = "  "


class Column(msgspec.Struct, frozen=True):
    """A column of a table; `right` for what is compared by its length: amounts, counts."""

    title: str
    right: bool = False


def columns(*titles: str) -> tuple[Column, ...]:
    """Columns from their titles; one that begins with ">" is set to the right.

    >>> columns("panel", ">balance")
    (Column(title='panel', right=False), Column(title='balance', right=True))
    """
    return tuple(Column(title.removeprefix(">"), right=title.startswith(">")) for title in titles)


def document(value: object) -> None:
    """One JSON document on stdout."""
    print(_json(msgspec.json.format(msgspec.json.encode(value), indent=2)))


def line(value: object) -> None:
    """One JSON value as one line on stdout, at once: for what goes on while it is told."""
    print(_json(msgspec.json.encode(value)) + "\n", end="", flush=True)  # in one piece: workers share the stream


def _json(text: bytes) -> str:
    return escaped(text.decode(), ascii=(sys.stdout.encoding or "").lower() not in {"utf-8", "utf8"})


def say(text: str) -> None:
    """A line of talk on stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def write(text: str = "") -> None:
    """A line of data on stdout, as far in as it begins."""
    print(" " * (len(text) - len(text.lstrip(" "))) + clean(text), flush=True)


def table(heads: Sequence[Column], rows: Sequence[Sequence[str]], *, empty: str = "nothing") -> None:
    """Rows on stdout: drawn on a terminal, aligned with spaces elsewhere. `empty` is said where there are none."""
    if not rows:
        say(empty)
        return
    safe = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        import_module("gateway.cli.drawn").table(heads, safe)
    else:
        _aligned(heads, safe)


def _aligned(heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(head.title), *(len(row[at]) for row in rows)) for at, head in enumerate(heads)]
    for row in ([head.title for head in heads], *rows):
        cells = [
            cell.rjust(width) if head.right else cell.ljust(width)
            for head, width, cell in zip(heads, widths, row, strict=True)
        ]
        print(_GAP.join(cells).rstrip())


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values on stdout, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print(f"{name.ljust(width)}  {clean(value)}".rstrip())


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where that is a terminal, gone when the work is done; gives what to call after each step."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with import_module("gateway.cli.drawn").progress(what, total) as step:
        yield step
