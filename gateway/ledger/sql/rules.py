"""The rules files that were in force, so that one can be compared with another, and put back."""

from collections.abc import Sequence
from typing import Final

from gateway.ledger.reports import RulesFile
from gateway.ledger.sql.work import ALONE, Work

_KEPT: Final = 200  # files that are kept
_LAST = "SELECT version, why FROM rules_file ORDER BY id DESC LIMIT 1"
_KEEP = "INSERT INTO rules_file (version, text, why, at_ms) VALUES (?, ?, ?, ?)"
_PRUNE = "DELETE FROM rules_file WHERE id <= (SELECT MAX(id) FROM rules_file) - ?"
_FILES = "SELECT id, version, text, why, at_ms FROM rules_file ORDER BY id DESC LIMIT ?"


def keep(version: str, text: str, why: str, now_ms: int) -> Work[None]:
    yield ALONE, ("rules",)
    if (yield _LAST, ()) != [(version, why)]:
        yield _KEEP, (version, text, why, now_ms)
        yield _PRUNE, (_KEPT,)


def files(limit: int) -> Work[Sequence[RulesFile]]:
    rows = yield _FILES, (limit,)
    return tuple(RulesFile(id=id, version=version, text=text, why=why, at_ms=at) for id, version, text, why, at in rows)
