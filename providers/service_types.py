"""The field's service types: what a customer must say to order each of them.

One frozen struct a type; its annotations are the table that the customer's edge, the adapters and the sandbox read:
`int` is a positive number, `tuple[str, ...]` a list sent as lines, a field with a default is optional.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

PER_ORDER: Final = frozenset({"Package", "Custom Comments Package"})
"""Types whose rate is the price of one order, not of 1000 units."""


class OrderFields(msgspec.Struct, frozen=True, kw_only=True):
    """What the fields of one order say, `service`, `key` and `action` apart."""

    type: ClassVar[str]
    link: str = ""

    def size(self) -> int:
        """Units of one run, the number that a service's min and max bound."""
        return 1

    def units(self) -> int:
        """Units of the whole order, the number that is paid for."""
        return self.size()


class _Linked(OrderFields, frozen=True, kw_only=True):
    link: str


class _Counted(_Linked, frozen=True, kw_only=True):
    quantity: int

    def size(self) -> int:
        return self.quantity


class _Dripped(_Counted, frozen=True, kw_only=True):
    """Drip-feed: `quantity` is per run; `interval` is in minutes; both or neither."""

    runs: int | None = None
    interval: int | None = None

    def units(self) -> int:
        return self.quantity * (self.runs or 1)


class Default(_Dripped, frozen=True, kw_only=True):
    type: ClassVar[str] = "Default"


class Package(_Linked, frozen=True, kw_only=True):
    type: ClassVar[str] = "Package"


class SEO(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "SEO"
    keywords: tuple[str, ...]


class CustomComments(_Linked, frozen=True, kw_only=True):
    type: ClassVar[str] = "Custom Comments"
    comments: tuple[str, ...]

    def size(self) -> int:
        return len(self.comments)


class CustomCommentsPackage(_Linked, frozen=True, kw_only=True):
    type: ClassVar[str] = "Custom Comments Package"
    comments: tuple[str, ...]


class CommentReplies(_Linked, frozen=True, kw_only=True):
    type: ClassVar[str] = "Comment Replies"
    username: str
    comments: tuple[str, ...]

    def size(self) -> int:
        return len(self.comments)


class CommentLikes(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Comment Likes"
    username: str


class Mentions(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Mentions"
    usernames: tuple[str, ...]


class MentionsWithHashtags(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Mentions with Hashtags"
    usernames: tuple[str, ...]
    hashtags: tuple[str, ...]


class MentionsCustomList(_Linked, frozen=True, kw_only=True):
    type: ClassVar[str] = "Mentions Custom List"
    usernames: tuple[str, ...]

    def size(self) -> int:
        return len(self.usernames)


class MentionsHashtag(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Mentions Hashtag"
    hashtag: str


class MentionsUserFollowers(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Mentions User Followers"
    username: str


class MentionsMediaLikers(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Mentions Media Likers"
    media: str


class Poll(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Poll"
    answer_number: str


class InvitesFromGroups(_Counted, frozen=True, kw_only=True):
    type: ClassVar[str] = "Invites from Groups"
    groups: tuple[str, ...]


class WebTraffic(_Dripped, frozen=True, kw_only=True):
    """`device` 1 … 5; `type_of_traffic` 1 wants `google_keyword`, 2 wants `referring_url`, 3 is blank."""

    type: ClassVar[str] = "Web Traffic"
    country: str
    device: int
    type_of_traffic: int
    google_keyword: str | None = None
    referring_url: str | None = None


class Subscriptions(OrderFields, frozen=True, kw_only=True):
    """`min` … `max` units for each new post of `username`, `delay` minutes after it appears.

    `posts` absent = no limit; 0 beside `old_posts` = old posts only. `expiry` is d/m/Y.
    """

    type: ClassVar[str] = "Subscriptions"
    username: str
    min: int
    max: int
    delay: int
    posts: int | None = None
    old_posts: int | None = None
    expiry: str | None = None

    def size(self) -> int:
        return self.max

    def units(self) -> int:
        return self.max * ((self.posts or 0) + (self.old_posts or 0))


TYPES: Final[Mapping[str, type[OrderFields]]] = {
    kind.type: kind
    for kind in (
        Default,
        Package,
        SEO,
        CustomComments,
        CustomCommentsPackage,
        CommentReplies,
        CommentLikes,
        Mentions,
        MentionsWithHashtags,
        MentionsCustomList,
        MentionsHashtag,
        MentionsUserFollowers,
        MentionsMediaLikers,
        Poll,
        InvitesFromGroups,
        WebTraffic,
        Subscriptions,
    )
}

DIVISIBLE: Final = frozenset({Default.type, CommentLikes.type, Poll.type})
"""Types of which two orders for one link come to the same as one order of both quantities."""

SUBSCRIPTION_DELAYS: Final = frozenset(
    (0, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420, 480, 540, 600)
)  # minutes

_FOLDED: Final[Mapping[str, str]] = {
    **{re.sub(r"[^a-z]", "", name.lower()): name for name in TYPES},
    "customcomment": "Custom Comments",  # Soc-Rocket
}


def folded(word: str) -> str:
    """The type a panel means by `word`; one that no table knows is ordered like Default, as buyers in the field do.

    >>> folded("custom_comments"), folded("Mentions with hashtags"), folded("High Quality")
    ('Custom Comments', 'Mentions with Hashtags', 'Default')
    """
    return _FOLDED.get(re.sub(r"[^a-z]", "", word.lower()), "Default")


def form(order: OrderFields) -> dict[str, str]:
    r"""Write an order as v2 form fields: lists as lines, absent fields left out.

    >>> form(CustomComments(link="https://x.example/p", comments=("nice", "great")))
    {'link': 'https://x.example/p', 'comments': 'nice\ngreat'}
    """
    fields: dict[str, str] = {}
    for name in order.__struct_fields__:
        value = getattr(order, name)
        if isinstance(value, tuple):
            fields[name] = "\n".join(value)
        elif value is not None and not (name == "link" and value == ""):
            fields[name] = str(value)
    return fields
