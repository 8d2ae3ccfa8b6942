"""A market to route in: five panels whose prices drift, which fail for hours, and two of which deliver 60 % of it.

    python -m tests.trading [SEEDS]     the table of the README

The gateway's own decisions, health and learning buy in it, against an oracle that knows what each panel will deliver
and whether it is up. Three weeks of virtual time, an order every ten minutes; an order ends some hours after it was
bought, and only then is anything learned of it. A seed makes a market and all that happens in it.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from heapq import heappop, heappush
from math import exp
from statistics import mean
from typing import Final

import msgspec

from gateway import health
from gateway.health import Health
from gateway.routing import Delivered, Offer, Policy, Step, Wanted, decide, delivered
from gateway.routing.delivered import End
from providers.errors import Reason, Refused, Unsent
from providers.service_types import Default

DAYS: Final = 21
EVERY_S: Final = 600
UNITS: Final = 1000
HOUR_S: Final = 3_600
SYNC_S: Final = 300


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One panel as it really is: its rate by the hour, the share that it delivers, the spans in which it is down."""

    name: str
    rates: Sequence[float]
    share: float
    slow: float
    outages: Sequence[tuple[float, float]]

    def rate(self, now: float) -> Decimal:
        return Decimal(str(round(self.rates[int(now // HOUR_S)], 4)))

    def is_down(self, now: float) -> bool:
        return any(since <= now < until for since, until in self.outages)


def market(seed: int) -> Sequence[Site]:
    """Five panels; those that deliver 60 % look cheaper, and are dearer."""
    luck = random.Random(f"market {seed}")
    sites = []
    for number, name in enumerate(("alpha", "beta", "gamma", "delta", "epsilon")):
        honest = number not in {1, 3}
        rate = luck.uniform(0.9, 1.3) if honest else luck.uniform(0.7, 0.95)
        rates = []
        for _ in range(DAYS * 24 + 1):
            rate *= exp(luck.gauss(0, 0.006))
            rates.append(rate)
        outages = []
        at = luck.expovariate(1 / (4 * 86_400))
        while at < DAYS * 86_400:
            until = at + luck.uniform(1, 12) * HOUR_S
            outages.append((at, until))
            at = until + luck.expovariate(1 / (4 * 86_400))
        share = luck.uniform(0.97, 1.0) if honest else 0.6
        sites.append(Site(name=name, rates=rates, share=share, slow=luck.uniform(1, 10) * HOUR_S, outages=outages))
    return sites


class Bill(msgspec.Struct, kw_only=True):
    """What a way of buying came to. `first` counts the panels that took orders."""

    paid: Decimal = Decimal(0)
    got: float = 0.0
    orders: int = 0
    not_sold: int = 0
    asked: int = 0
    took: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def unit(self) -> float:
        """Money per 1000 units that were delivered."""
        return float(self.paid) / self.got * 1000


class Shop:
    """Buys by the gateway's decisions, and learns as it does."""

    def __init__(self, sites: Sequence[Site], steps: Sequence[Step], seed: int) -> None:
        self._sites = {site.name: site for site in sites}
        self._steps = steps
        self._luck = random.Random(f"shop {seed}")
        self._health = dict.fromkeys(self._sites, Health())
        self._known = {name: Delivered(panel=name, remote_service="1") for name in self._sites}
        self._ends: list[tuple[float, str, End]] = []
        self.bill = Bill()

    def live(self) -> Bill:
        for number in range(DAYS * 86_400 // EVERY_S):
            now = float(number * EVERY_S)
            self._learn(now)
            self._probe(now)
            self._buy(now, number)
        return self.bill

    def _learn(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            at, name, end = heappop(self._ends)
            self._known[name] = delivered.ended(self._known[name], end, int(at * 1000))

    def _probe(self, now: float) -> None:
        """A balance is asked for, wherever a circuit is open and the pause over."""
        for name, site in self._sites.items():
            known = self._health[name]
            if health.probe_due(known, now):
                error = Unsent("refused", panel=name, action="balance") if site.is_down(now) else None
                self._health[name] = health.observed(known, error, 0.3, now)

    def _offers(self, now: float) -> list[Offer]:
        now_ms = int(now * 1000)
        offers = []
        for position, (name, site) in enumerate(self._sites.items()):
            whole = delivered.together([self._known[name]], name, now_ms)
            known = self._health[name]
            offers.append(
                Offer(
                    panel=name,
                    remote_service="1",
                    position=position,
                    rate=site.rate(now // SYNC_S * SYNC_S),
                    min=1,
                    max=10**6,
                    closed=health.closed(known, now),
                    ramp=health.ramp(known, now),
                    score=health.score(known, now),
                    truth=delivered.truth(self._known[name], whole, now_ms),
                    kept=delivered.kept(self._known[name], now_ms),
                    seconds=round(self._known[name].seconds) or None,
                )
            )
        return offers

    def _buy(self, now: float, number: int) -> None:
        fields = Default(link=f"https://x.example/{number}", quantity=UNITS)
        wanted = Wanted(fields=fields, charge=Decimal(100), draw=str(self._luck.random()))
        self.bill.orders += 1
        for choice in decide(self._offers(now), wanted, self._steps).choices:
            site, known = self._sites[choice.panel], self._health[choice.panel]
            self.bill.asked += 1
            if site.is_down(now):
                error = Refused("maintenance", Reason.MAINTENANCE, panel=site.name, action="add")
                self._health[choice.panel] = health.observed(known, error, 0.3, now)
                continue
            self._health[choice.panel] = health.observed(known, None, 0.3, now)
            self._bought(site, now)
            return
        self.bill.not_sold += 1

    def _bought(self, site: Site, now: float) -> None:
        got = min(max(site.share + self._luck.gauss(0, 0.02), 0.0), 1.0)
        took_s = site.slow * self._luck.uniform(0.5, 2)
        heappush(self._ends, (now + took_s, site.name, End(paid=1.0, got=got, seconds=took_s)))
        self.bill.paid += site.rate(now)
        self.bill.got += UNITS * got
        self.bill.took[site.name] += 1


def oracle(sites: Sequence[Site]) -> Bill:
    """What one would pay who knows what each panel delivers, and which are up."""
    return _bill(sites, lambda up, now: min(up, key=lambda site: site.rate(now) / Decimal(str(site.share))))


def best_alone(sites: Sequence[Site]) -> Bill:
    """The one panel that would have been cheapest for what was delivered, whenever it was up."""
    alone = [_bill([site], lambda up, _now: up[0]) for site in sites]
    return min(alone, key=lambda bill: bill.unit)


def _bill(sites: Sequence[Site], chosen: Callable[[Sequence[Site], float], Site]) -> Bill:
    bill = Bill()
    for number in range(DAYS * 86_400 // EVERY_S):
        now = float(number * EVERY_S)
        bill.orders += 1
        up = [site for site in sites if not site.is_down(now)]
        if not up:
            bill.not_sold += 1
            continue
        site = chosen(up, now)
        bill.paid += site.rate(now)
        bill.got += UNITS * site.share
        bill.took[site.name] += 1
    return bill


WAYS: Final[Mapping[str, Sequence[Step]]] = {
    "effective": (Policy.EFFECTIVE,),
    "spread": (Policy.SPREAD,),
    "healthiest": (Policy.HEALTHIEST,),
    "cheapest": (Policy.CHEAPEST,),
}


def traded(seed: int) -> Mapping[str, Bill]:
    """All ways of buying in one market."""
    sites = market(seed)
    bills = {"oracle": oracle(sites)}
    for name, steps in WAYS.items():
        bills[name] = Shop(sites, steps, seed).live()
    bills["best panel alone"] = best_alone(sites)
    return bills


def rows(markets: Sequence[Mapping[str, Bill]]) -> Sequence[str]:
    """Each way's cost of a delivered unit against the oracle's, over many markets, as lines of a table."""
    lines = []
    for way in markets[0]:
        ratios = [bills[way].unit / bills["oracle"].unit for bills in markets]
        lost = sum(bills[way].not_sold for bills in markets) / sum(bills[way].orders for bills in markets)
        lines.append(f"| `{way}` | {mean(ratios):.3f} | {max(ratios):.3f} | {100 * lost:.1f} % |")
    return lines


if __name__ == "__main__":
    print("\n".join(rows([traded(seed) for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20)])))
