"""Accounts, their keys and what they may spend; the currency of the ledger."""

from decimal import Decimal
from typing import Final

import msgspec

from gateway.ledger.records import Account, AccountExists, Key, LedgerError, WrongState
from gateway.ledger.sql import books
from gateway.ledger.sql.work import Row, Taken, Work
from gateway.money import amount, steps

_ACCOUNT: Final = "SELECT id, name, unlimited, available, held, created_ms FROM account "
_KEY: Final = "SELECT id, account, hash, hint, get_add, created_ms, revoked_ms, repeats, actions, shows_route FROM key "

_CREATE = "INSERT INTO account (name, unlimited, created_ms) VALUES (?, ?, ?) RETURNING id"
_BY_ID = _ACCOUNT + "WHERE id = ?"
_BY_NAME = _ACCOUNT + "WHERE name = ?"
_ALL = _ACCOUNT + "ORDER BY name"

_CREATE_KEY = (
    "INSERT INTO key (account, hash, hint, get_add, created_ms, repeats, actions, shows_route)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
_REVOKE = "UPDATE key SET revoked_ms = ? WHERE id = ? AND (revoked_ms IS NULL OR revoked_ms > ?)"
_KEY_BY_ID = _KEY + "WHERE id = ?"
_KEYS = _KEY + "WHERE account = ? ORDER BY id"
_FIND_KEY = """
    SELECT k.id, k.account, k.hash, k.hint, k.get_add, k.created_ms, k.revoked_ms, k.repeats, k.actions,
           k.shows_route,
           a.id, a.name, a.unlimited, a.available, a.held, a.created_ms
    FROM key AS k JOIN account AS a ON a.id = k.account
    WHERE k.hash = ? AND (k.revoked_ms IS NULL OR k.revoked_ms > ?)"""

_BIND = "INSERT INTO meta (name, value) VALUES ('currency', ?) ON CONFLICT (name) DO NOTHING"
_BIND_PEPPER = "INSERT INTO meta (name, value) VALUES ('pepper', ?) ON CONFLICT (name) DO NOTHING"
_PEPPER = "SELECT value FROM meta WHERE name = 'pepper'"
_CURRENCY = "SELECT value FROM meta WHERE name = 'currency'"


def bind_currency(currency: str) -> Work[None]:
    yield _BIND, (currency,)
    [(bound,)] = yield _CURRENCY, ()
    if bound != currency:
        raise WrongState(f"currency: the amounts of this ledger are {bound}, not {currency}")


def bind_pepper(fingerprint: str) -> Work[None]:
    yield _BIND_PEPPER, (fingerprint,)
    [(bound,)] = yield _PEPPER, ()
    if bound != fingerprint:
        raise WrongState("pepper: it is not the one that this ledger's keys were made with; put that one back")


def currency() -> Work[str | None]:
    rows = yield _CURRENCY, ()
    return rows[0][0] if rows else None


def create(name: str, now_ms: int, *, unlimited: bool) -> Work[Account]:
    try:
        [(id,)] = yield _CREATE, (name, unlimited, now_ms)
    except Taken:
        raise AccountExists(f'account "{name}": there is one by that name') from None
    nothing = amount(0)
    return Account(id=id, name=name, unlimited=unlimited, available=nothing, held=nothing, created_ms=now_ms)


def open_account(
    name: str, given: Decimal, note: str, key: tuple[bytes, str], now_ms: int, *, unlimited: bool
) -> Work[tuple[Account, Key]]:
    account = yield from create(name, now_ms, unlimited=unlimited)
    if given:
        available = yield from topup(account.id, given, note, now_ms)
        account = msgspec.structs.replace(account, available=available)
    hash, hint = key
    return account, (yield from create_key(account.id, hash, hint, now_ms, get_add=True))


def by_name(name: str) -> Work[Account | None]:
    rows = yield _BY_NAME, (name,)
    return _account(rows[0]) if rows else None


def everyone() -> Work[tuple[Account, ...]]:
    rows = yield _ALL, ()
    return tuple(map(_account, rows))


def balance(account: int) -> Work[Decimal]:
    rows = yield _BY_ID, (account,)
    if not rows:
        raise WrongState(f"account {account}: not there")
    return _account(rows[0]).available


def topup(account: int, given: Decimal, note: str, now_ms: int) -> Work[Decimal]:
    paid = steps(given)
    available = yield from books.move(account, paid, source="topups", target="available")
    yield from books.record(account, paid, source="topups", target="available", what="topup", now_ms=now_ms, note=note)
    return amount(available)


def create_key(
    account: int,
    hash: bytes,
    hint: str,
    now_ms: int,
    *,
    get_add: bool,
    repeats: str = "join",
    actions: tuple[str, ...] = (),
    shows_route: bool = False,
) -> Work[Key]:
    if not (yield _BY_ID, (account,)):
        raise WrongState(f"account {account}: not there")
    try:
        [(id,)] = yield _CREATE_KEY, (account, hash, hint, get_add, now_ms, repeats, ",".join(actions), shows_route)
    except Taken:
        raise LedgerError("key: it is in use") from None
    return Key(
        id=id,
        account=account,
        hash=hash,
        hint=hint,
        get_add=get_add,
        repeats=repeats,
        actions=actions,
        shows_route=shows_route,
        created_ms=now_ms,
    )


def revoke_key(key: int, from_ms: int) -> Work[Key | None]:
    """Let a key open nothing from then on; a moment that lies before the one that was said is never put off."""
    yield _REVOKE, (from_ms, key, from_ms)
    rows = yield _KEY_BY_ID, (key,)
    return _key(rows[0]) if rows else None


def keys(account: int) -> Work[tuple[Key, ...]]:
    rows = yield _KEYS, (account,)
    return tuple(map(_key, rows))


def find_key(hash: bytes, now_ms: int) -> Work[tuple[Key, Account] | None]:
    rows = yield _FIND_KEY, (hash, now_ms)
    return (_key(rows[0][:10]), _account(rows[0][10:])) if rows else None


def _account(row: Row) -> Account:
    id, name, unlimited, available, held, created_ms = row
    return Account(
        id=id,
        name=name,
        unlimited=bool(unlimited),
        available=amount(available),
        held=amount(held),
        created_ms=created_ms,
    )


def _key(row: Row) -> Key:
    id, account, hash, hint, get_add, created_ms, revoked_ms, repeats, actions, shows_route = row
    return Key(
        id=id,
        account=account,
        hash=hash,
        hint=hint,
        get_add=bool(get_add),
        repeats=repeats,
        actions=tuple(actions.split(",")) if actions else (),
        shows_route=bool(shows_route),
        created_ms=created_ms,
        revoked_ms=revoked_ms,
    )
