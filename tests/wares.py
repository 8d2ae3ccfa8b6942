"""One service of every type, and an order for each: what tests buy."""

from collections.abc import Mapping
from typing import Any

from providers.service_types import (
    SEO,
    TYPES,
    CommentLikes,
    CommentReplies,
    CustomComments,
    CustomCommentsPackage,
    Default,
    InvitesFromGroups,
    Mentions,
    MentionsCustomList,
    MentionsHashtag,
    MentionsMediaLikers,
    MentionsUserFollowers,
    MentionsWithHashtags,
    OrderFields,
    Package,
    Poll,
    Subscriptions,
    WebTraffic,
)

LINK = "https://x.example/p/1"


def orders(size: int = 20, link: str = LINK) -> Mapping[str, OrderFields]:
    """An order of about `size` units for each type."""
    lines = tuple(f"line {number}" for number in range(size))
    names = ("anna", "boris", "chen")
    made: list[OrderFields] = [
        Default(link=link, quantity=size),
        Package(link=link),
        SEO(link=link, quantity=size, keywords=("red shoes", "blue shoes")),
        CustomComments(link=link, comments=lines),
        CustomCommentsPackage(link=link, comments=lines),
        CommentReplies(link=link, username="owner", comments=lines),
        CommentLikes(link=link, quantity=size, username="owner"),
        Mentions(link=link, quantity=size, usernames=names),
        MentionsWithHashtags(link=link, quantity=size, usernames=names, hashtags=("spring", "sale")),
        MentionsCustomList(link=link, usernames=tuple(f"user{number}" for number in range(size))),
        MentionsHashtag(link=link, quantity=size, hashtag="spring"),
        MentionsUserFollowers(link=link, quantity=size, username="https://x.example/anna"),
        MentionsMediaLikers(link=link, quantity=size, media="https://x.example/m/1"),
        Poll(link=link, quantity=size, answer_number="2"),
        InvitesFromGroups(link=link, quantity=size, groups=("one", "two")),
        WebTraffic(link=link, quantity=size, country="US", device=1, type_of_traffic=1, google_keyword="red shoes"),
        Subscriptions(username="anna", min=size, max=size, delay=5, posts=2),
    ]
    return {order.type: order for order in made}


def services() -> list[dict[str, Any]]:
    """Rows of a panel's list, id 1 onward in the order of `TYPES`; all of them refill and cancel."""
    return [
        {
            "service": number,
            "name": f"{type} service",
            "type": type,
            "category": "Wares",
            "rate": "1.50",
            "min": 1,
            "max": 1 if type == "Package" else 10_000,
            "dripfeed": type in {"Default", "Web Traffic"},
            "refill": True,
            "cancel": True,
        }
        for number, type in enumerate(TYPES, start=1)
    ]


def service_of(type: str) -> str:
    """The id of the service of that type."""
    return str(list(TYPES).index(type) + 1)
