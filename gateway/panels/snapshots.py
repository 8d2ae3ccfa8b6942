"""A panel's list as it is kept: in the ledger, and for other nodes."""

import hashlib
import zlib
from itertools import chain
from typing import Final

import msgspec

from providers.base import RemoteService, Skipped

_PART: Final = 1_000  # rows that are packed or unpacked in one go: a few milliseconds, so that other threads come in


class Held(msgspec.Struct, frozen=True, gc=False):
    """A row of a panel's list that waits until people have looked, and why, in words for them."""

    row: RemoteService
    why: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A panel's list, and when it was fetched.

    Attributes:
        source: which site it came from; after the rules name another site, its list is none of the panel's.
        fetched_ms: milliseconds since 1970.
        rows: those in use.
        held: what the panel says now of some of them, and nobody has said yes to.
    """

    panel: str
    source: str
    fetched_ms: int
    rows: tuple[RemoteService, ...]
    skipped: tuple[Skipped, ...] = ()
    held: tuple[Held, ...] = ()


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    panel: str
    source: str
    fetched_ms: int
    parts: tuple[bytes, ...]
    skipped: tuple[Skipped, ...]
    held: tuple[Held, ...] = ()


def pack(snapshot: Snapshot) -> bytes:
    """A snapshot as other nodes and the ledger keep it: about a sixth of the panel's own answer."""
    encode = msgspec.msgpack.Encoder().encode
    rows = snapshot.rows
    parts = tuple(zlib.compress(encode(rows[at : at + _PART]), 1) for at in range(0, len(rows), _PART))
    return encode(_Packed(snapshot.panel, snapshot.source, snapshot.fetched_ms, parts, snapshot.skipped, snapshot.held))


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """Which list there is for nodes to take: when it was fetched, and a word that is the same for the same rows."""

    panel: str
    source: str
    fetched_ms: int
    rows: str


def stamp(packed: bytes) -> Stamp:
    """The stamp of a packed snapshot."""
    whole = msgspec.msgpack.decode(packed, type=_Packed)
    said = msgspec.msgpack.encode((whole.parts, whole.skipped, whole.held))
    return Stamp(whole.panel, whole.source, whole.fetched_ms, hashlib.blake2b(said, digest_size=8).hexdigest())


def unpack(packed: bytes) -> Snapshot:
    """Undo `pack`.

    Raises:
        ValueError: it was packed by something else.
    """
    try:
        whole = msgspec.msgpack.decode(packed, type=_Packed)
        decode = msgspec.msgpack.Decoder(tuple[RemoteService, ...]).decode
        rows = tuple(chain.from_iterable(decode(zlib.decompress(part)) for part in whole.parts))
    except (msgspec.MsgspecError, zlib.error) as wrong:
        raise ValueError(f"not a packed snapshot: {wrong}") from None
    return Snapshot(
        panel=whole.panel,
        source=whole.source,
        fetched_ms=whole.fetched_ms,
        rows=rows,
        skipped=whole.skipped,
        held=whole.held,
    )
