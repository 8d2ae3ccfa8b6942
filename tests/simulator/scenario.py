"""What one seed simulates, drawn from it once."""

import random
from decimal import Decimal
from typing import Final, Literal

import msgspec

from gateway.rules.model import Panel, Route, Rules, Service, Tells
from providers.sandbox import Sandbox, Temper, Tempo

Kind = Literal["both", "balance", "learning", "coarse", "stirred", "storm"]
"""What panels may be judged by: ids and balance; the balance alone, trusted from the first order on; the same, learned
first; both, with a balance of two decimals; both or one, while things happen at the panels that no order of ours
explains; both, with three times the trouble."""

PANELS: Final = ("alpha", "beta", "gamma")
SERVICES: Final = (1, 2)
FIRST_S: Final = 1_700_000_000.0
UNLIMITED: Final = 100_000
"""A max above any order's quantity."""
REST_S: Final = 2.5 * 3600.0
"""How long a world goes on after the last order, for what is unknown to be settled."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One world.

    Attributes:
        orders, every_s: how many orders come, and how far apart they are on the average.
        share: of adds that meet trouble.
        crashes: ledger commits after which the process dies, counted from its start; one for each life but the last.
        stirs: how often something happens at a panel that no order of ours explains.
        topups: how often a panel is topped up with a little; 0 = there is money enough from the first.
        most: the max of each panel's services; orders are larger, and bought in parts, where it is small.
    """

    seed: int
    kind: Kind
    ids: bool
    orders: int
    every_s: float
    share: float
    crashes: tuple[int, ...]
    stirs: int
    complete: bool
    decimals: tuple[int, ...]
    crowds: tuple[int, ...]
    rest_s: float
    topups: int
    most: tuple[int, ...]

    @property
    def evidence(self) -> str:
        """The kind; parts of one order cost the same, so that money alone tells less of which was bought."""
        return f"{self.kind}, parts" if min(self.most) < UNLIMITED else self.kind


def scenario(seed: int, orders: int, rest_s: float = REST_S, trouble: float = 1.0) -> Scenario:
    """The world of a seed; `trouble` times the usual share of the calls that go wrong."""
    luck = random.Random(f"scenario {seed}")
    more = random.Random(f"more {seed}")
    kind: Kind = luck.choice(("both", "both", "both", "balance", "balance", "learning", "coarse", "stirred", "storm"))
    return Scenario(
        seed=seed,
        kind=kind,
        ids=kind not in {"balance", "learning"} and (kind != "stirred" or luck.random() < 0.5),
        orders=orders,
        every_s=luck.choice((8.0, 20.0, 45.0)),
        share=trouble * (0.18 if kind == "storm" else luck.choice((0.05, 0.06, 0.08))),
        crashes=tuple(luck.randrange(10, 3 * orders + 11) for _ in range(luck.choice((0, 0, 1, 2)))),
        stirs=luck.choice((1, 3)) if kind == "stirred" else 0,
        complete=luck.random() < 0.5,
        decimals=tuple(2 if kind == "coarse" else luck.choice((5, 5, 4)) for _ in PANELS),
        rest_s=rest_s,
        crowds=tuple(luck.choice((0, 1, 3)) for _ in PANELS),
        topups=more.choice((0, 0, 0, 0, 6)),
        most=tuple(more.choice((900, 2500)) for _ in PANELS) if more.random() < 0.25 else (UNLIMITED,) * len(PANELS),
    )


def boxes(drawn: Scenario, clock: object) -> list[Sandbox]:
    return [
        Sandbox(
            name,
            key="panel-key",
            catalogue=[
                {
                    "service": service,
                    "name": f"Likes {service}",
                    "type": "Default",
                    "category": "C",
                    "rate": str(Decimal("0.9") + Decimal(number) / 7 + Decimal(service) / 3)[:8],
                    "min": 10,
                    "max": drawn.most[number],
                    "refill": True,
                    "cancel": True,
                }
                for service in SERVICES
            ],
            balance=Decimal(5) if drawn.topups else Decimal(10**6),
            seed=drawn.seed * 10 + number,
            clock=clock,  # type: ignore[arg-type]
            tempo=Tempo(pending=(2, 60), work=(60, 1800)),
            temper=Temper(partial=0.03, canceled=0.05),
            crowd=drawn.crowds[number],
            decimals=drawn.decimals[number],
            calls_kept=1,
        )
        for number, name in enumerate(PANELS)
    ]


def rules(drawn: Scenario) -> Rules:
    ids = Tells.TRUSTED if drawn.ids else Tells.NEVER
    balance = Tells.TRUSTED if drawn.kind == "balance" else Tells.LEARNED
    panels = {
        name: Panel(
            url="http://127.0.0.1:1/api/v2",
            key="panel-key",
            private=True,
            evidence_ids=ids,
            evidence_balance=balance,
        )
        for name in PANELS
    }
    services = {
        number: Service(routes=tuple(Route(panel=name, service=str(number)) for name in PANELS), rate=Decimal(9))
        for number in SERVICES
    }
    return Rules(panels=panels, services=services, complete=drawn.complete, split=6, wait_s=3600)
