"""deploy/backup.sh and deploy/restore.sh, with real ledgers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.topology import DEPLOY, PostgreSQL

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def ran(environ: Mapping[str, str], *words: str | Path, code: int = 0, said: str = "") -> str:
    """Run a program; gives what it printed, and fails where it ends with another code."""
    given = [str(word) for word in words]
    done = subprocess.run(given, env=dict(environ), input=said, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def backed_up(environ: Mapping[str, str], folder: Path) -> Path:
    """One more backup; gives its file."""
    return Path(ran(environ, DEPLOY / "backup.sh", folder).strip())


@pytest.fixture
def sqlite(tmp_path: Path) -> dict[str, str]:
    """The settings of a ledger with an account of 100."""
    environ = {"PATH": PATH, "HOME": str(tmp_path), "PANELMUX_LEDGER": f"sqlite:///{tmp_path}/kept/ledger.db"}
    ran(environ, "panelmux", "account", "create", "shop", "--balance", "100")
    return environ


def balance(environ: Mapping[str, str]) -> str:
    (account,) = json.loads(ran(environ, "panelmux", "account", "list", "--json"))
    return str(account["balance"])


def test_a_sqlite_ledger_comes_back_as_it_was(sqlite: dict[str, str], tmp_path: Path) -> None:
    kept = backed_up(sqlite, tmp_path / "backups")
    ran(sqlite, "panelmux", "account", "topup", "shop", "11")
    ran(sqlite, DEPLOY / "restore.sh", kept, "--yes")
    assert balance(sqlite) == "100.00"
    ran(sqlite, "panelmux", "ledger", "check")


def test_a_sqlite_ledger_comes_back_on_another_machine_with_its_pepper(sqlite: dict[str, str], tmp_path: Path) -> None:
    kept = backed_up(sqlite, tmp_path / "backups")
    elsewhere = {**sqlite, "PANELMUX_LEDGER": f"sqlite:///{tmp_path}/elsewhere/ledger.db"}
    ran(elsewhere, DEPLOY / "restore.sh", kept, "--yes")
    assert balance(elsewhere) == "100.00"
    pepper = (tmp_path / "elsewhere" / "ledger.db.pepper").read_text()
    assert pepper == (tmp_path / "kept" / "ledger.db.pepper").read_text()


def test_another_pepper_stops_a_restore_before_it_begins(sqlite: dict[str, str], tmp_path: Path) -> None:
    kept = backed_up(sqlite, tmp_path / "backups")
    ran(sqlite, "panelmux", "account", "topup", "shop", "11")
    (tmp_path / "kept" / "ledger.db.pepper").write_text("00" * 32)
    assert "not the pepper" in ran(sqlite, DEPLOY / "restore.sh", kept, "--yes", code=3)
    assert balance(sqlite) == "111.00"


def test_a_backup_that_was_changed_is_refused(sqlite: dict[str, str], tmp_path: Path) -> None:
    kept = backed_up(sqlite, tmp_path / "backups")
    with kept.open("ab") as file:
        file.write(b"\0")
    ran(sqlite, DEPLOY / "restore.sh", kept, "--yes", code=1)


def test_what_is_in_a_backup_is_for_its_owner_alone(sqlite: dict[str, str], tmp_path: Path) -> None:
    kept = backed_up(sqlite, tmp_path / "backups")
    for file in (kept, Path(f"{kept}.pepper"), tmp_path / "backups"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_old_backups_go_and_nothing_else_does(sqlite: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    names = ["panelmux-20200101T000000Z.db", "panelmux-20200101T000000Z.db.pepper", "notes.txt"]
    for name in names:
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    kept = backed_up(sqlite, folder)
    assert {file.name for file in folder.iterdir()} == {
        "notes.txt",
        kept.name,
        f"{kept.name}.pepper",
        f"{kept.name}.sha256",
    }


@pytest.mark.parametrize(
    ("words", "environ", "code"),
    [
        ([], {}, 2),
        (["/nowhere"], {"KEEP_DAYS": "many"}, 2),
        (["{tmp}"], {"PANELMUX_LEDGER": "mysql://db"}, 3),
    ],
)
def test_a_backup_that_cannot_be_says_so(words: list[str], environ: dict[str, str], code: int, tmp_path: Path) -> None:
    given = [word.format(tmp=tmp_path) for word in words]
    assert ran({"PATH": PATH, **environ}, DEPLOY / "backup.sh", *given, code=code)


@pytest.fixture
def postgresql() -> Iterator[tuple[PostgreSQL, dict[str, str]]]:
    """A PostgreSQL with a row in it, and the settings that name it."""
    folder = Path(tempfile.mkdtemp(prefix="backup-"))
    folder.chmod(0o755)  # it runs as somebody else where the tests run as root
    made = PostgreSQL("postgresql", folder, {"PATH": PATH})
    made.start()
    try:
        environ = {"PATH": f"{made.programs}:{PATH}", "PANELMUX_LEDGER": made.url, "PANELMUX_PEPPER": "p" * 32}
        ran(environ, "panelmux", "account", "create", "shop", "--balance", "100")
        asked(made, "CREATE TABLE kept (what text); INSERT INTO kept VALUES ('before')")
        yield made, environ
    finally:
        made.kill()
        shutil.rmtree(folder)


def asked(database: PostgreSQL, sql: str) -> str:
    return database.client("psql", "--dbname=panelmux", "-v", "ON_ERROR_STOP=1", "-tAc", sql).stdout.strip()


def test_a_postgresql_ledger_comes_back_and_what_was_there_is_kept(postgresql: Any, tmp_path: Path) -> None:
    database, environ = postgresql
    kept = backed_up(environ, tmp_path / "backups")
    asked(database, "INSERT INTO kept VALUES ('after')")
    said = ran(environ, DEPLOY / "restore.sh", kept, "--yes", code=5)
    assert "start the gateways" in said
    assert "Orders placed since are at the panels" in said
    assert int(asked(database, "SELECT last_value FROM order_ids")) > 1_000_000
    assert asked(database, "SELECT what FROM kept") == "before"
    (aside,) = asked(database, "SELECT datname FROM pg_database WHERE datname LIKE 'panelmux_before_%'").split()
    assert database.client("psql", f"--dbname={aside}", "-tAc", "SELECT count(*) FROM kept").stdout.strip() == "2"


def test_where_there_is_no_panelmux_the_rest_is_left_to_people(postgresql: Any, tmp_path: Path) -> None:
    database, environ = postgresql
    bare = {**environ, "PATH": f"{database.programs}:/usr/bin:/bin"}
    kept = backed_up(bare, tmp_path / "backups")
    said = ran(bare, DEPLOY / "restore.sh", kept, "--yes", code=1)
    assert "do panelmux ledger reopen" in said
    before = int(asked(database, "SELECT last_value FROM order_ids"))
    ran(environ, "panelmux", "ledger", "reopen", "--yes")
    assert int(asked(database, "SELECT last_value FROM order_ids")) >= before + 1_000_000


def test_postgresql_is_not_replaced_under_who_uses_it(postgresql: Any, tmp_path: Path) -> None:
    database, environ = postgresql
    kept = backed_up(environ, tmp_path / "backups")
    asked(database, "INSERT INTO kept VALUES ('after')")
    words = [str(database.programs / "psql"), "--dbname", database.url, "-c", "SELECT 'here'", "-f", "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as session:
        assert session.stdout is not None
        while b"here" not in session.stdout.readline():
            assert session.poll() is None
        said = ran(environ, DEPLOY / "restore.sh", kept, "--yes", code=4)
        session.communicate()
    assert "stop every gateway first" in said
    assert asked(database, "SELECT count(*) FROM kept") == "2"


def test_a_restore_asks_first(postgresql: Any, tmp_path: Path) -> None:
    database, environ = postgresql
    kept = backed_up(environ, tmp_path / "backups")
    asked(database, "INSERT INTO kept VALUES ('after')")
    assert "nothing was changed" in ran(environ, DEPLOY / "restore.sh", kept, code=1, said="yes\n")
    assert asked(database, "SELECT count(*) FROM kept") == "2"
    ran(environ, DEPLOY / "restore.sh", kept, code=5, said="panelmux\n")
    assert asked(database, "SELECT count(*) FROM kept") == "1"


def test_a_password_stands_on_no_command_line(tmp_path: Path) -> None:
    """Programs in the place of PostgreSQL's own write down what they were given."""
    for name in ("pg_dump", "pg_restore"):
        stand_in = tmp_path / name
        stand_in.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" "env:$PGPASSWORD" >> {tmp_path}/given\n'
            'for word; do case $word in --file=*) : > "${word#--file=}" ;; esac; done\n'
        )
        stand_in.chmod(0o755)
    ledger = tmp_path / "ledger"
    ledger.write_text("postgresql://panelmux:p%40ss@db.example:5432/panelmux?sslmode=require\n")
    environ = {"PATH": f"{tmp_path}:{PATH}", "PANELMUX_LEDGER_FILE": str(ledger)}
    backed_up(environ, tmp_path / "backups")
    given = (tmp_path / "given").read_text().splitlines()
    assert "--dbname=postgresql://panelmux@db.example:5432/panelmux?sslmode=require" in given
    assert "env:p@ss" in given
    assert not any("p%40ss" in word or ("p@ss" in word and not word.startswith("env:")) for word in given)
