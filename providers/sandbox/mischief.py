"""What each fault makes of an answer: on the wire, in its body, or in what it says."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

import msgspec

from providers.sandbox.fault_table import REMAINS, WRONG_IDS
from providers.sandbox.market import ACTIVE, NO_FUNDS, NO_ORDER
from providers.sandbox.wire import HTML, Answer, reason, response

_MB: Final = 1_048_576
_CLOUDFLARE: Final = ("Server: cloudflare", "CF-RAY: 8f2a1b3c4d5e6f70-FRA")
_WORDS: Final[Mapping[str, str]] = {
    "no_funds": NO_FUNDS,
    "bad_link": "Incorrect link",
    "bad_key": "Invalid API key",
    "bad_service": "Incorrect service ID",
    "duplicate": ACTIVE,
    "maintenance": "Service is under maintenance, please try again later",
    "server_error": "Internal server error",
}

State = dict[str, object]


class Spoiled(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault works on.

    Attributes:
        value: the rule's.
        body: the true answer; empty where nothing was done.
        stale: the answer of the call before, of the same action; the true one when there was none.
        last_id: the order before this one, for a wrong id.
        elsewhere: where a redirect leads.
    """

    value: str
    body: bytes = b""
    stale: bytes = b""
    last_id: int | None = None
    elsewhere: str = ""


def failure(words: str) -> bytes:
    return msgspec.json.encode({"error": words})


def on_wire(name: str, spoiled: Spoiled) -> Answer:
    """The answer that the fault `name` makes, `_before` and `_after` alike."""
    return _WIRE[name.removesuffix("_before").removesuffix("_after")](spoiled)


def in_words(name: str, reply: object, spoiled: Spoiled) -> object:
    """What the fault `name` makes of a reply before it is written."""
    return _SAID[name](reply, spoiled)


def is_said(name: str) -> bool:
    return name in _SAID


def _page(title: str, text: str) -> bytes:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{text}</h1></body></html>\n".encode()


def _status_page(spoiled: Spoiled) -> Answer:
    code = int(spoiled.value)
    title = f"{code} {reason(code)}"
    return Answer(raw=response(_page(title, title), code, HTML, ("Server: nginx",)))


def _redirect(spoiled: Spoiled) -> Answer:
    moved = (f"Location: {spoiled.elsewhere}",)
    return Answer(raw=response(_page("Moved", "Moved"), int(spoiled.value), HTML, moved))


def _cloudflare(spoiled: Spoiled) -> Answer:
    code = int(spoiled.value)
    page = _page(f"panel | {code}: the origin failed", "Error behind Cloudflare")
    return Answer(raw=response(page, code, HTML, _CLOUDFLARE))


def _challenge(spoiled: Spoiled) -> Answer:
    page = _page("Just a moment...", "Checking your browser")
    return Answer(raw=response(page, int(spoiled.value), HTML, (*_CLOUDFLARE, "cf-mitigated: challenge")))


def _php(spoiled: Spoiled) -> Answer:
    warning = b"<br />\n<b>Warning</b>:  mysqli::query(): MySQL server has gone away in <b>/www/api.php</b><br />\n"
    return Answer(raw=response(warning + spoiled.body, kind=HTML))


def _cut(spoiled: Spoiled, length: int, *extra: str) -> Answer:
    part = spoiled.body[: min(int(spoiled.value), len(spoiled.body) - 1)]
    return Answer(raw=response(part, extra=extra, length=length), then="fin")


def _chunked(spoiled: Spoiled) -> Answer:
    chunk = b"zz-not-hex\r\n" + spoiled.body + b"\r\n0\r\n\r\n"
    return Answer(raw=response(chunk, extra=("Transfer-Encoding: chunked",), length=-1), then="fin")


def _bomb(spoiled: Spoiled) -> Answer:
    raw = _gzip_after_spaces(spoiled.body, int(spoiled.value))
    return Answer(raw=response(raw, extra=("Content-Encoding: gzip",)))


