"""Buying: which offers can take an order, and the one way an order takes to a panel, for the first time or again."""

from gateway.placing.choosing import bounded, charged, choices_left, expected, following, resized, routed
from gateway.placing.placing import Placing, Purchase
from gateway.placing.recovering import recovered

__all__ = [
    "Placing",
    "Purchase",
    "bounded",
    "charged",
    "choices_left",
    "expected",
    "following",
    "recovered",
    "resized",
    "routed",
]
