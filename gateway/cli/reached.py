"""Rules, panels and the catalogue without a gateway: what a command knows by reading, and by asking panels itself."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from tempfile import TemporaryDirectory

import msgspec

from gateway import logs, panels, rules
from gateway.catalog import Catalog, Service
from gateway.cli.failure import Failure
from gateway.cli.opened import ledger_at
from gateway.cli.output import progress, say
from gateway.cli.text import short
from gateway.ledger.protocol import Ledger
from gateway.panels import Panel
from gateway.redis_url import shown
from gateway.routing import Delivered
from gateway.rules import Mistake, RulesError
from gateway.rules.model import Rules
from gateway.rules.report import alike
from gateway.settings import Settings, is_postgres, sqlite_path
from gateway.shared import InProcess
from providers import PROVIDERS


class Looking:
    """The ledger as a catalogue that only looks uses it: nothing is written. Ids that nobody has yet are previews."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next = 1

    async def approved(self, panel: str) -> Mapping[str, str]:
        return await self._ledger.approved(panel)

    async def keep_changes(self, panel: str, changes: Sequence[tuple[str, str | None, str | None]]) -> int:  # noqa: ARG002
        return 0

    async def delivered(self, since_ms: int = 0) -> Sequence[Delivered]:
        return await self._ledger.delivered(since_ms)

    async def snapshot(self, panel: str) -> bytes | None:
        return await self._ledger.snapshot(panel)

    async def keep_snapshot(self, panel: str, snapshot: bytes, fetched_ms: int) -> None: ...

    async def service_ids(self, panel: str, remote_services: Sequence[str], *, first: int) -> Mapping[str, int]:
        ids = await self._ledger.service_ids(panel, remote_services, first=max(first, self._next), keep=False)
        self._next = max(self._next, *(id + 1 for id in ids.values()), 1)
        return ids


def ruled(settings: Settings) -> Rules:
    """The rules, or RulesError with all mistakes. Logs are silent from here on: commands tell what goes wrong."""
    found = rules.load(settings.rules, os.environ, PROVIDERS)
    logs.configure(settings.log, [panel.key for panel in found.panels.values()], level=logging.CRITICAL)
    return found


async def agreed(settings: Settings, rules: Rules) -> None:
    """Raise RulesError where the rules sell in a currency that the ledger's amounts are not in."""
    async with known_ledger(settings) as ledger:
        kept = await ledger.currency()
    if kept not in {None, rules.currency}:
        text = (
            f"it is {rules.currency} here, and the amounts of {shown(settings.ledger)} are {kept}, fixed at first use; "
            "PANELMUX_LEDGER names another ledger"
        )
        raise RulesError((Mistake(file=settings.rules, line=0, column=0, path="currency", text=text),))


@contextlib.asynccontextmanager
async def known_ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger; where there is none yet an empty one, gone afterwards."""
    if is_postgres(settings.ledger) or sqlite_path(settings.ledger).exists():
        async with ledger_at(settings.ledger) as ledger:
            yield ledger
        return
    with TemporaryDirectory(prefix="panelmux-") as folder:
        async with ledger_at(f"sqlite:///{folder}/none.db", make=True) as ledger:
            yield ledger


@contextlib.asynccontextmanager
async def panels_of(rules: Rules) -> AsyncIterator[Mapping[str, Panel]]:
    """The panels of the rules, ready to be asked."""
    made = panels.panels(rules)
    try:
        yield made
    finally:
        for panel in made.values():
            await panel.close()


@contextlib.asynccontextmanager
async def panel_of(rules: Rules, name: str) -> AsyncIterator[Panel]:
    """One panel of the rules."""
    known(name, rules)
    async with panels_of(msgspec.structs.replace(rules, panels={name: rules.panels[name]})) as made:
        yield made[name]


def known(name: str, rules: Rules) -> None:
    """Raise a failure that names the nearest panel, unless the rules have this one."""
    if name not in rules.panels:
        meant = alike(name, rules.panels)
        hint = f"did you mean {meant}?" if meant else f"panels: {', '.join(rules.panels)}"
        raise Failure(f"panel {name}: not in the rules; {hint}")


class Looked(msgspec.Struct, frozen=True):
    """What is sold, and why a panel gave no list when it was asked for one, by its name."""

    catalog: Catalog
    failed: Mapping[str, str]

    def tell(self) -> Catalog:
        """Say what failed, where the last good list is good enough."""
        for name, why in self.failed.items():
            say(f"{name}: services: {why}")
        return self.catalog


@contextlib.asynccontextmanager
async def catalog_of(
    settings: Settings, rules: Rules, *, live: bool = False, offline: bool = False
) -> AsyncIterator[Looked]:
    """What is sold by the panels' last good lists; lists that are missing, or with `live` all, are fetched."""
    async with known_ledger(settings) as ledger, panels_of(rules) as made:
        for learned in await ledger.panels():
            if learned.stopped and learned.panel in made:
                made[learned.panel].stop_for = learned.stopped
        catalog = Catalog(rules, made, Looking(ledger), InProcess())
        await catalog.start()
        await catalog.stop()  # what is known is compiled; the fetching that it began is ours to do
        wanted = [name for name, panel in made.items() if not offline and (live or panel.snapshot is None)]
        failed = {}
        with progress("fetching lists", len(wanted)) as step:
            for done in asyncio.as_completed([catalog.sync(name) for name in wanted]):
                synced = await done
                step()
                if not synced.good:
                    failed[synced.panel] = short(synced.why)
        yield Looked(catalog, failed)


def sold(catalog: Catalog, id: int) -> Service:
    """The service, or a failure that says why it is not sold."""
    service = catalog.service(id)
    if service is None:
        whys = [
            f"{conflict.panel}/{conflict.remote_service}: {conflict.why}" if conflict.panel else conflict.why
            for conflict in catalog.conflicts
            if conflict.service == id
        ]
        raise Failure(f"service {id}: not sold; {'; '.join(whys) or 'panelmux catalog search TEXT finds what is'}")
    return service
