"""One action over HTTP, and whether it left us: the only place where panels' networks are spoken to.

The rule that decides whether an order may be tried again: *nothing left us* is proved by one fact, that aiohttp never
came to the request's headers, on the one and only try, with redirects off. A kind of exception proves nothing: a
reset, a disconnect and a timeout look alike before and after the panel took the order.
"""

import asyncio
import html
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace, TracebackType
from typing import Final, Self
from urllib.parse import quote, quote_plus, urlencode

import aiohttp
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential
from yarl import URL

from providers.base import READS, Action
from providers.errors import ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from providers.pace import Pace
from providers.transport.reply import Reply, Verdict, reply, verdict
from providers.transport.sockets import factory

EXCERPT: Final = 300  # characters of an answer kept as evidence
SECRET: Final = 8  # a shorter key is no secret, and striking it out would blot plain words
WORTH_WAITING_S: Final = 2.0  # a panel that asks for more is asked again by the next round, not by a retry


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much, for one panel. Seconds end in `_s`; the rest are bytes of an answer, unpacked.

    Attributes:
        wait_s: for a permit, before anything is sent.
        connect_s: one address: TCP and TLS.
        reach_s: the name, all its addresses, TLS.
        give_up_s: bytes sent and not acknowledged: the kernel drops them and the connection.
        add_s, read_s, list_s: from the first byte sent to the last one read: `add`, the rest, `services`.
        idle_s: a connection that rested longer is not used again: the panel may be closing it just then.
    """

    wait_s: float = 5.0
    connect_s: float = 5.0
    reach_s: float = 10.0
    give_up_s: float = 20.0
    add_s: float = 120.0
    read_s: float = 20.0
    list_s: float = 120.0
    idle_s: float = 1.0
    small: int = 64 * 1024
    many: int = 1024 * 1024
    catalogue: int = 32 * 1024 * 1024

    def answer_s(self, action: Action) -> float:
        return {"add": self.add_s, "services": self.list_s}.get(action, self.read_s)

    def silence_s(self, action: Action) -> float:
        """How long a panel may say nothing at all."""
        return self.add_s if action == "add" else self.read_s

    def size(self, action: Action) -> int:
        return {"services": self.catalogue, "status": self.many, "refill_status": self.many}.get(action, self.small)


class _Call:
    """How far one try of a call came."""

    def __init__(self, action: Action, *, started: float, answer_s: float) -> None:
        self.action: Action = action
        self.started = started
        self.phase = "waiting"  # then connecting, sent, answering
        self.http: int | None = None
        self.received = bytearray()
        self._answer_s = answer_s
        self._deadline: asyncio.Timeout | None = None

    def connecting(self, deadline: asyncio.Timeout) -> None:
        self.phase = "connecting"
        self._deadline = deadline

    def left(self) -> None:
        """The headers are about to be written: from here on the panel may act."""
        self.phase = "sent"
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._answer_s)

    @property
    def sent(self) -> bool:
        return self.phase in {"sent", "answering"}


async def _headers_sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.left()


class _Unconnected(Unsent):
    """No connection came about, and it took no waiting to know: worth another try at once."""


class Transport:
    """One panel's HTTP. Shares nothing with other panels': own connections, own permits, no cookies, no proxies."""

    def __init__(
        self,
        panel: str,
        url: str,
        key: str,
        *,
        in_flight: int = 16,
        pace: Pace | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        allow_private: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Check what can be checked before the first call.

        Args:
            panel: its name in the rules.
            in_flight: calls under way at once.
            allow_private: private and loopback addresses, and plain http, are allowed: for tests and the sandbox.
            ssl_context: whom to trust, where that is not the system's list; it must verify.

        Raises:
            ValueError: the address, the key or the context cannot be used.
        """
        if not key:
            raise ValueError(f"{panel}: the key is empty")
        if ssl_context is not None and not (
            ssl_context.verify_mode is ssl.CERT_REQUIRED and ssl_context.check_hostname
        ):
            raise ValueError(f"{panel}: a TLS context that does not verify")
        self.panel = panel
        self._url = _checked(panel, url, plain=allow_private)
        self._key = key
        self._secrets = _spellings(key)
        self._in_flight = in_flight
        self._permits = asyncio.Semaphore(in_flight)
        self._pace = pace
        self._limits = limits
        self._allow_private = allow_private
        self._ssl = ssl_context
        self._clock = clock
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Transport({self.panel!r})"

    async def open(self) -> Self:
        """Be ready for calls, again after a `close`; `send` does it by itself the first time."""
        self._closed = False
        self._opened()
        return self

    async def close(self) -> None:
        """End all connections. Calls after it are `Unsent`."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, action: Action, params: Mapping[str, str]) -> Reply:
        """POST `action` and give the answer for the dialect to read: a 2xx, or a 4xx that its words may explain.

        A read is sent up to 3 times. A write is sent again only when no connection came about: a second `add` may be
        a second order.

        Raises:
            Unsent: nothing left us, or Cloudflare says that nothing reached the panel.
            Throttled: the panel asked us to come later.
            Refused: a challenge page stood in the way.
            Unanswered: it left, and no usable answer came.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(_read_again if action in READS else _write_again),
            stop=stop_after_attempt(3),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._send_once, action, params)

    def refused(self, action: Action, text: str, why: Reason, answer: Reply) -> Refused:
        """The dialect found a no in `answer`: the exception for it, with its evidence."""
        if why is Reason.RATE_LIMIT:
            return self._throttled(action, text, answer)
        return Refused(text, why, panel=self.panel, action=action, evidence=self._evidence(answer))

    def unanswered(self, action: Action, what: str, answer: Reply) -> Unanswered:
        """The dialect found nothing it knows in `answer`: the exception for it, with its evidence."""
        return Unanswered(what, panel=self.panel, action=action, evidence=self._evidence(answer))

    async def _send_once(self, action: Action, params: Mapping[str, str]) -> Reply:
        call = _Call(action, started=self._clock(), answer_s=self._limits.answer_s(action))
        with self._translated(call):
            body = urlencode({**params, "key": self._key, "action": action}).encode()
            async with self._permit(action):
                if self._pace is not None:
                    await self._pace.admit(self.panel, action)
                answer = await self._exchange(call, body)
        return self._judged(action, answer)

    @asynccontextmanager
    async def _permit(self, action: Action) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await self._permits.acquire()
        except TimeoutError:
            what = f"{self._in_flight} calls in flight for {self._limits.wait_s:g} s"
            raise Unsent(what, panel=self.panel, action=action) from None
        try:
            yield
        finally:
            self._permits.release()

    async def _exchange(self, call: _Call, body: bytes) -> Reply:
        limits = self._limits
        timeout = aiohttp.ClientTimeout(
            total=None,  # it would end a call in any phase with one and the same exception
            connect=limits.reach_s,
            sock_connect=limits.connect_s,
            sock_read=limits.silence_s(call.action),
        )
        session = self._opened()
        async with asyncio.timeout(None) as deadline:  # set when the request leaves: a trickle is not an answer
            call.connecting(deadline)
            response = await session.post(
                self._url, data=body, timeout=timeout, allow_redirects=False, trace_request_ctx=call
            )
            try:
                await self._read(call, response)
            except BaseException:
                response.close()  # half an answer is in it: never for another call
                raise
            response.release()
        ms = self._ms(call)
        return reply(response.status, response.headers, self._struck(bytes(call.received)), ms=ms)

    async def _read(self, call: _Call, response: aiohttp.ClientResponse) -> None:
        """Take the body into `call.received`, unpacked bytes counted; of a long error page the beginning will do."""
        call.phase, call.http = "answering", response.status
        usable = 200 <= response.status < 300
        cap = self._limits.size(call.action) if usable else self._limits.small
        async for piece in response.content.iter_chunked(64 * 1024):
            call.received += piece
            if len(call.received) > cap:
                if usable:
                    raise ValueError(f"an answer of more than {cap} bytes")
                response.close()
                del call.received[cap:]
                return

    @contextmanager
    def _translated(self, call: _Call) -> Iterator[None]:
        """Let nothing but our own errors out, the key struck from their words; a lower error's may echo a panel's."""
        try:
            yield
        except ProviderError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it was, the phase says whether the panel may have acted
            kind: type[Unsent | Unanswered] = Unanswered if call.sent else Unsent
            if (
                not call.sent
                and isinstance(fault, aiohttp.ClientConnectorError)
                and not isinstance(fault, ssl.SSLError)
            ):
                kind = _Unconnected
            what = self._excerpt(f"{type(fault).__name__}: {fault}".encode(errors="replace"))
            evidence: dict[str, str | int] = {
                "phase": call.phase,
                "error": type(fault).__name__,
                "ms": self._ms(call),
            }
            if call.http is not None:
                evidence |= {"http": call.http, "body": self._excerpt(bytes(call.received[: EXCERPT * 16]))}
            raise kind(what, panel=self.panel, action=call.action, evidence=evidence) from None

    def _judged(self, action: Action, answer: Reply) -> Reply:
        what = f"HTTP {answer.status}"
        match verdict(answer):
            case Verdict.THROTTLED:
                raise self._throttled(action, what, answer)
            case Verdict.BLOCKED:
                raise self.refused(action, f"{what}: a challenge page", Reason.EDGE, answer)
            case Verdict.UNREACHED:
                what = f"{what}: Cloudflare could not reach the panel"
                raise Unsent(what, panel=self.panel, action=action, evidence=self._evidence(answer))
            case Verdict.UNANSWERED:
                raise self.unanswered(action, what, answer)
            case _:
                return answer

    def _throttled(self, action: Action, text: str, answer: Reply) -> Throttled:
        evidence = self._evidence(answer)
        return Throttled(text, panel=self.panel, action=action, retry_after_s=answer.retry_after_s, evidence=evidence)

    def _evidence(self, answer: Reply) -> dict[str, str | int]:
        body = self._excerpt(answer.body[: EXCERPT * 16])
        return {"phase": "answered", "http": answer.status, "body": body, "ms": answer.ms}

    def _ms(self, call: _Call) -> int:
        return round((self._clock() - call.started) * 1000)

    def _struck(self, text: bytes) -> bytes:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, b"[key]")
        return text

    def _excerpt(self, text: bytes) -> str:
        """The beginning of `text` on one line: no key, nothing that steers a terminal or a log."""
        words = self._struck(text).decode(errors="replace")
        plain = "".join(letter if letter.isprintable() else " " for letter in words)
        return " ".join(plain.split())[:EXCERPT]

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the transport is closed")
        if self._session is None:
            self._session = self._made()
        return self._session

    def _made(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_headers_sent)
        connector = aiohttp.TCPConnector(
            limit=self._in_flight,
            keepalive_timeout=self._limits.idle_s,
            ssl=self._ssl or _verifying() if self._url.scheme == "https" else True,
            socket_factory=factory(allow_private=self._allow_private, give_up_s=self._limits.give_up_s),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            trace_configs=[trace],
            headers={"User-Agent": "panelmux", "Content-Type": "application/x-www-form-urlencoded"},
        )


