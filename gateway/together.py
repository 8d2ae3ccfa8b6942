"""What several processes of one machine count, told as one: each writes files that all read, as prometheus_client does.

A worker's files bear its number and not its pid: who is started anew counts on where the one before it ended, and there
are no more files however often one ends.
"""

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

KINDS: Final = (
    *("counter", "gauge_sum"),
    *("gauge_livesum", "gauge_livemax", "gauge_livemin", "gauge_livemostrecent"),
)
"""What a file's name begins with: what is counted, and for a gauge how those of several processes become one."""

_ROOM: Final = 1024 * 1024  # bytes a file, for some 6000 values: hundreds of panels; one with more grows


def join(folder: str, worker: int) -> None:
    """Whatever is counted from now on in this process is written to the folder, under the worker's number.

    Raises:
        OSError: there is no room; this process counts for itself, as before.
    """
    for kind in KINDS:
        _make_room(Path(folder, f"{kind}_{worker}.db"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


def _make_room(file: Path) -> None:
    """All of it at once: what is written to a mapped page that the disk has no room for kills the process."""
    if file.exists():
        with file.open("rb+") as known:
            os.posix_fallocate(known.fileno(), 0, file.stat().st_size)  # it may have grown
        return
    unfinished = file.with_suffix(".new")  # nobody reads one that is empty yet
    unfinished.write_bytes(bytes(_ROOM))
    unfinished.replace(file)


def told(folder: str) -> CollectorRegistry:
    """What the workers of that folder counted, those that ended among them, and the gauges of those that live."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return registry


def forget(folder: str, worker: int) -> None:
    """It ended: its gauges go, what it counted stays.

    Raises:
        OSError: they could not be removed.
    """
    mark_process_dead(worker, folder)  # type: ignore[no-untyped-call]
