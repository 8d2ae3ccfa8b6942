"""The whole program: what it tells of itself, and what it refuses to be."""

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.app import Gateway
from gateway.conditions import condition
from gateway.ledger.lock import LedgerInUse, Lock
from gateway.ledger.records import LedgerBusy, LedgerError
from gateway.metrics import Metrics
from gateway.rules.model import Ids, Publish, Route, Rules, Service
from providers.sandbox import Sandbox
from tests import databases, wares
from tests.running import Selling, panel, selling, settings, until
from tests.servers import Valkey

pytestmark = pytest.mark.anyio


def sandbox(**other: Any) -> Sandbox:
    return Sandbox("p1", key="panel-key", catalogue=wares.services(), **other)


def rules(url: str, **other: Any) -> Rules:
    return Rules(panels={"p1": panel(url)}, publish=(Publish(panel="p1"),), **other)


async def page(shop: Selling, path: str) -> tuple[int, str]:
    async with shop.session.get(shop.url.removesuffix("/api/v2") + path) as answer:
        return answer.status, await answer.text()


async def test_it_says_that_it_lives_and_is_ready_and_what_it_counted(tmp_path: Path) -> None:
    async with sandbox().serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        await shop.call("add", service=1, link=wares.LINK, quantity=20)
        assert await page(shop, "/healthz") == (200, '{"status":"ok"}')
        assert await page(shop, "/readyz") == (200, '{"ready":true,"waiting_for":[]}')
        status, text = await page(shop, "/metrics")
        assert status == 200
        assert 'panelmux_attempts_total{outcome="accepted",panel="p1"} 1.0' in text
        assert "panelmux_unknown_attempts 0.0" in text
        assert "panelmux_nodes_other_rules 0.0" in text
        assert "panelmux_shared_set 0.0" in text


async def test_an_open_unknown_is_counted(tmp_path: Path) -> None:
    async with sandbox(faults="add:fin_after").serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        await shop.call("add", service=1, link=wares.LINK, quantity=20)
        _, text = await page(shop, "/metrics")
        assert "panelmux_unknown_attempts 1.0" in text
        assert re.search(r"^panelmux_unknown_cost 0\.0[1-9]", text, re.MULTILINE), "what it may have taken"
        assert "panelmux_unknown_oldest_seconds" in text


async def test_what_it_counted_is_told_while_the_ledger_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_given: object, **_named: object) -> None:
        await asyncio.sleep(60)

    async def lost(*_given: object, **_named: object) -> None:
        raise LedgerBusy("ledger: gone")

    async with sandbox().serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        monkeypatch.setattr(shop.gateway.ledger, "unknown_attempts", silent)
        monkeypatch.setattr(shop.gateway.ledger, "place", lost)
        await shop.call("add", service=1, link=wares.LINK, quantity=20)
        async with asyncio.timeout(5):
            status, text = await page(shop, "/metrics")
        assert status == 200
        assert "panelmux_ledger_busy_total 1.0" in text
        monkeypatch.undo()


async def test_it_is_not_ready_before_its_first_catalogue_and_refuses_orders_for_later(tmp_path: Path) -> None:
    box = sandbox(faults="services:delay_before=600")
    async with box.serve() as url, selling(rules(url), tmp_path) as shop:
        status, text = await page(shop, "/readyz")
        assert (status, "catalogue" in text) == (503, True)
        told = await shop.call("add", service=1, link=wares.LINK, quantity=20)
        assert told == {"error": "Service is under maintenance, please try again later"}


