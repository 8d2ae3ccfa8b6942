"""The demo's own customer: buys over HTTP like any other, so that there is something to see."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec

from gateway.cli.output import say

ORDERS: Final[tuple[Mapping[str, str], ...]] = (
    {"service": "1", "quantity": "1000", "link": "https://instagram.example/someone"},
    {"service": "2", "quantity": "500", "link": "https://instagram.example/p/1"},
    {"service": "2", "quantity": "250", "link": "https://instagram.example/p/2"},
    {"service": "5", "quantity": "1500", "link": "https://telegram.example/channel"},
    {"service": "4", "comments": "Nice\nGreat work\nMore of this", "link": "https://youtube.example/watch"},
    {"service": "6", "quantity": "500", "runs": "3", "interval": "3", "link": "https://website.example/"},
    {"service": "3", "quantity": "20000", "link": "https://tiktok.example/v/1"},
)


async def shop(url: str, key: str, *, pause_s: float = 0.7) -> None:
    """Place the orders, one after another, with a pause between two."""
    async with aiohttp.ClientSession() as session:
        for order in ORDERS:
            form = {"key": key, "action": "add", **order}
            async with session.post(url, data=form) as answer:
                reply = msgspec.json.decode(await answer.read())
            if "error" in reply:
                say(f"service {order['service']}: {reply['error']}")
            await asyncio.sleep(pause_s)
