"""Gateways that sell from one ledger by different rules: each tells it, and one with nothing to sell says why."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.nodes import Rhythm
from gateway.rules.model import Publish, Rules
from providers.sandbox import Sandbox
from tests import databases, wares
from tests.running import Selling, panel, selling, until

pytestmark = pytest.mark.anyio

WHY = "rules differ from those of the node that leads"
PATIENT = Rhythm(beat_s=0.02, lease_s=600.0, silence_s=700.0)  # however slow this machine is, nobody is taken for dead


def rules(url: str, version: str, name: str = "p1") -> Rules:
    return Rules(panels={name: panel(url)}, publish=(Publish(panel=name),), version=version)


async def page(shop: Selling, path: str) -> tuple[int, str]:
    async with shop.session.get(shop.url.removesuffix("/api/v2") + path) as answer:
        return answer.status, await answer.text()


async def other_rules(shop: Selling) -> float:
    """How many nodes it counts that go by other rules than its own."""
    _, text = await page(shop, "/metrics")
    [line] = [line for line in text.splitlines() if line.startswith("panelmux_nodes_other_rules ")]
    return float(line.rpartition(" ")[2])


async def counted(*expected: tuple[Selling, float]) -> None:
    async def so() -> bool:
        return [await other_rules(shop) for shop, _ in expected] == [count for _, count in expected]

    await until(so)


async def beats(shop: Selling, more: int) -> None:
    """Until it has looked at the others so many times more, and done what follows."""
    looks = 0
    beaten = shop.gateway.orders.share

    async def seen() -> None:
        nonlocal looks
        looks += 1
        await beaten()

    async def enough() -> bool:
        return looks >= more

    shop.gateway.orders.share = seen  # type: ignore[method-assign]
    await until(enough)
    shop.gateway.orders.share = beaten  # type: ignore[method-assign]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[str]:
    url = databases.postgres(tmp_path)
    yield url
    databases.drop(url)


@pytest.fixture
async def urls() -> AsyncIterator[tuple[str, str]]:
    """Two sites, of which two rules files say that each is the panel p1."""
    here, there = (Sandbox("p1", key="panel-key", catalogue=wares.services()) for _ in range(2))
    async with here.serve() as one, there.serve() as two:
        yield one, two


@contextlib.asynccontextmanager
async def two(ledger: str, folder: Path, first: Rules, second: Rules) -> AsyncIterator[tuple[Selling, Selling]]:
    """The one that leads, once it sells, and another one."""
    for name in ("one", "two"):
        (folder / name).mkdir()
    use = {"ledger": ledger}
    async with selling(first, folder / "one", overrides=use, rhythm=PATIENT) as one:
        await one.gateway.catalog.until_ready()
        async with selling(second, folder / "two", overrides=use, rhythm=PATIENT) as other:
            assert (one.gateway.nodes.leads(), other.gateway.nodes.leads()) == (True, False)
            yield one, other


async def test_one_that_has_nothing_to_sell_says_that_its_rules_differ_until_they_do_not(
    ledger: str, tmp_path: Path, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with two(ledger, tmp_path, rules(urls[0], "r1"), rules(urls[1], "r2")) as (one, other):
        await other.gateway.catalog.until_ready()  # it has looked, in vain
        await beats(other, 3)
        assert await page(other, "/readyz") == (503, '{"ready":false,"waiting_for":["catalogue","rules"]}')
        assert (await page(one, "/readyz"))[0] == 200
        told = [line for line in capsys.readouterr().out.splitlines() if WHY in line]
        assert len(told) == 1, "once"
        assert "rules=r2" in told[0]
        assert "theirs=r1" in told[0]
        await counted((one, 1), (other, 1))

        await other.gateway.renew(rules(urls[0], "r1"))
        await other.gateway.catalog.until_ready()
        assert await page(other, "/readyz") == (200, '{"ready":true,"waiting_for":[]}')
        await counted((one, 0), (other, 0))

        await other.gateway.renew(rules(urls[1], "r3", "p3"))
        await beats(other, 3)
        again = [line for line in capsys.readouterr().out.splitlines() if WHY in line]
        assert len(again) == 1, "it began anew"
        assert "rules=r3" in again[0]


async def test_one_that_sells_is_ready_whatever_rules_the_others_go_by(
    ledger: str, tmp_path: Path, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    same = rules(urls[0], "r1")
    async with two(ledger, tmp_path, same, same) as (one, other):
        await other.gateway.catalog.until_ready()
        await counted((one, 0), (other, 0))
        capsys.readouterr()
        await other.gateway.renew(msgspec.structs.replace(same, version="r2"))
        await counted((one, 1), (other, 1))
        await beats(other, 2)
        assert await page(other, "/readyz") == (200, '{"ready":true,"waiting_for":[]}')
        assert WHY not in capsys.readouterr().out


async def test_one_whose_list_has_not_come_yet_names_no_rules_where_these_are_the_same(
    ledger: str, tmp_path: Path, urls: tuple[str, str]
) -> None:
    same = rules(urls[0], "r1")
    async with two(ledger, tmp_path, same, same) as (_, other):
        other.gateway.catalog._tried.clear()
        assert await page(other, "/readyz") == (503, '{"ready":false,"waiting_for":["catalogue"]}')