def _checked(panel: str, url: str, *, plain: bool) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        raise ValueError(f"{panel}: url: not an address") from None
    if parsed.user is not None or parsed.password is not None:
        raise ValueError(f"{panel}: url: a name or password does not belong in it")
    if parsed.scheme not in ({"http", "https"} if plain else {"https"}) or not parsed.host:
        raise ValueError(f'{panel}: url: "{url}" is not https://…')
    return parsed


def _spellings(key: str) -> tuple[bytes, ...]:
    """The key in every writing in which an answer may give it back, longest first."""
    if len(key) < SECRET:
        return ()
    in_json = msgspec.json.encode(key)[1:-1].decode()
    writings = {key, quote(key, safe=""), quote_plus(key), html.escape(key), in_json, in_json.replace("/", "\\/")}
    return tuple(sorted((writing.encode() for writing in writings), key=len, reverse=True))


def _verifying() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _read_again(fault: BaseException) -> bool:
    if isinstance(fault, Throttled):
        return (fault.retry_after_s or 0.0) <= WORTH_WAITING_S
    return isinstance(fault, _Unconnected | Unanswered)


def _write_again(fault: BaseException) -> bool:
    return isinstance(fault, _Unconnected)


_jitter: Final = wait_random_exponential(multiplier=0.1, max=2)  # seconds


def _wait(state: RetryCallState) -> float:
    fault = state.outcome.exception() if state.outcome is not None else None
    asked = fault.retry_after_s if isinstance(fault, Throttled) else None
    return max(_jitter(state), asked or 0.0)
