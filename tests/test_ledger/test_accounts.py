"""Accounts, keys and what may be spent."""

import asyncio
from decimal import Decimal

import pytest

import gateway.ledger
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import AccountExists, LedgerBusy, LedgerError, NotEnough, WrongState
from tests.running import until
from tests.test_ledger.samples import ZERO, Clock, bought, funded, placement

pytestmark = pytest.mark.anyio


async def test_a_new_account_has_nothing(ledger: Ledger, clock: Clock) -> None:
    made = await ledger.create_account("shop")
    assert (made.name, made.unlimited, made.available, made.held) == ("shop", False, ZERO, ZERO)
    assert made.created_ms == clock.ms
    assert await ledger.account("shop") == made
    assert await ledger.balance(made.id) == 0


async def test_a_name_is_given_to_one_account(ledger: Ledger) -> None:
    first = await ledger.create_account("shop")
    with pytest.raises(AccountExists, match="shop"):
        await ledger.create_account("shop", unlimited=True)
    assert await ledger.accounts() == (first,)


async def test_accounts_come_by_name_and_a_missing_one_is_none(ledger: Ledger) -> None:
    for name in ("b", "a", "c"):
        await ledger.create_account(name)
    assert [account.name for account in await ledger.accounts()] == ["a", "b", "c"]
    assert await ledger.account("d") is None


async def test_a_topup_adds_and_a_negative_one_takes(ledger: Ledger) -> None:
    account = await ledger.create_account("shop")
    assert await ledger.topup(account.id, Decimal("10.000001"), "invoice 1") == Decimal("10.000001")
    assert await ledger.topup(account.id, Decimal(-4), "payout") == Decimal("6.000001")
    assert await ledger.topup(account.id, Decimal(0), "nothing") == Decimal("6.000001")
    totals = await ledger.totals()
    assert totals.books == {
        f"available:{account.id}": Decimal("6.000001"),
        "topups": Decimal("-6.000001"),
        "sales": ZERO,
    }
    assert totals.entries == 4


async def test_no_more_is_taken_than_there_is_unless_the_account_has_no_limit(ledger: Ledger) -> None:
    account = await funded(ledger, "1")
    with pytest.raises(NotEnough):
        await ledger.topup(account.id, Decimal("-1.000001"), "payout")
    assert await ledger.balance(account.id) == 1
    free = await ledger.create_account("house", unlimited=True)
    assert await ledger.topup(free.id, Decimal(-5), "correction") == -5


async def test_an_amount_between_two_steps_is_refused(ledger: Ledger) -> None:
    account = await ledger.create_account("shop")
    with pytest.raises(ValueError, match="whole number of steps"):
        await ledger.topup(account.id, Decimal("0.0000001"), "dust")
    assert await ledger.balance(account.id) == 0


async def test_an_account_that_is_not_there_is_named(ledger: Ledger) -> None:
    account = await funded(ledger)
    for call in (
        ledger.balance(account.id + 1),
        ledger.topup(account.id + 1, Decimal(1), ""),
        ledger.create_key(account.id + 1, hash=b"k", hint="k"),
    ):
        with pytest.raises(WrongState, match=f"account {account.id + 1}: not there"):
            await call


