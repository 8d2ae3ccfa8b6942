"""Tables and progress bars as a terminal shows them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway.cli.output import Column


def drawing(heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """A table of cells that are text and never markup: a service named "[red]" stays one."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        drawn.add_column(head.title, justify="right" if head.right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def table(heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    Console().print(drawing(heads, rows))


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, gone when the work is done; gives what to call after each step."""
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
