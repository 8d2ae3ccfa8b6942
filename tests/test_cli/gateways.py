"""Gateways of one ledger in PostgreSQL that do what a test says, and only while somebody waits for them."""

import asyncpg

from gateway.ledger.protocol import Ledger
from gateway.rules.loading import version_of
from tests.test_cli.shell import Shell


class Gateways:
    """Rows of nodes; while somebody waits, those of `beating` beat, and those of `following` take the rules file."""

    def __init__(self, shell: Shell, url: str) -> None:
        self.url = url
        self.shell = shell
        self.beating: set[str] = set()
        self.following: set[str] = set()

    def joined(self, name: str, rules: str) -> int:
        async def work(opened: Ledger) -> int:
            epoch = await opened.join(name)
            await opened.beat(rules)
            return epoch

        self.beating.add(name)
        epoch: int = self.shell.keep(work)
        return epoch

    def taken_for_dead(self, epoch: int) -> None:
        self.shell.keep(lambda opened: opened.take_over(epoch))

    def rows(self) -> list[tuple[object, ...]]:
        async def work(_opened: Ledger) -> list[tuple[object, ...]]:
            raw = await asyncpg.connect(self.url)
            try:
                return [tuple(row) for row in await raw.fetch("SELECT * FROM node ORDER BY epoch")]
            finally:
                await raw.close()

        rows: list[tuple[object, ...]] = self.shell.keep(work)
        return rows

    async def live(self, _seconds: float) -> None:
        """Time goes by, in which they beat."""
        raw = await asyncpg.connect(self.url)
        try:
            names = list(self.beating)
            await raw.execute("UPDATE node SET beat = beat + 1 WHERE name = ANY($1) AND ended_ms IS NULL", names)
            if self.following:
                version = version_of(self.shell.rules.read_bytes())
                await raw.execute("UPDATE node SET rules = $1 WHERE name = ANY($2)", version, list(self.following))
        finally:
            await raw.close()
