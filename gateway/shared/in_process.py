"""The twin for a single node: nothing is shared, nothing can be lost."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from gateway.shared.protocol import Heard, Late, Turn, Window

_log = structlog.get_logger()


class InProcess:
    """As `Shared`. Turns are nobody's to give here: a node keeps to its own share."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[str, tuple[float, bytes]] = {}
        self._claims: dict[str, float] = {}
        self._heard: dict[str, list[Heard]] = {}

    @property
    def epoch(self) -> str:
        return ""

    async def open(self) -> None: ...

    async def close(self) -> None:
        self._values.clear()
        self._claims.clear()
        self._heard.clear()

    async def get(self, key: str, *, large: bool = False) -> bytes | None:  # noqa: ARG002 - nothing is late here
        until, value = self._values.get(key, (0.0, b""))
        return value if self._clock() < until else None

    async def put(self, key: str, value: bytes, ttl_s: float, *, large: bool = False) -> None:  # noqa: ARG002
        now = self._clock()
        self._values = {old: kept for old, kept in self._values.items() if now < kept[0]}
        self._values[key] = (now + ttl_s, value)

    async def claim(self, key: str, ttl_s: float) -> bool:
        now = self._clock()
        self._claims = {old: until for old, until in self._claims.items() if now < until}
        if key in self._claims:
            return False
        self._claims[key] = now + ttl_s
        return True

    async def release(self, key: str) -> None:
        self._claims.pop(key, None)

    async def turn(
        self,
        key: str,  # noqa: ARG002
        window: Window,  # noqa: ARG002
        *,
        is_read: bool,  # noqa: ARG002
        late: Sequence[Late],  # noqa: ARG002
        in_share: bool,  # noqa: ARG002
        alone: bool,  # noqa: ARG002
    ) -> Turn | None:
        return None

    async def count(self, key: str, window: Window, late: Sequence[Late]) -> bool:  # noqa: ARG002
        return False

    async def publish(self, topic: str, payload: bytes) -> None:
        for heard in tuple(self._heard.get(topic, ())):
            asyncio.get_running_loop().call_soon(told, topic, heard, payload)

    def subscribe(self, topic: str, heard: Heard) -> None:
        self._heard.setdefault(topic, []).append(heard)


def told(topic: str, heard: Heard, payload: bytes | None) -> None:
    """Call `heard`; what it makes of a message is no matter of the other listeners'."""
    try:
        heard(payload)
    except Exception as error:  # noqa: BLE001 - a message of another version must not end the listening
        _log.warning("shared", outcome="not_understood", topic=topic, why=f"{type(error).__name__}: {error}")
