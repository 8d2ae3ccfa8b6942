"""The answer to `services`: written once for each version of the catalogue, plain and compressed.

An empty list is never answered, whatever the reason: buyers' shops delete their catalogue by it. HTTP 503 without a
body is what they all take for a passing fault; `{"error"}` some of them take for a list. If-None-Match is honoured on
POST too: it is how this API is read, and only who knows our ETag can send one.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final, TypedDict, Unpack

import msgspec

from gateway.api_v2.asgi import Answer, Headers, silence
from gateway.api_v2.needs import Catalog
from gateway.catalog.services import Service
from gateway.money import wire

_AT_ONCE: Final = 250
"""Rows written between two turns of the loop: some two milliseconds."""

_LEVEL: Final = 6
_NO_GZIP: Final = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class Manner(TypedDict):
    """What a request says of how it is to be answered: two headers, empty where they are absent."""

    if_none_match: bytes
    accept_encoding: bytes


class _Row(msgspec.Struct):
    """A row of the seed document, with `dripfeed`, which shops in the field read without looking whether it is there,
    and `desc`, the name under which the most copied of them reads a description.
    """

    service: int
    name: str
    type: str
    category: str
    rate: str
    min: str
    max: str
    refill: bool
    cancel: bool
    dripfeed: bool
    desc: str | msgspec.UnsetType = msgspec.UNSET


class _Written(msgspec.Struct, frozen=True):
    version: int
    plain: Answer
    packed: Answer
    unchanged: Answer
    etag: bytes


class Listing:
    def __init__(self, catalog: Catalog, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self._catalog = catalog
        self._tell = tell
        self._written: dict[str, _Written] = {}  # by account; empty for all that have no list of their own
        self._writing = asyncio.Lock()

    async def answer(self, account: str, **manner: Unpack[Manner]) -> Answer:
        """Today's list for an account, or that it is the one the customer has."""
        whose = self._whose(account)
        written = self._written.get(whose)
        if written is None or written.version != self._catalog.version:
            async with self._writing:
                written = await self._rewritten(whose)
            if written is None:
                return silence(503)
        return _told(written, **manner)

    def last(self, account: str, **manner: Unpack[Manner]) -> Answer | None:
        """The list that was written last for an account, if there is one."""
        written = self._written.get(self._whose(account))
        if written is None:
            return None
        self._tell("services")
        return _told(written, **manner)

    def _whose(self, account: str) -> str:
        return account if self._catalog.is_apart(account) else ""

    async def _rewritten(self, whose: str) -> _Written | None:
        """None while there is nothing to list."""
        version, known = self._catalog.version, self._written.get(whose)
        if known is not None and known.version == version:
            return known  # by whoever held the lock before
        services = await self._catalog.list_for(whose)
        if not services:
            return None
        self._written = {name: one for name, one in self._written.items() if one.version == version}
        self._written[whose] = await _write(version, services)
        return self._written[whose]


def _told(written: _Written, *, if_none_match: bytes, accept_encoding: bytes) -> Answer:
    if written.etag in if_none_match:
        return written.unchanged
    gzipped = b"gzip" in accept_encoding and not _NO_GZIP.search(accept_encoding)
    return written.packed if gzipped else written.plain


async def _write(version: int, services: Sequence[Service]) -> _Written:
    encoder, parts = msgspec.json.Encoder(), []
    for start in range(0, len(services), _AT_ONCE):
        parts.append(encoder.encode([_row(service) for service in services[start : start + _AT_ONCE]])[1:-1])
        await asyncio.sleep(0)
    body = b"[%s]" % b",".join(parts)
    packed = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
    etag = b'"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
    same: Headers = ((b"etag", b"W/" + etag), (b"vary", b"Accept-Encoding"), (b"cache-control", b"private, no-cache"))
    headers: Headers = ((b"content-type", b"application/json"), *same)
    return _Written(
        version=version,
        plain=Answer(body, 200, headers),
        packed=Answer(packed, 200, (*headers, (b"content-encoding", b"gzip"))),
        unchanged=Answer(b"", 304, same),
        etag=etag,
    )


def _row(service: Service) -> _Row:
    """`dripfeed` is shown only where a panel says it; where none does, an order with runs is tried all the same."""
    return _Row(
        service=service.id,
        name=service.name,
        type=service.type,
        category=service.category,
        rate=wire(service.rate),
        min=str(service.min),
        max=str(service.max),
        refill=service.refill,
        cancel=service.cancel,
        dripfeed=service.dripfeed is True,
        desc=service.description or msgspec.UNSET,
    )
