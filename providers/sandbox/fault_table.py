"""Every way in which a sandbox can misbehave: its name, a sentence, and whether what was asked is done all the same.

Names that end in `_before` happen before anything is done, those in `_after` once it is done; a bare name means before.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

ACTIONS: Final = ("services", "add", "status", "refill", "refill_status", "cancel", "balance")

CONNECT: Final = "connect"
"""Stands for an action in a rule about every new connection, before a byte of it is read."""

_EVERY: Final = frozenset(ACTIONS)
_SOCKET: Final = _EVERY | {CONNECT}
_ADD: Final = frozenset({"add"})
_STATUS: Final = frozenset({"status"})
_SERVICES: Final = frozenset({"services"})


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One way to misbehave.

    Attributes:
        executed: whether what was asked is done all the same: an order bought, a refill or a cancel taken note of.
        actions: where it fits.
        value: what may stand after "="; choices for one of a set.
        default: the value when none is given.
    """

    name: str
    says: str
    executed: bool
    actions: frozenset[str] = _EVERY
    value: Literal["nothing", "seconds", "count", "code", "factor", "text", "choice"] = "nothing"
    default: str = ""
    choices: tuple[str, ...] = ()


def _pair(
    name: str,
    says: str,
    *,
    value: Literal["nothing", "code", "text"] = "nothing",
    before: str = "",
    after: str = "",
    actions: frozenset[str] = _EVERY,
) -> tuple[Fault, Fault]:
    return (
        Fault(
            name=f"{name}_before",
            says=f"{says}; nothing is done.",
            executed=False,
            actions=actions,
            value=value,
            default=before,
        ),
        Fault(name=f"{name}_after", says=f"{says}; it is done.", executed=True, value=value, default=after or before),
    )


WRONG_IDS: Final[Mapping[str, bytes]] = {
    "0": b"0",
    "negative": b"-1",
    "null": b"null",
    "true": b"true",
    "float": b"23501.5",
    "exponent": b"1e3",
    "empty": b'""',
    "text": b'"23501\' OR 1"',
    "object": b'{"id":23501}',
    "list": b"[23501]",
    "huge": b"9" * 5000,
    "repeat": b"",  # the id of the order before, or its own when it is the first
}
"""What `wrong_id` answers as the id, in JSON."""

REMAINS: Final = ("more", "negative", "text", "null", "missing")
"""What `remains` answers: more than was ordered, less than nothing, a word, null, no such field."""