async def test_a_panel_that_was_never_heard_of_makes_no_service_of_its_list_incorrect(tmp_path: Path) -> None:
    silent, good = sandbox(), Sandbox("p2", key="panel-key", catalogue=wares.services())
    async with silent.serve() as one, good.serve() as two:
        silent.stop_listening()
        both = Rules(
            panels={"p1": panel(one), "p2": panel(two)},
            services={
                1: Service(routes=(Route(panel="p2", service="1"),)),
                2: Service(routes=(Route(panel="p2", service="x"),)),
            },
            publish=(Publish(panel="p1"),),
        )
        async with selling(both, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            later = {"error": "Service is under maintenance, please try again later"}
            assert await shop.call("add", service=5, link=wares.LINK, quantity=20) == later
            assert await shop.call("add", service=2, link=wares.LINK, quantity=20) == {"error": "Incorrect service ID"}
            assert "order" in await shop.call("add", service=1, link=wares.LINK, quantity=20)


async def test_what_it_counted_is_for_this_machine_alone(tmp_path: Path) -> None:
    async with sandbox().serve() as url, selling(rules(url), tmp_path) as shop:
        where = shop.url.removesuffix("/api/v2") + "/metrics"
        async with shop.session.get(where, headers={"x-forwarded-for": "203.0.113.9"}) as answer:
            assert answer.status == 404
            assert await answer.read() == b""


async def test_it_is_not_ready_while_the_ledger_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise LedgerBusy("disk full")

    async with sandbox().serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        monkeypatch.setattr(shop.gateway.ledger, "touch", full)
        status, text = await page(shop, "/readyz")
        assert (status, '"ledger"' in text) == (503, True)


async def test_it_tells_whether_the_ledger_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise LedgerBusy("disk full")

    monkeypatch.setattr("gateway.writable.EVERY_S", 0.0)  # what was found out a moment ago is no answer here
    async with selling(Rules(panels={}), tmp_path) as shop:
        assert "panelmux_ledger_writable 1.0" in (await page(shop, "/metrics"))[1]
        monkeypatch.setattr(shop.gateway.ledger, "touch", full)
        assert "panelmux_ledger_writable 0.0" in (await page(shop, "/metrics"))[1]
        monkeypatch.undo()
        monkeypatch.setattr("gateway.writable.EVERY_S", 0.0)
        assert "panelmux_ledger_writable 1.0" in (await page(shop, "/metrics"))[1]


async def test_one_of_several_workers_looks_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise LedgerBusy("disk full")

    metrics = Metrics()
    metrics.is_of_several = True
    async with Gateway(settings(tmp_path), Rules(panels={}), metrics=metrics) as gateway:
        assert b"panelmux_ledger_writable 1.0" in metrics.text()
        monkeypatch.setattr(gateway.ledger, "touch", full)
        await until(lambda: asyncio.sleep(0, b"panelmux_ledger_writable 0.0" in metrics.text()))


async def test_a_start_names_panels_with_open_orders_that_stand_in_no_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sandbox().serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        told = await shop.call("add", service=1, link=wares.LINK, quantity=20)
    capsys.readouterr()
    async with selling(Rules(panels={}), tmp_path) as shop:
        line = next(line for line in capsys.readouterr().out.splitlines() if "not_followed" in line)
        assert "panel=p1" in line
        assert "open_orders=1" in line
        assert await shop.call("cancel", orders=told["order"]) == [{"order": told["order"], "cancel": 1}]
        [wish] = await shop.gateway.ledger.wishes()
        assert (wish.order, wish.told) == (told["order"], 0), "kept until the panel is back"


async def test_how_each_panel_does_can_be_watched(tmp_path: Path) -> None:
    box = sandbox()
    async with box.serve() as url, selling(rules(url), tmp_path, overrides={"balance_s": 0.1}) as shop:
        await shop.gateway.catalog.until_ready()
        await until(lambda: asyncio.sleep(0, shop.gateway.panels["p1"].balance is not None))
        box.faults = "add:maintenance"
        for number in range(6):
            await shop.call("add", service=1, link=f"{wares.LINK}{number}", quantity=20)
        _, text = await page(shop, "/metrics")
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert float(lines['panelmux_panel_funds{panel="p1"}']) == float(box.balance)
        assert float(lines['panelmux_refusals_total{panel="p1",reason="maintenance"}']) == 6
        assert float(lines['panelmux_panel_circuit_open{panel="p1"}']) == 1
        assert float(lines['panelmux_panel_health{panel="p1"}']) < 1
        assert float(lines['panelmux_panel_stopped{panel="p1"}']) == 0


async def test_a_link_that_the_rules_do_not_sell_to_is_an_incorrect_link(tmp_path: Path) -> None:
    async with sandbox().serve() as url:
        only = Route(panel="p1", service="1", when=condition(link="*good.example*"))
        one = Rules(panels={"p1": panel(url)}, services={1: Service(routes=(only,))})
        async with selling(one, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            assert await shop.call("add", service=1, link="https://bad.example/1", quantity=20) == {
                "error": "Incorrect link"
            }
            assert "order" in await shop.call("add", service=1, link="https://good.example/1", quantity=20)


async def test_it_is_not_ready_while_it_stops(tmp_path: Path) -> None:
    async with sandbox().serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        shop.gateway.draining = True
        status, text = await page(shop, "/readyz")
        assert (status, "stopping" in text) == (503, True)


async def test_it_sells_at_once_by_the_last_good_list_when_the_panel_is_silent_at_the_start(tmp_path: Path) -> None:
    box = sandbox()
    async with box.serve() as url:
        async with selling(rules(url), tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
        box.faults = "services:silence"
        async with selling(rules(url), tmp_path) as shop:
            assert len(await shop.call("services")) == len(wares.services())
            assert "order" in await shop.call("add", service=1, link=wares.LINK, quantity=20)


async def test_two_programs_do_not_sell_from_one_ledger(tmp_path: Path) -> None:
    async with Gateway(settings(tmp_path), Rules(panels={})):
        with pytest.raises(LedgerInUse, match="sells from this ledger already"):
            async with Gateway(settings(tmp_path), Rules(panels={})):
                pass
    async with Gateway(settings(tmp_path), Rules(panels={})):
        pass


async def test_a_ledger_with_a_second_name_is_not_sold_from(tmp_path: Path) -> None:
    async with Gateway(settings(tmp_path), Rules(panels={})):
        pass
    (tmp_path / "other.db").hardlink_to(tmp_path / "panelmux.db")
    with pytest.raises(LedgerInUse, match="hard link"):
        Lock(f"sqlite:///{tmp_path}/other.db").take()


async def test_nothing_is_bought_after_a_stop_has_cut_what_was_open(tmp_path: Path) -> None:
    box = sandbox()
    async with box.serve() as url, selling(rules(url), tmp_path) as shop:
        await shop.gateway.catalog.until_ready()
        told = await shop.call("add", service=1, link=wares.LINK, quantity=20)
        await shop.gateway.orders.drain(0.01, asyncio.Event())
        busy = {"error": "Service is under maintenance, please try again later"}
        assert await shop.call("add", service=1, link=wares.LINK, quantity=20) == busy
        assert await shop.call("cancel", orders=told["order"]) == busy
        assert box.sends["add"] == 1
        assert box.sends["cancel"] == 0


async def test_a_lock_given_back_twice_is_given_back(tmp_path: Path) -> None:
    lock = Lock(f"sqlite:///{tmp_path}/l.db")
    lock.give_back()
    lock.take()
    lock.give_back()
    lock.give_back()
    Lock(f"sqlite:///{tmp_path}/l.db").take()


async def test_a_link_to_a_ledger_is_locked_with_it_and_a_like_name_is_not(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "panelmux.prod")
    lock = Lock(f"sqlite:///{tmp_path}/panelmux.prod")
    lock.take()
    with pytest.raises(LedgerInUse, match=r"panelmux\.prod: "):
        Lock(f"sqlite:///{tmp_path}/linked").take()
    other = Lock(f"sqlite:///{tmp_path}/panelmux.test")
    other.take()
    other.give_back()
    lock.give_back()


async def test_a_ledger_in_one_currency_is_not_carried_on_in_another(tmp_path: Path) -> None:
    async with Gateway(settings(tmp_path), Rules(panels={}, currency="USD")):
        pass
    with pytest.raises(LedgerError, match="USD"):
        async with Gateway(settings(tmp_path), Rules(panels={}, currency="EUR")):
            pass
    async with Gateway(settings(tmp_path), Rules(panels={}, currency="USD")):
        pass


async def test_a_panel_that_is_slow_delays_no_other_ones_orders(tmp_path: Path) -> None:
    slow, quick = sandbox(faults="status:delay_before=600"), Sandbox("p2", key="panel-key", catalogue=wares.services())
    async with slow.serve() as one, quick.serve() as two:
        both = Rules(
            panels={"p1": panel(one), "p2": panel(two)},
            publish=(Publish(panel="p1"), Publish(panel="p2", ids=Ids.NEW)),
        )
        async with selling(both, tmp_path) as shop:
            await shop.gateway.catalog.until_ready()
            first = await shop.call("add", service=1, link=wares.LINK, quantity=20)
            second = await shop.call("add", service=1_000_000, link=wares.LINK, quantity=20)
            quick.set_status(quick.journal[0].remote_id, "Completed", remains=0)

            async def done() -> bool:
                told = await shop.call("status", orders=f"{first['order']},{second['order']}")
                return bool(told[str(second["order"])]["status"] == "Completed")

            await until(done)
            told = await shop.call("status", order=first["order"])
            assert told["status"] == "Pending"


async def test_a_gateway_that_leads_sees_to_it_that_there_is_room_for_the_orders_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app._STRAYS_S", 0.05)  # what is done now and then
    url = await asyncio.to_thread(databases.postgres, tmp_path)
    raw = await asyncpg.connect(url)
    async with Gateway(settings(tmp_path, url), Rules(panels={})):
        ranges = "SELECT COUNT(*) FROM pg_inherits WHERE inhparent = 'orders'::regclass"
        before = await raw.fetchval(ranges)
        await raw.execute("SELECT setval('order_ids', $1)", before * 16_777_216)  # in none that there is

        async def is_made() -> bool:
            return bool(await raw.fetchval(ranges) == before + 2)

        await until(is_made)
    await raw.close()
    await asyncio.to_thread(databases.drop, url)


async def test_a_stop_leaves_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with sandbox().serve() as url, Gateway(settings(tmp_path), rules(url)) as gateway:
        await gateway.catalog.until_ready()
    assert asyncio.all_tasks() == before


async def test_redis_takes_the_catalogue_and_its_loss_stops_nothing(tmp_path: Path) -> None:
    box = sandbox()
    with Valkey() as valkey:
        async with box.serve() as url:
            async with selling(rules(url), tmp_path / "one", overrides={"redis": valkey.url}) as shop:
                await shop.gateway.catalog.until_ready()
            box.faults = "services:silence"  # the second node has it from the first
            async with selling(rules(url), tmp_path / "two", overrides={"redis": valkey.url}) as shop:
                await shop.gateway.catalog.until_ready()
                assert len(await shop.call("services")) == len(wares.services())
                valkey.kill()
                await until(lambda: asyncio.sleep(0, not shop.gateway.shared.epoch))
                _, text = await page(shop, "/metrics")
                assert "panelmux_shared_set 1.0\n" in text
                assert "panelmux_shared_up 0.0\n" in text
                assert "order" in await shop.call("add", service=1, link=wares.LINK, quantity=20)
                assert len(await shop.call("services")) == len(wares.services())


async def test_a_process_remembers_as_much_as_its_settings_say(tmp_path: Path) -> None:
    gateway = Gateway(settings(tmp_path, remembered=1234), rules("https://panel.example/api/v2"))
    assert gateway.orders._repeats._most == 1234
    assert gateway.app._edge._actions._remembered._most == 1234
