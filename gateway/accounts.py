"""Who is calling, and what they have.

A key is `pm_`, 160 random bits and a checksum; the ledger keeps its HMAC alone, so a copy of the ledger opens no door
without the pepper. Keys brought from elsewhere have any form and are hashed the same way.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
import time
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

from gateway.errors import Busy, WrongKey
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, Key, LedgerBusy, WrongState
from gateway.settings import SettingError, Settings, beside_ledger

PREFIX: Final = "pm_"
_KNOWN_S: Final = 1.0  # how long a key is believed without asking the ledger: a revoked one dies within this
_BELIEVED_S: Final = 300.0  # and how long it is by those who are told only what was, while the ledger cannot be read
_ASK_S: Final = 2.0  # how long the ledger is waited for
_KNOWN_MAX: Final = 10_000


class Accounts:
    """Keys in, accounts out."""

    def __init__(self, ledger: Ledger, pepper: bytes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._pepper = pepper
        self._clock = clock
        self._known: dict[bytes, tuple[float, Key, Account]] = {}

    async def by_key(self, key: str) -> tuple[Key, Account]:
        """The key's record and its account, the balance in it up to a second old.

        Raises:
            WrongKey: missing, mistyped, unknown or revoked; the same words for all.
            Busy: the ledger cannot be read now.
        """
        if not key or (key.startswith(PREFIX) and not _well_formed(key)):
            raise WrongKey
        digest = self.hashed(key)
        known = self._known.get(digest)
        if known is not None and known[0] > self._clock():
            return known[1], known[2]
        try:
            async with asyncio.timeout(_ASK_S):
                found = await self._ledger.find_key(digest)
        except (LedgerBusy, TimeoutError) as busy:
            raise Busy from busy
        if found is None or not hmac.compare_digest(found[0].hash, digest):
            self._known.pop(digest, None)
            raise WrongKey
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[digest] = (self._clock() + _KNOWN_S, *found)
        return found

    def last_known(self, key: str) -> tuple[Key, Account] | None:
        """Whose key it was when the ledger last said so, up to five minutes ago; for when it cannot."""
        known = self._known.get(self.hashed(key))
        if known is None or self._clock() - known[0] > _BELIEVED_S:
            return None
        return known[1], known[2]

    async def bind(self) -> None:
        """Make sure that the ledger's keys were made with this pepper; WrongState where they were not."""
        try:
            await self._ledger.bind_pepper(hmac.digest(self._pepper, b"panelmux", hashlib.sha256).hex())
        except WrongState as wrong:
            hint = "the one of a file beside a SQLite ledger is given as PANELMUX_PEPPER=hex:CONTENT"
            raise WrongState(f"{wrong}; {hint}") from wrong

    async def create(self, name: str, *, unlimited: bool, balance: Decimal, note: str) -> tuple[str, Account]:
        """Make an account and its first key, both or neither; the key's text is given here, once, and kept nowhere."""
        await self.bind()
        text = new_key()
        account, _ = await self._ledger.open_account(
            name, unlimited=unlimited, balance=balance, note=note, hash=self.hashed(text), hint=text[-4:]
        )
        return text, account

    async def create_key(
        self,
        account: int,
        *,
        get_add: bool = True,
        repeats: str = "join",
        actions: tuple[str, ...] = (),
        shows_route: bool = False,
    ) -> tuple[str, Key]:
        """Make a key; its text is given here, once, and kept nowhere."""
        await self.bind()
        text = new_key()
        key = await self._ledger.create_key(
            account,
            hash=self.hashed(text),
            hint=text[-4:],
            get_add=get_add,
            repeats=repeats,
            actions=actions,
            shows_route=shows_route,
        )
        return text, key

    def hashed(self, key: str) -> bytes:
        """What the ledger keeps of a key."""
        return hmac.digest(self._pepper, key.encode("utf-8", "surrogatepass"), hashlib.sha256)


def new_key() -> str:
    """A fresh key, such as pm_ and 48 hexadecimal digits, the last 8 of them a checksum."""
    body = PREFIX + secrets.token_hex(20)
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def _well_formed(key: str) -> bool:
    """Whether the checksum holds: a mistyped key never reaches the ledger."""
    return len(key) == len(PREFIX) + 48 and key.isascii() and _checksum(key[:-8]) == key[-8:]


def pepper(settings: Settings) -> bytes:
    """The secret that keys are hashed with: PANELMUX_PEPPER, or a file beside the ledger that is made at first use.

    Raises:
        SettingError: the file holds something else.
    """
    if settings.pepper is not None:
        return _given(settings.pepper)
    path = beside_ledger(settings.ledger, ".pepper")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_once(path, secrets.token_hex(32))
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except ValueError:
        secret = b""
    if len(secret) < 32:
        raise SettingError(f"{path}: it is not the pepper that panelmux made; put that one back from a backup")
    return secret


def _given(text: str) -> bytes:
    """The pepper as it stands in the environment; hex:… = as it stands in the file that is made beside a ledger."""
    if not text.startswith("hex:"):
        return text.encode()
    try:
        return bytes.fromhex(text.removeprefix("hex:"))
    except ValueError:
        raise SettingError("PANELMUX_PEPPER: after hex: come hexadecimal digits") from None


def _make_once(path: Path, text: str) -> None:
    """Write a file whole or not at all; where two processes race, the first one's stays."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()
