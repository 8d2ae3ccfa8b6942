"""A gateway that kills or stops itself at a chosen step of placing an order. Run as a program by the crash tests.

    python -m tests.crash_child FOLDER LEDGER_URL WHERE STEP SIGNAL PANEL_URL…

WHERE names the coroutine that is stepped: `request` (the customer's call), `flight` (what identical calls share) or
`purchase` (the task that buys). Every time it is about to go on, and every time it has come to a wait, counts as one
step: so every await in it, and in all that it awaits, is a step, the libraries' own included. At STEP the process gets
SIGNAL: SIGKILL, or SIGSTOP, and then it has half a second to send; 0 is no step. It prints its URL and key first, and
the number of steps counted when a placing ends alive.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

from gateway import logs, server
from gateway.app import Gateway
from gateway.orders import Orders
from gateway.placing import Placing, Purchase
from gateway.rules.model import Route, Rules, Service
from tests.running import panel, settings

T = TypeVar("T")
PATIENCE_S = 0.5  # how long after its intent a gateway that gets SIGSTOP may send


class Stepped:
    """A coroutine that is walked step by step, and not past the last one."""

    def __init__(self, walked: Coroutine[Any, Any, Any], last: int, end: signal.Signals) -> None:
        self._walked = walked
        self._last = last
        self._end = end
        self._step = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        wait = self._walked.__await__()
        resume, given = wait.send, None
        while True:
            self._count()
            try:
                waiting_for = resume(given)
            except StopIteration as end:
                print("steps", self._step, flush=True)
                return end.value
            self._count()
            try:
                resume, given = wait.send, (yield waiting_for)
            except BaseException as thrown:  # noqa: BLE001 - handed on as it is
                resume, given = wait.throw, thrown

    def _count(self) -> None:
        self._step += 1
        if self._step == self._last:
            os.kill(os.getpid(), self._end)


def rules(urls: list[str]) -> Rules:
    """Two panels, one service, the first route first."""
    panels = {f"p{number}": panel(url) for number, url in enumerate(urls)}
    routes = tuple(Route(panel=name, service="1") for name in panels)
    return Rules(panels=panels, services={1: Service(routes=routes)})


async def main(folder: Path, ledger: str, where: str, step: int, end: signal.Signals, *urls: str) -> None:
    logs.configure("console", [], level=logging.ERROR)
    place, add, flight = Placing._place, Orders.add, Orders._add

    async def stepped_place(self: Placing, purchase: Purchase) -> None:
        await Stepped(place(self, purchase), step, end)

    async def stepped_add(self: Orders, *arguments: Any, **named: Any) -> int:
        order: int = await Stepped(add(self, *arguments, **named), step, end)
        return order

    async def stepped_flight(self: Orders, *arguments: Any) -> int:
        order: int = await Stepped(flight(self, *arguments), step, end)
        return order

    match where:
        case "purchase":
            Placing._place = stepped_place  # type: ignore[method-assign]
        case "flight":
            Orders._add = stepped_flight  # type: ignore[method-assign,assignment]
        case "request":
            Orders.add = stepped_add  # type: ignore[method-assign]
    more = {"send_s": PATIENCE_S} if end is signal.SIGSTOP else {}
    async with Gateway(settings(folder, ledger, **more), rules(list(urls))) as gateway:
        account = await gateway.ledger.account("shop")
        assert account is not None
        await gateway.catalog.until_ready()
        key, _ = await gateway.accounts.create_key(account.id)

        def started(url: str) -> None:
            print("listening", url + "/api/v2", key, flush=True)

        await server.serve(gateway, server.listen("127.0.0.1", 0), started=started)


if __name__ == "__main__":
    _, folder, ledger, where, step, end, *urls = sys.argv
    asyncio.run(main(Path(folder), ledger, where, int(step), signal.Signals[end], *urls))
