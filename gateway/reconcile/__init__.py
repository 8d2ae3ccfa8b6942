"""Make our orders agree with the panels, for as long as anything of them is open. One task a panel:

tracking     how the orders stand that a panel took, in batches; what ended early is made elsewhere
looking      what became of those whose outcome is unknown: evidence is gathered, weighed, and acted upon
reading      our money there, at a moment when nothing of ours moves
completing   the rest of an order that a panel ended early, at the next offer
wishing      cancels and failovers that customers and operators asked for
"""

from gateway.reconcile.reconcile import Reconcile
from gateway.reconcile.tracking import interval_s, watch_ms

__all__ = ["Reconcile", "interval_s", "watch_ms"]
