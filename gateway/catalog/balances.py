"""Keeps an eye on our money at one panel; the same look tells whether a panel that failed is back."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from gateway.money import down, wire
from gateway.panels import Panel
from providers.errors import ProviderError

_log = structlog.get_logger()

_TICK_S: Final = 1.0  # how late a look at an open circuit may come
_DRY_S: Final = (
    5.0  # how soon to look after a panel said that our money is short; some say so for other faults of theirs
)


class Probing(Protocol):
    """Who makes the probe of a panel that failed, where several nodes could."""

    async def may_probe(self, panel: Panel) -> bool: ...

    async def probed(self, panel: Panel) -> None: ...


class Balances:
    """One panel's balance. Each warning is given once, when what it warns of begins."""

    def __init__(
        self,
        panel: Panel,
        *,
        every_s: float,
        probing: Probing,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._panel = panel
        self._every_s = every_s
        self._probing = probing
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._failing = False
        self._low = False
        self._currency: str | None = panel.rules.currency

    async def follow(self) -> None:
        """Read the balance every `every_s`, and whenever this node is to probe an open circuit. Never ends."""
        looked = due = self._clock()
        while True:
            now = self._clock()
            dry = self._panel.is_dry and now >= looked + _DRY_S
            probes = self._panel.probe_due(now)
            if await self._probing.may_probe(self._panel) if probes else now >= due or dry:
                await self.once()
                looked = self._clock()
                due = looked + self._every_s * (0.9 + 0.2 * self._draw())
                if probes:
                    await self._probing.probed(self._panel)
            await self._sleep(min(_TICK_S, self._every_s))

    async def once(self) -> None:
        """Read the balance now, and never raise."""
        try:
            currency = await self._panel.read_balance()
        except Exception as error:  # noqa: BLE001 - one answer that nobody foresaw must not end the following
            if not self._failing:
                why = error.what if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}"
                _log.warning("balance", panel=self._panel.name, outcome="failed", why=why)
            self._failing = True
            return
        self._failing = False
        self._tell_currency(currency)
        self._tell_low()

    def _tell_currency(self, said: str | None) -> None:
        """Some panels name a currency out of habit, so the rules go on counting; but they may be wrong."""
        if said is not None and said != self._currency:
            rules = self._panel.rules.currency
            if said != rules:
                _log.warning("currency", panel=self._panel.name, panel_says=said[:12], rules_say=rules)
            self._currency = said

    def _tell_low(self) -> None:
        panel = self._panel
        if panel.low and not self._low and panel.balance is not None and panel.rules.low_balance is not None:
            left, bound = wire(down(panel.balance)), wire(panel.rules.low_balance)
            _log.warning("low_balance", panel=panel.name, balance=left, below=bound, currency=panel.rules.currency)
        self._low = panel.low
