"""What outlives a restart of the catalogue: each panel's last good list, and our ids for its services."""

from collections.abc import Mapping, Sequence

from gateway.ledger.sql.work import ALONE, AMONG_TEXTS, Work, listed

_KEEP = """
    INSERT INTO snapshot (panel, snapshot, fetched_ms) VALUES (?, ?, ?)
    ON CONFLICT (panel) DO UPDATE SET snapshot = excluded.snapshot, fetched_ms = excluded.fetched_ms
    WHERE excluded.fetched_ms >= snapshot.fetched_ms"""
_SNAPSHOT = "SELECT snapshot FROM snapshot WHERE panel = ?"
_SNAPSHOTS = "SELECT panel FROM snapshot ORDER BY panel"
_KNOWN = "SELECT remote_service, id FROM service_id WHERE panel = ? AND remote_service IN " + AMONG_TEXTS  # noqa: S608 - a constant
_HIGHEST = "SELECT COALESCE(MAX(id), 0) FROM service_id"
_GIVE = "INSERT INTO service_id (id, panel, remote_service) VALUES (?, ?, ?)"


def keep_snapshot(panel: str, snapshot: bytes, fetched_ms: int) -> Work[None]:
    """The newer one stays, whichever is written last."""
    yield _KEEP, (panel, snapshot, fetched_ms)


def snapshot(panel: str) -> Work[bytes | None]:
    rows = yield _SNAPSHOT, (panel,)
    return rows[0][0] if rows else None


def snapshots() -> Work[Sequence[str]]:
    rows = yield _SNAPSHOTS, ()
    return tuple(name for (name,) in rows)


def known_ids(panel: str, remote_services: Sequence[str]) -> Work[Mapping[str, int]]:
    rows = yield _KNOWN, (panel, listed(remote_services))
    return dict(rows)


def give_ids(panel: str, remote_services: Sequence[str], first: int, *, keep: bool = True) -> Work[Mapping[str, int]]:
    """The known ids; and for each other service the next above all that were ever given, from `first` on.

    Without `keep` these are not written down.
    """
    if keep:
        yield ALONE, ("service_id",)
    ids = dict((yield from known_ids(panel, remote_services)))
    [(highest,)] = yield _HIGHEST, ()
    id = max(first, highest + 1)
    for remote_service in dict.fromkeys(remote_services):
        if remote_service not in ids:
            if keep:
                yield _GIVE, (id, panel, remote_service)
            ids[remote_service] = id
            id += 1
    return ids
