"""Hears what nodes tell each other: one connection for all topics, made anew whenever it is lost or silent."""

import asyncio
import contextlib
from typing import Final

import redis.asyncio
from redis.asyncio.client import PubSub

from gateway.shared.connecting import Clients, heeding
from gateway.shared.in_process import told
from gateway.shared.protocol import Heard

SILENT_S: Final = 1.0
"""After so long without a word the server is asked whether it is there; after as long again it is not."""

_CONNECT_S: Final = 2.0


class Listening:
    """Messages of all topics below `prefix`. Those that come while it is not connected are missed, and that is told."""

    def __init__(self, clients: Clients, prefix: str, *, pause_s: float, silent_s: float) -> None:
        """After a failure it waits `pause_s` seconds before it connects again; see `SILENT_S` for `silent_s`."""
        self._clients = clients
        self._prefix = prefix
        self._pause_s = pause_s
        self._silent_s = silent_s
        self._heard: dict[str, list[Heard]] = {}

    def subscribe(self, topic: str, heard: Heard) -> None:
        self._heard.setdefault(topic, []).append(heard)

    async def follow(self) -> None:
        """Listen, and connect again; the store's own looks tell of outages. Never ends."""
        while True:
            with contextlib.suppress(Exception):  # it is tried again, and those who listen look for themselves
                await self._listen()
            await asyncio.sleep(self._pause_s)

    async def _listen(self) -> None:
        with heeding():
            async with asyncio.timeout(_CONNECT_S):
                await self._clients.connect()
                client, close = self._clients.listening()
        try:
            await self._hear(client)
        finally:
            await close()

    async def _hear(self, client: redis.asyncio.Redis) -> None:
        pubsub = client.pubsub()
        try:
            with heeding():
                async with asyncio.timeout(_CONNECT_S):
                    await pubsub.psubscribe(self._prefix + "*")
            asked = False
            while True:
                with heeding():
                    message = await self._next(pubsub)
                    if message is None and asked:
                        return
                    asked = message is None
                    if asked:
                        await pubsub.ping()
                if message is None:
                    continue
                if message["type"] == "psubscribe":
                    self._missed()
                elif message["type"] == "pmessage":
                    self._tell(message["channel"], message["data"])
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _next(self, pubsub: PubSub) -> dict[str, object] | None:
        return await pubsub.get_message(timeout=self._silent_s)  # type: ignore[no-any-return]

    def _missed(self) -> None:
        for topic, listeners in self._heard.items():
            for heard in listeners:
                told(topic, heard, None)

    def _tell(self, channel: object, payload: object) -> None:
        if isinstance(channel, bytes) and isinstance(payload, bytes):
            topic = channel.decode(errors="replace").removeprefix(self._prefix)
            for heard in self._heard.get(topic, ()):
                told(topic, heard, payload)
