"""What an HTTP answer proves by itself, before a dialect reads a word of it: did the panel act?"""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

import msgspec

from providers.errors import Reason


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a panel, whole, our key already struck out of its body.

    Attributes:
        retry_after_s: seconds the panel asked us to wait.
        cloudflare: it came through Cloudflare, or from it.
        whole: its end was marked, by a length or a last chunk; what came packed or until the line went dead may be cut.
        challenge: it is a page that asks for a browser; the panel's own program never saw the call.
        ms: milliseconds from the call to the last byte.
    """

    status: int
    body: bytes
    content_type: str = ""
    retry_after_s: float | None = None
    whole: bool = False
    cloudflare: bool = False
    challenge: bool = False
    ms: int = 0

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, body={len(self.body)} bytes)"


class Verdict(Enum):
    """What is left to find out after the status line."""

    READ = auto()  # 2xx: the dialect's words decide
    WORDS = auto()  # a 4xx of the panel's program: no, if its words are known; else nobody knows
    REFUSED = auto()  # turned away before an order can come into being, whatever the words
    BLOCKED = auto()  # a challenge page stood in the way
    THROTTLED = auto()
    UNREACHED = auto()  # the edge could not reach the panel
    UNANSWERED = auto()


_REFUSED: Final = frozenset({401, 402, 403, 404, 405, 411, 413, 414, 415, 431})
_UNREACHED: Final = frozenset({521, 523, 525, 526, 530})
"""Cloudflare's own statuses for an origin that is down, not found or not trusted; from others they mean nothing."""

_CHALLENGE: Final = (b"/cdn-cgi/challenge-platform/", b"_cf_chl_opt", b"cf-chl-")


def verdict(reply: Reply) -> Verdict:
    """What the status alone proves; an unlisted one proves nothing.

    >>> verdict(Reply(status=404, body=b"")), verdict(Reply(status=502, body=b"")), verdict(Reply(status=521, body=b""))
    (<Verdict.REFUSED: 3>, <Verdict.UNANSWERED: 7>, <Verdict.UNANSWERED: 7>)
    """
    if 200 <= reply.status < 300:
        return Verdict.READ
    if reply.status == 429:
        return Verdict.THROTTLED
    if reply.challenge:
        return Verdict.BLOCKED
    if reply.status in _REFUSED:
        return Verdict.REFUSED
    if 400 <= reply.status < 500:
        return Verdict.WORDS
    if reply.cloudflare and reply.status in _UNREACHED:
        return Verdict.UNREACHED
    return Verdict.UNANSWERED


def reason(status: int, *, worded: bool) -> Reason:
    """Why a refusal by status came, where no table knows its words; `worded` = the panel's program wrote some.

    >>> reason(401, worded=True), reason(404, worded=False), reason(404, worded=True)
    (<Reason.KEY: 'key'>, <Reason.EDGE: 'edge'>, <Reason.OTHER: 'other'>)
    """
    if status == 401:
        return Reason.KEY
    if status == 402:
        return Reason.FUNDS
    if worded:
        return Reason.OTHER
    return Reason.EDGE if status in {403, 404} else Reason.REQUEST


def reply(status: int, headers: Mapping[str, str], body: bytes, *, ms: int = 0) -> Reply:
    """Keep of an answer what decides; `headers` is looked up without regard to case."""
    cloudflare = headers.get("Server", "").lower() == "cloudflare" and "CF-RAY" in headers
    asks = headers.get("CF-Mitigated", "").lower() == "challenge" or any(mark in body for mark in _CHALLENGE)
    marked = "Content-Length" in headers or headers.get("Transfer-Encoding", "").lower() == "chunked"
    return Reply(
        status=status,
        body=body,
        content_type=headers.get("Content-Type", ""),
        retry_after_s=retry_after(headers.get("Retry-After", ""), headers.get("Date", "")),
        whole=marked and "Content-Encoding" not in headers,
        cloudflare=cloudflare,
        challenge=cloudflare and status in {403, 503} and asks,
        ms=ms,
    )


def retry_after(text: str, date: str) -> float | None:
    """Seconds that a Retry-After asks for, at most a day; a date is measured against the answer's own `date`.

    >>> retry_after("120", ""), retry_after("soon", "")
    (120.0, None)
    >>> retry_after("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT")
    30.0
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), 86400.0)
    then, now = _moment(text), _moment(date)
    if then is None or now is None:
        return None
    return min(max((then - now).total_seconds(), 0.0), 86400.0)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
