"""The panels as they are now: how each is spoken to, what it sells, how it does lately, and our money there."""

from gateway.panels.making import exchange, panels, renewed
from gateway.panels.panel import QUIET_S, Panel, Standing
from gateway.panels.snapshots import Held, Snapshot, pack, unpack

__all__ = ["QUIET_S", "Held", "Panel", "Snapshot", "Standing", "exchange", "pack", "panels", "renewed", "unpack"]
