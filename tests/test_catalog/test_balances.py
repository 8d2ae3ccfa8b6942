"""What people are told of our money at a panel: each thing once, when it begins."""

from decimal import Decimal

import pytest

from gateway.catalog.balances import Balances
from gateway.circuits import Circuits
from gateway.panels import Panel
from gateway.rules import model
from gateway.shared import InProcess
from providers.base import Balance
from tests.test_catalog.fakes import Clock, FakeProvider, Logs, silence

pytestmark = pytest.mark.anyio


def panel(provider: FakeProvider, low_balance: str | None = None) -> Panel:
    low = None if low_balance is None else Decimal(low_balance)
    said = model.Panel(url="https://alpha.example/api/v2", key="a-secret-key", currency="EUR", low_balance=low)
    return Panel("alpha", said, provider, clock=Clock())


async def told(logs: Logs, *balances: Balance | Exception, low_balance: str | None = None) -> list[list[str]]:
    """The events of each of these looks."""
    provider = FakeProvider()
    balance = Balances(panel(provider, low_balance), every_s=60, probing=Circuits(InProcess()))
    seen = []
    for reply in balances:
        provider.balances = [reply]
        logs.clear()
        await balance.once()
        assert "a-secret-key" not in repr(logs)
        seen.append([line["event"] for line in logs])
    return seen


def euros(amount: str) -> Balance:
    return Balance(Decimal(amount), "EUR")


async def test_a_low_balance_is_told_once_a_crossing(logs: Logs) -> None:
    falls = [euros("30"), euros("24.99"), euros("20"), euros("25"), euros("1")]
    assert await told(logs, *falls, low_balance="25") == [[], ["low_balance"], [], [], ["low_balance"]]


async def test_the_warning_says_what_is_left_and_in_what_currency(logs: Logs) -> None:
    await told(logs, euros("24.999999999"), low_balance="25")
    (line,) = logs
    assert (line["panel"], line["balance"], line["below"], line["currency"]) == ("alpha", "24.999999", "25.00", "EUR")
    assert line["log_level"] == "warning"


async def test_without_a_bound_no_balance_is_low(logs: Logs) -> None:
    assert await told(logs, euros("0")) == [[]]


async def test_a_failure_is_told_once_an_outage(logs: Logs) -> None:
    broken = RuntimeError("a dialect's own mistake")
    looks: list[Balance | Exception] = [silence(), silence(), broken, euros("1"), silence()]
    assert await told(logs, *looks) == [["balance"], [], [], [], ["balance"]]


async def test_the_failure_says_why(logs: Logs) -> None:
    await told(logs, silence())
    assert (logs[0]["outcome"], logs[0]["why"]) == ("failed", "HTTP 502")
    await told(logs, RuntimeError("a dialect's own mistake"))
    assert logs[0]["why"] == "RuntimeError: a dialect's own mistake"


async def test_another_currency_than_the_rules_say_is_told_once(logs: Logs) -> None:
    looks = [Balance(Decimal(1), "USD"), Balance(Decimal(1), "USD"), Balance(Decimal(1)), euros("1")]
    assert await told(logs, *looks) == [["currency"], [], [], []]


async def test_the_currency_warning_names_both(logs: Logs) -> None:
    await told(logs, Balance(Decimal(1), "a very long currency"))
    assert (logs[0]["panel_says"], logs[0]["rules_say"]) == ("a very long ", "EUR")
