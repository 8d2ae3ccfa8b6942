"""panelmux: the command line's first word. Each noun's module is imported when it is used, so that --help is quick."""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from gateway.cli.failure import Exit

SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Run": {
        "demo": "Three sandbox panels, a gateway and an account, to look at and to buy from.",
        "serve": "Run the gateway.",
        "check": "Are the rules valid, do the panels answer, is there money?",
        "sandbox": "One panel that behaves, or misbehaves as told.",
    },
    "Customers": {
        "account": "Who buys from us, and what they have.",
        "key": "The secrets that open accounts.",
    },
    "Buying": {
        "panel": "The sites we buy from.",
        "catalog": "What we sell, and what panels sell us.",
        "route": "Where an order would go, and why.",
        "rules": "The rules file over time: what changed, another one, the way back.",
    },
    "Orders": {
        "order": "What was bought, how it went, and what an unknown outcome really was.",
    },
    "Keeping": {
        "node": "The gateways that sell from one ledger, and the rules they go by.",
        "ledger": "The durable record: is it right, a copy of it, and the way back.",
    },
}
"""Every command with its one line. The lines stand here so that --help imports none of them; a test compares."""


class Panelmux(click.Group):
    """The root. Whatever goes wrong below it ends in one line on stderr and an exit code, never in a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for lines in SECTIONS.values() for name in lines]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = import_module(f"gateway.cli.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in (names := self.list_commands(ctx)):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=names, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, lines in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(lines.items()), col_max=12)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.words) for code in Exit])
        with formatter.section("Environment"):
            formatter.write_dl(_environment())
        with formatter.section("Examples"):
            formatter.write("  panelmux demo\n  panelmux account create shop --balance 100\n")

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002 - it has one name, however it was started
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        given = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(
                given,
                "panelmux",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except SystemExit:
            # Only a closed pipe makes click end the program itself, and as if something had failed.
            code = _closed_pipe()
        except OSError as error:
            code = _closed_pipe() if error.errno == errno.EPIPE else _said(error, given)
        except Exception as error:  # noqa: BLE001 - the one place where what nobody foresaw is told
            code = _said(error, given)
        sys.exit(code or 0)


def _said(error: Exception, given: Sequence[str]) -> int:
    from gateway.cli.told import told  # noqa: PLC0415 - errors are rare, and --help is not to wait for them

    words = told(error)
    if "--debug" in given:
        traceback.print_exception(error)
    with contextlib.suppress(OSError):
        for line in words.lines:
            click.echo(line, err=True)
    return int(words.code)


def _closed_pipe() -> int:
    """Nobody reads our output any more: say nothing, not even at the interpreter's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return int(Exit.PIPE)


def _environment() -> list[tuple[str, str]]:
    from gateway.settings import PREFIX, Settings  # noqa: PLC0415 - only help needs them here

    fields = zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True)
    shown = [(PREFIX + name.upper(), "" if default is None else str(default)) for name, default in fields]
    return [*shown, ("NO_COLOR", "set to anything: no colours")]


@click.group(cls=Panelmux, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="panelmux", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show where in the program a failure arose.")
def panelmux(debug: bool) -> None:
    """One SMM panel API v2 endpoint in front of many panels.

    Data goes to stdout, talk to stderr. Every command takes --json and --help.
    """


def main() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where the terminal's encoding lacks a character, the rest of the line is still worth reading.
            stream.reconfigure(errors="replace")
    panelmux.main()


if __name__ == "__main__":
    main()
