"""How a command ends: its exit codes, and the failure that carries one."""

import sys
from enum import IntEnum
from typing import Self

import click


class Exit(IntEnum):
    """What a caller learns without reading a word."""

    words: str

    GOOD = 0, "done"
    FAILED = 1, "it failed"
    MISUSE = 2, "the command line says what cannot be"
    RULES = 3, "the rules or the settings are invalid"
    UNREACHABLE = 4, "something needed cannot be reached: ledger, panel, address"
    FINDINGS = 5, "it was done, and something wants your attention"
    INTERRUPTED = 130, "interrupted"
    PIPE = 141, "the reader of the output went away"

    def __new__(cls, value: int, words: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.words = words
        return member


class Failure(click.ClickException):
    """A command that could not do its work. Each line of the message says who, what, why and the way out."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def confirmed(command: str, *, yes: bool) -> None:
    """Ask the person whether to do what was just told; a failure where they say no, or nobody is there to ask."""
    if yes:
        return
    if not _is_terminal():
        look = ", or --dry-run to look only" if _can_look_only() else ""
        raise Failure(f"{command}: nobody to ask; say --yes{look}", Exit.MISUSE)
    if not click.confirm("Do it?", err=True):
        raise Failure(f"{command}: nothing was done")


def _can_look_only() -> bool:
    """Whether the command that runs has --dry-run."""
    running = click.get_current_context(silent=True)
    return running is not None and any(option.name == "dry_run" for option in running.command.params)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def cannot_listen(host: str, port: int, error: OSError) -> Failure:
    """The address cannot be had: which one, why, and what to do."""
    why = (error.strerror or str(error)).partition(" (while ")[0]  # the rest of asyncio's words repeats the address
    return Failure(f"{host}:{port}: {why.lower()}; --host and --port choose another", Exit.UNREACHABLE)
