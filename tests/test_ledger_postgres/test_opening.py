"""Opening: the schema and its migrations, what is refused, how the server is asked."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.ledger import ledger
from gateway.ledger.postgres import schema
from gateway.ledger.postgres.connection import connect
from gateway.ledger.postgres.database import Postgres
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import LedgerBusy, LedgerError, LedgerUnusable
from gateway.ledger.sql.migrations import Migration
from tests import databases
from tests.test_ledger.samples import funded, placement

pytestmark = pytest.mark.anyio


async def test_a_ledger_of_a_newer_program_is_refused(kept: Ledger, url: str, raw: Any) -> None:
    await raw.execute("INSERT INTO schema VALUES (99, '0099_later', 'x', 1)")
    with pytest.raises(LedgerUnusable, match="schema is version 99, this program knows 1; run the newer program"):
        await ledger(url).open()
    assert await kept.create_account("shop"), "one that was open goes on"


async def test_a_migration_that_was_altered_since_is_refused(kept: Ledger, url: str, raw: Any) -> None:
    await raw.execute("UPDATE schema SET checksum = 'other' WHERE version = 1")
    with pytest.raises(LedgerUnusable, match="0001_ledger is not the one that was applied"):
        await ledger(url).open()


async def test_a_database_of_something_else_is_refused_and_left_alone(url: str, raw: Any) -> None:
    await raw.execute("CREATE TABLE songs (id INTEGER)")
    with pytest.raises(LedgerUnusable, match="a database of something else; tables: songs"):
        await ledger(url).open()
    assert [tuple(row) for row in await raw.fetch(schema._TABLES)] == [("songs",)]


async def test_a_migration_is_applied_whole_or_not_at_all(raw: Any) -> None:
    first = Migration(1, "0001_one", "CREATE TABLE one (id INTEGER);\n")
    broken = Migration(2, "0002_two", "CREATE TABLE two (id INTEGER);\nCREATE TABLE one (id INTEGER);\n")
    await schema.migrate(raw, (first,), 1)
    with pytest.raises(asyncpg.DuplicateTableError):
        await schema.migrate(raw, (first, broken), 2)
    assert [tuple(row) for row in await raw.fetch(schema._TABLES)] == [("one",), ("schema",)]
    mended = Migration(2, "0002_two", "CREATE TABLE two (id INTEGER);\n")
    await schema.migrate(raw, (first, mended), 3)
    rows = await raw.fetch("SELECT version, name, applied_ms FROM schema ORDER BY version")
    assert [tuple(row) for row in rows] == [(1, "0001_one", 1), (2, "0002_two", 3)]


async def test_programs_that_open_an_empty_database_at_once_all_succeed(url: str, raw: Any) -> None:
    opened = [ledger(url) for _ in range(6)]
    await asyncio.gather(*(one.open() for one in opened))
    assert await raw.fetchval("SELECT COUNT(*) FROM schema") == len(schema.migrations())
    account = await funded(opened[0])
    placed = await asyncio.gather(*(one.place(placement(account, link=str(id(one)))) for one in opened))
    assert len({one.order for one in placed}) == len(opened)
    for one in opened:
        await one.close()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("/postgres?", "/nowhere?"), LedgerUnusable, 'database "nowhere" does not exist'),
        (("panelmux@", "nobody@"), LedgerUnusable, 'role "nobody" does not exist'),
        (("host=/", "host=/not/there"), LedgerBusy, r"ledger: postgresql:///postgres\?host=/not/there.*: \[Errno 2\]"),
        (("search_path=", "search_path=not_there_"), LedgerUnusable, "no schema has been selected"),
    ],
    ids=["database", "role", "server", "schema"],
)
async def test_where_no_ledger_can_be_it_is_said(
    url: str, change: tuple[str, str], kind: type[LedgerError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        await ledger(url.replace(*change)).open()


def test_a_url_that_names_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not sqlite:///PATH"):
        ledger("mysql://host/database")


async def test_whatever_the_server_is_set_to_a_commit_is_on_disk_and_sees_what_was_committed_before(url: str) -> None:
    """A ledger stands on both, and not on what somebody set for the role."""
    admin = await asyncpg.connect(databases.server().url())
    settings = {"synchronous_commit": "off", "default_transaction_isolation": "serializable", "statement_timeout": "0"}
    try:
        for name, value in settings.items():
            await admin.execute(f"ALTER ROLE panelmux SET {name} = '{value}'")
        connection = await connect(url)
        asked = {name: await connection.fetchval(f"SHOW {name}") for name in settings}
        await connection.close()
    finally:
        for name in settings:
            await admin.execute(f"ALTER ROLE panelmux RESET {name}")
        await admin.close()
    assert asked == {
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "statement_timeout": "30s",
    }


async def test_connections_are_made_as_they_are_needed_and_all_are_gone_at_the_end(
    kept: Ledger, database: Postgres, url: str, raw: Any
) -> None:
    name = url.rpartition("=")[2]
    count = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'panelmux'"
    assert database._writers is not None
    account = await funded(kept)
    assert await raw.fetchval(count) == 2, "one that writes, one that reads"
    await asyncio.gather(*(kept.place(placement(account, link=f"{name}{number}")) for number in range(60)))
    assert 2 < await raw.fetchval(count) <= 12
    await kept.close()
    await raw.close()
    again = await asyncpg.connect(url)
    assert await again.fetchval(count) == 0
    await again.close()
