"""Whatever is sent: HTTP 200 and JSON, nothing changed where an error is answered, nobody served without a key."""

import asyncio
import json
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from gateway.api_v2.fields import MAX_NUMBER
from gateway.errors import WrongKey
from gateway.ledger.records import Account, Key
from providers.service_types import TYPES, OrderFields
from tests.test_edge import ACTIONS, KEY, House, ordered, sold
from tests.test_edge_fields import COMPLETE

FUZZ: Final = settings(max_examples=100, deadline=None, database=None, derandomize=True)
WRITES: Final = frozenset({"add", "refill", "cancel"})
URLENCODED: Final = b"application/x-www-form-urlencoded"
SERVICES: Final = dict(enumerate(TYPES, start=1))

Pairs = list[tuple[str, str]]


class Answered(msgspec.Struct):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    house: House

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def writes(self) -> list[tuple[str, int, object]]:
        return [call for call in self.house.orders.calls if call[0] in WRITES]


def house() -> House:
    """Sells one service of each type; some of its orders can be refilled and canceled."""
    made = House(*(sold(id, type=type, min=1, max=MAX_NUMBER) for id, type in SERVICES.items()))
    made.orders.orders = {id: ordered(id) for id in (1, 2, 10)}
    made.orders.refills = {1: 1, 2: "Refill is disabled for this service"}
    made.orders.cancels = {1: None, 2: "Order cannot be canceled"}
    return made


def ask(body: bytes = b"", query: bytes = b"", content_type: bytes = URLENCODED, method: str = "POST") -> Answered:
    """One call, past the server, in chunks of a few bytes."""
    called = house()
    messages: list[Message] = [
        {"type": "http.request", "body": body[start : start + 4000], "more_body": True}
        for start in range(0, len(body), 4000)
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Message] = []

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()  # the customer stays, and says no more
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/api/v2",
        "query_string": query,
        "headers": [(b"content-type", content_type)],
    }
    asyncio.run(called.app(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return Answered(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"], called)


def check(answered: Answered) -> None:
    assert answered.status == 200
    assert answered.headers[b"content-type"] == b"application/json"
    assert int(answered.headers[b"content-length"]) == len(answered.body)
    said = answered.said
    refused = isinstance(said, dict) and isinstance(said.get("error"), str)
    assert refused or KEY in answered.house.accounts.asked
    for action, account, about in answered.writes:
        assert account == 1
        if action == "add":
            assert not refused
            assert said == {"order": 23501}
            assert isinstance(about, tuple)
            check_fields(*about)


def check_fields(service: int, fields: OrderFields) -> None:
    """What is ordered can be sent to any panel: right type, no control characters, numbers of 32 bits."""
    assert isinstance(fields, TYPES[SERVICES[service]])
    assert 1 <= fields.size() <= MAX_NUMBER
    assert 0 <= fields.units() <= MAX_NUMBER
    for value in msgspec.structs.asdict(fields).values():
        for text in value if isinstance(value, tuple) else [value]:
            if isinstance(text, str):
                assert text == text.strip()
                assert not any(ord(letter) < 32 and letter != "\t" for letter in text)
                assert len(text.encode()) <= 4 * 2048


NAMES: Final = [
    *("key", "action", "service", "order", "orders", "orders[]", "orders[0]", "refill", "refills", "link", "quantity"),
    *("runs", "interval", "comments", "usernames", "username", "hashtag", "hashtags", "media", "keywords", "groups"),
    *("answer_number", "country", "device", "type_of_traffic", "google_keyword", "referring_url"),
    *("min", "max", "delay", "posts", "old_posts", "expiry", "rate", "", "[", "[]", "ключ"),
]

VALUES = st.one_of(
    st.sampled_from(["", "0", "1", "2", "10", "1,2", "-1", "1e3", "undefined", "31/12/2030", "a\r\nb", "a,b", "٣"]),
    st.sampled_from([KEY, *ACTIONS, str(2**31 - 1), str(2**31), "9" * 5000, "\0", "\x1b[2J", "https://x.example/p"]),
    st.integers(1, len(SERVICES)).map(str),
    st.text(max_size=30),
)

KEYS = st.sampled_from([KEY, KEY, KEY, "wrong"])
MORE = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)

ABOUT_ORDERS = st.builds(
    lambda key, action, about, which, more: [("key", key), ("action", action), (about, which), *more],
    KEYS,
    st.sampled_from(ACTIONS),
    st.sampled_from(["order", "orders", "refill", "refills"]),
    st.sampled_from(["1", "2", "1,2,3", "x", "1 2"]),
    MORE,
)

ADDS = st.builds(
    lambda key, service, changed: [
        *{"key": key, "action": "add", "service": str(service), **COMPLETE[SERVICES[service]], **dict(changed)}.items()
    ],
    KEYS,
    st.sampled_from(list(SERVICES)),
    MORE,
)

CALLS = ABOUT_ORDERS | ADDS


@FUZZ
@given(CALLS, st.sampled_from(["GET", "POST"]), st.booleans())
def test_any_form_is_answered(pairs: Pairs, method: str, in_query: bool) -> None:
    text = urlencode(pairs).encode()
    check(ask(b"" if in_query else text, text if in_query else b"", method=method))


@FUZZ
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | VALUES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        max_leaves=8,
    ).flatmap(lambda nested: CALLS.map(lambda pairs: {**dict(pairs), "nested": nested})),
    st.sampled_from(NAMES[2:]),
)
def test_any_json_object_is_answered(members: dict[str, object], moved: str) -> None:
    members[moved] = members.pop("nested")
    check(ask(json.dumps(members).encode(), content_type=b"application/json"))


