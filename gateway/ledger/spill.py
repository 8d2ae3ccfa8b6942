"""Ids that the ledger could not take at once: kept in a file beside it, and written into it before anything else.

The file has its whole length from the beginning, so that a full disk has nothing to refuse; each entry is on disk
before `put` returns. While it is open it is locked: no other process has it. All calls are synchronous, and safe from
any thread.
"""

import fcntl
import os
import threading
import zlib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gateway.ledger.records import Accepted, LedgerUnusable

_log = structlog.get_logger()

SLOTS: Final = 4096
SLOT: Final = 256
"""Bytes of an entry: a length, a checksum, and JSON; zeros where it is free."""

_HEAD: Final = 8
_FREE: Final = bytes(SLOT)


class SpillFull(Exception):
    """Every place is taken."""


class Spilled(msgspec.Struct, frozen=True):
    """An id that was kept, of which attempt, and in which place."""

    slot: int
    attempt: int
    accepted: Accepted


class _Entry(msgspec.Struct, array_like=True):
    attempt: int
    remote_id: str
    charge: str | None


class Spill:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the file whole, or take it as it is.

        Raises:
            LedgerUnusable: it cannot be made: no room, no right; or another process has it open.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.posix_fallocate(file, 0, SLOTS * SLOT)
                os.fsync(file)
            except OSError:
                os.close(file)
                raise
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BlockingIOError:
            raise LedgerUnusable(
                f"{self._path}: another process has it open; give each a PANELMUX_NODE of its own"
            ) from None
        except OSError as error:
            raise LedgerUnusable(f"{self._path}: {error.strerror}") from error
        self._file = file
        self._taken = {spilled.slot for spilled in self.left()}

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def put(self, attempt: int, accepted: Accepted) -> int:
        """Keep an id; gives its place, for `free`.

        Raises:
            SpillFull, OSError, ValueError: it is not kept; the text says why.
        """
        charge = None if accepted.charge is None else f"{accepted.charge:f}"
        body = msgspec.json.encode(_Entry(attempt, accepted.remote_id, charge))
        if len(body) > SLOT - _HEAD:
            raise ValueError(f"attempt {attempt}: its id takes more than {SLOT - _HEAD} bytes")
        with self._lock:
            slot = next((number for number in range(SLOTS) if number not in self._taken), None)
            if slot is None:
                raise SpillFull(f"{self._path}: all {SLOTS} places are taken")
            head = len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4)
            self._write(slot, (head + body).ljust(SLOT, b"\0"))
            self._taken.add(slot)
        return slot

    def free(self, slot: int) -> None:
        """The ledger has it now."""
        with self._lock:
            self._write(slot, _FREE)
            self._taken.discard(slot)

    def left(self) -> Sequence[Spilled]:
        """What is kept, the half-written left out: that was never promised to anybody."""
        content = os.pread(self._opened(), SLOTS * SLOT, 0)
        found = []
        for slot in range(len(content) // SLOT):
            piece = content[slot * SLOT : (slot + 1) * SLOT]
            if piece == _FREE:
                continue
            body = piece[_HEAD : _HEAD + int.from_bytes(piece[:4])]
            if zlib.crc32(body) != int.from_bytes(piece[4:8]):
                _log.error("spill", slot=slot, outcome="torn", then="its attempt is found by evidence")
                continue
            entry = msgspec.json.decode(body, type=_Entry)
            charge = None if entry.charge is None else Decimal(entry.charge)
            accepted = Accepted(remote_id=entry.remote_id, charge=charge, evidence='{"kept":"beside the ledger"}')
            found.append(Spilled(slot, entry.attempt, accepted))
        return found

    def _write(self, slot: int, piece: bytes) -> None:
        os.pwrite(self._opened(), piece, slot * SLOT)
        os.fdatasync(self._opened())

    def _opened(self) -> int:
        if self._file is None:
            raise OSError(f"{self._path}: not open")
        return self._file
