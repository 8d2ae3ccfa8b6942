"""One panel at run time: its money, its health, its list, and how panels are built from the rules."""

import asyncio
import ssl
from collections.abc import Iterator, MutableMapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.panels import Panel, Snapshot, exchange, pack, panels, renewed, unpack
from gateway.panels.charges import REST_S
from gateway.rules import model
from providers.api_v2 import APIv2
from providers.base import Balance, RemoteService, Skipped
from providers.errors import Full, ProviderError, Reason, Refused, Unanswered
from providers.transport import Transport
from tests.test_catalog.fakes import Clock, FakeProvider, numbered, row, rules

pytestmark = pytest.mark.anyio

Logs = list[MutableMapping[str, Any]]

NO_FUNDS = Refused("Not enough funds on balance", Reason.FUNDS, panel="alpha", action="add")
SILENCE = Unanswered("HTTP 502", panel="alpha", action="status")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(numbered(3))


@pytest.fixture
def panel(provider: FakeProvider, clock: Clock) -> Panel:
    """Its money is in euros, at 1.25 of ours."""
    said = model.Panel(url="https://alpha.example/api/v2", key="a-secret-key", currency="EUR", low_balance=Decimal(25))
    return Panel("alpha", said, provider, exchange=Decimal("1.25"), clock=clock, now_ms=clock.ms, draw=lambda: 0.5)


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as captured:
        yield captured


class TestFunds:
    async def test_nothing_is_known_before_the_first_balance(self, panel: Panel) -> None:
        assert (panel.balance, panel.funds, panel.balance_ms, panel.low) == (None, None, None, False)

    async def test_a_balance_is_taken_in_the_panels_currency_and_counted_in_ours(
        self, panel: Panel, provider: FakeProvider, clock: Clock
    ) -> None:
        provider.balances = [Balance(Decimal(80), "EUR")]
        assert await panel.read_balance() == "EUR"
        assert (panel.balance, panel.funds, panel.balance_ms) == (Decimal(80), Decimal(100), clock.ms())

    async def test_an_accepted_order_is_counted_until_the_next_balance(
        self, panel: Panel, provider: FakeProvider
    ) -> None:
        provider.balances = [Balance(Decimal(80)), Balance(Decimal(79))]
        await panel.read_balance()
        panel.spent(Decimal(25))
        assert panel.funds == 75
        await panel.read_balance()
        assert panel.balance == 79

    async def test_what_is_spent_while_the_balance_is_on_its_way_is_taken_off_it(
        self, panel: Panel, provider: FakeProvider
    ) -> None:
        provider.balances = [Balance(Decimal(80))]
        reading = asyncio.create_task(panel.read_balance())
        await asyncio.sleep(0)
        assert provider.asked == ["balance"]
        panel.spent(Decimal(25))
        await reading
        assert panel.balance == 60

    async def test_spending_before_any_balance_leaves_it_unknown(self, panel: Panel) -> None:
        panel.spent(Decimal(25))
        assert panel.funds is None

    async def test_a_refusal_for_lack_of_funds_means_none_until_the_next_balance(self, panel: Panel) -> None:
        await panel.read_balance()
        panel.noted("add", NO_FUNDS, 0.1)
        assert panel.funds == 0
        await panel.read_balance()
        assert panel.balance == 100

    async def test_such_a_refusal_beats_a_balance_that_is_on_its_way(self, panel: Panel) -> None:
        reading = asyncio.create_task(panel.read_balance())
        await asyncio.sleep(0)
        panel.dry()
        await reading
        assert panel.funds == 0

    async def test_a_failed_reading_leaves_the_last_and_counts_against_the_panel(
        self, panel: Panel, provider: FakeProvider
    ) -> None:
        provider.balances = [Balance(Decimal(80)), SILENCE]
        await panel.read_balance()
        assert panel.reads.streak == 1
        with pytest.raises(Unanswered):
            await panel.read_balance()
        assert (panel.balance, panel.reads.streak) == (Decimal(80), -1)

    @pytest.mark.parametrize(("amount", "low"), [("25", False), ("24.99", True), ("-3", True)])
    async def test_it_is_low_below_the_bound(
        self, panel: Panel, provider: FakeProvider, amount: str, low: bool
    ) -> None:
        provider.balances = [Balance(Decimal(amount))]
        await panel.read_balance()
        assert panel.low is low


