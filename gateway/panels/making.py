"""The panels of the rules, made anew, and gone on with when the rules change."""

import ssl
from collections.abc import Callable, Mapping
from decimal import Decimal

from gateway.panels.panel import Panel
from gateway.rules import model
from providers import PROVIDERS
from providers.base import Provider
from providers.pace import Rate, Turns
from providers.transport import Transport
from providers.transport.session import trusting_the_system


def exchange(rules: model.Rules, currency: str) -> Decimal:
    """One unit of `currency`, in the rules' own."""
    return Decimal(1) if currency == rules.currency else rules.exchange[currency]


def panels(
    rules: model.Rules,
    *,
    providers: Mapping[str, Callable[[Transport], Provider]] = PROVIDERS,
    turns: Turns | None = None,
) -> Mapping[str, Panel]:
    """The panels of the rules, by name; `turns` counts their calls. It takes longer than a loop may stand still."""
    made = {}
    trusted: ssl.SSLContext | None = None  # one for all
    for name, panel in rules.panels.items():
        if trusted is None and panel.url.lower().startswith("https:"):
            trusted = trusting_the_system()
        transport = Transport(
            name,
            panel.url,
            panel.key,
            in_flight=panel.in_flight,
            pace=Rate(panel.rate_limit, turns=turns) if panel.rate_limit else None,
            allow_private=panel.private,
            ssl_context=trusted,
        )
        provider = providers[panel.dialect](transport)
        made[name] = Panel(name, panel, provider, exchange=exchange(rules, panel.currency), transport=transport)
    return made


def renewed(before: Mapping[str, Panel], now: Mapping[str, Panel]) -> Mapping[str, Panel]:
    """The panels of `now`: one that was there before goes on as it is, by its new rules."""
    panels = {}
    for name, panel in now.items():
        panels[name] = before.get(name, panel)
        if panels[name] is not panel:
            panels[name].become(panel)
    return panels
