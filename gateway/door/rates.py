"""How often somebody calls, and how often with a wrong key: kept in little memory, whoever comes and however many."""

from collections.abc import Hashable
from typing import Final

import msgspec


class Rates:
    """At most `per_s` calls a second of each one, after a rest `burst_s` seconds' worth at once; 0 = any number.

    Keeps one number each (the theoretical arrival time of the generic cell rate algorithm), of at most `most`.
    """

    def __init__(self, per_s: float, *, burst_s: float = 10.0, most: int = 20_000) -> None:
        self._every_s = 1 / per_s if per_s else 0.0
        self._burst_s = burst_s
        self._most = most
        self._paid_until: dict[Hashable, float] = {}

    def hit(self, who: Hashable, now: float) -> bool:
        """Count a call; False = it is one too many, and is not counted."""
        if not self._every_s:
            return True
        paid = self._paid_until.get(who)
        if paid is None or paid < now:
            if paid is None and len(self._paid_until) >= self._most:
                self._make_room(now)
            paid = now
        elif paid - now > self._burst_s:
            return False
        self._paid_until[who] = paid + self._every_s
        return True

    def _make_room(self, now: float) -> None:
        """Forget those that rest; where all are busy, the half that was first heard of."""
        self._paid_until = {who: paid for who, paid in self._paid_until.items() if paid > now}
        if len(self._paid_until) >= self._most:
            self._paid_until = dict(list(self._paid_until.items())[self._most // 2 :])


class _Wrong(msgspec.Struct, gc=False):
    paid_until: float = 0.0
    cuts: int = 0
    until: float = 0.0


class Guesses:
    """Cuts off a site that sends wrong keys: `at_once` are nothing, and one every `every_s` seconds.

    The first cut lasts `cut_s`, each further one twice as long, up to `cut_most_s`; `forget_s` after the last one a
    site is as good as new. After a cut it has `after` tries before the next. At most `most` sites are remembered, those
    that were wrong last.
    """

    def __init__(
        self,
        *,
        at_once: int = 20,
        after: int = 3,
        every_s: float = 3.0,
        cut_s: float = 4.0,
        cut_most_s: float = 300.0,
        forget_s: float = 900.0,
        most: int = 10_000,
    ) -> None:
        self._bound_s: Final = at_once * every_s
        self._after_s: Final = (at_once - after) * every_s
        self._every_s: Final = every_s
        self._cut_s: Final = cut_s
        self._cut_most_s: Final = cut_most_s
        self._forget_s: Final = forget_s
        self._most: Final = most
        self._sites: dict[str, _Wrong] = {}

    def cut(self, site: str, now: float) -> bool:
        """Whether a site is cut off now."""
        known = self._sites.get(site)
        return known is not None and now < known.until

    def wrong(self, site: str, now: float) -> float:
        """Note a wrong key; gives for how many seconds the site is cut off by it, 0 = not."""
        known = self._sites.pop(site, None)
        if known is None or now - max(known.until, known.paid_until) > self._forget_s:
            known = _Wrong()
        self._sites[site] = known
        if len(self._sites) > self._most:
            del self._sites[next(iter(self._sites))]
        if now < known.until:
            return 0.0
        known.paid_until = max(known.paid_until, now) + self._every_s
        if known.paid_until - now <= self._bound_s:
            return 0.0
        cut_s = min(self._cut_s * 2.0 ** min(known.cuts, 30), self._cut_most_s)
        known.cuts += 1
        known.until = now + cut_s
        known.paid_until = known.until + self._after_s
        return cut_s