class TestCircuit:
    def test_failures_open_it_and_a_probe_that_works_closes_it(self, panel: Panel, clock: Clock, logs: Logs) -> None:
        for _ in range(5):
            assert panel.closed(clock())
            panel.noted("add", SILENCE, 0.1)
        assert (panel.closed(clock()), panel.probe_due(clock())) == (False, False)
        clock.now += 5
        assert panel.probe_due(clock())
        panel.noted("add", None, 0.1)
        assert panel.closed(clock())
        assert [(line["event"], line["panel"], line["outcome"]) for line in logs] == [
            ("circuit", "alpha", "open"),
            ("circuit", "alpha", "closed"),
        ]

    async def test_adds_that_fail_close_the_panel_however_well_it_reads(
        self, panel: Panel, provider: FakeProvider, clock: Clock
    ) -> None:
        provider.balances = [Balance(Decimal(80))]
        for _ in range(5):
            assert panel.closed(clock())
            panel.noted("add", SILENCE, 0.1)
            panel.noted("status", None, 0.1)
        assert not panel.closed(clock())
        assert panel.readable(clock())
        clock.now += 5
        panel.noted("status", None, 0.1)
        assert not panel.closed(clock())  # only a balance is its probe
        await panel.read_balance()
        assert panel.closed(clock())

    def test_our_own_limits_say_nothing_for_the_panel_either(self, panel: Panel, clock: Clock) -> None:
        for _ in range(5):
            panel.noted("add", SILENCE, 0.1)
        clock.now += 5
        panel.noted("balance", Full("no turn within 5 s", panel="alpha", action="balance"), 5.0)
        assert not panel.closed(clock())
        assert panel.probe_due(clock())

    def test_our_own_limits_are_not_held_against_the_panel(self, panel: Panel, clock: Clock) -> None:
        for _ in range(20):
            panel.noted("add", Full("16 calls in flight", panel="alpha", action="add"), 5.0)
        assert panel.closed(clock())

    def test_a_failed_probe_tells_nothing_new(self, panel: Panel, clock: Clock, logs: Logs) -> None:
        for _ in range(5):
            panel.noted("add", SILENCE, 0.1)
        clock.now += 5
        panel.noted("add", SILENCE, 0.1)
        assert not panel.closed(clock())
        assert len(logs) == 1

    def test_a_refusal_of_one_order_is_not_held_against_the_panel(self, panel: Panel, clock: Clock) -> None:
        for _ in range(20):
            panel.noted("add", Refused("Incorrect link", Reason.LINK, panel="alpha", action="add"), 0.1)
        assert panel.closed(clock())
        assert panel.score(clock()) > 0.99

    def test_the_score_falls_with_failures(self, panel: Panel, clock: Clock) -> None:
        before = panel.score(clock())
        panel.noted("add", SILENCE, 0.1)
        assert panel.score(clock()) < before


def snapshot(*rows: RemoteService) -> Snapshot:
    return Snapshot(panel="alpha", source="s", fetched_ms=1, rows=rows, skipped=(Skipped("#9", "no rate"),))


