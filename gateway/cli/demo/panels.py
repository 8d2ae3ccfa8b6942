"""The demo's three panels: what they sell, how they behave, and the rules that buy from them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from gateway.cli.demo.folder import Folder
from providers.sandbox import Catalogue, Sandbox, Temper, Tempo, generate

_MADE_UP: Final = 124  # rows beside those that the services of the rules are bought from
_ROWS: Final = msgspec.json.Decoder(list[dict[str, object]], float_hook=Decimal)


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """One panel.

    Attributes:
        says: its nature, for people.
        worth: one USD in its currency, for the rates of its rows.
        dear: what it takes, as a multiple of the usual.
    """

    says: str
    seed: int
    currency: str
    worth: Decimal
    dear: Decimal
    balance: Decimal
    tempo: Tempo
    temper: Temper = Temper()
    faults: str = ""


PANELS: Final[Mapping[str, Manners]] = {
    "alpha": Manners(
        says="quick and dear",
        seed=11,
        currency="USD",
        worth=Decimal(1),
        dear=Decimal("1.6"),
        balance=Decimal("125.40"),
        tempo=Tempo(pending=(0.3, 0.8), work=(1.5, 3), cancel=(0.3, 0.8), refill=(1, 2), post=(1, 3), minute=1),
    ),
    "beta": Manners(
        says="cheap and flaky: says no, answers late, loses answers",
        seed=22,
        currency="EUR",
        worth=Decimal("0.92"),
        dear=Decimal("0.8"),
        balance=Decimal("88.10"),
        tempo=Tempo(pending=(0.5, 2), work=(3, 8), cancel=(0.5, 2), refill=(1, 4), post=(2, 6), minute=1),
        faults=(
            "add:2:maintenance, add:3:fin_after, add:6-:maintenance@0.15, add:6-:fin_after@0.05, "
            "status:http_before=503@0.1, *:delay=0.3@0.1"
        ),
    ),
    "gamma": Manners(
        says="slow, and cancels or stops short every third order",
        seed=33,
        currency="RUB",
        worth=Decimal(92),
        dear=Decimal(1),
        balance=Decimal("4210.00"),
        tempo=Tempo(pending=(2, 5), work=(6, 14), cancel=(1, 4), refill=(2, 6), post=(3, 8), minute=1),
        temper=Temper(canceled=0.15, partial=0.2),
    ),
}


class _Ware(msgspec.Struct, frozen=True):
    """A row that every panel has under one id; `rate` is the usual one in USD."""

    id: int
    name: str
    category: str
    type: str
    rate: str
    min: int
    max: int


_WARES: Final = (
    _Ware(9001, "Instagram Followers | 30 days refill", "Instagram", "Default", "1.10", 50, 50_000),
    _Ware(9002, "Instagram Likes", "Instagram", "Default", "0.14", 10, 100_000),
    _Ware(9003, "TikTok Views", "TikTok", "Default", "0.02", 100, 10_000_000),
    _Ware(9004, "YouTube Comments in your words", "YouTube", "Custom Comments", "9.00", 1, 500),
    _Ware(9005, "Telegram Members", "Telegram", "Default", "0.75", 100, 100_000),
    _Ware(9006, "Website Visitors", "Website", "Default", "0.35", 500, 1_000_000),
)


def says(name: str) -> str:
    """The panel's nature; empty for one that people added to the rules."""
    return PANELS[name].says if name in PANELS else ""


def sandbox(name: str, key: str, folder: Folder) -> Sandbox:
    """The panel; its journal makes a second run know the orders of the first."""
    manners = PANELS[name]
    return Sandbox(
        name,
        key=key,
        catalogue=_sells(manners),
        currency=manners.currency,
        balance=manners.balance,
        seed=manners.seed,
        tempo=manners.tempo,
        temper=manners.temper,
        faults=manners.faults,
        journal=folder.journal(name),
        first_order=manners.seed * 1000 + 1,
        crowd=7,
    )


def _sells(manners: Manners) -> Catalogue:
    rows: list[dict[str, object]] = [
        {
            "service": ware.id,
            "name": ware.name,
            "type": ware.type,
            "category": ware.category,
            "rate": f"{Decimal(ware.rate) * manners.dear * manners.worth:.4f}",
            "min": str(ware.min),
            "max": str(ware.max),
            "dripfeed": ware.type == "Default",
            "refill": ware.id == 9001,
            "cancel": True,
        }
        for ware in _WARES
    ]
    made_up = generate(manners.seed, _MADE_UP, currency=manners.currency)
    return Catalogue.of([*rows, *_ROWS.decode(made_up.body)])


def rules(urls: Mapping[str, str], folder: Folder) -> str:
    """The demo's rules file."""
    return f"""\
# The demo's rules: read them, change them, start the demo again. `panelmux check` tells of mistakes.
currency: USD                       # what customers see
exchange: {{EUR: "1.08", RUB: "0.0108"}}

panels:
{"".join(_panel(name, url, folder) for name, url in urls.items())}
policy: cheapest                    # for all services that do not say otherwise
margin: 20%

services:
  1:
    name: Instagram Followers | 30 days refill
    category: Instagram
    policy: priority                # as the routes are written: quick first
    routes: [alpha/9001, gamma/9001, beta/9001]
  2:
    name: Instagram Likes
    category: Instagram
    routes: [alpha/9002, beta/9002, gamma/9002]
  3:
    name: TikTok Views
    category: TikTok
    policy: weighted                # two of three go to beta
    routes:
      - {{panel: beta, service: 9003, weight: 2}}
      - {{panel: gamma, service: 9003, weight: 1}}
  4:
    name: YouTube Comments in your words
    category: YouTube
    routes: [alpha/9004, beta/9004]
  5:
    name: Telegram Members
    category: Telegram
    routes:
      - {{panel: beta, service: 9005, when: {{quantity: "< 5000"}}}}     # big orders go elsewhere
      - alpha/9005
      - gamma/9005
  6:
    name: Website Visitors
    category: Website
    policy: healthiest
    routes: [beta/9006, gamma/9006]

publish:                            # a panel's whole list, under ids of ours
  - {{panel: alpha, ids: new, first: 10000}}
  - {{panel: gamma, ids: new, first: 20000, category: "*Telegram*", margin: 35%}}
"""


def _panel(name: str, url: str, folder: Folder) -> str:
    manners = PANELS[name]
    return f"""\
  {name}:                           # {manners.says}
    url: {url}
    key: ${{file:{folder.panel_key(name)}}}
    currency: {manners.currency}
    low_balance: "{manners.balance / 10:.2f}"
    private: true                   # it is on this machine
    settle_s: 30                    # what was sent arrives by then; real panels take the default, 300
    evidence_ids: trusted           # nobody else buys there, and ids rise: no need to learn that first
    evidence_balance: trusted
"""
