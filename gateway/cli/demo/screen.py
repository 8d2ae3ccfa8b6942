"""How the demo shows orders as they move: a live table on a terminal, lines elsewhere, JSON for programs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gateway.cli import output
from gateway.cli.demo.watching import Row
from gateway.cli.drawn import drawing
from gateway.cli.text import clean

_TOLD: Final = 6  # lines: what is said about the last two orders
Show = Callable[[Sequence[Row], Sequence[Row], Sequence[str]], None]
"""Takes the newest orders, those of them that changed, and what is to be said about them."""


@contextlib.contextmanager
def screen(*, as_json: bool) -> Iterator[Show]:
    console = Console()
    if as_json:
        yield _as_json
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield _table(live)
    else:
        yield _lines()


def _as_json(_rows: Sequence[Row], changed: Sequence[Row], said: Sequence[str]) -> None:
    for row in changed:
        output.line(row)
    for text in said:
        output.say(text)


def _lines() -> Show:
    told: dict[int, str] = {}

    def show(_rows: Sequence[Row], changed: Sequence[Row], said: Sequence[str]) -> None:
        for row in changed:
            line = f"order {row.order}: service {clean(row.service)}: {row.quantity} from {row.route}: {_status(row)}"
            if told.get(row.order) != line:
                told[row.order] = line
                output.write(line)
        for text in said:
            output.write(text)

    return show


def _table(live: Live) -> Show:
    told: list[str] = []
    heads = output.columns(">order", "service", ">quantity", "bought at", "status", ">remains", ">charge", ">refunded")

    def show(rows: Sequence[Row], changed: Sequence[Row], said: Sequence[str]) -> None:
        told.extend(said)
        if not changed and not said:
            return
        cells = [
            [
                str(row.order),
                clean(row.service)[:34],
                str(row.quantity),
                row.route,
                _status(row),
                str(row.remains),
                row.charge,
                row.refunded if row.refunded != "0.00" else "",
            ]
            for row in rows
        ]
        live.update(Group(drawing(heads, cells), *(Text(text) for text in told[-_TOLD:])), refresh=True)

    return show


def _status(row: Row) -> str:
    return f"{row.status}, outcome unknown" if row.unknown else row.status
