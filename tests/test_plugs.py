"""Plugs that are pulled: processes that sleep or are overtaken, a full disk, a locked ledger, a wire that is cut.

Real processes, real signals, real files; the panel's own journal says what was bought.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.ledger import now_ms
from gateway.ledger.records import AttemptState, Order
from gateway.ledger.spill import SLOT, Spill
from gateway.ledger.sqlite import backup as copies
from providers.base import OrderStatus
from providers.service_types import Default
from tests.crash_child import PATIENCE_S, rules
from tests.running import selling, settings, until
from tests.test_crash import sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

LINK = "https://x.example/p/1"
MOST_STEPS = 120


class Child:
    """A gateway in a process of its own, and a customer's call that it is answering."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, key: str) -> None:
        self.process = process
        self.url = url
        self.key = key

    async def add(self) -> object:
        """What the customer is told; None where the connection broke."""
        form = {"key": self.key, "action": "add", "service": "1", "link": LINK, "quantity": "10"}
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(self.url, data=form) as answer:
                    return await answer.json()
            except aiohttp.ClientError:
                return None

    async def sleeps(self) -> bool:
        """Whether it stands still by its own signal."""
        return _state(self.process.pid) == "T"

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.process.communicate()


def _state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.asynccontextmanager
async def child(folder: Path, urls: list[str], *, step: int = 0, end: str = "SIGSTOP") -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.crash_child", str(folder), "", "purchase", str(step), end, *urls),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    _, url, key = (await process.stdout.readline()).decode().split()
    made = Child(process, url, key)
    try:
        yield made
    finally:
        await made.end()


async def account(folder: Path, urls: list[str]) -> None:
    async with Gateway(settings(folder), rules(urls)) as gateway:
        made = await gateway.ledger.create_account("shop")
        await gateway.ledger.topup(made.id, Decimal(100), "test")


async def sound(gateway: Gateway) -> Order | None:
    """The only order there is; the ledger is right."""
    totals = await gateway.ledger.totals()
    assert totals.sum == 0
    assert totals.wrong == ()
    assert (await gateway.ledger.replayed()).wrong == ()
    orders = await gateway.ledger.list_orders()
    assert len(orders) <= 1
    return orders[0] if orders else None


async def test_a_process_that_slept_too_long_sends_nothing(tmp_path: Path) -> None:
    """Asleep at every step of buying, for longer than it may send, and woken."""
    too_late = 0
    for step in range(1, MOST_STEPS):
        folder = tmp_path / str(step)
        folder.mkdir()
        box = sandbox("p0")
        async with box.serve() as url:
            await account(folder, [url])
            async with child(folder, [url], step=step) as gateway:
                call = asyncio.create_task(gateway.add())

                async def settled(gateway: Child = gateway, call: asyncio.Task[object] = call) -> bool:
                    return call.done() or await gateway.sleeps()

                await until(settled)
                slept = not call.done()
                if slept:
                    await asyncio.sleep(PATIENCE_S + 0.2)  # it is this that is tested: so long it may not send
                    gateway.process.send_signal(signal.SIGCONT)
                told = await call
                gateway.process.terminate()
                await gateway.process.wait()
            async with Gateway(settings(folder), rules([url])) as after:
                order = await sound(after)
                assert order is not None
                [attempt] = await after.ledger.attempts(order.id)
        if attempt.state is AttemptState.NOT_SENT:
            too_late += 1
            assert len(box.journal) == 0
            assert told == {"error": "This service is not available right now"}
            assert order.charge == 0
        else:
            assert attempt.state is AttemptState.ACCEPTED
            assert len(box.journal) == 1
            assert told == {"order": order.id}
        if not slept:
            break
    else:
        pytest.fail(f"placing takes more than {MOST_STEPS} steps")
    assert too_late > 0, "it was never asleep before it sent"


