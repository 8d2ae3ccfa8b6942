"""Connections: how many there may be, and which one gives way when there are too many.

What waits gives way, the longest waiting first: connections whose request should long be whole, then those that rest
between two requests, then those whose request is on its way. So those who hold connections open without saying
anything, or say it very slowly, lose them to those who come with something to say, and one whose request is being
answered loses nothing.
"""

import time
from collections.abc import Callable
from typing import Final, Literal

from gateway.metrics import Metrics

EACH_BYTES: Final = 8 * 1024 * 1024
"""Bytes of requests that are not whole, of one site; some thirty of the largest."""

ALL_BYTES: Final = 64 * 1024 * 1024
"""And of all together."""

SLOW_S: Final = 2.0
"""A request that is not whole by then is slow: 256 KiB come in a second over any line that sells."""

State = Literal["arriving", "working", "resting"]


class Seat:
    """One connection. `cut` ends it at once; `held` is how many bytes of an unfinished request it keeps."""

    __slots__ = ("cut", "held", "since", "site", "state")

    def __init__(self, site: str | None, cut: Callable[[], None], since: float) -> None:
        self.site = site
        self.since = since
        self.cut = cut
        self.state: State = "arriving"
        self.held = 0


class _Site:
    __slots__ = ("held", "seats")

    def __init__(self) -> None:
        self.seats: dict[Seat, None] = {}
        self.held = 0


class Crowd:
    """At most `most` connections, of each site at most `most_each`; and bounds on what they hold, in bytes."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        most: int = 4096,
        most_each: int = 256,
        all_bytes: int = ALL_BYTES,
        each_bytes: int = EACH_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = most
        self._most_each = most_each
        self._all_bytes = all_bytes
        self._each_bytes = each_bytes
        self._metrics = metrics
        self._clock = clock
        self._sites: dict[str, _Site] = {}
        self._states: dict[State, dict[Seat, None]] = {"arriving": {}, "working": {}, "resting": {}}
        self.held = 0

    def __len__(self) -> int:
        return sum(len(seats) for seats in self._states.values())

    def come(self, site: str | None, cut: Callable[[], None]) -> Seat | None:
        """A seat for a connection from `site`, arriving; None = there is none. None as site: one that has no bounds."""
        if site is not None:
            place = self._sites.get(site)
            if place is not None and len(place.seats) >= self._most_each and not self._give_way(place):
                self._metrics.refused.labels("site_connections").inc()
                return None
        if len(self) >= self.most and not self._longest_waiting():
            self._metrics.refused.labels("connections").inc()
            return None
        seat = Seat(site, cut, self._clock())
        self._states["arriving"][seat] = None
        if site is not None:
            self._sites.setdefault(site, _Site()).seats[seat] = None
        return seat

    def turn(self, seat: Seat, state: State) -> None:
        """A connection does something else now."""
        if self._states[seat.state].pop(seat, seat) is None:
            self._states[state][seat] = None
            seat.state = state
            if state == "arriving":
                seat.since = self._clock()

    def hold(self, seat: Seat, size: int) -> None:
        """A connection holds so many bytes of an unfinished request; whoever is beyond the bounds is cut."""
        if seat not in self._states[seat.state]:
            return
        self._weigh(seat, size)
        place = None if seat.site is None else self._sites[seat.site]
        if place is not None and place.held > self._each_bytes:
            self._cut(seat, "site_bytes")
        while self.held > self._all_bytes and self._states["arriving"]:
            self._cut(next(iter(self._states["arriving"])), "bytes")

    def leave(self, seat: Seat) -> None:
        """A connection is gone; to say so twice is to say it once."""
        if self._states[seat.state].pop(seat, seat) is not None:
            return
        self._weigh(seat, 0)
        if seat.site is not None:
            place = self._sites[seat.site]
            del place.seats[seat]
            if not place.seats:
                del self._sites[seat.site]

    def _weigh(self, seat: Seat, size: int) -> None:
        more, seat.held = size - seat.held, size
        self.held += more
        if seat.site is not None:
            self._sites[seat.site].held += more

    def _longest_waiting(self) -> bool:
        arriving, resting = (next(iter(self._states[state]), None) for state in ("arriving", "resting"))
        if arriving is not None and self._is_slow(arriving):
            self._cut(arriving, "slow")
        elif resting is not None:
            self._cut(resting, "resting")
        elif arriving is not None:
            self._cut(arriving, "arriving")
        else:
            return False
        return True

    def _is_slow(self, seat: Seat) -> bool:
        return self._clock() - seat.since > SLOW_S

    def _give_way(self, place: _Site) -> bool:
        """The same among the connections of one site; the longest connected first, for they are few."""
        for state in ("resting", "arriving"):
            for seat in place.seats:
                if seat.state == state:
                    self._cut(seat, state)
                    return True
        return False

    def _cut(self, seat: Seat, why: str) -> None:
        self._metrics.cut.labels(why).inc()
        self.leave(seat)
        seat.cut()
