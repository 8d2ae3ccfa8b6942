"""Keys: given once, kept as a hash, revoked within a second, and nothing to be learned from a wrong one."""

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import ledger
from gateway.accounts import Accounts, new_key, pepper
from gateway.errors import Busy, WrongKey
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Account, LedgerBusy, WrongState
from gateway.settings import SettingError, Settings

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = ledger.ledger(f"sqlite:///{tmp_path}/l.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def account(record: Ledger) -> Account:
    return await record.create_account("shop")


async def test_a_key_opens_its_account(record: Ledger, account: Account) -> None:
    accounts = Accounts(record, b"pepper")
    text, key = await accounts.create_key(account.id, get_add=False)
    found, whose = await accounts.by_key(text)
    assert (found.id, found.get_add, whose.name) == (key.id, False, "shop")


async def test_a_pepper_that_the_keys_were_not_made_with_is_refused(record: Ledger, account: Account) -> None:
    await Accounts(record, b"pepper").bind()
    await Accounts(record, b"pepper").bind()
    for refused in (Accounts(record, b"other").bind(), Accounts(record, b"other").create_key(account.id)):
        with pytest.raises(WrongState, match=r"pepper: .*PANELMUX_PEPPER=hex:CONTENT"):
            await refused


@pytest.mark.parametrize("text", ["", "zz", "abcd\n"])
async def test_a_pepper_file_that_holds_something_else_is_named(tmp_path: Path, text: str) -> None:
    where = Settings(ledger=f"sqlite:///{tmp_path}/l.db")
    (tmp_path / "l.db.pepper").write_text(text)
    with pytest.raises(SettingError, match=r"l\.db\.pepper"):
        pepper(where)


async def test_a_key_has_a_prefix_160_random_bits_and_a_checksum() -> None:
    keys = {new_key() for _ in range(1_000)}
    assert len(keys) == 1_000
    assert all(re.fullmatch(r"pm_[0-9a-f]{48}", key) for key in keys)


async def test_the_ledger_holds_no_key(record: Ledger, account: Account, tmp_path: Path) -> None:
    text, key = await Accounts(record, b"pepper").create_key(account.id)
    await record.close()
    kept = _all_bytes(tmp_path)
    assert key.hash in kept
    assert text.encode() not in kept
    assert text[3:-4].encode() not in kept


async def test_a_copy_of_the_ledger_opens_nothing_without_the_pepper(record: Ledger, account: Account) -> None:
    text, _ = await Accounts(record, b"pepper").create_key(account.id)
    with pytest.raises(WrongKey):
        await Accounts(record, b"another pepper").by_key(text)


@pytest.mark.parametrize("text", ["", "pm_", "pm_" + "0" * 48, "pm_é", "x" * 200, "\ud800", "' OR 1=1 --"])
async def test_a_key_that_is_none_is_refused_in_the_same_words(record: Ledger, account: Account, text: str) -> None:
    with pytest.raises(WrongKey) as refused:
        await Accounts(record, b"pepper").by_key(text)
    assert refused.value.words == "Invalid API key"


async def test_a_mistyped_key_never_reaches_the_ledger(
    record: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(record, b"pepper")
    text, _ = await accounts.create_key(account.id)
    asked: list[bytes] = []

    async def find(hash: bytes) -> None:
        asked.append(hash)

    monkeypatch.setattr(record, "find_key", find)
    other = "0" if text[10] != "0" else "1"
    with pytest.raises(WrongKey):
        await accounts.by_key(text[:10] + other + text[11:])
    assert asked == []


async def test_a_ledger_that_cannot_be_read_is_our_fault_and_not_the_keys(
    record: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(hash: bytes) -> None:
        raise LedgerBusy("disk I/O error")

    monkeypatch.setattr(record, "find_key", find)
    with pytest.raises(Busy):
        await Accounts(record, b"pepper").by_key(new_key())


async def test_a_key_is_told_as_it_was_last_known_for_a_while_and_a_revoked_one_is_not(
    record: Ledger, account: Account
) -> None:
    clock = Clock()
    accounts = Accounts(record, b"pepper", clock=clock)
    text, key = await accounts.create_key(account.id)
    assert accounts.last_known(text) is None
    found = await accounts.by_key(text)
    clock.now = 300.0
    assert accounts.last_known(text) == found
    clock.now = 302.0
    assert accounts.last_known(text) is None
    await accounts.by_key(text)
    await record.revoke_key(key.id)
    clock.now = 304.0
    with pytest.raises(WrongKey):
        await accounts.by_key(text)
    assert accounts.last_known(text) is None


async def test_a_ledger_that_does_not_answer_is_not_waited_for_long(
    record: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_: bytes) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.accounts._ASK_S", 0.01)
    monkeypatch.setattr(record, "find_key", silent)
    with pytest.raises(Busy):
        await Accounts(record, b"pepper").by_key(new_key())


async def test_a_key_from_elsewhere_is_known_by_its_hash_alone(record: Ledger, account: Account) -> None:
    accounts = Accounts(record, b"pepper")
    await record.create_key(account.id, hash=accounts.hashed("old (key) @*"), hint="y @*")
    _, whose = await accounts.by_key("old (key) @*")
    assert whose.id == account.id


async def test_a_revoked_key_is_dead_within_a_second(record: Ledger, account: Account) -> None:
    clock = Clock()
    accounts = Accounts(record, b"pepper", clock=clock)
    text, key = await accounts.create_key(account.id)
    await accounts.by_key(text)
    await record.revoke_key(key.id)
    clock.now = 1.0
    with pytest.raises(WrongKey):
        await accounts.by_key(text)


async def test_known_keys_are_not_remembered_without_end(
    record: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.accounts._KNOWN_MAX", 2)
    accounts = Accounts(record, b"pepper")
    for _ in range(5):
        text, _ = await accounts.create_key(account.id)
        await accounts.by_key(text)
    assert len(accounts._known) <= 2


async def test_an_account_is_made_with_a_key_that_opens_it(record: Ledger) -> None:
    accounts = Accounts(record, b"pepper")
    text, made = await accounts.create("other", unlimited=False, balance=Decimal(3), note="at creation")
    key, account = await accounts.by_key(text)
    assert (account, account.available, key.hint) == (made, Decimal(3), text[-4:])


async def test_the_pepper_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    where = Settings(ledger=f"sqlite:///{tmp_path}/sub/l.db")
    first = pepper(where)
    file = tmp_path / "sub" / "l.db.pepper"
    assert len(first) == 32
    assert pepper(where) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["l.db.pepper"]


async def test_a_link_to_a_ledger_leads_to_its_pepper_and_a_like_name_does_not(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "panelmux.prod")
    found = {
        name: pepper(Settings(ledger=f"sqlite:///{tmp_path}/{name}"))
        for name in ("panelmux.prod", "linked", "panelmux.test")
    }
    assert found["linked"] == found["panelmux.prod"] != found["panelmux.test"]


async def test_a_pepper_of_the_settings_leaves_no_file(tmp_path: Path) -> None:
    assert pepper(Settings(ledger=f"sqlite:///{tmp_path}/l.db", pepper="secret")) == b"secret"
    assert _all_bytes(tmp_path) == b""