def _gzip_after_spaces(body: bytes, megabytes: int) -> bytes:
    """Gzip of so many MB of spaces, and of `body` after them, made without ever holding them."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    spaces = squeeze.compress(b" " * _MB) + squeeze.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    check = zlib.crc32(body, _crc_of_spaces(megabytes))
    size = (megabytes * _MB + len(body)) & 0xFFFFFFFF
    return b"".join(
        (
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
            spaces * megabytes,
            end.compress(body) + end.flush(),
            check.to_bytes(4, "little") + size.to_bytes(4, "little"),
        )
    )


@lru_cache(maxsize=8)
def _crc_of_spaces(megabytes: int) -> int:
    check, block = 0, b" " * _MB
    for _ in range(megabytes):
        check = zlib.crc32(block, check)
    return check


def _big(spoiled: Spoiled) -> Answer:
    pad = b"x" * (_MB * int(spoiled.value))
    return Answer(raw=response(b'{"pad":"' + pad + b'","answer":' + spoiled.body + b"}"))


def _deep(spoiled: Spoiled) -> Answer:
    levels = int(spoiled.value)
    return Answer(raw=response(b'{"order":' + b"[" * levels + b"]" * levels + b"}"))


def _drip(spoiled: Spoiled) -> Answer:
    start = response(b"", extra=("Transfer-Encoding: chunked",), length=-1)
    return Answer(raw=start, drip_s=float(spoiled.value), then="reset")


def _plain(name: str) -> Callable[[Spoiled], Answer]:
    return lambda _: Answer(raw=response(failure(_WORDS[name])))


def _headers(lines: Iterable[str]) -> Callable[[Spoiled], Answer]:
    extra = tuple(lines)
    return lambda spoiled: Answer(raw=response(spoiled.body, extra=extra))


_WIRE: Final[Mapping[str, Callable[[Spoiled], Answer]]] = {
    "refuse": lambda _: Answer(then="reset"),
    "reset": lambda _: Answer(then="reset"),
    "fin": lambda _: Answer(then="fin"),
    "silence": lambda _: Answer(then="hold"),
    "delay": lambda spoiled: Answer(raw=response(spoiled.body), wait_s=float(spoiled.value)),
    "garbage": lambda _: Answer(raw=b"\x16\x03\x01\x00\x02SSH-2.0-panel\r\n\r\n", then="fin"),
    "cut_headers": lambda spoiled: Answer(raw=response(spoiled.body)[:30], then="fin"),
    "truncate": lambda spoiled: _cut(spoiled, len(spoiled.body)),
    "truncate_eof": lambda spoiled: _cut(spoiled, -1, "Connection: close"),
    "bad_chunk": _chunked,
    "bad_gzip": lambda spoiled: Answer(raw=response(spoiled.body, extra=("Content-Encoding: gzip",))),
    "long_header": _headers(["X-Trace: " + "t" * 20_480]),
    "many_headers": _headers([f"X-Trace-{number}: t" for number in range(500)]),
    "twice": lambda spoiled: Answer(raw=response(spoiled.body) * 2),
    "stale": lambda spoiled: Answer(raw=response(spoiled.stale)),
    "html": lambda _: Answer(raw=response(_page("Sign in", "Sign in"), kind=HTML)),
    "blank": lambda _: Answer(raw=response(b"", kind=HTML)),
    "php": _php,
    "http": _status_page,
    "http_json": lambda spoiled: Answer(raw=response(failure("Incorrect request"), int(spoiled.value))),
    "redirect": _redirect,
    "cloudflare": _cloudflare,
    "challenge": _challenge,
    "rate_limit": lambda spoiled: Answer(
        raw=response(failure("Rate limit exceeded"), 429, extra=(f"Retry-After: {spoiled.value}",))
    ),
    "rate_limit_bare": lambda _: Answer(raw=response(failure("Rate limit exceeded"), 429)),
    **{name: _plain(name) for name in _WORDS},
    "error": lambda spoiled: Answer(raw=response(failure(spoiled.value))),
    "bomb": _bomb,
    "big": _big,
    "deep": _deep,
    "drip": _drip,
}


def _wrong_id(reply: object, spoiled: Spoiled) -> object:
    if not isinstance(reply, dict) or "order" not in reply:
        return reply
    wrong = WRONG_IDS[spoiled.value]
    if spoiled.value == "repeat" and spoiled.last_id is not None:
        wrong = str(spoiled.last_id).encode()
    return {"order": msgspec.Raw(wrong)} if wrong else reply


def _added(change: Callable[[object], object]) -> Callable[[object, Spoiled], object]:
    """A change of the reply to an `add` that went well."""
    return lambda reply, _: change(reply["order"]) if isinstance(reply, dict) and "order" in reply else reply


def _states(reply: object) -> dict[str, State]:
    """The orders of a reply for many; of one order, it alone."""
    told: State = reply if isinstance(reply, dict) else {}
    return {"": told} if "status" in told or "error" in told else cast("dict[str, State]", told)


def _shaped(reply: object, states: Mapping[str, object]) -> object:
    """The reply again, in the shape it had."""
    alone = "" in _states(reply)
    return states.get("", {}) if alone else states


def _each(change: Callable[[State, Spoiled], object]) -> Callable[[object, Spoiled], object]:
    """A change of every order of a reply to `status`, one or many, that was found."""
    return lambda reply, spoiled: _shaped(
        reply,
        {order: change(state, spoiled) if "status" in state else state for order, state in _states(reply).items()},
    )


def _omitted(reply: object, _: Spoiled) -> object:
    return _shaped(reply, dict(tuple(_states(reply).items())[1::2]))


def _foreign(reply: object, _: Spoiled) -> object:
    told: State = {"charge": "0.50", "start_count": "7", "status": "Canceled", "remains": "100", "currency": "USD"}
    states = _states(reply)
    if "" in states:
        return {**states[""], **told, "order": 999_999_999}
    return {**states, "999999999": told}


def _listed(reply: object, _: Spoiled) -> object:
    states = _states(reply)
    return [{"order": order, **state} if order else state for order, state in reversed(states.items())]


def _remaining(state: State, spoiled: Spoiled) -> object:
    if spoiled.value == "missing":
        return {name: value for name, value in state.items() if name != "remains"}
    remains: Sequence[object] = ("2147483647", "-17", "Unknown", None)
    return {**state, "remains": remains[REMAINS.index(spoiled.value)]}


def _currency(reply: object, spoiled: Spoiled) -> object:
    if isinstance(reply, dict) and "balance" in reply:
        return {**reply, "currency": spoiled.value}
    return _each(lambda state, _: {**state, "currency": spoiled.value})(reply, spoiled)


_SAID: Final[Mapping[str, Callable[[object, Spoiled], object]]] = {
    "wrong_id": _wrong_id,
    "id_text": _added(lambda order: {"order": str(order)}),
    "no_id": _added(lambda _: {"status": "success"}),
    "order_and_error": _added(lambda order: {"order": order, "error": "Order could not be created"}),
    "omit": _omitted,
    "foreign": _foreign,
    "as_list": _listed,
    "lost": _each(lambda _, __: {"error": NO_ORDER}),
    "lost_text": _each(lambda _, __: NO_ORDER),
    "word": _each(lambda state, spoiled: {**state, "status": spoiled.value}),
    "remains": _each(_remaining),
    "null_start": _each(lambda state, _: {**state, "start_count": None}),
    "currency": _currency,
}