async def test_a_process_that_was_overtaken_while_it_slept_sends_nothing(tmp_path: Path) -> None:
    """Somebody removed the lock of a process that seemed dead, and started another one."""
    box = sandbox("p0")
    async with box.serve() as url:
        await account(tmp_path, [url])
        async with child(tmp_path, [url], step=3) as sleeping:
            call = asyncio.create_task(sleeping.add())
            await until(sleeping.sleeps)
            (tmp_path / "panelmux.db.lock").unlink()
            (tmp_path / "panelmux.db.spill").unlink()
            async with Gateway(settings(tmp_path), rules([url])) as other:
                order = (await other.ledger.list_orders())[0]
                [attempt] = await other.ledger.attempts(order.id)
                assert attempt.state is AttemptState.UNKNOWN
                sleeping.process.send_signal(signal.SIGCONT)
                told = await call
                assert told is None or (isinstance(told, dict) and "error" in told)
                assert box.sends["add"] == 0
                after = await sound(other)
                assert after is not None
                assert after.charge == 0, "it was never sent: nobody pays for it"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as refused:
        pytest.skip(f"this machine mounts no small disk: {refused}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Not a byte is left."""
    filling = folder / "filling"
    with filling.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while out.write(b"x" * 4096):
            pass
    yield
    filling.unlink()


@contextlib.contextmanager
def locked_ledger(folder: Path) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    with contextlib.closing(sqlite3.connect(folder / "panelmux.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def kept(folder: Path) -> list[bytes]:
    """What stands beside the ledger, as it is on disk."""
    content = (folder / "panelmux.db.spill").read_bytes()
    pieces = [content[start : start + SLOT] for start in range(0, len(content), SLOT)]
    return [piece for piece in pieces if piece.strip(b"\0")]


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "mended"])
@pytest.mark.parametrize("fault", [full_disk, locked_ledger])
async def test_an_id_that_the_ledger_cannot_take_is_kept_beside_it(
    disk: Path, fault: Callable[[Path], contextlib.AbstractContextManager[None]], *, killed: bool
) -> None:
    box = sandbox("p0", "add:delay_after=1.5")
    async with box.serve() as url:
        await account(disk, [url])
        async with child(disk, [url], end="SIGKILL") as gateway:
            call = asyncio.create_task(gateway.add())

            async def bought() -> bool:
                return len(box.journal) == 1

            await until(bought)
            with fault(disk):

                async def spilled() -> bool:
                    return len(kept(disk)) == 1

                await until(spilled)
                if killed:
                    gateway.process.kill()
                    assert await call is None
            if not killed:
                told = await call
                assert isinstance(told, dict)

                async def taken() -> bool:
                    return kept(disk) == []

                await until(taken)
                gateway.process.terminate()
                await gateway.process.wait()
        async with Gateway(settings(disk), rules([url])) as after:
            order = await sound(after)
            assert order is not None
            [attempt] = await after.ledger.attempts(order.id)
            assert (attempt.state, attempt.remote_id) == (AttemptState.ACCEPTED, str(box.journal[0].remote_id))
        assert kept(disk) == []
        spill = Spill(disk / "panelmux.db.spill")
        spill.open()
        assert spill.left() == []
        spill.close()


@pytest.mark.parametrize("fault", [full_disk, locked_ledger])
async def test_it_is_not_ready_while_nothing_can_be_written_and_is_again_once_it_can(
    disk: Path, fault: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    box = sandbox("p0")
    async with box.serve() as url, contextlib.AsyncExitStack() as open:
        await account(disk, [url])  # so that what is written from now on makes the log longer
        shop = await open.enter_async_context(selling(rules([url]), disk))
        await shop.gateway.catalog.until_ready()

        async def told() -> tuple[int, object]:
            async with shop.session.get(shop.url.removesuffix("/api/v2") + "/readyz") as answer:
                return answer.status, await answer.json()

        async def is_ready() -> bool:
            return (await told())[0] == 200

        async def is_not() -> bool:
            return not await is_ready()

        assert await is_ready()
        with fault(disk):
            await until(is_not)
            assert await told() == (503, {"ready": False, "waiting_for": ["ledger"]})
            assert "error" in await shop.call("add", service=1, link=LINK, quantity=10)
            assert box.sends["add"] == 0
        await until(is_ready)
        assert "order" in await shop.call("add", service=1, link=f"{LINK}/again", quantity=10)


async def test_a_backup_that_is_put_back_buys_nothing_again(tmp_path: Path) -> None:
    box = sandbox("p0", "add:2:fin_after")
    ledger, kept_at = tmp_path / "panelmux.db", tmp_path / "kept.db"
    async with box.serve() as url:
        await account(tmp_path, [url])
        async with Gateway(settings(tmp_path), rules([url])) as before:
            await before.catalog.until_ready()
            shop, service = await before.ledger.account("shop"), before.catalog.service(1)
            assert shop is not None
            assert service is not None
            known, lost = [await before.orders.add(shop, service, Default(link=f"l{n}", quantity=10)) for n in (1, 2)]
            await asyncio.to_thread(copies.backup, ledger, kept_at)
            since = await before.orders.add(shop, service, Default(link="l3", quantity=10))
        await asyncio.to_thread(copies.restore, kept_at, ledger, now_ms())
        assert len(box.journal) == 3
        box.set_status(box.journal[0].remote_id, "Completed", remains=0)
        async with Gateway(settings(tmp_path), rules([url])) as after:
            await after.catalog.until_ready()

            async def followed() -> bool:
                order = await after.ledger.order(known)
                return order is not None and order.status is OrderStatus.COMPLETED

            await until(followed)
            [attempt] = await after.ledger.attempts(lost)
            assert attempt.state is AttemptState.UNKNOWN
            assert await after.ledger.order(since) is None
            fresh = await after.orders.add(shop, service, Default(link="l4", quantity=10))
            assert fresh > since, "an id that a customer holds is not given again"
            assert len(box.journal) == 4
            totals = await after.ledger.totals()
            assert totals.wrong == ()


# A wire that is cut, between two hosts that are namespaces of this machine.


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def wire() -> Iterator[str]:
    """A namespace with the address 10.213.77.2, seen from here at the other end of a wire named pmx0."""
    name = f"pmx{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as refused:
        pytest.skip(f"this machine makes no network namespaces: {refused}")
    try:
        _ip("link", "add", "pmx0", "type", "veth", "peer", "name", "pmx1", "netns", name)
        _ip("addr", "add", "10.213.77.1/30", "dev", "pmx0")
        _ip("link", "set", "pmx0", "up")
        _ip("-n", name, "addr", "add", "10.213.77.2/30", "dev", "pmx1")
        _ip("-n", name, "link", "set", "pmx1", "up")
        yield name
    finally:
        subprocess.run(["ip", "link", "del", "pmx0"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


async def test_a_wire_that_is_cut_leaves_an_unknown_and_is_never_sent_again(wire: str, tmp_path: Path) -> None:
    """The panel took the order; its answer never came through. The wire is mended, and nothing is bought again."""
    command = (
        "import asyncio, sys\n"
        "from providers.sandbox import Sandbox\n"
        "from tests.test_crash import CATALOGUE\n"
        "async def main():\n"
        "    box = Sandbox('p0', key='panel-key', catalogue=CATALOGUE, faults='add:delay_after=0.5')\n"
        "    async with box.serve('10.213.77.2', 0) as url:\n"
        "        print(url, flush=True)\n"
        "        while await asyncio.to_thread(sys.stdin.readline):\n"
        "            print(len(box.journal), flush=True)\n"
        "asyncio.run(main())\n"
    )
    panel = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", wire, sys.executable, "-c", command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert panel.stdin is not None
    assert panel.stdout is not None

    async def journal() -> int:
        assert panel.stdin is not None
        assert panel.stdout is not None
        panel.stdin.write(b"\n")
        return int(await panel.stdout.readline())

    try:
        url = (await panel.stdout.readline()).decode().strip()
        await account(tmp_path, [url])
        async with child(tmp_path, [url], end="SIGKILL") as gateway:
            call = asyncio.create_task(gateway.add())
            await until(journal)
            _ip("link", "set", "pmx0", "down")
            told = await call
            assert isinstance(told, dict)
            assert "order" in told, "it may have been bought: that is no refusal"
            _ip("link", "set", "pmx0", "up")
            gateway.process.terminate()
            await gateway.process.wait()
        async with Gateway(settings(tmp_path), rules([url])) as after:
            order = await sound(after)
            assert order is not None
            attempts = await after.ledger.attempts(order.id)
            assert [attempt.state for attempt in attempts] in ([AttemptState.UNKNOWN], [AttemptState.ACCEPTED])
            assert await journal() == 1
    finally:
        panel.kill()
        await panel.wait()
