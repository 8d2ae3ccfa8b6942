"""One process that sells for one SQLite ledger: a second would take the first one's open attempts for lost ones."""

import fcntl
import os

from gateway.ledger.records import LedgerError
from gateway.settings import beside_ledger, sqlite_path


class LedgerInUse(LedgerError):
    """Another process sells from this ledger."""


class Lock:
    """A lock file beside the ledger, held as long as the process lives; the kernel gives it back when it dies."""

    def __init__(self, url: str) -> None:
        self._ledger = sqlite_path(url).resolve()
        self._path = beside_ledger(url, ".lock")
        self._file: int | None = None

    def take(self) -> None:
        """Take it, or raise LedgerInUse, which names the holder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._ledger.exists() and self._ledger.stat().st_nlink > 1:
            raise LedgerInUse(f"{self._ledger}: it has a second name (a hard link), under which another could sell")
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 32).decode(errors="replace").strip()
            os.close(file)
            raise LedgerInUse(f"{self._ledger}: process {holder} sells from this ledger already; stop it") from None
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._file = file

    def held(self) -> bool:
        """Whether it is still this process's: a lock file that was removed or replaced holds nobody off."""
        if self._file is None:
            return False
        try:
            mine, there = os.fstat(self._file), self._path.stat()
        except OSError:
            return False
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def give_back(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
