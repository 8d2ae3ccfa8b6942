"""Circuits of all nodes: one that opens at a node opens at the others, and one node makes the probe for all.

Each turn of a circuit has a version that grows: the last one counts, wherever it was made; of two at once, that of the
greater name. A node that hears of nothing, because there is nobody to hear it from, goes by what it sees itself.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from gateway import health
from gateway.panels import Panel
from gateway.shared import Shared

PROBE_S: Final = 30.0
"""How long a node has for a probe before another may make it."""

_TOPIC: Final = "circuits"
_KEPT_S: Final = 900.0  # longer than the longest pause
_WIDE: Final = ("reads", "adds")  # circuits of a whole panel, which a node that starts asks for


class _Turned(msgspec.Struct, frozen=True, array_like=True):
    """A circuit as one node's call left it; seconds from `at_ms`, milliseconds since 1970."""

    panel: str
    source: str
    which: str
    version: int
    node: str
    at_ms: int
    is_open: bool
    pause_s: float
    probe_in_s: float
    quiet_in_s: float


class Circuits:
    """Keeps the circuits of `panels` in step with other nodes.

    Attributes:
        heard, told: how many turns were taken over from others, and told to them.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.heard = 0
        self.told = 0
        self._shared = shared
        self._clock = clock
        self._now_ms = now_ms
        self._node = secrets.token_hex(8)
        self._panels: Mapping[str, Panel] = {}
        self._versions: dict[tuple[str, str], tuple[int, str]] = {}
        self._untold: dict[tuple[str, str], _Turned] = {}
        self._missed = False
        self._work = asyncio.Event()
        shared.subscribe(_TOPIC, self._hear)

    def watch(self, panels: Mapping[str, Panel]) -> None:
        """These are the panels from now on; what others know of them is asked for."""
        self._panels = panels
        for panel in panels.values():
            panel.turned = partial(self._turned, panel)
        self._missed = True
        self._work.set()

    async def follow(self) -> None:
        """Tell of turns, and ask for those that were missed. Never ends."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self.once()

    async def once(self) -> None:
        """Tell what is to be told, then ask what was missed."""
        while self._untold:
            _, turned = self._untold.popitem()
            packed = msgspec.msgpack.encode(turned)
            await self._shared.put(_key(turned.panel, turned.source, turned.which), packed, _KEPT_S)
            await self._shared.publish(_TOPIC, packed)
            self.told += 1
        if self._missed:
            self._missed = False
            for panel in tuple(self._panels.values()):
                for which in _WIDE:
                    self._take(await self._shared.get(_key(panel.name, panel.source, which)))

    async def may_probe(self, panel: Panel) -> bool:
        """Whether this node is to make the probe that is due; of those that ask, one is until it is `probed`."""
        key = self._opening(panel)
        return bool(key) and await self._shared.claim(key, PROBE_S)

    async def probed(self, panel: Panel) -> None:
        """The probe was made. One that told nothing, since nothing was sent, is left to whoever comes next."""
        key = self._opening(panel)
        if key:
            await self._shared.release(key)

    def _opening(self, panel: Panel) -> str:
        """Names the opening that is to be probed: every one is probed once; empty = none is due."""
        now = self._clock()
        for which in _WIDE:
            if health.probe_due(panel.circuit(which), now):
                version, node = self._versions.get((panel.name, which), (0, self._node))
                return f"probe:{panel.name}:{panel.source}:{which}:{version}:{node}"
        return ""

    def _turned(self, panel: Panel, which: str, after: health.Health) -> None:
        now, now_ms = self._clock(), self._now_ms()
        version = max(self._versions.get((panel.name, which), (0, ""))[0] + 1, now_ms)
        self._versions[panel.name, which] = (version, self._node)
        self._untold[panel.name, which] = _Turned(
            panel=panel.name,
            source=panel.source,
            which=which,
            version=version,
            node=self._node,
            at_ms=now_ms,
            is_open=after.probe_s is not None,
            pause_s=after.pause_s,
            probe_in_s=0.0 if after.probe_s is None else max(after.probe_s - now, 0.0),
            quiet_in_s=max(after.quiet_s - now, 0.0),
        )
        self._work.set()

    def _hear(self, payload: bytes | None) -> None:
        if payload is None:
            self._missed = True
            self._work.set()
        else:
            self._take(payload)

    def _take(self, packed: bytes | None) -> None:
        """Take over a turn that is newer than what is known here."""
        try:
            turned = None if packed is None else msgspec.msgpack.decode(packed, type=_Turned)
        except msgspec.MsgspecError:
            return  # of another version of this program
        panel = None if turned is None else self._panels.get(turned.panel)
        if turned is None or panel is None or panel.source != turned.source or turned.node == self._node:
            return
        if (turned.version, turned.node) <= self._versions.get((turned.panel, turned.which), (0, "")):
            return
        self._versions[turned.panel, turned.which] = (turned.version, turned.node)
        self._untold.pop((turned.panel, turned.which), None)
        now = self._clock()
        age_s = max(self._now_ms() - turned.at_ms, 0) / 1000
        after = panel.circuit(turned.which)
        if turned.is_open:
            probe_in_s = min(turned.probe_in_s - age_s, 2 * health.LONGEST_PAUSE_S)
            after = health.opened_elsewhere(after, now, pause_s=turned.pause_s, probe_in_s=probe_in_s)
        else:
            after = health.closed_elsewhere(after, now)
        if turned.quiet_in_s > age_s:
            after = health.left_alone(after, now + min(turned.quiet_in_s - age_s, health.LONGEST_PAUSE_S))
        panel.turn(turned.which, after)
        self.heard += 1


def _key(panel: str, source: str, which: str) -> str:
    return f"circuit:{panel}:{source}:{which}"
