"""The programs that a benchmark runs."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


def started(*command: str) -> tuple[subprocess.Popen[str], list[str]]:
    """A module run as a program, and the words of its first line."""
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()


@contextlib.contextmanager
def stopped() -> Iterator[list[subprocess.Popen[str]]]:
    """What is put into the list has ended afterwards, the last first."""
    processes: list[subprocess.Popen[str]] = []
    try:
        yield processes
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
