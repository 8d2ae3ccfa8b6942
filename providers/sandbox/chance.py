"""Luck that can be had again: every draw is a pure function of the seed and of what it is drawn for."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def draw(seed: int, *labels: object) -> float:
    """A number in [0, 1), always the same for the same seed and labels.

    >>> draw(7, "add", 1) == draw(7, "add", 1), draw(7, "add", 1) == draw(8, "add", 1)
    (True, False)
    """
    text = "/".join(map(str, (seed, *labels)))
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big") / (1 << 48)


def between(span: tuple[float, float], seed: int, *labels: object) -> float:
    """A number in `span`, drawn evenly."""
    low, high = span
    return low if low == high else low + (high - low) * draw(seed, *labels)


def pick(choices: Sequence[T], seed: int, *labels: object) -> T:
    """One of `choices`, drawn evenly."""
    return choices[int(draw(seed, *labels) * len(choices))]
