"""The way between the gateway and its panels: what is posted arrives, whatever becomes of who posted it."""

import asyncio
import heapq
import random
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from providers.base import Action
from providers.sandbox import Sandbox
from providers.transport import Reply, Transport
from providers.transport.session import Call

LATE_S: Final = 170.0
"""What was posted arrives by then or never: with the time before it is sent, less than the settle window."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of a call.

    Attributes:
        arrives: the request reaches the panel.
        late_s: how long it is on its way.
        answer: what comes back: `panel` (its own answer), `lost`, `cut`, `silence`, or a status and a body.
        back_s: how long the answer is on its way.
    """

    arrives: bool = True
    late_s: float = 0.05
    answer: str | tuple[int, bytes] = "panel"
    back_s: float = 0.05
    refused: bool = False  # the connection is


GOOD: Final = Fate()

TROUBLES: Final[tuple[Callable[[random.Random], Fate], ...]] = (
    lambda _: Fate(refused=True),
    lambda _: Fate(arrives=False, answer="lost"),
    lambda _: Fate(answer="lost"),
    lambda luck: Fate(late_s=luck.uniform(1, LATE_S), answer="lost", back_s=0),
    lambda luck: Fate(back_s=luck.uniform(20, 100)),
    lambda _: Fate(answer="silence"),
    lambda _: Fate(arrives=False, answer="silence"),
    lambda luck: Fate(arrives=luck.random() < 0.5, answer=(luck.choice((500, 502, 503, 504, 520, 524)), b"")),
    lambda luck: Fate(arrives=luck.random() < 0.3, answer=(200, b"<html>Maintenance</html>")),
    lambda _: Fate(arrives=False, answer=(200, b'{"error":"Something nobody has seen before"}')),
    lambda _: Fate(arrives=False, answer=(200, b'{"error":"neworder.error.not_enough_funds"}')),
    lambda _: Fate(arrives=False, answer=(429, b"Too many requests")),
    lambda _: Fate(answer="cut"),
)
"""Each as likely as the others, among calls that meet trouble."""


class Network:
    """All panels' letters by the time they arrive, kept beyond a crash of the gateway."""

    def __init__(self, luck: random.Random, *, share: float) -> None:
        self.luck = luck
        self.share = share
        self.now: Callable[[], float] = lambda: 0.0
        self.faults = 0
        self.adds = 0
        self._letters: list[tuple[float, int, Sandbox, Mapping[str, str], list[bytes]]] = []
        self._number = 0

    def fate(self, action: Action) -> Fate:
        """Trouble meets orders above all; reads have less of it."""
        if action == "add":
            self.adds += 1
        share = self.share if action == "add" else self.share / 4
        if self.luck.random() >= share:
            return GOOD
        fate = self.luck.choice(TROUBLES)(self.luck)
        if action == "add":
            self.faults += 1
        return fate

    def post(self, box: Sandbox, fields: Mapping[str, str], after_s: float) -> list[bytes]:
        """Send a request on its way; its answer will stand in the list that is given."""
        answer: list[bytes] = []
        self._number += 1
        heapq.heappush(self._letters, (self.now() + after_s, self._number, box, fields, answer))
        return answer

    def arrive(self) -> None:
        """Let all arrive whose time has come, in their order."""
        while self._letters and self._letters[0][0] <= self.now():
            _, _, box, fields, answer = heapq.heappop(self._letters)
            action = fields["action"]
            rest = {name: value for name, value in fields.items() if name not in {"action", "key"}}
            answer.append(msgspec.json.encode(box.ask(action, **rest)))


class SimTransport(Transport):
    """The real transport but for the connection: its permits, phases, retries, verdicts and errors are its own."""

    def __init__(self, panel: str, box: Sandbox, network: Network, *, alive: Callable[[], bool]) -> None:
        super().__init__(
            panel,
            "http://127.0.0.1:1/api/v2",
            "panel-key",
            allow_private=True,
            clock=lambda: asyncio.get_running_loop().time(),
        )
        self._box = box
        self._network = network
        self._alive = alive

    async def _exchange(self, call: Call, body: bytes) -> Reply:
        fate = self._network.fate(call.action)
        await asyncio.sleep(0.01)
        if fate.refused:
            raise ConnectionRefusedError("simulated")
        async with asyncio.timeout(None) as deadline:
            call.connecting(deadline)
            call.left()
            if not self._alive():
                raise ConnectionResetError("the process is gone")
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
            told = self._network.post(self._box, fields, fate.late_s) if fate.arrives else []
            if fate.answer == "lost":
                await asyncio.sleep(min(fate.late_s, 3.0))
                raise ConnectionResetError("simulated")
            if fate.answer == "silence":
                await asyncio.sleep(10_000)
            await asyncio.sleep(fate.late_s + fate.back_s)
            self._network.arrive()
        status, content = 200, told[0] if told else b""
        if isinstance(fate.answer, tuple):
            status, content = fate.answer
        elif fate.answer == "cut":
            content = content[: len(content) // 2]
        kind = "application/json" if content[:1] in {b"{", b"["} else "text/html"
        return Reply(status=status, body=content, content_type=kind, whole=fate.answer != "cut", ms=1)