_FAULTS: Final = (
    Fault(
        name="refuse",
        says="The connection is reset unread, as near to a refusal as an open port comes.",
        executed=False,
        actions=_SOCKET,
    ),
    *_pair("reset", "The connection is reset in place of an answer", actions=_SOCKET),
    *_pair("fin", "The connection is closed in place of an answer", actions=_SOCKET),
    *_pair("silence", "No answer ever comes, the connection stays open", actions=_SOCKET),
    Fault(
        name="delay_before",
        says="The request waits for so many seconds, and is done even when its buyer has gone.",
        executed=True,
        value="seconds",
        default="1",
    ),
    Fault(
        name="delay_after",
        says="It is done at once and answered so many seconds later.",
        executed=True,
        value="seconds",
        default="1",
    ),
    *_pair("garbage", "The answer is not HTTP", actions=_SOCKET),
    Fault(name="cut_headers", says="The answer ends within its headers; it is done.", executed=True),
    Fault(
        name="truncate",
        says="The body ends after so many bytes, fewer than Content-Length says; it is done.",
        executed=True,
        value="count",
        default="11",
    ),
    Fault(
        name="truncate_eof",
        says="The body ends after so many bytes and says no length: nothing but its JSON tells; it is done.",
        executed=True,
        value="count",
        default="11",
    ),
    Fault(name="bad_chunk", says="The body is chunked, and a chunk has no readable size; it is done.", executed=True),
    Fault(name="bad_gzip", says="The body says it is gzip and is not; it is done.", executed=True),
    Fault(name="long_header", says="One header is 20 KB long; it is done.", executed=True),
    Fault(name="many_headers", says="The answer has 500 headers; it is done.", executed=True),
    Fault(name="twice", says="The answer comes twice on one connection; it is done.", executed=True),
    Fault(name="stale", says="The answer is that of the call before, of the same action; it is done.", executed=True),
    *_pair("html", "The answer is a web page with HTTP 200"),
    *_pair("blank", "The answer is empty with HTTP 200"),
    *_pair("php", "A PHP warning stands where the answer should begin, with HTTP 200"),
    *_pair("http", "The answer is a web server's page with this HTTP status", value="code", before="502", after="500"),
    *_pair("http_json", "The answer is a JSON error with this HTTP status", value="code", before="400", after="500"),
    *_pair("redirect", "The answer sends the buyer elsewhere with this HTTP status", value="code", before="302"),
    *_pair("cloudflare", "Cloudflare answers for the panel, with this status", value="code", before="521", after="524"),
    Fault(
        name="challenge",
        says="Cloudflare wants a browser; nothing is done.",
        executed=False,
        value="code",
        default="403",
    ),
    Fault(
        name="rate_limit",
        says="HTTP 429 with Retry-After in seconds; nothing is done.",
        executed=False,
        value="count",
        default="30",
    ),
    Fault(name="rate_limit_bare", says="HTTP 429 and no word on when; nothing is done.", executed=False),
    Fault(name="no_funds", says="The field's words for an empty balance; nothing is done.", executed=False),
    Fault(name="bad_link", says="The field's words for a wrong link; nothing is done.", executed=False),
    Fault(name="bad_key", says="The field's words for a wrong key; nothing is done.", executed=False),
    Fault(name="bad_service", says="The field's words for an unknown service; nothing is done.", executed=False),
    Fault(name="duplicate", says="The field's words for an active order on the link; nothing is done.", executed=False),
    Fault(name="maintenance", says="The field's words for maintenance; nothing is done.", executed=False),
    *_pair("error", "An error in words of your own", value="text", before="Something went sideways, code 17"),
    *_pair("server_error", 'The error "Internal server error" with HTTP 200'),
    Fault(
        name="wrong_id",
        says="The order's id is none, or another's; it is done.",
        executed=True,
        actions=_ADD,
        value="choice",
        default="0",
        choices=tuple(WRONG_IDS),
    ),
    Fault(
        name="id_text", says="The order's id is text, as some panels write it; it is done.", executed=True, actions=_ADD
    ),
    Fault(name="no_id", says="The answer tells success and no id; it is done.", executed=True, actions=_ADD),
    Fault(
        name="order_and_error",
        says="The answer has both an order and an error; it is done.",
        executed=True,
        actions=_ADD,
    ),
    Fault(
        name="bomb",
        says="The body is gzip that grows to so many MB, the true answer at its end; it is done.",
        executed=True,
        value="count",
        default="64",
    ),
    Fault(
        name="big",
        says="The body is so many MB of JSON around the true answer; it is done.",
        executed=True,
        value="count",
        default="10",
    ),
    Fault(
        name="deep",
        says="The body is JSON nested so many levels deep; it is done.",
        executed=True,
        value="count",
        default="100000",
    ),
    Fault(
        name="drip",
        says="The body drips byte by byte and never ends, until the sandbox hangs up after so long; it is done.",
        executed=True,
        value="seconds",
        default="30",
    ),
    Fault(name="empty", says="The list of services is empty.", executed=True, actions=_SERVICES),
    Fault(name="halve", says="The second half of the list of services is gone.", executed=True, actions=_SERVICES),
    Fault(
        name="price",
        says="Rates in the list are so many times as high; on add, so is the charge.",
        executed=True,
        actions=_SERVICES | _ADD,
        value="factor",
        default="100",
    ),
    Fault(
        name="omit",
        says="Every second order asked for is missing, the first among them.",
        executed=True,
        actions=_STATUS,
    ),
    Fault(name="foreign", says="An order nobody asked for is told of too.", executed=True, actions=_STATUS),
    Fault(name="as_list", says="The answer is a list of orders, the last one first.", executed=True, actions=_STATUS),
    Fault(name="lost", says="Every order is told to be an incorrect id.", executed=True, actions=_STATUS),
    Fault(name="lost_text", says="The same, in plain text where an object belongs.", executed=True, actions=_STATUS),
    Fault(
        name="word",
        says="Every order has this status word.",
        executed=True,
        actions=_STATUS,
        value="text",
        default="Holding",
    ),
    Fault(
        name="remains",
        says="What remains of every order is no such number.",
        executed=True,
        actions=_STATUS,
        value="choice",
        default="more",
        choices=REMAINS,
    ),
    Fault(name="null_start", says="The start count of every order is null.", executed=True, actions=_STATUS),
    Fault(
        name="currency",
        says="Amounts are said to be of this currency.",
        executed=True,
        actions=frozenset({"status", "balance"}),
        value="text",
        default="XAU",
    ),
    Fault(
        name="ignored",
        says="The wish is answered as if it were heeded, and is not.",
        executed=False,
        actions=frozenset({"cancel"}),
    ),
)

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _FAULTS}
"""All of them, in the order in which help should print them."""
