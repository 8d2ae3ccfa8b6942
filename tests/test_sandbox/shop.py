"""A small shop for the tests: a row of every type, a clock to turn by hand, a socket that tells how it was closed."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec

from providers.sandbox import Tempo
from providers.service_types import TYPES

KEY: Final = "k-1234"
LINK: Final = "https://social.example/p/1"

ROWS: Final[tuple[Mapping[str, object], ...]] = tuple(
    {
        "service": number,
        "name": f"{type} of the shop",
        "type": type,
        "category": "All",
        "rate": "2.00",
        "min": "1" if type != "Default" else "10",
        "max": "10000",
        "dripfeed": True,
        "refill": True,
        "cancel": True,
    }
    for number, type in enumerate(TYPES, start=1)
)
"""Service 1 is Default, then the other types in the order of `TYPES`; 2.00 for 1000 units, or for one order."""

SERVICES: Final[Mapping[str, str]] = {type: str(number) for number, type in enumerate(TYPES, start=1)}

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "Default": {"link": LINK, "quantity": "500"},
    "Package": {"link": LINK},
    "SEO": {"link": LINK, "quantity": "500", "keywords": "cats,dogs"},
    "Custom Comments": {"link": LINK, "comments": "nice\r\n\r\ngreat, really\n"},
    "Custom Comments Package": {"link": LINK, "comments": "nice\ngreat"},
    "Comment Replies": {"link": LINK, "username": "ann", "comments": "yes\nno\nperhaps"},
    "Comment Likes": {"link": LINK, "quantity": "500", "username": "ann"},
    "Mentions": {"link": LINK, "quantity": "500", "usernames": "ann\nbob"},
    "Mentions with Hashtags": {"link": LINK, "quantity": "500", "usernames": "ann", "hashtags": "cats\ndogs"},
    "Mentions Custom List": {"link": LINK, "usernames": "ann,bob,cid,dan"},
    "Mentions Hashtag": {"link": LINK, "quantity": "500", "hashtag": "cats"},
    "Mentions User Followers": {"link": LINK, "quantity": "500", "username": "https://social.example/ann"},
    "Mentions Media Likers": {"link": LINK, "quantity": "500", "media": "https://social.example/p/2"},
    "Poll": {"link": LINK, "quantity": "500", "answer_number": "2"},
    "Invites from Groups": {"link": LINK, "quantity": "500", "groups": "cats\ndogs"},
    "Web Traffic": {
        "link": LINK,
        "quantity": "500",
        "country": "DE",
        "device": "5",
        "type_of_traffic": "1",
        "google_keyword": "cats",
    },
    "Subscriptions": {"username": "ann", "min": "100", "max": "200", "delay": "0", "posts": "3"},
}
"""A good order of each type, without its service."""


TEMPO: Final = Tempo(pending=(10, 10), work=(100, 100), cancel=(4, 4), refill=(20, 20), post=(50, 50))
LATER: Final = 10_000.0  # seconds, after everything


class Clock:
    """Time that moves when it is told to, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Buyer:
    """Speaks to a panel as the field's clients do: a form by POST."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def ask(self, action: str, **fields: str) -> Any:
        async with self.session.post(self.url, data={"key": KEY, "action": action, **fields}) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/json"
            return await response.json()

    async def add(self, type: str = "Default", **fields: str) -> Any:
        return await self.ask("add", **{"service": SERVICES[type], **FIELDS[type], **fields})


class Seen(msgspec.Struct, frozen=True):
    """What came back on a connection, and how it was left."""

    raw: bytes
    end: Literal["open", "closed", "reset"]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def code(self) -> int:
        return int(self.raw.split(b" ", 2)[1])


async def exchange(url: str, fields: Mapping[str, str], *, patience_s: float = 10) -> Seen:
    """POST a form on a connection of its own; an answer that is whole by its Content-Length leaves it open."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    body = urlencode(fields).encode()
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    raw = b""
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(patience_s):
            while not _is_whole(raw):
                part = await reader.read(65_536)
                if not part:
                    return Seen(raw, "closed")
                raw += part
        return Seen(raw, "open")
    except TimeoutError:
        return Seen(raw, "open")
    except ConnectionError:
        return Seen(raw, "reset")
    finally:
        writer.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what the panel does on its own."""
    while not is_so():  # noqa: ASYNC110 - the panel has nothing to signal it with
        await asyncio.sleep(0.005)


def _is_whole(raw: bytes) -> bool:
    head, end, body = raw.partition(b"\r\n\r\n")
    _, has_length, length = head.lower().partition(b"content-length: ")
    return bool(end and has_length) and len(body) >= int(length.split(b"\r\n")[0])
