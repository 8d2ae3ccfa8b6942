"""Buying: which offers can take an order, and the one way an order takes to a panel, for the first time or again."""

from gateway.placing.choosing import DRY, Left, bounded, charged, expected, following, left, resized, routed
from gateway.placing.placing import Placing, Purchase, Round, Stopping
from gateway.placing.recovering import recovered, unspilled

__all__ = [
    "DRY",
    "Left",
    "Placing",
    "Purchase",
    "Round",
    "Stopping",
    "bounded",
    "charged",
    "expected",
    "following",
    "left",
    "recovered",
    "resized",
    "routed",
    "unspilled",
]
