"""Every error as people are told it: one line that says who, what, why and the way out, and an exit code."""

import sqlite3

import click
import msgspec

from gateway.cli.failure import Exit, Failure
from gateway.cli.text import clean, printable
from gateway.ledger.lock import LedgerInUse
from gateway.ledger.records import LedgerBusy, LedgerError, LedgerUnusable
from gateway.rules import RulesError
from gateway.settings import SettingError
from providers.errors import ProviderError


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


def _line(error: Exception, text: str) -> Told:
    if isinstance(error, SettingError):
        return Told(Exit.RULES, (text,))
    if isinstance(error, LedgerError | sqlite3.Error):
        is_gone = isinstance(error, LedgerInUse | LedgerBusy | LedgerUnusable | sqlite3.Error)
        code = Exit.UNREACHABLE if is_gone else Exit.FAILED
        return Told(code, (text if text.startswith("ledger:") else f"ledger: {text}",))
    if isinstance(error, ProviderError):
        return Told(Exit.UNREACHABLE, (text,))
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
    """
    line = " ".join(text.split()).removesuffix(".")
    return line[:1].lower() + line[1:]