async def test_a_key_is_found_by_its_hash_until_it_is_revoked(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    key = await ledger.create_key(account.id, hash=b"one", hint="cafe", get_add=False)
    other = await ledger.create_key(account.id, hash=b"two", hint="beef")
    assert await ledger.find_key(b"one") == (key, account)
    assert (key.get_add, other.get_add) == (False, True)
    clock.ms += 1000
    revoked = await ledger.revoke_key(key.id)
    assert revoked is not None
    assert revoked.revoked_ms == clock.ms
    assert await ledger.find_key(b"one") is None
    assert await ledger.find_key(b"two") == (other, account)
    assert await ledger.keys(account.id) == (revoked, other)


async def test_a_second_revocation_keeps_the_time_of_the_first(ledger: Ledger, clock: Clock) -> None:
    account = await funded(ledger)
    key = await ledger.create_key(account.id, hash=b"one", hint="cafe")
    first = await ledger.revoke_key(key.id)
    clock.ms += 1000
    assert await ledger.revoke_key(key.id) == first
    assert await ledger.revoke_key(key.id + 1) is None


async def test_a_key_may_open_for_a_while_longer_and_never_for_longer_than_was_said(
    ledger: Ledger, clock: Clock
) -> None:
    account = await funded(ledger)
    key = await ledger.create_key(account.id, hash=b"one", hint="cafe", actions=("status", "balance"))
    assert key.actions == ("status", "balance")
    await ledger.revoke_key(key.id, in_ms=1000)
    found = await ledger.find_key(b"one")
    assert found is not None
    assert found[0].actions == ("status", "balance")
    await ledger.revoke_key(key.id, in_ms=5000)
    clock.ms += 1000
    assert await ledger.find_key(b"one") is None
    sooner = await ledger.create_key(account.id, hash=b"two", hint="cafe")
    await ledger.revoke_key(sooner.id, in_ms=10_000)
    await ledger.revoke_key(sooner.id)
    assert await ledger.find_key(b"two") is None


async def test_two_keys_never_share_a_hash(ledger: Ledger) -> None:
    account = await funded(ledger)
    await ledger.create_key(account.id, hash=b"one", hint="cafe")
    with pytest.raises(LedgerError, match="in use"):
        await ledger.create_key(account.id, hash=b"one", hint="cafe")
    assert len(await ledger.keys(account.id)) == 1


async def test_an_account_is_opened_with_its_money_and_its_key(ledger: Ledger, clock: Clock) -> None:
    account, key = await ledger.open_account(
        "shop", unlimited=True, balance=Decimal("2.5"), note="at creation", hash=b"one", hint="cafe"
    )
    assert (account.name, account.unlimited, account.available, account.held) == ("shop", True, Decimal("2.5"), ZERO)
    assert (key.account, key.hint, key.get_add, key.created_ms) == (account.id, "cafe", True, clock.ms)
    assert await ledger.find_key(b"one") == (key, account)
    assert (await ledger.totals()).books["topups"] == Decimal("-2.5")
    poor, _ = await ledger.open_account("poor", unlimited=False, balance=ZERO, note="", hash=b"two", hint="beef")
    assert poor.available == 0
    assert (await ledger.totals()).entries == 2


@pytest.mark.parametrize(
    ("hash", "balance", "wrong"),
    [(b"one", "1", LedgerError), (b"two", "-1", NotEnough), (b"two", "0.0000001", ValueError)],
    ids=["key in use", "nothing to take from", "between two steps"],
)
async def test_an_account_that_cannot_be_opened_whole_is_not_there(
    ledger: Ledger, hash: bytes, balance: str, wrong: type[Exception]
) -> None:
    first = await funded(ledger)
    await ledger.create_key(first.id, hash=b"one", hint="cafe")
    before = await ledger.totals()
    with pytest.raises(wrong):
        await ledger.open_account("second", unlimited=False, balance=Decimal(balance), note="", hash=hash, hint="beef")
    assert await ledger.account("second") is None
    assert await ledger.find_key(b"two") is None
    assert await ledger.totals() == before
    with pytest.raises(AccountExists, match=first.name):
        await ledger.open_account(first.name, unlimited=False, balance=ZERO, note="", hash=b"two", hint="beef")
    assert await ledger.find_key(b"two") is None


async def test_the_currency_is_fixed_at_first_use(ledger: Ledger) -> None:
    assert await ledger.currency() is None
    await ledger.bind_currency("USD")
    await ledger.bind_currency("USD")
    assert await ledger.currency() == "USD"
    with pytest.raises(WrongState, match="USD, not EUR"):
        await ledger.bind_currency("EUR")


async def test_the_key_s_account_shows_the_balance_of_the_moment(ledger: Ledger) -> None:
    account = await funded(ledger, "2")
    await ledger.create_key(account.id, hash=b"one", hint="cafe")
    await bought(ledger, account)
    await ledger.place(placement(account))
    found = await ledger.find_key(b"one")
    assert found is not None
    assert (found[1].available, found[1].held) == (Decimal("1.0"), Decimal("0.5"))


async def test_a_caller_that_gives_up_leaves_the_transaction_whole(ledger: Ledger) -> None:
    account = await funded(ledger)
    calls = [asyncio.create_task(ledger.place(placement(account))) for _ in range(20)]
    await asyncio.sleep(0)  # each has handed its work over
    for call in calls[::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 10

    async def all_done() -> bool:
        return (await ledger.totals()).orders == 20

    await until(all_done)


async def test_what_was_begun_is_finished_before_a_close_and_nothing_begins_after(url: str, clock: Clock) -> None:
    opened = gateway.ledger.ledger(url, now_ms=clock)
    with pytest.raises(LedgerBusy, match="not open"):
        await opened.account("shop")
    await opened.close()  # one that never opened closes quietly
    await opened.open()
    account = await funded(opened)
    calls = [asyncio.create_task(opened.place(placement(account))) for _ in range(50)]
    await asyncio.sleep(0)
    await opened.close()
    orders = {placed.order for placed in await asyncio.gather(*calls)}
    with pytest.raises(LedgerBusy, match="closed"):
        await opened.place(placement(account))
    await opened.close()
    again = gateway.ledger.ledger(url, now_ms=clock)
    await again.open()
    assert {order.id for order in await again.list_orders(limit=100)} == orders
    await again.close()


@pytest.mark.parametrize("wrong", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://ledger.example/x", "l.db"])
def test_a_url_of_no_ledger_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not sqlite:///PATH"):
        gateway.ledger.ledger(wrong)