@FUZZ
@given(st.binary(max_size=200), st.binary(max_size=60), st.sampled_from([URLENCODED, b"application/json", b""]))
def test_any_bytes_are_answered(body: bytes, query: bytes, content_type: bytes) -> None:
    check(ask(body, query, content_type))
    check(ask(b"{" + body, query, content_type))
    check(ask(urlencode({"key": KEY, "action": "add", "service": 1}).encode() + b"&" + body, query, content_type))


@FUZZ
@given(CALLS, st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=3))
def test_any_broken_multipart_body_is_answered(pairs: Pairs, breaks: list[tuple[int, bytes]]) -> None:
    body = multipart(pairs)
    for at, put in breaks:
        body = body[:at] + put + body[at + 1 :]
    check(ask(body, content_type=b"multipart/form-data; boundary=x"))


@FUZZ
@given(CALLS.map(lambda pairs: list({name: value for name, value in pairs if name}.items())))
def test_the_manner_of_sending_changes_no_answer(pairs: Pairs) -> None:
    pairs = [(name, value.replace("\ud800", "")) for name, value in pairs if "[" not in name]
    text = urlencode(pairs).encode()
    answers = [
        ask(text),
        ask(b"", text),
        ask(b"", text, method="GET"),
        ask(json.dumps(dict(pairs)).encode()),
        ask(multipart(pairs), content_type=b"multipart/form-data; boundary=x"),
    ]
    assert len({answered.body for answered in answers}) == 1
    assert all(answered.house.orders.calls == answers[0].house.orders.calls for answered in answers)


@FUZZ
@given(CALLS, st.integers(0, 400))
def test_a_body_that_never_ends_changes_nothing(pairs: Pairs, cut: int) -> None:
    called = house()
    messages: list[Message] = [
        {"type": "http.request", "body": urlencode(pairs).encode()[:cut], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: Message) -> None:
        raise AssertionError("an answer to nobody")

    asyncio.run(called.app({"type": "http", "method": "POST", "path": "/api/v2", "headers": []}, receive, send))
    assert called.accounts.asked == []
    assert called.orders.calls == []


@FUZZ
@given(CALLS)
def test_without_a_key_nothing_is_asked_and_nothing_is_told(pairs: Pairs) -> None:
    called = house()

    async def by_nobody(key: str) -> tuple[Key, Account]:
        raise WrongKey

    called.accounts.by_key = by_nobody  # type: ignore[method-assign]
    messages: list[Message] = [{"type": "http.request", "body": urlencode(pairs).encode()}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v2", "query_string": b"", "headers": []}
    asyncio.run(called.app(scope, receive, send))
    assert json.loads(sent[1]["body"]) in ({"error": "Invalid API key"}, {"error": "Incorrect request"})
    assert called.orders.calls == []


def multipart(pairs: Pairs) -> bytes:
    written = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode(errors="surrogatepass")
        for name, value in pairs
    ]
    return b"".join(written) + b"--x--\r\n"
