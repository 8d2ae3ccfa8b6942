"""panelmux key: the secrets that open accounts."""

import asyncio
from typing import Any, Final

import click
import msgspec

from gateway.accounts import Accounts, pepper
from gateway.admission import ACTIONS
from gateway.cli import output
from gateway.cli.account import by_name
from gateway.cli.failure import Failure
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import moment
from gateway.ledger.records import Key


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A key as --json writes it; `ends` are its last characters, all that is kept of it."""

    id: int
    ends: str
    get_add: bool
    repeats: str
    actions: tuple[str, ...]
    shows_route: bool
    created: str
    revoked: str | None


class _Repeats(click.ParamType[str]):
    """What an identical order means: a word, or seconds."""

    name = "join|allow|refuse|SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text not in _POLICIES and not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= _DAY_S):
            self.fail(
                f"{text!r} is none of join, allow, refuse, and no number of seconds from 1 to {_DAY_S}", param, ctx
            )
        return text


class Created(msgspec.Struct, frozen=True):
    account: str
    id: int
    key: str


_POLICIES: Final = ("join", "allow", "refuse")
_DAY_S: Final = 86_400


@click.group()
def command() -> None:
    """The secrets that open accounts."""


@command.command(
    cls=Leaf, examples=("panelmux key create shop", "panelmux key create shop --no-get-add --repeats 60 --json")
)
@click.argument("account")
@click.option("--no-get-add", is_flag=True, help="Refuse add by GET, where keys end up in logs; old scripts need it.")
@click.option(
    "--repeats",
    type=_Repeats(),
    default="join",
    show_default=True,
    help="What an identical order means: join it to one whose answer was not heard, allow it, refuse it while that one "
    "has not ended, or take it for the same for so many seconds.",
)
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(ACTIONS),
    help="What it may do, and nothing else; again for each. Left out: everything.",
)
@click.option(
    "--show-route",
    is_flag=True,
    help="Answers to its orders name the panel, in the header X-Panelmux-Route.",
)
@dry_run_option
@ledger_option
@json_option
def create(
    *,
    account: str,
    no_get_add: bool,
    repeats: str,
    actions: tuple[str, ...],
    show_route: bool,
    dry_run: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Make a further key for an account. It is shown once and kept nowhere."""
    may = {"get_add": not no_get_add, "repeats": repeats, "actions": actions, "shows_route": show_route}
    asyncio.run(_create(account, ledger, may, dry_run=dry_run, as_json=as_json))


async def _create(name: str, ledger: str | None, may: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    settings = settled(ledger=ledger)
    async with ledger_at(settings.ledger) as opened:
        account = await by_name(opened, name)
        if dry_run:
            output.say(f"would make a key for {name}")
            return
        accounts = Accounts(opened, pepper(settings))
        text, key = await accounts.create_key(account.id, **may)
    if as_json:
        output.document(Created(name, key.id, text))
        return
    output.facts([("account", name), ("id", str(key.id)), ("key", text)])
    output.say("the key is shown this once")


@command.command("list", cls=Leaf, examples=("panelmux key list shop", "panelmux key list shop --json"))
@click.argument("account")
@ledger_option
@json_option
def list_(*, account: str, ledger: str | None, as_json: bool) -> None:
    """The keys of an account, revoked ones included."""
    asyncio.run(_list(account, ledger, as_json))


async def _list(name: str, ledger: str | None, as_json: bool) -> None:
    async with ledger_at(settled(ledger=ledger).ledger) as opened:
        keys = await opened.keys((await by_name(opened, name)).id)
    lines = [_line(key) for key in keys]
    if as_json:
        output.document(lines)
        return
    output.table(
        output.columns(">id", "ends in", "add by GET", "repeats", "may", "created", "revoked"),
        [
            (
                str(line.id),
                line.ends,
                "yes" if line.get_add else "no",
                line.repeats,
                " ".join(line.actions) or "everything",
                line.created,
                line.revoked or "",
            )
            for line in lines
        ],
        empty=f"no key yet: panelmux key create {name}",
    )


def _line(key: Key) -> Line:
    return Line(
        id=key.id,
        ends=key.hint,
        get_add=key.get_add,
        repeats=key.repeats,
        actions=key.actions,
        shows_route=key.shows_route,
        created=moment(key.created_ms),
        revoked=None if key.revoked_ms is None else moment(key.revoked_ms),
    )


@command.command(cls=Leaf, examples=("panelmux key rotate 3", "panelmux key rotate 3 --overlap 72 --json"))
@click.argument("id", type=click.IntRange(min=1))
@click.option(
    "--overlap",
    type=click.IntRange(0, 24 * 90),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="How long the old key still opens the account.",
)
@dry_run_option
@ledger_option
@json_option
def rotate(*, id: int, overlap: int, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    """Make a key that may do what another may, and let that one open nothing once the overlap is over."""
    asyncio.run(_rotate(id, overlap, ledger, dry_run=dry_run, as_json=as_json))


async def _rotate(id: int, hours: int, ledger: str | None, *, dry_run: bool, as_json: bool) -> None:
    settings = settled(ledger=ledger)
    async with ledger_at(settings.ledger) as opened:
        owned = [(account, key) for account in await opened.accounts() for key in await opened.keys(account.id)]
        found = next(((account, key) for account, key in owned if key.id == id), None)
        if found is None or found[1].revoked_ms is not None:
            why = "no such key" if found is None else "it is revoked"
            raise Failure(f"key {id}: {why}; panelmux key list ACCOUNT shows them")
        account, old = found
        if dry_run:
            output.say(f"would make a key for {account.name}, and revoke key {id} in {hours} hours")
            return
        accounts = Accounts(opened, pepper(settings))
        text, key = await accounts.create_key(
            account.id,
            get_add=old.get_add,
            repeats=old.repeats,
            actions=old.actions,
            shows_route=old.shows_route,
        )
        await opened.revoke_key(id, in_ms=hours * 3_600_000)
    if as_json:
        output.document(Created(account.name, key.id, text))
        return
    output.facts([("account", account.name), ("id", str(key.id)), ("key", text), ("old key", f"{id}: {hours} h more")])
    output.say("the key is shown this once")


@command.command(cls=Leaf, examples=("panelmux key revoke 3", "panelmux key revoke 3 --dry-run"))
@click.argument("id", type=click.IntRange(min=1))
@dry_run_option
@ledger_option
@json_option
def revoke(*, id: int, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    """Let a key open nothing any more, within a second, in a running gateway too."""
    asyncio.run(_revoke(id, dry_run, ledger, as_json))


async def _revoke(id: int, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    async with ledger_at(settled(ledger=ledger).ledger) as opened:
        if dry_run:
            keys = [key for account in await opened.accounts() for key in await opened.keys(account.id)]
            key = next((key for key in keys if key.id == id), None)
        else:
            key = await opened.revoke_key(id)
    if key is None:
        raise Failure(f"key {id}: no such key; panelmux key list ACCOUNT shows them")
    if dry_run:
        output.say(f"would revoke key {id}, which ends in {key.hint}")
    elif as_json:
        output.document(_line(key))
    else:
        output.facts([("revoked", f"{id}, which ends in {key.hint}")])