class TestSnapshot:
    @pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
    def test_what_is_packed_is_unpacked(self, count: int) -> None:
        whole = snapshot(*numbered(count, rate=Decimal("0.100"), dripfeed=False, name="Followers ⭐").rows)
        again = unpack(pack(whole))
        assert again == whole
        assert [str(one.rate) for one in again.rows[:1]] == ["0.100"] * min(count, 1)

    @given(
        st.text(),
        st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False),
        st.sampled_from([None, True, False]),
    )
    @settings(max_examples=50)
    def test_whatever_a_row_says_survives(self, name: str, rate: Decimal, dripfeed: bool | None) -> None:
        text = name.encode("utf-8", "replace").decode()  # what a parser of JSON can give
        whole = snapshot(row("1", name=text, rate=rate, dripfeed=dripfeed))
        assert unpack(pack(whole)) == whole

    @pytest.mark.parametrize(
        "bad",
        [
            b"",
            b"garbage",
            msgspec.msgpack.encode({"panel": "alpha"}),
            pack(snapshot(row("1"))).replace(b"\x78", b"\x79"),
        ],
        ids=["nothing", "garbage", "another_shape", "damaged"],
    )
    def test_what_is_no_packed_snapshot_is_refused(self, bad: bytes) -> None:
        with pytest.raises(ValueError, match="not a packed snapshot"):
            unpack(bad)


