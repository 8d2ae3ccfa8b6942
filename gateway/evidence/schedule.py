"""When to look for evidence again."""

from typing import Final

ALERT_MS: Final = 30 * 60_000
"""An outcome unknown for so long is told to people."""

UNRESOLVED: Final = "unresolved after ten days"

_MINUTE: Final = 60_000
_SOON: Final = (1, 5, 5, 5, 5, 5)  # minutes between the first looks
_LATER_MS: Final = 60 * _MINUTE
_LAST_MS: Final = 10 * 24 * 60 * _MINUTE


def next_look_ms(created_ms: int, settle_ms: int, looks: int, now_ms: int) -> int | None:
    """The moment of the look after the `looks` that were; None = none any more.

    >>> [next_look_ms(0, 300_000, looks, 300_000) for looks in (0, 1, 6)]
    [360000, 600000, 3900000]
    >>> next_look_ms(0, 300_000, 300, 10 * 24 * 60 * 60_000) is None
    True
    """
    if now_ms < settle_ms:
        return settle_ms
    if now_ms - created_ms >= _LAST_MS:
        return None
    return now_ms + (_SOON[looks] * _MINUTE if looks < len(_SOON) else _LATER_MS)
