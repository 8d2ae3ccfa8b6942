"""Numbered files that bring a ledger's tables up to date. Each one applied is remembered with its checksum."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources

import msgspec

from gateway.ledger.records import LedgerUnusable


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    text: str

    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def known(package: str) -> Sequence[Migration]:
    """Those of a kind of ledger, oldest first: 0001_ledger.sql is version 1, and so on."""
    folder = resources.files(package) / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files
    )


def compare(ledger: str, applied: Mapping[int, str], known: Sequence[Migration]) -> None:
    """Hold the checksums that a ledger has, by version, against those of a program.

    Raises:
        LedgerUnusable: it is newer, or another one.
    """
    newest = known[-1].version
    if applied and max(applied) > newest:
        raise LedgerUnusable(
            f"{ledger}: its schema is version {max(applied)}, this program knows {newest}; run the newer program"
        )
    for migration in known:
        if applied.get(migration.version, migration.checksum()) != migration.checksum():
            raise LedgerUnusable(f"{ledger}: migration {migration.name} is not the one that was applied to it")
