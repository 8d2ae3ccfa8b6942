"""The demo's folder: rules that people may read and change, keys, journals and the ledger."""

import os
import secrets
from pathlib import Path
from shlex import quote
from typing import Final

from gateway.cli.failure import Exit, Failure
from gateway.ledger.lock import Lock

DEFAULT: Final = ".demo"
_MARK: Final = ".panelmux-demo"
_OURS: Final = ("routing_rules.yaml", "*.key", "*.journal", "ledger.*", "env", _MARK)


class Folder:
    """Paths in the folder, and what is made there once. Nothing is ever deleted that the demo did not make."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rules = path / "routing_rules.yaml"
        self.ledger = path / "ledger.db"
        self.customer = path / "customer.key"

    def prepare(self, *, fresh: bool) -> None:
        """Make the folder, or see that it is a demo's; `fresh`: without what an earlier run left."""
        is_ours = (self.path / _MARK).exists()
        if not is_ours and self.path.is_dir() and any(self.path.iterdir()):
            raise Failure(f"{self.path}: not empty, and not made by a demo; --dir chooses another", Exit.MISUSE)
        if is_ours:
            # A demo that runs here keeps its panels' ports and its files: LedgerInUse before anything is touched.
            lock = Lock(self.ledger_url)
            lock.take()
            lock.give_back()
        self.path.mkdir(parents=True, exist_ok=True)
        if fresh:
            for pattern in _OURS:
                for left in self.path.glob(pattern):
                    left.unlink()
        (self.path / _MARK).touch()

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.ledger}"

    @property
    def option(self) -> str:
        """What of the command line leads here again."""
        return "" if self.path == Path(DEFAULT).absolute() else f" --dir {quote(str(self.path))}"

    def journal(self, panel: str) -> Path:
        return self.path / f"{panel}.journal"

    def panel_key(self, panel: str) -> Path:
        """The file that holds our key at a sandbox panel; made at first use."""
        file = self.path / f"{panel}.key"
        if not file.exists():
            keep(file, secrets.token_hex(16))
        return file

    def customer_key(self) -> str | None:
        return self.customer.read_text().strip() if self.customer.exists() else None

    def shell(self, program: Path) -> str:
        """What makes commands in another shell look at the demo; short, for it is pasted from tables that wrap."""
        file = self.path / "env"
        file.write_text(
            f"export PANELMUX_RULES={quote(str(self.rules))}\n"
            f"export PANELMUX_LEDGER={quote(self.ledger_url)}\n"
            f'export PATH={quote(str(program.parent))}:"$PATH"\n'
        )
        return f". {quote(str(file))}"


def keep(file: Path, text: str) -> None:
    """Write a secret where only its owner reads it."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text + "\n")
