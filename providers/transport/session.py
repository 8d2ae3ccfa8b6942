"""One panel's own connections, and the one fact they prove: how far a call came."""

import asyncio
import ssl
from types import SimpleNamespace

import aiohttp
from yarl import URL

from providers.base import Action, LastCheck
from providers.transport.limits import Limits
from providers.transport.sockets import factory


class TooLate(Exception):
    """A call was stopped at the last moment before its first byte."""


class Call:
    """How far one try of a call came: its phase is waiting, connecting, sent or answering."""

    def __init__(self, action: Action, *, started: float, answer_s: float, last_check: LastCheck | None = None) -> None:
        self.action: Action = action
        self.started = started
        self.phase = "waiting"
        self.http: int | None = None
        self.received = bytearray()
        self._answer_s = answer_s
        self._last_check = last_check
        self._deadline: asyncio.Timeout | None = None

    def connecting(self, deadline: asyncio.Timeout) -> None:
        self.phase = "connecting"
        self._deadline = deadline

    def left(self) -> None:
        """The headers are about to be written: from here on the panel may act, and the time for its answer runs.

        Raises:
            TooLate: the last check has a reason not to send it; nothing is written.
        """
        if self._last_check is not None and (why := self._last_check()) is not None:
            raise TooLate(why)
        self.phase = "sent"
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._answer_s)

    def answering(self, status: int) -> None:
        self.phase = "answering"
        self.http = status

    @property
    def sent(self) -> bool:
        return self.phase in {"sent", "answering"}


async def _headers_sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.left()


def session(
    url: URL, limits: Limits, *, in_flight: int, allow_private: bool, trusted: ssl.SSLContext | None
) -> aiohttp.ClientSession:
    """Open a session for one panel; every request on it carries its `Call` as trace context."""
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_headers_sent)
    connector = aiohttp.TCPConnector(
        limit=in_flight,
        keepalive_timeout=limits.idle_s,
        ssl=(trusted or trusting_the_system()) if url.scheme == "https" else True,
        socket_factory=factory(allow_private=allow_private, give_up_s=limits.give_up_s),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        trace_configs=[trace],
        headers={"User-Agent": "panelmux", "Content-Type": "application/x-www-form-urlencoded"},
    )


def timeout(action: Action, limits: Limits) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None,  # it would end a call in any phase with one and the same exception
        connect=limits.reach_s,
        sock_connect=limits.connect_s,
        sock_read=limits.silence_s(action),
    )


def checked(panel: str, url: str, *, plain: bool) -> URL:
    """Read a panel's address; http only where `plain`.

    Raises:
        ValueError: not an address that can be used.
    """
    try:
        parsed = URL(url)
    except ValueError:
        raise ValueError(f"{panel}: url: not an address") from None
    if parsed.user is not None or parsed.password is not None:
        raise ValueError(f"{panel}: url: a name or password does not belong in it")
    if parsed.scheme not in ({"http", "https"} if plain else {"https"}) or not parsed.host:
        raise ValueError(f'{panel}: url: "{url}" is not https://…')
    return parsed


def trusting_the_system() -> ssl.SSLContext:
    """Everything is verified; there is no switch that turns it off."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
