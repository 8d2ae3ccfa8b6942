"""panelmux account: who buys from us, and what they have."""

import asyncio
import re
from decimal import Decimal

import click
import msgspec

from gateway.accounts import Accounts, pepper
from gateway.cli import output
from gateway.cli.amount import Amount
from gateway.cli.failure import Failure
from gateway.cli.leaf import Leaf, dry_run_option, json_option, ledger_option
from gateway.cli.opened import ledger_at, settled
from gateway.cli.text import moment
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, NotEnough
from gateway.money import wire
from gateway.rules.report import alike
from gateway.settings import Settings


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An account as --json writes it."""

    id: int
    account: str
    balance: str
    held: str
    unlimited: bool
    created: str


class Created(msgspec.Struct, frozen=True):
    account: str
    key: str


class ToppedUp(msgspec.Struct, frozen=True):
    account: str
    balance: str


@click.group()
def command() -> None:
    """Who buys from us, and what they have."""


def _named(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    if not 0 < len(name) <= 64 or not name.isprintable() or name != name.strip():
        raise click.BadParameter("1 to 64 printable characters")
    return name


@command.command(
    cls=Leaf,
    examples=("panelmux account create shop --balance 100", "panelmux account create house --unlimited --json"),
)
@click.argument("name", callback=_named)
@click.option("--balance", type=Amount(), default=Decimal(0), show_default=True, help="What it may spend.")
@click.option("--unlimited", is_flag=True, help="Its balance may fall below zero.")
@dry_run_option
@ledger_option
@json_option
def create(*, name: str, balance: Decimal, unlimited: bool, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    """Make an account and its first key. The key is shown once and kept nowhere."""
    settings = settled(ledger=ledger)
    if dry_run:
        output.say(f"would make the account {name} with a balance of {wire(balance)}, and a key for it")
        return
    key = asyncio.run(_create(settings, name, balance, unlimited))
    if as_json:
        output.document(Created(name, key))
        return
    output.facts([("account", name), ("balance", wire(balance)), ("key", key)])
    output.say("the key is shown this once; panelmux key create makes another")


async def _create(settings: Settings, name: str, balance: Decimal, unlimited: bool) -> str:
    async with ledger_at(settings.ledger, make=True) as opened:
        accounts = Accounts(opened, pepper(settings))
        key, _ = await accounts.create(name, unlimited=unlimited, balance=balance, note="at creation")
    return key


@command.command("list", cls=Leaf, examples=("panelmux account list", "panelmux account list --json"))
@ledger_option
@json_option
def list_(*, ledger: str | None, as_json: bool) -> None:
    """All accounts: what each may spend, and what is held for orders whose outcome is open."""
    asyncio.run(_list(ledger, as_json))


async def _list(ledger: str | None, as_json: bool) -> None:
    async with ledger_at(settled(ledger=ledger).ledger) as opened:
        accounts = await opened.accounts()
    lines = [
        Line(
            id=account.id,
            account=account.name,
            balance=wire(account.available),
            held=wire(account.held),
            unlimited=account.unlimited,
            created=moment(account.created_ms),
        )
        for account in accounts
    ]
    if as_json:
        output.document(lines)
        return
    output.table(
        output.columns(">id", "account", ">balance", ">held", "limit", "created"),
        [
            (str(line.id), line.account, line.balance, line.held, "none" if line.unlimited else "balance", line.created)
            for line in lines
        ],
        empty="no account yet: panelmux account create NAME --balance 100",
    )


class _Signed(Leaf):
    """Lets an amount below zero stand where an option would be looked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        below = [arg for arg in args if re.fullmatch(r"-[0-9.]+", arg)]
        return super().parse_args(ctx, [*(arg for arg in args if arg not in below), *(["--", *below] if below else [])])


@command.command(
    cls=_Signed,
    examples=('panelmux account topup shop 250 --note "invoice 17"', "panelmux account topup shop -12.50"),
)
@click.argument("name")
@click.argument("amount", type=Amount(signed=True))
@click.option("--note", default="", help="Why; kept with the entry.")
@dry_run_option
@ledger_option
@json_option
def topup(*, name: str, amount: Decimal, note: str, dry_run: bool, ledger: str | None, as_json: bool) -> None:
    """Add to what an account may spend, or take from it."""
    balance = asyncio.run(_topup(settled(ledger=ledger).ledger, name, amount, None if dry_run else note))
    if dry_run:
        output.say(f"would make the balance of {name} {wire(balance)}")
    elif as_json:
        output.document(ToppedUp(name, wire(balance)))
    else:
        output.facts([("account", name), ("balance", wire(balance))])


async def _topup(ledger: str, name: str, amount: Decimal, note: str | None) -> Decimal:
    """The balance after it; without a note, only what it would be."""
    async with ledger_at(ledger) as opened:
        account = await by_name(opened, name)
        try:
            if note is not None:
                return await opened.topup(account.id, amount, note)
            if amount < 0 and account.available + amount < 0 and not account.unlimited:
                raise NotEnough
        except NotEnough:
            raise Failure(
                f"account {name}: {wire(-amount)} cannot be taken: its balance is {wire(account.available)}"
            ) from None
        return account.available + amount


async def by_name(ledger: Ledger, name: str) -> Account:
    """The account, or a failure that names the nearest one."""
    account = await ledger.account(name)
    if account is None:
        meant = alike(name, [one.name for one in await ledger.accounts()])
        hint = f"did you mean {meant}?" if meant else "panelmux account list shows them"
        raise Failure(f"account {name}: no such account; {hint}")
    return account
