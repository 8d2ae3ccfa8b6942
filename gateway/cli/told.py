"""Every error as people are told it: one line that says who, what, why and the way out, and an exit code."""

import errno
import os
import re
import sqlite3
from typing import Final

import click
import msgspec

from gateway.cli.failure import Exit, Failure
from gateway.cli.text import clean, printable, short
from gateway.ledger.lock import LedgerInUse
from gateway.ledger.records import LedgerBusy, LedgerError, LedgerUnusable
from gateway.rules import RulesError
from gateway.settings import SettingError
from providers.errors import ProviderError

_NO_NUMBER: Final = re.compile(r"is not a valid (?:integer|float)(?: range)?$")


class Told(msgspec.Struct, frozen=True):
    """What to print, and the exit code."""

    code: Exit
    lines: tuple[str, ...]


def told(error: Exception) -> Told:
    if isinstance(error, click.Abort):
        return Told(Exit.INTERRUPTED, ("panelmux: interrupted",))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Told(Exit.MISUSE, tuple(error.message.splitlines()))
    if isinstance(error, click.UsageError):
        return Told(Exit.MISUSE, (_usage(error),))
    if isinstance(error, click.ClickException):
        code = error.code if isinstance(error, Failure) else Exit.FAILED
        return Told(code, tuple(map(clean, error.format_message().splitlines())))
    if isinstance(error, RulesError):
        # With the lines of the file below the mistakes, where every space counts.
        return Told(Exit.RULES, tuple(map(printable, str(error).splitlines())))
    return _line(error, clean(str(error)) or type(error).__name__)


def cause(error: ProviderError) -> str:
    """Why a panel could not be asked, in a few words."""
    below = error.__context__
    if isinstance(below, OSError) and below.errno and below.errno > 0:
        return "connection refused" if below.errno == errno.ECONNREFUSED else os.strerror(below.errno).lower()
    return short(error.what)


def _line(error: Exception, text: str) -> Told:
    if isinstance(error, SettingError):
        return Told(Exit.RULES, (text,))
    if isinstance(error, LedgerError | sqlite3.Error):
        is_gone = isinstance(error, LedgerInUse | LedgerBusy | LedgerUnusable | sqlite3.Error)
        code = Exit.UNREACHABLE if is_gone else Exit.FAILED
        return Told(code, (text if text.startswith("ledger:") else f"ledger: {text}",))
    if isinstance(error, ProviderError):
        return Told(Exit.UNREACHABLE, (clean(f"{error.panel}: {error.action}: {cause(error)}"),))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Told(Exit.UNREACHABLE, (clean(f"panelmux: {where}{error.strerror or text}"),))
    kind = type(error).__name__
    return Told(Exit.FAILED, (f"panelmux: {kind}: {text}; a fault of the program: --debug shows where",))


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "panelmux"
    # `message` is what was wrong; `format_message` would put click's own form of the hint below behind it.
    message = error.format_message() if isinstance(error, click.BadParameter) else error.message
    nearest = getattr(error, "possibilities", None)
    hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
    return clean(f"{path}: {_plain(message)}{hint} (see {path} --help)")


def _plain(text: str) -> str:
    """Click's sentence in our manner: one line, lower case, no full stop.

    >>> _plain("No such option '--jsn'.")
    "no such option '--jsn'"
    >>> _plain("'abc' is not a valid integer range.")
    "'abc' is not a number"
    """
    line = _NO_NUMBER.sub("is not a number", " ".join(text.split()).removesuffix("."))
    return line[:1].lower() + line[1:]
