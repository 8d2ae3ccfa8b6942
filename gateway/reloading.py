"""Follows the rules file of a running gateway: a change is taken whole, or not at all and with every mistake told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from gateway import rules
from gateway.app import Gateway, Refused
from gateway.ledger.records import LedgerError
from gateway.rules import Rules, RulesError

_log = structlog.get_logger()

LOOK_S: Final = 0.4
"""How often the file is looked at: one that changed is taken at the second look, within a second."""

_TOLD: Final = 5  # mistakes that are logged


class Reloading:
    """Keeps a gateway at what its rules file says.

    `taken` is called with rules before they come into force: logs must know their keys.
    """

    def __init__(
        self,
        gateway: Gateway,
        path: str,
        environ: Mapping[str, str],
        *,
        taken: Callable[[Rules], None] = lambda _rules: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gateway = gateway
        self._path = Path(path)
        self._environ = environ
        self._taken = taken
        self._sleep = sleep
        self._seen: tuple[int, int, int] | None = None
        self._asked = False

    def ask(self) -> None:
        """Read the file anew, whether it looks changed or not: what it refers to may have changed."""
        self._asked = True

    async def follow(self) -> None:
        """Look, again and again; a file that is still being written is left for the next look. Never ends."""
        await self._note(self._gateway.rules.version, await asyncio.to_thread(self._text), "")
        before = self._seen = self._looks()
        while True:
            await self._sleep(LOOK_S)
            now = self._looks()
            if now == before or self._asked:
                await self.once()
            before = now

    async def once(self) -> bool:
        """Look once; gives whether other rules are in force now. Never raises."""
        looks = self._looks()
        if looks == self._seen and not self._asked:
            return False
        self._seen, self._asked = looks, False
        text = ""
        try:
            text = await asyncio.to_thread(self._text)
            found = await asyncio.to_thread(rules.load, self._path, self._environ)
            if found == self._gateway.rules:
                _log.info("rules", outcome="as_before", version=found.version)
                self._gateway.metrics.rules_taken.set(1)
                await self._note(found.version, text, "")
                return False
            self._taken(found)
            await self._gateway.renew(found)
        except (RulesError, Refused) as wrong:
            found_wrong = [str(one) for one in wrong.mistakes] if isinstance(wrong, RulesError) else [str(wrong)]
            for why in found_wrong[:_TOLD]:
                _log.error("rules", outcome="not_taken", why=why, then="the rules of before stay in force")
            self._gateway.metrics.rules_taken.set(0)
            await self._note(rules.version_of(text.encode()), text, found_wrong[0])
            return False
        except Exception as error:  # noqa: BLE001 - the next look may be luckier
            self._seen = None
            self._gateway.metrics.rules_taken.set(0)
            _log.error("rules", outcome="not_taken", why=f"{type(error).__name__}: {error}")
            return False
        _log.info("rules", outcome="taken", version=found.version)
        self._gateway.metrics.rules_taken.set(1)
        for warning in found.warnings:
            _log.warning("rules", what=warning)
        await self._note(found.version, text, "")
        return True

    def _looks(self) -> tuple[int, int, int] | None:
        try:
            now = self._path.stat()
        except OSError:
            return None
        return now.st_ino, now.st_size, now.st_mtime_ns

    def _text(self) -> str:
        """The file's text; what cannot be read is told by who loads it."""
        try:
            with self._path.open("rb") as file:
                return file.read(rules.SIZE).decode("utf-8", "replace")
        except OSError:
            return ""

    async def _note(self, version: str, text: str, why: str) -> None:
        try:
            await self._gateway.ledger.keep_rules(version, text, why=why)
        except LedgerError as error:
            _log.warning("rules", version=version, outcome="not_written", why=str(error))
