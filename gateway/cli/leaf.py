"""What all commands share: examples in their help, and the options that mean the same everywhere."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


class Leaf(click.Command):
    """A command whose help ends in examples that can be pasted."""

    def __init__(self, *args: Any, examples: tuple[str, ...], **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Examples"):
            formatter.write("".join(f"  {example}\n" for example in self.examples))


def json_option(f: _F) -> _F:
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(f)


def ledger_option(f: _F) -> _F:
    return click.option(
        "--ledger",
        envvar="PANELMUX_LEDGER",
        show_envvar=True,
        show_default="sqlite:///panelmux.db",
        metavar="URL",
        help="The durable record.",
    )(f)


def rules_option(f: _F) -> _F:
    return click.option(
        "--rules",
        envvar="PANELMUX_RULES",
        show_envvar=True,
        show_default="routing_rules.yaml",
        metavar="FILE",
        help="The rules file.",
    )(f)


def dry_run_option(f: _F) -> _F:
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(f)


def yes_option(f: _F) -> _F:
    return click.option("--yes", is_flag=True, help="Do it without asking.")(f)
