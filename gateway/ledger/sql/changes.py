"""How panels' lists changed, and the rows that people approved of. Rows are JSON of `RemoteService`."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.ledger.reports import RowChange
from gateway.ledger.sql.work import ALONE, Row, Work

_KEPT_MS: Final = 90 * 86_400_000
_VERSION = "SELECT COALESCE(MAX(version), 0) FROM row_change WHERE panel = ?"
_KEEP = "INSERT INTO row_change (panel, version, remote_service, was, now, at_ms) VALUES (?, ?, ?, ?, ?, ?)"
_PRUNE = "DELETE FROM row_change WHERE at_ms < ?"
_FIELDS: Final = "SELECT panel, version, remote_service, was, now, at_ms FROM row_change WHERE panel = ? "
_SINCE = _FIELDS + "AND version > ? ORDER BY id DESC LIMIT ?"
_OF_SERVICE = _FIELDS + "AND remote_service = ? ORDER BY id DESC LIMIT ?"
_APPROVED = "SELECT remote_service, row FROM approved WHERE panel = ?"
_APPROVE = """
    INSERT INTO approved (panel, remote_service, row, at_ms) VALUES (?, ?, ?, ?)
    ON CONFLICT (panel, remote_service) DO UPDATE SET row = excluded.row, at_ms = excluded.at_ms"""
_FORGET = "DELETE FROM approved WHERE panel = ?"


def keep(panel: str, changes: Sequence[tuple[str, str | None, str | None]], now_ms: int) -> Work[int]:
    """The rows of a list that changed at once, as one version; gives its number."""
    yield ALONE, (f"changes {panel}",)
    version = (yield from latest(panel)) + 1
    for remote_service, was, now in changes:
        yield _KEEP, (panel, version, remote_service, was, now, now_ms)
    yield _PRUNE, (now_ms - _KEPT_MS,)
    return version


def latest(panel: str) -> Work[int]:
    [(version,)] = yield _VERSION, (panel,)
    return int(version)


def since(panel: str, version: int, limit: int) -> Work[Sequence[RowChange]]:
    rows = yield _SINCE, (panel, version, limit)
    return tuple(map(_change, rows))


def of_service(panel: str, remote_service: str, limit: int) -> Work[Sequence[RowChange]]:
    rows = yield _OF_SERVICE, (panel, remote_service, limit)
    return tuple(map(_change, rows))


def approved(panel: str) -> Work[Mapping[str, str]]:
    rows = yield _APPROVED, (panel,)
    return dict(rows)


def approve(panel: str, rows: Mapping[str, str], now_ms: int) -> Work[None]:
    for remote_service, row in rows.items():
        yield _APPROVE, (panel, remote_service, row, now_ms)


def forget(panel: str) -> Work[None]:
    yield _FORGET, (panel,)


def _change(row: Row) -> RowChange:
    panel, version, remote_service, was, now, at_ms = row
    return RowChange(panel=panel, version=version, remote_service=remote_service, was=was, now=now, at_ms=at_ms)