class TestPanels:
    RULES = model.Rules(
        panels={
            "alpha": model.Panel(url="https://alpha.example/api/v2", key="key-of-alpha"),
            "beta": model.Panel(
                url="http://127.0.0.1:1/api/v2", key="key-of-beta", currency="EUR", rate_limit="60/min", private=True
            ),
        },
        exchange={"EUR": Decimal("1.08")},
    )

    async def test_each_panel_of_the_rules_gets_its_provider(self) -> None:
        made = panels(self.RULES)
        assert list(made) == ["alpha", "beta"]
        assert [type(panel.provider) for panel in made.values()] == [APIv2, APIv2]
        assert [panel.exchange for panel in made.values()] == [Decimal(1), Decimal("1.08")]
        assert made["alpha"].source != made["beta"].source
        for panel in made.values():
            assert panel.rules.key not in repr(panel) + repr(panel.__dict__)
            await panel.close()

    async def test_the_transport_is_built_as_the_rules_say_and_closed_with_the_panel(self) -> None:
        built: list[Transport] = []

        def dialect(transport: Transport) -> APIv2:
            built.append(transport)
            return APIv2(transport)

        made = panels(self.RULES, providers={"api_v2": dialect})
        beta = made["beta"]
        with pytest.raises(ProviderError):
            await beta.provider.balance()
        assert [transport.panel for transport in built] == ["alpha", "beta"]
        await beta.close()
        with pytest.raises(ProviderError, match="clos"):
            await beta.provider.balance()
        await made["alpha"].close()

    async def test_one_tls_context_is_made_for_all_panels_and_none_during_calls(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[ssl.SSLContext] = []
        make = ssl.create_default_context

        def kept() -> ssl.SSLContext:
            made.append(make())
            return made[-1]

        monkeypatch.setattr(ssl, "create_default_context", kept)
        sites = {"alpha": "https://127.0.0.1:1", "plain": "http://127.0.0.1:1", "beta": "https://127.0.0.1:1"}
        said = {name: model.Panel(url=url, key="a-key", private=True) for name, url in sites.items()}
        built = panels(model.Rules(panels=said))
        assert [(one.verify_mode, one.check_hostname) for one in made] == [(ssl.CERT_REQUIRED, True)]
        assert made[0].minimum_version >= ssl.TLSVersion.TLSv1_2
        for panel in built.values():
            with pytest.raises(ProviderError):
                await panel.provider.balance()
            await panel.close()
        assert len(made) == 1
        panels(model.Rules(panels={"plain": said["plain"]}))
        assert len(made) == 1

    async def test_a_panel_without_a_transport_has_nothing_to_close(self, panel: Panel) -> None:
        await panel.close()

    async def test_an_unchanged_panel_goes_on_with_all_that_is_known_of_it(self) -> None:
        before = panels(self.RULES)
        before["alpha"].noted("add", SILENCE, 1.0)
        transport = before["beta"].provider
        changed = msgspec.structs.replace(
            self.RULES,
            panels={
                "alpha": model.Panel(url="https://alpha.example/api/v2", key="key-of-alpha"),
                "beta": msgspec.structs.replace(self.RULES.panels["beta"], url="http://127.0.0.1:2/api/v2"),
            },
        )
        source = before["beta"].source
        after = renewed(before, panels(changed))
        assert (after["alpha"], after["beta"]) == (before["alpha"], before["beta"])
        assert after["alpha"].adds.bad == 1
        assert after["beta"].rules == changed.panels["beta"]
        assert after["beta"].source != source
        assert after["beta"].provider is not transport

    async def test_a_new_panel_is_new_and_one_that_is_gone_is_gone(self) -> None:
        before = panels(self.RULES)
        other = msgspec.structs.replace(self.RULES, panels={"gamma": self.RULES.panels["alpha"]})
        assert list(renewed(before, panels(other))) == ["gamma"]

    async def test_one_that_goes_on_is_counted_by_the_new_exchange(self) -> None:
        before = panels(self.RULES)
        dearer = msgspec.structs.replace(self.RULES, exchange={"EUR": Decimal(2)})
        assert renewed(before, panels(dearer))["beta"].exchange == 2


class TestCharges:
    def take(self, panel: Panel, *charges: str, expected: str = "1.00", first: int = 1) -> bool:
        """Orders that took so much, one after the other; whether their service is not bought then."""
        for attempt, charge in enumerate(charges, first):
            panel.charged("1", attempt, Decimal(expected), Decimal(charge))
        return bool(panel.held_for("1"))

    @pytest.mark.parametrize(
        ("expected", "charge", "held"),
        [
            ("1.00", "1.00", False),
            ("1.00", "1.05", False),
            ("1.00", "1.06", True),
            ("0.01", "0.03", False),
            ("0.01", "0.04", True),
        ],
    )
    async def test_a_service_that_takes_more_than_its_list_says_rests(
        self, panel: Panel, expected: str, charge: str, held: bool
    ) -> None:
        panel.took(*listed("1"))
        assert self.take(panel, charge, charge, charge, expected=expected) is held

    async def test_one_order_told_of_again_and_again_proves_nothing(self, panel: Panel) -> None:
        panel.took(*listed("1"))
        for _ in range(10):
            assert not self.take(panel, "2.00", "2.00")

    async def test_one_as_listed_in_between_begins_the_count_anew(self, panel: Panel) -> None:
        panel.took(*listed("1"))
        assert not self.take(panel, "2.00", "2.00", "1.00", "2.00", "2.00")
        assert self.take(panel, "2.00", first=6)

    async def test_it_is_free_again_when_the_list_has_another_rate(self, panel: Panel) -> None:
        panel.took(*listed("1"))
        self.take(panel, "2.00", "2.00", "2.00")
        self.take(panel, "7.00", "7.00", "7.00", first=4)
        assert panel.held_for("1") == "3 orders took more than its list says, the last 2.00 for 1.00"
        panel.took(*listed("1"))
        assert panel.held_for("1")
        panel.took(*listed("2"))
        assert not panel.held_for("1")

    async def test_it_is_tried_again_after_an_hour(self, panel: Panel, clock: Clock) -> None:
        panel.took(*listed("1"))
        assert self.take(panel, "2.00", "2.00", "2.00")
        clock.now += REST_S
        assert not panel.held_for("1")

    async def test_what_nobody_said_or_lists_is_no_charge_too_much(self, panel: Panel) -> None:
        for attempt in range(5):
            panel.charged("1", attempt, Decimal(1), Decimal(9))
        panel.took(*listed("1"))
        for attempt in range(5):
            panel.charged("1", attempt, None, Decimal(9))
            panel.charged("1", attempt, Decimal(1), None)
        assert not panel.held_for("1")


def listed(rate: str) -> tuple[Snapshot, dict[str, RemoteService]]:
    row = RemoteService(remote_service="1", name="n", type="Default", category="c", rate=Decimal(rate), min=1, max=1000)
    return Snapshot(panel="alpha", source="s", fetched_ms=1, rows=(row,)), {"1": row}


def test_our_own_currency_is_worth_one() -> None:
    of = rules("alpha", "beta:EUR", exchange={"EUR": Decimal("1.08"), "USD": Decimal(7)})
    assert [exchange(of, "USD"), exchange(of, "EUR")] == [1, Decimal("1.08")]
