"""The panels as they are now: how each is spoken to, what it sells, how it does lately, and our money there."""

from gateway.panels.making import exchange, panels, renewed
from gateway.panels.panel import QUIET_S, Panel, Standing
from gateway.panels.snapshots import Held, Snapshot, Stamp, pack, stamp, unpack

__all__ = [
    "QUIET_S",
    "Held",
    "Panel",
    "Snapshot",
    "Stamp",
    "Standing",
    "exchange",
    "pack",
    "panels",
    "renewed",
    "stamp",
    "unpack",
]
