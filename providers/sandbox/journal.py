"""What a sandbox did, written before it is answered: the oracle of every test of safety."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing the panel did because it was asked to.

    Attributes:
        time: of the panel's clock, in seconds.
        remote_id: the order.
        service: what was bought (add).
        fields: what the buyer said of the order (add).
        charge: taken from the balance at once (add); a subscription pays later, post by post.
        refill: id of the refill (refill).
        fault: what became of the answer, by its name in `FAULTS`; empty when it went out whole.
    """

    seq: int
    time: float
    action: Literal["add", "refill", "cancel"]
    remote_id: int
    service: str = ""
    type: str = ""
    fields: dict[str, str] = {}
    charge: Decimal = Decimal(0)
    refill: int = 0
    fault: str = ""


_ENCODE: Final = msgspec.json.Encoder()
_DECODE: Final = msgspec.json.Decoder(Entry)


class Journal:
    """Entries in memory and, given a path, as lines of a file: each is with the system before `append` returns.

    A file that is already there is read and carried on; a last line torn by a kill is cut off.
    """

    def __init__(self, path: Path | None, *, fsync: bool) -> None:
        self.entries: list[Entry] = []
        self._fsync = fsync
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self.entries = list(read_journal(path))
            os.ftruncate(self._file, _whole(path.read_bytes()))

    def append(self, entry: Entry) -> None:
        if self._file is not None:
            line = memoryview(_ENCODE.encode(entry) + b"\n")
            while line:
                line = line[os.write(self._file, line) :]
            if self._fsync:
                os.fsync(self._file)
        self.entries.append(entry)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_journal(path: Path) -> tuple[Entry, ...]:
    """The entries of a journal file, also while a sandbox still writes it."""
    body = path.read_bytes()
    return tuple(_DECODE.decode(line) for line in body[: _whole(body)].splitlines())


def _whole(body: bytes) -> int:
    """How many bytes of `body` are whole lines."""
    return body.rfind(b"\n") + 1
