"""Which rows of a panel's new list are taken as they are, and which wait until people have looked. Pure.

A row is held against the same row of the list in use. One that moved too far stays in use as it was, and is not bought
meanwhile: at its old price it cannot be had, and at its new one nobody has said that it may. One that comes back
within bounds is free again by itself.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from unicodedata import normalize

import msgspec
from rapidfuzz import fuzz

from gateway.money import wire
from gateway.panels import Held
from providers.base import RemoteService

OFF: Final = Decimal(10) ** 9
"""A rate that is meant to keep everybody away: panels switch a service off so."""

_ALIKE: Final = 50  # of 100: names less alike than this are of different services
_WORD: Final = re.compile(r"[a-z]+")
_NETWORKS: Final = frozenset(
    [
        "instagram",
        "tiktok",
        "youtube",
        "telegram",
        "facebook",
        "twitter",
        "spotify",
        "twitch",
        "discord",
        "linkedin",
        "soundcloud",
        "snapchat",
        "pinterest",
        "reddit",
        "threads",
        "whatsapp",
        "vk",
        "kick",
        "rumble",
        "tumblr",
        "quora",
        "shopee",
        "trovo",
    ]
)
_THINGS: Final = frozenset(
    [
        "followers",
        "likes",
        "views",
        "comments",
        "subscribers",
        "members",
        "shares",
        "plays",
        "listeners",
        "reactions",
        "saves",
        "retweets",
        "votes",
        "visitors",
        "traffic",
        "impressions",
        "streams",
    ]
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a panel's list that came (`was` None), went (`now` None) or became another."""

    remote_service: str
    was: RemoteService | None = None
    now: RemoteService | None = None


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a new list is in use from now on, what waits, and what of that in use changed."""

    rows: tuple[RemoteService, ...]
    held: tuple[Held, ...] = ()
    changes: tuple[Change, ...] = ()


def weighed(
    old: Mapping[str, RemoteService],
    new: Sequence[RemoteService],
    *,
    move: Decimal,
    approved: Mapping[str, RemoteService],
    since: Mapping[str, RemoteService] = MappingProxyType({}),
) -> Weighed:
    """Hold a new list against the one in use; `move` is the share by which a rate may move at once.

    `since` are rows, by id, of some time ago, from which a rate may move no further either: many small steps are a
    large one. What was switched off, or not listed, for a while is held against them when it comes back. `approved` are
    rows, by id, that people said yes to: a row that is just so is taken. Of two rows with one id the first counts. With
    no list in use, all of the new one is.
    """
    rows: dict[str, RemoteService] = {}
    held: list[Held] = []
    changes: list[Change] = []
    for row in new:
        id = row.remote_service
        if id in rows:
            continue
        was = old.get(id) or (since.get(id) if old else None)
        why = None if was is None or was == row or approved.get(id) == row else moved(was, row, move, since.get(id))
        if why is not None and was is not None:
            held.append(Held(row=row, why=why))
        rows[id] = row if why is None or was is None else was
        if old and old.get(id) != rows[id]:
            changes.append(Change(remote_service=id, was=old.get(id), now=rows[id]))
    changes += [Change(remote_service=id, was=was) for id, was in old.items() if id not in rows]
    return Weighed(rows=tuple(rows.values()), held=tuple(held), changes=tuple(changes))


def moved(was: RemoteService, now: RemoteService, move: Decimal, since: RemoteService | None = None) -> str | None:
    """Why a row may not go on as it is now, in words for people; None = it may. `since`: how it was some time ago."""
    if now.type != was.type:
        return f'its type was "{was.type}" and is "{now.type}"'
    if _is_another(_plain(was.name), _plain(now.name)):
        return f'it is another service: it was "{was.name}" and is "{now.name}"'
    if now.min > was.max or now.max < was.min:
        return f"its limits were {was.min}..{was.max} and are {now.min}..{now.max}"
    if is_off(now) or was.rate == now.rate:
        return None  # switched off: nothing is bought meanwhile
    for rate in (row.rate for row in (was, since) if row is not None and not is_off(row)):
        if now.rate > rate * (1 + move) or now.rate * (1 + move) < rate:
            return f"its rate was {wire(rate)} and is {wire(now.rate)}"
    return None


def _is_another(was: str, now: str) -> bool:
    """Whether a name is of another service: hardly like it, of another network, or of another thing sold there."""
    if fuzz.token_set_ratio(was, now) < _ALIKE:
        return True
    words = [frozenset(_WORD.findall(name)) for name in (was, now)]
    for known in (_NETWORKS, _THINGS):
        before, after = (known & name for name in words)
        if before and after and not before & after:
            return True
    return False


def is_off(row: RemoteService) -> bool:
    return not 0 < row.rate < OFF


def is_heading(row: RemoteService) -> bool:
    """Whether a row is there to be read and not to be bought: not a letter or digit in its name."""
    return not any(c.isalnum() for c in row.name)


def _plain(name: str) -> str:
    """A name in plain letters: panels write them in bold and in boxes."""
    return normalize("NFKC", name).casefold()
