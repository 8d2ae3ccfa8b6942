"""One action over HTTP, and whether it left us: the only place where panels' networks are spoken to.

The rule that decides whether an order may be tried again: *nothing left us* is proved by one fact, that aiohttp never
came to the request's headers, on the one and only try, with redirects off. A kind of exception proves nothing: a
reset, a disconnect and a timeout look alike before and after the panel took the order.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, wait_random_exponential

from providers.base import READS, Action, LastCheck
from providers.errors import Full, ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from providers.pace import Pace
from providers.transport.key import Key
from providers.transport.limits import Limits, Retries
from providers.transport.reply import Reply, Verdict, reply, verdict
from providers.transport.session import Call, TooLate, checked, session, timeout

_ATTEMPTS: Final = 3
WORTH_WAITING_S: Final = 2.0  # a panel that asks for more is asked again by the next round, not by a retry


class _TooLong(Exception):
    pass


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

        `panel` is its name in the rules; at most `in_flight` calls are under way at once. `allow_private` lets
        private and loopback addresses and plain http through, for tests and the sandbox. `ssl_context` says whom to
        trust where that is not the system's list; one that does not verify is refused.

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
        self._url = checked(panel, url, plain=allow_private)
        self._key = Key(key)
        self._in_flight = in_flight
        self._permits = asyncio.Semaphore(in_flight)
        self._for_reads = max(in_flight - max(in_flight // 4, 1), 1)  # so that reads keep no write out
        self._permits_of_reads = asyncio.Semaphore(self._for_reads)
        self._pace = pace
        self._limits = limits
        self._allow_private = allow_private
        self._trusted = ssl_context
        self._clock = clock
        self._retries = Retries()
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
        opened, self._session = self._session, None
        if opened is not None:
            await opened.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(
        self,
        action: Action,
        params: Mapping[str, str],
        *,
        acted: Callable[[Reply], bool] = lambda _: False,
        last_check: LastCheck | None = None,
    ) -> Reply:
        """POST `action` and give the answer for the dialect to read: a 2xx, or a 4xx that its words may explain.

        A read is sent up to 3 times, as long as the budget of retries (`Retries`) carries it. A write is sent again
        only when no connection came about: a second `add` may be a second order. `acted` tells of an answer that is no
        2xx whether it shows that the panel acted all the same: then its status proves nothing. `last_check` is asked
        right before the first byte leaves; its reason stops it.

        Raises:
            Unsent: nothing left us, or Cloudflare says that nothing reached the panel; `Full` where we held it back.
            Throttled: the panel asked us to come later.
            Refused: a challenge page stood in the way.
            Unanswered: it left, and no usable answer came.
        """
        retrying = AsyncRetrying(
            retry=self._again(_read_again if action in READS else _write_again),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        self._retries.called()
        return await retrying(self._send_once, action, params, acted, last_check)

    def _again(self, worth: Callable[[BaseException], bool]) -> Callable[[RetryCallState], bool]:
        """Whether a call is made again: where that is worth it, and the budget of retries carries one."""

        def again(state: RetryCallState) -> bool:
            fault = None if state.outcome is None else state.outcome.exception()
            return fault is not None and worth(fault) and state.attempt_number < _ATTEMPTS and self._retries.spend()

        return again

    def refused(self, action: Action, text: str, why: Reason, answer: Reply) -> Refused:
        """The dialect found a no in `answer`: the exception for it, with its evidence."""
        text = self._key.excerpt(text.encode(errors="replace"))
        if why is Reason.RATE_LIMIT:
            return self._throttled(action, text, answer)
        return Refused(text, why, panel=self.panel, action=action, evidence=self._evidence(answer))

    def unanswered(self, action: Action, what: str, answer: Reply) -> Unanswered:
        """The dialect found nothing it knows in `answer`: the exception for it, with its evidence."""
        what = self._key.excerpt(what.encode(errors="replace"))
        return Unanswered(what, panel=self.panel, action=action, evidence=self._evidence(answer))

    def struck(self, document: object) -> object:
        """Give what a dialect decoded without our key: unpacking JSON can bring one to light."""
        return self._key.struck_document(document)

    async def _send_once(
        self,
        action: Action,
        params: Mapping[str, str],
        acted: Callable[[Reply], bool],
        last_check: LastCheck | None,
    ) -> Reply:
        answer_s = self._limits.answer_s(action)
        call = Call(action, started=self._clock(), answer_s=answer_s, last_check=last_check)
        with self._translated(call):
            body = urlencode({**params, "key": self._key.reveal(), "action": action}).encode()
            if self._pace is not None:  # before the permit: who waits for a turn keeps nobody else waiting
                await self._pace.admit(self.panel, action)
            async with self._permit(action):
                answer = await self._exchange(call, body)
            return self._judged(action, answer, acted)

    @asynccontextmanager
    async def _permit(self, action: Action) -> AsyncIterator[None]:
        is_read = action in READS
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._limits.wait_s):
                    if is_read:
                        await held.enter_async_context(self._permits_of_reads)
                    await held.enter_async_context(self._permits)
            except TimeoutError:
                calls = f"{self._for_reads} reads" if is_read else f"{self._in_flight} calls"
                what = f"{calls} in flight for {self._limits.wait_s:g} s"
                raise Full(what, panel=self.panel, action=action) from None
            yield

    async def _exchange(self, call: Call, body: bytes) -> Reply:
        opened = self._opened()
        async with asyncio.timeout(None) as deadline:  # set when the request leaves: a trickle is not an answer
            call.connecting(deadline)
            response = await opened.post(
                self._url,
                data=body,
                timeout=timeout(call.action, self._limits),
                allow_redirects=False,
                trace_request_ctx=call,
            )
            try:
                await self._read(call, response)
            except BaseException:
                response.close()  # half an answer is in it: never for another call
                raise
            response.release()
        ms = self._ms(call)
        return reply(response.status, response.headers, self._key.struck(bytes(call.received)), ms=ms)

    async def _read(self, call: Call, response: aiohttp.ClientResponse) -> None:
        """Take the body into `call.received`, unpacked bytes counted; of a long error page the beginning will do."""
        call.answering(response.status)
        usable = 200 <= response.status < 300
        cap = self._limits.size(call.action) if usable else self._limits.small
        async for piece in response.content.iter_chunked(64 * 1024):
            call.received += piece
            if len(call.received) > cap:
                if usable:
                    raise _TooLong(f"an answer of more than {cap} bytes")
                response.close()
                del call.received[cap:]
                return

    @contextmanager
    def _translated(self, call: Call) -> Iterator[None]:
        """Let nothing but our own errors out, the key struck from their words; a lower error's may echo a panel's."""
        try:
            yield
        except ProviderError as known:
            known.evidence.setdefault("phase", call.phase)
            known.evidence.setdefault("ms", self._ms(call))
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it was, the phase says whether the panel may have acted
            what = self._key.excerpt(f"{type(fault).__name__}: {fault}".encode(errors="replace"))
            evidence: dict[str, str | int] = {
                "phase": call.phase,
                "error": type(fault).__name__,
                "ms": self._ms(call),
            }
            if call.http is not None:
                evidence |= {"http": call.http, "body": self._key.excerpt(call.received)}
            raise _kind(call, fault)(what, panel=self.panel, action=call.action, evidence=evidence) from None

    def _judged(self, action: Action, answer: Reply, acted: Callable[[Reply], bool]) -> Reply:
        what = f"HTTP {answer.status}"
        judged = verdict(answer)
        if judged is not Verdict.READ and acted(answer):
            raise self.unanswered(action, f"{what} of a panel that seems to have acted", answer)
        match judged:
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
        return {
            "phase": "answered",
            "http": answer.status,
            "body": self._key.excerpt(answer.body),
            "ms": answer.ms,
        }

    def _ms(self, call: Call) -> int:
        return round((self._clock() - call.started) * 1000)

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the transport is closed")
        if self._session is None:
            self._session = session(
                self._url,
                self._limits,
                in_flight=self._in_flight,
                allow_private=self._allow_private,
                trusted=self._trusted,
            )
        return self._session


def _kind(call: Call, fault: Exception) -> type[Unsent | Unanswered]:
    if call.sent:
        return Unanswered
    if isinstance(fault, TooLate):
        return Full
    refused = isinstance(fault, aiohttp.ClientConnectorError) and not isinstance(fault, ssl.SSLError)
    return _Unconnected if refused else Unsent


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
