"""A running gateway under attack, over real sockets: a good shop sells meanwhile, and what is refused is counted.

Strangers call from other addresses of loopback than the shop, which no proxy of ours has.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.api_v2 import actions
from gateway.door import SHEDS, SPARES
from gateway.ledger.records import Account, Key, LedgerBusy
from gateway.rules.model import Publish, Rules
from providers.sandbox import Sandbox
from tests import wares
from tests.running import Selling, panel, selling, until

pytestmark = pytest.mark.anyio

STRANGER: Final = "127.0.0.9"
LATER: Final = {"error": "Service is under maintenance, please try again later"}
FOREVER_S: Final = 3600.0


@contextlib.asynccontextmanager
async def open_shop(folder: Path, *, faults: str = "", in_flight: int = 16, **settings: Any) -> AsyncIterator[Selling]:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services(), balance=Decimal(10**6), faults=faults)
    async with box.serve() as url:
        rules = Rules(panels={"p1": panel(url, in_flight=in_flight)}, publish=(Publish(panel="p1"),))
        overrides = {"status_s": FOREVER_S, **settings}
        async with selling(rules, folder, overrides=overrides) as shop:
            await shop.gateway.catalog.until_ready()
            yield shop


async def buys(shop: Selling, number: int = 0) -> int:
    """One order, which must go through; gives its id."""
    answer = await shop.call("add", service=1, link=f"{wares.LINK}/{number}", quantity=20)
    assert "order" in answer, answer
    return int(answer["order"])


async def another(shop: Selling, name: str = "other") -> Selling:
    """A second account, with money and a key."""
    account = await shop.gateway.ledger.create_account(name)
    await shop.gateway.ledger.topup(account.id, Decimal(1_000), "test")
    key, _ = await shop.gateway.accounts.create_key(account.id)
    return Selling(shop.gateway, shop.url, key, shop.session)


def counted(shop: Selling, name: str, **labels: str) -> float:
    """What a counter stands at."""
    told = ",".join(f'{label}="{value}"' for label, value in labels.items())
    wanted = f"panelmux_edge_{name}" + (f"{{{told}}}" if told else "")
    for line in shop.gateway.metrics.text().decode().splitlines():
        if line.startswith(wanted + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


class Strangers:
    """Connections from `STRANGER` that are held open."""

    def __init__(self, shop: Selling) -> None:
        self._where = urlsplit(shop.url)
        self.writers: list[asyncio.StreamWriter] = []
        self.readers: list[asyncio.StreamReader] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def come(self, number: int, said: bytes, *, address: str = STRANGER) -> None:
        for _ in range(number):
            reader, writer = await asyncio.open_connection(
                self._where.hostname, self._where.port, local_addr=(address, 0)
            )
            writer.write(said)
            self.writers.append(writer)
            self.readers.append(reader)


HALF_A_HEAD: Final = b"POST /api/v2 HTTP/1.1\r\nhost: x\r\n"
HALF_A_BODY: Final = HALF_A_HEAD + b"content-length: 1000\r\n\r\nkey="
RESTING: Final = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "why"), [(b"", "arriving"), (HALF_A_HEAD, "arriving"), (HALF_A_BODY, "arriving"), (RESTING, "resting")]
)
async def test_who_holds_connections_open_loses_them_to_who_has_something_to_say(
    tmp_path: Path, said: bytes, why: str
) -> None:
    async with open_shop(tmp_path, connections=100, connections_each=400) as shop, Strangers(shop) as strangers:
        await strangers.come(300, said)
        await until(lambda: asyncio.sleep(0, counted(shop, "cut_total", why=why) >= 200))
        for number in range(5):
            await buys(shop, number)
        assert len(shop.gateway.door.crowd) <= 100
        assert counted(shop, "refused_total", why="connections") == 0


async def test_one_address_has_no_more_connections_than_its_own_and_no_other_loses_by_it(tmp_path: Path) -> None:
    async with open_shop(tmp_path, connections=2000, connections_each=20) as shop, Strangers(shop) as strangers:
        await buys(shop)
        await strangers.come(10, RESTING, address="127.0.0.10")
        await strangers.come(500, HALF_A_HEAD)
        await until(lambda: asyncio.sleep(0, counted(shop, "cut_total", why="arriving") == 480))
        assert counted(shop, "cut_total", why="resting") == 0, "those of another address are left alone"
        await buys(shop, 1)


async def test_thousands_of_connections_that_rest_keep_nobody_out(tmp_path: Path) -> None:
    async with open_shop(tmp_path, connections=500, connections_each=5000) as shop, Strangers(shop) as strangers:
        await strangers.come(2000, RESTING)
        await buys(shop)
        assert len(shop.gateway.door.crowd) <= 500


async def test_when_all_connections_are_being_answered_a_further_one_is_told_so_at_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path, faults="add:silence_after", connections=3, drain_s=0.5) as shop:
        adds = [
            asyncio.create_task(shop.call("add", service=1, link=f"{wares.LINK}/{n}", quantity=20)) for n in range(3)
        ]
        await until(lambda: asyncio.sleep(0, shop.gateway.orders.open == 3))
        async with Strangers(shop) as strangers:
            await strangers.come(1, b"")
            answer = await strangers.readers[0].read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert counted(shop, "refused_total", why="connections") == 1
        assert all("order" in answer for answer in await asyncio.gather(*adds))


async def test_bodies_of_ten_megabytes_are_refused_and_nothing_of_them_is_kept(tmp_path: Path) -> None:
    body = HALF_A_HEAD + b"content-length: 10485760\r\n\r\n" + b"x" * (10 * 1024 * 1024)
    async with open_shop(tmp_path) as shop, Strangers(shop) as strangers:
        most = 0

        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                await strangers.come(1, body)
                await strangers.writers[-1].drain()
                await strangers.readers[-1].read()

        sending = [asyncio.create_task(send()) for _ in range(20)]
        for number in range(10):
            await buys(shop, number)
            most = max(most, shop.gateway.door.crowd.held)
        await asyncio.gather(*sending)
        assert most <= 8 * 1024 * 1024 + 256 * 1024
        await until(lambda: asyncio.sleep(0, shop.gateway.door.crowd.held == 0))


async def test_the_rest_of_a_body_that_nobody_reads_keeps_no_connection(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop, Strangers(shop) as strangers:
        await strangers.come(1, b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n123")
        answer = await asyncio.wait_for(strangers.readers[0].read(), 20)
        assert answer.startswith(b"HTTP/1.1 404 ")


async def test_wrong_keys_by_the_thousand_are_cut_and_a_good_one_of_the_same_address_sells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_shop(tmp_path) as shop:
        looked_up = 0
        find_key = shop.gateway.ledger.find_key

        async def counting(hash: bytes) -> tuple[Key, Account] | None:
            nonlocal looked_up
            looked_up += 1
            return await find_key(hash)

        await buys(shop)
        monkeypatch.setattr(shop.gateway.ledger, "find_key", counting)
        ends: dict[str, int] = {}

        async def guess(start: int) -> None:
            for number in range(start, start + 150):
                form = {"key": f"legacy-{number}", "action": "add"}
                async with shop.session.post(shop.url, data=form) as answer:
                    words = (await answer.json())["error"]
                    ends[words] = ends.get(words, 0) + 1

        guessing = [asyncio.create_task(guess(1000 * n)) for n in range(20)]
        for number in range(1, 20):
            await buys(shop, number)
            assert "balance" in await shop.call("balance")
        await asyncio.gather(*guessing)
        assert set(ends) == {"Invalid API key", "Too many failed attempts. Please retry later"}
        assert ends["Invalid API key"] <= 60  # of 3 000
        assert looked_up <= 120, "the shop's own, one a second, included"
        assert counted(shop, "wrong_keys_total") == ends["Invalid API key"]
        assert counted(shop, "refused_total", why="wrong_keys") > 2_500


async def test_a_read_with_an_unknown_key_is_silent_where_wrong_ones_were_too_many(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        last = 0
        for number in range(40):
            form = {"key": f"legacy-{number}", "action": "status", "order": "1"}
            async with shop.session.post(shop.url, data=form) as answer:
                last, body = answer.status, await answer.read()
        assert (last, body) == (429, b"")


async def test_what_a_stranger_says_of_its_address_is_not_believed(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        connector = aiohttp.TCPConnector(local_addr=(STRANGER, 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            for number in range(60):
                headers = {"x-forwarded-for": f"203.0.113.{number}"}
                form = {"key": f"legacy-{number}", "action": "add"}
                async with session.post(shop.url, data=form, headers=headers) as answer:
                    words = (await answer.json())["error"]
        assert words == "Too many failed attempts. Please retry later"
        assert await shop.call("add", key="legacy-1") == {"error": "Invalid API key"}, (
            "who was named in vain is not cut off"
        )


async def flooded(shop: Selling, orders: int) -> list[asyncio.Task[Any]]:
    """So many orders of one account at once."""

    async def add(number: int) -> Any:
        form = {"key": shop.key, "action": "add", "service": "1", "link": f"{wares.LINK}/f{number}", "quantity": "20"}
        async with session.post(shop.url, data=form) as answer:
            return await answer.json()

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    tasks = [asyncio.create_task(add(number)) for number in range(orders)]

    async def close() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.close()

    return [*tasks, asyncio.create_task(close())]


async def test_an_account_that_floods_a_slow_panel_keeps_no_other_from_buying_there(tmp_path: Path) -> None:
    async with open_shop(tmp_path, faults="add:delay_before=0.05", in_flight=2) as shop:
        other = await another(shop)
        assert "balance" in await other.call("balance")
        tasks = await flooded(shop, 200)
        turns = shop.gateway.panels["p1"].turns
        await until(lambda: asyncio.sleep(0, turns.waiting > 150))
        await buys(other)
        assert turns.waiting > 50, "it did not stand behind all of them"
        answers = await asyncio.gather(*tasks)
        assert sum("order" in answer for answer in answers if answer) >= 100


async def test_too_many_at_once_are_told_so_in_the_fields_words_and_bought_neither_twice_nor_silently(
    tmp_path: Path,
) -> None:
    async with open_shop(tmp_path, faults="add:delay_before=0.05", in_flight=64) as shop:
        other = await another(shop)
        tasks = await flooded(shop, 900)
        await until(lambda: asyncio.sleep(0, counted(shop, "refused_total", why="account_turns") > 0))
        await buys(other)
        answers = [answer for answer in await asyncio.gather(*tasks) if answer]
        sold = [answer["order"] for answer in answers if "order" in answer]
        refused = [answer for answer in answers if "order" not in answer]
        assert {answer["error"] for answer in refused} <= {"Rate limit exceeded", LATER["error"], NOT_AVAILABLE}
        assert len(set(sold)) == len(sold) >= 256
        assert counted(shop, "refused_total", why="account_turns") == sum(
            answer == {"error": "Rate limit exceeded"} for answer in refused
        )


NOT_AVAILABLE: Final = "This service is not available right now"


# The ledger is behind, or out of reach


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[tuple[Selling, Sequence[int]]]:
    """A shop that has asked about two orders, and read the list."""
    async with open_shop(tmp_path) as shop:
        orders = [await buys(shop, number) for number in range(2)]
        assert set(await shop.call("status", orders=",".join(map(str, orders)))) == {str(id) for id in orders}
        assert await shop.call("services")
        yield shop, orders


async def test_status_is_as_last_known_while_the_ledger_cannot_be_read(
    known: tuple[Selling, Sequence[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, orders = known
    before = [await shop.call("status", order=order) for order in orders]
    other = await another(shop)
    assert "balance" in await other.call("balance")

    async def busy(*_: object, **__: object) -> Any:
        raise LedgerBusy("no")

    for method in ("orders", "find_key", "place"):
        monkeypatch.setattr(shop.gateway.ledger, method, busy)
    now = shop.gateway.accounts._clock
    monkeypatch.setattr(shop.gateway.accounts, "_clock", lambda: now() + 60)  # no key is fresh
    assert [await shop.call("status", order=order) for order in orders] == before
    assert list(await shop.call("status", orders=f"{orders[1]},{orders[0]}")) == [str(orders[1]), str(orders[0])]
    assert await shop.call("services")
    assert await shop.call("add", service=1, link=wares.LINK, quantity=20) == LATER
    for whose, ids in ((shop, f"{orders[0]},999"), (other, str(orders[0]))):
        form = {"key": whose.key, "action": "status", "orders": ids}
        async with shop.session.post(shop.url, data=form) as answer:
            assert (answer.status, await answer.read()) == (503, b""), "what is not known is no error either"
    monkeypatch.setattr(shop.gateway.accounts, "_clock", lambda: now() + 600)
    async with shop.session.post(
        shop.url, data={"key": shop.key, "action": "status", "order": str(orders[0])}
    ) as answer:
        assert answer.status == 503, "a key is not believed for ever"


async def test_status_is_as_last_known_where_the_ledger_does_not_answer_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(actions, "READ_S", 0.05)
    async with open_shop(tmp_path) as shop:
        order = await buys(shop)
        before = await shop.call("status", order=order)
        monkeypatch.setattr(shop.gateway.ledger, "orders", silent)
        assert await shop.call("status", order=order) == before
        assert counted(shop, "remembered_total", action="status") == 1


async def test_far_behind_nobody_asks_the_ledger_for_what_is_known(
    known: tuple[Selling, Sequence[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, orders = known
    monkeypatch.setattr(shop.gateway.door.strain, "level", lambda _now: SPARES)
    asked: list[object] = []
    ask = shop.gateway.ledger.orders

    async def counting(account: int, ids: Sequence[int]) -> Any:
        asked.append(ids)
        return await ask(account, ids)

    monkeypatch.setattr(shop.gateway.ledger, "orders", counting)
    assert "charge" in await shop.call("status", order=orders[0])
    assert await shop.call("status", order="nonsense") == {"error": "Incorrect order ID"}
    assert await shop.call("services")
    assert asked == []
    assert await shop.call("status", order=999) == {"error": "Incorrect order ID"}, (
        "nothing is known of it: it is asked"
    )
    assert asked == [[999]]


async def test_orders_are_refused_at_once_while_the_ledger_is_behind_and_the_rest_goes_on(
    known: tuple[Selling, Sequence[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, orders = known
    stalled = asyncio.Event()

    async def stall(*_: object) -> int:
        await stalled.wait()
        return 0

    monkeypatch.setattr(shop.gateway.ledger, "postpone", stall)
    await until(lambda: asyncio.sleep(0, shop.gateway.door.level() >= SHEDS))
    assert await shop.call("add", service=1, link=f"{wares.LINK}/9", quantity=20) == LATER
    assert counted(shop, "refused_total", why="behind") == 1
    assert "charge" in await shop.call("status", order=orders[0])
    assert "balance" in await shop.call("balance")
    stalled.set()
    await until(lambda: asyncio.sleep(0, shop.gateway.door.level() == 0))
    await buys(shop, 9)


async def test_who_asks_again_for_what_is_being_bought_is_not_refused_when_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_shop(tmp_path, faults="add:delay_before=1") as shop:
        first = asyncio.create_task(buys(shop, 7))
        await until(lambda: asyncio.sleep(0, shop.gateway.orders.open == 1))
        monkeypatch.setattr(shop.gateway.door.strain, "level", lambda _now: SHEDS)
        again = asyncio.create_task(buys(shop, 7))
        assert await shop.call("add", service=1, link=f"{wares.LINK}/8", quantity=20) == LATER
        assert await first == await again


async def test_a_customer_who_left_the_line_buys_nothing(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        account = await shop.gateway.ledger.account("shop")
        assert account is not None
        assert "balance" in await shop.call("balance")
        turns = shop.gateway.door.turns("add")
        while turns.begin(account.id):
            pass
        body = f"key={shop.key}&action=add&service=1&link={wares.LINK}&quantity=20".encode()
        async with Strangers(shop) as strangers:
            await strangers.come(1, HALF_A_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            await until(lambda: asyncio.sleep(0, turns.waiting == 1))
        await until(lambda: asyncio.sleep(0, len(shop.gateway.door.crowd) == 1))  # the shop's own
        turns.end(account.id)
        await until(lambda: asyncio.sleep(0, turns.waiting == 0))
        await until(lambda: asyncio.sleep(0, turns.begin(account.id)))  # whoever had it has given it back
        assert await shop.gateway.ledger.open_orders() == {}


# Metrics


async def test_metrics_are_read_from_the_networks_that_may_and_from_no_other(tmp_path: Path) -> None:
    async with open_shop(tmp_path, metrics_from="127.0.0.9/32, 10.0.0.0/8") as shop:
        where = shop.url.removesuffix("/api/v2") + "/metrics"
        connector = aiohttp.TCPConnector(local_addr=(STRANGER, 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(where) as answer:
                assert answer.status == 200
                assert "panelmux_edge_connections 1.0" in await answer.text()
            async with session.get(where, headers={"x-forwarded-for": "10.0.0.1"}) as answer:
                assert answer.status == 404, "a balancer passes it on"
        async with shop.session.get(where) as answer:
            assert answer.status == 404
