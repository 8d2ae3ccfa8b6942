"""A catalogue out of a seed: rows such as the field's panels list, their oddities included, under names of its own."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate
from math import exp
from random import Random
from typing import Final

import msgspec

from providers.sandbox.catalogue import Catalogue
from providers.service_types import PER_ORDER


class _Ware(msgspec.Struct, frozen=True):
    """What can be had on one platform: a word, its usual rate in USD of 1000, its usual largest order."""

    word: str
    rate: str
    most: int


_PLATFORMS: Final[Mapping[str, tuple[str, tuple[_Ware, ...]]]] = {
    "Instagram": (
        "📸",
        (
            _Ware("Followers", "1.10", 500_000),
            _Ware("Post Likes", "0.14", 200_000),
            _Ware("Reel Views", "0.02", 10_000_000),
            _Ware("Story Views", "0.06", 60_000),
            _Ware("Profile Visits", "0.11", 1_000_000),
        ),
    ),
    "TikTok": (
        "🎵",
        (
            _Ware("Followers", "1.45", 250_000),
            _Ware("Video Likes", "0.20", 500_000),
            _Ware("Video Views", "0.01", 100_000_000),
            _Ware("Shares", "0.17", 1_000_000),
            _Ware("Saves", "0.09", 300_000),
        ),
    ),
    "YouTube": (
        "▶️",
        (
            _Ware("Subscribers", "7.80", 50_000),
            _Ware("Views", "1.25", 5_000_000),
            _Ware("Likes", "0.55", 100_000),
            _Ware("Watch Hours", "14.50", 4_000),
            _Ware("Live Viewers", "3.30", 20_000),
        ),
    ),
    "Telegram": (
        "✈️",
        (
            _Ware("Channel Members", "0.75", 200_000),
            _Ware("Post Views", "0.01", 5_000_000),
            _Ware("Reactions", "0.05", 100_000),
            _Ware("Poll Votes", "0.45", 50_000),
        ),
    ),
    "Facebook": (
        "👍",
        (
            _Ware("Page Likes", "1.90", 100_000),
            _Ware("Post Reactions", "0.40", 50_000),
            _Ware("Video Views", "0.08", 10_000_000),
            _Ware("Group Members", "1.35", 100_000),
        ),
    ),
    "X": (
        "🐦",
        (_Ware("Followers", "3.60", 100_000), _Ware("Reposts", "1.70", 20_000), _Ware("Views", "0.01", 10_000_000)),
    ),
    "Spotify": (
        "🎧",
        (_Ware("Plays", "0.30", 10_000_000), _Ware("Saves", "0.65", 100_000), _Ware("Listeners", "0.50", 500_000)),
    ),
    "Twitch": ("🎮", (_Ware("Followers", "0.85", 100_000), _Ware("Channel Viewers", "5.20", 10_000))),
    "Website": ("🌐", (_Ware("Visitors", "0.35", 1_000_000),)),
}

_TYPES: Final[Mapping[str, float]] = {
    "Default": 86.5,
    "Subscriptions": 5.2,
    "Custom Comments": 3.2,
    "Package": 1.7,
    "Custom Comments Package": 0.7,
    "Poll": 0.7,
    "Mentions Hashtag": 0.4,
    "Mentions": 0.4,
    "SEO": 0.3,
    "Web Traffic": 0.2,
    "Invites from Groups": 0.1,
    "Comment Likes": 0.1,
    "Comment Replies": 0.1,
    "Mentions User Followers": 0.1,
    "Mentions with Hashtags": 0.1,
    "Mentions Custom List": 0.1,
    "Mentions Media Likers": 0.1,
}
"""Types and about how many of a hundred services are of each."""

_NOUNS: Final[Mapping[str, str]] = {
    "Subscriptions": "Auto {} for new posts",
    "Custom Comments": "Comments in your words",
    "Package": "{} starter set",
    "Custom Comments Package": "Ten comments in your words",
    "Poll": "Votes for your answer",
    "SEO": "Search visits by keyword",
    "Web Traffic": "Visitors from your source",
    "Invites from Groups": "Invitations from groups",
    "Comment Likes": "Likes for a comment",
    "Comment Replies": "Replies to a comment",
}

_USD: Final[Mapping[str, str]] = {
    "EUR": "0.92",
    "GBP": "0.79",
    "RUB": "92",
    "INR": "84",
    "TRY": "34",
    "BRL": "5.4",
    "PKR": "278",
    "NGN": "1550",
    "IDR": "16200",
    "UZS": "12700",
    "VND": "25300",
}
"""About how much of a currency one USD is: enough for made-up prices, good for nothing else."""

_QUALITY: Final = ("HQ", "Real accounts", "Mixed", "Old accounts", "Low drop", "No drop", "Best value")
_REFILL: Final = (
    "No refill",
    "Refill 7 days",
    "Refill 30 days",
    "Refill 60 days",
    "Refill 365 days",
    "Lifetime refill",
)
_SPEED: Final = (
    "1K a day",
    "5K a day",
    "20K a day",
    "100K a day",
    "Instant start",
    "Start within 6 hours",
    "Slow and steady",
)
_COUNTRIES: Final = (
    "Worldwide",
    "Worldwide",
    "Worldwide",
    "USA",
    "Brazil",
    "India",
    "Turkey",
    "Germany",
    "Arabic",
    "Vietnam",
)
_FIELD_MAX: Final = 2_147_483_647
_MATHS: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "".join(map(chr, [*range(0x1D400, 0x1D434)])),
)
"""Plain letters to the bold ones of mathematics, which panels take for style."""


def generate(seed: int, count: int, *, currency: str = "USD", quirks: bool = True) -> Catalogue:
    """So many rows, always the same for the same arguments.

    `quirks`: emoji, styled letters, entities, stray spaces, ids in names, headings sold as services, numbers for text.

    >>> generate(1, 3, quirks=False).listings["1"].type in _TYPES
    True
    """
    luck = Random(f"{seed}/{count}/{currency}/{quirks}")
    manner = _Manner(luck, currency, quirks=quirks)
    rows, service = [], 0
    for _ in range(count):
        service += 1 + (luck.randrange(9) if quirks else 0)
        is_heading = quirks and luck.random() < 0.02
        rows.append(manner.heading(service) if is_heading else manner.row(service))
    return Catalogue.of(rows)


class _Manner:
    """How one panel writes its rows: alike throughout, as panels do."""

    def __init__(self, luck: Random, currency: str, *, quirks: bool) -> None:
        self._luck, self._quirks = luck, quirks
        self._worth = Decimal(_USD.get(currency, "1"))
        self._places = luck.choice((2, 3, 4)) if quirks else 4
        self._text_ids = quirks and luck.random() < 0.3
        self._text_limits = not quirks or luck.random() < 0.4
        self._number_rates = quirks and luck.random() < 0.2

    def row(self, service: int) -> dict[str, object]:
        luck = self._luck
        type = luck.choices(tuple(_TYPES), cum_weights=tuple(accumulate(_TYPES.values())))[0]
        platform = luck.choice(tuple(_PLATFORMS))
        emoji, wares = _PLATFORMS[platform]
        ware = luck.choice(wares)
        noun = _NOUNS.get(type, "Mentions" if type.startswith("Mentions") else "{}").format(ware.word)
        refill = luck.choice(_REFILL)
        parts = [f"{platform} {noun}", luck.choice(_COUNTRIES), luck.choice(_QUALITY), refill, luck.choice(_SPEED)]
        least, most = self._limits(type, ware)
        has_refill = refill != "No refill" and luck.random() < 0.5  # the button is rarer than the promise
        return {
            "service": str(service) if self._text_ids else service,
            "name": self._name(service, emoji, " | ".join(parts)),
            "type": type,
            "category": f"{emoji} {platform} {ware.word}" if self._quirks else f"{platform} {ware.word}",
            "rate": self._rate(self._price(type, ware)),
            "min": self._limit(least),
            "max": self._limit(most),
            "dripfeed": type in {"Default", "Web Traffic"} and luck.random() < 0.5,
            "refill": has_refill,
            "cancel": luck.random() < 0.4,
        }

    def heading(self, service: int) -> dict[str, object]:
        """A line between others, sold as a service that nobody can want."""
        mark = self._luck.choice(("⬇️⬇️⬇️", "▬▬▬▬▬", "🔻 NEW 🔻", "=== READ BEFORE ORDERING ==="))
        rate = self._luck.choice(("0.00", "9999999999999.00"))
        return {
            "service": str(service) if self._text_ids else service,
            "name": mark,
            "type": self._luck.choice(("Package", "Default")),
            "category": mark,
            "rate": Decimal(rate) if self._number_rates else rate,
            "min": self._limit(1),
            "max": self._limit(1),
            "dripfeed": False,
            "refill": False,
            "cancel": False,
        }

    def _limits(self, type: str, ware: _Ware) -> tuple[int, int]:
        if type in PER_ORDER:
            return 1, 1
        if "Comment" in type or type == "Mentions Custom List":
            return self._luck.choice((1, 5, 10)), self._luck.choice((100, 500, 1500))
        least = self._luck.choice((10, 20, 50, 100, 100, 500, 1000))
        most = _FIELD_MAX if self._quirks and self._luck.random() < 0.03 else ware.most
        return least, max(least, most // self._luck.choice((1, 2, 5, 10)))

    def _price(self, type: str, ware: _Ware) -> Decimal:
        """The usual rate, more or less; comments and packages cost more than what they come with."""
        spread = Decimal(str(round(exp(self._luck.gauss(0, 0.6)), 4)))
        times = 8 if "Comment" in type else 2 if type in {"Package", "SEO", "Poll"} else 1
        return Decimal(ware.rate) * times * spread * self._worth

    def _rate(self, price: Decimal) -> str | Decimal:
        step = Decimal(1).scaleb(-self._places)
        rate = max(price.quantize(step, ROUND_HALF_UP), step)
        return rate if self._number_rates else f"{rate:f}"

    def _limit(self, limit: int) -> str | int:
        return str(limit) if self._text_limits else limit

    def _name(self, service: int, emoji: str, plain: str) -> str:
        if not self._quirks:
            return plain
        luck, name = self._luck, plain
        if luck.random() < 0.1:
            name = name.translate(_MATHS)
        if luck.random() < 0.7:
            name = f"{emoji} {name} {luck.choice(('🔥', '⚡', '♻️', '💧', '⭐'))}"
        if luck.random() < 0.05:
            name = f"{service}. {name}"
        oddity = luck.random()
        if oddity < 0.02:
            return name.replace(" | ", " &amp; ", 1).replace(" | ", " &lt;3 ", 1)
        if oddity < 0.04:
            return name + "  "
        if oddity < 0.05:
            return name.replace(" ", "\t", 1).replace(" | ", "  |  ")
        return name
